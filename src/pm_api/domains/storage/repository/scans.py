"""Queries of what is to be scanned, and of whom a finding concerns."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, literal_column, not_, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.enums import ScanState
from pm_api.domains.storage.models import DoomedObject, FileVersion, ObjectRendition, StoredFile, StoredObject
from pm_api.identity.models.people import Member, User, Workspace
from pm_api.identity.permissions import Role

MANAGING: Final = (Role.OWNER.value, Role.ADMIN.value)
MOST_TOLD: Final = 100
MOST_FILES: Final = 1000


class Claimed(NamedTuple):
    """An object whose turn it is, and how often it was tried since the last verdict."""

    object_id: UUID
    key: str
    size_bytes: int
    state: str
    attempts: int
    sha256: bytes


class Due(NamedTuple):
    """A place in the order of what is due."""

    scan_due_at: datetime
    object_id: UUID
    account_id: UUID


class Concerned(NamedTuple):
    """Somebody who uploaded what an object holds, and as which file."""

    file_id: UUID
    original_name: str
    user_id: UUID
    workspace_id: UUID | None


async def claim(session: AsyncSession, object_id: UUID, now: datetime, until: datetime) -> Claimed | None:
    """Take an object's turn, for so long; None when it is not its turn, or it is gone."""
    found = await session.execute(
        update(StoredObject)
        .where(StoredObject.id == object_id, StoredObject.scan_due_at <= now)
        .values(scan_due_at=until, scan_attempts=StoredObject.scan_attempts + 1)
        .returning(
            StoredObject.id,
            StoredObject.key,
            StoredObject.size_bytes,
            StoredObject.scan_state,
            StoredObject.scan_attempts,
            StoredObject.sha256,
        )
        .execution_options(synchronize_session=False)
    )
    row = found.one_or_none()
    return Claimed(*row) if row is not None else None


async def postpone(session: AsyncSession, object_id: UUID, until: datetime) -> None:
    await session.execute(
        update(StoredObject)
        .where(StoredObject.id == object_id, StoredObject.scan_due_at.is_not(None))
        .values(scan_due_at=until)
        .execution_options(synchronize_session=False)
    )


async def due(
    session: AsyncSession, now: datetime, after: Due | None, limit: int, *, is_waiting: bool
) -> Sequence[Due]:
    """Whose turn it is, the longest due first: of those that wait for their first verdict, or of all others."""
    # As literal text, so that the planner knows the index of the waiting alone.
    pending = StoredObject.scan_state == literal_column(f"'{ScanState.PENDING.value}'")
    statement = (
        select(StoredObject.scan_due_at, StoredObject.id, StoredObject.account_id)
        .where(StoredObject.scan_due_at <= now, pending if is_waiting else not_(pending))
        .order_by(StoredObject.scan_due_at, StoredObject.id)
        .limit(limit)
    )
    if after is not None:
        place = tuple_(StoredObject.scan_due_at, StoredObject.id)
        statement = statement.where(place > tuple_(after.scan_due_at, after.object_id))
    found = await session.execute(statement)
    return [Due(due_at, object_id, account_id) for due_at, object_id, account_id in found if due_at is not None]


async def account_of(session: AsyncSession, object_id: UUID) -> tuple[str, UUID] | None:
    """(kind, id) of whose object it is."""
    found = await session.execute(
        select(StoredObject.account_kind, StoredObject.account_id).where(StoredObject.id == object_id)
    )
    row = found.one_or_none()
    return (row[0], row[1]) if row is not None else None


async def lock_files_of(session: AsyncSession, object_id: UUID) -> Sequence[StoredFile]:
    """The files that hold or held this content, or wait for it, held, sorted by id. The account's counters are held
    before.
    """
    has_it = select(FileVersion.file_id).where(FileVersion.object_id == object_id)
    found = await session.scalars(
        select(StoredFile)
        .where(or_(StoredFile.object_id == object_id, StoredFile.id.in_(has_it)))
        .order_by(StoredFile.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


async def newest_with(session: AsyncSession, object_id: UUID) -> dict[UUID, FileVersion]:
    """By file, the newest of its versions with this content."""
    found = await session.scalars(
        select(FileVersion).where(FileVersion.object_id == object_id).order_by(FileVersion.number)
    )
    return {one.file_id: one for one in found}


async def lock_object(session: AsyncSession, object_id: UUID) -> StoredObject | None:
    return await session.scalar(
        select(StoredObject)
        .where(StoredObject.id == object_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def concerned(session: AsyncSession, object_id: UUID) -> list[Concerned]:
    """Who brought this content in, now or in an older version of a file: each file once, its newest version of it."""
    found = await session.execute(
        select(StoredFile.id, FileVersion.original_name, FileVersion.uploaded_by_user_id, StoredFile.workspace_id)
        .join(StoredFile, StoredFile.id == FileVersion.file_id)
        .where(FileVersion.object_id == object_id)
        .order_by(StoredFile.id, FileVersion.number.desc())
        .ext(distinct_on(StoredFile.id))
        .limit(MOST_FILES)
    )
    return [Concerned(*row) for row in found]


async def admins(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """Some of those who administer a living workspace: the first who did."""
    found = await session.scalars(
        select(Member.user_id)
        .join(Workspace, Workspace.id == Member.workspace_id)
        .where(Member.workspace_id == workspace_id, Member.role.in_(MANAGING), Workspace.deleted_at.is_(None))
        .order_by(Member.id)
        .limit(MOST_TOLD)
    )
    return [*found]


async def names(session: AsyncSession, user_ids: Collection[UUID]) -> list[str]:
    found = await session.scalars(select(User.name).where(User.id.in_(user_ids)).order_by(User.name).limit(MOST_TOLD))
    return [*found]


async def forget_renditions(session: AsyncSession, object_id: UUID) -> list[str]:
    """The keys of its smaller pictures, whose rows go."""
    found = await session.scalars(
        delete(ObjectRendition).where(ObjectRendition.object_id == object_id).returning(ObjectRendition.key)
    )
    return [*found]


async def spare(session: AsyncSession, key: str) -> bool:
    """Take a key off the list of the doomed; False when its bytes have gone already."""
    found = await session.scalar(delete(DoomedObject).where(DoomedObject.key == key).returning(DoomedObject.key))
    return found is not None


async def waiting(session: AsyncSession) -> int:
    """How many objects wait for a verdict."""
    found: int | None = await session.scalar(
        select(func.count()).select_from(StoredObject).where(StoredObject.scan_state == ScanState.PENDING.value)
    )
    return found or 0
