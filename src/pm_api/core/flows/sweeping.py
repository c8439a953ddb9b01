"""What nobody is at any more: looked at, and brought to an end."""

from datetime import timedelta
from typing import Final

import structlog

from pm_api.core import telemetry
from pm_api.core.errors import ApiError, Unavailable
from pm_api.core.flows import records
from pm_api.core.flows.kinds import KINDS
from pm_api.core.flows.records import ABANDONED
from pm_api.core.flows.work import Held, close, held_from, lease_kept, let_go, settle
from pm_api.core.platform import Platform

SURELY_NOTHING_AFTER: Final = timedelta(seconds=60)
FIRST_PAUSE_S: Final = 30
LONGEST_PAUSE_S: Final = 600
LOOKS_AT_A_TIME: Final = 200

_log = structlog.get_logger(__name__)


async def sweep(platform: Platform, limit: int = LOOKS_AT_A_TIME) -> None:
    """Bring to an end what nobody is at: settle what is found at the provider, give up what never got there. Stops
    for now when a provider is away.
    """
    for _ in range(limit):
        held = await _next_left(platform)
        if held is None:
            return
        async with lease_kept(platform, held):
            if not await _look_after(platform, held):
                return


async def _next_left(platform: Platform) -> Held | None:
    holder = platform.randomness.uuid()
    async with platform.database.transaction() as session:
        # During a deployment there may be kinds that only newer processes know: theirs to look after.
        row = await records.take_one_left(session, platform, holder, KINDS)
        return None if row is None else held_from(row, holder, tried_at=row.tried_at)


async def _look_after(platform: Platform, held: Held) -> bool:
    """One look at a flow that was left; False when its provider is away."""
    log = _log.bind(flow=str(held.view.id), kind=held.kind.name)
    longer = timedelta(seconds=min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(held.looks, 10)))
    try:
        found = await held.kind.find(platform, held.view)
        if found is not None:
            await settle(platform, held, found)
            log.info("flow_settled_by_sweep")
            return True
        remaining = held.tried_at + SURELY_NOTHING_AFTER - platform.clock.wall()
        if remaining > timedelta(0):
            await let_go(platform, held, pause=remaining)
            return True
        await _abandon(platform, held)
        log.info("flow_abandoned")
    except Unavailable:
        await let_go(platform, held, pause=longer)
        return False
    except ApiError as refusal:
        log.info("flow_refused_by_sweep", code=refusal.code)
    except Exception:
        log.exception("flow_look_failed")
        await let_go(platform, held, pause=longer)
    return True


async def _abandon(platform: Platform, held: Held) -> None:
    """Nothing stands at the provider, and nothing is on its way there any more."""
    async with platform.database.transaction() as session:
        if await records.prove(session, held.view.id, held.holder):
            await held.kind.give_up(session, platform, held.view)
            await close(session, platform, held.view.id, ABANDONED, None, None)
    telemetry.FLOWS.labels(held.kind.name, "abandoned").inc()
