"""Buying on a page of Stripe's: from the request over the page to what the buyer sees after the return."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.core.jobs import JobContext
from pm_api.domains.ai_credits import catalogue
from pm_api.domains.ai_credits.catalogue import NewOffer
from pm_api.domains.billing.flows.checkouts import OpenCheckout
from pm_api.integrations.stripe import StripeCheckout, StripeDoor, checkouts, portal, prices
from pm_api.operations.jobs import sweep_flows
from tests.conftest import Person, register
from tests.identity.teams import make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY
from tests.support.stripe import Json, Till, clone, event_about, open_till, sandbox_stripe

CHECKOUT = "/api/billing/checkout-session"
PURCHASE = "/api/credits/purchase"
PORTAL = "/api/billing/portal-link"
SESSIONS = "/v1/checkout/sessions"
COMPLETED = "checkout.session.completed"
PLANS = {"TEAM_STANDARD": {"month": 9999, "year": 99990}, "INDIVIDUAL_PRO": {"month": 2999}}


class Died(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    async with clone() as database, sandbox_stripe() as stripe, open_till(database, stripe) as opened:
        for plan, amounts in PLANS.items():
            await sell(opened, plan, amounts)
        answer = await opened.client.post(
            "/api/billing/sync-prices", json={"dryRun": False}, headers={"x-admin-key": ADMIN_KEY}
        )
        assert answer.status_code == 200, answer.text
        await portal.ensure_configuration(
            opened.platform.part(StripeDoor), return_url="http://site.local/dashboard", key="portal"
        )
        yield opened


@pytest.fixture
async def buyer(till: Till) -> AsyncIterator[Person]:
    person = await register(till.app)
    yield person
    await person.client.aclose()
    await till.stripe.heal()
    clock_of(till).reset()


def clock_of(till: Till) -> MovableClock:
    assert isinstance(till.platform.clock, MovableClock)
    return till.platform.clock


async def sell(till: Till, plan: str, amounts: dict[Any, int]) -> None:
    door = till.platform.part(StripeDoor)
    product = await prices.create_product(door, name=plan, metadata={"plan": plan}, key=uuid4().hex)
    for interval, amount in amounts.items():
        await prices.create_price(
            door,
            product_id=product.id,
            unit_amount=amount,
            currency="USD",
            interval=interval,
            lookup_key=f"{plan}_{interval}ly".lower(),
            metadata={},
            key=uuid4().hex,
        )


async def ask(person: Person, path: str = CHECKOUT, *, key: str | None = None, **body: Any) -> httpx.Response:
    return await person.client.post(path, json=body, headers={"Idempotency-Key": key or uuid4().hex})


async def opened(person: Person, **body: Any) -> Json:
    answer = await ask(person, **body)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    assert answer.headers["Location"] == f"{CHECKOUT}/{found['sessionId']}"
    return found


async def shown(person: Person, checkout_id: str) -> Json:
    answer = await person.client.get(f"{CHECKOUT}/{checkout_id}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["checkoutSession"]
    assert answer.headers["ETag"] == f'"{found["version"]}"'
    return found


async def at_stripe(till: Till, session_id: str) -> StripeCheckout:
    return await checkouts.retrieve(till.platform.part(StripeDoor), session_id)


async def of_customer(till: Till, person_or_workspace: UUID) -> list[StripeCheckout]:
    """Everything that was opened at Stripe for an account."""
    rows = await till.query(
        "SELECT stripe_customer_id FROM stripe_customers WHERE account_id = :id", id=person_or_workspace
    )
    door = till.platform.part(StripeDoor)
    return [one for row in rows for one in (await checkouts.list_of_customer(door, row["stripe_customer_id"])).items]


async def pay(till: Till, session_id: str, card: str = "4242424242424242") -> None:
    fields = {"email": "ada@example.com", "card_number": card, "expiry": "12 / 40", "cvc": "123", "name": "Ada"}
    answer = await till.stripe.http.post(f"/checkout/{session_id}", data=fields)
    assert answer.status_code in (200, 303), answer.text


async def told(till: Till, session_id: str, kind: str = COMPLETED) -> None:
    """Stripe's event came in and was worked off."""
    about = await at_stripe(till, session_id)
    event = event_about(kind, {"id": session_id, "object": "checkout.session", "customer": about.customer_id})
    await till.tell(event)
    await till.drain(about.customer_id or session_id)
    row = await till.stored(event["id"])
    assert row["status"] == "HANDLED", row["outcome"]


