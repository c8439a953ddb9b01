"""Queries of projects by the days that they start on or are due on: in a range, in order, from a place on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Date, literal, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.models import Project
from pm_api.identity.repository.people import scopes_seen

FIRST_ID: Final = UUID(int=0)


class ProjectDate(StrEnum):
    START = "START"
    DUE = "DUE"


@dataclass(frozen=True, slots=True)
class Days:
    """From `first` up to and with `last`; of those on the first only the projects with greater ids than this."""

    first: date
    last: date
    after_on_first: UUID | None = None


class Place(NamedTuple):
    project_id: UUID
    which: ProjectDate
    day: date


async def dated(
    session: AsyncSession,
    scope: WorkspaceScope,
    wanted: Sequence[tuple[ProjectDate, Days]],
    *,
    project_id: UUID | None,
    limit: int,
) -> list[Place]:
    """Of each date asked for the first so many; in one query. Living projects that the caller sees, no templates."""
    some = []
    for which, within in wanted:
        day = Project.starts_on if which is ProjectDate.START else Project.due_on
        place = tuple_(literal(within.first, Date()), literal(within.after_on_first or FIRST_ID))
        statement = (
            select(Project.id.label("id"), literal(which.value).label("which"), day.label("day"))
            .where(Project.workspace_id == scope.workspace_id, Project.deleted_at.is_(None), ~Project.is_template)
            .where(Project.scope_id.in_(scopes_seen(scope.workspace_id, scope.user_id)))
            .where(day <= within.last, tuple_(day, Project.id) > place)
            .order_by(day, Project.id)
            .limit(limit)
        )
        if project_id is not None:
            statement = statement.where(Project.id == project_id)
        some.append(select(statement.subquery()))
    if not some:
        return []
    rows = await session.execute(union_all(*some))
    return [Place(row[0], ProjectDate(row[1]), row[2]) for row in rows]
