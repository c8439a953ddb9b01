"""A paid checkout becomes credits: once, from what Stripe says now, whatever order and number the events come in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core import inbox, jobs
from pm_api.core.inbox import HANDLED, HELD, PENDING
from pm_api.core.jobs import JobContext, TryAgain, Worker
from pm_api.domains.ai_credits.engine import MAX_AMOUNT
from pm_api.domains.ai_credits.models import CreditPack
from pm_api.integrations.stripe import PaymentProviderUnavailable, StripeDoor
from pm_api.sandbox.stripe.objects.common import new_id
from pm_api.webhooks.jobs import requeue_stuck
from pm_api.webhooks.service import DRAIN_STRIPE, SOURCE
from tests.conftest import PASSWORD, Person, client_of, open_platform, register
from tests.support.clock import MovableClock
from tests.support.processes import free_port
from tests.support.server import serve
from tests.support.settings import ADMIN_KEY, settings_for
from tests.support.stripe import (
    ENDPOINT,
    Json,
    Till,
    clone,
    door_to,
    encoded,
    event_about,
    open_checkout,
    open_till,
    published_event,
    published_session,
    sample,
    sandbox_stripe,
    session_about,
    signed,
    stripe_settings,
)

assert PASSWORD

COMPLETED = "checkout.session.completed"
SUCCEEDED = "checkout.session.async_payment_succeeded"
FAILED = "checkout.session.async_payment_failed"
EXPIRED = "checkout.session.expired"
ADMIN = {"x-admin-key": ADMIN_KEY}
FREE_CREDITS = 10
SESSIONS = "/v1/checkout/sessions"


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe, open_till(database, stripe) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def whole_stripe(till: Till) -> AsyncIterator[None]:
    """What a test does to Stripe, to the door or to the clock ends with it."""
    door = till.platform.part(StripeDoor)
    yield
    await till.stripe.heal()
    till.platform.provide(door)
    assert isinstance(till.platform.clock, MovableClock)
    till.platform.clock.reset()


@pytest.fixture
async def buyer(till: Till) -> AsyncIterator[Person]:
    person = await register(till.app)
    yield person
    await person.client.aclose()


async def balance_of(person: Person) -> Json:
    answer = await person.client.get("/api/credits/balance")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["balance"]
    return found


async def prove(person: Person) -> None:
    answer = await person.client.get("/api/credits/verify")
    assert answer.status_code == 200, answer.text
    found = answer.json()["verification"]
    assert found["ok"], found["problems"]
    assert found["identity"]["granted"] == sum(
        value for name, value in found["identity"].items() if name != "granted"
    )


async def paid(till: Till, buyer: Person, **changes: Any) -> tuple[UUID, Json]:
    """A checkout of ours, and the paid session Stripe has for it."""
    checkout_id = await open_checkout(till.platform, buyer.id)
    return checkout_id, await till.stripe.put(session_about(checkout_id, **changes))


async def told(till: Till, kind: str, about: Json, **changes: Any) -> Json:
    """An event that came in."""
    event = event_about(kind, about, **changes)
    await till.tell(event)
    return event


async def outcome(till: Till, event: Json) -> tuple[str, str | None]:
    row = await till.stored(event["id"])
    return row["status"], row["outcome"]


async def admin(till: Till, method: str, path: str, **arguments: Any) -> Json:
    answer = await till.client.request(method, f"/api/admin/webhooks{path}", headers=ADMIN, **arguments)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


# --- the whole way ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session_of", "event_of"),
    [(published_session, published_event), (session_about, event_about)],
    ids=["published", "sandbox"],
)
async def test_a_paid_medium_pack_brings_550_credits_to_spend(
    till: Till,
    buyer: Person,
    session_of: Callable[..., Json],
    event_of: Callable[..., Json],
) -> None:
    checkout_id = await open_checkout(till.platform, buyer.id)
    about = await till.stripe.put(session_of(checkout_id))
    event = event_of(COMPLETED, about)
    await till.tell(event)
    assert await till.jobs([event["id"]]) == 1
    assert await outcome(till, event) == (PENDING, None)
    assert await till.bought(buyer.id) == 0
    await till.drain(about["customer"])

    row = await till.stored(event["id"])
    assert (row["status"], row["outcome"], row["attempts"]) == (HANDLED, "granted 550 credits", 1)
    assert row["handled_at"] is not None
    checkout = await till.checkout(checkout_id)
    assert (checkout["status"], checkout["stripe_session_id"]) == ("COMPLETE", about["id"])
    assert checkout["completed_at"] is not None
    never = {"expires_at": None}
    assert await till.lots(buyer.id) == [
        {"kind": "PURCHASE", "amount": 500, "remaining": 500, "cost_minor": 899, "cost_currency": "USD", **never},
        {"kind": "BONUS", "amount": 50, "remaining": 50, "cost_minor": None, "cost_currency": None, **never},
    ]
    balance = await balance_of(buyer)
    assert balance["current"] == FREE_CREDITS + 550
    assert {(lot["kind"], lot["remaining"]) for lot in balance["lots"]} == {
        ("FREE_TIER", FREE_CREDITS),
        ("PURCHASE", 500),
        ("BONUS", 50),
    }
    await prove(buyer)

    # What runs out goes first, then what was given, and last what was paid for.
    spent = await buyer.client.post(
        "/api/credits/spend", headers={"Idempotency-Key": "half"}, json={"amount": FREE_CREDITS + 50 + 100}
    )
    assert (spent.status_code, spent.json()["balance"]["current"]) == (200, 400), spent.text
    assert [(lot["kind"], lot["remaining"]) for lot in await till.lots(buyer.id)] == [("PURCHASE", 400), ("BONUS", 0)]
    await prove(buyer)


async def test_a_purchase_travels_from_stripe_through_a_worker_to_the_balance(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe delivers and signs, our route keeps it, a worker finds the job, and the buyer can spend."""
    monkeypatch.setattr(jobs, "POLL_S", 0.1)
    async with open_platform(settings_for(fresh_database), MovableClock()) as platform:
        app = create_app(platform.settings, platform)
        async with serve(app) as url, sandbox_stripe(f"{url}{ENDPOINT}") as stripe:
            door = door_to(platform, stripe.url)
            platform.provide(door)
            buyer = await register(app)
            worker = Worker(platform)
            await worker.start()
            try:
                checkout_id = await open_checkout(platform, buyer.id)
                _, event = await stripe.seed(checkout_id)
                assert await stripe.deliver(event["id"], times=3, concurrently=True) == [200, 200, 200]
                async with asyncio.timeout(15):
                    while (await balance_of(buyer))["current"] != FREE_CREDITS + 550:
                        await asyncio.sleep(0.05)
                    while await _waiting(platform.database.reading):
                        await asyncio.sleep(0.05)
            finally:
                await worker.stop()
                await buyer.client.aclose()
            await prove_with(buyer, app)


async def _waiting(reading: Callable[[], Any]) -> int:
    async with reading() as session:
        return int(
            await session.scalar(
                text("SELECT count(*) FROM pgqueuer WHERE entrypoint = :job"), {"job": DRAIN_STRIPE.name}
            )
        )
