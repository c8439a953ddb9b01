"""API keys over HTTP. A person alone manages them: a key that could make keys would outlive its own end."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from pm_api.core.actor import AccountScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.identity import api_keys, browser
from pm_api.identity.errors.credentials import ApiKeyEnded, InvalidExpiry
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require_account, require_account_of
from pm_api.identity.schemas.credentials import (
    ApiKeyAnswer,
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyRead,
    ApiKeysAnswer,
    ApiKeyUpdate,
)

router = api_router(tag="identity")

CREATED: Final = answers_with("ETag", "Location")

Of = Annotated[AccountScope, Depends(require_account(api_keys.MANAGE))]
OfKey = Annotated[AccountScope, Depends(require_account_of("api_keys", api_keys.MANAGE))]
KeyId = Annotated[UUID, Path(description="The key.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.post(
    "/api-keys",
    operation_id="createApiKey",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(PlanLimitReached, InvalidExpiry),
)
async def create_api_key(
    scope: Of,
    session: SessionDep,
    platform: PlatformDep,
    request: Request,
    response: Response,
    wanted: ApiKeyCreate,
) -> ApiKeyCreated:
    """Make a key of your own, or with `workspaceId` one that opens that workspace alone. `token` is shown this once.

    With it a program does what you may, within its scopes, as long as you may. What is done is recorded under your
    name and the key's id. A workspace's keys are for its admins to make; they end with their maker's membership.
    """
    key, token = await api_keys.create(session, platform, scope, wanted, browser.caller_of(request))
    response.headers["Location"] = f"/api/api-keys/{key.id}"
    response.headers["ETag"] = sight_tag(key.version, key.model_dump_json())
    return ApiKeyCreated(api_key=key, token=token)


@router.get("/api-keys", operation_id="listApiKeys", openapi_extra=raises(WorkspaceNotFound, InvalidCursor))
async def list_api_keys(
    scope: Of,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    _workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="The keys of this workspace; without it, your own.")
    ] = None,
    ended: Annotated[bool, Query(description="Also those that were revoked or have expired.")] = False,
) -> ApiKeysAnswer:
    """Keys, newest first: your own, or whoever's of a workspace."""
    return await api_keys.list_of(session, platform, scope, page, ended=ended)


@router.get(
    "/api-keys/{api_key_id}", operation_id="getApiKey", responses={200: ETAG_HEADER}, openapi_extra=raises(NotFound)
)
async def get_api_key(scope: OfKey, session: SessionDep, response: Response, api_key_id: KeyId) -> ApiKeyAnswer:
    """One key, also after its end."""
    return _answer(await api_keys.get(session, scope, api_key_id), response)


@router.patch(
    "/api-keys/{api_key_id}",
    operation_id="updateApiKey",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, ApiKeyEnded, InvalidExpiry),
)
async def update_api_key(
    scope: OfKey,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    api_key_id: KeyId,
    expected_version: ExpectedVersion,
    change: ApiKeyUpdate,
) -> ApiKeyAnswer:
    """Call it otherwise, or let it end at another time. Only who made a key may; its scopes never change."""
    key = await api_keys.update(session, platform, scope, api_key_id, change, expected_version)
    return _answer(key, response)


@router.delete(
    "/api-keys/{api_key_id}",
    operation_id="revokeApiKey",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, ApiKeyEnded),
)
async def revoke_api_key(
    scope: OfKey, session: SessionDep, platform: PlatformDep, api_key_id: KeyId, expected_version: ExpectedVersion
) -> None:
    """End a key: within 5 seconds no server takes it, and its streams end. It stays in the list of ended ones."""
    await api_keys.revoke(session, platform, scope, api_key_id, expected_version)


def _answer(key: ApiKeyRead, response: Response) -> ApiKeyAnswer:
    # The body shows when it was last used, and by what name its maker goes: the version does not tell of either.
    response.headers["ETag"] = sight_tag(key.version, key.model_dump_json())
    return ApiKeyAnswer(api_key=key)
