"""Queries of what is over: uploads, files, links, and bytes that are to go."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    any_,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    union,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pm_api.domains.storage.enums import FileType, SessionState, UploadStatus
from pm_api.domains.storage.models import (
    DoomedObject,
    FileLink,
    ObjectRendition,
    StorageUsage,
    StoredFile,
    StoredObject,
    UploadSession,
)
from pm_api.entitlements.enums import AccountType

UNDER_WAY = (SessionState.OPEN.value, SessionState.FINISHING.value)
GOES_WITH_PERSON = (
    FileType.TEMPORARY_UPLOAD.value,
    FileType.MESSAGE_ATTACHMENT.value,
    FileType.BUG_SCREENSHOT.value,
)


class Expired(NamedTuple):
    """An upload whose time is over."""

    expires_at: datetime
    upload_id: UUID
    account_id: UUID
    account_kind: str


class Due(NamedTuple):
    """A file whose time is over, and for what account it counts."""

    due_at: datetime
    file_id: UUID
    account_id: UUID
    account_kind: str


class Doomed(NamedTuple):
    """Bytes that are to go; a key with a slash at its end is all that lies under it."""

    due_at: datetime
    key: str
    multipart_id: str | None
    attempts: int


def _among(ids: Collection[UUID]) -> ColumnElement[Any]:
    return any_(literal(list(ids), ARRAY(Uuid())))


# --- uploads -------------------------------------------------------------------------------------------------------


async def expired_uploads(
    session: AsyncSession, now: datetime, grace: timedelta, after: Expired | None, *, limit: int
) -> Sequence[Expired]:
    """Those that wait for bytes and had until now; those that are being finished so much later."""
    statement = select(
        UploadSession.expires_at, UploadSession.id, UploadSession.account_id, UploadSession.account_kind
    ).where(
        UploadSession.state.in_(UNDER_WAY),
        UploadSession.expires_at <= now,
        or_(UploadSession.state == SessionState.OPEN.value, UploadSession.expires_at <= now - grace),
    )
    if after is not None:
        statement = statement.where(
            tuple_(UploadSession.expires_at, UploadSession.id) > (after.expires_at, after.upload_id)
        )
    rows = await session.execute(statement.order_by(UploadSession.expires_at, UploadSession.id).limit(limit))
    return [Expired(*row) for row in rows]


async def uploads_under_way(
    session: AsyncSession,
    *,
    file_ids: Collection[UUID] | None = None,
    account_id: UUID | None = None,
    user_id: UUID | None = None,
    limit: int,
) -> Sequence[UploadSession]:
    """Of some files, of an account, or of a person anywhere."""
    statement = select(UploadSession).where(UploadSession.state.in_(UNDER_WAY))
    if file_ids is not None:
        statement = statement.where(UploadSession.file_id == _among(file_ids))
    if account_id is not None:
        statement = statement.where(UploadSession.account_id == account_id)
    if user_id is not None:
        statement = statement.where(UploadSession.user_id == user_id)
    rows = await session.scalars(
        statement.order_by(UploadSession.id).limit(limit).execution_options(populate_existing=True)
    )
    return rows.all()


async def forget_uploads(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Uploads that ended long ago, with the files that never came of them; how many. The files go first: whoever
    removes a file holds it, and then its uploads.
    """
    ids = await session.scalars(
        select(UploadSession.id)
        .where(UploadSession.ended_at <= before)
        .order_by(UploadSession.ended_at, UploadSession.id)
        .limit(limit)
    )
    ended = ids.all()
    if not ended:
        return 0
    never_came = (
        select(UploadSession.file_id)
        .where(UploadSession.id == _among(ended), UploadSession.is_new_version.is_(False))
        .scalar_subquery()
    )
    await session.execute(
        delete(StoredFile)
        .where(
            StoredFile.id.in_(never_came),
            StoredFile.version_number == 0,
            StoredFile.status == UploadStatus.FAILED.value,
        )
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        delete(UploadSession).where(UploadSession.id == _among(ended)).execution_options(synchronize_session=False)
    )
    return len(ended)


