"""Tasks over HTTP."""

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Depends, Query, Response

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text, Timestamp
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import changing, duplicates, listing
from pm_api.domains.tasks.changing import Done
from pm_api.domains.tasks.enums import Priority, TaskSort
from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.errors.tasks import (
    TaskBlocked,
    TaskNotFound,
    TaskParentCycle,
    TaskParentDeleted,
    TaskTooDeep,
    TaskTreeTooLarge,
    TooManyWatchers,
)
from pm_api.domains.tasks.errors.views import SavedViewNotFound
from pm_api.domains.tasks.filtering.terms import MAX_BYTES
from pm_api.domains.tasks.guards import TaskScope, require_task, tasks_in_sight
from pm_api.domains.tasks.repository.listing import Wanted
from pm_api.domains.tasks.schemas.duplicates import TaskCreatedAnswer
from pm_api.domains.tasks.schemas.tasks import (
    LabelDelta,
    PeopleDelta,
    StatusKey,
    TaskAnswer,
    TaskChangedAnswer,
    TaskCreate,
    TaskDeletedAnswer,
    TaskRef,
    TaskReplace,
    TasksAnswer,
    TaskUpdate,
    WatchersAnswer,
)
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

CREATED: Final = answers_with("ETag", "Location")
EDITED: Final = (
    TaskNotFound,
    PreconditionFailed,
    InvalidIfMatch,
    Forbidden,
    ProjectArchived,
    TaskBlocked,
    TaskParentCycle,
    TaskTooDeep,
)
MOST_CHOICES: Final = 50

router = api_router(tag="tasks")

InSight = Annotated[AccountScope, Depends(tasks_in_sight)]
InProject = Annotated[WorkspaceScope, Depends(require("task.write", of="projects", at="projectId"))]
Readable = Annotated[TaskScope, Depends(require_task("task.read"))]
Writable = Annotated[TaskScope, Depends(require_task("task.write"))]
Restorable = Annotated[TaskScope, Depends(require_task("task.write", of_deleted=True))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]


async def wanted_tasks(
    workspace_id: Annotated[UUID | None, Query(alias="workspaceId", description="Tasks of this workspace.")] = None,
    project_id: Annotated[UUID | None, Query(alias="projectId", description="Tasks of this project.")] = None,
    status: Annotated[
        tuple[StatusKey, ...], Query(max_length=MOST_CHOICES, description="In one of these statuses, by key.")
    ] = (),
    status_category: Annotated[
        tuple[StatusCategory, ...],
        Query(alias="statusCategory", max_length=MOST_CHOICES, description="In a status of one of these categories."),
    ] = (),
    priority: Annotated[tuple[Priority, ...], Query(max_length=MOST_CHOICES, description="Of one of these.")] = (),
    assignee_id: Annotated[
        tuple[UUID, ...],
        Query(alias="assigneeId", max_length=MOST_CHOICES, description="Assigned to one of these users."),
    ] = (),
    label_id: Annotated[
        tuple[UUID, ...], Query(alias="labelId", max_length=MOST_CHOICES, description="With one of these labels.")
    ] = (),
    parent: Annotated[
        TaskRef | None,
        Query(
            alias="parentId",
            description="Directly below this task: its id, or its key such as `WEB-42` in a workspace or project.",
        ),
    ] = None,
    top: Annotated[bool, Query(description="Only those below no other task.")] = False,
    due_before: Annotated[
        Timestamp | None, Query(alias="dueBefore", description="Due before this moment; a day ends in UTC.")
    ] = None,
    due_after: Annotated[
        Timestamp | None, Query(alias="dueAfter", description="Due after this moment; a day ends in UTC.")
    ] = None,
    title: Annotated[
        Text | None, Query(alias="q", max_length=200, description="The title begins so, whatever its case.")
    ] = None,
    deleted: Annotated[bool, Query(description="Deleted ones instead.")] = False,
    text: Annotated[
        Text | None,
        Query(
            alias="filter",
            max_length=MAX_BYTES,
            description="A filter such as `status in (TODO, IN_PROGRESS) and due < today + 7d`, as text or as JSON.",
        ),
    ] = None,
    view: Annotated[
        UUID | None,
        Query(description="A saved view: its filter beside yours, and its order unless you ask for another."),
    ] = None,
    sort: Annotated[
        TaskSort | None,
        Query(description="By what they are sorted: `created` when left out; `number` and `board` in one project."),
    ] = None,
    order: Annotated[
        Literal["asc", "desc"] | None,
        Query(description="Left out: the latest and most urgent first, the next due, the lowest number."),
    ] = None,
) -> Wanted:
    """What the query asks for; the guard has looked at the workspace and the project."""
    del workspace_id
    return Wanted(
        project_id=project_id,
        status=status,
        status_category=status_category,
        priority=[one.number for one in priority],
        assignee_id=assignee_id,
        label_id=label_id,
        parent=parent,
        top=top,
        due_before=due_before,
        due_after=due_after,
        title=title,
        deleted=deleted,
        filter=text,
        view=view,
        sort=sort,
        descending=None if order is None else order == "desc",
    )


