"""Queries of what lies in the store, and of who refers to it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Result, and_, delete, func, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.models import DoomedObject, FileVersion, ObjectRendition, StoredFile, StoredObject


@dataclass(frozen=True, slots=True)
class Use:
    """One file's or version's use of an object."""

    object_id: UUID
    file_type: str
    is_trashed: bool
    is_old: bool


async def insert_object(session: AsyncSession, values: dict[str, object]) -> StoredObject | None:
    """None when the account has this content already; waits for whoever is adding or removing it."""
    return await session.scalar(
        insert(StoredObject)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[StoredObject.account_id, StoredObject.sha256])
        .returning(StoredObject)
    )


async def lock_content(session: AsyncSession, account_id: UUID, sha256: bytes) -> StoredObject | None:
    return await session.scalar(
        select(StoredObject)
        .where(StoredObject.account_id == account_id, StoredObject.sha256 == sha256)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def accounts_of(session: AsyncSession, object_ids: Collection[UUID]) -> list[tuple[str, UUID]]:
    """(kind, id) of whose objects these are, sorted by id."""
    found = await session.execute(
        select(StoredObject.account_kind, StoredObject.account_id)
        .where(StoredObject.id.in_(object_ids))
        .distinct()
        .order_by(StoredObject.account_id)
    )
    return [(kind, account_id) for kind, account_id in found]


async def lock_objects(session: AsyncSession, object_ids: Collection[UUID]) -> Sequence[StoredObject]:
    """Held, sorted by id."""
    found = await session.scalars(
        select(StoredObject)
        .where(StoredObject.id.in_(object_ids))
        .order_by(StoredObject.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


async def uses_of(session: AsyncSession, object_ids: Collection[UUID]) -> list[Use]:
    """Who refers to these objects, as it is after this transaction's own changes. What is in the trash is so with all
    its versions.
    """
    current = select(
        StoredFile.object_id.label("object_id"),
        StoredFile.file_type,
        StoredFile.deleted_at.is_not(None).label("is_trashed"),
        literal(value=False).label("is_old"),
    ).where(StoredFile.object_id.in_(object_ids))
    old = (
        select(
            FileVersion.object_id.label("object_id"),
            StoredFile.file_type,
            StoredFile.deleted_at.is_not(None).label("is_trashed"),
            literal(value=True).label("is_old"),
        )
        .join(StoredFile, StoredFile.id == FileVersion.file_id)
        .where(
            FileVersion.object_id.in_(object_ids),
            and_(FileVersion.number != StoredFile.version_number),
        )
    )
    found: Result[Any] = await session.execute(union_all(current, old))
    return [Use(one.object_id, one.file_type, one.is_trashed, one.is_old) for one in found]


async def last_number(session: AsyncSession, file_id: UUID) -> int:
    """The highest that a version of the file has, 0 without any."""
    found: int | None = await session.scalar(
        select(func.max(FileVersion.number)).where(FileVersion.file_id == file_id)
    )
    return found or 0


async def doubt(session: AsyncSession, key: str, now: datetime) -> bool:
    """Write down that an object's bytes are not all there. False where no row says any more that they should be."""
    found = await session.scalar(select(StoredObject.id).where(StoredObject.key == key))
    if found is None:
        return False
    await session.execute(
        update(StoredObject)
        .where(StoredObject.id == found, StoredObject.key == key, StoredObject.doubted_at.is_(None))
        .values(doubted_at=now)
        .execution_options(synchronize_session=False)
    )
    return True


async def rendition_keys(session: AsyncSession, object_ids: Collection[UUID]) -> list[str]:
    found = await session.scalars(select(ObjectRendition.key).where(ObjectRendition.object_id.in_(object_ids)))
    return [*found]


async def remove_objects(session: AsyncSession, object_ids: Collection[UUID]) -> None:
    """Nothing refers to them; their renditions' rows go with them."""
    await session.execute(delete(StoredObject).where(StoredObject.id.in_(object_ids)))


async def doom(session: AsyncSession, rows: Iterable[dict[str, object]]) -> None:
    """What is doomed already stays so."""
    values = [*rows]
    if values:
        await session.execute(
            insert(DoomedObject).values(values).on_conflict_do_nothing(index_elements=[DoomedObject.key])
        )


async def hasten(session: AsyncSession, account_id: UUID, reason: str, due_at: datetime) -> None:
    """What of an account is doomed for this reason goes at that time, if it would go later."""
    await session.execute(
        update(DoomedObject)
        .where(DoomedObject.account_id == account_id, DoomedObject.reason == reason, DoomedObject.due_at > due_at)
        .values(due_at=due_at)
        .execution_options(synchronize_session=False)
    )


async def key_in_use(session: AsyncSession, key: str) -> bool:
    """Whether an object lies under this key by its row."""
    return await session.scalar(select(StoredObject.id).where(StoredObject.key == key)) is not None


def doomed(
    key: str, reason: str, due_at: datetime, now: datetime, account_id: UUID | None, multipart_id: str | None
) -> dict[str, object]:
    return {
        "key": key,
        "account_id": account_id,
        "reason": reason,
        "multipart_id": multipart_id,
        "due_at": due_at,
        "created_at": now,
    }
