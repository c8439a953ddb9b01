"""Queries of columns: the tasks of one status of a project, in their order on the board."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, lateral, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.domains.projects.models import ProjectStatus
from pm_api.domains.tasks.models import Task


class Spot(NamedTuple):
    """A task's place in its column. Keys may be equal for a while; the id settles it."""

    board_key: str
    task_id: UUID


def _in_column(project_id: UUID, status_key: str) -> ColumnElement[bool]:
    return and_(Task.project_id == project_id, Task.status == status_key, Task.deleted_at.is_(None))


async def spots_after(
    session: AsyncSession,
    project_id: UUID,
    status_key: str,
    spot: Spot | None,
    limit: int,
    *,
    but: UUID | None = None,
) -> list[Spot]:
    """The next ones after a spot, or the first of all, in order; without one task."""
    statement = select(Task.board_key, Task.id).where(_in_column(project_id, status_key))
    if spot is not None:
        statement = statement.where(tuple_(Task.board_key, Task.id) > tuple_(*spot))
    if but is not None:
        statement = statement.where(Task.id != but)
    rows = await session.execute(statement.order_by(Task.board_key, Task.id).limit(limit))
    return [Spot(*row) for row in rows]


async def spots_before(
    session: AsyncSession, project_id: UUID, status_key: str, spot: Spot, limit: int, *, but: UUID | None = None
) -> list[Spot]:
    """The ones before a spot, the nearest last; without one task."""
    statement = select(Task.board_key, Task.id).where(
        _in_column(project_id, status_key), tuple_(Task.board_key, Task.id) < tuple_(*spot)
    )
    if but is not None:
        statement = statement.where(Task.id != but)
    rows = await session.execute(statement.order_by(Task.board_key.desc(), Task.id.desc()).limit(limit))
    return [Spot(*row) for row in rows][::-1]


async def last_spot(
    session: AsyncSession, project_id: UUID, status_key: str, *, but: UUID | None = None
) -> Spot | None:
    statement = select(Task.board_key, Task.id).where(_in_column(project_id, status_key))
    if but is not None:
        statement = statement.where(Task.id != but)
    row = (await session.execute(statement.order_by(Task.board_key.desc(), Task.id.desc()).limit(1))).one_or_none()
    return Spot(*row) if row is not None else None


async def rewrite(session: AsyncSession, keys: Mapping[UUID, str]) -> None:
    """Give tasks other keys in the same order. Nobody is shown keys, so nothing else about the tasks has changed."""
    await session.execute(update(Task), [{"id": one, "board_key": key} for one, key in keys.items()])


async def first_of_each(session: AsyncSession, project_id: UUID, limit: int) -> Sequence[Task]:
    """So many tasks of each of a project's columns, each column in its order."""
    inside = (
        select(Task)
        .where(
            Task.project_id == ProjectStatus.project_id,
            Task.status == ProjectStatus.key,
            Task.deleted_at.is_(None),
        )
        .order_by(Task.board_key, Task.id)
        .limit(limit)
        .correlate(ProjectStatus)
    )
    found = aliased(Task, lateral(inside))
    rows = await session.scalars(
        select(found)
        .select_from(ProjectStatus)
        .join(found, ProjectStatus.project_id == found.project_id)
        .where(ProjectStatus.project_id == project_id)
        .order_by(ProjectStatus.position, found.board_key, found.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def totals(session: AsyncSession, project_id: UUID) -> dict[str, int]:
    """How many tasks each column has."""
    rows = await session.execute(
        select(Task.status, func.count())
        .where(Task.project_id == project_id, Task.deleted_at.is_(None))
        .group_by(Task.status)
    )
    return {row[0]: row[1] for row in rows}


async def key_of(session: AsyncSession, task_id: UUID) -> str:
    found: str | None = await session.scalar(select(Task.board_key).where(Task.id == task_id))
    assert found is not None, "its project is held"
    return found
