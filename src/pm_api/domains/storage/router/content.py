"""Bytes of files over HTTP."""

from typing import Annotated

from fastapi import Depends, Request, Response

from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import serving
from pm_api.domains.storage.enums import Disposition
from pm_api.domains.storage.errors.files import (
    FileGone,
    FileInTrash,
    FileNotFound,
    FileNotReady,
    RangeNotSatisfiable,
    VersionNotFound,
)
from pm_api.domains.storage.guards import READ, FileScope, require_file
from pm_api.domains.storage.router import answering
from pm_api.domains.storage.router.parameters import IfNoneMatch, IfRange, InPlace, Range, VersionNumber
from pm_api.integrations.blobs import StorageUnavailable

router = api_router(tag="storage")

Reads = Annotated[FileScope, Depends(require_file(READ))]
REFUSALS = (FileNotFound, FileInTrash, FileNotReady, FileGone, RangeNotSatisfiable, StorageUnavailable)


@router.get(
    "/storage/files/{file_id}/content",
    operation_id="getFileContent",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(*REFUSALS),
)
async def get_file_content(
    allowed: Reads,
    platform: PlatformDep,
    request: Request,
    disposition: InPlace = Disposition.ATTACHMENT,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A file's bytes, or one range of them, as what they are by their content. Browsers save them; with
    `disposition=inline` they show in place what is safe to show: pictures, sound, films, plain text.
    """
    del range_, if_range, if_none_match  # read from the request, where the answer is made
    async with platform.database.reading() as session:
        found = await serving.current(session, platform, allowed.scope, allowed.file_id)
    return await answering.answer(platform, request, found, disposition)


@router.head(
    "/storage/files/{file_id}/content",
    operation_id="headFileContent",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(*REFUSALS),
)
async def head_file_content(
    allowed: Reads,
    platform: PlatformDep,
    request: Request,
    disposition: InPlace = Disposition.ATTACHMENT,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same without the bytes: how many they are, and whether you have them."""
    del range_, if_range, if_none_match
    async with platform.database.reading() as session:
        found = await serving.current(session, platform, allowed.scope, allowed.file_id)
    return await answering.answer(platform, request, found, disposition)


@router.get(
    "/storage/files/{file_id}/versions/{number}/content",
    operation_id="getFileVersionContent",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(VersionNotFound, *REFUSALS),
)
async def get_file_version_content(
    allowed: Reads,
    platform: PlatformDep,
    request: Request,
    number: VersionNumber,
    disposition: InPlace = Disposition.ATTACHMENT,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What a file held at a version, as the file's content is read."""
    del range_, if_range, if_none_match
    async with platform.database.reading() as session:
        found = await serving.version(session, platform, allowed.scope, allowed.file_id, number)
    return await answering.answer(platform, request, found, disposition)


@router.head(
    "/storage/files/{file_id}/versions/{number}/content",
    operation_id="headFileVersionContent",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(VersionNotFound, *REFUSALS),
)
async def head_file_version_content(
    allowed: Reads,
    platform: PlatformDep,
    request: Request,
    number: VersionNumber,
    disposition: InPlace = Disposition.ATTACHMENT,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same without the bytes."""
    del range_, if_range, if_none_match
    async with platform.database.reading() as session:
        found = await serving.version(session, platform, allowed.scope, allowed.file_id, number)
    return await answering.answer(platform, request, found, disposition)
