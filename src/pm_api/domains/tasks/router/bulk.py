"""The route of bulk edits."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import bulk
from pm_api.domains.tasks.errors.bulk import BulkForbidden, BulkTasksNotFound, TooManyTasks
from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.errors.tasks import (
    TaskBlocked,
    TaskNeighbourElsewhere,
    TaskNotFound,
    TaskParentCycle,
    TaskParentDeleted,
    TaskTooDeep,
    TaskTreeTooLarge,
)
from pm_api.domains.tasks.guards_of_places import require_in_place
from pm_api.domains.tasks.schemas.bulk import TaskBulkAnswer, TaskBulkRequest
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="tasks")


@router.post(
    "/tasks/bulk",
    operation_id="bulkEditTasks",
    openapi_extra=raises(
        *(WorkspaceNotFound, NotFound, BulkTasksNotFound, TaskNotFound, BulkForbidden, TooManyTasks, InvalidFilter),
        *(ProjectArchived, TaskBlocked, TaskParentCycle, TaskTooDeep, TaskTreeTooLarge, TaskParentDeleted),
        TaskNeighbourElsewhere,
    ),
)
async def bulk_edit_tasks(
    scope: Annotated[WorkspaceScope, Depends(require_in_place("task.write"))],
    platform: PlatformDep,
    session: SessionDep,
    body: TaskBulkRequest,
) -> TaskBulkAnswer:
    """Do one thing to up to 200 tasks of a workspace or a project, named one by one or found by a filter.

    Whether you may is asked for all of them before any is changed. With `dryRun` nothing is written, and the answer
    says of each task what would change, old and new. One `undoToken` takes all of it back.
    """
    return await bulk.run(session, platform, scope, body)
