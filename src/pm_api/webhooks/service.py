"""Taking events in, showing them, sending them round again."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import inbox, telemetry
from pm_api.core.actor import AdminScope
from pm_api.core.errors import Conflict, NotFound
from pm_api.core.inbox import Arrival
from pm_api.core.jobs import declare, enqueue
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.identity import audit
from pm_api.integrations.stripe import StripeEvent, verify_event
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.schemas import WebhookEvent, WebhookEventDetail, WebhookEvents

LISTED: Final = "webhooks"
SOURCE: Final = "stripe"
COVER: Final = "(not shown)"
# Addresses that let whoever has them pay, or see what was bought.
SECRET_NAMES: Final = frozenset({"url", "hosted_invoice_url", "invoice_pdf", "receipt_url", "number_token"})


class DrainSubject(BaseModel):
    """Work off everything that waits for one customer."""

    subject: str


DRAIN_STRIPE: Final = declare("webhooks.drain_stripe", DrainSubject)


class WebhooksClosed(NotFound):
    """This installation takes no events from this sender: no signing secret is set."""

    code = "webhooks_closed"


class EventNotReplayable(Conflict):
    """Events of a type that is ignored have nothing to apply again."""

    code = "event_not_replayable"


async def receive_stripe(platform: Platform, body: bytes, signature: str | None) -> None:
    """Verify, then store the event and its job in one transaction. Raises InvalidWebhook, WebhooksClosed."""
    settings = platform.settings.stripe
    secrets = [one.get_secret_value() for one in settings.webhook_secret]
    if not secrets:
        raise WebhooksClosed
    event = verify_event(body, signature, secrets, now=platform.clock.wall(), livemode=settings.expects_livemode)
    async with platform.database.transaction() as session:
        outcome = await take_in(session, platform, event)
    telemetry.WEBHOOKS.labels(SOURCE, outcome).inc()


async def take_in(session: AsyncSession, platform: Platform, event: StripeEvent) -> str:
    """Store an event with its job, however it came to us: `stored`, `ignored`, or `duplicate` and nothing is done."""
    known = event.type in STRIPE and bool(event.object_id)
    arrival = Arrival(
        source=SOURCE,
        event_id=event.id,
        type=event.type,
        subject=event.subject,
        object_id=event.object_id,
        body=_kept(event.body),
        created_at=event.created_at,
    )
    stored = await inbox.store(session, platform, arrival, known_type=known)
    if stored is None:
        return "duplicate"
    if not known:
        return "ignored"
    await enqueue(session, DRAIN_STRIPE, DrainSubject(subject=event.subject), dedupe_key=f"stripe:{event.id}")
    return "stored"


async def list_events(
    session: AsyncSession, platform: Platform, page: PageRequest, filters: Mapping[str, str | None]
) -> WebhookEvents:
    """A page of the inbox, newest first; `filters` by column."""
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await inbox.listed(session, limit=page.limit + 1, before=UUID(key[0]) if key else None, filters=filters)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return WebhookEvents(
        events=[WebhookEvent.model_validate(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def get_event(session: AsyncSession, event_id: UUID) -> WebhookEventDetail:
    """One event with what was sent, but for its secrets; raises NotFound."""
    row = await inbox.get(session, event_id)
    if row is None:
        raise NotFound
    shown = WebhookEvent.model_validate(row)
    return WebhookEventDetail(**shown.model_dump(by_alias=False), body=without_secrets(row.body))


def _kept(body: str) -> str:
    """An event as it is stored: as it came, but for its secrets. Nothing is applied from it, so none are needed."""
    try:
        told = json.loads(body)
        covered = _covered(told)
        return body if covered == told else json.dumps(covered)
    except (ValueError, RecursionError):
        return body


def without_secrets(body: str) -> Any:
    """An event as JSON. What would let somebody pay or sign in somebody's name is covered, whatever it is called."""
    try:
        return _covered(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _covered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: COVER if inner and _is_secret(name) else _covered(inner) for name, inner in value.items()}
    return [_covered(one) for one in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    return name.endswith(("secret", "_token", "password")) or name in SECRET_NAMES


async def replay_event(session: AsyncSession, platform: Platform, scope: AdminScope, event_id: UUID) -> WebhookEvent:
    """Apply an event again, from what Stripe says now. Effects have keys of their own, so nothing happens twice."""
    row = await inbox.get(session, event_id, lock=True)
    if row is None:
        raise NotFound
    if row.type not in STRIPE or not row.object_id:
        raise EventNotReplayable
    row.status = inbox.PENDING
    row.outcome = None
    await session.flush()
    audit.record(session, platform, scope.actor, "webhook.replayed", subject=("inbox_event", row.id))
    await enqueue(session, DRAIN_STRIPE, DrainSubject(subject=row.subject), dedupe_key=f"stripe:{row.event_id}")
    return WebhookEvent.model_validate(row)
