"""Queries of uploads under way and of the files they make."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, insert, literal, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.enums import SessionState, UploadWay
from pm_api.domains.storage.keys import chunk_prefix
from pm_api.domains.storage.models import (
    DoomedObject,
    FileVersion,
    StoredFile,
    StoredObject,
    UploadChunk,
    UploadSession,
)

LATE_CHUNKS_COME_WITHIN: Final = timedelta(hours=1)


async def upload(session: AsyncSession, upload_id: UUID) -> UploadSession | None:
    """As it is now, not held."""
    return await session.scalar(
        select(UploadSession).where(UploadSession.id == upload_id).execution_options(populate_existing=True)
    )


async def upload_of(session: AsyncSession, user_id: UUID, upload_id: UUID) -> UploadSession | None:
    """One of this person's."""
    return await session.scalar(
        select(UploadSession)
        .where(UploadSession.id == upload_id, UploadSession.user_id == user_id)
        .execution_options(populate_existing=True)
    )


async def lock_upload(session: AsyncSession, upload_id: UUID) -> UploadSession | None:
    return await session.scalar(
        select(UploadSession)
        .where(UploadSession.id == upload_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def keep_alive(
    session: AsyncSession, upload_id: UUID, *, received_bytes: int, expires_at: datetime, now: datetime
) -> bool:
    """So many bytes have come, and it expires later. False when it takes none any more."""
    found = await session.scalar(
        update(UploadSession)
        .where(UploadSession.id == upload_id, UploadSession.state == SessionState.OPEN)
        .values(
            received_bytes=func.greatest(UploadSession.received_bytes, received_bytes),
            expires_at=func.greatest(UploadSession.expires_at, expires_at),
            updated_at=now,
        )
        .returning(UploadSession.id)
        .execution_options(synchronize_session=False)
    )
    return found is not None


async def count_open(session: AsyncSession, account_id: UUID, user_id: UUID) -> int:
    found: int = (
        await session.scalar(
            select(func.count())
            .select_from(UploadSession)
            .where(
                UploadSession.account_id == account_id,
                UploadSession.user_id == user_id,
                # As literal text, so that the planner knows the index of those under way.
                literal_column("upload_sessions.state IN ('OPEN', 'FINISHING')"),
            )
        )
        or 0
    )
    return found


async def file(session: AsyncSession, account_id: UUID, file_id: UUID) -> StoredFile | None:
    return await session.scalar(
        select(StoredFile)
        .where(StoredFile.id == file_id, StoredFile.account_id == account_id)
        .execution_options(populate_existing=True)
    )


async def lock_file(session: AsyncSession, account_id: UUID, file_id: UUID) -> StoredFile | None:
    return await session.scalar(
        select(StoredFile)
        .where(StoredFile.id == file_id, StoredFile.account_id == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def remove_file(session: AsyncSession, file_id: UUID) -> None:
    """A file that never was; its uploads go with it."""
    await session.execute(delete(StoredFile).where(StoredFile.id == file_id, StoredFile.version_number == 0))


async def doom_chunks(session: AsyncSession, ended: UploadSession, now: datetime) -> None:
    """The chunks of an upload that has ended: their keys are doomed, their rows go."""
    if ended.way != UploadWay.TUS:  # the others come in one piece
        return
    chunks = select(
        UploadChunk.key,
        literal(ended.account_id, type_=UploadSession.account_id.type),
        literal("upload chunk"),
        literal(now, type_=UploadChunk.created_at.type),
        literal(now, type_=UploadChunk.created_at.type),
    ).where(UploadChunk.upload_id == ended.id)
    await session.execute(
        upsert(DoomedObject)
        .from_select(["key", "account_id", "reason", "due_at", "created_at"], chunks)
        .on_conflict_do_nothing(index_elements=[DoomedObject.key])
    )
    await session.execute(delete(UploadChunk).where(UploadChunk.upload_id == ended.id))
    # Whoever died between writing a chunk and its row has left one that no row names.
    folder = {"key": chunk_prefix(ended.id), "account_id": ended.account_id, "reason": "upload chunks"}
    await session.execute(
        upsert(DoomedObject)
        .values(**folder, due_at=now + LATE_CHUNKS_COME_WITHIN, created_at=now)
        .on_conflict_do_nothing(index_elements=[DoomedObject.key])
    )


async def brought(session: AsyncSession, upload: UploadSession) -> tuple[FileVersion, StoredObject] | None:
    """The version that an upload has made, and its bytes; None once it is deleted. It has the upload's own id."""
    found = await session.execute(
        select(FileVersion, StoredObject)
        .join(StoredObject, StoredObject.id == FileVersion.object_id)
        .where(FileVersion.id == upload.id)
    )
    row = found.one_or_none()
    return (row[0], row[1]) if row is not None else None


async def add_version(session: AsyncSession, **values: object) -> FileVersion:
    made: FileVersion | None = await session.scalar(insert(FileVersion).values(**values).returning(FileVersion))
    assert made is not None
    return made
