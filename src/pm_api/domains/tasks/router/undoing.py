"""The route of taking back."""

from typing import Annotated

from fastapi import Depends

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import taking_back
from pm_api.domains.tasks.errors.undoing import UndoConflict, UndoGone
from pm_api.domains.tasks.schemas.undoing import UndoAnswer, UndoRequest
from pm_api.identity.guards import require

router = api_router(tag="tasks")


@router.post(
    "/tasks/undo", operation_id="undoTaskChange", openapi_extra=raises(UndoGone, UndoConflict, ProjectArchived)
)
async def undo_task_change(
    scope: Annotated[WorkspaceScope, Depends(require("task.write", of="task_undos", at="undoToken"))],
    platform: PlatformDep,
    session: SessionDep,
    body: UndoRequest,
) -> UndoAnswer:
    """Take back a change of yours, up to ten minutes after it: fields, labels, people, place on the board, deletion.

    All of its tasks or none. When somebody has changed one of them since, nothing is taken back, and the answer says
    which task and field, what it is now, who changed it and when.
    """
    return UndoAnswer(tasks=await taking_back.undo(session, platform, scope, body.undo_token))
