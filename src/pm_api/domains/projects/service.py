"""The door of projects: what higher slices ask of them, and the one place that gives out task numbers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.domains.projects.enums import Action
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.projects.models import Project, ProjectField, ProjectLabel, ProjectStatus
from pm_api.domains.projects.reading import actions_of
from pm_api.domains.projects.repository import dated as dates
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository import workflow
from pm_api.domains.projects.repository.dated import Days, ProjectDate

__all__ = [
    "Dated",
    "Days",
    "ProjectDate",
    "archived_among",
    "count_of",
    "dated",
    "ensure_writable",
    "fields_of",
    "has_had_any",
    "labels_of",
    "next_number",
    "project",
    "projects",
    "statuses_of",
    "statuses_of_all",
]


@dataclass(frozen=True, slots=True)
class Dated:
    """A project, one of its dates, and what the caller may do with it."""

    project: Project
    which: ProjectDate
    day: date
    allowed_actions: Sequence[Action]


async def project(
    session: AsyncSession, scope: WorkspaceScope, project_id: UUID, *, lock: bool = False
) -> Project | None:
    """A project in the caller's sight; None when it is not, or is deleted. Archived ones are read."""
    return await repository.project(session, scope, project_id, lock=lock)


async def projects(session: AsyncSession, scope: WorkspaceScope, project_ids: Collection[UUID]) -> list[Project]:
    """Those of the ids that the caller sees, newest first: in one query, however many."""
    seen = await repository.seen_by(session, scope.user_id, workspace_id=scope.workspace_id, only=project_ids)
    return [one.project for one in seen]


async def statuses_of(session: AsyncSession, project_id: UUID) -> Sequence[ProjectStatus]:
    """The workflow, in the order of the board."""
    return await workflow.statuses(session, project_id)


async def statuses_of_all(session: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, list[ProjectStatus]]:
    """The workflows of several projects, in one query."""
    found: dict[UUID, list[ProjectStatus]] = {one: [] for one in project_ids}
    for status in await workflow.statuses_of_all(session, project_ids):
        found[status.project_id].append(status)
    return found


async def labels_of(session: AsyncSession, project_id: UUID) -> Sequence[ProjectLabel]:
    """By name; at most 500."""
    return await workflow.labels(session, project_id)


async def fields_of(session: AsyncSession, project_id: UUID) -> Sequence[ProjectField]:
    """In their order; at most 50."""
    return await workflow.fields(session, project_id)


async def next_number(session: AsyncSession, project_id: UUID, count: int = 1) -> int:
    """The first of `count` task numbers in a row, and nobody else's: the project's row is held until the transaction
    ends, so a rollback gives them back. Raises NotFound or ProjectArchived.
    """
    last = await repository.take_numbers(session, project_id, count)
    if last is None:
        await ensure_writable(session, project_id)
        raise NotFound
    return last - count + 1


async def ensure_writable(session: AsyncSession, project_id: UUID) -> None:
    """Raises NotFound when the project is gone or deleted, ProjectArchived when it can only be read."""
    archived = await repository.is_archived(session, project_id)
    if archived is None:
        raise NotFound
    if archived:
        raise ProjectArchived


async def archived_among(session: AsyncSession, project_ids: Collection[UUID]) -> set[UUID]:
    """Those that can only be read, whoever sees them; one query."""
    return await repository.archived_among(session, project_ids) if project_ids else set()


async def count_of(session: AsyncSession, workspace_ids: Collection[UUID]) -> int:
    """Projects of these workspaces, templates and archived ones too, without the deleted: what a plan counts."""
    return await repository.count_living(session, workspace_ids)


async def has_had_any(session: AsyncSession, workspace_id: UUID) -> bool:
    """Whether a workspace has projects, deleted ones too."""
    return bool(await repository.keys_taken(session, workspace_id, ""))


async def dated(
    session: AsyncSession,
    scope: WorkspaceScope,
    wanted: Sequence[tuple[ProjectDate, Days]],
    *,
    project_id: UUID | None = None,
    limit: int,
) -> list[Dated]:
    """Projects in the caller's sight by the days that they start on or are due on: of each date asked for the first
    in its range, at most `limit`, in no order; no templates. Two queries.
    """
    places = await dates.dated(session, scope, wanted, project_id=project_id, limit=limit)
    ids = {one.project_id for one in places}
    seen = await repository.seen_by(session, scope.user_id, workspace_id=scope.workspace_id, only=ids) if ids else ()
    by_id = {one.project.id: one for one in seen}
    return [
        Dated(by_id[one.project_id].project, one.which, one.day, actions_of(by_id[one.project_id]))
        for one in places
        if one.project_id in by_id
    ]
