"""Routes of tus 1.0.0: uploads that go on where they were cut off."""

from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Request, Response

from pm_api.core.errors import ApiError
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import tus
from pm_api.domains.storage.enums import UploadWay
from pm_api.domains.storage.errors.tus import (
    ChecksumAlgorithmUnsupported,
    ChunkChecksumMismatch,
    InvalidTusHeader,
    TusContentTypeExpected,
    TusVersionUnsupported,
    UploadCutOff,
    UploadFragmented,
    UploadGone,
    UploadLengthExceeded,
    UploadOffsetMismatch,
    UploadStalled,
    UploadTakenOver,
)
from pm_api.domains.storage.errors.uploads import FileTooLarge, StorageQuotaExceeded, UploadEnded
from pm_api.domains.storage.guards_uploads import Place, UploadScope, require_place, require_upload
from pm_api.domains.storage.router.refusing import raises_there
from pm_api.domains.storage.router.uploads import BEGINNING
from pm_api.domains.storage.sessions import NewUpload
from pm_api.domains.storage.sniffing import declared_type
from pm_api.domains.storage.tus_edge import ADDRESS
from pm_api.domains.storage.tus_headers import (
    CONTENT_TYPE,
    Checksum,
    UnknownAlgorithm,
    Unreadable,
    metadata_texts,
    read_checksum,
    read_lengths,
    read_number,
)
from pm_api.domains.storage.tus_intake import Piece
from pm_api.integrations.blobs import StorageUnavailable

NAMELESS: Final = "file"

router = api_router(tag="storage")

Version = Annotated[
    str | None, Header(alias="Tus-Resumable", description="`1.0.0`; 412 without it.", examples=["1.0.0"])
]
Length = Annotated[
    str | None, Header(alias="Upload-Length", description="Bytes of the whole upload.", examples=["11534336"])
]
DeferLength = Annotated[
    str | None, Header(alias="Upload-Defer-Length", description="`1` when the length is told later.", examples=["1"])
]
Metadata = Annotated[
    str | None,
    Header(
        alias="Upload-Metadata",
        description="Comma-separated keys with values in Base64: `filename` and `filetype`; where it goes as "
        "`workspaceId`, `fileType`, `taskId`, `projectId`, or `fileId` for a new version of a file; and `sha256` or "
        "`md5` in hex, which the whole is compared with.",
        examples=["filename cGxhbi5wZGY=,filetype YXBwbGljYXRpb24vcGRm"],
    ),
]
Offset = Annotated[
    str | None,
    Header(alias="Upload-Offset", description="Where these bytes begin: where the upload is.", examples=["0"]),
]
UploadChecksum = Annotated[
    str | None,
    Header(
        alias="Upload-Checksum",
        description="`sha1`, `sha256` or `md5`, and the digest of this request's bytes in Base64. With it all of "
        "them are kept or none.",
        examples=["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="],
    ),
]

TOLD: Final[dict[str, str]] = {
    "Tus-Resumable": "The version that is spoken.",
    "Tus-Version": "The versions that are spoken.",
    "Tus-Extension": "The extensions that are spoken.",
    "Tus-Checksum-Algorithm": "What `Upload-Checksum` may name.",
    "Upload-Offset": "How many bytes have arrived.",
    "Upload-Length": "Bytes of the whole upload, once they are known.",
    "Upload-Defer-Length": "`1` while the length is not known.",
    "Upload-Metadata": "What was sent when the upload began.",
    "Upload-Expires": "Until when it can be gone on with; later, after each piece.",
}


def _answers(description: str, *names: str, **more: Any) -> dict[str, Any]:
    headers = {name: {"description": TOLD[name], "schema": {"type": "string"}} for name in ("Tus-Resumable", *names)}
    return {"description": description, "headers": {**headers, **more}}


def _body(required: bool) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"required": required, "description": "Bytes from the offset on.", "content": content}}


