"""Pictures over HTTP: of people and workspaces, and small ones of files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, BinaryIO, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from pm_api.core.actor import UserScope, WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.platform import Platform, PlatformDep, get_platform
from pm_api.domains.storage import pictures, ranges, thumbnails
from pm_api.domains.storage.errors.files import FileNotFound
from pm_api.domains.storage.errors.pictures import (
    NotAPicture,
    NoThumbnail,
    PictureBroken,
    PictureNotFound,
    PictureTooLarge,
)
from pm_api.domains.storage.errors.uploads import (
    FileTooLarge,
    MalformedMultipart,
    MultipartExpected,
    StorageQuotaExceeded,
    TooManyUploads,
    UploadInterrupted,
    UploadTimedOut,
)
from pm_api.domains.storage.forms import MOST_BEFORE_FILE_BYTES, FileForm, as_it_comes
from pm_api.domains.storage.guards import FileScope, require_file
from pm_api.domains.storage.leases import Leases
from pm_api.domains.storage.pictures import MOST_BYTES
from pm_api.domains.storage.router.parameters import IfNoneMatch
from pm_api.domains.storage.rules import READ
from pm_api.domains.storage.schemas.pictures import PictureAnswer, PictureRead, PictureSize, ThumbnailSize
from pm_api.domains.storage.scratch import scratch
from pm_api.domains.storage.serving import ASKED_EACH_TIME, POLICY
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require, signed_in_or_key
from pm_api.integrations.blobs import StorageUnavailable

router = api_router(tag="storage")

FOR_EVER: Final = "public, max-age=31536000, immutable"
SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": POLICY,
    # Pages of other sites show it: that is what its address is for.
    "Cross-Origin-Resource-Policy": "cross-origin",
}
REFUSALS: Final = (
    *(NotAPicture, PictureTooLarge, PictureBroken, StorageQuotaExceeded, FileTooLarge, TooManyUploads),
    *(MalformedMultipart, MultipartExpected, UploadInterrupted, UploadTimedOut, StorageUnavailable),
)
AS_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The picture: PNG, JPEG, WebP, GIF or AVIF, at most 10 MB, as it is or as a form's only file.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The picture, under any name."}
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
WEBP: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {pictures.WEBP: {"schema": {"type": "string", "format": "binary"}}},
        "description": "The picture.",
        **answers_with("ETag"),
    },
    304: {"description": "You have this picture."},
}
Oneself = Annotated[UserScope, Depends(signed_in_or_key("profile"))]
Administrator = Annotated[WorkspaceScope, Depends(require("workspace.update", of="workspaces"))]
Token = Annotated[str, Path(max_length=100, description="The secret of the picture's address.")]
Side = Annotated[PictureSize, Query(description="The square's side in pixels; less if there are fewer.")]
LongerSide = Annotated[ThumbnailSize, Query(description="The longer side in pixels; less if there are fewer.")]
WorkspaceId = Annotated[UUID, Path(alias="workspace_id", description="The workspace.")]


class WebpResponse(Response):
    media_type = pictures.WEBP


@router.post(
    "/user/avatar",
    operation_id="uploadAvatar",
    status_code=201,
    responses={201: answers_with("Location")},
    openapi_extra={**raises(*REFUSALS), **AS_BODY},
)
async def upload_avatar(scope: Oneself, platform: PlatformDep, request: Request, response: Response) -> PictureAnswer:
    """Your picture from now on: a square out of the middle, without anything that the file said besides (EXIF). The
    one before is gone at once. It counts as your own storage.
    """
    async with _sent(request) as picture:
        return _answer(await pictures.put_on_avatar(platform, scope, picture), response)


@router.delete("/user/avatar", operation_id="deleteAvatar", status_code=204)
async def delete_avatar(scope: Oneself, session: SessionDep, platform: PlatformDep) -> None:
    """No picture of yours from now on."""
    await pictures.take_off(session, platform, scope)


@router.post(
    "/workspaces/{workspace_id}/logo",
    operation_id="uploadWorkspaceLogo",
    status_code=201,
    responses={201: answers_with("Location")},
    openapi_extra={**raises(WorkspaceNotFound, *REFUSALS), **AS_BODY},
)
async def upload_workspace_logo(
    scope: Administrator, platform: PlatformDep, request: Request, response: Response, _workspace_id: WorkspaceId
) -> PictureAnswer:
    """The workspace's mark from now on: all of it within a square, transparent around. It counts as the workspace's
    storage.
    """
    async with _sent(request) as picture:
        return _answer(await pictures.put_on_logo(platform, scope, picture), response)


@router.delete(
    "/workspaces/{workspace_id}/logo",
    operation_id="deleteWorkspaceLogo",
    status_code=204,
    openapi_extra=raises(WorkspaceNotFound),
)
async def delete_workspace_logo(
    scope: Administrator, session: SessionDep, platform: PlatformDep, _workspace_id: WorkspaceId
) -> None:
    """No mark of the workspace from now on."""
    await pictures.take_off(session, platform, scope)


@router.get(
    "/storage/pictures/{token}",
    operation_id="getPicture",
    response_class=WebpResponse,
    responses=WEBP,
    openapi_extra=raises(PictureNotFound, StorageUnavailable),
)
async def get_picture(platform: PlatformDep, token: Token, size: Side = PictureSize.LARGE) -> WebpResponse:
    """Somebody's picture, or a workspace's mark. Whoever has the address may read it, without a token."""
    return await _picture(platform, token, size)


@router.head(
    "/storage/pictures/{token}",
    operation_id="headPicture",
    response_class=WebpResponse,
    responses=WEBP,
    openapi_extra=raises(PictureNotFound, StorageUnavailable),
)
async def head_picture(
    platform: PlatformDep,
    token: Token,
    size: Side = PictureSize.LARGE,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same without the bytes: how many they are, and whether you have them."""
    return _without_bytes(await _picture(platform, token, size), if_none_match)


