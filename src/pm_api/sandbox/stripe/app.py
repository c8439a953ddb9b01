"""The sandbox as one ASGI application: API, control routes and pages over one store."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.routing import Route

from pm_api.sandbox.stripe.control import ControlError, answer_control_error
from pm_api.sandbox.stripe.control import router as control_router
from pm_api.sandbox.stripe.gate import Gate
from pm_api.sandbox.stripe.pages import router as pages_router
from pm_api.sandbox.stripe.routes import API_ROUTES
from pm_api.sandbox.stripe.store import Store
from pm_api.sandbox.stripe.webhooks import Deliverer, Endpoint
from pm_api.sandbox.stripe.world import Sandbox

RETRY_DELAYS_S = (1.0, 5.0, 30.0, 120.0, 600.0)


def utc_now() -> datetime:
    return datetime.now(UTC)


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

    `clock` is business time. Every webhook is signed with each of `webhook_secrets`, so that a key roll can be
    tried; a failed one is tried again after each of `retry_delays_s`. The store belongs to this application and
    closes with its lifespan: after a restart, make a new one on the same path.
    """
    if not secret_key:
        raise ValueError("The sandbox needs a secret key: an empty one would let everybody in.")
    if webhook_url is not None and not (webhook_secrets and all(webhook_secrets)):
        raise ValueError("A webhook URL needs at least one secret, and none of them empty.")
    store = Store(store_path)

    def now() -> int:
        return int(clock().timestamp())

    deliverer = Deliverer(
        store=store,
        endpoint=Endpoint(webhook_url, tuple(webhook_secrets)),
        now=now,
        retry_delays_s=retry_delays_s,
        timeout_s=delivery_timeout_s,
    )
    sandbox = Sandbox(store=store, deliverer=deliverer, clock=clock, secret_key=secret_key)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        deliverer.resume()
        try:
            yield
        finally:
            await deliverer.close()
            store.close()

    app = FastAPI(title="Sandbox Stripe", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.sandbox = sandbox
    app.add_exception_handler(ControlError, answer_control_error)
    app.include_router(control_router)
    app.include_router(pages_router)
    app.router.routes.append(
        Route("/v1/{path:path}", Gate(sandbox, API_ROUTES).answer, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
    )
    return app
