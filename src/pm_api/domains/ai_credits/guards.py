"""Charging as a dependency: the credits are held before the route runs.

`charged` is for routes that answer with JSON, `charged_stream` for streams. Both hold the route's one guard, and both
take the route's body, because a body that is not valid must not touch the ledger.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import BaseModel

from pm_api.core.actor import AccountScope
from pm_api.core.errors import ApiError
from pm_api.core.idempotency import (
    STORED_REFUSALS,
    DetachedCall,
    IdempotencyInProgress,
    detached_call_of,
    request_fingerprint,
)
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits.charging import HOLD_TTL_S, Charge, charge
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.errors import AlreadyCharged, ClientGone
from pm_api.identity.guards import require_account

KeyOfWork = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="One text per intention: under it the work is done and charged once, and a retry gets the first "
        "answer again, for 48 hours; a refusal with 402 or 409 too. Work that failed otherwise is run again.",
    ),
]
KeyOfStream = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="One text per intention: under it the work is charged once. A stream is not kept: a retry of "
        "work that failed runs it again; of work that was paid for it is 409 `already_charged`.",
    ),
]
Dependency = Callable[..., AsyncIterator[Charge]]
Chosen = Callable[[Any], Service]


def charged(
    service: Service | Chosen,
    body: type[BaseModel],
    *,
    quantity: Callable[[Any], int] | int = 1,
    ttl_s: int = HOLD_TTL_S,
) -> Dependency:
    """For `Depends(…, scope="function")`: the credits are captured before the answer leaves.

    Whatever the route raises releases them, and so does a caller who goes away: their work is cancelled. The route
    must declare the same `body`, and no session: the ledger commits by itself. Under an Idempotency-Key it is a
    detached call: the key is committed before the credits are held, the answer after they were captured.
    """
    begin = _beginning(service, body, quantity, ttl_s, KeyOfWork)

    async def charged_work(request: Request, work: Annotated[Charge, Depends(begin)]) -> AsyncIterator[Charge]:
        call = detached_call_of(request, fingerprint=work.content, holder=work.log_id, settle=work.settle)
        async with _while_connected(request, work):
            if call is not None:
                await _hold_once(work, call)
            async with work:
                yield work

    return charged_work


async def _hold_once(work: Charge, call: DetachedCall) -> None:
    """Hold the credits as the one request under its key. The ledger decides who that is: it knows whether another
    request's hold is open, paid for, or over. Raises what is to be answered instead of doing the work.
    """
    await call.announce()
    while True:
        try:
            await work.hold()
            break
        except (IdempotencyInProgress, AlreadyCharged) as theirs:
            # Theirs to answer, also when it is paid for already: they may be about to write their answer down.
            if not await call.another_gave_up() or isinstance(theirs, AlreadyCharged):
                raise
        except ApiError as refusal:
            if refusal.status in STORED_REFUSALS:  # pinned to the key in the ledger: it is everybody's
                await call.claim()
            raise
    try:
        await call.claim()
    except BaseException:
        await work.close()
        raise


def charged_stream(
    service: Service | Chosen,
    body: type[BaseModel],
    *,
    quantity: Callable[[Any], int] | int = 1,
    ttl_s: int = HOLD_TTL_S,
) -> Dependency:
    """For `Depends(…, scope="request")`: the credits are held before the answer begins, so that a refusal is still a
    problem. The generator works within `async with work:`, which captures at its end; an answer that has ended
    otherwise, or never began, releases.
    """
    begin = _beginning(service, body, quantity, ttl_s, KeyOfStream)

    async def charged_stream_work(work: Annotated[Charge, Depends(begin)]) -> AsyncIterator[Charge]:
        await work.hold()
        try:
            yield work
        finally:
            await work.close()

    return charged_stream_work


def _beginning(
    service: Service | Chosen,
    body: type[BaseModel],
    quantity: Callable[[Any], int] | int,
    ttl_s: int,
    header: Any,
) -> Callable[..., Any]:
    # The parameter must have the route's name for its body: two names would be two fields of one body.
    async def begin(
        scope: Annotated[AccountScope, Depends(require_account("credits.spend"))],
        platform: PlatformDep,
        request: Request,
        body: body,  # type: ignore[valid-type]  # the route's own
        idempotency_key: header = None,
    ) -> Charge:
        content = request_fingerprint(request.method, request.url.path, request.url.query, await request.body())
        return charge(
            platform,
            scope,
            service if isinstance(service, Service) else service(body),
            operation=request.scope["route"].operation_id,
            quantity=quantity if isinstance(quantity, int) else quantity(body),
            key=idempotency_key,
            content=content,
            ttl_s=ttl_s,
        )

    return begin


@asynccontextmanager
async def _while_connected(request: Request, work: Charge) -> AsyncIterator[None]:
    """Cancels what runs inside when the caller goes away, and says so as ClientGone. Work that is being paid for goes
    on to its answer: under a key the caller may come back for it.
    """
    worker = asyncio.current_task()
    assert worker is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        if not work.is_settling:
            gone = True
            worker.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        worker.uncancel()
        raise ClientGone from None
    finally:
        watcher.cancel()
