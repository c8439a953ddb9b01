"""Working the inbox off, one subject at a time."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from pm_api.core import inbox, telemetry
from pm_api.core.inbox import HANDLED, HELD
from pm_api.core.jobs import JobContext, TryAgain, enqueue, held_keys, implements, periodic
from pm_api.core.platform import Platform
from pm_api.core.tables import InboxEvent
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeDoor, StripeObjectMissing
from pm_api.webhooks import healing
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.service import DRAIN_STRIPE, SOURCE, DrainSubject

BUSY_DELAY_S: Final = 1.0
AWAY_DELAYS_S: Final = (1.0, 300.0)
STUCK_AFTER: Final = timedelta(minutes=5)

_log = structlog.get_logger(__name__)


@implements(DRAIN_STRIPE)
async def drain_stripe(context: JobContext, payload: DrainSubject) -> None:
    """Apply everything that waits for one customer, in order, under its lease.

    An event that fails does not block the others: each is applied from what Stripe says now, so order does not
    matter. The first failure is raised at the end. While Stripe is away there is nothing to go on with: the job
    waits, however long, and is not held.
    """
    platform = context.platform
    holder = platform.randomness.uuid()
    subject = payload.subject
    if not await _claim(platform, subject, holder):
        raise TryAgain("another worker is at this customer's events", delay_s=BUSY_DELAY_S)
    failures: dict[UUID, Exception] = {}
    try:
        while waiting := await _waiting(platform, subject, besides=failures):
            for event in waiting:
                # Each event gets a full lease of its own, however long the ones before it took.
                if not await _claim(platform, subject, holder):
                    return
                try:
                    await _apply(platform, event, holder)
                except (inbox.LeaseLost, PaymentProviderUnavailable):
                    raise
                except Exception as failure:
                    _log.exception("webhook_event_failed", event_id=event.event_id, type=event.type)
                    failures[event.id] = failure
                    await _note(platform, event, failure)
    except PaymentProviderUnavailable as away:
        raise TryAgain("the payment provider is away", delay_s=_away_delay_s(platform, waiting)) from away
    except inbox.LeaseLost:
        _log.warning("webhook_lease_lost", subject=subject)
    finally:
        async with platform.database.transaction() as session:
            await inbox.release(session, SOURCE, subject, holder, platform.clock.wall())
    if failures:
        raise next(iter(failures.values()))


def _away_delay_s(platform: Platform, waiting: Sequence[InboxEvent]) -> float:
    """As long again as the oldest event has waited: the steps double with the length of the outage."""
    shortest_s, longest_s = AWAY_DELAYS_S
    waited_s = max((platform.clock.now() - event.received_at).total_seconds() for event in waiting)
    return min(longest_s, max(shortest_s, waited_s))


async def _waiting(platform: Platform, subject: str, *, besides: Collection[UUID]) -> list[InboxEvent]:
    async with platform.database.reading() as session:
        return await inbox.pending(session, SOURCE, subject, besides=besides)


async def _claim(platform: Platform, subject: str, holder: UUID) -> bool:
    async with platform.database.transaction() as session:
        return await inbox.claim(session, platform, SOURCE, subject, holder)


async def _note(platform: Platform, event: InboxEvent, failure: Exception) -> None:
    """The type of the failure alone: its text may hold people's data."""
    async with platform.database.transaction() as session:
        await inbox.note_failure(session, event.id, f"failed: {type(failure).__name__}; it is tried again")


async def _apply(platform: Platform, event: InboxEvent, holder: UUID) -> None:
    handler = STRIPE[event.type]
    status, outcome = HANDLED, ""
    try:
        found = await handler.fetch(platform.part(StripeDoor), event.object_id)
        async with platform.database.transaction() as session:
            await inbox.prove_lease(session, SOURCE, event.subject, holder)
            outcome = await handler.apply(session, platform, found)
            await inbox.settle(session, event.id, status=status, outcome=outcome, now=platform.clock.now())
    except (EventNotUnderstood, StripeObjectMissing) as problem:
        status, outcome = HELD, f"{type(problem).__name__}: {problem}"
        _log.error("webhook_event_held", event_id=event.event_id, type=event.type, reason=outcome)
        async with platform.database.transaction() as session:
            await inbox.prove_lease(session, SOURCE, event.subject, holder)
            await inbox.settle(session, event.id, status=status, outcome=outcome, now=platform.clock.now())
    telemetry.WEBHOOKS.labels(SOURCE, status.lower()).inc()


@periodic("webhooks.heal", "*/10 * * * *")
async def heal(context: JobContext) -> None:
    """Fetch what Stripe says has happened and never came in."""
    await healing.fetch_missed(context.platform)


@periodic("webhooks.retry_held", "23 * * * *")
async def retry_held(context: JobContext) -> None:
    """Try again what was held for want of something."""
    await healing.retry_held(context.platform)


@periodic("webhooks.requeue_stuck", "*/5 * * * *")
async def requeue_stuck(context: JobContext) -> None:
    """A second chance for events whose job was lost or held."""
    platform = context.platform
    async with platform.database.transaction() as session:
        subjects = await inbox.stuck_subjects(session, SOURCE, platform.clock.now() - STUCK_AFTER)
        keys = {f"stripe-stuck:{subject}": subject for subject in subjects}
        held = await held_keys(session, keys)
        for key, subject in keys.items():
            if key not in held:  # one held job a subject is enough for a person to see
                await enqueue(session, drain_stripe, DrainSubject(subject=subject), dedupe_key=key)
