"""What becomes of files whose place goes for good: they go with it, at once and whatever their state. What was
deleted for a while is only out of sight, and counts on, since it may be restored.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.storage import lifecycle
from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.repository import places as repository
from pm_api.entitlements.enums import AccountType


async def purge_of_tasks(session: AsyncSession, platform: Platform, task_ids: Collection[UUID], limit: int) -> int:
    """Some files of tasks that are about to go; fewer than `limit`: none is left. Call it before the tasks' rows are
    touched: it holds counters, which come first in the order of locks.
    """
    return await _purge(session, platform, await repository.in_tasks(session, task_ids, limit))


async def purge_of_scope(session: AsyncSession, platform: Platform, scope_id: UUID, limit: int) -> int:
    """Some files of a circle that is about to go, a project's with those of its tasks; the same holds."""
    return await _purge(session, platform, await repository.in_scope(session, scope_id, limit))


async def _purge(session: AsyncSession, platform: Platform, found: Sequence[tuple[UUID, UUID]]) -> int:
    of: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for workspace_id, file_id in found:
        of[workspace_id].append(file_id)
    for workspace_id in sorted(of):
        await lifecycle.purge(session, platform, Account(AccountType.WORKSPACE, workspace_id), of[workspace_id])
    return len(found)


async def has_had_any(session: AsyncSession, account_id: UUID) -> bool:
    """Whether an account has, or ever had, a file."""
    return await repository.has_books(session, account_id)