@router.get(
    "/storage/files/{file_id}/thumbnail",
    operation_id="getThumbnail",
    response_class=WebpResponse,
    responses=WEBP,
    openapi_extra=raises(FileNotFound, NoThumbnail, StorageUnavailable),
)
async def get_thumbnail(
    at: Annotated[FileScope, Depends(require_file(READ))],
    platform: PlatformDep,
    size: LongerSide = ThumbnailSize.MEDIUM,
) -> WebpResponse:
    """A small picture of a file that is one, as WebP. It is made when it is first asked for."""
    return await _thumbnail(platform, at, size)


@router.head(
    "/storage/files/{file_id}/thumbnail",
    operation_id="headThumbnail",
    response_class=WebpResponse,
    responses=WEBP,
    openapi_extra=raises(FileNotFound, NoThumbnail, StorageUnavailable),
)
async def head_thumbnail(
    at: Annotated[FileScope, Depends(require_file(READ))],
    platform: PlatformDep,
    size: LongerSide = ThumbnailSize.MEDIUM,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same without the bytes: how many they are, and whether you have them."""
    return _without_bytes(await _thumbnail(platform, at, size), if_none_match)


async def _picture(platform: Platform, token: str, size: PictureSize) -> WebpResponse:
    content = await pictures.public(platform, token, size)
    return WebpResponse(content, headers={**SAFE, "ETag": f'"{token}-{int(size)}"', "Cache-Control": FOR_EVER})


async def _thumbnail(platform: Platform, at: FileScope, size: ThumbnailSize) -> WebpResponse:
    found = await thumbnails.of_file(platform, at, size)
    return WebpResponse(found.content, headers={**SAFE, "ETag": found.tag, "Cache-Control": ASKED_EACH_TIME})


def _without_bytes(whole: Response, if_none_match: str | None) -> Response:
    """What HEAD answers where GET answers this."""
    if ranges.is_known(if_none_match, whole.headers["etag"]):
        kept = {name: whole.headers[name] for name in ("etag", "cache-control")}
        return Response(status_code=304, headers=kept)
    return Response(headers=dict(whole.headers))


def _answer(picture: PictureRead, response: Response) -> PictureAnswer:
    response.headers["Location"] = picture.url
    return PictureAnswer(picture=picture)


@asynccontextmanager
async def _sent(request: Request) -> AsyncIterator[BinaryIO]:
    """The picture of a request, in a file. Raises PictureTooLarge, MalformedMultipart, MultipartExpected,
    UploadInterrupted, UploadTimedOut and StorageUnavailable.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > MOST_BYTES + MOST_BEFORE_FILE_BYTES):
        raise PictureTooLarge(limit=MOST_BYTES)
    body = as_it_comes(request.stream(), get_platform(request).part(Leases).patience)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = FileForm(request.headers["content-type"], body, part_named=None)
        await form.begin()
        pieces: AsyncIterator[bytes] = form.file()
    elif kind.startswith("image/") or kind == "application/octet-stream":
        pieces = body
    else:
        raise MultipartExpected("Send a form with one file, or the picture as it is with its image/… type.")
    with scratch() as picture:
        length = 0
        async for piece in pieces:
            length += len(piece)
            if length > MOST_BYTES:
                raise PictureTooLarge(limit=MOST_BYTES)
            picture.write(piece)
        yield picture
