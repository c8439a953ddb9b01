"""Queries of the two comparisons: of rows with what lies in the store, and of counters with what they count."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, any_, case, func, literal, null, select, union, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import CTE, ScalarSelect
from sqlalchemy.types import String, Uuid

from pm_api.domains.storage.enums import CHARGED_AS, Charge, SessionState, UploadStatus
from pm_api.domains.storage.models import (
    DoomedObject,
    FileVersion,
    ObjectRendition,
    StorageUsage,
    StoredFile,
    StoredObject,
    UploadSession,
)
from pm_api.domains.storage.repository.books import COLUMN_OF

CHARGES: Final = tuple(Charge)
RANK: Final = {charge: rank for rank, charge in enumerate(CHARGES)}
UNDER_WAY: Final = (SessionState.OPEN.value, SessionState.FINISHING.value)


class KnownObject(NamedTuple):
    """What a row says lies in the store."""

    id: UUID
    key: str
    size_bytes: int
    account_id: UUID
    account_kind: str
    sha256: bytes
    doubted_at: datetime | None


_KNOWN: Final = (
    *(StoredObject.id, StoredObject.key, StoredObject.size_bytes, StoredObject.account_id),
    *(StoredObject.account_kind, StoredObject.sha256, StoredObject.doubted_at),
)


class Counted(NamedTuple):
    """An account that has counters, objects or uploads under way."""

    account_id: UUID
    account_kind: str


class Sums(NamedTuple):
    """An account's counters beside the same added up from rows, all of one moment. `counted` is None where it has no
    counters; `misfiled` objects say of themselves that they are counted under something else.
    """

    counted: dict[str, int] | None
    expected: dict[str, int]
    misfiled: int


# --- rows and store ------------------------------------------------------------------------------------------------


async def known_keys(
    session: AsyncSession, keys: Collection[str], upload_ids: Collection[UUID], folders: Collection[str]
) -> tuple[set[str], set[UUID]]:
    """Which of the keys some row accounts for, and which of the uploads are under way: in one statement, so that an
    upload which is finished at this moment is seen before or after it, never between. `folders` are those the keys of
    chunks lie in.
    """
    wanted = any_(literal(list(keys), ARRAY(String())))
    live = select(UploadSession.id, UploadSession.key, UploadSession.incoming_key).where(
        UploadSession.state.in_(UNDER_WAY)
    )
    under_way = live.cte("under_way").prefix_with("MATERIALIZED")
    no_id = null().cast(Uuid())
    doomed = any_(literal([*keys, *folders], ARRAY(String())))
    rows = await session.execute(
        union_all(
            select(StoredObject.key, no_id).where(StoredObject.key == wanted),
            select(ObjectRendition.key, no_id).where(ObjectRendition.key == wanted),
            select(DoomedObject.key, no_id).where(DoomedObject.key == doomed),
            select(under_way.c.key, no_id).where(under_way.c.key == wanted),
            select(under_way.c.incoming_key, no_id).where(under_way.c.incoming_key == wanted),
            select(null().cast(String()), under_way.c.id).where(
                under_way.c.id == any_(literal(list(upload_ids), ARRAY(Uuid())))
            ),
        )
    )
    found = rows.all()
    return {key for key, _ in found if key is not None}, {one for _, one in found if one is not None}


async def objects_after(session: AsyncSession, after: UUID | None, *, limit: int) -> Sequence[KnownObject]:
    statement = select(*_KNOWN)
    if after is not None:
        statement = statement.where(StoredObject.id > after)
    rows = await session.execute(statement.order_by(StoredObject.id).limit(limit))
    return [KnownObject(*row) for row in rows]


async def some_doubted(session: AsyncSession, *, limit: int) -> Sequence[KnownObject]:
    """Any of those that somebody was refused, others each time."""
    doubted = select(*_KNOWN).where(StoredObject.doubted_at.is_not(None))
    rows = await session.execute(doubted.order_by(func.random()).limit(limit))
    return [KnownObject(*row) for row in rows]


async def is_still_there(session: AsyncSession, known: KnownObject) -> bool:
    """Whether the row still says that these bytes are there."""
    found = await session.scalar(
        select(StoredObject.id).where(StoredObject.id == known.id, StoredObject.key == known.key)
    )
    return found is not None


async def trust(session: AsyncSession, known: KnownObject) -> None:
    """Its bytes were found whole: nothing is said against them any more, unless they have changed places since."""
    await session.execute(
        update(StoredObject)
        .where(StoredObject.id == known.id, StoredObject.key == known.key)
        .values(doubted_at=None)
        .execution_options(synchronize_session=False)
    )


async def files_on(session: AsyncSession, object_id: UUID) -> Sequence[StoredFile]:
    """Files that refer to an object now or did in an older version, held, by id."""
    ids = union(
        select(StoredFile.id).where(StoredFile.object_id == object_id),
        select(FileVersion.file_id).where(FileVersion.object_id == object_id),
    )
    rows = await session.scalars(
        select(StoredFile)
        .where(StoredFile.id.in_(ids))
        .order_by(StoredFile.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def versions_on(session: AsyncSession, object_id: UUID) -> Sequence[FileVersion]:
    rows = await session.scalars(select(FileVersion).where(FileVersion.object_id == object_id))
    return rows.all()


# --- counters and rows ---------------------------------------------------------------------------------------------


async def accounts_after(session: AsyncSession, after: UUID | None, *, limit: int) -> Sequence[Counted]:
    """All accounts there is something to count for, by id."""
    parts = []
    for table in (StorageUsage, StoredObject):
        part = select(table.account_id, table.account_kind).distinct()
        parts.append(part if after is None else part.where(table.account_id > after))
    uploads = select(UploadSession.account_id, UploadSession.account_kind).where(UploadSession.state.in_(UNDER_WAY))
    parts.append(uploads if after is None else uploads.where(UploadSession.account_id > after))
    every = union(*parts).subquery()
    rows = await session.execute(
        select(every.c.account_id, every.c.account_kind).order_by(every.c.account_id).limit(limit)
    )
    return [Counted(*row) for row in rows]


def _best_uses(account_id: UUID) -> CTE:
    """The best use of each object of an account that anything refers to, by its rank."""
    live = case(
        *(
            (StoredFile.file_type == file_type.value, literal(RANK[charge], Integer()))
            for file_type, charge in CHARGED_AS.items()
        ),
        else_=literal(RANK[Charge.TRASH], Integer()),
    )
    trashed = (StoredFile.deleted_at.is_not(None), literal(RANK[Charge.TRASH], Integer()))
    current = select(StoredFile.object_id, case(trashed, else_=live).label("rank")).where(
        StoredFile.account_id == account_id, StoredFile.object_id.is_not(None)
    )
    old = (
        select(
            FileVersion.object_id, case(trashed, else_=literal(RANK[Charge.OLD_VERSIONS], Integer())).label("rank")
        )
        .join(StoredFile, StoredFile.id == FileVersion.file_id)
        .where(StoredFile.account_id == account_id, FileVersion.number != StoredFile.version_number)
    )
    uses = union_all(current, old).subquery("uses")
    return select(uses.c.object_id, func.min(uses.c.rank).label("rank")).group_by(uses.c.object_id).cte("best_uses")


def _reserved(account_id: UUID) -> ScalarSelect[int]:
    return (
        select(func.coalesce(func.sum(UploadSession.reserved_bytes), 0))
        .where(UploadSession.account_id == account_id)
        .scalar_subquery()
    )


async def sums(session: AsyncSession, account_id: UUID) -> Sums:
    """One statement, so that all of it is of one moment."""
    best = _best_uses(account_id)
    charge_name = case(
        *((best.c.rank == rank, literal(charge.value)) for charge, rank in RANK.items()), else_=null().cast(String())
    )
    by_rank = (
        select(
            best.c.rank,
            func.sum(StoredObject.size_bytes).label("size_bytes"),
            func.count().filter(StoredObject.charged_as.is_distinct_from(charge_name)).label("misfiled"),
        )
        .select_from(StoredObject)
        .outerjoin(best, best.c.object_id == StoredObject.id)
        .where(StoredObject.account_id == account_id)
        .group_by(best.c.rank)
        .subquery("by_rank")
    )
    counters = [getattr(StorageUsage, name) for name in (*COLUMN_OF.values(), "reserved", "total_used")]
    there = select(StorageUsage.account_id, *counters).where(StorageUsage.account_id == account_id).subquery("there")
    one = select(literal(1).label("one")).subquery("one")
    rows = await session.execute(
        select(by_rank.c.rank, by_rank.c.size_bytes, by_rank.c.misfiled, _reserved(account_id), there)
        .select_from(one)
        .outerjoin(there, literal(value=True))
        .outerjoin(by_rank, literal(value=True))
    )
    found = rows.all()
    expected = dict.fromkeys(COLUMN_OF.values(), 0)
    misfiled = 0
    for rank, size_bytes, astray, *_ in found:
        misfiled += astray or 0
        if rank is not None:
            expected[COLUMN_OF[CHARGES[rank]]] = int(size_bytes)
    reserved, account, *figures = found[0][3:]
    expected["total_used"] = sum(expected.values())
    expected["reserved"] = int(reserved)
    counted = None
    if account is not None:
        counted = dict(zip((*COLUMN_OF.values(), "reserved", "total_used"), figures, strict=True))
    return Sums(counted, expected, misfiled)


async def set_counters(session: AsyncSession, account_id: UUID, expected: dict[str, int], now: datetime) -> None:
    await session.execute(
        update(StorageUsage)
        .where(StorageUsage.account_id == account_id)
        .values(**expected, version=StorageUsage.version + 1, last_calculated_at=now, updated_at=now)
        .execution_options(synchronize_session=False)
    )


async def mark_calculated(session: AsyncSession, account_ids: Collection[UUID], now: datetime) -> None:
    """These were found right."""
    await session.execute(
        update(StorageUsage)
        .where(StorageUsage.account_id.in_(account_ids))
        .values(last_calculated_at=now)
        .execution_options(synchronize_session=False)
    )


async def refile(session: AsyncSession, account_id: UUID, now: datetime) -> None:
    """Have each object of an account say what it is counted under. The counters are held."""
    best = _best_uses(account_id)
    charge_name = case(
        *((best.c.rank == rank, literal(charge.value)) for charge, rank in RANK.items()), else_=null().cast(String())
    )
    right = (
        select(StoredObject.id, charge_name.label("charge"))
        .outerjoin(best, best.c.object_id == StoredObject.id)
        .where(StoredObject.account_id == account_id)
        .subquery("right_charges")
    )
    await session.execute(
        update(StoredObject)
        .where(StoredObject.id == right.c.id, StoredObject.charged_as.is_distinct_from(right.c.charge))
        .values(charged_as=right.c.charge, updated_at=now)
        .execution_options(synchronize_session=False)
    )


async def unused_objects(session: AsyncSession, account_id: UUID, *, limit: int) -> Sequence[UUID]:
    """Objects of an account that nothing refers to: whoever let go of them should have removed them."""
    rows = await session.scalars(
        select(StoredObject.id)
        .where(
            StoredObject.account_id == account_id,
            ~select(StoredFile.id).where(StoredFile.object_id == StoredObject.id).exists(),
            ~select(FileVersion.id).where(FileVersion.object_id == StoredObject.id).exists(),
        )
        .order_by(StoredObject.id)
        .limit(limit)
    )
    return rows.all()


def lose(file: StoredFile, now: datetime) -> None:
    """What a file held is gone: the row says so."""
    file.object_id = None
    file.status = UploadStatus.FAILED
    file.size_bytes = 0
    file.updated_at = now
    file.version += 1
