"""Sending: claim (committed) → take (committed) → send, with nothing held → settle (committed), and again.

HTTP knows no way to ask whether a webhook has arrived. A worker that dies, or an answer that is lost, between sending
and settling leaves a delivery that may have arrived; it is sent again under the same `webhook-id`.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import structlog

from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.domains.webhooks_out import delivering, rules, signing
from pm_api.domains.webhooks_out.delivering import Batch, Claim, Outcome, Parcel
from pm_api.integrations.outgoing import OutgoingDoor, OutgoingLine, TargetRefused, TargetUnreachable

PARALLEL_REQUESTS: Final = 10
PARALLEL_ENDPOINTS: Final = 10
TURN_S: Final = 30.0
SWEEP_S: Final = 45.0
DUE_AT_ONCE: Final = 100

_log = structlog.get_logger(__name__)


def _never() -> bool:
    return False


async def serve(
    platform: Platform, endpoint_id: UUID, *, turn_s: float = TURN_S, is_over: Callable[[], bool] = _never
) -> bool:
    """Send what is due at one endpoint, for a turn; whether there is more to do. Nothing while another has it."""
    async with platform.database.transaction() as session:
        claimed = await delivering.claim(session, platform, endpoint_id)
    if claimed is None:
        return False
    end = time.monotonic() + turn_s
    while True:
        async with platform.database.transaction() as session:
            batch = await delivering.take(session, platform, claimed)
        if batch is None:
            return False
        if batch.parcels:
            await _send_and_settle(platform, claimed, batch)
        if is_over() or time.monotonic() >= end:
            async with platform.database.transaction() as session:
                await delivering.interrupt(session, platform, claimed)
            return True


async def _send_and_settle(platform: Platform, claimed: Claim, batch: Batch) -> None:
    results = await send(platform, batch)
    async with platform.database.transaction() as session:
        if not await delivering.settle(session, platform, claimed, results):
            _log.warning("webhook_claim_lapsed", endpoint_id=str(claimed.endpoint_id))
    for _, outcome in results:
        telemetry.WEBHOOKS_OUT.labels("delivered" if outcome.error is None else "failed").inc()


async def send(platform: Platform, batch: Batch) -> list[tuple[Parcel, Outcome]]:
    """Each parcel once: chains side by side, within a chain as far as they arrive. Once nobody is there, the rest is
    not tried.
    """
    try:
        async with platform.part(OutgoingDoor).line(batch.url) as line:
            return await _Sending(platform, line, batch).run()
    except TargetRefused as refused:
        return [(batch.parcels[0], Outcome(f"refused: {refused.reason}", is_away=True))]
    except TargetUnreachable as unreachable:
        return [(batch.parcels[0], Outcome(unreachable.reason, is_away=True))]
    except Exception as error:
        _log.exception("webhook_not_sent")
        return [(batch.parcels[0], Outcome(type(error).__name__))]


class _Sending:
    """One batch on its way."""

    def __init__(self, platform: Platform, line: OutgoingLine, batch: Batch) -> None:
        self._platform = platform
        self._line = line
        self._batch = batch
        self._gate = asyncio.Semaphore(PARALLEL_REQUESTS)
        self._end = time.monotonic() + delivering.SENDING_S
        self._is_away = False
        self._results: list[tuple[Parcel, Outcome]] = []

    async def run(self) -> list[tuple[Parcel, Outcome]]:
        chains: dict[tuple[object, ...], list[Parcel]] = defaultdict(list)
        for parcel in self._batch.parcels:
            chains[parcel.chain].append(parcel)
        await asyncio.gather(*(self._send_chain(chain) for chain in chains.values()))
        return self._results

    async def _send_chain(self, chain: Sequence[Parcel]) -> None:
        for parcel in chain:
            async with self._gate:
                if self._is_away or time.monotonic() >= self._end:
                    return
                outcome = await self._send_one(parcel)
            self._results.append((parcel, outcome))
            if outcome.error is not None:
                self._is_away |= outcome.is_away or outcome.is_gone
                return

    async def _send_one(self, parcel: Parcel) -> Outcome:
        at = self._platform.clock.wall()
        try:
            headers = signing.headers(parcel.delivery_id, at, parcel.body, self._batch.secrets)
            answer = await self._line.post(headers, parcel.body)
        except TargetUnreachable as unreachable:
            return Outcome(unreachable.reason, is_away=True)
        except Exception as error:  # counted as a try like any: otherwise it would come again for ever
            _log.exception("webhook_not_sent", delivery_id=str(parcel.delivery_id))
            return Outcome(type(error).__name__)
        return Outcome(
            None if 200 <= answer.status < 300 else f"status {answer.status}",
            status_code=answer.status,
            duration_ms=answer.duration_ms,
            answer=rules.shown(answer.start),
            is_away=answer.status in rules.AWAY,
            retry_after_s=answer.retry_after_s,
        )


async def deliver_due(platform: Platform) -> None:
    """All that is due now and all that feeds are ahead, until nothing is left or the sweep's time is over."""
    end = time.monotonic() + SWEEP_S
    while time.monotonic() < end:
        async with platform.database.reading() as session:
            found = set(await delivering.due(session, platform, DUE_AT_ONCE))
        found |= await behind(platform)
        if not found:
            return
        gate = asyncio.Semaphore(PARALLEL_ENDPOINTS)
        await asyncio.gather(*(_in_turn(platform, gate, one, end) for one in found))


async def behind(platform: Platform) -> set[UUID]:
    """Endpoints whose feed is ahead of them."""
    found: set[UUID] = set()
    after: UUID | None = None
    while True:
        async with platform.database.reading() as session:
            late, after = await delivering.behind(session, platform, after)
        found.update(late)
        if after is None:
            return found


async def _in_turn(platform: Platform, gate: asyncio.Semaphore, endpoint_id: UUID, end: float) -> None:
    """What goes wrong with one endpoint is its own, and never stops the others."""
    async with gate:
        if time.monotonic() >= end:
            return
        try:
            await serve(platform, endpoint_id, turn_s=min(TURN_S, end - time.monotonic()))
        except Exception:
            _log.exception("webhook_endpoint_not_served", endpoint_id=str(endpoint_id))
