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
from pm_api.core.idempotency import request_fingerprint
from pm_api.core.platform import PlatformDep
from pm_api.domains.ai_credits.charging import HOLD_TTL_S, Charge, charge
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.errors import ClientGone
from pm_api.identity.guards import require_account

OptionalKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="One text per intention: under it the work is charged once. A retry of work that failed runs it "
        "again; of work that was paid for it is 409 `already_charged`.",
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
    must declare the same `body`, and no session: the ledger commits by itself.
    """
    begin = _beginning(service, body, quantity, ttl_s)

    async def charged_work(request: Request, work: Annotated[Charge, Depends(begin)]) -> AsyncIterator[Charge]:
        async with _while_connected(request), work:
            yield work

    return charged_work


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
    begin = _beginning(service, body, quantity, ttl_s)

    async def charged_stream_work(work: Annotated[Charge, Depends(begin)]) -> AsyncIterator[Charge]:
        await work.hold()
        try:
            yield work
        finally:
            await work.close()

    return charged_stream_work


def _beginning(
    service: Service | Chosen, body: type[BaseModel], quantity: Callable[[Any], int] | int, ttl_s: int
) -> Callable[..., Any]:
    # The parameter must have the route's name for its body: two names would be two fields of one body.
    async def begin(
        scope: Annotated[AccountScope, Depends(require_account("credits.spend"))],
        platform: PlatformDep,
        request: Request,
        body: body,  # type: ignore[valid-type]  # the route's own
        idempotency_key: OptionalKey = None,
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
async def _while_connected(request: Request) -> AsyncIterator[None]:
    """Cancels what runs inside when the caller goes away, and says so as ClientGone."""
    worker = asyncio.current_task()
    assert worker is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
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
