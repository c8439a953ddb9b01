"""What was done to tasks, over HTTP."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.tasks import histories
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.histories import ActivityAnswer

router = api_router(tag="tasks")


@router.get(
    "/tasks/{task_id}/activity",
    operation_id="listTaskActivity",
    openapi_extra=raises(TaskNotFound, InvalidCursor),
)
async def list_task_activity(
    at: Annotated[TaskScope, Depends(require_task("task.read"))],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
) -> ActivityAnswer:
    """All that was done to a task, by whom and when, with what it was and what it became; oldest first."""
    return await histories.list_of(session, platform, at, page)
