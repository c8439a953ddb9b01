"""A person who goes: where they must not leave others without an owner, and how they stop being anybody.

Nothing opens the account any more from the first moment on, and its address is free for a new one.
"""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.db import Base
from pm_api.core.personal import (
    Leaving,
    Obstacle,
    contributes,
    ends,
    hands_out,
    keeps_back,
    obstructs,
    strike_by_pages,
)
from pm_api.core.personal.handing import Stretch, wire_form
from pm_api.core.platform import Platform
from pm_api.identity import api_keys, audit, belongings, members, sessions, users, workspaces
from pm_api.identity.belongings import Leaver
from pm_api.identity.models.credentials import ApiKey, RecoveryCode, SecondFactor
from pm_api.identity.models.people import AuditEntry, Member, RefreshToken, ScopeMember, User, UserSession, Workspace
from pm_api.identity.models.sign_in import EmailToken, ExternalIdentity, KnownDevice, OauthAttempt, SecurityEvent
from pm_api.identity.permissions import Role
from pm_api.identity.repository import leaving as leaving_rows
from pm_api.identity.repository import people as repository
from pm_api.identity.repository.leaving import Closing, Place

SYSTEM: Final = Actor(ActorKind.SYSTEM)
LAST_OWNER: Final = "last_owner"


async def own_workspaces(session: AsyncSession, user_id: UUID) -> list[UUID]:
    """Those that nobody else belongs to: they go with their person."""
    return [one.workspace_id for one in await leaving_rows.places(session, user_id) if one.is_closed_with_them]


@obstructs("identity")
async def without_an_owner(session: AsyncSession, user_id: UUID, _accounts: Collection[UUID]) -> Sequence[Obstacle]:
    """Workspaces that others share and nobody else owns."""
    return [
        Obstacle(
            LAST_OWNER,
            f"You are the last owner of {one.name}, which others share. Make somebody else owner, or delete it.",
            {"workspaceId": str(one.workspace_id), "workspaceName": one.name},
        )
        for one in await leaving_rows.places(session, user_id)
        if one.is_last_owner and not one.is_closed_with_them
    ]


async def lock(session: AsyncSession, user_id: UUID) -> User | None:
    """A person after all of their workspaces, in the order of locks; None when there is none, or they are gone."""
    for one in await leaving_rows.places(session, user_id):
        await repository.lock_workspace(session, one.workspace_id)
    user = await leaving_rows.lock_person(session, user_id)
    return None if user is None or user.erased_at is not None else user


async def depart(session: AsyncSession, platform: Platform, user: User) -> Leaving:
    """Everything that lets them in ends, memberships end, workspaces of theirs alone are deleted, and the row forgets
    who they were. What they were called is in the answer, and nowhere else. The person is locked.
    """
    email, name = user.email, user.name
    former = [one for one in await leaving_rows.former_addresses(session, user.id) if one != email]
    closed, left = await _leave_places(session, platform, user.id)
    await sessions.end(session, platform, user_id=user.id, reason="account deleted")
    await api_keys.end_of_user(session, platform, SYSTEM, user.id)
    await leaving_rows.drop_credentials(session, user.id)
    users.anonymise(user, platform.clock.now())
    audit.record(session, platform, SYSTEM, "user.erased", subject=("user", user.id))
    return Leaving(user.id, email, name, tuple(closed), tuple(left), tuple(former))


async def _leave_places(session: AsyncSession, platform: Platform, user_id: UUID) -> tuple[list[UUID], list[UUID]]:
    closed, left = [], []
    for one in await leaving_rows.places(session, user_id):
        scope = WorkspaceScope(SYSTEM, one.workspace_id, user_id, Role.OWNER)
        if one.is_closed_with_them:
            await _close(session, platform, scope, one)
            closed.append(one.workspace_id)
        else:
            await _leave(session, platform, scope, one)
            left.append(one.workspace_id)
    await leaving_rows.anonymise_workspaces(session, closed, platform.clock.now())
    return closed, left


async def _close(session: AsyncSession, platform: Platform, scope: WorkspaceScope, place: Place) -> None:
    """As if its owner had deleted it, except that nobody can restore it."""
    if place.deleted_at is None:
        await workspaces.delete(session, platform, scope, None)
        await session.flush()
    await _end_membership(session, platform, scope, place)


