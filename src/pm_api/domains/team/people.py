"""Members as the team's routes show them, the invited among them, and what a removal tells."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.team import reading, repository
from pm_api.domains.team.enums import InvitationStatus, MemberStatus
from pm_api.domains.team.schemas import BelongingsAnswer, RemovalRead, TeamMemberRead, TeamMembersAnswer
from pm_api.identity import members
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.permissions import Role, allows

LISTED: Final = "invited"
MANAGE: Final = "member.manage"


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    prefix: str | None,
    role: Role | None,
    status: MemberStatus,
) -> TeamMembersAnswer:
    """A page of members, or of who is invited and can still come; raises Forbidden for the latter to whoever invites
    nobody.
    """
    if status is MemberStatus.INVITED:
        return await _invited(session, platform, scope, page, prefix=prefix, role=role)
    found = await members.list_of(session, platform, scope, page, prefix=prefix, role=role)
    return TeamMembersAnswer(members=[reading.member(one) for one in found.members], next_cursor=found.next_cursor)


async def _invited(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    prefix: str | None,
    role: Role | None,
) -> TeamMembersAnswer:
    if not allows(scope.role, MANAGE):
        raise role_lacks(scope.role, MANAGE)
    filters = {"workspace": scope.workspace_id, "prefix": prefix, "role": role}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.invitations_of(
        session,
        scope,
        platform.clock.now(),
        status=InvitationStatus.PENDING,
        prefix=prefix,
        role=role,
        limit=page.limit + 1,
        after=UUID(key[0]) if key else None,
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return TeamMembersAnswer(
        members=[reading.invited(row) for row, _ in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def change_role(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    member_id: UUID,
    role: Role,
    expected_version: int | None,
) -> TeamMemberRead:
    """As `identity.members.change_role`."""
    return reading.member(await members.change_role(session, platform, scope, member_id, role, expected_version))


async def remove(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    member_id: UUID,
    expected_version: int | None,
    *,
    reassign_to: UUID | None,
) -> RemovalRead:
    """As `identity.members.remove`: the membership ends, and what is left behind is told."""
    done = await members.remove(session, platform, scope, member_id, expected_version, reassign_to=reassign_to)
    return RemovalRead(
        member=reading.member(done.member, MemberStatus.REMOVED),
        left_behind=reading.left(done.left),
        reassigned_to=done.reassigned_to,
    )


async def belongings_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, member_id: UUID
) -> BelongingsAnswer:
    """What a member would leave behind; raises NotFound, Forbidden or RoleTooHigh."""
    member, found = await members.left_behind(session, platform, scope, member_id)
    return BelongingsAnswer(member=reading.member(member), belongings=reading.left(found))
