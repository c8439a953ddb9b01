"""The route of the duplicate hint."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.tasks import duplicates
from pm_api.domains.tasks.schemas.duplicates import TaskDuplicatesAnswer, TaskDuplicatesRequest
from pm_api.identity.guards import require

router = api_router(tag="tasks")


@router.post("/tasks/duplicates", operation_id="findDuplicateTasks", openapi_extra=raises(NotFound))
async def find_duplicate_tasks(
    scope: Annotated[WorkspaceScope, Depends(require("task.read", of="projects", at="projectId"))],
    platform: PlatformDep,
    session: SessionDep,
    body: TaskDuplicatesRequest,
) -> TaskDuplicatesAnswer:
    """Tasks of a project whose titles are much like the one you are about to give, before you make it twice."""
    found = await duplicates.possible(session, platform, scope, body.project_id, body.title)
    return TaskDuplicatesAnswer(possible_duplicates=found)
