"""Queries of what files held at some time."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import any_, delete, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pm_api.domains.storage.models import FileVersion, StoredFile, StoredObject


async def object_ids(session: AsyncSession, *file_ids: UUID) -> set[UUID]:
    """All objects that some files refer to, now or in an older version."""
    among = any_(literal(list(file_ids), ARRAY(Uuid())))
    old = await session.scalars(select(FileVersion.object_id).where(FileVersion.file_id == among))
    now = await session.scalars(
        select(StoredFile.object_id).where(StoredFile.id == among, StoredFile.object_id.is_not(None))
    )
    return {*old, *(one for one in now if one is not None)}


async def page(
    session: AsyncSession, file_id: UUID, *, before: int | None, limit: int
) -> Sequence[tuple[FileVersion, StoredObject]]:
    """Newest first, with their bytes."""
    statement = (
        select(FileVersion, StoredObject)
        .join(StoredObject, StoredObject.id == FileVersion.object_id)
        .where(FileVersion.file_id == file_id)
        .order_by(FileVersion.number.desc())
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    if before is not None:
        statement = statement.where(FileVersion.number < before)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def one(session: AsyncSession, file_id: UUID, number: int) -> tuple[FileVersion, StoredObject] | None:
    row = (
        await session.execute(
            select(FileVersion, StoredObject)
            .join(StoredObject, StoredObject.id == FileVersion.object_id)
            .where(FileVersion.file_id == file_id, FileVersion.number == number)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None


async def remove(session: AsyncSession, file_id: UUID, number: int) -> None:
    await session.execute(
        delete(FileVersion)
        .where(FileVersion.file_id == file_id, FileVersion.number == number)
        .execution_options(synchronize_session=False)
    )
