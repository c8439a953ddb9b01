"""Files over HTTP: lists, one of them, the trash."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Query, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.storage import filing, trash
from pm_api.domains.storage.enums import FileType, UploadStatus
from pm_api.domains.storage.errors.files import (
    FileInTrash,
    FileIsPicture,
    FileNotFound,
    FileNotInTrash,
    FileNotReady,
    InvalidFileName,
    NotTheUploader,
)
from pm_api.domains.storage.errors.places import NotAPlaceForFiles, PlaceNotFound, TooManyFilesHere
from pm_api.domains.storage.guards import READ, WRITE, FileScope, files_listed, require_file
from pm_api.domains.storage.repository.files import Wanted
from pm_api.domains.storage.router.refusing import raises_there
from pm_api.domains.storage.schemas.files import FileAnswer, FileRead, FilesAnswer, FileUpdate
from pm_api.identity.errors.people import WorkspaceNotFound

router = api_router(tag="storage")

LONGEST_QUESTION: Final = 200

Reads = Annotated[FileScope, Depends(require_file(READ))]
Writes = Annotated[FileScope, Depends(require_file(WRITE))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.get(
    "/storage/files", operation_id="listFiles", openapi_extra=raises(WorkspaceNotFound, PlaceNotFound, InvalidCursor)
)
async def list_files(
    scope: Annotated[AccountScope, Depends(files_listed)],
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: Annotated[
        UUID | None,
        Query(
            alias="workspaceId",
            description="The workspace; without it that of the task or project you name, else your own files.",
        ),
    ] = None,
    task_id: Annotated[UUID | None, Query(alias="taskId", description="Only attachments of this task.")] = None,
    project_id: Annotated[UUID | None, Query(alias="projectId", description="Only files of this project.")] = None,
    file_type: Annotated[FileType | None, Query(alias="fileType", description="Only files for this.")] = None,
    status: Annotated[UploadStatus | None, Query(description="Only files that are so far.")] = None,
    trashed: Annotated[bool, Query(description="What is in the trash, instead of what is not.")] = False,
    q: Annotated[
        Text | None,
        Query(description="Only files with such names.", min_length=1, max_length=LONGEST_QUESTION),
    ] = None,
) -> FilesAnswer:
    """Files that you see, newest first. With `q` a workspace's are found as by `GET /api/search`, at most 500."""
    return await filing.list_of(
        session, platform, scope, Wanted(task_id, project_id, file_type, status, trashed, q), page
    )


@router.get(
    "/storage/files/{file_id}",
    operation_id="getFile",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(FileNotFound),
)
async def get_file(allowed: Reads, session: SessionDep, platform: PlatformDep, response: Response) -> FileAnswer:
    """What is known of a file. Its bytes are at `contentUrl`."""
    found = await filing.get(session, platform, allowed.scope, allowed.file_id)
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return FileAnswer(file=found)


@router.patch(
    "/storage/files/{file_id}",
    operation_id="updateFile",
    responses={200: ETAG_HEADER},
    openapi_extra=raises_there(
        *(FileNotFound, PlaceNotFound, Forbidden, NotTheUploader, FileIsPicture, FileInTrash, FileNotReady),
        *(InvalidFileName, NotAPlaceForFiles, TooManyFilesHere, PreconditionFailed, InvalidIfMatch),
    ),
)
async def update_file(
    allowed: Writes,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    wanted: FileUpdate,
) -> FileAnswer:
    """Name a file anew, or put it somewhere: to a task or into a project. For whoever uploaded it, and for who
    manages files where it is.
    """
    return _answer(
        await filing.change(session, platform, allowed.scope, allowed.file_id, wanted, expected_version), response
    )


@router.delete(
    "/storage/files/{file_id}",
    operation_id="deleteFile",
    status_code=204,
    openapi_extra=raises_there(
        *(FileNotFound, Forbidden, NotTheUploader, FileIsPicture, FileInTrash, FileNotReady),
        *(PreconditionFailed, InvalidIfMatch),
    ),
)
async def delete_file(
    allowed: Writes,
    session: SessionDep,
    platform: PlatformDep,
    expected_version: ExpectedVersion,
    permanent: Annotated[bool, Query(description="For good, at once: there is no way back.")] = False,
) -> None:
    """Put a file into the trash, from which it goes for good after 30 days; until then it takes up room. Links to it
    are dead from now on. With `permanent` it goes now, also from the trash, and its room is free.
    """
    await trash.delete(session, platform, allowed.scope, allowed.file_id, expected_version, permanent=permanent)


@router.post(
    "/storage/files/{file_id}/restore",
    operation_id="restoreFile",
    responses={200: ETAG_HEADER},
    openapi_extra=raises_there(
        *(FileNotFound, Forbidden, NotTheUploader, FileIsPicture, FileNotInTrash, TooManyFilesHere),
        *(PreconditionFailed, InvalidIfMatch),
    ),
)
async def restore_file(
    allowed: Writes,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
) -> FileAnswer:
    """Take a file out of the trash, back to where it was; one without a place has 24 hours to be put somewhere. Links
    that led to it stay dead.
    """
    return _answer(await trash.restore(session, platform, allowed.scope, allowed.file_id, expected_version), response)


def _answer(found: FileRead, response: Response) -> FileAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return FileAnswer(file=found)
