"""Links to files over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import links
from pm_api.domains.storage.errors.files import (
    FileGone,
    FileInTrash,
    FileNotFound,
    FileNotReady,
    LinkNotFound,
    LinkTooLong,
    RangeNotSatisfiable,
    TooManyLinks,
)
from pm_api.domains.storage.guards import READ, FileScope, require_file
from pm_api.domains.storage.router import answering
from pm_api.domains.storage.router.parameters import IfNoneMatch, IfRange, Range
from pm_api.domains.storage.schemas.links import LinkAnswer, LinkCreate, LinksAnswer
from pm_api.integrations.blobs import StorageUnavailable

router = api_router(tag="storage")

Reads = Annotated[FileScope, Depends(require_file(READ))]
Token = Annotated[str, Path(max_length=200, description="The secret of the address.")]
REFUSALS = (LinkNotFound, FileGone, RangeNotSatisfiable, StorageUnavailable)


@router.post(
    "/storage/files/{file_id}/link",
    operation_id="createFileLink",
    status_code=201,
    responses={201: answers_with("Location")},
    openapi_extra=raises(FileNotFound, Forbidden, FileInTrash, FileNotReady, LinkTooLong, TooManyLinks),
)
async def create_file_link(
    allowed: Reads, session: SessionDep, platform: PlatformDep, response: Response, wanted: LinkCreate
) -> LinkAnswer:
    """An address that gives a file to whoever has it, for five minutes or as long as you say. It is dead at once when
    you revoke it, when the file is deleted, and when you do not see the file any more.
    """
    made = await links.create(session, platform, allowed.scope, allowed.file_id, wanted)
    # It is seen in the list alone: what answers at its own address is the file, and the secret belongs in no header.
    response.headers["Location"] = f"/api/storage/files/{made.file_id}/links"
    return LinkAnswer(link=made)


@router.get(
    "/storage/files/{file_id}/links",
    operation_id="listFileLinks",
    openapi_extra=raises(FileNotFound, InvalidCursor),
)
async def list_file_links(
    allowed: Reads,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
) -> LinksAnswer:
    """Your links to a file that work, newest first; everybody's for whoever may change the file, without their
    addresses.
    """
    return await links.list_of(session, platform, allowed.scope, allowed.file_id, page)


@router.delete(
    "/storage/files/{file_id}/links/{link_id}",
    operation_id="deleteFileLink",
    status_code=204,
    openapi_extra=raises(FileNotFound, Forbidden, LinkNotFound),
)
async def delete_file_link(
    allowed: Reads,
    session: SessionDep,
    platform: PlatformDep,
    link_id: Annotated[UUID, Path(description="The link.")],
) -> None:
    """Revoke a link: from now on its address leads nowhere. A second time changes nothing."""
    await links.revoke(session, platform, allowed.scope, allowed.file_id, link_id)


@router.get(
    "/storage/links/{token}",
    operation_id="getLinkedFile",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(*REFUSALS),
)
async def get_linked_file(
    platform: PlatformDep,
    request: Request,
    token: Token,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The file that a link leads to. Whatever is wrong with a link, there is nothing here."""
    del range_, if_range, if_none_match
    found, disposition = await links.follow(platform, token)
    return await answering.answer(platform, request, found, disposition)


@router.head(
    "/storage/links/{token}",
    operation_id="headLinkedFile",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(*REFUSALS),
)
async def head_linked_file(
    platform: PlatformDep,
    request: Request,
    token: Token,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same without the bytes."""
    del range_, if_range, if_none_match
    found, disposition = await links.follow(platform, token)
    return await answering.answer(platform, request, found, disposition)