PIECES: Final = (
    TusVersionUnsupported,
    InvalidTusHeader,
    ChecksumAlgorithmUnsupported,
    ChunkChecksumMismatch,
    TusContentTypeExpected,
    UploadCutOff,
    UploadFragmented,
    UploadGone,
    UploadLengthExceeded,
    UploadStalled,
    UploadTakenOver,
    UploadEnded,
    FileTooLarge,
    StorageQuotaExceeded,
    StorageUnavailable,
)


@router.options(
    "/storage/tus",
    operation_id="getTusOptions",
    status_code=204,
    responses={204: _answers("What is spoken here.", "Tus-Version", "Tus-Extension", "Tus-Checksum-Algorithm")},
)
async def get_tus_options() -> Response:
    """Which version and extensions of tus are spoken."""
    return Response(status_code=204)


@router.options(
    "/storage/tus/{upload_id}",
    operation_id="getTusUploadOptions",
    status_code=204,
    responses={204: _answers("What is spoken here.", "Tus-Version", "Tus-Extension", "Tus-Checksum-Algorithm")},
)
async def get_tus_upload_options(
    upload_id: Annotated[str, Path(description="The upload.", max_length=100)],
) -> Response:
    """The same at an upload's address, whether there is one or not."""
    del upload_id
    return Response(status_code=204)


@router.post(
    "/storage/tus",
    operation_id="createTusUpload",
    status_code=201,
    response_class=Response,
    responses={
        201: _answers(
            "The upload has begun.",
            "Upload-Offset",
            "Upload-Expires",
            Location={"$ref": "#/components/headers/Location"},
        )
    },
    openapi_extra={
        **raises_there(*PIECES, *BEGINNING),
        **_body(required=False),
    },
)
async def create_tus_upload(
    place: Annotated[Place, Depends(require_place("file.write"))],
    platform: PlatformDep,
    request: Request,
    version: Version = None,
    upload_length: Length = None,
    upload_defer_length: DeferLength = None,
    upload_metadata: Metadata = None,
    upload_checksum: UploadChecksum = None,
) -> Response:
    """Begin an upload. Room is promised for all of it, or none is begun; its address is the answer's `Location`.

    A body is taken as the first piece of it. Each upload is a record of its own, and an Idempotency-Key adds nothing:
    one that was begun twice expires, and its room is free again. End it to have that at once.
    """
    del version
    announced = _announced_bytes(request)
    has_piece = announced != 0 and _is_piece(request)
    if announced and not has_piece:
        raise TusContentTypeExpected
    checksum = _checksum(upload_checksum)
    try:
        length = read_lengths(upload_length, upload_defer_length)
        metadata = metadata_texts(upload_metadata or "")
        expected = {name: _hex(metadata, name, size) for name, size in (("sha256", 32), ("md5", 16))}
    except Unreadable as unreadable:
        raise InvalidTusHeader(str(unreadable)) from None
    wanted = NewUpload(
        way=UploadWay.TUS,
        file_type=place.file_type,
        original_name=metadata.get("filename") or metadata.get("name") or NAMELESS,
        declared_type=declared_type(metadata.get("filetype") or metadata.get("type")),
        total_bytes=length,
        task_id=place.task_id,
        project_id=place.project_id,
        file_id=place.file_id,
        expected_sha256=expected["sha256"],
        expected_md5=expected["md5"],
        raw_metadata=upload_metadata or "",
    )
    standing = await tus.create(platform, place.scope, wanted)
    location = {"Location": f"{ADDRESS}/{standing.upload_id}"}
    if has_piece:
        piece = Piece(0, announced, checksum)
        try:
            standing = await tus.add(platform, standing.upload_id, piece, request.receive)
        except ApiError as error:
            error.headers.update(location)
            raise
    return Response(status_code=201, headers={**location, **standing.headers()})


