"""What never came in is fetched: Stripe keeps a list of its events for 30 days, and ours must lack none of them.

The list is read in windows, forward in time, with a cursor row: a run that is cut off goes on where it stood.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from pm_api.core import inbox, telemetry
from pm_api.core.jobs import enqueue
from pm_api.core.platform import Platform
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeDoor, StripeEvent, events
from pm_api.webhooks.handlers import STRIPE
from pm_api.webhooks.service import DRAIN_STRIPE, SOURCE, DrainSubject, take_in

KEPT: Final = timedelta(days=30)
# Stripe's list may lag behind, and its clock may differ from ours: what is young is read more than once.
OVERLAP: Final = timedelta(hours=1)
FIRST_WINDOW: Final = timedelta(hours=6)
WIDEST_WINDOW: Final = timedelta(days=5)
SHORTEST_WINDOW: Final = timedelta(seconds=1)
WINDOWS_OF_A_RUN: Final = 200
EVENTS_OF_A_WINDOW: Final = 1000
# An event is tried so often by itself, some days long; after that a person must replay it.
HELD_ATTEMPTS: Final = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Healed:
    """What a run has found."""

    read: int
    missed: int


async def fetch_missed(platform: Platform) -> Healed:
    """Read Stripe's list from the cursor on, and once more what it says it could not deliver, and store what we lack.

    While Stripe is away nothing is lost: the next run begins at the cursor again.
    """
    try:
        healed = await _read_on(platform)
        undelivered = await _read_undelivered(platform)
    except PaymentProviderUnavailable:
        _log.warning("webhook_healer_waits", reason="the payment provider is away")
        return Healed(0, 0)
    return Healed(healed.read + undelivered.read, healed.missed + undelivered.missed)


async def retry_held(platform: Platform) -> int:
    """What was held for want of an owner or a price may be understood by now; returns how many wait again."""
    async with platform.database.transaction() as session:
        waiting = await inbox.release_held(session, SOURCE, list(STRIPE), attempts_below=HELD_ATTEMPTS)
        for event_id, subject in waiting:
            await enqueue(session, DRAIN_STRIPE, DrainSubject(subject=subject), dedupe_key=f"stripe:{event_id}")
    return len(waiting)


async def _read_on(platform: Platform) -> Healed:
    now = platform.clock.now()
    async with platform.database.reading() as session:
        since = await inbox.read_until(session, SOURCE)
    oldest = now - KEPT
    since = max(since - OVERLAP, oldest) if since is not None else oldest
    # Beyond our own clock: Stripe's may be ahead of it.
    end, window, read, missed = now + OVERLAP, FIRST_WINDOW, 0, 0
    for _ in range(WINDOWS_OF_A_RUN):
        until = min(since + window, end)
        found = await events.list_since(
            platform.part(StripeDoor), since, types=list(STRIPE), until=until, limit=EVENTS_OF_A_WINDOW
        )
        if not found.is_complete and window > SHORTEST_WINDOW:
            window = max(window / 4, SHORTEST_WINDOW)
            continue
        if not found.is_complete:
            _log.error("webhook_healer_overrun", since=since.isoformat(), kept=len(found.items))
        missed += await _store(platform, found.items, read_until=min(until, now))
        read += len(found.items)
        if until >= end:
            break
        since, window = until, min(window * 2, WIDEST_WINDOW)
    return Healed(read, missed)


async def _read_undelivered(platform: Platform) -> Healed:
    """The newest of what Stripe could not deliver, however long ago: no cursor can be wrong about these."""
    found = await events.list_since(
        platform.part(StripeDoor),
        platform.clock.now() - KEPT,
        types=list(STRIPE),
        undelivered_only=True,
        limit=EVENTS_OF_A_WINDOW,
    )
    return Healed(len(found.items), await _store(platform, found.items, read_until=None))


async def _store(platform: Platform, found: tuple[StripeEvent, ...], *, read_until: datetime | None) -> int:
    """By the same path as what comes in by itself; returns how many were new. The cursor moves with them."""
    async with platform.database.transaction() as session:
        stored_before = await inbox.known(session, SOURCE, [event.id for event in found])
        missed = [event for event in found if event.id not in stored_before]
        outcomes = [await take_in(session, platform, event) for event in missed]
        if read_until is not None:
            await inbox.advance(session, SOURCE, read_until)
    for outcome in outcomes:
        telemetry.WEBHOOKS.labels(SOURCE, f"healed_{outcome}").inc()
    if missed:
        _log.warning("webhook_events_had_been_missed", count=len(missed), first=missed[0].id, type=missed[0].type)
    return len(missed)