# --- packs and bundles ------------------------------------------------------------------------------------------


async def test_a_pack_from_the_request_to_the_credits(till: Till, buyer: Person) -> None:
    found = await opened(buyer, pack="MEDIUM")
    there = await at_stripe(till, found["sessionId"])
    assert (there.mode, there.amount_total, there.currency) == ("payment", 899, "USD")
    before = await shown(buyer, found["sessionId"])
    assert there.client_reference_id == before["id"]
    assert there.metadata["pack"] == "MEDIUM"
    assert (there.metadata["accountType"], there.metadata["accountId"]) == ("USER", str(buyer.id))
    assert (before["status"], before["paymentStatus"], before["creditsGranted"]) == ("OPEN", "UNPAID", None)
    assert found["url"] == there.url

    await pay(till, found["sessionId"])
    await told(till, found["sessionId"])
    await told(till, found["sessionId"])
    after = await shown(buyer, before["id"])
    assert (after["status"], after["paymentStatus"], after["amountPaid"]) == ("COMPLETE", "PAID", 899)
    assert after["creditsGranted"] == await till.bought(buyer.id) == 550
    assert after["version"] > before["version"]


async def test_the_credits_are_those_the_buyer_saw(till: Till, buyer: Person) -> None:
    async with till.platform.database.transaction() as session:
        await catalogue.put_offer(session, till.platform, NewOffer("SEEN", 100, 0, 500, "USD"))
    found = await opened(buyer, pack="SEEN")
    async with till.platform.database.transaction() as session:
        await catalogue.put_offer(session, till.platform, NewOffer("SEEN", 7, 0, 500, "USD"))
    await pay(till, found["sessionId"])
    await told(till, found["sessionId"])
    assert await till.bought(buyer.id) == 100


async def test_a_bundle_is_no_pack_and_comes_with_its_lots(till: Till, buyer: Person) -> None:
    offer = NewOffer("WRITER", 300, 0, 700, "USD", lots=((200, "CHAT_ASSISTANT"), (100, None)))
    async with till.platform.database.transaction() as session:
        await catalogue.put_offer(session, till.platform, offer)
    refused = await ask(buyer, pack="WRITER")
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_pack")
    answer = await ask(buyer, PURCHASE, bundle="WRITER")
    assert answer.status_code == 201, answer.text
    await pay(till, answer.json()["sessionId"])
    await told(till, answer.json()["sessionId"])
    assert sorted(lot["amount"] for lot in await till.lots(buyer.id)) == [100, 200]


async def test_an_offer_that_is_over_is_410_and_stays_so_under_its_key(till: Till, buyer: Person) -> None:
    until = till.platform.clock.now() + timedelta(hours=1)
    async with till.platform.database.transaction() as session:
        await catalogue.put_offer(session, till.platform, NewOffer("SUMMER", 10, 0, 100, "USD", valid_until=until))
    early, late = uuid4().hex, uuid4().hex
    good = await ask(buyer, key=early, pack="SUMMER")
    assert good.status_code == 201
    till.platform.clock.shift_to(timedelta(hours=2))
    for _ in range(2):
        refused = await ask(buyer, key=late, pack="SUMMER")
        assert (refused.status_code, refused.json()["code"]) == (410, "offer_expired")
    again = await ask(buyer, key=early, pack="SUMMER")
    assert (again.status_code, again.json()) == (201, good.json()), "what was opened in time is answered as before"


async def test_a_workspaces_credits_go_to_its_pool(till: Till, buyer: Person) -> None:
    workspace_id = UUID((await make_workspace(buyer))["id"])
    found = await opened(buyer, pack="SMALL", workspaceId=str(workspace_id))
    await pay(till, found["sessionId"])
    await told(till, found["sessionId"])
    assert await till.bought(buyer.id) == 0
    assert await till.bought(workspace_id) > 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pack": "SMALL", "bundle": "WRITER"},
        {"pack": "SMALL", "plan": "TEAM_STANDARD"},
        {"pack": "SMALL", "billingInterval": "MONTHLY"},
        {"pack": "NONE"},
        {"pack": "SMALL", "locale": "not a tag"},
        {"pack": "SMALL", "surprise": 1},
    ],
    ids=str,
)
async def test_a_body_that_says_too_much_or_too_little_is_422(buyer: Person, body: Json) -> None:
    assert (await ask(buyer, **body)).status_code == 422


