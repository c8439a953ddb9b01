"""Outgoing webhooks over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Body, Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.webhooks_out import deliveries, service
from pm_api.domains.webhooks_out.enums import DeliveryStatus
from pm_api.domains.webhooks_out.errors import (
    TooManyWebhookEndpoints,
    WebhookEndpointDisabled,
    WebhookUrlRefused,
)
from pm_api.domains.webhooks_out.schemas import (
    SecretRotate,
    WebhookDeliveriesAnswer,
    WebhookDeliveryAnswer,
    WebhookEndpointAnswer,
    WebhookEndpointCreate,
    WebhookEndpointRead,
    WebhookEndpointsAnswer,
    WebhookEndpointSecretAnswer,
    WebhookEndpointUpdate,
)
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

PERMISSION: Final = "webhook.manage"
CREATED: Final = answers_with("ETag", "Location")
PUT: Final = answers_with("Location")

router = api_router(tag="webhooks")

InWorkspace = Annotated[WorkspaceScope, Depends(require(PERMISSION, of="workspaces", at="workspaceId"))]
OfEndpoint = Annotated[WorkspaceScope, Depends(require(PERMISSION, of="webhook_endpoints"))]
OfDelivery = Annotated[WorkspaceScope, Depends(require(PERMISSION, of="webhook_deliveries"))]
EndpointId = Annotated[UUID, Path(alias="webhook_endpoint_id", description="The webhook endpoint.")]
DeliveryId = Annotated[UUID, Path(alias="delivery_id", description="The delivery: the `webhook-id` that was sent.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]


async def counted(scope: OfEndpoint, platform: PlatformDep) -> WorkspaceScope:
    """The caller, whose test has been counted before anything is open."""
    await deliveries.count_test(platform, scope)
    return scope


@router.post(
    "/webhook-endpoints",
    operation_id="createWebhookEndpoint",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(WorkspaceNotFound, WebhookUrlRefused, TooManyWebhookEndpoints),
)
async def create_webhook_endpoint(
    scope: InWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: WebhookEndpointCreate,
) -> WebhookEndpointSecretAnswer:
    """Have a workspace's changes told to an address, from now on. The secret is shown this once.

    Each change is a POST signed by [Standard Webhooks](https://www.standardwebhooks.com): `webhook-id`,
    `webhook-timestamp` and `webhook-signature` (several signatures while a secret is rotated). The body is
    `{"type": "task.updated", "timestamp": "…", "data": {"payloadVersion": 1, "workspaceId", "position", "entity",
    "id", "action", "version", "actorUserId", "url"}}`: what changed and, with `url`, where to read it; new fields may
    come. Only changes that every member of the workspace but its guests may see are told.

    Answer 2xx within the time limit (10 s unless the operator chose another). Anything else is tried again for three
    days, with growing delays; 410 disables the endpoint, as do five days without success, and its admins are told. A
    later change of the same thing waits for the earlier one. A webhook may come twice: with the same `webhook-id`.
    """
    made, secret = await service.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/webhook-endpoints/{made.id}"
    return _with_secret(made, secret, response)


@router.get(
    "/webhook-endpoints",
    operation_id="listWebhookEndpoints",
    openapi_extra=raises(WorkspaceNotFound, InvalidCursor),
)
async def list_webhook_endpoints(
    scope: InWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
) -> WebhookEndpointsAnswer:
    """A workspace's webhook endpoints, newest first; at most 20."""
    return await service.list_of(session, platform, scope, page)


@router.get(
    "/webhook-endpoints/{webhook_endpoint_id}",
    operation_id="getWebhookEndpoint",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_webhook_endpoint(
    scope: OfEndpoint, session: SessionDep, response: Response, endpoint_id: EndpointId
) -> WebhookEndpointAnswer:
    """One webhook endpoint, and how it fares."""
    return _answer(await service.get(session, scope, endpoint_id), response)


@router.patch(
    "/webhook-endpoints/{webhook_endpoint_id}",
    operation_id="updateWebhookEndpoint",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, WebhookUrlRefused),
)
async def update_webhook_endpoint(
    scope: OfEndpoint,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    endpoint_id: EndpointId,
    expected_version: ExpectedVersion,
    change: WebhookEndpointUpdate,
) -> WebhookEndpointAnswer:
    """Change the fields sent. What waits is sent to a new address at once; disabling keeps it waiting."""
    return _answer(await service.update(session, platform, scope, endpoint_id, change, expected_version), response)


@router.delete(
    "/webhook-endpoints/{webhook_endpoint_id}",
    operation_id="deleteWebhookEndpoint",
    status_code=204,
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch),
)
async def delete_webhook_endpoint(
    scope: OfEndpoint,
    session: SessionDep,
    platform: PlatformDep,
    endpoint_id: EndpointId,
    expected_version: ExpectedVersion,
) -> None:
    """Tell nothing more there, and forget what was told."""
    await service.delete(session, platform, scope, endpoint_id, expected_version)


