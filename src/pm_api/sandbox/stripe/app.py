"""The sandbox as one ASGI application: API, control routes and pages over one store."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pm_api.sandbox.stripe.billing.clockwork import catch_up
from pm_api.sandbox.stripe.billing_control import router as billing_control_router
from pm_api.sandbox.stripe.billing_pages import router as billing_pages_router
from pm_api.sandbox.stripe.control import ControlError, answer_control_error
from pm_api.sandbox.stripe.control import router as control_router
from pm_api.sandbox.stripe.elements import router as elements_router
from pm_api.sandbox.stripe.gate import Gate
from pm_api.sandbox.stripe.pages import router as pages_router
from pm_api.sandbox.stripe.payment_control import router as payment_control_router
from pm_api.sandbox.stripe.portal import router as portal_router
from pm_api.sandbox.stripe.routes import API_ROUTES
from pm_api.sandbox.stripe.store import Store
from pm_api.sandbox.stripe.webhooks import Deliverer, Endpoint
from pm_api.sandbox.stripe.world import BASE_URL, CLOCK_OFFSET, Sandbox

RETRY_DELAYS_S = (1.0, 5.0, 30.0, 120.0, 600.0)
TICK_S = 1.0
logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Timekeeper:
    """Before anything is answered, what time has brought is carried out; and it learns how people get here."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            address = str(Request(scope).base_url)
            if self._sandbox.store.setting(BASE_URL) != address:
                self._sandbox.store.set_setting(BASE_URL, address)
            catch_up(self._sandbox)
        await self._app(scope, receive, send)


async def _tick(sandbox: Sandbox) -> None:
    """Time passes also while nobody asks: renewals and their webhooks come by themselves."""
    while True:
        await asyncio.sleep(TICK_S)
        try:
            catch_up(sandbox)
        except Exception:
            logger.exception("The sandbox could not carry out what was due.")


def create_app(
    *,
    store_path: str,
    secret_key: str,
    webhook_secrets: Sequence[str],
    webhook_url: str | None,
    clock: Callable[[], datetime] = utc_now,
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    delivery_timeout_s: float = 10.0,
) -> FastAPI:
    """A Stripe that keeps its state in `store_path` (or `:memory:`) and answers to `secret_key` only.

    `clock` is business time; `/_sandbox/clock` moves the sandbox further ahead of it. Every webhook is signed with
    each of `webhook_secrets`, so that a key roll can be tried; a failed one is tried again after each of
    `retry_delays_s`. The store belongs to this application and closes with its lifespan: after a restart, make a
    new one on the same path.
    """
    if not secret_key:
        raise ValueError("The sandbox needs a secret key: an empty one would let everybody in.")
    if webhook_url is not None and not (webhook_secrets and all(webhook_secrets)):
        raise ValueError("A webhook URL needs at least one secret, and none of them empty.")
    store = Store(store_path)

    def world() -> datetime:
        return clock() + timedelta(seconds=int(store.setting(CLOCK_OFFSET) or 0))

    def now() -> int:
        return int(world().timestamp())

    deliverer = Deliverer(
        store=store,
        endpoint=Endpoint(webhook_url, tuple(webhook_secrets)),
        now=now,
        retry_delays_s=retry_delays_s,
        timeout_s=delivery_timeout_s,
    )
    sandbox = Sandbox(store=store, deliverer=deliverer, clock=world, world=world, secret_key=secret_key)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        deliverer.resume()
        ticking = asyncio.get_running_loop().create_task(_tick(sandbox))
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            await deliverer.close()
            store.close()

    app = FastAPI(title="Sandbox Stripe", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.sandbox = sandbox
    app.add_middleware(Timekeeper, sandbox=sandbox)
    app.add_exception_handler(ControlError, answer_control_error)
    app.include_router(control_router)
    app.include_router(pages_router)
    app.include_router(billing_control_router)
    app.include_router(billing_pages_router)
    app.include_router(payment_control_router)
    app.include_router(elements_router)
    app.include_router(portal_router)
    app.router.routes.append(
        Route("/v1/{path:path}", Gate(sandbox, API_ROUTES).answer, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
    )
    return app
