"""Dependencies of tasks over HTTP, and moving dates along them."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import dependencies, shifts
from pm_api.domains.tasks.errors.planning import (
    DependencyCycle,
    DependencyExists,
    DependencyNotFound,
    DependencyOnItself,
    InvalidShift,
    ShiftForbidden,
    ShiftTooLarge,
    TooManyDependencies,
)
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.dependencies import (
    DependenciesAnswer,
    DependencyAnswer,
    DependencyCreate,
    ShiftAnswer,
    ShiftRequest,
)

router = api_router(tag="tasks")

Reading = Annotated[TaskScope, Depends(require_task("task.read"))]
Writing = Annotated[TaskScope, Depends(require_task("task.write"))]
DependencyId = Annotated[UUID, Path(description="A dependency of the task.")]
Page = Annotated[PageRequest, Depends(page_request)]


@router.post(
    "/tasks/{task_id}/dependencies",
    operation_id="createTaskDependency",
    status_code=201,
    responses={201: answers_with("Location")},
    openapi_extra=raises(
        *(TaskNotFound, ProjectArchived, Forbidden, DependencyOnItself, DependencyExists, DependencyCycle),
        TooManyDependencies,
    ),
)
async def create_task_dependency(
    at: Writing, session: SessionDep, platform: PlatformDep, response: Response, wanted: DependencyCreate
) -> DependencyAnswer:
    """Link a task to another of the workspace that you see; a task has at most 100 links. What would make tasks wait
    for each other is refused, however long the way round.
    """
    made = await dependencies.create(session, platform, at, wanted)
    response.headers["Location"] = f"/api/tasks/{at.task_id}/dependencies/{made.id}"
    return DependencyAnswer(dependency=made)


@router.get(
    "/tasks/{task_id}/dependencies",
    operation_id="listTaskDependencies",
    openapi_extra=raises(TaskNotFound, InvalidCursor),
)
async def list_task_dependencies(
    at: Reading, session: SessionDep, platform: PlatformDep, page: Page
) -> DependenciesAnswer:
    """What a task is linked to, in both directions, as far as you see it; oldest first."""
    return await dependencies.list_of(session, platform, at, page)


@router.get(
    "/tasks/{task_id}/dependencies/{dependency_id}",
    operation_id="getTaskDependency",
    openapi_extra=raises(TaskNotFound, DependencyNotFound),
)
async def get_task_dependency(
    at: Reading, session: SessionDep, platform: PlatformDep, dependency_id: DependencyId
) -> DependencyAnswer:
    """One dependency, as seen from the task in the address."""
    return DependencyAnswer(dependency=await dependencies.get(session, platform, at, dependency_id))


@router.delete(
    "/tasks/{task_id}/dependencies/{dependency_id}",
    operation_id="deleteTaskDependency",
    status_code=204,
    openapi_extra=raises(TaskNotFound, DependencyNotFound, ProjectArchived, Forbidden),
)
async def delete_task_dependency(
    at: Writing, session: SessionDep, platform: PlatformDep, dependency_id: DependencyId
) -> None:
    """Take a link away, from either of its two tasks."""
    await dependencies.delete(session, platform, at, dependency_id)


@router.post(
    "/tasks/{task_id}/shift",
    operation_id="shiftTask",
    openapi_extra=raises(TaskNotFound, InvalidShift, ShiftForbidden, ShiftTooLarge),
)
async def shift_task(at: Writing, session: SessionDep, platform: PlatformDep, wanted: ShiftRequest) -> ShiftAnswer:
    """Move the dates of a task and of all that it blocks, directly or through others: all of them, at most 200, or
    none. Moments keep the time that clocks show in the task's zone, also over a change of clocks.
    """
    return await shifts.shift(session, platform, at, wanted)