@router.post(
    "/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
    operation_id="rotateWebhookSecret",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch),
)
async def rotate_webhook_secret(
    scope: OfEndpoint,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    endpoint_id: EndpointId,
    expected_version: ExpectedVersion,
    wanted: Annotated[SecretRotate | None, Body(description="Left out: it overlaps for 24 hours.")] = None,
) -> WebhookEndpointSecretAnswer:
    """A new secret, shown this once. For `overlapH` hours the one before signs beside it, so that receivers can
    follow without missing a webhook.
    """
    made, secret = await service.rotate_secret(
        session, platform, scope, endpoint_id, (wanted or SecretRotate()).overlap_h, expected_version
    )
    return _with_secret(made, secret, response)


@router.post(
    "/webhook-endpoints/{webhook_endpoint_id}/test",
    operation_id="testWebhookEndpoint",
    status_code=201,
    responses={201: PUT},
    openapi_extra=raises(NotFound, WebhookEndpointDisabled),
)
async def test_webhook_endpoint(
    scope: Annotated[WorkspaceScope, Depends(counted)],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    endpoint_id: EndpointId,
) -> WebhookDeliveryAnswer:
    """Send a webhook of the type `webhook_endpoint.tested`, once, whatever the filter. Read the delivery after a
    moment: it shows what came back. At most 30 a minute.
    """
    put = await deliveries.send_test(session, platform, scope, endpoint_id)
    response.headers["Location"] = f"/api/webhook-deliveries/{put.id}"
    return WebhookDeliveryAnswer(webhook_delivery=put)


@router.get(
    "/webhook-endpoints/{webhook_endpoint_id}/deliveries",
    operation_id="listWebhookDeliveries",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def list_webhook_deliveries(
    scope: OfEndpoint,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    endpoint_id: EndpointId,
    status: Annotated[DeliveryStatus | None, Query(description="Only those that stand there.")] = None,
) -> WebhookDeliveriesAnswer:
    """What was sent to an endpoint or waits, with the last try of each, newest first. What has come to its end is
    kept for 30 days. Of a long backlog the first thousand stand here.
    """
    return await deliveries.list_of(session, platform, scope, endpoint_id, page, status)


@router.get("/webhook-deliveries/{delivery_id}", operation_id="getWebhookDelivery", openapi_extra=raises(NotFound))
async def get_webhook_delivery(
    scope: OfDelivery, session: SessionDep, delivery_id: DeliveryId
) -> WebhookDeliveryAnswer:
    """One delivery with its tries: status, milliseconds, and the beginning of each answer."""
    return WebhookDeliveryAnswer(webhook_delivery=await deliveries.get(session, scope, delivery_id))


@router.post(
    "/webhook-deliveries/{delivery_id}/replay",
    operation_id="replayWebhookDelivery",
    openapi_extra=raises(NotFound, WebhookEndpointDisabled),
)
async def replay_webhook_delivery(
    scope: OfDelivery, session: SessionDep, platform: PlatformDep, delivery_id: DeliveryId
) -> WebhookDeliveryAnswer:
    """Send it again, under the same `webhook-id` and with the same body; whatever came after it does not wait."""
    return WebhookDeliveryAnswer(webhook_delivery=await deliveries.replay(session, platform, scope, delivery_id))


def _answer(found: WebhookEndpointRead, response: Response) -> WebhookEndpointAnswer:
    # What arrives or fails is shown without a new version.
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return WebhookEndpointAnswer(webhook_endpoint=found)


def _with_secret(made: WebhookEndpointRead, secret: str, response: Response) -> WebhookEndpointSecretAnswer:
    response.headers["ETag"] = sight_tag(made.version, made.model_dump_json())
    return WebhookEndpointSecretAnswer(webhook_endpoint=made, secret=secret)
