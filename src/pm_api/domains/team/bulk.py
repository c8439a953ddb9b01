"""One thing done to many members: to all of them, or to none.

Each is tried in a savepoint of its own under the workspace's one lock, so that every refusal is found and not only
the first; a refusal, or a dry run, takes back everything.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import ApiError
from pm_api.core.platform import Platform
from pm_api.domains.team import reading
from pm_api.domains.team.enums import BulkAction, MemberStatus
from pm_api.domains.team.errors import BulkRefused
from pm_api.domains.team.schemas import BulkAnswer, BulkRequest, BulkResult
from pm_api.identity import members
from pm_api.identity.errors.people import WorkspaceNotFound, role_lacks
from pm_api.identity.permissions import allows
from pm_api.identity.repository import people as identity


class _TakeBack(Exception):
    """Leaves the savepoint that holds everything."""


async def apply(session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: BulkRequest) -> BulkAnswer:
    """Do it to all; a dry run tells what would happen to each. Raises WorkspaceNotFound, Forbidden or BulkRefused."""
    workspace = await identity.lock_workspace(session, scope.workspace_id)
    caller = await identity.member_by_user(session, scope.workspace_id, scope.user_id)
    if workspace is None or workspace.deleted_at is not None or caller is None:
        raise WorkspaceNotFound
    if not allows(caller.role, "member.manage"):
        raise role_lacks(caller.role, "member.manage")
    # Who does it to themselves comes last: after that they may do it to nobody else.
    turns = sorted(wanted.member_ids, key=lambda one: (one == caller.id, one))
    outcomes: dict[UUID, BulkResult] = {}
    try:
        async with session.begin_nested():
            for member_id in turns:
                outcomes[member_id] = await _attempt(session, platform, scope, wanted, member_id)
            _keep_or_take_back(wanted, outcomes)
    except _TakeBack:
        if not wanted.dry_run:
            raise _refusal(wanted, outcomes) from None
    return BulkAnswer(done=not wanted.dry_run, results=[outcomes[one] for one in wanted.member_ids])


def _keep_or_take_back(wanted: BulkRequest, outcomes: Mapping[UUID, BulkResult]) -> None:
    if wanted.dry_run or not all(one.allowed for one in outcomes.values()):
        raise _TakeBack


async def _attempt(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: BulkRequest, member_id: UUID
) -> BulkResult:
    try:
        async with session.begin_nested():
            return await _apply_to(session, platform, scope, wanted, member_id)
    except ApiError as refused:
        return BulkResult(
            member_id=member_id,
            allowed=False,
            code=refused.code,
            detail=refused.detail,
            member=None,
            left_behind=[],
        )


async def _apply_to(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: BulkRequest, member_id: UUID
) -> BulkResult:
    if wanted.action is BulkAction.REMOVE:
        if wanted.reassign_to in wanted.member_ids:
            raise BulkRefused("Who takes over what is left behind may not be among those who are removed.")
        done = await members.remove(session, platform, scope, member_id, None, reassign_to=wanted.reassign_to)
        member, left, status = done.member, done.left, MemberStatus.REMOVED
    else:
        assert wanted.role is not None, "the schema asks for it"
        member = await members.change_role(session, platform, scope, member_id, wanted.role, None)
        left, status = [], MemberStatus.ACTIVE
    return BulkResult(
        member_id=member_id,
        allowed=True,
        code=None,
        detail=None,
        member=reading.member(member, status),
        left_behind=reading.left(left),
    )


def _refusal(wanted: BulkRequest, outcomes: Mapping[UUID, BulkResult]) -> BulkRefused:
    details = [
        {"pointer": f"/memberIds/{place}", "detail": f"{outcomes[one].code}: {outcomes[one].detail}"}
        for place, one in enumerate(wanted.member_ids)
        if not outcomes[one].allowed
    ]
    return BulkRefused(f"{len(details)} of {len(wanted.member_ids)} cannot be changed; nothing was.", details=details)