async def multiparts_under_way(session: AsyncSession) -> set[str]:
    """What uploads that are under way, and bytes that are to go, know of at the store."""
    rows = await session.scalars(
        union(
            select(UploadSession.multipart_id).where(
                UploadSession.state.in_(UNDER_WAY), UploadSession.multipart_id.is_not(None)
            ),
            select(DoomedObject.multipart_id).where(DoomedObject.multipart_id.is_not(None)),
        )
    )
    return {one for one in rows if one is not None}


# --- files ---------------------------------------------------------------------------------------------------------


def _is_in_use() -> ColumnElement[bool]:
    """Whether bytes are still on their way to a file."""
    return (
        exists()
        .where(UploadSession.file_id == StoredFile.id, UploadSession.state.in_(UNDER_WAY))
        .correlate(StoredFile.__table__)
    )


def _is_expired(now: datetime) -> ColumnElement[bool]:
    return and_(StoredFile.expires_at <= now, StoredFile.is_temporary, ~_is_in_use())


def _is_over(now: datetime) -> ColumnElement[bool]:
    """Its days in the trash are over, or nobody has claimed it in time."""
    return or_(StoredFile.purge_at <= now, _is_expired(now))


def _due(condition: ColumnElement[bool], due_at: ColumnElement[datetime]) -> Select[Any]:
    kind = case((StoredFile.workspace_id.is_(None), AccountType.USER.value), else_=AccountType.WORKSPACE.value)
    return select(due_at, StoredFile.id, StoredFile.account_id, kind).where(condition)


async def files_to_purge(session: AsyncSession, now: datetime, after: Due | None, limit: int) -> Sequence[Due]:
    """Those in the trash whose time there is over."""
    statement = _due(StoredFile.purge_at <= now, StoredFile.purge_at)  # type: ignore[arg-type]  # not null here
    return await _page(session, statement, StoredFile.purge_at, after, limit)  # type: ignore[arg-type]


async def files_expired(session: AsyncSession, now: datetime, after: Due | None, limit: int) -> Sequence[Due]:
    """Temporary ones that nobody has claimed in time."""
    statement = _due(_is_expired(now), StoredFile.expires_at)  # type: ignore[arg-type]
    return await _page(session, statement, StoredFile.expires_at, after, limit)  # type: ignore[arg-type]


async def _page(
    session: AsyncSession, statement: Select[Any], due_at: ColumnElement[datetime], after: Due | None, limit: int
) -> Sequence[Due]:
    if after is not None:
        statement = statement.where(tuple_(due_at, StoredFile.id) > (after.due_at, after.file_id))
    rows = await session.execute(statement.order_by(due_at, StoredFile.id).limit(limit))
    return [Due(*row) for row in rows]


async def still_over(session: AsyncSession, file_ids: Collection[UUID], now: datetime) -> Sequence[UUID]:
    """Those of the files whose time is over, held, by id; not what was restored or claimed meanwhile."""
    await session.execute(
        select(StoredFile.id).where(StoredFile.id == _among(file_ids)).order_by(StoredFile.id).with_for_update()
    )
    rows = await session.scalars(
        select(StoredFile.id).where(StoredFile.id == _among(file_ids), _is_over(now)).order_by(StoredFile.id)
    )
    return rows.all()


