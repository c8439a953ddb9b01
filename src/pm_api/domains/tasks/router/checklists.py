"""Checklists of tasks over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import checklists
from pm_api.domains.tasks.errors.talk import ChecklistItemNotFound, InvalidChecklistOrder, TooManyChecklistItems
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.checklists import (
    ChecklistAnswer,
    ChecklistItemAnswer,
    ChecklistItemCreate,
    ChecklistItemRead,
    ChecklistItemUpdate,
    ChecklistOrder,
)

router = api_router(tag="tasks")

Reading = Annotated[TaskScope, Depends(require_task("task.read"))]
Writing = Annotated[TaskScope, Depends(require_task("task.write"))]
ItemId = Annotated[UUID, Path(description="A thing on the task's checklist.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]
CHANGES: Final = raises(
    TaskNotFound, ChecklistItemNotFound, ProjectArchived, Forbidden, PreconditionFailed, InvalidIfMatch
)


@router.post(
    "/tasks/{task_id}/checklist",
    operation_id="addChecklistItem",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(TaskNotFound, ProjectArchived, Forbidden, TooManyChecklistItems),
)
async def add_checklist_item(
    at: Writing, session: SessionDep, platform: PlatformDep, response: Response, wanted: ChecklistItemCreate
) -> ChecklistItemAnswer:
    """One more thing at the end of a task's checklist, which has at most 200."""
    made = await checklists.add(session, platform, at, wanted)
    response.headers["Location"] = f"/api/tasks/{made.task_id}/checklist/{made.id}"
    return _answer(made, response)


@router.get(
    "/tasks/{task_id}/checklist", operation_id="listChecklist", openapi_extra=raises(TaskNotFound, InvalidCursor)
)
async def list_checklist(at: Reading, session: SessionDep, platform: PlatformDep, page: Page) -> ChecklistAnswer:
    """A task's checklist in its order."""
    return await checklists.list_of(session, platform, at, page)


@router.post(
    "/tasks/{task_id}/checklist/reorder",
    operation_id="reorderChecklist",
    openapi_extra=raises(TaskNotFound, ProjectArchived, Forbidden, InvalidChecklistOrder),
)
async def reorder_checklist(
    at: Writing, session: SessionDep, platform: PlatformDep, wanted: ChecklistOrder
) -> ChecklistAnswer:
    """Put things into another order; the whole checklist as it stands then. Nothing else of them changes."""
    return await checklists.reorder(session, platform, at, wanted.item_ids)


@router.get(
    "/tasks/{task_id}/checklist/{item_id}",
    operation_id="getChecklistItem",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound, ChecklistItemNotFound),
)
async def get_checklist_item(
    at: Reading, session: SessionDep, response: Response, item_id: ItemId
) -> ChecklistItemAnswer:
    """One thing on a checklist."""
    return _answer(await checklists.get(session, at, item_id), response)


@router.patch(
    "/tasks/{task_id}/checklist/{item_id}",
    operation_id="updateChecklistItem",
    responses={200: ETAG_HEADER},
    openapi_extra=CHANGES,
)
async def update_checklist_item(
    at: Writing,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    item_id: ItemId,
    expected_version: ExpectedVersion,
    wanted: ChecklistItemUpdate,
) -> ChecklistItemAnswer:
    """Tick a thing off, or put it into other words. Who does the one undoes nothing of the other."""
    return _answer(await checklists.update(session, platform, at, item_id, wanted, expected_version), response)


@router.delete(
    "/tasks/{task_id}/checklist/{item_id}",
    operation_id="deleteChecklistItem",
    status_code=204,
    openapi_extra=CHANGES,
)
async def delete_checklist_item(
    at: Writing, session: SessionDep, platform: PlatformDep, item_id: ItemId, expected_version: ExpectedVersion
) -> None:
    """Take a thing off the checklist."""
    await checklists.remove(session, platform, at, item_id, expected_version)


def _answer(found: ChecklistItemRead, response: Response) -> ChecklistItemAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return ChecklistItemAnswer(item=found)
