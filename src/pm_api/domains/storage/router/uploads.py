"""Uploads: in one request, and what became of any."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from fastapi.datastructures import Headers

from pm_api.core.db import SessionDep
from pm_api.core.errors import BadRequest, Forbidden, NotFound, PayloadTooLarge, PreconditionFailed, ValidationFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import MAX_KEY_LENGTH, IdempotencyKeyReused, InvalidIdempotencyKey, api_router
from pm_api.core.late_keys import late_key_of
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import sessions, upload_reading, uploading
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.files import FileIsPicture, FileNotFound, NotTheUploader
from pm_api.domains.storage.errors.places import NotAPlaceForFiles, PlaceNotFound, TooManyFilesHere
from pm_api.domains.storage.errors.uploads import (
    ChecksumMismatch,
    FileTooLarge,
    LengthMismatch,
    MalformedMultipart,
    MultipartExpected,
    StorageQuotaExceeded,
    TooManyUploads,
    UploadEnded,
    UploadInterrupted,
    UploadTimedOut,
    VersionNotTaken,
)
from pm_api.domains.storage.guards_uploads import Place, UploadScope, require_place, require_upload
from pm_api.domains.storage.router.refusing import raises_there
from pm_api.domains.storage.schemas.uploads import UploadAnswer, UploadedAnswer
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.integrations.blobs import StorageUnavailable

FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "name": {
                            "type": "string",
                            "description": "What the file is called; the part's own file name when left out.",
                        },
                        "sha256": {
                            "type": "string",
                            "description": "SHA-256 the file must have, in hex or base64.",
                        },
                        "md5": {"type": "string", "description": "MD5 the file must have, in hex or base64."},
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "The file, behind all other fields.",
                        },
                    },
                }
            }
        },
    }
}
BEGINNING: Final = (
    *(Forbidden, WorkspaceNotFound, PlaceNotFound, FileNotFound, NotTheUploader, FileIsPicture),
    *(NotAPlaceForFiles, TooManyFilesHere, VersionNotTaken, ValidationFailed),
    *(StorageQuotaExceeded, FileTooLarge, TooManyUploads),
)
"""What beginning an upload can be refused with, whichever way its bytes come."""

router = api_router(tag="storage")


@router.post(
    "/storage/uploads",
    operation_id="createUpload",
    status_code=201,
    response_model=UploadedAnswer,
    responses={201: answers_with("ETag", "Location", "Idempotent-Replayed")},
    openapi_extra={
        **raises_there(
            *BEGINNING,
            *(MultipartExpected, MalformedMultipart, UploadInterrupted, UploadEnded, PayloadTooLarge, BadRequest),
            *(ChecksumMismatch, LengthMismatch, StorageUnavailable, UploadTimedOut),
            *(IdempotencyKeyReused, InvalidIdempotencyKey),
        ),
        **FORM,
    },
)
async def create_upload(
    place: Annotated[Place, Depends(require_place("file.write"))],
    platform: PlatformDep,
    request: Request,
    _workspace_id: Annotated[
        UUID | None,
        Query(alias="workspaceId", description="The workspace the file is for; without one it is your own."),
    ] = None,
    _file_type: Annotated[
        FileType | None,
        Query(alias="fileType", description="What it is for; TEMPORARY_UPLOAD when left out."),
    ] = None,
    _task_id: Annotated[
        UUID | None, Query(alias="taskId", description="The task a TASK_ATTACHMENT is attached to.")
    ] = None,
    _project_id: Annotated[
        UUID | None, Query(alias="projectId", description="The project a PROJECT_ASSET belongs to.")
    ] = None,
    _file_id: Annotated[
        UUID | None,
        Query(alias="fileId", description="The file this is a new version of; then leave the place out."),
    ] = None,
    _idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=MAX_KEY_LENGTH,
            description="One text per intention: under it one file comes of the same bytes, name and place, however "
            "often and at whatever time they are sent within 48 hours, and each retry gets the first answer again. A "
            "refusal is not kept.",
        ),
    ] = None,
) -> Response:
    """Upload a file in one request, as a form whose last part is the file.

    Where it goes is said in the address, so that it is decided before the body is read. The room it needs is taken
    before its first byte is, and given back if anything goes wrong: then nothing is kept. Compare the receipt with
    what you sent, or send `sha256` or `md5` along. For large files and unsteady lines use tus at `/api/storage/tus`.
    """
    length = Headers(scope=request.scope).get("content-length", "")
    body = uploading.Body(
        content_type=request.headers.get("content-type", ""),
        content_length=int(length) if length.isdecimal() and len(length) < 19 else None,
        stream=request.stream(),
    )
    return await uploading.upload(platform, place, body, late_key_of(request))


@router.get(
    "/storage/uploads/{upload_id}",
    operation_id="getUpload",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_upload(
    scope: Annotated[UploadScope, Depends(require_upload())],
    platform: PlatformDep,
    session: SessionDep,
    response: Response,
) -> UploadAnswer:
    """One of your uploads, whichever way its bytes come. Ended ones are kept for a while."""
    found = await upload_reading.held_by(session, scope)
    upload = await upload_reading.shown(session, platform, scope.scope, found)
    # How far it is, and what becomes of its file, is shown without a new version.
    response.headers["ETag"] = sight_tag(upload.version, upload.model_dump_json())
    return UploadAnswer(upload=upload)


@router.delete(
    "/storage/uploads/{upload_id}",
    operation_id="cancelUpload",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, UploadEnded),
)
async def cancel_upload(
    scope: Annotated[UploadScope, Depends(require_upload())],
    platform: PlatformDep,
    version: Annotated[int | None, Depends(if_match)] = None,
) -> None:
    """Cancel an upload: what has come in goes, and its room is free again. A file that is complete stays."""
    await sessions.cancel(platform, scope.scope.user_id, scope.upload_id, version)
