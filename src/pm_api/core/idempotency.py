"""Idempotency-Key on every POST (draft-ietf-httpapi-idempotency-key-header).

A route class, because it must see the answer: the key row is inserted first in the request's own transaction, the
effect runs in a savepoint, and key, effect and sealed answer commit together. A business refusal rolls back to the
savepoint and is stored; a 5xx rolls everything back, so a retry may succeed. Waiters hold no connection.

Work that takes its time is a `DetachedCall` instead: key and answer are committed apart, and nothing is open in
between. What writes to a provider is a flow with a record of its own, which outlives the process: `core.flows`.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
from sqlalchemy.sql.dml import UpdateBase

from pm_api.core.db import BEFORE_COMMIT, IDEMPOTENT_CALL, Database
from pm_api.core.errors import ApiError, Conflict, IdempotencyKeyRequired, Unprocessable
from pm_api.core.http import conditional
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_response
from pm_api.core.tables import FlowRecord, IdempotencyKey

KEPT: Final = timedelta(hours=48)
WAIT_S: Final = 2.0
POLL_S: Final = 0.05
MAX_KEY_LENGTH: Final = 255
STORED_REFUSALS: Final = frozenset({402, 409, 410})
STORED_HEADERS: Final = ("location", "etag")
SHUT: Final = frozenset({403, 404})  # how a gate refuses who may not, or may not any more
SEAL_PURPOSE: Final = "idempotency"

Settle = Callable[[ApiError | None], Awaitable[None]]

_log = structlog.get_logger(__name__)
_ending: set["asyncio.Task[None]"] = set()
"""Ends of detached calls being written: the event loop alone would not keep them."""


class IdempotencyKeyReused(Unprocessable):
    """This Idempotency-Key was already used with another request.

    A key stands for one intention. Use a new key for a different request.
    """

    code = "idempotency_key_reused"


class IdempotencyInProgress(Conflict):
    """The first request with this Idempotency-Key is still being worked on. Retry in a moment."""

    code = "idempotency_in_progress"


class InvalidIdempotencyKey(Unprocessable):
    """An Idempotency-Key has 1 to 255 visible ASCII characters, and header and body must agree."""

    code = "invalid_idempotency_key"


class _Replay(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def check_key(key: str) -> str:
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise InvalidIdempotencyKey
    return key


def required_key(header: str | None, field: str | None) -> str:
    """The one Idempotency-Key of a route that needs it, from header or body; raises when there is none or two."""
    if header is not None and field is not None and header != field:
        raise InvalidIdempotencyKey("The Idempotency-Key header and idempotencyKey in the body differ.")
    key = header if header is not None else field
    if key is None:
        raise IdempotencyKeyRequired
    return check_key(key)


def request_fingerprint(method: str, path: str, query: str, body: bytes) -> bytes:
    """Two requests are the same when method, address and JSON content are; spacing and key order do not count."""
    try:
        content = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS) if body else b""
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # the latter: nested deeper than orjson writes
        content = body
    head = json.dumps([method, path, query]).encode()
    return hashlib.sha256(head + b"\n" + content).digest()


class IdempotentCall:
    """One POST under a key: owns the request's session from its first use to the stored answer."""

    def __init__(self, request: Request, key: str, route: str) -> None:
        self._request = request
        self._platform: Platform = request.app.state.platform
        self._key = check_key(key)
        self._route = route
        self._fingerprint = b""
        self._session: AsyncSession | None = None
        self._savepoint: AsyncSessionTransaction | None = None

    @property
    def began(self) -> bool:
        return self._session is not None

    async def begin(self, database: Database) -> AsyncSession:
        """The session, with the key claimed; raises a replay of the stored answer or IdempotencyInProgress."""
        if self._session is not None:
            return self._session
        request = self._request
        self._caller: str = request.state.caller
        self._fingerprint = request_fingerprint(
            request.method, request.url.path, request.url.query, await request.body()
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_S
        while True:
            session = database.session()
            try:
                if await self._claim(session):
                    self._savepoint = await session.begin_nested()
                    self._session = session
                    return session
            except BaseException:
                await session.close()
                raise
            await session.close()
            if loop.time() >= deadline:
                raise IdempotencyInProgress(headers={"Retry-After": "1"})
            await asyncio.sleep(POLL_S)

    async def _claim(self, session: AsyncSession) -> bool:
        """True when the key is ours now; False while another request holds it; raises when it was used before."""
        # The advisory lock is held to the end of the transaction, so the INSERT below never has to wait for one.
        lock = func.hashtextextended(f"{self._caller}\n{self._route}\n{self._key}", 0)
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
            return False
        claimed = await session.scalar(
            insert(IdempotencyKey)
            .values(
                caller=self._caller,
                route=self._route,
                key=self._key,
                fingerprint=self._fingerprint,
                created_at=self._platform.clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(IdempotencyKey.key)
        )
        if claimed is not None:
            return True
        if (stored := await session.get(IdempotencyKey, (self._caller, self._route, self._key))) is None:
            return False  # forgotten between the two statements: the next try finds the key free
        if stored.fingerprint != self._fingerprint:
            raise IdempotencyKeyReused
        raise _Replay(unseal_answer(self._platform, stored))

    async def finish(self, response: Response) -> None:
        """Store the answer beside the effect and commit both."""
        assert self._session is not None
        assert self._savepoint is not None
        # Inside the savepoint: one of them may refuse, and the refusal must find it still open.
        await self._platform.database.run_before_commit(self._session)
        await self._savepoint.commit()
        await self._store(response)

    async def refuse(self, error: ApiError) -> Response:
        """Undo the effect, keep the refusal."""
        assert self._session is not None
        assert self._savepoint is not None
        await self._savepoint.rollback()
        self._session.info.pop(BEFORE_COMMIT, None)
        refusal = problem_response(error)
        await self._store(refusal)
        return refusal

    async def _store(self, response: Response) -> None:
        assert self._session is not None
        row = await self._session.get_one(IdempotencyKey, (self._caller, self._route, self._key))
        row.status_code = response.status_code
        row.sealed_answer = sealed(self._platform, response, row.caller, row.route, row.key)
        await self._platform.database.commit(self._session)

    async def abandon(self) -> None:
        """Let go of the session, and of whatever was not committed."""
        if self._session is not None:
            await self._session.rollback()
            await self._session.close()


class DetachedCall:
    """A POST under a key whose work is done outside any transaction. The intent is committed before it (`announce`),
    the answer after it (`finish`); which of several requests works is for the work's own record to say, and the one
    that does calls `claim`.

    A row without a status is under way; in the answer's place it then says whose it is, so that a request that was
    given up cannot write over the one that took its work over. `settle` makes the work's effect final, or (given the
    error) undoes it: dependencies end only after the route class, and an answer must not be stored before its effect.
    """

    def __init__(self, request: Request, key: str, *, fingerprint: bytes, holder: UUID, settle: Settle) -> None:
        self._platform: Platform = request.app.state.platform
        self._place: tuple[str, str, str] = (
            request.state.caller,
            route_name(request.scope["route"]),
            check_key(key),
        )
        self._fingerprint = fingerprint
        self._holder = holder.bytes
        self._settle = settle
        self._deadline = asyncio.get_running_loop().time() + WAIT_S
        self._claimed = False
        self._answered = False

    @property
    def began(self) -> bool:
        """Whether how it ends is this request's to tell."""
        return self._claimed

    async def announce(self) -> None:
        """Write the intent, if nobody has. Raises IdempotencyKeyReused, and the replay of a stored answer."""
        self._look_at(await self._written(insert(IdempotencyKey).values(**self._intent()).on_conflict_do_nothing()))

    async def claim(self) -> None:
        """The work is this request's now, whoever announced it; raises as `announce`."""
        intent = insert(IdempotencyKey).values(**self._intent())
        mine = intent.on_conflict_do_update(
            index_elements=[IdempotencyKey.caller, IdempotencyKey.route, IdempotencyKey.key],
            set_={"sealed_answer": intent.excluded.sealed_answer},
            where=and_(IdempotencyKey.status_code.is_(None), IdempotencyKey.fingerprint == self._fingerprint),
        )
        self._look_at(await self._written(mine))
        self._claimed = True

    async def _written(self, statement: Insert) -> IdempotencyKey:
        """The key's row once the statement has run; once more where the row was forgotten between the two."""
        while True:
            async with self._platform.database.transaction() as session:
                await session.execute(statement)
                if row := await session.get(IdempotencyKey, self._place):
                    return row

    async def another_gave_up(self) -> bool:
        """Wait for whoever is at this work. True: nobody but this request is; False: time is up. Raises a replay."""
        loop = asyncio.get_running_loop()
        while loop.time() < self._deadline:
            async with self._platform.database.reading() as session:
                row = await session.get(IdempotencyKey, self._place)
            if row is None:
                await self.announce()
                return True
            self._look_at(row)
            await asyncio.sleep(POLL_S)
            if row.sealed_answer == self._holder:
                return True
        return False

    async def finish(self, response: Response) -> None:
        """Settle the work, which may refuse, and store the answer. That it cannot be stored must not cost anybody
        their answer: what is done is done.
        """
        await self._settle(None)
        if response.status_code < 500:
            await self._store(response)

    async def refuse(self, error: ApiError) -> Response:
        """Undo the work, keep the refusal."""
        await self._settle(error)
        refusal = problem_response(error)
        await self._store(refusal)
        return refusal

    async def _store(self, response: Response) -> None:
        row = update(IdempotencyKey).where(self._is_mine())
        answer = sealed(self._platform, response, *self._place)
        self._answered = True  # before anybody can be cancelled here: `abandon` must not take the row away meanwhile
        await self._write(row.values(status_code=response.status_code, sealed_answer=answer), "answer_not_stored")

    async def abandon(self) -> None:
        """An unanswered key goes back: a retry may succeed."""
        if not self._answered:
            await self._write(delete(IdempotencyKey).where(self._is_mine()), "key_not_given_back")

    async def _write(self, statement: UpdateBase, failure: str) -> None:
        """In a task of its own, which nobody's cancellation reaches."""

        async def write() -> None:
            try:
                async with self._platform.database.transaction() as session:
                    await session.execute(statement)
            except Exception:
                _log.exception(failure, route=self._place[1])

        task = asyncio.create_task(write())
        _ending.add(task)
        task.add_done_callback(_ending.discard)
        await asyncio.shield(task)

    def _intent(self) -> dict[str, Any]:
        caller, route, key = self._place
        return {
            "caller": caller,
            "route": route,
            "key": key,
            "fingerprint": self._fingerprint,
            "sealed_answer": self._holder,
            "created_at": self._platform.clock.now(),
        }

    def _is_mine(self) -> ColumnElement[bool]:
        caller, route, key = self._place
        return and_(
            IdempotencyKey.caller == caller,
            IdempotencyKey.route == route,
            IdempotencyKey.key == key,
            IdempotencyKey.status_code.is_(None),
            IdempotencyKey.sealed_answer == self._holder,
        )

    def _look_at(self, row: IdempotencyKey) -> None:
        if row.fingerprint != self._fingerprint:
            raise IdempotencyKeyReused
        if row.status_code is not None:
            self._answered = True
            raise _Replay(unseal_answer(self._platform, row))


def detached_call_of(request: Request, *, fingerprint: bytes, holder: UUID, settle: Settle) -> DetachedCall | None:
    """This request detached, for its route class to end; None when it has no key. `holder` names its work."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    call = DetachedCall(request, key, fingerprint=fingerprint, holder=holder, settle=settle)
    setattr(request.state, IDEMPOTENT_CALL, call)
    return call


def sealed(platform: Platform, response: Response, caller: str, route: str, key: str) -> bytes:
    """An answer as it is kept: it may hold tokens and codes."""
    answer = {
        "headers": {name: response.headers[name] for name in STORED_HEADERS if name in response.headers},
        "media_type": response.headers.get("content-type"),
        "body": bytes(response.body).decode(),
    }
    return platform.keys.seal(SEAL_PURPOSE, orjson.dumps(answer), _seal_context(caller, route, key))


def route_name(route: APIRoute) -> str:
    return route.operation_id or route.name


def _seal_context(caller: str, route: str, key: str) -> bytes:
    return f"{caller}\n{route}\n{key}".encode()


def unseal_answer(platform: Platform, row: IdempotencyKey | FlowRecord) -> Response:
    """The stored answer as it left the first time, marked as replayed."""
    assert row.sealed_answer is not None
    assert row.status_code is not None
    context = _seal_context(row.caller or "", row.route or "", row.key or "")
    opened = platform.keys.open(SEAL_PURPOSE, row.sealed_answer, context)
    answer = orjson.loads(opened)
    return Response(
        answer["body"],
        status_code=row.status_code,
        headers={**answer["headers"], "Idempotent-Replayed": "true"},
        media_type=answer["media_type"],
    )


class ApiRoute(APIRoute):
    """Every route of this service: Idempotency-Key on POST, conditional GET on what carries an ETag."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.methods == {"GET"}:
            return conditional(handler)
        if "POST" not in (self.methods or ()):
            return handler

        async def handle(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None:
                return await handler(request)
            setattr(request.state, IDEMPOTENT_CALL, IdempotentCall(request, key, route_name(self)))
            try:
                response = await handler(request)
                if (call := _call_of(request)).began:
                    await call.finish(response)
            except _Replay as replay:
                return replay.response
            except ApiError as error:
                call = _call_of(request)
                if not call.began and error.status in SHUT and (known := await _answered(request, key)):
                    return known
                if not call.began or error.status not in STORED_REFUSALS:
                    raise
                return await call.refuse(error)
            finally:
                await _call_of(request).abandon()
            return response

        return handle


async def _answered(request: Request, key: str) -> Response | None:
    """What this request was answered before its gate was shut, maybe by its own doing: who hands a workspace over and
    loses the answer must not read that nothing came of it.
    """
    platform: Platform = request.app.state.platform
    place = (getattr(request.state, "caller", ""), route_name(request.scope["route"]), key)
    asked = request_fingerprint(request.method, request.url.path, request.url.query, await request.body())
    async with platform.database.reading() as session:
        row = await session.get(IdempotencyKey, place)
    if row is None or row.status_code is None or row.fingerprint != asked:
        return None
    return unseal_answer(platform, row)


def _call_of(request: Request) -> IdempotentCall | DetachedCall:
    """Who keeps the request's key: a route may have detached it."""
    call: IdempotentCall | DetachedCall = getattr(request.state, IDEMPOTENT_CALL)
    return call


def api_router(*, tag: str, prefix: str = "/api") -> APIRouter:
    """A slice's router."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=ApiRoute)


async def stored_answer(
    session: AsyncSession, platform: Platform, *, caller: str, route: str, key: str
) -> Response | None:
    """The answer a key of this caller was given on a route, or None when none is stored."""
    row = await session.get(IdempotencyKey, (caller, route, key))
    return None if row is None or row.status_code is None else unseal_answer(platform, row)
