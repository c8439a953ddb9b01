"""Queries of pictures: what is worn, what it is made from, and its smaller sizes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.enums import FileType, UploadStatus
from pm_api.domains.storage.models import ObjectRendition, StoredFile, StoredObject, UploadSession

WORN: Final = (FileType.USER_AVATAR.value, FileType.WORKSPACE_LOGO.value)


class Source(NamedTuple):
    """An object, as what pictures are made from."""

    object_id: UUID
    account_kind: str
    account_id: UUID
    key: str
    size_bytes: int
    sha256: bytes
    media_type: str
    width: int | None
    height: int | None
    scan_state: str


_SOURCE: Final = (
    *(StoredObject.id, StoredObject.account_kind, StoredObject.account_id, StoredObject.key),
    *(StoredObject.size_bytes, StoredObject.sha256, StoredObject.media_type, StoredObject.width, StoredObject.height),
    StoredObject.scan_state,
)


async def worn(session: AsyncSession, token: str) -> Source | None:
    """What a public address shows; None for one that shows nothing any more."""
    row = (
        await session.execute(
            select(*_SOURCE)
            .join(StoredFile, StoredFile.object_id == StoredObject.id)
            .where(
                StoredFile.public_token == token,
                StoredFile.status == UploadStatus.COMPLETED.value,
                StoredFile.deleted_at.is_(None),
            )
        )
    ).one_or_none()
    return Source._make(row) if row is not None else None


async def of_file(session: AsyncSession, file_id: UUID) -> Source | None:
    """What a file holds that is served; whether the caller sees it was asked before."""
    row = (
        await session.execute(
            select(*_SOURCE)
            .join(StoredFile, StoredFile.object_id == StoredObject.id)
            .where(
                StoredFile.id == file_id,
                StoredFile.status == UploadStatus.COMPLETED.value,
                StoredFile.deleted_at.is_(None),
            )
        )
    ).one_or_none()
    return Source._make(row) if row is not None else None


async def lock_file(session: AsyncSession, file_id: UUID) -> StoredFile | None:
    await session.execute(select(StoredFile.id).where(StoredFile.id == file_id).with_for_update())
    return await session.scalar(
        select(StoredFile).where(StoredFile.id == file_id).execution_options(populate_existing=True)
    )


async def lock_others(
    session: AsyncSession, account_id: UUID, file_type: FileType, but: UUID | None
) -> Sequence[StoredFile]:
    """The pictures of an account that were worn before, by id."""
    where = (
        StoredFile.account_id == account_id,
        StoredFile.file_type == file_type.value,
        StoredFile.public_token.is_not(None),
        StoredFile.deleted_at.is_(None),
    )
    ids = select(StoredFile.id).where(*where).order_by(StoredFile.id).with_for_update()
    found = [one for one in await session.scalars(ids) if one != but]
    rows = await session.scalars(
        select(StoredFile)
        .where(StoredFile.id.in_(found))
        .order_by(StoredFile.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def unworn(
    session: AsyncSession, before: datetime, *, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, UUID, UUID | None]]:
    """(file, account, workspace) of pictures that came in before a moment and were never put on, since something was
    cut off in between; none that is still on its way.
    """
    statement = (
        select(StoredFile.id, StoredFile.account_id, StoredFile.workspace_id)
        .where(
            StoredFile.file_type.in_(WORN),
            StoredFile.public_token.is_(None),
            StoredFile.deleted_at.is_(None),
            StoredFile.status == UploadStatus.COMPLETED.value,
            StoredFile.created_at < before,
            ~exists().where(UploadSession.file_id == StoredFile.id, UploadSession.state.in_(("OPEN", "FINISHING"))),
        )
        .order_by(StoredFile.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(StoredFile.id > after)
    return [(row[0], row[1], row[2]) for row in await session.execute(statement)]


# --- sizes ---------------------------------------------------------------------------------------------------------


async def rendition(session: AsyncSession, object_id: UUID, size: int) -> ObjectRendition | None:
    return await session.get(ObjectRendition, (object_id, size), populate_existing=True)


async def keep_rendition(session: AsyncSession, values: dict[str, object]) -> ObjectRendition | None:
    """The row of one size, whoever wrote it first; None when the object has gone meanwhile."""
    object_id, size = values["object_id"], values["size"]
    lives = select(StoredObject.id).where(StoredObject.id == object_id).with_for_update(read=True, key_share=True)
    if await session.scalar(lives) is None:
        return None
    await session.execute(
        insert(ObjectRendition)
        .values(values)
        .on_conflict_do_nothing(index_elements=[ObjectRendition.object_id, ObjectRendition.size])
    )
    return await session.get(ObjectRendition, (object_id, size), populate_existing=True)


async def measure(session: AsyncSession, object_id: UUID, width: int, height: int) -> None:
    """Write down how large a picture is, once."""
    found = await session.scalar(
        select(StoredObject).where(StoredObject.id == object_id).with_for_update(key_share=True)
    )
    if found is not None and found.width is None:
        found.width, found.height = width, height
