"""Routes of uploads that go straight to the store."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound, UnsupportedMediaType
from pm_api.core.http import entity_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.platform import Platform, PlatformDep
from pm_api.domains.storage import arrivals, upload_reading
from pm_api.domains.storage.arrivals import Signed, Told
from pm_api.domains.storage.enums import UploadWay
from pm_api.domains.storage.errors.arrivals import (
    PresigningUnavailable,
    UploadBeingCompleted,
    UploadNotArrived,
    UploadNotPresigned,
    UploadPartsMismatch,
    UploadStillChanging,
)
from pm_api.domains.storage.errors.uploads import ChecksumMismatch, LengthMismatch, UploadEnded
from pm_api.domains.storage.guards_uploads import Place, UploadScope, require_place, require_upload
from pm_api.domains.storage.router.refusing import raises_there
from pm_api.domains.storage.router.uploads import BEGINNING
from pm_api.domains.storage.schemas.arrivals import (
    PresignedAnswer,
    PresignedCreate,
    PresignedRead,
    SignedPartRead,
    SignedRequestRead,
    UploadCompletion,
)
from pm_api.domains.storage.schemas.uploads import UploadAnswer
from pm_api.domains.storage.sessions import NewUpload
from pm_api.integrations.blobs import StorageUnavailable
from pm_api.integrations.blobs.presigning import SentPart, SignedRequest

router = api_router(tag="storage")


@router.post(
    "/storage/uploads/presigned",
    operation_id="createPresignedUpload",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises_there(
        *BEGINNING, PresigningUnavailable, StorageUnavailable, UploadEnded, UnsupportedMediaType
    ),
)
async def create_presigned_upload(
    place: Annotated[Place, Depends(require_place("file.write"))],
    platform: PlatformDep,
    response: Response,
    wanted: PresignedCreate,
) -> PresignedAnswer:
    """Ask for addresses of the store itself, where you put a file's bytes without a detour through this API: one
    address up to 64 MiB, beyond that one for each part.

    Only where files are kept in S3, whose bucket must allow `PUT` from your origin and show you `ETag` (CORS). The
    room is taken now and given back when the upload ends unfinished: after 2 hours, or 24 in parts. Complete it with
    `POST /api/storage/uploads/{upload_id}/complete`. Each upload is a record of its own, and an Idempotency-Key adds
    nothing: cancel one that was begun twice, or let it expire.
    """
    if not _agrees(place, wanted):
        raise UnsupportedMediaType
    signed = await arrivals.begin(platform, place.scope, _new(place, wanted))
    response.headers["Location"] = f"/api/storage/uploads/{signed.upload.id}"
    response.headers["ETag"] = entity_tag(signed.upload.version)
    async with platform.database.reading() as session:
        shown = await upload_reading.shown(session, platform, place.scope, signed.upload)
    return PresignedAnswer(upload=shown, presigned=_presigned(platform, signed))


@router.post(
    "/storage/uploads/{upload_id}/complete",
    operation_id="completeUpload",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        *(NotFound, UploadEnded, UploadNotPresigned, UploadBeingCompleted, UploadPartsMismatch),
        *(UploadNotArrived, UploadStillChanging, LengthMismatch, ChecksumMismatch, StorageUnavailable),
    ),
)
async def complete_upload(
    scope: Annotated[UploadScope, Depends(require_upload())],
    platform: PlatformDep,
    response: Response,
    wanted: UploadCompletion | None = None,
) -> UploadAnswer:
    """Say that everything is put. What lies there is compared with what was announced, copied to where nobody can
    change it any more, and read through for its checksums.

    Up to 256 MiB the upload is COMPLETED when this answers; larger ones are FINISHING, and a worker goes on: read the
    upload until it is COMPLETED or FAILED. Completing it again changes nothing: do so after a lost answer, or 503.
    """
    told = wanted or UploadCompletion()
    await arrivals.complete(
        platform,
        scope.upload_id,
        Told(
            parts=tuple(SentPart(one.part_number, one.etag) for one in told.parts),
            etag=told.etag,
            sha256=bytes.fromhex(told.sha256) if told.sha256 is not None else None,
        ),
    )
    async with platform.database.reading() as session:
        upload = await upload_reading.held_by(session, scope)
        response.headers["ETag"] = entity_tag(upload.version)
        return UploadAnswer(upload=await upload_reading.shown(session, platform, scope.scope, upload))


def _agrees(place: Place, wanted: PresignedCreate) -> bool:
    """Whether the guard has read the same body: under another media type than JSON's it reads none."""
    workspace_id = place.scope.workspace_id if isinstance(place.scope, WorkspaceScope) else None
    return (
        wanted.workspace_id in (None, workspace_id)
        and wanted.task_id in (None, place.task_id)
        and wanted.project_id in (None, place.project_id)
        and wanted.file_id in (None, place.file_id)
    )


def _new(place: Place, wanted: PresignedCreate) -> NewUpload:
    return NewUpload(
        way=UploadWay.PRESIGNED,
        file_type=place.file_type,
        original_name=wanted.original_name,
        declared_type=wanted.mime_type,
        total_bytes=wanted.file_size,
        task_id=place.task_id,
        project_id=place.project_id,
        file_id=place.file_id,
        expected_sha256=bytes.fromhex(wanted.sha256) if wanted.sha256 is not None else None,
        expected_md5=bytes.fromhex(wanted.md5) if wanted.md5 is not None else None,
        comes_in_apart=True,
        lifetime=arrivals.lifetime_of(wanted.file_size),
    )


def _presigned(platform: Platform, signed: Signed) -> PresignedRead:
    parts = []
    starts_at = 0
    for one in signed.parts:
        parts.append(
            SignedPartRead(
                part_number=one.number, starts_at=starts_at, size=one.size_bytes, request=_request(one.request)
            )
        )
        starts_at += one.size_bytes
    return PresignedRead(
        put=_request(signed.put) if signed.put is not None else None,
        parts=parts,
        expires_at=platform.clock.wall() + timedelta(seconds=signed.expires_in_s),
    )


def _request(request: SignedRequest) -> SignedRequestRead:
    return SignedRequestRead(method=request.method, url=request.url, headers=request.headers)
