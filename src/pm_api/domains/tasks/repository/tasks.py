"""Queries of the tasks themselves, one by one: in sight, under lock, by their names among people."""

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.domains.projects.models import Project, ProjectStatus
from pm_api.domains.tasks.models import Task
from pm_api.identity.models.people import Member, Scope, Workspace
from pm_api.identity.repository.people import visible_scope

_KEY: Final = re.compile(r"([A-Za-z][A-Za-z0-9]{0,15})-([1-9][0-9]{0,9})")


class Place(NamedTuple):
    """Where a task stands: what a guard needs."""

    task_id: UUID
    workspace_id: UUID
    project_id: UUID
    scope_id: UUID


def projects_seen(scope: AccountScope) -> Select[UUID]:
    """Ids of the living projects somebody sees, in one workspace or in all of theirs."""
    seen = select(Project.id).where(Project.deleted_at.is_(None), visible_scope(Project.scope_id, scope.user_id))
    if isinstance(scope, WorkspaceScope):
        return seen.where(Project.workspace_id == scope.workspace_id)
    return (
        seen.join(Member, and_(Member.workspace_id == Project.workspace_id, Member.user_id == scope.user_id))
        .join(Workspace, Workspace.id == Project.workspace_id)
        .where(Workspace.deleted_at.is_(None))
    )


def in_sight(scope: WorkspaceScope) -> ColumnElement[bool]:
    """Of tasks: those of living projects that the caller sees."""
    return and_(Task.workspace_id == scope.workspace_id, Task.project_id.in_(projects_seen(scope)))


async def made_by(session: AsyncSession, user_id: UUID, *, after: UUID | None, limit: int) -> Sequence[Task]:
    """Tasks that somebody made anywhere, by id."""
    statement = select(Task).where(Task.created_by_user_id == user_id).order_by(Task.id).limit(limit)
    if after is not None:
        statement = statement.where(Task.id > after)
    return (await session.scalars(statement)).all()


async def seen_among(session: AsyncSession, user_id: UUID, task_ids: Collection[UUID]) -> set[UUID]:
    """Which of these tasks somebody sees, deleted ones too; those of deleted projects nobody does."""
    rows = await session.scalars(
        select(Task.id)
        .join(Project, Project.id == Task.project_id)
        .where(Task.id.in_(task_ids), Project.deleted_at.is_(None), visible_scope(Task.scope_id, user_id))
    )
    return set(rows)


async def task(
    session: AsyncSession, scope: WorkspaceScope, task_id: UUID, *, lock: bool = False, deleted: bool = False
) -> Task | None:
    """One that the caller sees, as committed now; deleted ones only when they are asked for.

    With `lock` its project is held before it: whoever writes tasks queues up there, so nothing that a task depends on
    (its column's order, its parents, whether the project takes changes) moves meanwhile.
    """
    if lock:
        found = await locked(session, scope, [task_id], deleted=deleted)
        return found[0] if found else None
    return await session.scalar(
        select(Task)
        .where(Task.id == task_id, in_sight(scope), _is_deleted(deleted))
        .execution_options(populate_existing=True)
    )


