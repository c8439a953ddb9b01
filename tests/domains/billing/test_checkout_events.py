"""A paid checkout becomes credits: once, from what Stripe says now, whatever order and number the events come in."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pm_api.app import create_app
from pm_api.core import inbox, jobs
from pm_api.core.inbox import HANDLED, HELD, PENDING
from pm_api.core.jobs import JobContext, TryAgain, Worker
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import (
    MAX_AMOUNT,
    Applied,
    LotDraft,
)
from pm_api.domains.ai_credits.commands import Grant
from pm_api.domains.ai_credits.engine import (
    SYSTEM,
)
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.models.ledger import CreditPack
from pm_api.domains.ai_credits.store import Order
from pm_api.integrations.stripe import StripeDoor
from pm_api.sandbox.stripe.objects.common import new_id
from pm_api.webhooks.jobs import requeue_stuck
from pm_api.webhooks.service import DRAIN_STRIPE, SOURCE
from tests.conftest import Person, client_of, open_platform, register
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
)

COMPLETED = "checkout.session.completed"
SUCCEEDED = "checkout.session.async_payment_succeeded"
FAILED = "checkout.session.async_payment_failed"
EXPIRED = "checkout.session.expired"
ADMIN = {"x-admin-key": ADMIN_KEY}
FREE_CREDITS = 10
SESSIONS = "/v1/checkout/sessions"
HANGING_S = 0.7


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe, open_till(database, stripe) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def whole_stripe(till: Till) -> AsyncIterator[None]:
    """What a test does to Stripe, to the door or to the clock ends with it."""
    yield
    await till.stripe.heal()
    await behind(till.platform, till.stripe.url)
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


async def replay(till: Till, event: Json) -> Json:
    """What an operator does after mending."""
    row = await till.stored(event["id"])
    found: Json = (await admin(till, "POST", f"/{row['id']}/replay"))["event"]
    return found


async def behind(platform: Platform, api_base: str, *, timeout_s: float = 10.0) -> None:
    """Stripe is at this address from now on."""
    await platform.part(StripeDoor).close()
    platform.provide(door_to(platform, api_base, timeout_s=timeout_s))


@asynccontextmanager
async def working(platform: Platform) -> AsyncIterator[None]:
    worker = Worker(platform)
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()


@asynccontextmanager
async def hanging(till: Till, about: Json) -> AsyncIterator[None]:
    """A worker that has asked Stripe for the object and waits for the answer while the block runs."""
    asked = await till.stripe.asked_for(about["id"])
    await till.stripe.fail(pathPrefix=SESSIONS, method="GET", delayS=HANGING_S, times=1)
    worker = asyncio.create_task(till.drain(about["customer"]))

    async def is_asked() -> bool:
        return await till.stripe.asked_for(about["id"]) > asked

    await until(is_asked, "Stripe is asked")
    yield
    assert not worker.done(), "the test was slower than Stripe"
    await worker


async def until(condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.02)


async def count_jobs(till: Till, where: str) -> int:
    [row] = await till.query(
        f"SELECT count(*) AS n FROM pgqueuer WHERE entrypoint = :job AND {where}", job=DRAIN_STRIPE.name
    )
    found: int = row["n"]
    return found


async def idle(till: Till) -> bool:
    return await count_jobs(till, "true") == 0


async def held(till: Till) -> bool:
    return await count_jobs(till, "status NOT IN ('queued', 'picked')") == 1


async def handled(till: Till, event: Json) -> bool:
    return bool((await till.stored(event["id"]))["status"] == HANDLED)


async def claim(till: Till, subject: str, holder: UUID) -> bool:
    async with till.platform.database.transaction() as session:
        return await inbox.claim(session, till.platform, SOURCE, subject, holder)


def run_out(till: Till) -> None:
    """Let every lease of this moment expire."""
    assert isinstance(till.platform.clock, MovableClock)
    till.platform.clock.advance(seconds=till.platform.settings.worker_heartbeat_timeout_s + 1)


async def fill_up(till: Till, person: Person) -> None:
    """Bring an account to the most it can hold."""
    room = MAX_AMOUNT * 1000 - FREE_CREDITS
    amounts = [MAX_AMOUNT] * (room // MAX_AMOUNT) + [room % MAX_AMOUNT]
    lots = tuple(
        LotDraft(LotKind.ADMIN_ADJUSTMENT, amount, "test", f"fill-{place}") for place, amount in enumerate(amounts)
    )
    command = Grant(person.id, "s:test:fill", b"fill", SYSTEM, lots, "Filled to the brim")
    async with till.platform.database.transaction() as session:
        [answer] = await ledger.apply(session, till.platform, [Order(AccountKind.USER, command)])
    assert isinstance(answer.result, Applied), answer


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
    spent = await buyer.client.post("/api/credits/spend", headers={"Idempotency-Key": "one"}, json={"amount": 10})
    assert (spent.status_code, spent.json()["balance"]["current"]) == (200, 550), spent.text
    await prove(buyer)


async def test_what_was_bought_is_spent_last_and_the_book_can_be_proved(till: Till, buyer: Person) -> None:
    """What runs out goes first, then what was given, and last what was paid for: one line over three lots."""
    _, about = await paid(till, buyer)
    await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    spent = await buyer.client.post(
        "/api/credits/spend", headers={"Idempotency-Key": "three lots"}, json={"amount": FREE_CREDITS + 50 + 100}
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
        async with serve(app) as url, sandbox_stripe(f"{url}{ENDPOINT}") as stripe, client_of(app) as client:
            await behind(platform, stripe.url)
            till = Till(platform, app, stripe, client)
            buyer = await register(app)
            checkout_id = await open_checkout(platform, buyer.id)
            session, event = await stripe.seed(checkout_id)
            async with working(platform):
                assert await stripe.deliver(event["id"], times=3, concurrently=True) == [200, 200, 200]
                await until(lambda: idle(till), "the worker is done")
            assert await outcome(till, event) == (HANDLED, "granted 550 credits")
            assert (await till.checkout(checkout_id))["stripe_session_id"] == session["id"]
            assert (await balance_of(buyer))["current"] == FREE_CREDITS + 550
            await prove(buyer)
            await buyer.client.aclose()


# --- once -------------------------------------------------------------------------------------------------------


async def test_one_session_under_two_events_is_one_grant(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    first, second = await told(till, COMPLETED, about), await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    third = await told(till, SUCCEEDED, about)
    await till.drain(about["customer"])
    assert [await outcome(till, event) for event in (first, second, third)] == [
        (HANDLED, "granted 550 credits"),
        (HANDLED, "granted before"),
        (HANDLED, "granted before"),
    ]
    assert await till.bought(buyer.id) == 550
    await prove(buyer)


async def test_one_event_twenty_times_at_two_processes_is_one_row_and_one_grant(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    event = event_about(COMPLETED, about)
    body = encoded(event)
    async with open_till(till.platform.database.url.render_as_string(hide_password=False), till.stripe) as second:
        processes = (till, second)
        answers = await asyncio.gather(*(processes[turn % 2].post(body, signed(body)) for turn in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await till.stored(event["id"]))["status"] == PENDING
        assert await till.jobs([event["id"]]) == 1
        ends = await asyncio.gather(
            *(processes[turn % 2].drain(about["customer"]) for turn in range(6)), return_exceptions=True
        )
    assert {type(end) for end in ends} <= {type(None), TryAgain}
    assert type(None) in {type(end) for end in ends}
    row = await till.stored(event["id"])
    assert (row["status"], row["attempts"]) == (HANDLED, 1)
    assert await till.bought(buyer.id) == 550
    await prove(buyer)


async def test_two_sessions_that_claim_one_checkout_grant_once(till: Till, buyer: Person) -> None:
    """Somebody forged or repeated our reference: a person must look at it."""
    checkout_id, first = await paid(till, buyer)
    second = await till.stripe.put(session_about(checkout_id, customer=first["customer"]))
    events = [await told(till, COMPLETED, about) for about in (first, second)]
    await till.drain(first["customer"])
    assert await outcome(till, events[0]) == (HANDLED, "granted 550 credits")
    status, why = await outcome(till, events[1])
    assert status == HELD
    assert first["id"] in (why or "")
    assert (await till.checkout(checkout_id))["stripe_session_id"] == first["id"]
    assert await till.bought(buyer.id) == 550


# --- what Stripe says now ---------------------------------------------------------------------------------------


async def test_an_event_that_says_paid_of_a_session_that_is_not_grants_nothing(till: Till, buyer: Person) -> None:
    """The object is asked for afresh: an event is a hint, also when it is signed."""
    checkout_id, about = await paid(till, buyer)
    for status, payment_status in (("complete", "unpaid"), ("open", "unpaid"), ("complete", "no_payment_required")):
        await till.stripe.put({**about, "status": status, "payment_status": payment_status})
        event = await told(till, COMPLETED, about)
        await till.drain(about["customer"])
        assert await outcome(till, event) == (
            HANDLED,
            f"nothing granted: the session is {status} and {payment_status}",
        )
    assert await till.bought(buyer.id) == 0
    row = await till.checkout(checkout_id)
    assert (row["status"], row["payment_status"], row["credits_granted"]) == ("COMPLETE", "NO_PAYMENT_REQUIRED", None)
    told_of = await till.query(
        "SELECT title FROM notifications WHERE user_id = :id AND type = 'billing.nothing_paid'", id=buyer.id
    )
    assert [one["title"] for one in told_of] == [f"{row['item_name']} brought no credits"], "and why is told, once"


async def test_an_event_that_says_unpaid_of_a_session_that_is_paid_grants(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, {**about, "payment_status": "unpaid"})
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


@pytest.mark.parametrize("session_of", [published_session, session_about], ids=["published", "sandbox"])
async def test_a_payment_that_takes_days_grants_when_it_arrives(
    till: Till, buyer: Person, session_of: Callable[..., Json]
) -> None:
    checkout_id = await open_checkout(till.platform, buyer.id)
    about = await till.stripe.put(session_of(checkout_id, payment_status="unpaid"))
    await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    assert await till.bought(buyer.id) == 0
    await till.stripe.put({**about, "payment_status": "paid"})
    event = await told(till, SUCCEEDED, about)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")
    assert (await till.checkout(checkout_id))["status"] == "COMPLETE"
    assert await till.bought(buyer.id) == 550


async def test_a_payment_that_fails_after_days_grants_nothing(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer, payment_status="unpaid")
    for kind in (COMPLETED, FAILED):
        await told(till, kind, about)
        await till.drain(about["customer"])
    assert await till.bought(buyer.id) == 0


async def test_an_expired_checkout_is_closed_and_grants_nothing(till: Till, buyer: Person) -> None:
    checkout_id, about = await paid(till, buyer, status="expired", payment_status="unpaid")
    event = await told(till, EXPIRED, about)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "the checkout expired unpaid")
    checkout = await till.checkout(checkout_id)
    assert checkout["status"] == "EXPIRED"
    assert checkout["completed_at"] is not None
    assert await till.bought(buyer.id) == 0


async def test_a_completed_checkout_stays_completed(till: Till, buyer: Person) -> None:
    checkout_id, about = await paid(till, buyer)
    await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    await till.stripe.put({**about, "status": "expired", "payment_status": "unpaid"})
    await told(till, EXPIRED, about)
    await till.drain(about["customer"])
    assert (await till.checkout(checkout_id))["status"] == "COMPLETE"
    assert await till.bought(buyer.id) == 550


ORDERS = [
    *permutations((COMPLETED, SUCCEEDED)),
    *sorted(set(permutations((COMPLETED, COMPLETED, SUCCEEDED, FAILED), 3))),
    (COMPLETED,),
    (SUCCEEDED,),
    (SUCCEEDED, SUCCEEDED, SUCCEEDED),
]


@pytest.mark.parametrize("draining", ["after each", "at the end"])
async def test_any_order_any_duplicates_any_gap_end_in_the_same_state(till: Till, draining: str) -> None:
    """As the perfect stream would: told of while unpaid, applied, paid, told of again, applied."""
    person = await register(till.app)
    ends, told_of = [], []
    for order in ORDERS:
        checkout_id, about = await paid(till, person)
        told_of.append(about["customer"])
        before = await till.bought(person.id)
        for place, kind in enumerate(order):
            # Dated backwards, so that the inbox works off in another order than it was told.
            await told(till, kind, about, created=1_800_000_000 - place)
            if draining == "after each":
                await till.drain(about["customer"])
        await till.drain(about["customer"])
        checkout = await till.checkout(checkout_id)
        assert checkout["stripe_session_id"] == about["id"]
        ends.append((checkout["status"], await till.bought(person.id) - before))
    assert ends == [("COMPLETE", 550)] * len(ORDERS)
    arrived = await till.query("SELECT status FROM inbox_events WHERE subject = ANY(:subjects)", subjects=told_of)
    assert len(arrived) >= len(ORDERS)
    assert PENDING not in [one["status"] for one in arrived]
    await prove(person)
    await person.client.aclose()


@pytest.mark.parametrize("customer", [None, {"id": "cus_gone", "object": "customer", "deleted": True}, "cus_gone"])
async def test_a_customer_who_is_gone_at_stripe_still_gets_what_was_paid_for(
    till: Till, buyer: Person, customer: object
) -> None:
    _, about = await paid(till, buyer, customer=customer)
    event = await told(till, COMPLETED, about)
    await till.drain((await till.stored(event["id"]))["subject"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


async def test_a_session_with_every_other_field_null_or_new_is_understood(till: Till, buyer: Person) -> None:
    needed = {"id", "object", "client_reference_id", "status", "payment_status"}
    checkout_id = await open_checkout(till.platform, buyer.id)
    about: Json = {name: value if name in needed else None for name, value in session_about(checkout_id).items()}
    await till.stripe.put({**about, "brand_new": {"deep": [1, None]}})
    event = await told(till, COMPLETED, about)
    await till.drain(about["id"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")
    assert [lot["cost_minor"] for lot in await till.lots(buyer.id)] == [None, None]


# --- what was bought --------------------------------------------------------------------------------------------


async def test_what_was_on_offer_when_the_buyer_set_out_is_granted(till: Till, buyer: Person) -> None:
    checkout_id = await open_checkout(till.platform, buyer.id, pack="LARGE")
    async with till.platform.database.transaction() as session:
        session.add(
            CreditPack(
                name="LARGE",
                version=2,
                credits=7,
                bonus=0,
                price_minor=99,
                currency="USD",
                valid_until=None,
                created_at=till.platform.clock.now(),
            )
        )
    newer = await open_checkout(till.platform, buyer.id, pack="LARGE", version=2)
    customer = new_id("cus")
    for one in (checkout_id, newer):
        about = await till.stripe.put(session_about(one, customer=customer))
        await told(till, COMPLETED, about)
    await till.drain(customer)
    assert [(lot["kind"], lot["amount"]) for lot in await till.lots(buyer.id)] == [
        ("PURCHASE", 1000),
        ("BONUS", 150),
        ("PURCHASE", 7),
    ]


async def test_an_unknown_version_is_held_and_leaves_the_checkout_open(till: Till, buyer: Person) -> None:
    checkout_id = await open_checkout(till.platform, buyer.id, version=99)
    about = await till.stripe.put(session_about(checkout_id))
    event = await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    status, why = await outcome(till, event)
    assert (status, why) == (HELD, "EventNotUnderstood: pack MEDIUM version 99 is unknown")
    checkout = await till.checkout(checkout_id)
    assert (checkout["status"], checkout["stripe_session_id"]) == ("OPEN", None)


async def test_a_purchase_an_account_cannot_hold_is_held_not_forgotten(till: Till, buyer: Person) -> None:
    """Paid and refused must never look like granted."""
    await fill_up(till, buyer)
    checkout_id, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    status, why = await outcome(till, event)
    assert status == HELD
    assert "balance_limit_exceeded" in (why or "")
    assert (await till.checkout(checkout_id))["status"] == "OPEN"
    spent = await buyer.client.post(
        "/api/credits/spend", headers={"Idempotency-Key": "room"}, json={"amount": MAX_AMOUNT}
    )
    assert spent.status_code == 200, spent.text
    await replay(till, event)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")
    assert await till.bought(buyer.id) == 550
    await prove(buyer)


# --- held, shown, mended ----------------------------------------------------------------------------------------


async def test_a_checkout_we_do_not_know_is_held_shown_and_applied_when_mended(till: Till, buyer: Person) -> None:
    checkout_id = uuid4()
    about = await till.stripe.put(session_about(checkout_id))
    event = await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    why = f"EventNotUnderstood: no checkout {checkout_id} is known"
    assert await outcome(till, event) == (HELD, why)
    row = await till.stored(event["id"])
    listed = await admin(till, "GET", "", params={"status": HELD, "limit": 200})
    [shown] = [one for one in listed["events"] if one["eventId"] == event["id"]]
    assert (shown["id"], shown["outcome"], shown["attempts"], shown["handledAt"]) == (str(row["id"]), why, 1, None)
    assert {one["status"] for one in listed["events"]} == {HELD}
    alone = (await admin(till, "GET", f"/{row['id']}"))["event"]
    assert alone.pop("body")["id"] == event["id"]
    assert alone == shown

    opened = await open_checkout(till.platform, buyer.id)
    async with till.platform.database.transaction() as session:
        await session.execute(
            text("UPDATE checkout_sessions SET id = :wanted WHERE id = :opened"),
            {"wanted": checkout_id, "opened": opened},
        )
    again = await replay(till, event)
    assert (again["status"], again["outcome"]) == (PENDING, None)
    await till.drain(about["customer"])
    row = await till.stored(event["id"])
    assert (row["status"], row["outcome"], row["attempts"]) == (HANDLED, "granted 550 credits", 2)
    await replay(till, event)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted before")
    assert await till.bought(buyer.id) == 550


@pytest.mark.parametrize("reference", [None, "", "checkout-1", "'; DROP TABLE users; --", "0" * 200])
async def test_a_session_that_is_none_of_ours_is_held(till: Till, reference: str | None) -> None:
    about = await till.stripe.put(session_about(reference))
    event = await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HELD, "EventNotUnderstood: the session carries no checkout id of ours")


async def test_a_published_session_as_it_stands_is_held(till: Till) -> None:
    about = await till.stripe.put(sample("checkout.session"))
    for kind in (COMPLETED, SUCCEEDED, FAILED, EXPIRED):
        event = published_event(kind, about)
        await till.tell(event)
        await till.drain(about["id"])
        assert (await outcome(till, event))[0] == HELD


async def test_a_session_stripe_does_not_know_is_held_until_it_does(till: Till, buyer: Person) -> None:
    """Such as an event of another account of the same owner."""
    checkout_id = await open_checkout(till.platform, buyer.id)
    about = session_about(checkout_id)
    event = await told(till, COMPLETED, about)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HELD, f"StripeObjectMissing: {about['id']}")
    await till.stripe.put(about)
    await replay(till, event)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


async def test_an_ignored_event_cannot_be_replayed_and_an_unknown_one_is_404(till: Till) -> None:
    event = await told(till, "coupon.created", {"id": "SUMMER", "object": "coupon"})
    row = await till.stored(event["id"])
    for event_id, status, code in ((row["id"], 409, "event_not_replayable"), (uuid4(), 404, "not_found")):
        answer = await till.client.post(f"/api/admin/webhooks/{event_id}/replay", headers=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_event_that_cannot_be_applied_does_not_block_the_customers_others(till: Till, buyer: Person) -> None:
    _, broken = await paid(till, buyer, amount_total=1 << 70)
    _, whole = await paid(till, buyer, customer=broken["customer"])
    first = await told(till, COMPLETED, broken, created=1_700_000_000)
    second = await told(till, COMPLETED, whole, created=1_700_000_001)
    with pytest.raises((TypeError, DBAPIError)):  # too large for a column, and for the chain's hash
        await till.drain(broken["customer"])
    status, why = await outcome(till, first)
    assert status == PENDING
    assert why is not None
    assert why.startswith("failed: ")
    assert await outcome(till, second) == (HANDLED, "granted 550 credits")
    await till.stripe.put({**broken, "amount_total": 899})
    await till.drain(broken["customer"])
    assert await outcome(till, first) == (HANDLED, "granted 550 credits")
    assert await till.bought(buyer.id) == 1100


# --- Stripe away ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["500", "503", "429", "refused", "silent"])
async def test_while_stripe_is_away_the_event_waits(till: Till, buyer: Person, how: str) -> None:
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    if how == "refused":
        await behind(till.platform, f"http://127.0.0.1:{free_port()}")
    elif how == "silent":
        await till.stripe.fail(pathPrefix=SESSIONS, delayS=2, times=6)
        await behind(till.platform, till.stripe.url, timeout_s=0.2)
    else:
        await till.stripe.fail(pathPrefix=SESSIONS, status=int(how), times=12)
    with pytest.raises(TryAgain) as waits:
        await till.drain(about["customer"])
    assert 1 <= waits.value.delay_s < 20, "as long as it has waited, at least a second"
    row = await till.stored(event["id"])
    assert (row["status"], row["attempts"], row["outcome"]) == (PENDING, 0, None)
    assert await till.bought(buyer.id) == 0
    assert isinstance(till.platform.clock, MovableClock)
    for minutes, delay_s in ((2, 120), (60, 300)):
        till.platform.clock.advance(minutes=minutes)
        with pytest.raises(TryAgain) as waits:
            await till.drain(about["customer"])
        assert delay_s <= waits.value.delay_s < delay_s + 20, "the longer it is away, the less it is asked"
    await till.stripe.heal()
    await behind(till.platform, till.stripe.url)
    await till.drain(about["customer"])  # at once: the lease was given back
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


async def test_a_worker_waits_out_an_absence_and_holds_nothing(
    fresh_database: str, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Away for longer than a job may fail: the event gets there without a person, and nothing is left to look at."""
    monkeypatch.setattr(jobs, "POLL_S", 0.1)
    monkeypatch.setattr(jobs, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(jobs, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr("pm_api.webhooks.jobs.AWAY_DELAYS_S", (0.05, 0.1))
    async with open_till(fresh_database, till.stripe) as mine:
        buyer = await register(mine.app)
        _, about = await paid(mine, buyer)
        await till.stripe.fail(pathPrefix=SESSIONS, status=500, times=1000)
        event = await told(mine, COMPLETED, about)
        async with working(mine.platform):
            await until(lambda: asked_often(mine, about["id"]), "it is asked again and again")
            assert not await held(mine)
            assert await outcome(mine, event) == (PENDING, None)
            await till.stripe.heal()
            await until(lambda: handled(mine, event), "the event is handled")
        assert not await held(mine)
        assert await mine.bought(buyer.id) == 550
        await prove(buyer)
        await buyer.client.aclose()


async def asked_often(till: Till, session_id: str) -> bool:
    return await till.stripe.asked_for(session_id) >= 6


async def test_the_sweep_adds_nothing_beside_a_held_job_of_its_own(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    await told(till, COMPLETED, about)
    assert isinstance(till.platform.clock, MovableClock)
    till.platform.clock.advance(minutes=6)
    key = f"stripe-stuck:{about['customer']}"
    for _ in range(2):
        await requeue_stuck(JobContext(till.platform, "webhooks.requeue_stuck"))
        async with till.platform.database.transaction() as session:
            await session.execute(text("UPDATE pgqueuer SET status = 'failed' WHERE dedupe_key = :key"), {"key": key})
    [row] = await till.query("SELECT count(*) AS n FROM pgqueuer WHERE dedupe_key = :key", key=key)
    assert row["n"] == 1
    await till.drain(about["customer"])


async def test_the_sweep_finds_an_event_whose_job_was_lost(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    context = JobContext(till.platform, "webhooks.requeue_stuck")
    async with till.platform.database.transaction() as session:
        await session.execute(text("DELETE FROM pgqueuer WHERE dedupe_key = :key"), {"key": f"stripe:{event['id']}"})

    async def requeued() -> int:
        [row] = await till.query(
            "SELECT count(*) AS n FROM pgqueuer WHERE dedupe_key = :key", key=f"stripe-stuck:{about['customer']}"
        )
        found: int = row["n"]
        return found

    await requeue_stuck(context)
    assert await requeued() == 0, "it has only just come in"
    assert isinstance(till.platform.clock, MovableClock)
    till.platform.clock.advance(minutes=6)
    await requeue_stuck(context)
    await requeue_stuck(context)
    assert await requeued() == 1
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


# --- leases -----------------------------------------------------------------------------------------------------


async def test_a_second_worker_waits_for_the_first(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    assert await claim(till, about["customer"], uuid4())
    with pytest.raises(TryAgain):
        await till.drain(about["customer"])
    assert await outcome(till, event) == (PENDING, None)
    assert await till.stripe.asked_for(about["id"]) == 0


async def test_a_lease_that_ran_out_is_taken_over(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    assert await claim(till, about["customer"], uuid4())
    run_out(till)
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


async def test_other_customers_do_not_wait(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    assert await claim(till, "cus_somebody_else", uuid4())
    await till.drain(about["customer"])
    assert await outcome(till, event) == (HANDLED, "granted 550 credits")


@pytest.mark.parametrize("known", [True, False], ids=["to grant", "to hold"])
async def test_a_worker_whose_lease_was_taken_writes_nothing(till: Till, buyer: Person, known: bool) -> None:
    checkout_id = await open_checkout(till.platform, buyer.id)
    about = session_about(checkout_id)
    if known:
        await till.stripe.put(about)
    event = await told(till, COMPLETED, about)
    async with hanging(till, about):
        run_out(till)
        thief = uuid4()
        assert await claim(till, about["customer"], thief)
    assert await outcome(till, event) == (PENDING, None)
    assert await till.bought(buyer.id) == 0
    assert (await till.checkout(checkout_id))["stripe_session_id"] is None
    [lease] = await till.query("SELECT * FROM inbox_leases WHERE subject = :subject", subject=about["customer"])
    assert lease["holder"] == thief
    assert lease["expires_at"] > till.platform.clock.wall(), "the loser must not give the winner's lease away"


async def test_two_workers_at_one_event_grant_once(till: Till, buyer: Person) -> None:
    """The first hangs at Stripe beyond its lease, the second does it all, then the first comes back."""
    _, about = await paid(till, buyer)
    event = await told(till, COMPLETED, about)
    async with hanging(till, about):
        run_out(till)
        await till.drain(about["customer"])
        assert await outcome(till, event) == (HANDLED, "granted 550 credits")
    row = await till.stored(event["id"])
    assert (row["status"], row["outcome"], row["attempts"]) == (HANDLED, "granted 550 credits", 1)
    assert await till.bought(buyer.id) == 550
    await prove(buyer)


async def test_no_transaction_is_open_while_stripe_is_asked(till: Till, buyer: Person) -> None:
    _, about = await paid(till, buyer)
    await told(till, COMPLETED, about)
    async with hanging(till, about):
        [row] = await till.query(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'"
        )
        assert row["n"] == 0
