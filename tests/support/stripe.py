"""Stripe for tests: the sandbox over real HTTP, objects built from Stripe's published samples, signed events."""

import copy
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from pm_api.app import create_app as create_service
from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.payments import checkouts
from pm_api.integrations.stripe import StripeDoor
from pm_api.sandbox.stripe import create_app, sign_payload
from pm_api.sandbox.stripe.objects.checkout import build_session
from pm_api.sandbox.stripe.objects.common import new_id
from pm_api.sandbox.stripe.objects.events import build_event
from pm_api.webhooks.jobs import drain_stripe
from pm_api.webhooks.service import DrainSubject
from tests.conftest import client_of, copy_of_template, database_url, open_platform, server_command
from tests.sandbox.stripe_setup import served
from tests.support.clock import MovableClock
from tests.support.settings import STRIPE_KEY, WEBHOOK_SECRET, settings_for

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "stripe" / "fixtures3.json"
ENDPOINT = "/api/webhooks/stripe"
PACK_PRICE_MINOR = 899

Json = dict[str, Any]


# --- objects and events -----------------------------------------------------------------------------------------


@cache
def _samples() -> Json:
    content: Json = json.loads(SAMPLES.read_text(encoding="utf-8"))["resources"]
    return content


def sample(name: str) -> Json:
    """Stripe's own sample of an object, to change as one likes; skips the test where the file is not at hand."""
    if not SAMPLES.exists():
        pytest.skip(f"Stripe's published samples are not there: {SAMPLES.name} beside the repository")
    found: Json = copy.deepcopy(_samples()[name])
    return found


def event_about(kind: str, about: Json | None, *, event_id: str | None = None, **changes: Any) -> Json:
    """An event of the sandbox's shape around any object."""
    event = build_event(
        created=changes.pop("created", int(time.time())), event_type=kind, about=about or {}, event_id=event_id
    )
    return event | changes


def published_event(kind: str, about: Json) -> Json:
    """An event of the published shape around any object."""
    return sample("event") | {
        "id": new_id("evt"),
        "type": kind,
        "created": int(time.time()),
        "data": {"object": about},
    }


def _as_bought(checkout_id: UUID | str | None, changes: Json) -> Json:
    """What a paid visit leaves on a session."""
    return {
        "id": new_id("cs_test"),
        "client_reference_id": None if checkout_id is None else str(checkout_id),
        "customer": new_id("cus"),
        "payment_intent": new_id("pi"),
        "metadata": {"accountType": "USER", "pack": "MEDIUM"},
        "status": "complete",
        "payment_status": "paid",
        "amount_subtotal": PACK_PRICE_MINOR,
        "amount_total": PACK_PRICE_MINOR,
        "currency": "usd",
        "url": None,
        **changes,
    }


def session_about(checkout_id: UUID | str | None, **changes: Any) -> Json:
    """A paid checkout session of the sandbox's shape."""
    now = int(time.time())
    shape = build_session(created=now, expires_at=now + 86_400, currency="usd", amount_total=PACK_PRICE_MINOR)
    return shape | _as_bought(checkout_id, changes)


def published_session(checkout_id: UUID | str | None, **changes: Any) -> Json:
    """A paid checkout session of the published shape."""
    return sample("checkout.session") | _as_bought(checkout_id, changes)


def encoded(event: Json) -> bytes:
    """As Stripe writes a body."""
    return json.dumps(event, indent=2).encode()


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> dict[str, str]:
    """The headers Stripe sends with this body."""
    stamp = int(time.time() if at is None else at)
    return {"Stripe-Signature": sign_payload(body, secret, stamp), "Content-Type": "application/json"}


# --- the sandbox ------------------------------------------------------------------------------------------------


