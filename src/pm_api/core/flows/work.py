"""Working on one flow that is held: at the provider, then in the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry, wire
from pm_api.core.db import BEFORE_COMMIT
from pm_api.core.errors import ApiError, Unavailable
from pm_api.core.flows import records
from pm_api.core.flows.kinds import KINDS, FlowKind, FlowView
from pm_api.core.flows.records import ABANDONED, DONE, REFUSED, Place
from pm_api.core.idempotency import (
    POLL_S,
    STORED_REFUSALS,
    WAIT_S,
    IdempotencyInProgress,
    sealed,
    unseal_answer,
)
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_response
from pm_api.core.tables import FlowRecord

UNHEARD_RETRY_S: Final = 5
UNHEARD: Final = (
    "The provider did not say what became of this: it may still have gone through. Repeat the request with the same "
    "Idempotency-Key: it is done once, and the answer tells how it ended."
)

_log = structlog.get_logger(__name__)
_working: set["asyncio.Task[Response]"] = set()
"""Flows under way: the event loop alone would not keep them."""


@dataclass(frozen=True, slots=True)
class Held:
    """A flow that is ours to work on, while the lease is."""

    kind: FlowKind[Any]
    view: FlowView
    place: Place | None
    holder: UUID
    is_new: bool
    tried_at: datetime
    looks: int = 0


def held_from(row: FlowRecord, holder: UUID, *, tried_at: datetime) -> Held:
    place = (row.caller, row.route, row.key) if row.caller and row.route and row.key else None
    view = FlowView(row.id, row.parameters, row.attempt, row.subject)
    return Held(KINDS[row.kind], view, place, holder, is_new=False, tried_at=tried_at, looks=row.looks)


async def apart(platform: Platform, held: Held) -> Response:
    """In a task of its own, which nobody's cancellation reaches: what was begun is carried to its end."""
    task = asyncio.create_task(carry_out(platform, held))
    _working.add(task)
    task.add_done_callback(_working.discard)
    return await asyncio.shield(task)


async def carry_out(platform: Platform, held: Held) -> Response:
    async with lease_kept(platform, held):
        found = await _at_the_provider(platform, held)
        try:
            return await settle(platform, held, found)
        except ApiError as error:
            if error.status >= 500:
                await let_go(platform, held)
            raise
        except Exception:
            await let_go(platform, held)
            raise


async def _at_the_provider(platform: Platform, held: Held) -> Any:
    """What stands there now, by looking or by acting; raises after the row says how it is left."""
    with wire.watching() as writes:
        try:
            found = None if held.is_new else await held.kind.find(platform, held.view)
            if found is not None:
                return found
            return await held.kind.act(platform, held.view)
        except Exception as error:
            if isinstance(error, ApiError) and error.status < 500:
                await _refuse(platform, held, error)
                raise
            if held.is_new and writes.surely_none:
                await _refuse(platform, held, None)
                raise
            # Under its keys the provider would only repeat the failure that it answered with.
            await let_go(platform, held, attempt=held.view.attempt + writes.failed_there)
            telemetry.FLOWS.labels(held.kind.name, "left_open").inc()
            if isinstance(error, Unavailable):
                raise type(error)(UNHEARD, retry_after_s=UNHEARD_RETRY_S) from error
            raise


async def settle(platform: Platform, held: Held, found: Any) -> Response:
    """Write the result and keep the answer, in one transaction."""
    refusal: ApiError | None = None
    async with platform.database.transaction() as session:
        if not await records.prove(session, held.view.id, held.holder):
            return await _theirs(platform, held)
        savepoint = await session.begin_nested()
        try:
            settled = await held.kind.settle(session, platform, held.view, found)
            response = Response(status_code=204) if settled is None else settled
            await platform.database.run_before_commit(session)
            await savepoint.commit()
        except ApiError as error:
            if error.status >= 500:
                raise
            await savepoint.rollback()
            session.info.pop(BEFORE_COMMIT, None)
            response, refusal = problem_response(error), error
        # The provider has acted: also a refusal of a kind that is kept nowhere else must not be acted upon again.
        status = DONE if refusal is None else REFUSED
        await close(session, platform, held.view.id, status, held.place, response)
    telemetry.FLOWS.labels(held.kind.name, "done" if refusal is None else "refused").inc()
    if refusal is not None:
        raise refusal
    return response


async def _theirs(platform: Platform, held: Held) -> Response:
    """Somebody took the flow over while we were silent: their answer, when it comes soon."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    while held.place is not None and loop.time() < deadline:
        async with platform.database.reading() as session:
            row = await records.answer_of(session, held.view.id)
        if row is not None:
            return unseal_answer(platform, row)
        await asyncio.sleep(POLL_S)
    raise IdempotencyInProgress(headers={"Retry-After": "1"})


async def _refuse(platform: Platform, held: Held, error: ApiError | None) -> None:
    """Nothing happened at the provider. A business refusal is kept with the key, else the key is free again."""
    async with platform.database.transaction() as session:
        if not await records.prove(session, held.view.id, held.holder):
            return
        await held.kind.give_up(session, platform, held.view)
        if error is not None and error.status in STORED_REFUSALS:
            await close(session, platform, held.view.id, REFUSED, held.place, problem_response(error))
        else:
            await close(session, platform, held.view.id, ABANDONED, None, None)
    telemetry.FLOWS.labels(held.kind.name, "freed" if error is None else "refused").inc()


async def close(
    session: AsyncSession,
    platform: Platform,
    flow_id: UUID,
    status: str,
    place: Place | None,
    response: Response | None,
) -> None:
    answer = None
    if place is not None and response is not None:
        answer = (response.status_code, sealed(platform, response, *place))
    await records.close(session, platform, flow_id, status, answer=answer)


async def let_go(
    platform: Platform, held: Held, *, attempt: int | None = None, pause: timedelta | None = None
) -> None:
    """Leave the flow open with nobody at it. Should that fail, its lease runs out. With a `pause` nothing was tried,
    only looked at.
    """
    wall = platform.clock.wall()
    try:
        async with platform.database.transaction() as session:
            await records.let_go(
                session,
                held.view.id,
                held.holder,
                attempt=attempt or held.view.attempt,
                tried_at=wall if pause is None else held.tried_at,
                look_at=wall + (pause or timedelta(0)),
                looked=pause is not None,
            )
    except Exception:
        _log.exception("flow_not_let_go", flow=str(held.view.id), kind=held.kind.name)


@asynccontextmanager
async def lease_kept(platform: Platform, held: Held) -> AsyncIterator[None]:
    """Extends the lease for as long as the work takes."""

    async def beat() -> None:
        kept = True
        while kept:
            await asyncio.sleep(records.lease(platform).total_seconds() / 3)
            try:
                async with platform.database.transaction() as session:
                    kept = await records.keep(session, platform, held.view.id, held.holder)
            except Exception as failure:
                _log.warning("flow_lease_not_kept", flow=str(held.view.id), problem=repr(failure))

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
