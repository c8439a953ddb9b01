"""Boards over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import DEFAULT_LIMIT
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import changing, listing
from pm_api.domains.tasks.errors.tasks import TaskBlocked, TaskNeighbourElsewhere, TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.tasks import BoardAnswer, TaskChangedAnswer, TaskMove
from pm_api.identity.guards import require

MOST_OF_A_COLUMN = 100

router = api_router(tag="tasks")


@router.get("/tasks/board", operation_id="getTaskBoard", openapi_extra=raises(NotFound))
async def get_task_board(
    scope: Annotated[WorkspaceScope, Depends(require("task.read", of="projects", at="projectId"))],
    session: SessionDep,
    platform: PlatformDep,
    project_id: Annotated[UUID, Query(alias="projectId", description="The project.")],
    limit: Annotated[int, Query(ge=1, le=MOST_OF_A_COLUMN, description="Most tasks of one column.")] = DEFAULT_LIMIT,
) -> BoardAnswer:
    """A project's tasks by status: of each column how many there are, and the first of them in the board's order."""
    return BoardAnswer(board=await listing.board(session, platform, scope, project_id, limit))


@router.post(
    "/tasks/{task_id}/move",
    operation_id="moveTask",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        TaskNotFound,
        PreconditionFailed,
        InvalidIfMatch,
        Forbidden,
        ProjectArchived,
        TaskBlocked,
        TaskNeighbourElsewhere,
    ),
)
async def move_task(
    at: Annotated[TaskScope, Depends(require_task("task.write"))],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: Annotated[int | None, Depends(if_match)],
    wanted: TaskMove,
) -> TaskChangedAnswer:
    """Put a task before or after another one of its project's board, or at the end of a column."""
    done = await changing.move(session, platform, at, wanted, expected_version)
    response.headers["ETag"] = sight_tag(done.task.version, done.task.model_dump_json())
    return TaskChangedAnswer(task=done.task, undo_token=done.undo_token)
