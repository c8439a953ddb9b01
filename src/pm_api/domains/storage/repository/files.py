"""Queries of files: what somebody sees, one by one and in lists."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, any_, delete, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.db import Base
from pm_api.domains.storage.enums import FileType, SessionState, UploadStatus
from pm_api.domains.storage.models import ObjectRendition, StoredFile, StoredObject, UploadSession
from pm_api.identity.models.people import User
from pm_api.identity.repository.people import scopes_seen, visible_scope

FOR_UPLOADER_ALONE: Final = (UploadStatus.UPLOADING.value, UploadStatus.FAILED.value)
"""What nobody else has ever seen."""
MOST_OF_ONE_TASK: Final = 200


class Person(NamedTuple):
    name: str
    avatar: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is of; None leaves a question open."""

    task_id: UUID | None = None
    project_id: UUID | None = None
    file_type: FileType | None = None
    status: UploadStatus | None = None
    is_trashed: bool = False
    words: str | None = None
    found: tuple[UUID, ...] | None = None
    """What the search says fits the words; None where it is not asked."""


# --- sight ---------------------------------------------------------------------------------------------------------


def _table(name: str) -> Table:
    """Of a slice above: what is deleted there is not seen here."""
    return Base.metadata.tables[name]


def _of_living_places() -> ColumnElement[bool]:
    """In no deleted task, message or project. An attachment of what is gone for good is nowhere."""
    tasks, projects, messages = _table("tasks"), _table("projects"), _table("messages")
    task_lives = (
        exists().where(tasks.c.id == StoredFile.task_id, tasks.c.deleted_at.is_(None)).correlate(StoredFile.__table__)
    )
    project_lives = (
        exists()
        .where(projects.c.id == StoredFile.project_id, projects.c.deleted_at.is_(None))
        .correlate(StoredFile.__table__)
    )
    message_lives = (
        exists()
        .where(messages.c.id == StoredFile.message_id, messages.c.deleted_at.is_(None))
        .correlate(StoredFile.__table__)
    )
    return and_(
        or_(StoredFile.file_type != FileType.TASK_ATTACHMENT.value, task_lives),
        or_(StoredFile.file_type != FileType.MESSAGE_ATTACHMENT.value, message_lives),
        or_(StoredFile.file_type != FileType.PROJECT_ASSET.value, project_lives),
        or_(StoredFile.project_id.is_(None), project_lives),
    )


def _unplaced(user_id: UUID) -> ColumnElement[bool]:
    """What no circle has: a logo is for all members, everything else its uploader's."""
    return and_(
        StoredFile.scope_id.is_(None),
        or_(StoredFile.user_id == user_id, StoredFile.file_type == FileType.WORKSPACE_LOGO.value),
    )


def _begun(user_id: UUID) -> ColumnElement[bool]:
    return or_(StoredFile.user_id == user_id, StoredFile.status.not_in(FOR_UPLOADER_ALONE))


def seen_by(user_id: UUID) -> ColumnElement[bool]:
    """For one file: whether somebody sees it who is a member of its workspace. The one predicate of files' sight."""
    return and_(
        or_(
            and_(StoredFile.workspace_id.is_(None), StoredFile.user_id == user_id),
            and_(StoredFile.workspace_id.is_not(None), _unplaced(user_id)),
            and_(
                StoredFile.workspace_id.is_not(None),
                StoredFile.scope_id.is_not(None),
                visible_scope(StoredFile.scope_id, user_id),
            ),
        ),
        _begun(user_id),
        _of_living_places(),
    )


def in_sight(scope: AccountScope) -> ColumnElement[bool]:
    """The same for lists over what counts for one account."""
    if not isinstance(scope, WorkspaceScope):
        return and_(StoredFile.workspace_id.is_(None), StoredFile.user_id == scope.user_id)
    return and_(
        StoredFile.workspace_id == scope.workspace_id,
        or_(
            _unplaced(scope.user_id),
            StoredFile.scope_id.in_(scopes_seen(scope.workspace_id, scope.user_id)),
        ),
        _begun(scope.user_id),
        _of_living_places(),
    )


# --- one by one ----------------------------------------------------------------------------------------------------