@dataclass
class SandboxStripe:
    """A running sandbox and its control routes."""

    url: str
    http: httpx.AsyncClient

    async def _control(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = await self.http.request(method, f"/_sandbox{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def put(self, about: Json) -> Json:
        """This is how Stripe has the object from now on."""
        await self._control("PUT", "/objects", about)
        return about

    async def seed(self, checkout_id: UUID, **fields: Any) -> tuple[Json, Json]:
        """A session after a visit to the hosted page, and the event that tells of it."""
        found = await self._control(
            "POST",
            "/checkout-sessions",
            {
                "clientReferenceId": str(checkout_id),
                "customerId": new_id("cus"),
                "lineItems": [{"name": "550 credits", "amountMinor": PACK_PRICE_MINOR}],
                **fields,
            },
        )
        return found["session"], found["event"]

    async def fail(self, **switch: Any) -> None:
        """The next calls fail, hang or both: status, delayS, times, pathPrefix."""
        await self._control("PUT", "/faults", switch)

    async def heal(self) -> None:
        await self._control("DELETE", "/faults")

    async def deliver(self, event_id: str, **how: Any) -> list[int | None]:
        """Have the sandbox send an event of its own; the statuses it got."""
        statuses: list[int | None] = (await self._control("POST", f"/events/{event_id}/deliver", how))["statuses"]
        return statuses

    async def asked_for(self, object_id: str) -> int:
        """How often we have asked Stripe for this object."""
        requests = (await self._control("GET", "/requests"))["requests"]
        return sum(one["method"] == "GET" and one["path"].endswith(object_id) for one in requests)


@asynccontextmanager
async def sandbox_stripe(webhook_url: str | None = None) -> AsyncIterator[SandboxStripe]:
    """A sandbox on a free port, in this process but on a thread of its own."""
    app = create_app(
        store_path=":memory:", secret_key=STRIPE_KEY, webhook_secrets=(WEBHOOK_SECRET,), webhook_url=webhook_url
    )
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=30) as http:
            yield SandboxStripe(url, http)


def stripe_settings(api_base: str, **more: Any) -> Json:
    return {"secret_key": STRIPE_KEY, "webhook_secret": WEBHOOK_SECRET, "api_base": api_base, **more}


def door_to(platform: Platform, api_base: str, *, timeout_s: float = 10.0) -> StripeDoor:
    """Another door for the platform, behind which Stripe is somewhere else."""
    changes = {"api_base": api_base, "timeout_s": timeout_s}
    return StripeDoor(platform.settings.stripe.model_copy(update=changes), platform.clock)


def with_secrets(platform: Platform, *secrets: str) -> Platform:
    """The same process under other signing secrets."""
    values = tuple(SecretStr(one) for one in secrets)
    stripe = platform.settings.stripe.model_copy(update={"webhook_secret": values})
    settings = platform.settings.model_copy(update={"stripe": stripe})
    return Platform(**{**platform.__dict__, "settings": settings})


# --- our side ---------------------------------------------------------------------------------------------------


async def open_checkout(platform: Platform, user_id: UUID, *, pack: str = "MEDIUM", version: int = 1) -> UUID:
    """What the purchase route writes before it sends somebody to Stripe."""
    scope = UserScope(Actor(ActorKind.USER, user_id), user_id)
    async with platform.database.transaction() as session:
        item = checkouts.Item(checkouts.PACK, pack, PACK_PRICE_MINOR, "USD", version=version)
        checkout = checkouts.open_one(session, platform, scope, item)
    return checkout.id


@dataclass
class Till:
    """One process of ours, the sandbox Stripe it talks to, and what it has stored."""

    platform: Platform
    app: FastAPI
    stripe: SandboxStripe
    client: httpx.AsyncClient

    async def post(self, body: bytes, headers: dict[str, Any], *, path: str = ENDPOINT) -> httpx.Response:
        return await self.client.post(path, content=body, headers=headers)

    async def tell(self, event: Json) -> None:
        """Stripe tells us, and we take it."""
        body = encoded(event)
        answer = await self.post(body, signed(body, at=self.platform.clock.wall().timestamp()))
        assert (answer.status_code, answer.json()) == (200, {"received": True}), answer.text

    async def drain(self, subject: str) -> None:
        """Work the subject's events off, as a worker does."""
        await drain_stripe.run(JobContext(self.platform, drain_stripe.name), DrainSubject(subject=subject))

    async def query(self, statement: str, **values: Any) -> list[Json]:
        async with self.platform.database.reading() as session:
            found = await session.execute(text(statement), values)
            return [dict(row) for row in found.mappings()]

    async def stored(self, event_id: str) -> Json:
        """The one row the inbox has for an event."""
        [row] = await self.query("SELECT * FROM inbox_events WHERE event_id = :id", id=event_id)
        return row

    async def jobs(self, event_ids: Sequence[str]) -> int:
        """How many jobs wait for these events."""
        keys = [f"stripe:{one}" for one in event_ids]
        [row] = await self.query("SELECT count(*) AS n FROM pgqueuer WHERE dedupe_key = ANY(:keys)", keys=keys)
        found: int = row["n"]
        return found

    async def checkout(self, checkout_id: UUID) -> Json:
        [row] = await self.query("SELECT * FROM checkout_sessions WHERE id = :id", id=checkout_id)
        return row

    async def lots(self, account_id: UUID) -> list[Json]:
        """What came in by a checkout."""
        return await self.query(
            "SELECT kind, amount, remaining, cost_minor, cost_currency, expires_at FROM credit_grants"
            " WHERE account_id = :id AND source_type = 'stripe_checkout' ORDER BY id",
            id=account_id,
        )

    async def bought(self, account_id: UUID) -> int:
        """Credits that came in by checkouts."""
        return sum(lot["amount"] for lot in await self.lots(account_id))


@asynccontextmanager
async def clone() -> AsyncIterator[str]:
    """A database for a module alone: nobody else's worker may find its jobs."""
    name = f"pm_till_{uuid4().hex[:12]}"
    await server_command(copy_of_template(name))
    try:
        yield database_url(name)
    finally:
        await server_command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@asynccontextmanager
async def open_till(database: str, stripe: SandboxStripe, **settings: Any) -> AsyncIterator[Till]:
    """A process of ours on `database`, served in memory, whose Stripe is the sandbox."""
    values = settings_for(database, stripe=stripe_settings(stripe.url), **settings)
    async with open_platform(values, MovableClock()) as platform:
        app = create_service(platform.settings, platform)
        async with client_of(app) as client:
            yield Till(platform, app, stripe, client)
