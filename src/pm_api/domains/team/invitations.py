"""Answering an invitation, as whoever holds its link does it.

The workspace's lock is taken before the invitation is read for good: acceptances, sendings, withdrawals and changes
of one workspace's invitations come one after the other, and so do the seats they take.
"""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.crypto import digest_token
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.projects import members as projects
from pm_api.domains.projects.enums import ProjectRole
from pm_api.domains.projects.holding import tell as tell_of_project
from pm_api.domains.team import reading, repository
from pm_api.domains.team.enums import InvitationStatus
from pm_api.domains.team.errors import (
    EmailMismatch,
    InvitationClosed,
    InvitationExpired,
    InvitationNotFound,
    InvitationProjectsGone,
)
from pm_api.domains.team.models import Invitation
from pm_api.domains.team.schemas import InvitationView
from pm_api.domains.team.telling import TEAM_PATH
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity import audit, members, recovery
from pm_api.identity.errors.people import AlreadyMember, WorkspaceNotFound
from pm_api.identity.models.people import Member, User
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as identity

HOLDER: Final = Actor(ActorKind.SYSTEM)
"""Who declines needs no account: only the link is known of them."""
NO_REASON_TO_FAIL: Final = (
    AlreadyMember,
    EmailMismatch,
    InvitationClosed,
    InvitationExpired,
    InvitationNotFound,
    InvitationProjectsGone,
    PlanLimitReached,
    WorkspaceNotFound,
)


async def view(platform: Platform, token: str) -> InvitationView:
    """What the holder of a link is invited to, and nothing of who has an account. Raises InvitationNotFound,
    InvitationExpired or InvitationClosed.
    """
    async with platform.database.reading() as session:
        found = await repository.by_token(session, digest_token(token))
    if found is None or found.workspace.deleted_at is not None:
        raise InvitationNotFound
    row = found.invitation
    _check_waits(platform, row)
    async with platform.database.reading() as session:
        ids = [UUID(one) for one in row.project_ids]
        into = await projects.managed_by(session, row.workspace_id, row.invited_by, ids)
    return InvitationView(
        workspace_name=found.workspace.name,
        inviter_name=found.inviter_name,
        email=found.invitation.email,
        role=Role(row.role),
        projects=sorted(one.name for one in into),
        expires_at=found.invitation.expires_at,
    )


async def accept(session: AsyncSession, platform: Platform, actor: Actor, token: str) -> Member:
    """Take the caller in; a second time it is the same membership. A refused seat leaves the invitation open.

    Raises InvitationNotFound, InvitationExpired, InvitationClosed, EmailMismatch, AlreadyMember, PlanLimitReached or
    InvitationProjectsGone.
    """
    assert actor.user_id is not None
    user = await identity.user_by_id(session, actor.user_id)
    assert user is not None, "the guard has found their session"
    return await _accept(session, platform, actor, user, token)


async def accept_for(session: AsyncSession, platform: Platform, user: User, token: str) -> Member | None:
    """The same for somebody who is just registering, in that transaction. None when the token is unknown, expired,
    used, for another address or for a workspace without a seat: no registration fails because of it.
    """
    try:
        async with session.begin_nested():
            return await _accept(session, platform, Actor(ActorKind.USER, user.id), user, token)
    except NO_REASON_TO_FAIL:
        return None


async def decline(platform: Platform, token: str) -> None:
    """Say no, with nothing but the link; a second time changes nothing. Raises InvitationNotFound, InvitationExpired
    or InvitationClosed.
    """
    async with platform.database.transaction() as session:
        row = await _locked(session, token)
        if row.status == InvitationStatus.DECLINED:
            return
        _check_waits(platform, row)
        await _decide(session, platform, HOLDER, row, InvitationStatus.DECLINED, who="Somebody you invited")