async def account_of_seen(session: AsyncSession, file_id: UUID, user_id: UUID) -> UUID | None:
    """For what a file counts, a workspace or its owner; None for what somebody does not see."""
    return await session.scalar(select(StoredFile.account_id).where(StoredFile.id == file_id, seen_by(user_id)))


async def file(session: AsyncSession, scope: AccountScope, file_id: UUID, *, lock: bool = False) -> StoredFile | None:
    """One that the caller sees, as committed now; with `lock` held until the transaction ends. Hold the account's
    counters before.
    """
    if lock:
        held = (StoredFile.id == file_id, StoredFile.account_id == _account_id(scope))
        await session.execute(select(StoredFile.id).where(*held).with_for_update())
    return await session.scalar(
        select(StoredFile)
        .where(StoredFile.id == file_id, StoredFile.account_id == _account_id(scope), seen_by(scope.user_id))
        .execution_options(populate_existing=True)
    )


async def seen_among(session: AsyncSession, user_id: UUID, ids: Collection[UUID]) -> Sequence[StoredFile]:
    """Those of the ids that somebody sees, whatever they count for, by id. Membership of their workspaces is asked
    apart.
    """
    rows = await session.scalars(
        select(StoredFile)
        .where(StoredFile.id == _among(ids), seen_by(user_id))
        .order_by(StoredFile.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


def _account_id(scope: AccountScope) -> UUID:
    return scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id


def _among(ids: Collection[UUID]) -> ColumnElement[Any]:
    return any_(literal(list(ids), ARRAY(Uuid())))


# --- lists ---------------------------------------------------------------------------------------------------------


async def page(
    session: AsyncSession, scope: AccountScope, wanted: Wanted, *, before: UUID | None, limit: int
) -> Sequence[StoredFile]:
    """Newest first."""
    statement = _filtered(select(StoredFile).where(in_sight(scope)), wanted)
    if before is not None:
        statement = statement.where(StoredFile.id < before)
    rows = await session.scalars(statement.order_by(StoredFile.id.desc()).limit(limit))
    return rows.all()


def _filtered(statement: Select[StoredFile], wanted: Wanted) -> Select[StoredFile]:
    if wanted.task_id is not None:
        statement = statement.where(StoredFile.task_id == wanted.task_id)
    if wanted.project_id is not None:
        statement = statement.where(StoredFile.project_id == wanted.project_id)
    if wanted.file_type is not None:
        statement = statement.where(StoredFile.file_type == wanted.file_type.value)
    if wanted.status is not None:
        statement = statement.where(StoredFile.status == wanted.status.value)
    trashed = StoredFile.purge_at.is_not(None) if wanted.is_trashed else StoredFile.purge_at.is_(None)
    statement = statement.where(trashed)
    if wanted.words is not None:
        named = func.lower(StoredFile.original_name).contains(wanted.words.lower(), autoescape=True)
        if wanted.found is not None:
            named = or_(StoredFile.id == _among(wanted.found), and_(StoredFile.scope_id.is_(None), named))
        statement = statement.where(named)
    return statement


async def of_tasks(
    session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID]
) -> dict[UUID, list[StoredFile]]:
    """The attachments of tasks that the caller sees, oldest first, without what is in the trash."""
    rows = await session.scalars(
        select(StoredFile)
        .where(
            StoredFile.task_id == _among(task_ids),
            StoredFile.workspace_id == scope.workspace_id,
            StoredFile.file_type == FileType.TASK_ATTACHMENT.value,
            StoredFile.purge_at.is_(None),
            seen_by(scope.user_id),
        )
        .order_by(StoredFile.task_id, StoredFile.id)
        .limit(MOST_OF_ONE_TASK * max(len(task_ids), 1))
        .execution_options(populate_existing=True)
    )
    found: dict[UUID, list[StoredFile]] = {}
    for row in rows:
        assert row.task_id is not None
        found.setdefault(row.task_id, []).append(row)
    return found


async def on_messages(session: AsyncSession, message_ids: Collection[UUID]) -> dict[UUID, list[StoredFile]]:
    """The attachments of messages that the caller was found to see, oldest first, without what is in the trash."""
    rows = await session.scalars(
        select(StoredFile)
        .where(
            StoredFile.message_id == _among(message_ids),
            StoredFile.file_type == FileType.MESSAGE_ATTACHMENT.value,
            StoredFile.purge_at.is_(None),
        )
        .order_by(StoredFile.message_id, StoredFile.id)
        .execution_options(populate_existing=True)
    )
    found: dict[UUID, list[StoredFile]] = {}
    for row in rows:
        assert row.message_id is not None
        found.setdefault(row.message_id, []).append(row)
    return found


async def has_any_of_message(session: AsyncSession, message_id: UUID) -> bool:
    """Those in the trash too."""
    return bool(await session.scalar(select(exists().where(StoredFile.message_id == message_id))))


async def lock_of_message(session: AsyncSession, message_id: UUID) -> Sequence[StoredFile]:
    """All of a message's files, held, by id. Hold the account's counters before."""
    rows = await session.scalars(
        select(StoredFile)
        .where(StoredFile.message_id == message_id)
        .order_by(StoredFile.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def screenshots_among(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, StoredFile]:
    """Those of the ids that are screenshots of bug reports still, and not in the trash."""
    rows = await session.scalars(
        select(StoredFile)
        .where(
            StoredFile.id == _among(ids),
            StoredFile.file_type == FileType.BUG_SCREENSHOT.value,
            StoredFile.purge_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )
    return {one.id: one for one in rows}


# --- what stands beside them ---------------------------------------------------------------------------------------


async def objects(session: AsyncSession, object_ids: Collection[UUID]) -> dict[UUID, StoredObject]:
    if not object_ids:
        return {}
    rows = await session.scalars(
        select(StoredObject).where(StoredObject.id == _among(object_ids)).execution_options(populate_existing=True)
    )
    return {one.id: one for one in rows}


async def people(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, Person]:
    rows = await session.execute(select(User.id, User.name, User.avatar).where(User.id == _among(user_ids)))
    return {user_id: Person(name, avatar) for user_id, name, avatar in rows}


async def with_renditions(session: AsyncSession, object_ids: Collection[UUID]) -> set[UUID]:
    """Which of these objects have a smaller picture already."""
    rows = await session.scalars(
        select(ObjectRendition.object_id).where(ObjectRendition.object_id == _among(object_ids)).distinct()
    )
    return set(rows)


async def uploads_under_way(session: AsyncSession, file_id: UUID) -> Sequence[UploadSession]:
    """What is on its way to become the file, or a new version of it."""
    rows = await session.scalars(
        select(UploadSession)
        .where(UploadSession.file_id == file_id, UploadSession.state.in_((SessionState.OPEN, SessionState.FINISHING)))
        .order_by(UploadSession.id)
    )
    return rows.all()


async def remove(session: AsyncSession, file_id: UUID) -> None:
    """For good; versions and links go with it."""
    await session.execute(
        delete(StoredFile).where(StoredFile.id == file_id).execution_options(synchronize_session=False)
    )


async def in_sight_among(session: AsyncSession, scope: AccountScope, ids: Collection[UUID]) -> Sequence[StoredFile]:
    """Those of the ids that the caller sees of what counts for one account."""
    rows = await session.scalars(
        select(StoredFile)
        .where(StoredFile.id == _among(ids), in_sight(scope))
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def count_on_task(session: AsyncSession, task_id: UUID) -> int:
    """Attachments of a task with those on their way, whoever sees them, without what is in the trash."""
    found: int | None = await session.scalar(
        select(func.count())
        .select_from(StoredFile)
        .where(
            StoredFile.task_id == task_id,
            StoredFile.file_type == FileType.TASK_ATTACHMENT.value,
            StoredFile.purge_at.is_(None),
            StoredFile.status != UploadStatus.FAILED.value,
        )
    )
    return found or 0


async def count_of_tasks(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, int]:
    """By task, what anybody who sees the task sees of its attachments."""
    rows = await session.execute(
        select(StoredFile.task_id, func.count())
        .where(
            StoredFile.task_id == _among(task_ids),
            StoredFile.file_type == FileType.TASK_ATTACHMENT.value,
            StoredFile.purge_at.is_(None),
            StoredFile.status.not_in(FOR_UPLOADER_ALONE),
        )
        .group_by(StoredFile.task_id)
    )
    return {task_id: count for task_id, count in rows if task_id is not None}
