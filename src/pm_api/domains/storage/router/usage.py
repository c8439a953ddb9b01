"""What is used."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.platform import PlatformDep
from pm_api.domains.storage import usage
from pm_api.domains.storage.schemas.usage import StorageUsageAnswer
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require_account

router = api_router(tag="storage")


@router.get("/storage/usage", operation_id="getStorageUsage", openapi_extra=raises(WorkspaceNotFound))
async def get_storage_usage(
    scope: Annotated[AccountScope, Depends(require_account("file.read"))],
    platform: PlatformDep,
    session: SessionDep,
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="A workspace's files; absent: your own.")
    ] = None,
) -> StorageUsageAnswer:
    """What files take up and by what, how much the plan holds, the largest files you see, and what can be freed.

    Workspaces without a plan of their own share their owner's room, with each other and with the owner's own files.
    What is in the trash, old versions and copies from drives count until they are purged, and are shown apart.
    """
    return StorageUsageAnswer(usage=await usage.of_account(session, platform, scope))
