"""Power cuts and broken lines between Stripe and us: whatever dies whenever, Stripe has one of it, and so have we."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Person
from tests.races.test_kills import until
from tests.support.settings import ADMIN_KEY
from tests.support.shops import Json, Shop, open_shop
from tests.support.soak import SOAKING

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("processes")]

OPERATOR: Final = {"x-admin-key": ADMIN_KEY}
BEFORE_SWEPT: Final = timedelta(minutes=3)


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        # A card gives one trial for ever: let the first one have it, so that the others are paid for at once.
        await subscriber(opened)
        yield opened


@dataclass
class Deed:
    """Something that is asked of us and written to Stripe; `check` says what must be there once it has been done."""

    person: Person | None
    method: str
    path: str
    body: Json
    check: Callable[[], Awaitable[None]]
    key: str = field(default_factory=lambda: uuid4().hex)

    async def ask(self, client: httpx.AsyncClient) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.person.access_token}"} if self.person else OPERATOR
        return await client.request(
            self.method, f"/api{self.path}", json=self.body, headers={**headers, "Idempotency-Key": self.key}
        )

    async def insist(self, client: httpx.AsyncClient) -> httpx.Response:
        """As a caller does who has heard nothing: the same again, until there is an answer."""
        for _ in range(100):
            answer = await self.ask(client)
            if answer.status_code not in {409, 503}:
                break
            code = answer.json()["code"]
            assert code in {"idempotency_in_progress", "payment_provider_unavailable"}, answer.text
            await asyncio.sleep(0.1)
        assert answer.is_success, answer.text
        return answer


# --- what is done ----------------------------------------------------------------------------------------------


@dataclass
class Team:
    """A workspace and who pays for it."""

    shop: Shop
    owner: Person
    workspace_id: str

    async def customers(self) -> list[Json]:
        found = await self.shop.at_stripe("customers")
        return [one for one in found if one["metadata"].get("accountId") == self.workspace_id]

    async def customer_id(self) -> str:
        [customer] = await self.customers()
        found: str = customer["id"]
        return found

    async def one_customer(self) -> str:
        """One here, one there, and they are the same."""
        [row] = await self.shop.rows("stripe_customers", self.workspace_id)
        customer_id = await self.customer_id()
        assert row["stripe_customer_id"] == customer_id
        return customer_id

    async def standing(self, table: str, *, given_up: str) -> list[Json]:
        """Their rows but for those that say themselves that nothing came of them."""
        return [row for row in await self.shop.rows(table, self.workspace_id) if row["status"] != given_up]

    async def one_subscription(self, **fields: Any) -> Json:
        """One here, one there, the same, and it stands so."""
        customer_id = await self.one_customer()
        [there] = await self.shop.at_stripe("subscriptions", customer=customer_id, status="all")
        [here] = await self.shop.query(
            "SELECT * FROM subscriptions WHERE workspace_id = CAST(:id AS uuid)", id=self.workspace_id
        )
        assert here["stripe_subscription_id"] == there["id"]
        assert {name: here[name] for name in fields} == fields
        return there

    async def bills(self, count: int) -> None:
        """So many invoices there, and the same here."""
        there = await self.shop.at_stripe("invoices", customer=await self.customer_id())
        here = await self.shop.rows("invoices", self.workspace_id)
        assert len(there) == count, [one["billing_reason"] for one in there]
        assert {(row["stripe_invoice_id"], row["paid_minor"]) for row in here} == {
            (one["id"], one["amount_paid"]) for one in there
        }

    def deed(self, method: str, path: str, body: Json, check: Callable[[], Awaitable[None]]) -> Deed:
        return Deed(self.owner, method, path, {"workspaceId": self.workspace_id, **body}, check)

    async def do(self, method: str, path: str, **body: Any) -> Json:
        async def nothing() -> None:
            pass

        answer = await self.deed(method, path, body, nothing).insist(await self.shop.client())
        found: Json = answer.json() if answer.content else {}
        return found


async def team(shop: Shop) -> Team:
    owner = await shop.person()
    return Team(shop, owner, await shop.workspace(owner))


async def subscriber(shop: Shop, plan: str = "TEAM_STANDARD") -> Team:
    """A team whose first month is paid, or which is in its trial."""
    found = await team(shop)
    begun = await found.do("POST", "/billing/subscriptions", plan=plan, paymentMethodId="pm_card_visa")
    if begun["clientSecret"] is not None:
        await pay(shop, begun["clientSecret"])
        customer_id = await found.customer_id()
        [there] = await shop.at_stripe("subscriptions", customer=customer_id)
        assert there["status"] == "active"
        await shop.tell_about("customer.subscription.updated", there["id"])
    return found


async def pay(shop: Shop, client_secret: str) -> Json:
    """What Stripe's library does in the buyer's browser; the intent afterwards."""
    body = {"cardNumber": "4242424242424242", "confirm": True}
    answer = await shop.stripe.http.put(f"/_sandbox/elements/{client_secret}", json=body)
    assert answer.json()["error"] is None, answer.text
    found: Json = answer.json()["intent"]
    return found


async def a_customer(shop: Shop) -> Deed:
    found = await team(shop)

    async def check() -> None:
        await found.one_customer()

    return found.deed("POST", "/billing/payment-methods/setup-intent", {}, check)


async def a_checkout(shop: Shop) -> Deed:
    found = await team(shop)

    async def check() -> None:
        customer_id = await found.one_customer()
        [there] = await shop.at_stripe("checkout/sessions", customer=customer_id)
        [here] = await found.standing("checkout_sessions", given_up="ABANDONED")
        assert (here["stripe_session_id"], str(here["id"])) == (there["id"], there["client_reference_id"])

    return found.deed("POST", "/billing/checkout-session", {"pack": "MEDIUM"}, check)


async def a_subscription(shop: Shop) -> Deed:
    found = await team(shop)

    async def check() -> None:
        await found.one_subscription(plan="TEAM_STANDARD")
        await found.bills(1)

    body = {"plan": "TEAM_STANDARD", "paymentMethodId": "pm_card_visa"}
    return found.deed("POST", "/billing/subscriptions", body, check)


async def an_upgrade(shop: Shop) -> Deed:
    found = await subscriber(shop)

    async def check() -> None:
        await found.one_subscription(plan="TEAM_PREMIUM", status="ACTIVE")
        await found.bills(2)

    return found.deed("PUT", "/billing/subscription", {"plan": "TEAM_PREMIUM"}, check)


async def a_downgrade(shop: Shop) -> Deed:
    found = await subscriber(shop, "TEAM_PREMIUM")

    async def check() -> None:
        there = await found.one_subscription(plan="TEAM_PREMIUM", upcoming_plan="TEAM_STANDARD")
        schedules = await shop.at_stripe("subscription_schedules", customer=await found.customer_id())
        assert [one["id"] for one in schedules] == [there["schedule"]]
        await found.bills(1)

    return found.deed("PUT", "/billing/subscription", {"plan": "TEAM_STANDARD"}, check)


async def a_cancellation(shop: Shop) -> Deed:
    found = await subscriber(shop)

    async def check() -> None:
        await found.one_subscription(status="ACTIVE", cancel_at_period_end=True)

    return found.deed("POST", "/billing/subscription/cancel", {}, check)


async def a_cancellation_at_once(shop: Shop) -> Deed:
    found = await subscriber(shop)

    async def check() -> None:
        await found.one_subscription(status="CANCELED")

    return found.deed("POST", "/billing/subscription/cancel", {"atPeriodEnd": False}, check)


async def a_refund(shop: Shop) -> Deed:
    found = await subscriber(shop)
    [bill] = await shop.rows("invoices", found.workspace_id)

    async def check() -> None:
        [there] = await shop.at_stripe("refunds", payment_intent=bill["stripe_payment_intent_id"])
        [here] = await found.standing("refunds", given_up="CANCELED")
        assert (
            (here["stripe_refund_id"], here["amount_minor"]) == (there["id"], there["amount"]) == (there["id"], 3000)
        )
        assert here["status"] == "SUCCEEDED"
        [row] = await shop.rows("invoices", found.workspace_id)
        assert row["refunded_minor"] == 3000

    body = {"invoiceId": str(bill["id"]), "amount": 3000, "reason": "REQUESTED_BY_CUSTOMER"}
    return Deed(None, "POST", "/admin/billing/refunds", body, check)


DEEDS: Final = {
    deed.__name__.removeprefix("a_").removeprefix("an_"): deed
    for deed in (
        a_customer,
        a_checkout,
        a_subscription,
        an_upgrade,
        a_downgrade,
        a_cancellation,
        a_cancellation_at_once,
        a_refund,
    )
}


async def writes_of(shop: Shop, name: str) -> int:
    """How many writes to Stripe it takes when nothing goes wrong."""
    deed = await DEEDS[name](shop)
    client = await shop.client()
    before = len(await shop.writes())
    await deed.insist(client)
    await deed.check()
    return len(await shop.writes()) - before


# --- power cuts ------------------------------------------------------------------------------------------------

ENDINGS: Final = ("repeated", "left")
# The long run cuts each of them off alone and ends it both ways; the short one cuts off many with each power cut.
CUTS: Final = (
    [((name,), ending) for name in DEEDS for ending in ENDINGS]
    if SOAKING
    else [(tuple(DEEDS)[number :: len(ENDINGS)], ending) for number, ending in enumerate(ENDINGS)]
)


@pytest.mark.parametrize(("names", "ending"), CUTS, ids=["-".join((*names, ending)) for names, ending in CUTS])
async def test_a_power_cut_between_stripes_answer_and_our_commit(
    shop: Shop, names: tuple[str, ...], ending: str
) -> None:
    """At each write to Stripe. Afterwards somebody repeats the request, or nobody does and the sweep looks."""
    counts = [await writes_of(shop, name) for name in names]
    assert min(counts) >= 1
    # The last one is what was asked for; what comes before it (a customer, a card) is cut as well in the long run.
    for back in range(max(counts) if SOAKING else 1):
        deeds = [await DEEDS[name](shop) for name in names]
        client = await shop.client()
        asking = [
            await asked_until_stripe_has_acted(shop, client, deed, count - 1 - back)
            for deed, count in zip(deeds, counts, strict=True)
        ]
        await shop.power_cut()
        await shop.stripe.heal()
        for one in asking:
            with pytest.raises(httpx.TransportError):
                await one
        if ending == "left":
            await shop.sweep(BEFORE_SWEPT)
            assert await shop.query("SELECT kind FROM flows WHERE status = 'OPEN'") == []
            for deed in deeds if not back else ():  # nobody has asked for it again yet
                await deed.check()
        for deed in deeds:
            answer = await deed.insist(await shop.client())
            await deed.check()
            again = await deed.ask(await shop.client())
            assert (again.status_code, again.content) == (answer.status_code, answer.content)
        await shop.sweep(BEFORE_SWEPT)
        assert await shop.query("SELECT kind FROM flows WHERE status = 'OPEN'") == []
        for deed in deeds:
            await deed.check()


async def asked_until_stripe_has_acted(
    shop: Shop, client: httpx.AsyncClient, deed: Deed, write: int
) -> "asyncio.Task[httpx.Response]":
    """This write has been carried out at Stripe, and we wait to hear of it."""
    before = len(await shop.writes())
    await shop.hang_at(write)
    asking = asyncio.create_task(deed.ask(client))

    async def has_acted() -> bool:
        return len(await shop.writes()) > before + write and not await shop.faults_left()

    await until(has_acted, f"{deed.method} {deed.path}: write {write} has been carried out")
    return asking


@pytest.mark.parametrize("ending", ["the next worker", "the sweep"] if SOAKING else ["the sweep"])
async def test_a_worker_without_power_while_it_buys(shop: Shop, ending: str) -> None:
    """An automatic top-up: charged once, granted once, whoever finds it."""
    found = await team(shop)
    begun = await found.do("POST", "/billing/payment-methods/setup-intent")
    typed = await pay(shop, begun["setupIntent"]["clientSecret"])
    await found.do("POST", "/billing/payment-methods", paymentMethodId=typed["payment_method"])
    wish = {"enabled": True, "threshold": 100, "pack": "MEDIUM", "monthlyCap": 5000, "currency": "USD"}
    where = f"/api/credits/auto-topup?workspaceId={found.workspace_id}"
    answer = await found.owner.client.put(where, json=wish)
    assert answer.is_success, answer.text
    grant = {"workspaceId": found.workspace_id, "amount": 101, "reason": "a beginning", "idempotencyKey": uuid4().hex}
    answer = await (await shop.client()).post("/api/credits/grant", headers=OPERATOR, json=grant)
    assert answer.is_success, answer.text
    customer_id = await found.customer_id()

    async def bought() -> bool:
        return [row["status"] for row in await shop.rows("topup_payments", found.workspace_id)] == ["SUCCEEDED"]

    await shop.hang_at(0)
    async with shop.worker() as worker:
        await found.do("POST", "/credits/spend", amount=11, description="the last straw")

        async def has_charged() -> bool:
            return bool(await shop.at_stripe("payment_intents", customer=customer_id))

        await until(has_charged, "the card has been charged")
        worker.kill()
        await worker.handle.wait()
    await shop.stripe.heal()
    assert not await bought()
    if ending == "the sweep":
        await shop.sweep(BEFORE_SWEPT)
    async with shop.worker():
        await shop.sweep(BEFORE_SWEPT)
        await until(bought, "the top-up has been settled")
    [there] = await shop.at_stripe("payment_intents", customer=customer_id)
    [here] = await shop.rows("topup_payments", found.workspace_id)
    assert (here["stripe_payment_intent_id"], here["amount_minor"]) == (there["id"], there["amount_received"])
    lots = [row for row in await shop.rows("credit_grants", found.workspace_id) if row["kind"] == "PURCHASE"]
    assert [lot["amount"] for lot in lots] == [500]


# --- broken lines ----------------------------------------------------------------------------------------------


FAULTY: Final = ["customer", "subscription", "upgrade", "refund"]


@pytest.mark.parametrize("name", FAULTY if SOAKING else ["upgrade"])
async def test_an_answer_that_never_comes(shop: Shop, name: str) -> None:
    """Stripe has done it, and both the call and its repetition by the SDK time out."""
    deed = await DEEDS[name](shop)
    async with shop.impatient() as client:
        await shop.slow_down(seconds=3, times=2)
        answer = await deed.ask(client)
        await shop.stripe.heal()
        if not answer.is_success:
            assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable"), answer.text
            assert "Retry-After" in answer.headers
        await deed.insist(client)
        await deed.check()


# A refusal for impatience has done nothing; a failure may have.
ANSWERS: Final = [(429, False), (500, False), (500, True), (503, False), (503, True)]
FAILURES: Final = (
    [(name, *answer) for answer in ANSWERS for name in FAULTY]
    if SOAKING
    else [(FAULTY[number % len(FAULTY)], *answer) for number, answer in enumerate(ANSWERS)]
)


@pytest.mark.parametrize(("name", "status", "acted"), FAILURES)
async def test_a_failure_that_stripe_answers(shop: Shop, name: str, status: int, acted: bool) -> None:
    """Whatever came of it, Stripe repeats a failure under the same key."""
    deed = await DEEDS[name](shop)
    client = await shop.client()
    await shop.stripe.fail(pathPrefix="/v1", method="POST", status=status, actThenFail=acted, times=2)
    answer = await deed.ask(client)
    await shop.stripe.heal()
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "payment_provider_unavailable"
    await deed.insist(client)
    await deed.check()
    await shop.sweep(BEFORE_SWEPT)
    await deed.check()


async def test_an_hour_without_stripe(shop: Shop) -> None:
    """What is ours is shown, what needs Stripe says so, and no event that is here already is lost."""
    found = await subscriber(shop)
    [bill] = await shop.rows("invoices", found.workspace_id)
    there = await found.one_subscription()
    event = await shop.event_about("customer.subscription.updated", there)
    writes = [await prepare(shop) for name, prepare in DEEDS.items() if name != "checkout"]
    client = await shop.client()
    async with shop.stripe_away():
        headers = {"Authorization": f"Bearer {found.owner.access_token}"}
        for path in (
            "/billing/plans",
            "/billing/subscriptions",
            "/billing/usage",
            "/billing/invoices",
            f"/billing/invoices/{bill['id']}",
            "/billing/history",
            "/billing/payment-methods",
            "/ai/credits",
        ):
            query = {} if str(bill["id"]) in path else {"workspaceId": found.workspace_id}
            answer = await client.get(f"/api{path}", params=query, headers=headers)
            assert answer.status_code == 200, (path, answer.text)
        for deed in writes:
            answer = await deed.ask(client)
            assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable"), (
                deed.path,
                answer.text,
            )
            assert "Retry-After" in answer.headers
        delivered = await shop.deliver(client, event)
        assert delivered.status_code == 200, delivered.text
        for _ in range(6):
            await shop.drain_fails(there["customer"])
            shop.wait(timedelta(minutes=10))
        assert (await shop.stored(event))["status"] == "PENDING"
    await shop.drain(there["customer"])
    assert (await shop.stored(event))["status"] == "HANDLED"
    for deed in writes:
        await deed.insist(client)
        await deed.check()


# --- two processes ---------------------------------------------------------------------------------------------

AT_ONCE: Final = 20
PRESSED_TWICE: Final = ["subscription", "refund"]
PRESSED_TOO: Final = ["customer", "checkout", "upgrade", "cancellation"]


@pytest.mark.parametrize("name", [*PRESSED_TWICE, *PRESSED_TOO] if SOAKING else PRESSED_TWICE)
async def test_twenty_at_once_with_one_key_on_two_processes(shop: Shop, name: str) -> None:
    deed = await DEEDS[name](shop)
    clients = await shop.clients(2)
    answers = await asyncio.gather(*(deed.insist(clients[number % 2]) for number in range(AT_ONCE)))
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    await deed.check()


async def test_twenty_at_once_without_knowing_of_each_other(shop: Shop) -> None:
    """Everybody in a team wants to subscribe it at the same moment: one does."""
    deed = await a_subscription(shop)
    clients = await shop.clients(2)
    tries = [Deed(deed.person, deed.method, deed.path, deed.body, deed.check) for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(one.ask(clients[number % 2]) for number, one in enumerate(tries)))
    assert sum(answer.status_code == 201 for answer in answers) == 1
    others = [answer for answer in answers if answer.status_code != 201]
    codes = {answer.json()["code"] for answer in others if answer.status_code != 200}
    assert codes <= {"change_in_progress", "subscription_exists"}, codes
    await deed.check()


async def test_twenty_customers_at_once_are_one(shop: Shop) -> None:
    """Each with a key of its own: what they share is the account."""
    deed = await a_customer(shop)
    clients = await shop.clients(2)
    tries = [Deed(deed.person, deed.method, deed.path, deed.body, deed.check) for _ in range(AT_ONCE)]
    await asyncio.gather(*(one.insist(clients[number % 2]) for number, one in enumerate(tries)))
    await deed.check()
