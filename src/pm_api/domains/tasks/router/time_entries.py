"""Time worked on tasks over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import time_entries
from pm_api.domains.tasks.errors.talk import InvalidPeriod, InvalidWorkDate, TimeEntryNotFound
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.tasks import Day
from pm_api.domains.tasks.schemas.time_entries import (
    TaskTimeAnswer,
    TimeEntryAnswer,
    TimeEntryCreate,
    TimeEntryRead,
    TimeEntryUpdate,
    TimeReportAnswer,
)
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

router = api_router(tag="tasks")

Reading = Annotated[TaskScope, Depends(require_task("task.read"))]
Writing = Annotated[TaskScope, Depends(require_task("task.write"))]
InWorkspace = Annotated[WorkspaceScope, Depends(require("task.read", of="workspaces", at="workspaceId"))]
EntryId = Annotated[UUID, Path(description="A time entry of the task.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]
CHANGES: Final = (TaskNotFound, TimeEntryNotFound, ProjectArchived, Forbidden, PreconditionFailed, InvalidIfMatch)


@router.post(
    "/tasks/{task_id}/time-entries",
    operation_id="createTimeEntry",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(TaskNotFound, ProjectArchived, InvalidWorkDate),
)
async def create_time_entry(
    at: Writing, session: SessionDep, platform: PlatformDep, response: Response, wanted: TimeEntryCreate
) -> TimeEntryAnswer:
    """Enter time that you worked on a task, on whichever day."""
    made = await time_entries.create(session, platform, at, wanted)
    response.headers["Location"] = f"/api/tasks/{made.task_id}/time-entries/{made.id}"
    return _answer(made, response)


@router.get(
    "/tasks/{task_id}/time-entries",
    operation_id="listTaskTimeEntries",
    openapi_extra=raises(TaskNotFound, InvalidCursor),
)
async def list_task_time_entries(
    at: Reading, session: SessionDep, platform: PlatformDep, page: Page
) -> TaskTimeAnswer:
    """Who worked how long on a task, with the sums."""
    return await time_entries.list_of(session, platform, at, page)


@router.get(
    "/tasks/{task_id}/time-entries/{time_entry_id}",
    operation_id="getTimeEntry",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound, TimeEntryNotFound),
)
async def get_time_entry(
    at: Reading, session: SessionDep, platform: PlatformDep, response: Response, time_entry_id: EntryId
) -> TimeEntryAnswer:
    """One time entry."""
    return _answer(await time_entries.get(session, platform, at, time_entry_id), response)


@router.patch(
    "/tasks/{task_id}/time-entries/{time_entry_id}",
    operation_id="updateTimeEntry",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*CHANGES, InvalidWorkDate),
)
async def update_time_entry(
    at: Writing,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    time_entry_id: EntryId,
    expected_version: ExpectedVersion,
    wanted: TimeEntryUpdate,
) -> TimeEntryAnswer:
    """Correct an entry: your own, or any for who manages tasks."""
    return _answer(
        await time_entries.update(session, platform, at, time_entry_id, wanted, expected_version), response
    )


@router.delete(
    "/tasks/{task_id}/time-entries/{time_entry_id}",
    operation_id="deleteTimeEntry",
    status_code=204,
    openapi_extra=raises(*CHANGES),
)
async def delete_time_entry(
    at: Writing, session: SessionDep, platform: PlatformDep, time_entry_id: EntryId, expected_version: ExpectedVersion
) -> None:
    """Take an entry away: your own, or any for who manages tasks."""
    await time_entries.delete(session, platform, at, time_entry_id, expected_version)


@router.get(
    "/time-entries",
    operation_id="listTimeEntries",
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidCursor, InvalidPeriod),
)
async def list_time_entries(
    scope: InWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
    user_id: Annotated[UUID | None, Query(alias="userId", description="Only the time of this person.")] = None,
    project_id: Annotated[
        UUID | None, Query(alias="projectId", description="Only time on tasks of this project.")
    ] = None,
    first: Annotated[
        Day | None, Query(alias="from", description="The first day of work.", examples=["2026-03-01"])
    ] = None,
    last: Annotated[
        Day | None,
        Query(
            alias="to",
            description="The last day of work, at most 92 days in all. Without either, the last 31 days.",
            examples=["2026-03-31"],
        ),
    ] = None,
) -> TimeReportAnswer:
    """A workspace's time on tasks that you see, by day of work, and with the first page the sums of each person's
    days.
    """
    return await time_entries.report(
        session, platform, scope, page, first=first, last=last, user_id=user_id, project_id=project_id
    )


def _answer(found: TimeEntryRead, response: Response) -> TimeEntryAnswer:
    # Whoever worked is shown as they are called now, without a new version.
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return TimeEntryAnswer(time_entry=found)
