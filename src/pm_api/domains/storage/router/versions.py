"""Versions of files over HTTP."""

from typing import Annotated

from fastapi import Depends, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import versions
from pm_api.domains.storage.errors.files import (
    FileInTrash,
    FileIsPicture,
    FileNotFound,
    FileNotReady,
    NotTheUploader,
    VersionInUse,
    VersionNotFound,
)
from pm_api.domains.storage.guards import READ, WRITE, FileScope, require_file
from pm_api.domains.storage.router.parameters import VersionNumber
from pm_api.domains.storage.router.refusing import raises_there
from pm_api.domains.storage.schemas.files import FileAnswer
from pm_api.domains.storage.schemas.versions import FileVersionsAnswer

router = api_router(tag="storage")

Reads = Annotated[FileScope, Depends(require_file(READ))]
Writes = Annotated[FileScope, Depends(require_file(WRITE))]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
REFUSALS = (
    *(FileNotFound, Forbidden, NotTheUploader, FileIsPicture, FileInTrash, VersionNotFound, VersionInUse),
    *(PreconditionFailed, InvalidIfMatch),
)


@router.get(
    "/storage/files/{file_id}/versions",
    operation_id="listFileVersions",
    openapi_extra=raises(FileNotFound, InvalidCursor),
)
async def list_file_versions(
    allowed: Reads,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
) -> FileVersionsAnswer:
    """What a file holds and held, newest first. A new version is uploaded as a file is, with the file's `fileId`."""
    return await versions.list_of(session, platform, allowed.scope, allowed.file_id, page)


@router.post(
    "/storage/files/{file_id}/versions/{number}/restore",
    operation_id="restoreFileVersion",
    responses={200: ETAG_HEADER},
    openapi_extra=raises_there(*REFUSALS, FileNotReady),
)
async def restore_file_version(
    allowed: Writes,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    number: VersionNumber,
) -> FileAnswer:
    """What an older version holds counts again, as a new version."""
    found = await versions.restore(session, platform, allowed.scope, allowed.file_id, number, expected_version)
    response.headers["ETag"] = entity_tag(found.version)
    return FileAnswer(file=found)


@router.delete(
    "/storage/files/{file_id}/versions/{number}",
    operation_id="deleteFileVersion",
    status_code=204,
    openapi_extra=raises_there(*REFUSALS),
)
async def delete_file_version(
    allowed: Writes,
    session: SessionDep,
    platform: PlatformDep,
    expected_version: ExpectedVersion,
    number: VersionNumber,
) -> None:
    """Forget an older version for good, at once."""
    await versions.delete(session, platform, allowed.scope, allowed.file_id, number, expected_version)
