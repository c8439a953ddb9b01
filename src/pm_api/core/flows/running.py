"""A request's way into its flow: a new one, one to take over, or the answer it was given before."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Header, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry, wire
from pm_api.core.db import BEFORE_COMMIT, as_json
from pm_api.core.errors import ApiError
from pm_api.core.flows import records
from pm_api.core.flows.kinds import KINDS, ChangeInProgress, FlowKind, FlowView, RequestKey
from pm_api.core.flows.records import OPEN, REFUSED
from pm_api.core.flows.work import Held, apart, close, held_from
from pm_api.core.idempotency import (
    POLL_S,
    STORED_REFUSALS,
    WAIT_S,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    request_fingerprint,
    required_key,
    route_name,
    unseal_answer,
)
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_response
from pm_api.core.tables import FlowRecord

Begin = Callable[[AsyncSession, UUID], Awaitable[dict[str, Any]]]


KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="One text per intention, the same for its retries. Required; where the body has an "
        "`idempotencyKey`, it may stand there instead.",
    ),
]
KeyHeaderIfSent = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="One text per intention, the same for its retries.",
    ),
]


async def flow_key(request: Request, idempotency_key: KeyHeader = None) -> RequestKey:
    """The request's key, which it must have; stands after the guard, which says who calls. Raises
    IdempotencyKeyRequired and InvalidIdempotencyKey.
    """
    body = await request.body()
    try:
        content = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:  # the schema refuses it, and says where
        content = None
    field = None
    if isinstance(content, dict):
        field = content.pop("idempotencyKey", None)
        body = orjson.dumps(content)
    if field is not None and not isinstance(field, str):
        raise InvalidIdempotencyKey
    return RequestKey(
        caller=request.state.caller,
        route=route_name(request.scope["route"]),
        key=required_key(idempotency_key, field),
        fingerprint=request_fingerprint(request.method, request.url.path, request.url.query, body),
    )


async def key_if_sent(request: Request, idempotency_key: KeyHeaderIfSent = None) -> RequestKey | None:
    """The request's key, for routes that do no harm without one."""
    return None if idempotency_key is None else await flow_key(request, idempotency_key)


@dataclass(frozen=True, slots=True)
class _Refused:
    """The first transaction said no, and the key keeps it."""

    error: ApiError


async def run(
    platform: Platform,
    kind: FlowKind[Any],
    begin: Begin,
    *,
    request_key: RequestKey | None,
    exclusive: str | None = None,
    subject: UUID | None = None,
) -> Response:
    """Carry a flow out, or answer as it was answered before. `begin` runs in the first transaction, with the flow's
    id: it checks under locks, writes the intent and returns the parameters.

    Raises what begin, act or settle refuse with; IdempotencyKeyReused, IdempotencyInProgress, ChangeInProgress while
    another open flow has the same `exclusive` text; the provider's own Unavailable when it did not answer. A caller
    who goes away does not stop it.
    """
    if KINDS.get(kind.name) is not kind:
        raise TypeError(f"the kind of flow {kind.name!r} is not registered")
    wire.told_elsewhere()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    entry = _Entry(platform, kind, begin, request_key, exclusive, subject)
    while True:
        entered = await entry.enter()
        if isinstance(entered, Response):
            return entered
        if isinstance(entered, _Refused):
            raise entered.error
        if entered is not None:
            return await apart(platform, entered)
        if loop.time() >= deadline:
            raise IdempotencyInProgress(headers={"Retry-After": "1"})
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One request's way into its flow."""

    platform: Platform
    kind: FlowKind[Any]
    begin: Begin
    request_key: RequestKey | None
    exclusive: str | None
    subject: UUID | None

    async def enter(self) -> Held | _Refused | Response | None:
        """The flow to work on, new or taken over; how it ended before; None while somebody else is at it."""
        asked = self.request_key
        async with self.platform.database.transaction() as session:
            if asked is not None:
                if not await records.lock_place(session, asked.place):
                    return None
                row = await records.at(session, asked.place)
                if row is not None:
                    return await self._look_at(session, row, asked)
            holder = self.platform.randomness.uuid()
            flow_id = await records.open_one(session, self.platform, self._values(), holder)
            if flow_id is None:
                raise ChangeInProgress
            return await self._begin(session, flow_id, holder)

    def _values(self) -> dict[str, Any]:
        asked = self.request_key
        return {
            "kind": self.kind.name,
            "caller": asked.caller if asked else None,
            "route": asked.route if asked else None,
            "key": asked.key if asked else None,
            "fingerprint": asked.fingerprint if asked else None,
            "exclusive": self.exclusive,
            "subject": self.subject,
        }

    async def _look_at(self, session: AsyncSession, row: FlowRecord, asked: RequestKey) -> Held | Response | None:
        """What to do about a flow that stands under the key already."""
        if row.fingerprint != asked.fingerprint:
            raise IdempotencyKeyReused
        if row.status != OPEN:
            return unseal_answer(self.platform, row)
        if records.is_held(self.platform, row):
            return None
        holder, wall = self.platform.randomness.uuid(), self.platform.clock.wall()
        await records.take(session, self.platform, row, holder, wall)
        telemetry.FLOWS.labels(row.kind, "taken_over").inc()
        return held_from(row, holder, tried_at=wall)

    async def _begin(self, session: AsyncSession, flow_id: UUID, holder: UUID) -> Held | _Refused:
        asked = self.request_key
        savepoint = await session.begin_nested()
        try:
            # As the row gives them back, so that the first try sees what every other one sees.
            parameters = orjson.loads(as_json(await self.begin(session, flow_id)))
            await self.platform.database.run_before_commit(session)
            await savepoint.commit()
        except ApiError as refusal:
            if asked is None or refusal.status not in STORED_REFUSALS:
                raise
            await savepoint.rollback()
            session.info.pop(BEFORE_COMMIT, None)
            await close(session, self.platform, flow_id, REFUSED, asked.place, problem_response(refusal))
            telemetry.FLOWS.labels(self.kind.name, "refused").inc()
            return _Refused(refusal)
        await records.pin(session, flow_id, parameters)
        view = FlowView(flow_id, parameters, 1, self.subject)
        place = asked.place if asked else None
        return Held(self.kind, view, place, holder, is_new=True, tried_at=self.platform.clock.wall())


async def stored_answer(
    session: AsyncSession, platform: Platform, *, caller: str, route: str, key: str
) -> Response | None:
    """The answer a key of this caller was given by a flow, or None when none is stored."""
    row = await records.look(session, (caller, route, key))
    return None if row is None or row.sealed_answer is None else unseal_answer(platform, row)


async def forget_old(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Forget flows that ended more than 48 hours ago, with their answers; returns how many."""
    return await records.forget(session, platform, limit)