async def test_purchases_know_no_plans(buyer: Person) -> None:
    assert (await ask(buyer, PURCHASE, plan="INDIVIDUAL_PRO")).status_code == 422


# --- keys, races and crashes ------------------------------------------------------------------------------------


async def test_without_a_key_it_is_400_and_one_in_the_body_is_as_good(till: Till, buyer: Person) -> None:
    answer = await buyer.client.post(CHECKOUT, json={"pack": "SMALL"})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")
    key = uuid4().hex
    first = await buyer.client.post(CHECKOUT, json={"pack": "SMALL", "idempotencyKey": key})
    again = await ask(buyer, key=key, pack="SMALL")
    assert first.status_code == again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    differing = await ask(buyer, key=key, pack="SMALL", idempotencyKey="another")
    assert (differing.status_code, differing.json()["code"]) == (422, "invalid_idempotency_key")
    reused = await ask(buyer, key=key, pack="LARGE")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert len(await of_customer(till, buyer.id)) == 1


async def test_the_same_key_twenty_times_at_once_is_one_session(till: Till, buyer: Person) -> None:
    """The account has no customer yet either."""
    key = uuid4().hex
    answers = await asyncio.gather(*(ask(buyer, key=key, pack="MEDIUM") for _ in range(20)))
    early = [answer for answer in answers if answer.status_code != 201]  # on a slow machine two seconds go by
    assert {answer.json()["code"] for answer in early} <= {"idempotency_in_progress"}
    answers += [await ask(buyer, key=key, pack="MEDIUM")]
    assert len({answer.content for answer in answers if answer not in early}) == 1
    assert len(await of_customer(till, buyer.id)) == 1
    assert len(await till.query("SELECT 1 AS one FROM checkout_sessions WHERE account_id = :id", id=buyer.id)) == 1


