"""Several files at once over HTTP."""

from typing import Annotated, Any, Final

from fastapi import Depends, Response

from pm_api.core.actor import AccountScope
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import archives, naming
from pm_api.domains.storage.errors.files import (
    FileGone,
    FileNotFound,
    FileNotReady,
    NothingToZip,
    ZipTooLarge,
)
from pm_api.domains.storage.guards import files_in_sight
from pm_api.domains.storage.router import answering
from pm_api.domains.storage.schemas.archives import ZipRequest
from pm_api.domains.storage.serving import POLICY
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.integrations.blobs import StorageUnavailable

router = api_router(tag="storage")

MEDIA_TYPE: Final = "application/zip"
AS_ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        "description": "The archive.",
        "headers": {
            "Content-Disposition": {"schema": {"type": "string"}, "description": "What the archive is called."}
        },
    }
}


@router.post(
    "/storage/files:zip",
    operation_id="zipFiles",
    response_class=answering.FileResponse,
    responses=AS_ZIP,
    openapi_extra=raises(
        *(WorkspaceNotFound, FileNotFound, FileNotReady, FileGone, NothingToZip, ZipTooLarge, StorageUnavailable)
    ),
)
async def zip_files(
    scope: Annotated[AccountScope, Depends(files_in_sight)],
    platform: PlatformDep,
    wanted: ZipRequest,
) -> Response:
    """Up to 1000 files that you see as one archive, written while you read it. Of files with the same name all but
    the first get a number.
    """
    async with platform.database.reading() as session:
        inside = await archives.members(session, platform, scope, wanted.file_ids)
    await archives.ensure_there(platform, inside)
    headers = {
        "Content-Disposition": naming.disposition(wanted.name, inline=False),
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return answering.FileResponse(archives.written(platform, inside), headers=headers, media_type=MEDIA_TYPE)
