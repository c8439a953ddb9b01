"""Webhook endpoints: where Stripe sends its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import stripe
from stripe.params import WebhookEndpointCreateParams, WebhookEndpointUpdateParams

from pm_api.integrations.stripe.door import API_VERSION, StripeDoor, calling, keyed
from pm_api.integrations.stripe.values import LIST_LIMIT, StripeList, everything, page_size


@dataclass(frozen=True, slots=True)
class StripeWebhookEndpoint:
    """An endpoint as Stripe has it now. Its signing `secret` is told once, when it is made."""

    id: str
    url: str
    is_enabled: bool
    api_version: str | None
    events: frozenset[str]
    secret: str | None


async def list_all(door: StripeDoor, *, limit: int = LIST_LIMIT) -> StripeList[StripeWebhookEndpoint]:
    """Every endpoint of the account, newest first."""
    async with calling("webhook endpoints"):
        first = await door.client.v1.webhook_endpoints.list_async({"limit": page_size(limit)})
        return await everything(first, read_endpoint, limit)


async def ensure(door: StripeDoor, *, url: str, events: Sequence[str], key: str) -> StripeWebhookEndpoint:
    """The endpoint at this address, made or mended so that it gets exactly these events."""
    known = next((one for one in (await list_all(door)).items if one.url == url), None)
    if known is None:
        return await _create(door, url, events, key)
    if known.is_enabled and known.events == frozenset(events):
        return known
    changes: WebhookEndpointUpdateParams = {"disabled": False, "enabled_events": cast("Any", sorted(events))}
    async with calling(known.id):
        return read_endpoint(await door.client.v1.webhook_endpoints.update_async(known.id, changes, keyed(key)))


async def _create(door: StripeDoor, url: str, events: Sequence[str], key: str) -> StripeWebhookEndpoint:
    params: WebhookEndpointCreateParams = {
        "url": url,
        # The SDK lists every type there is; ours come from the table of handlers.
        "enabled_events": cast("Any", sorted(events)),
        "api_version": API_VERSION,
    }
    async with calling("webhook endpoint"):
        return read_endpoint(await door.client.v1.webhook_endpoints.create_async(params, keyed(key)))


def read_endpoint(found: stripe.WebhookEndpoint) -> StripeWebhookEndpoint:
    return StripeWebhookEndpoint(
        id=found.id,
        url=found.url,
        is_enabled=found.status == "enabled",
        api_version=found.api_version,
        events=frozenset(found.enabled_events),
        secret=found.secret if "secret" in found else None,
    )