@router.head(
    "/storage/tus/{upload_id}",
    operation_id="getTusUpload",
    response_class=Response,
    responses={
        200: _answers(
            "How far it is.",
            "Upload-Offset",
            "Upload-Length",
            "Upload-Defer-Length",
            "Upload-Metadata",
            "Upload-Expires",
        )
    },
    openapi_extra=raises(TusVersionUnsupported, UploadGone),
)
async def get_tus_upload(
    upload: Annotated[UploadScope, Depends(require_upload())],
    platform: PlatformDep,
    version: Version = None,
) -> Response:
    """How far an upload is. Whichever connection was sending to it is not read any further, so that what this says
    stays true until somebody goes on; to watch an upload under way, read `GET /api/storage/uploads/{id}`.
    """
    del version
    standing = await tus.stand(platform, upload.upload_id)
    headers = {**standing.headers(), "Cache-Control": "no-store"}
    if standing.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(standing.length)
    if standing.metadata:
        headers["Upload-Metadata"] = standing.metadata
    return Response(status_code=200, headers=headers)


@router.patch(
    "/storage/tus/{upload_id}",
    operation_id="updateTusUpload",
    status_code=204,
    responses={204: _answers("So far it is now.", "Upload-Offset", "Upload-Expires")},
    openapi_extra={**raises(*PIECES, UploadOffsetMismatch), **_body(required=True)},
)
async def update_tus_upload(
    upload: Annotated[UploadScope, Depends(require_upload())],
    platform: PlatformDep,
    request: Request,
    version: Version = None,
    upload_offset: Offset = None,
    upload_length: Length = None,
    upload_checksum: UploadChecksum = None,
) -> Response:
    """Send more of an upload, from where it is. What arrives before a connection breaks is kept.

    With the last byte the upload becomes a file: at once when it is small, else within moments.
    """
    del version
    if not _is_piece(request):
        raise TusContentTypeExpected
    try:
        offset = read_number("Upload-Offset", upload_offset or "")
        length = None if upload_length is None else read_number("Upload-Length", upload_length)
    except Unreadable as unreadable:
        raise InvalidTusHeader(str(unreadable)) from None
    piece = Piece(offset, _announced_bytes(request), _checksum(upload_checksum), length)
    standing = await tus.add(platform, upload.upload_id, piece, request.receive)
    return Response(status_code=204, headers=standing.headers())


@router.delete(
    "/storage/tus/{upload_id}",
    operation_id="deleteTusUpload",
    status_code=204,
    responses={204: _answers("It has ended.")},
    openapi_extra=raises(TusVersionUnsupported, UploadGone),
)
async def delete_tus_upload(
    upload: Annotated[UploadScope, Depends(require_upload())],
    platform: PlatformDep,
    version: Version = None,
) -> Response:
    """End an upload for good: what came of it goes, and its room is given back. Of a complete one only this address
    goes: what it made is a file by then, which is deleted as one.
    """
    del version
    await tus.terminate(platform, upload.upload_id)
    return Response(status_code=204)


def _announced_bytes(request: Request) -> int | None:
    """What the request says of its body's length; None when it does not."""
    if "transfer-encoding" in request.headers:
        return None
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() and len(announced) < 19 else 0


def _is_piece(request: Request) -> bool:
    return request.headers.get("content-type", "").strip().lower() == CONTENT_TYPE


def _checksum(raw: str | None) -> Checksum | None:
    if raw is None:
        return None
    try:
        return read_checksum(raw)
    except UnknownAlgorithm:
        raise ChecksumAlgorithmUnsupported from None
    except Unreadable as unreadable:
        raise InvalidTusHeader(str(unreadable)) from None


def _hex(metadata: dict[str, str], name: str, size_bytes: int) -> bytes | None:
    raw = metadata.get(name)
    if raw is None:
        return None
    try:
        found = bytes.fromhex(raw)
    except ValueError:
        found = b""
    if len(found) != size_bytes:
        raise Unreadable(f"{name} in Upload-Metadata is not {size_bytes} bytes in hex.")
    return found
