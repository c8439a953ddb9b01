"""Queries of what lies in places that end."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.models import StorageUsage, StoredFile


async def in_tasks(session: AsyncSession, task_ids: Collection[UUID], limit: int) -> list[tuple[UUID, UUID]]:
    """(workspace, file) of what lies in tasks, whatever its state, whoever sees it."""
    rows = await session.execute(
        select(StoredFile.workspace_id, StoredFile.id)
        .where(StoredFile.task_id.in_(task_ids), StoredFile.workspace_id.is_not(None))
        .order_by(StoredFile.workspace_id, StoredFile.id)
        .limit(limit)
    )
    return [(workspace_id, file_id) for workspace_id, file_id in rows if workspace_id is not None]


async def in_scope(session: AsyncSession, scope_id: UUID, limit: int) -> list[tuple[UUID, UUID]]:
    """The same of all that a circle sees: of a project with its tasks."""
    rows = await session.execute(
        select(StoredFile.workspace_id, StoredFile.id)
        .where(StoredFile.scope_id == scope_id, StoredFile.workspace_id.is_not(None))
        .order_by(StoredFile.workspace_id, StoredFile.id)
        .limit(limit)
    )
    return [(workspace_id, file_id) for workspace_id, file_id in rows if workspace_id is not None]


async def has_books(session: AsyncSession, account_id: UUID) -> bool:
    return await session.get(StorageUsage, account_id) is not None
