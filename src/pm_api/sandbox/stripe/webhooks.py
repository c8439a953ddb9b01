"""Telling the endpoint: signatures, attempts with growing pauses, and a log of each attempt."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from pm_api.sandbox.stripe.manners import Way, way_of
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Delivery, Store

PARALLEL_ATTEMPTS = 16
AT_ONCE = Way()


def signature_header(payload: bytes, secrets: Sequence[str], timestamp: int) -> str:
    """The `Stripe-Signature` value with one `v1` per secret, as Stripe sends it while a secret is being rolled."""
    signed = f"{timestamp}.".encode() + payload
    signatures = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in signatures)])


def sign_payload(payload: bytes, secret: str, timestamp: int) -> str:
    """The whole `Stripe-Signature` header value for one secret: `t=<timestamp>,v1=<hex>`."""
    return signature_header(payload, [secret], timestamp)


@dataclass(frozen=True)
class Endpoint:
    """Where events go. Without a URL they are kept, and nobody is told."""

    url: str | None
    secrets: tuple[str, ...]


class Deliverer:
    """Sends stored events to the endpoint. What is owed lives in the store's outbox, so a restart resumes it."""

    def __init__(
        self,
        *,
        store: Store,
        endpoint: Endpoint,
        now: Callable[[], int],
        retry_delays_s: Sequence[float],
        timeout_s: float,
    ) -> None:
        self.endpoint = endpoint
        self._store = store
        self._now = now
        self._retry_delays_s = tuple(retry_delays_s)
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None
        self._attempts = asyncio.Semaphore(PARALLEL_ATTEMPTS)
        self._tasks: set[asyncio.Task[None]] = set()

    def queue(self, event: Json) -> None:
        """Owe this event to the endpoint and begin in the background; needs a running event loop. One that is dropped
        is never sent, and stays undelivered.
        """
        if self.endpoint.url is None:
            return
        way = way_of(self._store, event["type"])
        if way.is_dropped:
            return
        self._store.queue(event["id"])
        self._begin(event["id"], way)

    def resume(self) -> None:
        for event_id in self._store.queued():
            self._begin(event_id)

    async def send(self, event: Json) -> Delivery:
        """One attempt, now, logged. `event` is the stored object; a 2xx answer is a success."""
        url = self.endpoint.url
        assert url is not None
        payload = json.dumps(event | {"pending_webhooks": 1}, indent=2).encode()
        # Verifiers compare with the wall clock, also while business time is moved.
        header = signature_header(payload, self.endpoint.secrets, int(time.time()))
        started = time.monotonic()
        status: int | None = None
        failure: str | None = None
        try:
            answer = await self._open_client().post(
                url,
                content=payload,
                headers={
                    "Content-Type": "application/json; charset=utf-8",
                    "Stripe-Signature": header,
                    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                },
            )
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = f"{type(error).__name__}: {error}"
        delivery = Delivery(
            event_id=event["id"],
            url=url,
            attempted_at=self._now(),
            duration_ms=round((time.monotonic() - started) * 1000),
            status=status,
            error=failure,
        )
        self._store.log_delivery(delivery)
        return delivery

    async def stop(self) -> None:
        """End what is under way; the outbox keeps it for the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        await self.stop()
        if self._client is not None:
            await self._client.aclose()

    def _open_client(self) -> httpx.AsyncClient:
        if self._client is None:
            # A proxy from the environment must not swallow what is meant for this machine.
            self._client = httpx.AsyncClient(timeout=self._timeout_s, trust_env=False)
        return self._client

    def _begin(self, event_id: str, way: Way = AT_ONCE) -> None:
        task = asyncio.get_running_loop().create_task(self._hand_over(event_id, way))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, event_id: str, way: Way) -> None:
        await asyncio.sleep(way.wait_s)
        while True:
            attempts_made = self._store.attempts_made(event_id)
            event = self._store.find(event_id, "event")
            if attempts_made is None or event is None:
                return
            if not self._store.is_delivered(event_id):
                async with self._attempts:
                    delivery = await self.send(event)
                self._store.count_attempt(event_id)
                if not delivery.succeeded and attempts_made < len(self._retry_delays_s):
                    await asyncio.sleep(self._retry_delays_s[attempts_made])
                    continue
            self._store.dequeue(event_id)
            break
        for _ in range(way.copies):
            async with self._attempts:
                await self.send(event)
