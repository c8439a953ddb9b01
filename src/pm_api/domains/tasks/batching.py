"""Many new tasks of one project at once: what `writing.create` does for one, by a number of statements that does not
grow with them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.projects.models import Project, ProjectStatus
from pm_api.domains.tasks import ordering, rules
from pm_api.domains.tasks.announcing import announce_new
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.repository import ties
from pm_api.domains.tasks.schemas.tasks import TaskCreate
from pm_api.domains.tasks.writing import begun, new_task

NOT_SEEN: Final = "Names somebody who does not see the project"


@dataclass(frozen=True, slots=True)
class NewTask:
    """One of them. `parent` is the place of the task above it among those before, `depth` how far below the top it
    lies: at most 9, as the caller has seen to.
    """

    wanted: TaskCreate
    assignee_ids: frozenset[UUID] = frozenset()
    label_ids: frozenset[UUID] = frozenset()
    parent: int | None = None
    depth: int = 0


async def create_all(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, wanted: Sequence[NewTask]
) -> list[Task]:
    """At the ends of their columns, with the project's next numbers. Raises NotFound, ProjectArchived, and
    ValidationFailed for what does not fit the project (any more).
    """
    if not wanted:
        return []
    number = await projects.next_number(session, project_id, len(wanted))
    project = await projects.project(session, scope, project_id)
    if project is None:
        raise NotFound
    values = await _values(session, project, wanted)
    await _check_labels(session, project_id, {label for one in wanted for label in one.label_ids})
    statuses = await projects.statuses_of(session, project_id)
    columns: dict[str, str | None] = {}
    made: list[Task] = []
    for place, one in enumerate(wanted):
        status = _status(statuses, one.wanted.status)
        if status.key not in columns:
            columns[status.key] = await repository.last_board_key(session, project_id, status.key)
        key = columns[status.key] = ordering.between(columns[status.key], None)
        made.append(
            new_task(
                platform,
                scope,
                project,
                one.wanted,
                number=number + place,
                status=status,
                board_key=key,
                parent_id=made[one.parent].id if one.parent is not None else None,
                depth=one.depth,
                fields=values[place],
            )
        )
    session.add_all(made)
    await session.flush()
    assigned = {task.id: one.assignee_ids for task, one in zip(made, wanted, strict=True)}
    watched = {task.id: assigned[task.id] | {scope.user_id} for task in made}
    labelled = {task.id: one.label_ids for task, one in zip(made, wanted, strict=True)}
    await ties.tie_new(session, made, assigned, watched, labelled)
    told = {task.id: begun(task, assigned[task.id]) for task in made}
    await announce_new(session, platform, scope, told, made, assigned)
    return made


def _status(statuses: Sequence[ProjectStatus], key: str | None) -> ProjectStatus:
    for one in statuses:
        if one.key == key or (key is None and one.category == StatusCategory.TODO):
            return one
    raise rules.refused("/status", "The project has no such status")


async def _values(session: AsyncSession, project: Project, wanted: Sequence[NewTask]) -> list[dict[str, Any]]:
    """Of the project's own fields, task by task; whoever is named, there or as an assignee, sees the project."""
    defined = await projects.fields_of(session, project.id)
    found, people = [], {user_id: "/assigneeIds" for one in wanted for user_id in one.assignee_ids}
    for one in wanted:
        values, named = rules.merged_fields({}, one.wanted.fields, defined)
        people |= {user_id: f"/fields/{key}" for key, user_id in named.items()}
        found.append(values)
    seeing = await repository.who_sees(session, project.scope_id, people) if people else set()
    for user_id, pointer in people.items():
        if user_id not in seeing:
            raise rules.refused(pointer, NOT_SEEN)
    return found


async def _check_labels(session: AsyncSession, project_id: UUID, ids: Collection[UUID]) -> None:
    if ids and await ties.known_labels(session, project_id, ids) != set(ids):
        raise rules.refused("/labelIds", "Names what is no label of the project")
