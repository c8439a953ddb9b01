"""Idempotency-Key on every POST (draft-ietf-httpapi-idempotency-key-header).

A route class, because it must see the answer: the key row is inserted first in the request's own transaction, the
effect runs in a savepoint, and key, effect and sealed answer commit together. A business refusal rolls back to the
savepoint and is stored; a 5xx rolls everything back, so a retry may succeed. Waiters hold no connection.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

from pm_api.core.db import BEFORE_COMMIT, IDEMPOTENT_CALL, Database
from pm_api.core.errors import ApiError, Conflict, Unprocessable
from pm_api.core.http import conditional
from pm_api.core.platform import Platform
from pm_api.core.problem import problem_response
from pm_api.core.tables import IdempotencyKey

KEPT: Final = timedelta(hours=48)
WAIT_S: Final = 2.0
POLL_S: Final = 0.05
MAX_KEY_LENGTH: Final = 255
STORED_REFUSALS: Final = frozenset({402, 409, 410})
STORED_HEADERS: Final = ("location", "etag")
SEAL_PURPOSE: Final = "idempotency"


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
        stored = await session.get_one(IdempotencyKey, (self._caller, self._route, self._key))
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

    async def refuse(self, response: Response) -> None:
        """Undo the effect, keep the refusal."""
        assert self._session is not None
        assert self._savepoint is not None
        await self._savepoint.rollback()
        self._session.info.pop(BEFORE_COMMIT, None)
        await self._store(response)

    async def _store(self, response: Response) -> None:
        assert self._session is not None
        row = await self._session.get_one(IdempotencyKey, (self._caller, self._route, self._key))
        row.status_code = response.status_code
        answer = {
            "headers": {name: response.headers[name] for name in STORED_HEADERS if name in response.headers},
            "media_type": response.headers.get("content-type"),
            "body": bytes(response.body).decode(),
        }
        row.sealed_answer = self._platform.keys.seal(
            SEAL_PURPOSE, orjson.dumps(answer), _seal_context(row.caller, row.route, row.key)
        )
        await self._platform.database.commit(self._session)

    async def abandon(self) -> None:
        """Let go of the session, and of whatever was not committed."""
        if self._session is not None:
            await self._session.rollback()
            await self._session.close()


def _seal_context(caller: str, route: str, key: str) -> bytes:
    return f"{caller}\n{route}\n{key}".encode()


def unseal_answer(platform: Platform, row: IdempotencyKey) -> Response:
    """The stored answer as it left the first time, marked as replayed."""
    assert row.sealed_answer is not None
    assert row.status_code is not None
    opened = platform.keys.open(SEAL_PURPOSE, row.sealed_answer, _seal_context(row.caller, row.route, row.key))
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
        route = self.operation_id or self.name

        async def handle(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None:
                return await handler(request)
            call = IdempotentCall(request, key, route)
            setattr(request.state, IDEMPOTENT_CALL, call)
            try:
                response = await handler(request)
                if call.began:
                    await call.finish(response)
            except _Replay as replay:
                return replay.response
            except ApiError as error:
                if not call.began or error.status not in STORED_REFUSALS:
                    raise
                refusal = problem_response(error)
                await call.refuse(refusal)
                return refusal
            finally:
                await call.abandon()
            return response

        return handle


def api_router(*, tag: str, prefix: str = "/api") -> APIRouter:
    """A slice's router."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=ApiRoute)


async def stored_answer(
    session: AsyncSession, platform: Platform, *, caller: str, route: str, key: str
) -> Response | None:
    """The answer a key of this caller was given on a route, or None when none is stored."""
    row = await session.get(IdempotencyKey, (caller, route, key))
    return None if row is None or row.status_code is None else unseal_answer(platform, row)


async def delete_expired_keys(session: AsyncSession, platform: Platform, limit: int = 5000) -> int:
    """Forget keys older than 48 hours; returns how many."""
    columns = (IdempotencyKey.caller, IdempotencyKey.route, IdempotencyKey.key)
    old = select(*columns).where(IdempotencyKey.created_at < platform.clock.now() - KEPT).limit(limit)
    gone = await session.scalars(
        delete(IdempotencyKey).where(tuple_(*columns).in_(old)).returning(IdempotencyKey.key)
    )
    return len(gone.all())