async def tasks(
    session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID], *, deleted: bool = False
) -> Sequence[Task]:
    """Those of the ids that the caller sees, by id."""
    rows = await session.scalars(
        select(Task)
        .where(Task.id.in_(task_ids), in_sight(scope), _is_deleted(deleted))
        .order_by(Task.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def locked(
    session: AsyncSession, scope: WorkspaceScope, task_ids: Collection[UUID], *, deleted: bool = False
) -> Sequence[Task]:
    """The same, held: first the projects by id, then the tasks by id."""
    of = select(Task.project_id).where(Task.id.in_(task_ids), Task.workspace_id == scope.workspace_id)
    await lock_projects(session, set(await session.scalars(of)))
    rows = select(Task.id).where(Task.id.in_(task_ids), Task.workspace_id == scope.workspace_id).order_by(Task.id)
    await session.execute(rows.with_for_update(key_share=True))
    return await tasks(session, scope, task_ids, deleted=deleted)


async def lock_projects(session: AsyncSession, project_ids: Collection[UUID]) -> None:
    """FOR NO KEY UPDATE: a stronger lock would wait for every foreign key that is checked against the project."""
    rows = select(Project.id).where(Project.id.in_(project_ids)).order_by(Project.id)
    await session.execute(rows.with_for_update(key_share=True))


def _is_deleted(deleted: bool) -> ColumnElement[bool]:
    return Task.deleted_at.is_not(None) if deleted else Task.deleted_at.is_(None)


# --- names ---------------------------------------------------------------------------------------------------------


async def place_of(
    session: AsyncSession, reference: str, workspace_id: UUID | None, *, deleted: bool = False
) -> Place | None:
    """The place of a task by its id, or by `WEB-42` within a workspace; None for what is neither."""
    where = _named(reference, workspace_id)
    if where is None:
        return None
    row = (
        await session.execute(
            select(Task.id, Task.workspace_id, Task.project_id, Task.scope_id)
            .join(Project, Project.id == Task.project_id)
            .where(where, Project.deleted_at.is_(None), _is_deleted(deleted))
        )
    ).one_or_none()
    return Place(*row) if row is not None else None


def _named(reference: str, workspace_id: UUID | None) -> ColumnElement[bool] | None:
    try:
        by_id = Task.id == UUID(reference)
    except ValueError:
        key = _KEY.fullmatch(reference)
        if key is None or workspace_id is None:
            return None
        return and_(Project.workspace_id == workspace_id, Project.key == key[1].upper(), Task.number == int(key[2]))
    return by_id if workspace_id is None else and_(by_id, Task.workspace_id == workspace_id)


async def resolve(session: AsyncSession, scope: WorkspaceScope, reference: str) -> UUID | None:
    """The id of a living task that the caller sees, by its id or its key."""
    named = _named(reference, scope.workspace_id)
    if named is None:
        return None
    found: UUID | None = await session.scalar(
        select(Task.id)
        .join(Project, Project.id == Task.project_id)
        .where(named, in_sight(scope), Task.deleted_at.is_(None))
    )
    return found


async def named(
    session: AsyncSession, scope: WorkspaceScope, references: Collection[str], *, deleted: bool = False
) -> dict[str, UUID]:
    """The ids of tasks by how they were named: ids as they are, keys of what the caller sees. Keys of nothing are
    left out. One query.
    """
    keys = {one: key for one in references if (key := _KEY.fullmatch(one)) is not None}
    found = {one: UUID(one) for one in references if one not in keys}
    if not keys:
        return found
    pairs = {one: (key[1].upper(), int(key[2])) for one, key in keys.items()}
    rows = await session.execute(
        select(Project.key, Task.number, Task.id)
        .join(Project, Project.id == Task.project_id)
        .where(tuple_(Project.key, Task.number).in_(set(pairs.values())), in_sight(scope), _is_deleted(deleted))
    )
    ids = {(key, number): task_id for key, number, task_id in rows}
    return found | {one: ids[pair] for one, pair in pairs.items() if pair in ids}


# --- what surrounds a task -----------------------------------------------------------------------------------------


async def who_sees(session: AsyncSession, scope_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of the people who see what is in a scope."""
    rows = await session.scalars(
        select(Member.user_id)
        .join(Scope, Scope.workspace_id == Member.workspace_id)
        .where(Scope.id == scope_id, Member.user_id.in_(user_ids), visible_scope(Scope.id, Member.user_id))
    )
    return set(rows)


async def status(session: AsyncSession, project_id: UUID, key: str) -> ProjectStatus | None:
    return await session.scalar(
        select(ProjectStatus).where(ProjectStatus.project_id == project_id, ProjectStatus.key == key)
    )


async def last_board_key(session: AsyncSession, project_id: UUID, status_key: str) -> str | None:
    """The key at the end of a column."""
    found: str | None = await session.scalar(
        select(func.max(Task.board_key)).where(
            Task.project_id == project_id, Task.status == status_key, Task.deleted_at.is_(None)
        )
    )
    return found