@pytest.mark.parametrize("ended_by", ["the sweep", "the same key"])
async def test_a_death_between_stripes_answer_and_the_commit_leaves_one_session(
    till: Till, buyer: Person, ended_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death within the process: nothing of the flow runs on, its lease runs out."""
    whole, key = OpenCheckout.act, uuid4().hex

    async def dies(self: OpenCheckout, *arguments: object) -> StripeCheckout:
        await whole(self, *arguments)  # type: ignore[arg-type]  # what it was called with
        raise Died

    monkeypatch.setattr(OpenCheckout, "act", dies)
    with pytest.raises(Died):
        await ask(buyer, key=key, pack="MEDIUM")
    monkeypatch.undo()
    clock_of(till).advance(seconds=3)
    if ended_by == "the sweep":
        await sweep_flows(JobContext(till.platform, "test"))
    answers = await asyncio.gather(*(ask(buyer, key=key, pack="MEDIUM") for _ in range(3)))
    [there] = await of_customer(till, buyer.id)
    assert {(answer.status_code, answer.json()["sessionId"]) for answer in answers} == {(201, there.id)}
    outcome = await buyer.client.get(f"/api/idempotency/{key}", params={"route": "createCheckoutSession"})
    assert outcome.json()["outcome"]["body"] == answers[0].json()


async def test_what_stripe_failed_to_say_is_heard_under_the_same_key(till: Till, buyer: Person) -> None:
    await opened(buyer, pack="SMALL")
    await till.stripe.fail(pathPrefix=SESSIONS, method="POST", status=500, actThenFail=True, times=1)
    key = uuid4().hex
    lost = await ask(buyer, key=key, pack="MEDIUM")
    assert (lost.status_code, lost.json()["code"]) == (503, "payment_provider_unavailable")
    assert lost.headers["Retry-After"]
    heard = await ask(buyer, key=key, pack="MEDIUM")
    assert heard.status_code == 201
    assert len(await of_customer(till, buyer.id)) == 2


async def test_the_page_stands_in_no_row_in_clear(till: Till, buyer: Person) -> None:
    found = await opened(buyer, pack="SMALL")
    for table in ("flows", "checkout_sessions"):
        rows = await till.query(f"SELECT to_jsonb(t)::text AS whole FROM {table} t")
        assert not [row for row in rows if found["url"] in row["whole"]]


async def test_a_customer_that_stripe_deleted_is_replaced(till: Till, buyer: Person) -> None:
    first = await opened(buyer, pack="SMALL")
    old = (await at_stripe(till, first["sessionId"])).customer_id
    gone = await till.stripe.http.delete(
        f"/v1/customers/{old}",
        headers={"Authorization": f"Bearer {till.platform.settings.stripe.secret_key.get_secret_value()}"},
    )
    assert gone.status_code == 200, gone.text
    second = await opened(buyer, pack="SMALL")
    assert (await at_stripe(till, second["sessionId"])).customer_id not in (old, None)


# --- whose ------------------------------------------------------------------------------------------------------


async def test_others_see_neither_id(till: Till, buyer: Person) -> None:
    found = await opened(buyer, pack="SMALL")
    ours = (await shown(buyer, found["sessionId"]))["id"]
    stranger = await register(till.app)
    for one in (found["sessionId"], ours, str(uuid4()), "cs_test_unknown", "nonsense"):
        assert (await stranger.client.get(f"{CHECKOUT}/{one}")).status_code == 404
        assert (await till.client.get(f"{CHECKOUT}/{one}")).status_code == 401
    await stranger.client.aclose()
    not_modified = await buyer.client.get(f"{CHECKOUT}/{ours}", headers={"If-None-Match": '"2"'})
    assert not_modified.status_code in (200, 304)


# --- where it leads back to -------------------------------------------------------------------------------------


async def test_the_way_back_carries_the_session(till: Till, buyer: Person) -> None:
    asked = (await till.stripe.http.get("/_sandbox/requests")).json()["requests"]
    await opened(buyer, pack="SMALL")
    await opened(buyer, pack="SMALL", successUrl="http://site.local/ok?a=1#top", cancelUrl="http://site.local:80/no")
    asked = (await till.stripe.http.get("/_sandbox/requests")).json()["requests"]
    sent = [httpx.QueryParams(one["body"]) for one in asked if (one["method"], one["path"]) == ("POST", SESSIONS)][
        -2:
    ]
    assert [one["success_url"] for one in sent] == [
        "http://site.local/dashboard?checkoutSession={CHECKOUT_SESSION_ID}",
        "http://site.local/ok?a=1&checkoutSession={CHECKOUT_SESSION_ID}#top",
    ]
    assert [one["cancel_url"] for one in sent] == ["http://site.local/credits", "http://site.local:80/no"]


@pytest.mark.parametrize(
    "address",
    [
        "http://evil.example/ok",
        "https://site.local/ok",
        "http://site.local:8080/ok",
        "http://site.local@evil.example/",
        "http://site.local.evil.example/",
        "http://evil.example\\@site.local/",
        "//site.local/ok",
        "javascript:alert(1)",
        "/dashboard",
        "http://sıte.local/",
        "http://[site.local/",
    ],
)
async def test_it_leads_nobody_astray(buyer: Person, address: str) -> None:
    for name in ("successUrl", "cancelUrl"):
        answer = await ask(buyer, pack="SMALL", **{name: address})
        assert (answer.status_code, answer.json()["code"]) == (422, "return_url_not_allowed")
        assert answer.json()["details"][0]["pointer"] == f"/{name}"
    answer = await buyer.client.post(PORTAL, json={"returnUrl": address})
    assert answer.json()["code"] == "return_url_not_allowed"


@pytest.mark.parametrize(("wanted", "sent"), [("de-AT", "de"), ("pt_BR", "pt-BR"), ("tlh", None), (None, None)])
async def test_the_page_speaks_the_nearest_language(till: Till, buyer: Person, wanted: str, sent: str) -> None:
    await opened(buyer, pack="SMALL", **({"locale": wanted} if wanted else {}))
    asked = (await till.stripe.http.get("/_sandbox/requests")).json()["requests"]
    last = [httpx.QueryParams(one["body"]) for one in asked if (one["method"], one["path"]) == ("POST", SESSIONS)][-1]
    assert last.get("locale") == sent


# --- plans ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "for_workspace", "status", "code"),
    [
        ("ENTERPRISE", True, 422, "contact_sales"),
        ("FREE", False, 422, "plan_not_for_account"),
        ("INDIVIDUAL_PRO", True, 422, "plan_not_for_account"),
        ("TEAM_STANDARD", False, 422, "plan_not_for_account"),
        ("TEAM_PREMIUM", True, 422, "plan_not_on_sale"),
    ],
)
async def test_plans_that_cannot_be_bought(
    buyer: Person, plan: str, for_workspace: bool, status: int, code: str
) -> None:
    more = {"workspaceId": (await make_workspace(buyer))["id"]} if for_workspace else {}
    answer = await ask(buyer, plan=plan, **more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_plan_from_the_request_to_the_subscription(till: Till, buyer: Person) -> None:
    workspace_id = (await make_workspace(buyer))["id"]
    found = await opened(buyer, plan="TEAM_STANDARD", billingInterval="year", workspaceId=workspace_id)
    there = await at_stripe(till, found["sessionId"])
    assert (there.mode, there.metadata["plan"]) == ("subscription", "TEAM_STANDARD")
    before = await shown(buyer, found["sessionId"])
    assert (before["item"], before["billingInterval"], before["amount"]) == ("PLAN", "YEARLY", 99990)

    await pay(till, found["sessionId"])
    await told(till, found["sessionId"])
    await told(till, found["sessionId"])
    after = await shown(buyer, found["sessionId"])
    assert (after["status"], after["creditsGranted"]) == ("COMPLETE", None)
    rows = await till.query("SELECT plan, status FROM subscriptions WHERE workspace_id = :id", id=UUID(workspace_id))
    assert rows == [{"plan": "TEAM_STANDARD", "status": "TRIALING"}]
    second = await ask(buyer, plan="TEAM_STANDARD", workspaceId=workspace_id)
    assert (second.status_code, second.json()["code"]) == (409, "subscription_exists")


async def test_only_the_newest_page_can_begin_a_subscription(till: Till, buyer: Person) -> None:
    older = await opened(buyer, plan="INDIVIDUAL_PRO")
    newer = await opened(buyer, plan="INDIVIDUAL_PRO")
    assert (await at_stripe(till, older["sessionId"])).status == "expired"
    assert (await at_stripe(till, newer["sessionId"])).status == "open"
    await told(till, older["sessionId"], "checkout.session.expired")
    assert (await shown(buyer, older["sessionId"]))["status"] == "EXPIRED"


async def test_a_page_that_was_gone_through_leaves_no_room_for_another(till: Till, buyer: Person) -> None:
    """Stripe's event is still on its way."""
    first = await opened(buyer, plan="INDIVIDUAL_PRO")
    await pay(till, first["sessionId"])
    second = await ask(buyer, plan="INDIVIDUAL_PRO")
    assert (second.status_code, second.json()["code"]) == (409, "subscription_exists")


# --- the portal -------------------------------------------------------------------------------------------------


async def test_the_portal_lets_the_account_in(till: Till, buyer: Person) -> None:
    first = await buyer.client.get(PORTAL)
    assert first.status_code == 200, first.text
    page = await till.stripe.http.get(first.json()["url"])
    assert page.status_code == 200
    key = {"Idempotency-Key": uuid4().hex}
    made = await buyer.client.post(PORTAL, json={"returnUrl": "http://site.local/billing"}, headers=key)
    again = await buyer.client.post(PORTAL, json={"returnUrl": "http://site.local/billing"}, headers=key)
    assert made.status_code == again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == made.json() != first.json()
    assert len(await till.query("SELECT 1 AS one FROM stripe_customers WHERE account_id = :id", id=buyer.id)) == 1


async def test_a_portal_that_was_not_heard_of_is_opened_anew(till: Till, buyer: Person) -> None:
    await buyer.client.get(PORTAL)
    await till.stripe.fail(pathPrefix="/v1/billing_portal/sessions", method="POST", status=500, times=1)
    assert (await buyer.client.get(PORTAL)).status_code == 503
    assert (await buyer.client.get(PORTAL)).status_code == 200
    clock_of(till).advance(minutes=2)
    await sweep_flows(JobContext(till.platform, "test"))
    async with till.platform.database.reading() as session:
        left = await session.scalar(text("SELECT count(*) FROM flows WHERE status = 'OPEN'"))
    assert left == 0
