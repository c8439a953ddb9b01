"""Queries of what takes up room: the largest files somebody sees, and what is kept once for many."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.domains.storage.enums import UploadStatus
from pm_api.domains.storage.models import FileVersion, StorageUsage, StoredFile, StoredObject
from pm_api.domains.storage.repository.files import in_sight


async def largest(
    session: AsyncSession, scope: AccountScope, account_id: UUID, *, limit: int
) -> Sequence[StoredFile]:
    """Those that the caller sees, the trash included: it takes up room."""
    rows = await session.scalars(
        select(StoredFile)
        .where(
            StoredFile.account_id == account_id,
            in_sight(scope),
            StoredFile.status.not_in((UploadStatus.UPLOADING.value, UploadStatus.FAILED.value)),
        )
        .order_by(StoredFile.size_bytes.desc(), StoredFile.id.desc())
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def saved_by_sharing(session: AsyncSession, account_id: UUID) -> int:
    """What an account's files and their versions would take up more if each had its bytes to itself."""
    uses = (
        select(FileVersion.object_id, (func.count() - 1).label("more"))
        .join(StoredFile, StoredFile.id == FileVersion.file_id)
        .where(StoredFile.account_id == account_id)
        .group_by(FileVersion.object_id)
        .having(func.count() > 1)
        .subquery()
    )
    found = await session.scalar(
        select(func.sum(StoredObject.size_bytes * uses.c.more)).join(uses, uses.c.object_id == StoredObject.id)
    )
    return int(found or 0)


async def counted_before(session: AsyncSession, account_ids: Collection[UUID], moment: datetime) -> int:
    """Of what is counted now, that which was there before a moment."""
    if not account_ids:
        return 0
    found = await session.scalar(
        select(func.sum(StoredObject.size_bytes)).where(
            StoredObject.account_id.in_(account_ids),
            StoredObject.charged_as.is_not(None),
            StoredObject.created_at < moment,
        )
    )
    return int(found or 0)


async def counted(session: AsyncSession, account_ids: Collection[UUID]) -> int:
    """What some accounts' files take up together."""
    if not account_ids:
        return 0
    found = await session.scalar(
        select(func.sum(StorageUsage.total_used)).where(StorageUsage.account_id.in_(account_ids))
    )
    return int(found or 0)
