"""Queries of links to files."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pm_api.domains.storage.models import FileLink


async def count_living(session: AsyncSession, file_id: UUID, wall: datetime) -> int:
    found: int | None = await session.scalar(
        select(func.count())
        .select_from(FileLink)
        .where(FileLink.file_id == file_id, FileLink.revoked_at.is_(None), FileLink.expires_at > wall)
    )
    return found or 0


async def page(
    session: AsyncSession, file_id: UUID, *, of_user: UUID | None, wall: datetime, before: UUID | None, limit: int
) -> Sequence[FileLink]:
    """Those that work, newest first; of one person, or of all."""
    statement = select(FileLink).where(
        FileLink.file_id == file_id, FileLink.revoked_at.is_(None), FileLink.expires_at > wall
    )
    if of_user is not None:
        statement = statement.where(FileLink.created_by_user_id == of_user)
    if before is not None:
        statement = statement.where(FileLink.id < before)
    rows = await session.scalars(statement.order_by(FileLink.id.desc()).limit(limit))
    return rows.all()


async def living(session: AsyncSession, link_id: UUID, wall: datetime) -> FileLink | None:
    return await session.scalar(
        select(FileLink).where(FileLink.id == link_id, FileLink.revoked_at.is_(None), FileLink.expires_at > wall)
    )


async def of_file(session: AsyncSession, file_id: UUID, link_id: UUID) -> FileLink | None:
    return await session.scalar(select(FileLink).where(FileLink.id == link_id, FileLink.file_id == file_id))


async def revoke(session: AsyncSession, link_id: UUID, wall: datetime) -> None:
    await session.execute(
        update(FileLink)
        .where(FileLink.id == link_id, FileLink.revoked_at.is_(None))
        .values(revoked_at=wall)
        .execution_options(synchronize_session=False)
    )


async def revoke_all(session: AsyncSession, file_ids: Collection[UUID], wall: datetime) -> None:
    await session.execute(
        update(FileLink)
        .where(FileLink.file_id == any_(literal(list(file_ids), ARRAY(Uuid()))), FileLink.revoked_at.is_(None))
        .values(revoked_at=wall)
        .execution_options(synchronize_session=False)
    )
