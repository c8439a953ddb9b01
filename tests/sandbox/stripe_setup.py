"""One sandbox Stripe per test, over HTTP on a free port, with the official SDK as its client."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import stripe
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pm_api.sandbox.stripe import create_app

SECRET_KEY = "sk_test_sandboxSandboxSandbox1"
WEBHOOK_SECRETS = ("whsec_current", "whsec_previous")
SUCCESS_URL = "http://localhost:3000/done?session={CHECKOUT_SESSION_ID}"
CANCEL_URL = "http://localhost:3000/credits"
Value = TypeVar("Value")


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of the app on a free port, for as long as the context lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class MovableClock:
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class Receiver:
    """A webhook endpoint that keeps what it gets; it answers `statuses` first and 200 from then on."""

    received: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.received.append((request.headers["Stripe-Signature"], await request.body()))
        return Response(status_code=self.statuses.pop(0) if self.statuses else 200)

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.received]


@dataclass
class Setup:
    """One sandbox with its own store, endpoint and clock; `http` is for its pages and control routes."""

    url: str
    client: stripe.StripeClient
    http: httpx.AsyncClient
    receiver: Receiver
    clock: MovableClock

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(method, f"/_sandbox{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def told(self, count: int) -> list[str]:
        """The event types the endpoint got, once there are so many."""
        return await eventually(self.receiver.types, lambda types: len(types) >= count)

    async def types(self) -> list[str]:
        return [event.type for event in (await self.client.v1.events.list_async()).data]

    async def new_session(self, **more: Any) -> stripe.checkout.Session:
        line = {
            "price_data": {"currency": "usd", "unit_amount": 999, "product_data": {"name": "100 credits"}},
            "quantity": 2,
        }
        params: Any = {
            "mode": "payment",
            "line_items": [line],
            "client_reference_id": "checkout-1",
            "metadata": {"accountType": "user", "accountId": "u1", "7": "digits"},
            "success_url": SUCCESS_URL,
            "cancel_url": CANCEL_URL,
            **more,
        }
        return await self.client.v1.checkout.sessions.create_async(params)

    async def submit(self, session: stripe.checkout.Session, card: str) -> httpx.Response:
        fields = {"email": "ada@example.com", "card_number": card, "expiry": "12 / 40", "name": "Ada"}
        return await self.http.post(f"/checkout/{session.id}", data=fields)

    async def balance(self) -> stripe.Balance:
        return await self.client.v1.balance.retrieve_async()


async def eventually(read: Callable[[], Value], fits: Callable[[Value], bool]) -> Value:
    deadline = time.monotonic() + 5
    while not fits(value := read()):
        assert time.monotonic() < deadline, f"did not happen: {value!r}"
        await asyncio.sleep(0.01)
    return value


@asynccontextmanager
async def sdk_client(
    url: str, *, key: str = SECRET_KEY, timeout_s: float = 5, retries: int = 0
) -> AsyncIterator[stripe.StripeClient]:
    transport = stripe.HTTPXClient(timeout=timeout_s, verify_ssl_certs=False)
    yield stripe.StripeClient(key, base_addresses={"api": url}, http_client=transport, max_network_retries=retries)
    await transport.close_async()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def running(
    store_path: str,
    receiver: Receiver,
    clock: MovableClock,
    webhook_url: str | None,
    retry_delays_s: tuple[float, ...] = (0.02, 0.02),
) -> AsyncIterator[Setup]:
    app = create_app(
        store_path=store_path,
        secret_key=SECRET_KEY,
        webhook_secrets=WEBHOOK_SECRETS,
        webhook_url=webhook_url,
        clock=clock,
        retry_delays_s=retry_delays_s,
    )
    with served(app) as url:
        async with sdk_client(url) as client, httpx.AsyncClient(base_url=url, verify=False) as http:
            yield Setup(url, client, http, receiver, clock)


@contextmanager
def listening() -> Iterator[tuple[Receiver, str]]:
    """A webhook endpoint and its URL."""
    receiver = Receiver()
    with served(Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])) as url:
        yield receiver, f"{url}/hook"


@asynccontextmanager
async def fresh_sandbox() -> AsyncIterator[Setup]:
    with listening() as (receiver, webhook_url):
        async with running(":memory:", receiver, MovableClock(), webhook_url) as one:
            yield one