async def lock_files(session: AsyncSession, account_id: UUID, file_ids: Collection[UUID]) -> Sequence[StoredFile]:
    """Those of an account, held, by id."""
    rows = await session.scalars(
        select(StoredFile)
        .where(StoredFile.id == _among(file_ids), StoredFile.account_id == account_id)
        .order_by(StoredFile.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def files_of(session: AsyncSession, account_id: UUID, *, limit: int) -> Sequence[UUID]:
    """Some files of an account, the oldest first."""
    rows = await session.scalars(
        select(StoredFile.id).where(StoredFile.account_id == account_id).order_by(StoredFile.id).limit(limit)
    )
    return rows.all()


async def unplaced_of(session: AsyncSession, user_id: UUID, *, limit: int) -> Sequence[Due]:
    """Files of workspaces that nobody but this person has ever seen, and those that were part of what they said."""
    statement = _due(
        and_(
            StoredFile.user_id == user_id,
            StoredFile.workspace_id.is_not(None),
            or_(
                StoredFile.file_type.in_(GOES_WITH_PERSON),
                StoredFile.status.in_((UploadStatus.UPLOADING.value, UploadStatus.FAILED.value)),
            ),
        ),
        StoredFile.created_at.expression,
    )
    rows = await session.execute(statement.order_by(StoredFile.id).limit(limit))
    return [Due(*row) for row in rows]


class Own(NamedTuple):
    """A file of a person's own, and where its bytes are."""

    file_id: UUID
    original_name: str
    size_bytes: int
    key: str
    scan_state: str


async def own_of(session: AsyncSession, user_id: UUID, after: UUID | None, *, limit: int) -> Sequence[Own]:
    """What is served of somebody's own files, by id."""
    statement = (
        select(
            StoredFile.id, StoredFile.original_name, StoredFile.size_bytes, StoredObject.key, StoredObject.scan_state
        )
        .join(StoredObject, StoredObject.id == StoredFile.object_id)
        .where(
            StoredFile.account_id == user_id,
            StoredFile.workspace_id.is_(None),
            StoredFile.status == UploadStatus.COMPLETED.value,
            StoredFile.purge_at.is_(None),
        )
    )
    if after is not None:
        statement = statement.where(StoredFile.id > after)
    return [Own(*row) for row in await session.execute(statement.order_by(StoredFile.id).limit(limit))]


async def count_placed(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> int:
    """Files somebody has put into a workspace's tasks and projects, without what is in the trash."""
    found: int | None = await session.scalar(
        select(func.count()).where(
            StoredFile.workspace_id == workspace_id,
            StoredFile.user_id == user_id,
            StoredFile.scope_id.is_not(None),
            StoredFile.status == UploadStatus.COMPLETED.value,
            StoredFile.deleted_at.is_(None),
        )
    )
    return found or 0


async def forget_links(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Links that expired long ago."""
    ids = select(FileLink.id).where(FileLink.expires_at <= before).order_by(FileLink.expires_at).limit(limit)
    gone = await session.scalars(
        delete(FileLink)
        .where(FileLink.id.in_(ids))
        .returning(FileLink.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


async def forget_links_of(session: AsyncSession, user_id: UUID) -> None:
    """All that somebody has given out: they open nothing from now on."""
    await session.execute(
        delete(FileLink).where(FileLink.created_by_user_id == user_id).execution_options(synchronize_session=False)
    )


async def close_account(session: AsyncSession, account_id: UUID) -> bool:
    """Remove an account's counters, once there is nothing to count; whether there was nothing."""
    gone = await session.scalar(
        delete(StorageUsage)
        .where(
            StorageUsage.account_id == account_id,
            StorageUsage.total_used == 0,
            StorageUsage.reserved == 0,
        )
        .returning(StorageUsage.account_id)
        .execution_options(synchronize_session=False)
    )
    return gone is not None


# --- bytes that are to go ------------------------------------------------------------------------------------------


async def doomed(session: AsyncSession, now: datetime, after: Doomed | None, *, limit: int) -> Sequence[Doomed]:
    statement = select(DoomedObject.due_at, DoomedObject.key, DoomedObject.multipart_id, DoomedObject.attempts).where(
        DoomedObject.due_at <= now
    )
    if after is not None:
        statement = statement.where(tuple_(DoomedObject.due_at, DoomedObject.key) > (after.due_at, after.key))
    rows = await session.execute(statement.order_by(DoomedObject.due_at, DoomedObject.key).limit(limit))
    return [Doomed(*row) for row in rows]


async def in_use(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of the keys that a row says bytes are kept under."""
    rows = await session.scalars(
        union_all(
            select(StoredObject.key).where(StoredObject.key.in_(keys)),
            select(ObjectRendition.key).where(ObjectRendition.key.in_(keys)),
        )
    )
    return set(rows)


async def forget_doomed(session: AsyncSession, keys: Collection[str]) -> None:
    """Their bytes are gone."""
    await session.execute(
        delete(DoomedObject).where(DoomedObject.key.in_(keys)).execution_options(synchronize_session=False)
    )


async def put_off(session: AsyncSession, keys: Collection[str], until: datetime) -> None:
    """The store did not take them away."""
    await session.execute(
        update(DoomedObject)
        .where(DoomedObject.key.in_(keys))
        .values(due_at=until, attempts=DoomedObject.attempts + 1)
        .execution_options(synchronize_session=False)
    )
