"""Attachments of tasks over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.storage.errors.files import FileInTrash, FileIsPicture, FileNotFound, FileNotReady, NotTheUploader
from pm_api.domains.storage.errors.places import PlaceNotFound, TooManyFilesHere
from pm_api.domains.tasks import attaching
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.attachments import AttachmentAnswer, AttachmentCreate, AttachmentsAnswer

router = api_router(tag="tasks")

Reading = Annotated[TaskScope, Depends(require_task("task.read"))]
Writing = Annotated[TaskScope, Depends(require_task("task.write"))]
FileId = Annotated[UUID, Path(description="A file attached to the task.")]
OF_FILE: Final = (FileNotFound, NotTheUploader, FileIsPicture, FileInTrash, FileNotReady)


@router.get("/tasks/{task_id}/attachments", operation_id="listTaskAttachments", openapi_extra=raises(TaskNotFound))
async def list_task_attachments(at: Reading, session: SessionDep, platform: PlatformDep) -> AttachmentsAnswer:
    """The files attached to a task, oldest first: all of them, which are 200 at most."""
    return AttachmentsAnswer(attachments=await attaching.attachments(session, platform, at))


@router.post(
    "/tasks/{task_id}/attachments",
    operation_id="attachFile",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(TaskNotFound, PlaceNotFound, ProjectArchived, Forbidden, TooManyFilesHere, *OF_FILE),
)
async def attach_file(
    at: Writing, session: SessionDep, platform: PlatformDep, response: Response, wanted: AttachmentCreate
) -> AttachmentAnswer:
    """Attach a file that has been uploaded: it stays from now on, and whoever sees the task sees it. What is new is
    uploaded to the task directly, with `fileType=TASK_ATTACHMENT` and `taskId`.
    """
    file = await attaching.attach(session, platform, at, wanted.file_id)
    response.headers["Location"] = f"/api/storage/files/{file.id}"
    response.headers["ETag"] = entity_tag(file.version)
    return AttachmentAnswer(attachment=file)


@router.delete(
    "/tasks/{task_id}/attachments/{file_id}",
    operation_id="detachFile",
    status_code=204,
    openapi_extra=raises(TaskNotFound, ProjectArchived, Forbidden, *OF_FILE),
)
async def detach_file(at: Writing, session: SessionDep, platform: PlatformDep, file_id: FileId) -> None:
    """Take a file off its task. It is in the trash for 30 days, from where `POST /api/storage/files/{id}/restore`
    brings it back to the task.
    """
    await attaching.detach(session, platform, at, file_id)
