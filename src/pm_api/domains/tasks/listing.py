"""Lists of tasks, and boards: page by page, in an order that stands still for what does not change."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import DEFAULT_LIMIT, PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.tasks import rules, sieving, views
from pm_api.domains.tasks.enums import TaskSort
from pm_api.domains.tasks.reading import project_shown, reads
from pm_api.domains.tasks.repository import columns
from pm_api.domains.tasks.repository import listing as repository
from pm_api.domains.tasks.repository import tasks as task_rows
from pm_api.domains.tasks.repository.listing import Wanted
from pm_api.domains.tasks.schemas.tasks import BoardColumn, BoardRead, TasksAnswer

LISTED: Final = "tasks"
OF_ONE_PROJECT: Final = frozenset({TaskSort.NUMBER, TaskSort.BOARD})
DESCENDING: Final = frozenset({TaskSort.CREATED, TaskSort.UPDATED, TaskSort.PRIORITY})
"""In which order they come unless the other one is asked for: the latest and the most urgent first."""
TIMES: Final = frozenset({TaskSort.UPDATED, TaskSort.DUE})


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, page: PageRequest, wanted: Wanted
) -> TasksAnswer:
    """A page of what is wanted of the tasks the caller sees; raises NotFound, ValidationFailed, InvalidFilter and
    SavedViewNotFound.
    """
    conditions = [await sieving.condition(session, platform, scope, wanted.filter)] if wanted.filter else []
    order: tuple[TaskSort | None, bool | None] = (None, None)
    if wanted.view is not None:
        view = await views.query_of(session, scope, wanted.view)
        order = (view.sort, None if view.order is None else view.order == "desc")
        if view.filter:
            conditions.append(await sieving.condition(session, platform, scope, view.filter))
    sort = wanted.sort or order[0] or TaskSort.CREATED
    descending = wanted.descending if wanted.descending is not None or wanted.sort is not None else order[1]
    descending = sort in DESCENDING if descending is None else descending
    wanted = replace(wanted, sort=sort, descending=descending, conditions=conditions)
    if sort in OF_ONE_PROJECT and wanted.project_id is None:
        raise rules.refused("/sort", "number and board are orders within one project: name it as projectId")
    if wanted.project_id is not None:
        assert isinstance(scope, WorkspaceScope), "the guard looked for the project"
        if await projects.project(session, scope, wanted.project_id) is None:
            raise NotFound
    if wanted.parent is not None:
        wanted = replace(wanted, parent_id=await _parent(session, scope, wanted.parent))
        if wanted.parent_id is None:
            return TasksAnswer(tasks=[], next_cursor=None)
    bound = _bound(scope, wanted)
    key = platform.cursors.decode(page.cursor, of=LISTED, **bound)
    rows = await repository.tasks(session, scope, wanted, limit=page.limit + 1, after=_after(sort, key))
    shown = rows[: page.limit]
    following = (shown[-1].sorted_by, shown[-1].task.id) if len(rows) > page.limit else None
    return TasksAnswer(
        tasks=await reads(session, platform, scope, [one.task for one in shown]),
        next_cursor=platform.cursors.encode(following, of=LISTED, **bound),
    )


async def _parent(session: AsyncSession, scope: AccountScope, reference: str) -> UUID | None:
    """The task that is named; None when the caller sees none of this key. Raises ValidationFailed for a key without
    the workspace it is looked for in.
    """
    if isinstance(scope, WorkspaceScope):
        return (await task_rows.named(session, scope, [reference])).get(reference)
    try:
        return UUID(reference)
    except ValueError:
        raise rules.refused("/parentId", "A key such as WEB-42 goes with workspaceId or projectId") from None


def _bound(scope: AccountScope, wanted: Wanted) -> dict[str, object]:
    workspace_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else None
    return {"user": scope.user_id, "workspace": workspace_id, **wanted.filters()}


def _after(sort: TaskSort, key: list[Any] | None) -> tuple[Any, UUID] | None:
    if key is None:
        return None
    value, task_id = key
    if sort in TIMES:
        value = datetime.fromisoformat(value)
    return value, UUID(task_id)


async def board(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, limit: int = DEFAULT_LIMIT
) -> BoardRead:
    """A project's columns with the first of their tasks, in a fixed number of queries; raises NotFound."""
    project = await projects.project(session, scope, project_id)
    if project is None:
        raise NotFound
    statuses = await projects.statuses_of(session, project_id)
    tasks = await columns.first_of_each(session, project_id, limit + 1)
    totals = await columns.totals(session, project_id)
    of_column = {one.key: [task for task in tasks if task.status == one.key] for one in statuses}
    shown = [task for found in of_column.values() for task in found[:limit]]
    read = {one.id: one for one in await reads(session, platform, scope, shown)}
    made = []
    for status in statuses:
        found = of_column[status.key]
        following = (found[limit - 1].board_key, found[limit - 1].id) if len(found) > limit else None
        rest = Wanted(project_id=project_id, status=(status.key,), sort=TaskSort.BOARD, descending=False)
        made.append(
            BoardColumn(
                status=status.key,
                name=status.name,
                category=StatusCategory(status.category),
                colour=status.colour,
                total=totals.get(status.key, 0),
                tasks=[read[one.id] for one in found[:limit]],
                next_cursor=platform.cursors.encode(following, of=LISTED, **_bound(scope, rest)),
            )
        )
    return BoardRead(project=project_shown(project), columns=made)
