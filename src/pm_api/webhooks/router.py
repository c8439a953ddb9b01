"""Where providers knock, and where an operator looks at what came in."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request
from pydantic import Field

from pm_api.core.actor import AdminScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.identity.guards import operator
from pm_api.integrations.stripe import InvalidWebhook
from pm_api.webhooks import service
from pm_api.webhooks.schemas import Receipt, WebhookEventAnswer, WebhookEventDetailAnswer, WebhookEvents
from pm_api.webhooks.service import EventNotReplayable, WebhooksClosed

router = api_router(tag="webhooks")

Signature = Annotated[str | None, Header(alias="Stripe-Signature", description="t=…,v1=… over the raw body.")]
EventId = Annotated[UUID, Path(description="The event's id in the inbox.")]
TextFilter = Annotated[Text | None, Field(min_length=1, max_length=255)]

# The signature covers the raw bytes, so the body is no parameter that the framework would parse.
_EVENT = {
    **raises(InvalidWebhook, WebhooksClosed),
    "requestBody": {
        "description": "An event as Stripe sends it.",
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
}


class InboxStatus(StrEnum):
    PENDING = "PENDING"
    HANDLED = "HANDLED"
    IGNORED = "IGNORED"
    HELD = "HELD"


@router.post("/webhooks/stripe", operation_id="receiveStripeEvent", openapi_extra=_EVENT)
async def receive_stripe_event(
    request: Request, platform: PlatformDep, stripe_signature: Signature = None
) -> Receipt:
    """Stripe's events: verified over the raw bytes, stored once, answered at once."""
    await service.receive_stripe(platform, await request.body(), stripe_signature)
    return Receipt(received=True)


@router.post("/billing/webhooks", operation_id="receiveBillingEvent", openapi_extra=_EVENT)
async def receive_billing_event(
    request: Request, platform: PlatformDep, stripe_signature: Signature = None
) -> Receipt:
    """The same door under its older address."""
    await service.receive_stripe(platform, await request.body(), stripe_signature)
    return Receipt(received=True)


@router.get("/admin/webhooks", operation_id="listWebhookEvents", openapi_extra=raises(InvalidCursor))
async def list_webhook_events(
    _scope: Annotated[AdminScope, Depends(operator)],
    platform: PlatformDep,
    session: SessionDep,
    page: Annotated[PageRequest, Depends(page_request)],
    status: Annotated[InboxStatus | None, Query(description="Only events in this state.")] = None,
    event_type: Annotated[TextFilter, Query(alias="type", description="Only this type.")] = None,
    subject: Annotated[TextFilter, Query(description="Only events of this customer.")] = None,
    object_id: Annotated[TextFilter, Query(alias="objectId", description="Only events about this object.")] = None,
    event_id: Annotated[
        TextFilter, Query(alias="eventId", description="Only the event with the sender's id.")
    ] = None,
) -> WebhookEvents:
    """The inbox, newest first: what came in, what was done with it, how often it was tried."""
    filters = {"status": status, "type": event_type, "subject": subject, "object_id": object_id, "event_id": event_id}
    return await service.list_events(session, platform, page, filters)


@router.get("/admin/webhooks/{event_id}", operation_id="getWebhookEvent", openapi_extra=raises(NotFound))
async def get_webhook_event(
    _scope: Annotated[AdminScope, Depends(operator)], session: SessionDep, event_id: EventId
) -> WebhookEventDetailAnswer:
    """One event of the inbox with its body, in which secrets are covered."""
    return WebhookEventDetailAnswer(event=await service.get_event(session, event_id))


@router.post(
    "/admin/webhooks/{event_id}/replay",
    operation_id="replayWebhookEvent",
    openapi_extra=raises(NotFound, EventNotReplayable),
)
async def replay_webhook_event(
    scope: Annotated[AdminScope, Depends(operator)], platform: PlatformDep, session: SessionDep, event_id: EventId
) -> WebhookEventAnswer:
    """Apply an event again, from what Stripe says now; nothing is granted twice."""
    return WebhookEventAnswer(event=await service.replay_event(session, platform, scope, event_id))
