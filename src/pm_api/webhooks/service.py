"""Taking events in, showing them, sending them round again."""

from typing import Final
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
from pm_api.integrations.stripe import verify_event
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.schemas import WebhookEvent, WebhookEvents

LISTED: Final = "webhooks"
SOURCE: Final = "stripe"


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
    known = event.type in STRIPE and bool(event.object_id)
    arrival = Arrival(
        source=SOURCE,
        event_id=event.id,
        type=event.type,
        subject=event.subject,
        object_id=event.object_id,
        body=body.decode(),
        created_at=event.created_at,
    )
    async with platform.database.transaction() as session:
        stored = await inbox.store(session, platform, arrival, known_type=known)
        if stored is not None and known:
            await enqueue(session, DRAIN_STRIPE, DrainSubject(subject=event.subject), dedupe_key=f"stripe:{event.id}")
    outcome = "duplicate" if stored is None else "stored" if known else "ignored"
    telemetry.WEBHOOKS.labels(SOURCE, outcome).inc()


async def list_events(
    session: AsyncSession, platform: Platform, page: PageRequest, *, status: str | None
) -> WebhookEvents:
    """A page of the inbox, newest first."""
    key = platform.cursors.decode(page.cursor, of=LISTED, status=status)
    rows = await inbox.listed(session, limit=page.limit + 1, before=UUID(key[0]) if key else None, status=status)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return WebhookEvents(
        events=[WebhookEvent.model_validate(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, status=status),
    )


async def get_event(session: AsyncSession, event_id: UUID) -> WebhookEvent:
    """One event; raises NotFound."""
    row = await inbox.get(session, event_id)
    if row is None:
        raise NotFound
    return WebhookEvent.model_validate(row)


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
