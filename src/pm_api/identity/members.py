"""Members: who belongs to a workspace, and in which role.

Every change takes the workspace's lock first and reads roles again under it, so that two changes at once can neither
act on a role that was just taken away nor remove the last owner.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.events import emit
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.entitlements import service as entitlements
from pm_api.identity import api_keys, audit, belongings, pictures
from pm_api.identity.belongings import Leaver, Left
from pm_api.identity.errors.people import (
    AlreadyMember,
    InvalidReassignment,
    LastOwner,
    RoleTooHigh,
    WorkspaceNotFound,
    role_lacks,
)
from pm_api.identity.events import MemberChanged
from pm_api.identity.models.people import Member, User
from pm_api.identity.permissions import Role, allows, may_manage
from pm_api.identity.repository import people as repository
from pm_api.identity.schemas.people import MemberRead, MembersAnswer

LISTED: Final = "members"


@dataclass(frozen=True, slots=True)
class Removal:
    """A membership that has ended, what was left behind, and the user who has taken over what could be."""

    member: MemberRead
    left: list[Left]
    reassigned_to: UUID | None


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    prefix: str | None = None,
    role: Role | None = None,
) -> MembersAnswer:
    """A page of the workspace's members in the order they joined; `prefix` begins a name or an address."""
    filters = {"workspace": scope.workspace_id, "prefix": prefix, "role": role}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.members_of(
        session,
        scope.workspace_id,
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
        prefix=prefix,
        role=role,
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return MembersAnswer(
        members=[_read(platform, *row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def add(
    session: AsyncSession, platform: Platform, actor: Actor, workspace_id: UUID, user_id: UUID, role: Role
) -> Member:
    """Take a user in; raises WorkspaceNotFound, NotFound, AlreadyMember, or PlanLimitReached when the plan holds no
    more people (viewers are people too). Whether the actor may is the caller's to know.
    """
    workspace = await repository.lock_workspace(session, workspace_id)
    if workspace is None or workspace.deleted_at is not None:
        raise WorkspaceNotFound
    if await repository.user_by_id(session, user_id) is None:
        raise NotFound("No user has this id.")
    await entitlements.ensure_seat(session, platform, workspace_id, user_id)
    member = await insert_member(session, platform, workspace_id, user_id, role)
    await announce(session, platform, actor, member, "added", role=role)
    return member


async def change_role(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    member_id: UUID,
    role: Role,
    expected_version: int | None,
) -> MemberRead:
    """Give a member another role; raises NotFound, PreconditionFailed, RoleTooHigh, LastOwner, or PlanLimitReached
    when another owner's plan would have to hold the workspace and does not.
    """
    caller, (member, user) = await _locked(session, scope, member_id)
    check_version(member.version, expected_version)
    if not allows(caller.role, "member.manage"):
        raise role_lacks(caller.role, "member.manage")
    if not may_manage(caller.role, member.role, role):
        raise RoleTooHigh
    if member.role != role:
        await _keep_an_owner(session, member)
        await set_role(session, platform, scope.actor, member, role)
    return _read(platform, member, user)


async def remove(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    member_id: UUID,
    expected_version: int | None,
    *,
    reassign_to: UUID | None = None,
) -> Removal:
    """End a membership, one's own included, and say what the person leaves behind; `reassign_to` is the membership of
    who takes over what can be. Raises NotFound, PreconditionFailed, RoleTooHigh, LastOwner or InvalidReassignment.
    """
    caller, (member, user) = await _locked(session, scope, member_id)
    check_version(member.version, expected_version)
    _check_may_remove(caller, member)
    await _keep_an_owner(session, member)
    heir_id = await _heir(session, member, reassign_to)
    leaver = Leaver(scope.actor, scope.workspace_id, member.user_id)
    left = await belongings.left_by(session, platform, leaver, heir_id)
    await belongings.settle(session, platform, leaver)
    await repository.leave_scopes(session, scope.workspace_id, member.user_id)
    await api_keys.end_of_member(session, platform, scope.actor, scope.workspace_id, member.user_id)
    await session.delete(member)
    await session.flush()
    await announce(
        session,
        platform,
        scope.actor,
        member,
        "removed",
        role=member.role,
        left={one.kind: one.count for one in left},
        **({"reassigned_to": str(heir_id)} if heir_id is not None else {}),
    )
    return Removal(_read(platform, member, user), left, heir_id)


async def left_behind(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, member_id: UUID
) -> tuple[MemberRead, list[Left]]:
    """What a member would leave behind, for whoever may remove them; raises NotFound, Forbidden or RoleTooHigh."""
    caller = await repository.member_by_user(session, scope.workspace_id, scope.user_id)
    found = await repository.member_by_id(session, scope.workspace_id, member_id)
    if caller is None or found is None:
        raise NotFound
    member, user = found
    _check_may_remove(caller, member)
    leaver = Leaver(scope.actor, scope.workspace_id, member.user_id)
    return _read(platform, member, user), await belongings.left_by(session, platform, leaver, None)


def _check_may_remove(caller: Member, member: Member) -> None:
    if member.id != caller.id and not may_manage(caller.role, member.role):
        if not allows(caller.role, "member.manage"):
            raise role_lacks(caller.role, "member.manage")
        raise RoleTooHigh


async def _heir(session: AsyncSession, leaving: Member, reassign_to: UUID | None) -> UUID | None:
    """The user behind the membership that takes over; raises InvalidReassignment."""
    if reassign_to is None:
        return None
    found = await repository.member_by_id(session, leaving.workspace_id, reassign_to)
    if found is None or found[0].id == leaving.id or found[0].role in (Role.VIEWER, Role.GUEST):
        raise InvalidReassignment
    return found[0].user_id


async def insert_member(
    session: AsyncSession, platform: Platform, workspace_id: UUID, user_id: UUID, role: Role
) -> Member:
    """The row alone; raises AlreadyMember."""
    member: Member | None = await session.scalar(
        insert(Member)
        .values(
            id=platform.randomness.uuid(),
            workspace_id=workspace_id,
            user_id=user_id,
            role=role,
            joined_at=platform.clock.now(),
        )
        .on_conflict_do_nothing(index_elements=[Member.workspace_id, Member.user_id])
        .returning(Member)
    )
    if member is None:
        raise AlreadyMember
    return member


async def set_role(session: AsyncSession, platform: Platform, actor: Actor, member: Member, role: Role) -> None:
    """Write, record and announce a role that was found to be allowed. The caller holds the workspace's lock.

    Raises PlanLimitReached when by this another owner pays for the workspace, and their plan has no room for it.
    """
    if member.role == role:
        return
    owners_change = Role.OWNER in (role, member.role)
    payer_id = await entitlements.payer_of(session, member.workspace_id) if owners_change else None
    before, member.role = member.role, role
    member.version += 1
    await session.flush()
    if owners_change and await entitlements.payer_of(session, member.workspace_id) not in (payer_id, None):
        await entitlements.ensure_people_fit(session, platform, member.workspace_id)
    await announce(session, platform, actor, member, "role_changed", role=role, before=before)


async def announce(
    session: AsyncSession, platform: Platform, actor: Actor, member: Member, action: str, **details: object
) -> None:
    """Record a change of membership and tell the floors above."""
    audit.record(
        session,
        platform,
        actor,
        f"member.{action}",
        subject=("member", member.id),
        workspace_id=member.workspace_id,
        user_id=str(member.user_id),
        **details,
    )
    await emit(
        session,
        MemberChanged(
            id=platform.randomness.uuid(),
            workspace_id=member.workspace_id,
            member_id=member.id,
            user_id=member.user_id,
            action=action,
            version=member.version,
            actor_user_id=actor.user_id,
            actor_key_id=actor.api_key_id,
            role=member.role,
        ),
    )


async def _locked(
    session: AsyncSession, scope: WorkspaceScope, member_id: UUID
) -> tuple[Member, tuple[Member, User]]:
    """The caller and the member as they are now, under the workspace's lock; raises NotFound."""
    workspace = await repository.lock_workspace(session, scope.workspace_id)
    caller = await repository.member_by_user(session, scope.workspace_id, scope.user_id)
    person = await repository.member_by_id(session, scope.workspace_id, member_id)
    if workspace is None or workspace.deleted_at is not None or caller is None or person is None:
        raise NotFound
    return caller, person


async def _keep_an_owner(session: AsyncSession, leaving: Member) -> None:
    """Raises LastOwner when this owner is the only one. The workspace's lock is held."""
    if leaving.role == Role.OWNER and await repository.count_owners(session, leaving.workspace_id) == 1:
        raise LastOwner


def _read(platform: Platform, member: Member, user: User) -> MemberRead:
    return MemberRead(
        id=member.id,
        workspace_id=member.workspace_id,
        user_id=member.user_id,
        name=user.name,
        avatar=pictures.address_of(platform, user.avatar),
        email=user.email,
        role=Role(member.role),
        joined_at=member.joined_at,
        version=member.version,
    )