@router.post(
    "/tasks",
    operation_id="createTask",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(NotFound, Forbidden, ProjectArchived, TaskTooDeep),
)
async def create_task(
    scope: InProject, session: SessionDep, platform: PlatformDep, response: Response, wanted: TaskCreate
) -> TaskCreatedAnswer:
    """Make a task in a project, at the end of its column. It gets the project's next number."""
    made = await changing.make(session, platform, scope, wanted)
    alike = await duplicates.possible(session, platform, scope, wanted.project_id, wanted.title, but=made.task.id)
    response.headers["Location"] = f"/api/tasks/{made.task.id}"
    changed = _changed(made, response)
    return TaskCreatedAnswer(task=changed.task, undo_token=changed.undo_token, possible_duplicates=alike)


@router.get(
    "/tasks",
    operation_id="listTasks",
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidCursor, InvalidFilter, SavedViewNotFound),
)
async def list_tasks(
    scope: InSight,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    wanted: Annotated[Wanted, Depends(wanted_tasks)],
) -> TasksAnswer:
    """Tasks that you see: of a project, of a workspace, or without either those assigned to you in all workspaces."""
    return await listing.list_of(session, platform, scope, page, wanted)


@router.get(
    "/tasks/{task_id}",
    operation_id="getTask",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound),
)
async def get_task(at: Readable, session: SessionDep, platform: PlatformDep, response: Response) -> TaskAnswer:
    """One task."""
    task = await changing.get(session, platform, at)
    response.headers["ETag"] = sight_tag(task.version, task.model_dump_json())
    return TaskAnswer(task=task)


@router.patch(
    "/tasks/{task_id}",
    operation_id="updateTask",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*EDITED),
)
async def update_task(
    at: Writable,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    change: TaskUpdate,
) -> TaskChangedAnswer:
    """Change the fields sent. Members change tasks they made or are to do, administrators of the project all."""
    sent = {name: getattr(change, name) for name in change.model_fields_set}
    return _changed(await changing.update(session, platform, at, sent, expected_version), response)


@router.put(
    "/tasks/{task_id}",
    operation_id="replaceTask",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*EDITED),
)
async def replace_task(
    at: Writable,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    wanted: TaskReplace,
) -> TaskChangedAnswer:
    """Write the whole task: what is left out becomes empty, except the status."""
    return _changed(await changing.replace(session, platform, at, wanted, expected_version), response)


@router.delete(
    "/tasks/{task_id}",
    operation_id="deleteTask",
    openapi_extra=raises(
        TaskNotFound, PreconditionFailed, InvalidIfMatch, Forbidden, ProjectArchived, TaskTreeTooLarge
    ),
)
async def delete_task(
    at: Writable, session: SessionDep, platform: PlatformDep, expected_version: ExpectedVersion
) -> TaskDeletedAnswer:
    """Delete a task with all below it. It can be restored for 30 days."""
    deleted, token = await changing.delete(session, platform, at, expected_version)
    return TaskDeletedAnswer(deleted=deleted, undo_token=token)


@router.post(
    "/tasks/{task_id}/restore",
    operation_id="restoreTask",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        TaskNotFound,
        PreconditionFailed,
        InvalidIfMatch,
        Forbidden,
        ProjectArchived,
        TaskParentDeleted,
        TaskTreeTooLarge,
    ),
)
async def restore_task(
    at: Restorable,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
) -> TaskChangedAnswer:
    """Bring a deleted task back, with all that was deleted together with it."""
    return _changed(await changing.restore(session, platform, at, expected_version), response)


@router.post(
    "/tasks/{task_id}/labels",
    operation_id="changeTaskLabels",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound, Forbidden, ProjectArchived),
)
async def change_task_labels(
    at: Writable, session: SessionDep, platform: PlatformDep, response: Response, delta: LabelDelta
) -> TaskChangedAnswer:
    """Put labels on a task and take others off, whatever others do to its labels meanwhile."""
    return _changed(await changing.change_labels(session, platform, at, delta), response)


@router.post(
    "/tasks/{task_id}/assignees",
    operation_id="changeTaskAssignees",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound, Forbidden, ProjectArchived),
)
async def change_task_assignees(
    at: Writable, session: SessionDep, platform: PlatformDep, response: Response, delta: PeopleDelta
) -> TaskChangedAnswer:
    """Assign people and take others off, whatever others do to its assignees meanwhile."""
    return _changed(await changing.change_assignees(session, platform, at, delta), response)


@router.get("/tasks/{task_id}/watchers", operation_id="listTaskWatchers", openapi_extra=raises(TaskNotFound))
async def list_task_watchers(at: Readable, session: SessionDep, platform: PlatformDep) -> WatchersAnswer:
    """Who is told of what happens to a task; at most 200."""
    return WatchersAnswer(watchers=await changing.watchers(session, platform, at))


@router.post(
    "/tasks/{task_id}/watchers",
    operation_id="changeTaskWatchers",
    openapi_extra=raises(TaskNotFound, Forbidden, TooManyWatchers),
)
async def change_task_watchers(
    at: Readable, session: SessionDep, platform: PlatformDep, delta: PeopleDelta
) -> WatchersAnswer:
    """Watch a task, or stop to: everybody who sees it for themselves, whoever may edit it for others too."""
    return WatchersAnswer(watchers=await changing.change_watchers(session, platform, at, delta))


def _changed(done: Done, response: Response) -> TaskChangedAnswer:
    response.headers["ETag"] = sight_tag(done.task.version, done.task.model_dump_json())
    return TaskChangedAnswer(task=done.task, undo_token=done.undo_token)