async def _leave(session: AsyncSession, platform: Platform, scope: WorkspaceScope, place: Place) -> None:
    if place.deleted_at is None:
        await members.remove(session, platform, scope, place.member_id, None)
        return
    await belongings.settle(session, platform, Leaver(SYSTEM, place.workspace_id, scope.user_id))
    await _end_membership(session, platform, scope, place)


async def _end_membership(session: AsyncSession, platform: Platform, scope: WorkspaceScope, place: Place) -> None:
    """In a workspace that is deleted, where nobody can end one; written down and told as everywhere."""
    found = await repository.member_by_id(session, place.workspace_id, place.member_id)
    if found is None:
        return
    member, _ = found
    await repository.leave_scopes(session, place.workspace_id, scope.user_id)
    await session.delete(member)
    await session.flush()
    await members.announce(session, platform, scope.actor, member, "removed", role=member.role)


async def callers_of(session: AsyncSession, user_id: UUID) -> list[str]:
    """The names under which their calls were made: themselves, and their keys."""
    keys = await leaving_rows.key_ids(session, user_id)
    return [Actor(ActorKind.USER, user_id).key, *(f"{ActorKind.API_KEY}:{one}" for one in keys)]


@ends("identity.places", order=10, again=True)
async def leave_what_was_joined_meanwhile(platform: Platform, leaving: Leaving) -> None:
    """An invitation may have been accepted while the account was being closed."""
    async with platform.database.transaction() as session:
        for one in await leaving_rows.places(session, leaving.user_id):
            await repository.lock_workspace(session, one.workspace_id)
        await _leave_places(session, platform, leaving.user_id)


@ends("identity.audit", order=50)
async def strike_the_log(platform: Platform, leaving: Leaving) -> None:
    """In the places they were in, and of what they did and what was done to them elsewhere."""
    places = (*leaving.closed, *leaving.left)
    log = Base.metadata.tables[AuditEntry.__tablename__]
    for rows in leaving_rows.audit_about(places, leaving.user_id):
        await strike_by_pages(platform, log, "details", rows, leaving.words)


# --- workspaces that are deleted --------------------------------------------------------------------------------


async def workspaces_to_close(
    session: AsyncSession, platform: Platform, after: Closing | None, limit: int
) -> list[Closing]:
    """Those deleted so long ago that nobody can restore them."""
    return await leaving_rows.to_close(session, platform.clock.now() - workspaces.RESTORABLE_FOR, after, limit)


async def close_workspace(session: AsyncSession, platform: Platform, workspace_id: UUID) -> None:
    """What it had bought has ended before."""
    await leaving_rows.mark_closed(session, workspace_id, platform.clock.now())


# --- what is handed out -----------------------------------------------------------------------------------------

hands_out(User, "account.json", "Your account and profile.", of="id", without={"is_admin"})
hands_out(UserSession, "sessions.json", "Where you signed in.", of="user_id")
hands_out(
    AuditEntry,
    "activity.json",
    "What you did that the log of a workspace keeps.",
    of="actor_user_id",
    without={"details"},
)
hands_out(ApiKey, "api-keys.json", "Your API keys, without what opens anything.", of="user_id")
hands_out(SecondFactor, "second-factor.json", "When you switched a second factor on.")
hands_out(ExternalIdentity, "sign-in-methods.json", "Other providers you sign in with.")
hands_out(EmailToken, "email-confirmations.json", "Addresses you were to confirm.")
hands_out(SecurityEvent, "security-events.json", "What happened at your account's door.")
hands_out(KnownDevice, "devices.json", "When you were first and last seen on a device.")
keeps_back(RefreshToken, "hashes of secrets")
keeps_back(RecoveryCode, "hashes of secrets")
keeps_back(OauthAttempt, "sign-ins under way, good for minutes")
keeps_back(ScopeMember, "told by what the circle is of")


@contributes("workspaces.json", "Workspaces you belong to, and your role there.", Member, Workspace)
async def places_of(session: AsyncSession, person_id: UUID, after: object, limit: int) -> Stretch:
    rows = await repository.workspaces_of(
        session, person_id, limit=limit, after=after if isinstance(after, UUID) else None
    )
    told = [
        wire_form(
            {
                "id": workspace.id,
                "name": workspace.name,
                "slug": workspace.slug,
                "role": member.role,
                "joined_at": member.joined_at,
            }
        )
        for workspace, member in rows
    ]
    return Stretch(told, rows[-1][0].id if len(rows) == limit else None)
