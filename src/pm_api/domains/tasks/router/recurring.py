"""Routes of recurring tasks."""

from typing import Annotated, Final

from fastapi import Depends, Query, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.platform import PlatformDep
from pm_api.core.recurrence.errors import ADMISSION
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import recurring
from pm_api.domains.tasks.errors.recurring import NotRecurring, RecurrenceNeedsDate
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.recurring import (
    RecurrenceAnswer,
    RecurrencePreviewAnswer,
    RecurrenceWrite,
    RuleText,
    ZoneName,
)
from pm_api.domains.tasks.schemas.tasks import TaskRead
from pm_api.domains.tasks.series import Anchor, Mode

router = api_router(tag="tasks")

Readable = Annotated[TaskScope, Depends(require_task("task.read"))]
Writable = Annotated[TaskScope, Depends(require_task("task.write"))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
WRITTEN: Final = (TaskNotFound, PreconditionFailed, InvalidIfMatch, Forbidden, ProjectArchived)


@router.put(
    "/tasks/{task_id}/recurrence",
    operation_id="putTaskRecurrence",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*WRITTEN, RecurrenceNeedsDate, *ADMISSION),
)
async def put_task_recurrence(
    at: Writable,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    wanted: RecurrenceWrite,
) -> RecurrenceAnswer:
    """Let a task come again. When it is done, the next one is made: with its title, description, people, labels,
    checklist, estimate, fields and the task above it, and with dates by the rule. By ON_SCHEDULE it is made when its
    time has come, too, even if this one is not done.
    """
    task, token = await recurring.put(session, platform, at, wanted, expected_version)
    return _answer(task, token, response)


@router.delete(
    "/tasks/{task_id}/recurrence",
    operation_id="deleteTaskRecurrence",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(*WRITTEN, NotRecurring),
)
async def delete_task_recurrence(
    at: Writable, session: SessionDep, platform: PlatformDep, response: Response, expected_version: ExpectedVersion
) -> RecurrenceAnswer:
    """Let the series end with this task."""
    task, token = await recurring.stop(session, platform, at, expected_version)
    return _answer(task, token, response)


@router.get(
    "/tasks/{task_id}/recurrence/preview",
    operation_id="previewTaskRecurrence",
    openapi_extra=raises(TaskNotFound, NotRecurring, RecurrenceNeedsDate, *ADMISSION),
)
async def preview_task_recurrence(
    at: Readable,
    session: SessionDep,
    platform: PlatformDep,
    rrule: Annotated[
        RuleText | None, Query(description="A rule to try out. Left out: the task's own.", examples=["FREQ=DAILY"])
    ] = None,
    time_zone: Annotated[
        ZoneName, Query(alias="timeZone", description="The zone of a rule to try out.", examples=["Europe/Berlin"])
    ] = "UTC",
    anchor: Annotated[Anchor, Query(description="The anchor of a rule to try out.")] = Anchor.DUE,
    mode: Annotated[Mode, Query(description="The mode of a rule to try out.")] = Mode.ON_SCHEDULE,
    count: Annotated[int, Query(ge=1, le=50, description="How many of the next ones.")] = 10,
) -> RecurrencePreviewAnswer:
    """When the next tasks would be, by the task's own rule or by one you are thinking of."""
    wanted = None
    if rrule is not None:
        wanted = RecurrenceWrite.model_validate(
            {"rrule": rrule, "timeZone": time_zone, "anchor": anchor, "mode": mode}
        )
    return RecurrencePreviewAnswer(preview=await recurring.preview(session, platform, at, wanted, count))


def _answer(task: TaskRead, undo_token: object, response: Response) -> RecurrenceAnswer:
    response.headers["ETag"] = sight_tag(task.version, task.model_dump_json())
    return RecurrenceAnswer.model_validate({"task": task, "undo_token": undo_token})