async def _accept(session: AsyncSession, platform: Platform, actor: Actor, user: User, token: str) -> Member:
    row = await _locked(session, token)
    if row.status == InvitationStatus.ACCEPTED and row.accepted_by == user.id:
        member = await identity.member_by_user(session, row.workspace_id, user.id)
        if member is not None:
            return member
    _check_waits(platform, row)
    if row.email != user.email:
        raise EmailMismatch
    member = await members.add(session, platform, actor, row.workspace_id, user.id, Role(row.role))
    await _put_into_projects(session, platform, actor, row, user.id)
    row.accepted_by = user.id
    await _decide(session, platform, actor, row, InvitationStatus.ACCEPTED, who=user.name)
    # The token was in no other place than a letter to this very address.
    await recovery.prove_address(session, platform, user)
    return member


async def _put_into_projects(
    session: AsyncSession, platform: Platform, actor: Actor, row: Invitation, user_id: UUID
) -> None:
    """Those of its projects that are there and that whoever invites still manages. Raises InvitationProjectsGone when
    a guest would see none. The workspace's lock is held, so nobody comes or goes meanwhile.
    """
    project_ids = [UUID(one) for one in row.project_ids]
    found = await projects.managed_by(session, row.workspace_id, row.invited_by, project_ids)
    if row.role == Role.GUEST and not found:
        raise InvitationProjectsGone
    as_what = ProjectRole(row.project_role or ProjectRole.VIEWER)
    for project in found:
        await projects.enter(session, platform, actor, project, user_id, as_what)
        await tell_of_project(session, platform, actor, project, "member_added")


async def _locked(session: AsyncSession, token: str) -> Invitation:
    """The invitation behind a token, under its workspace's lock; raises InvitationNotFound, also when the token was
    replaced while this waited.
    """
    token_hash = digest_token(token)
    found = await repository.by_token(session, token_hash)
    if found is None:
        raise InvitationNotFound
    workspace = await identity.lock_workspace(session, found.invitation.workspace_id)
    row = await repository.locked(session, found.invitation.id)
    if workspace is None or workspace.deleted_at is not None or row is None or row.token_hash != token_hash:
        raise InvitationNotFound
    return row


def _check_waits(platform: Platform, row: Invitation) -> None:
    status = reading.status_of(row, platform.clock.now())
    if status is InvitationStatus.EXPIRED:
        raise InvitationExpired
    if status is not InvitationStatus.PENDING:
        raise InvitationClosed


async def _decide(
    session: AsyncSession, platform: Platform, actor: Actor, row: Invitation, status: InvitationStatus, *, who: str
) -> None:
    """Write the answer, record it, and tell who invited. The address stands in the invitation's own row only."""
    action = status.lower()
    row.status = status
    row.decided_at = row.updated_at = platform.clock.now()
    row.version += 1
    await session.flush()
    audit.record(
        session,
        platform,
        actor,
        f"invitation.{action}",
        subject=("invitation", row.id),
        workspace_id=row.workspace_id,
        role=row.role,
        invited_by=str(row.invited_by),
    )
    changes.record(
        session,
        platform,
        workspace_id=row.workspace_id,
        entity="invitation",
        entity_id=row.id,
        action=action,
        version=row.version,
        least_role=Role.ADMIN,
        actor_user_id=actor.user_id,
    )
    workspace = await identity.workspace_by_id(session, row.workspace_id)
    assert workspace is not None, "its lock is held"
    await notifications.notify(
        session,
        platform,
        user_ids=[row.invited_by],
        category=Category.WORKSPACE,
        type=f"team.invitation_{action}",
        dedup_key=f"team.invitation:{row.id}:{action}",
        title=f"{who} {action} your invitation to {workspace.name}",
        body="The team page shows which one it was.",
        reason="You sent the invitation.",
        data={"invitationId": str(row.id), "workspaceName": workspace.name},
        link=TEAM_PATH,
        workspace_id=row.workspace_id,
        actor_user_id=actor.user_id,
    )
