"""Payment methods over HTTP: added, changed, removed; what Stripe tells of them; crashes and races."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pm_api.core.actor import Actor, ActorKind
from pm_api.domains.billing import payment_methods
from pm_api.domains.billing.wallets import fetch_by_customer
from pm_api.entitlements.enums import AccountType
from pm_api.identity import members
from pm_api.identity.permissions import Role
from pm_api.integrations.stripe import payment_methods as stripe_methods
from pm_api.integrations.stripe import payments
from tests.conftest import Person, client_of
from tests.domains.billing.subscribing import (
    PAYS,
    STANDARD,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    Shop,
    new_key,
    open_shop,
)
from tests.domains.billing.wallets import (
    METHODS,
    OTHER_CARD,
    SETUP,
    add_card,
    cards,
    customer_of,
    hear_of,
    picture_of,
    sweep_flows,
    taken,
)
from tests.support.plans import have_room
from tests.support.settings import STRIPE_KEY


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    """One for all: every test has people of its own."""
    async with open_shop() as opened:
        yield opened


async def remove(person: Person, card: dict[str, Any], *, match: str | None = None) -> tuple[int, str | None]:
    headers = {"If-Match": match} if match else {}
    answer = await person.client.delete(f"{METHODS}/{card['id']}", headers=headers)
    return answer.status_code, answer.json()["code"] if answer.content else None


async def change(person: Person, card: dict[str, Any], *, match: str | None = None, **body: Any) -> tuple[int, Any]:
    headers = {"If-Match": match} if match else {}
    answer = await person.client.patch(f"{METHODS}/{card['id']}", headers=headers, json=body)
    content = answer.json()
    return answer.status_code, content.get("paymentMethod") or content["code"]


# --- adding -----------------------------------------------------------------------------------------------------


async def test_a_card_comes_by_a_setup_intent_and_the_first_is_the_default(shop: Shop) -> None:
    person = await shop.person()
    method_id = await taken(shop, person)
    answer = await shop.send(person, "POST", METHODS, paymentMethodId=method_id)
    assert answer.status_code == 201, answer.text
    card = answer.json()["paymentMethod"]
    assert answer.headers["Location"] == f"{METHODS}/{card['id']}"
    assert answer.headers["ETag"] == f'"{card["version"]}"'
    assert (card["type"], card["cardBrand"], card["cardLast4"], card["isDefault"]) == ("card", "visa", "4242", True)
    assert (card["stripePaymentMethodId"], card["accountId"]) == (method_id, str(person.id))
    assert (await picture_of(shop, person)).customer.default_payment_method_id == method_id
    assert (await person.client.get(answer.headers["Location"])).json()["paymentMethod"] == card
    other = await add_card(shop, person, number=OTHER_CARD)
    assert (other["cardBrand"], other["isDefault"]) == ("mastercard", False)
    assert [one["id"] for one in await cards(person)] == [other["id"], card["id"]], "newest first"


async def test_a_card_that_is_asked_to_be_the_default_becomes_it(shop: Shop) -> None:
    person = await shop.person()
    first = await add_card(shop, person)
    second = await add_card(shop, person, number=OTHER_CARD, setDefault=True)
    assert {one["id"]: one["isDefault"] for one in await cards(person)} == {first["id"]: False, second["id"]: True}


async def test_pages_of_cards(shop: Shop) -> None:
    person = await shop.person()
    made = [(await add_card(shop, person))["id"] for _ in range(3)]
    page = (await person.client.get(METHODS, params={"limit": 2})).json()
    rest = (await person.client.get(METHODS, params={"limit": 2, "cursor": page["nextCursor"]})).json()
    assert [one["id"] for one in page["paymentMethods"] + rest["paymentMethods"]] == made[::-1]
    assert rest["nextCursor"] is None
    stranger = await shop.person()
    assert (await stranger.client.get(METHODS, params={"cursor": page["nextCursor"]})).status_code == 422


async def test_only_what_was_taken_for_this_account(shop: Shop) -> None:
    person, (owner, workspace_id) = await shop.person(), await shop.team()
    theirs = await taken(shop, person)
    for body in ({"paymentMethodId": theirs, "workspaceId": workspace_id}, {"paymentMethodId": "pm_unknown"}):
        assert await shop.refused(owner, "POST", METHODS, **body) == (422, "payment_method_unusable")
    gone = await add_card(shop, owner, workspace_id)
    assert await remove(owner, gone) == (204, None)
    body = {"paymentMethodId": gone["stripePaymentMethodId"], "workspaceId": workspace_id}
    assert await shop.refused(owner, "POST", METHODS, **body) == (422, "payment_method_unusable")
    assert await cards(owner, workspace_id) == []
    declines = {"paymentMethodId": "pm_card_visa_chargeDeclined"}
    assert await shop.refused(owner, "POST", METHODS, **declines) == (422, "payment_method_unusable")


@pytest.mark.parametrize(
    "body",
    [
        {"number": PAYS},
        {"card": {"number": PAYS, "cvc": "123"}},
        {"paymentMethodId": PAYS},
        {"paymentMethodId": "pm_1", "cardNumber": PAYS},
        {"paymentMethodId": f"pm_{'1' * 300}"},
        {"paymentMethodId": "pm_1", "setDefault": "yes"},
    ],
)
async def test_no_number_is_taken_nor_told_back(shop: Shop, body: dict[str, Any]) -> None:
    person = await shop.person()
    answer = await shop.send(person, "POST", METHODS, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert PAYS not in answer.text
    assert "123" not in json.dumps(answer.json()["details"])
    kept = await shop.rows("SELECT count(*) FROM flows WHERE caller = :caller", caller=f"user:{person.id}")
    assert kept == [(0,)]


async def test_only_what_may_be_shown_is_kept(shop: Shop) -> None:
    """Neither fingerprint nor client secret rests in any row of ours as Stripe told it."""
    person = await shop.person()
    await add_card(shop, person)
    [method] = (await picture_of(shop, person)).methods
    assert method.fingerprint
    for table in ("payment_methods", "flows", "audit_entries"):
        found = await shop.rows(f"SELECT to_jsonb(t)::text FROM {table} t")
        assert not [row for (row,) in found if method.fingerprint in row or "_secret_" in row], table
    async with shop.till.platform.database.reading() as session:
        again = await payment_methods.accounts_with_card(session, shop.till.platform, method.fingerprint)
        other = await payment_methods.accounts_with_card(session, shop.till.platform, "another")
    assert (person.id in again, other) == (True, set())


# --- who may ----------------------------------------------------------------------------------------------------


async def test_who_may(shop: Shop) -> None:
    owner, workspace_id = await shop.team()
    card = await add_card(shop, owner, workspace_id)
    member, stranger = await shop.person(), await shop.person()
    async with shop.till.platform.database.transaction() as session:
        await have_room(session, shop.till.platform, UUID(workspace_id))
        await members.add(
            session, shop.till.platform, Actor(ActorKind.SYSTEM), UUID(workspace_id), member.id, Role.MEMBER
        )
    method_id = await taken(shop, owner, workspace_id)
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"{METHODS}?workspaceId={workspace_id}", {}),
        ("POST", SETUP, {"workspaceId": workspace_id}),
        ("POST", METHODS, {"workspaceId": workspace_id, "paymentMethodId": method_id}),
        ("GET", f"{METHODS}/{card['id']}", {}),
        ("PATCH", f"{METHODS}/{card['id']}", {"isDefault": True}),
        ("DELETE", f"{METHODS}/{card['id']}", {}),
    ]
    async with client_of(shop.till.app) as nobody:
        for method, path, body in asked:
            statuses = [
                (await caller.request(method, path, json=body or None)).status_code
                for caller in (nobody, stranger.client, member.client)
            ]
            assert statuses == [401, 404, 403], (method, path)
    for method in ("GET", "PATCH", "DELETE"):
        answer = await owner.client.request(method, f"{METHODS}/{uuid4()}", json={} if method == "PATCH" else None)
        assert answer.status_code == 404
    assert [one["id"] for one in await cards(owner, workspace_id)] == [card["id"]]
    assert await cards(owner) == [], "the owner's own are others"


# --- keys, timeouts, crashes ------------------------------------------------------------------------------------


async def test_one_key_is_one_card_and_one_answer(shop: Shop) -> None:
    person, key = await shop.person(), new_key()
    method_id = await taken(shop, person)
    first = await shop.send(person, "POST", METHODS, key=key, paymentMethodId=method_id)
    again = await shop.send(person, "POST", METHODS, key=key, paymentMethodId=method_id)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert again.headers["Location"] == first.headers["Location"]
    other = await shop.send(person, "POST", METHODS, key=key, paymentMethodId=method_id, setDefault=True)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    keyless = await shop.send(person, "POST", METHODS, key=None, paymentMethodId=method_id)
    assert (keyless.status_code, keyless.json()["paymentMethod"]["id"]) == (201, first.json()["paymentMethod"]["id"])
    assert len(await cards(person)) == 1


async def test_a_setup_intent_is_answered_again(shop: Shop) -> None:
    person, key = await shop.person(), new_key()
    first = await shop.send(person, "POST", SETUP, key=key)
    again = await shop.send(person, "POST", SETUP, key=key)
    assert (first.status_code, again.json()) == (201, first.json())
    intent = await stripe_methods.retrieve_setup_intent(shop.door, first.json()["setupIntent"]["id"])
    assert intent.customer_id == await customer_of(shop, person)
    assert intent.metadata["accountId"] == str(person.id)


async def test_an_answer_that_was_lost_is_found_by_the_same_key(shop: Shop) -> None:
    """Stripe set the default and then said that it had failed."""
    person, key = await shop.person(), new_key()
    method_id = await taken(shop, person)
    customer_id = await customer_of(shop, person)
    await shop.till.stripe.fail(
        pathPrefix=f"/v1/customers/{customer_id}", method="POST", status=500, actThenFail=True, times=9
    )
    lost = await shop.send(person, "POST", METHODS, key=key, paymentMethodId=method_id)
    assert (lost.status_code, lost.json()["code"]) == (503, "payment_provider_unavailable")
    assert await cards(person) == []
    await shop.till.stripe.heal()
    found = await shop.send(person, "POST", METHODS, key=key, paymentMethodId=method_id)
    assert found.status_code == 201, found.text
    assert [one["isDefault"] for one in await cards(person)] == [True]


async def test_a_removal_that_nobody_heard_of_is_settled_by_the_sweep(shop: Shop) -> None:
    person = await shop.person()
    first, second = await add_card(shop, person), await add_card(shop, person, number=OTHER_CARD)
    path = f"/v1/payment_methods/{first['stripePaymentMethodId']}/detach"
    await shop.till.stripe.fail(pathPrefix=path, status=500, actThenFail=True, times=9)
    assert await remove(person, first) == (503, "payment_provider_unavailable")
    assert await remove(person, second) == (409, "change_in_progress")
    await shop.till.stripe.heal()
    await sweep_flows(shop, seconds=120)
    [left] = await cards(person)
    assert (left["id"], left["isDefault"]) == (second["id"], True)
    assert await remove(person, first) == (404, "not_found")


async def test_a_change_that_never_arrived_is_given_up_and_can_be_asked_for_again(shop: Shop) -> None:
    person = await shop.person()
    card = await add_card(shop, person)
    path = f"/v1/payment_methods/{card['stripePaymentMethodId']}"
    await shop.till.stripe.fail(pathPrefix=path, method="POST", status=500, times=9)
    assert await change(person, card, expYear=2040) == (503, "payment_provider_unavailable")
    assert await change(person, card, expYear=2041) == (409, "change_in_progress")
    await shop.till.stripe.heal()
    await sweep_flows(shop, seconds=120)
    [kept] = await cards(person)
    assert (kept["cardExpYear"], kept["version"]) == (card["cardExpYear"], card["version"])
    status, changed = await change(person, card, expYear=2041)
    assert (status, changed["cardExpYear"]) == (200, 2041)


# --- changing and removing --------------------------------------------------------------------------------------


async def test_the_default_moves_and_a_card_gets_its_new_date(shop: Shop) -> None:
    person = await shop.person()
    first, second = await add_card(shop, person), await add_card(shop, person, number=OTHER_CARD)
    status, changed = await change(person, second, match='"1"', isDefault=True, expMonth=11, expYear=2041)
    assert (status, changed["isDefault"], changed["cardExpMonth"], changed["cardExpYear"]) == (200, True, 11, 2041)
    assert changed["version"] > second["version"]
    shown = {one["id"]: one for one in await cards(person)}
    assert (shown[first["id"]]["isDefault"], shown[second["id"]]) == (False, changed)
    assert await change(person, second, match='"1"', isDefault=True) == (412, "precondition_failed")
    assert await change(person, second) == (200, changed), "nothing was sent"


async def test_the_default_pays_the_subscription_too(shop: Shop) -> None:
    """A first payment keeps its card on the subscription, which counts before the customer's default."""
    owner, workspace_id = await shop.team()
    begun = await shop.active(owner, workspace_id)
    stripe_id = begun["stripeSubscriptionId"]
    paying = (await shop.at_stripe(stripe_id)).default_payment_method_id
    assert paying is not None
    await hear_of(shop, paying, "payment_method.attached")
    [first] = await cards(owner, workspace_id)
    assert (first["stripePaymentMethodId"], first["isDefault"]) == (paying, True)
    second = await add_card(shop, owner, workspace_id, number=OTHER_CARD)
    assert second["isDefault"] is False, "there is one that pays already"
    status, changed = await change(owner, second, isDefault=True)
    assert (status, changed["isDefault"]) == (200, True)
    assert (await shop.at_stripe(stripe_id)).default_payment_method_id == second["stripePaymentMethodId"]
    third = await add_card(shop, owner, workspace_id, number=OTHER_CARD, setDefault=True)
    assert (await shop.at_stripe(stripe_id)).default_payment_method_id == third["stripePaymentMethodId"]
    assert await remove(owner, third) == (204, None)
    assert (await shop.at_stripe(stripe_id)).default_payment_method_id == second["stripePaymentMethodId"]


async def test_the_next_invoice_is_paid_with_the_new_default() -> None:
    """In a shop of its own: time goes on in it."""
    async with open_shop() as shop:
        owner, workspace_id = await shop.team()
        stripe_id = (await shop.active(owner, workspace_id))["stripeSubscriptionId"]
        card = await add_card(shop, owner, workspace_id, number=OTHER_CARD, setDefault=True)
        await shop.move_to((await shop.at_stripe(stripe_id)).period_end)
        await shop.move(hours=2)
        [customer_id] = await shop.all_customers(AccountType.WORKSPACE, workspace_id)
        renewal, first = (await payments.list_of_customer(shop.door, customer_id)).items
        assert first.payment_method_id != card["stripePaymentMethodId"]
        assert (renewal.status, renewal.payment_method_id) == ("succeeded", card["stripePaymentMethodId"])


async def test_the_new_default_pays_for_the_plan_that_is_gone_down_to() -> None:
    """A scheduled change has a card of its own, which would take the default's place when it takes effect."""
    async with open_shop() as shop:
        owner, workspace_id = await shop.team()
        stripe_id = (await shop.active(owner, workspace_id, plan="TEAM_PREMIUM"))["stripeSubscriptionId"]
        await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=workspace_id)
        card = await add_card(shop, owner, workspace_id, number=OTHER_CARD, setDefault=True)
        waits = await shop.at_stripe(stripe_id)
        assert (waits.upcoming_price_id, waits.price_id) == (
            shop.prices["team_standard_monthly"],
            shop.prices["team_premium_monthly"],
        )
        await shop.move_to(waits.period_end)
        await shop.move(hours=2)
        [customer_id] = await shop.all_customers(AccountType.WORKSPACE, workspace_id)
        renewal = (await payments.list_of_customer(shop.door, customer_id)).items[0]
        assert (renewal.amount, renewal.payment_method_id) == (STANDARD, card["stripePaymentMethodId"])


async def test_a_default_of_which_nobody_heard_is_found_on_both(shop: Shop) -> None:
    """Stripe took the customer's default and failed over the subscription's: the sweep does not take it for done."""
    owner, workspace_id = await shop.team()
    stripe_id = (await shop.active(owner, workspace_id))["stripeSubscriptionId"]
    second = await add_card(shop, owner, workspace_id, number=OTHER_CARD)
    await shop.till.stripe.fail(pathPrefix=f"/v1/subscriptions/{stripe_id}", method="POST", status=500, times=9)
    assert (await change(owner, second, isDefault=True))[0] == 503
    await shop.till.stripe.heal()
    await sweep_flows(shop, seconds=120)
    before = await shop.at_stripe(stripe_id)
    assert before.default_payment_method_id != second["stripePaymentMethodId"]
    assert (await change(owner, second, isDefault=True))[0] == 200
    after = await shop.at_stripe(stripe_id)
    assert after.default_payment_method_id == second["stripePaymentMethodId"]


async def test_the_card_that_pays_is_shown_as_the_default_whatever_is_heard_first(shop: Shop) -> None:
    owner, workspace_id = await shop.team()
    body = {"plan": "TEAM_STANDARD", "workspaceId": workspace_id}
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    stripe_id = begun["subscription"]["stripeSubscriptionId"]
    await shop.pay(begun["clientSecret"])
    paying = (await shop.at_stripe(stripe_id)).default_payment_method_id
    assert paying is not None
    [customer_id] = await shop.all_customers(AccountType.WORKSPACE, workspace_id)
    early = replace(await fetch_by_customer(shop.door, customer_id), subscriptions=())
    async with shop.till.platform.database.transaction() as session:
        account = AccountType.WORKSPACE, UUID(workspace_id)
        await payment_methods.mirror_customer(session, shop.till.platform, account, early)
    assert [one["isDefault"] for one in await cards(owner, workspace_id)] == [False]
    await shop.hear(stripe_id)
    [card] = await cards(owner, workspace_id)
    assert (card["stripePaymentMethodId"], card["isDefault"]) == (paying, True)


async def test_a_word_for_a_test_card_is_refused_and_attaches_nothing(shop: Shop) -> None:
    person = await shop.person()
    first = await add_card(shop, person)
    refused = await shop.refused(person, "POST", METHODS, paymentMethodId="pm_card_visa")
    assert refused == (422, "payment_method_unusable")
    [only] = (await picture_of(shop, person)).methods
    assert only.id == first["stripePaymentMethodId"]


def test_no_date_is_a_default() -> None:
    """In the committed document, which is what the application says of itself."""
    document = json.loads((Path(__file__).parents[3] / "openapi.json").read_text(encoding="utf-8"))
    declared = document["components"]["schemas"]["PaymentMethodUpdate"]["properties"]
    assert [name for name in ("expMonth", "expYear") if "default" in declared[name]] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"expYear": 2001}, "invalid_card_expiry"),
        ({"expMonth": 13}, "validation_failed"),
        ({"expYear": "2041"}, "validation_failed"),
        ({"expMonth": None}, "validation_failed"),
        ({"isDefault": False}, "validation_failed"),
        ({"isDefault": None}, "validation_failed"),
        ({"last4": "1881"}, "validation_failed"),
    ],
)
async def test_what_cannot_be_changed(shop: Shop, body: dict[str, Any], code: str) -> None:
    person = await shop.person()
    card = await add_card(shop, person)
    assert await change(person, card, **body) == (422, code)
    assert await cards(person) == [card]


async def test_the_default_moves_on_when_it_is_removed(shop: Shop) -> None:
    person = await shop.person()
    made = [await add_card(shop, person, number=number) for number in (PAYS, PAYS, OTHER_CARD)]
    assert await remove(person, made[0], match='"7"') == (412, "precondition_failed")
    assert await remove(person, made[0]) == (204, None)
    assert {one["id"]: one["isDefault"] for one in await cards(person)} == {
        made[1]["id"]: False,
        made[2]["id"]: True,
    }, "the newest of the others"
    picture = await picture_of(shop, person)
    assert picture.customer.default_payment_method_id == made[2]["stripePaymentMethodId"]
    assert picture.method(made[0]["stripePaymentMethodId"]) is None
    for one in (made[1], made[2]):
        assert await remove(person, one) == (204, None), "without a subscription the last may go too"
    [row] = await shop.rows(
        "SELECT brand, last4, exp_month, is_default, fingerprint IS NOT NULL FROM payment_methods WHERE id = :id",
        id=made[0]["id"],
    )
    assert row == (None, None, None, False, True)


async def begin_plan(shop: Shop, owner: Person, workspace_id: str) -> None:
    """With the card on file; one that has had its trial is asked first, and the subscription is live all the same."""
    body = {"plan": "TEAM_STANDARD", "workspaceId": workspace_id}
    begun = (await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body))["subscription"]
    assert begun["status"] in ("ACTIVE", "TRIALING", "INCOMPLETE"), begun


async def test_the_last_one_of_a_live_subscription_stays(shop: Shop) -> None:
    owner, workspace_id = await shop.team()
    first = await add_card(shop, owner, workspace_id)
    second = await add_card(shop, owner, workspace_id, number=OTHER_CARD)
    await begin_plan(shop, owner, workspace_id)
    assert await remove(owner, second) == (204, None)
    assert await remove(owner, first) == (409, "last_payment_method")
    assert [one["id"] for one in await cards(owner, workspace_id)] == [first["id"]]


async def test_the_last_two_of_a_live_subscription_do_not_go_together(shop: Shop) -> None:
    owner, workspace_id = await shop.team()
    both = [await add_card(shop, owner, workspace_id, number=number) for number in (PAYS, OTHER_CARD)]
    await begin_plan(shop, owner, workspace_id)
    answers = await asyncio.gather(*(remove(owner, one) for one in both))
    assert min(answers) == (204, None)
    assert max(answers) in ((409, "change_in_progress"), (409, "last_payment_method"))
    assert len(await cards(owner, workspace_id)) == 1


async def test_no_subscription_begins_while_its_last_payment_method_goes(shop: Shop) -> None:
    """Whichever comes first: a live subscription never stands there without any."""
    for _ in range(4):
        owner, workspace_id = await shop.team()
        card = await add_card(shop, owner, workspace_id)
        body = {"plan": "TEAM_STANDARD", "workspaceId": workspace_id}
        removed, begun = await asyncio.gather(remove(owner, card), shop.send(owner, "POST", SUBSCRIPTIONS, **body))
        left = await cards(owner, workspace_id)
        live = await shop.rows(
            "SELECT status FROM subscriptions WHERE workspace_id = CAST(:id AS uuid) AND status <> 'INCOMPLETE'",
            id=workspace_id,
        )
        assert left or not live, (removed, begun.status_code, live)
        assert removed[0] in (204, 409)
        assert removed[0] == 409 or begun.status_code in (201, 409, 422), begun.text


# --- what Stripe tells ------------------------------------------------------------------------------------------


async def at_stripe(shop: Shop, method: str, path: str, **fields: str) -> None:
    """Somebody at Stripe's own pages."""
    answer = await shop.till.stripe.http.request(
        method, f"/v1/{path}", data=fields or None, headers={"Authorization": f"Bearer {STRIPE_KEY}"}
    )
    assert answer.status_code == 200, answer.text


async def test_what_happens_at_stripe_comes_here(shop: Shop) -> None:
    person = await shop.person()
    customer_id = await customer_of(shop, person)
    first = await stripe_methods.attach(shop.door, "pm_card_visa", customer_id, key=new_key())
    second = await stripe_methods.attach(shop.door, "pm_card_mastercard", customer_id, key=new_key())
    await hear_of(shop, customer_id, "payment_method.attached")
    assert {one["stripePaymentMethodId"] for one in await cards(person)} == {first.id, second.id}
    await at_stripe(
        shop, "POST", f"customers/{customer_id}", **{"invoice_settings[default_payment_method]": second.id}
    )
    await hear_of(shop, customer_id, "customer.updated")
    shown = {one["stripePaymentMethodId"]: one for one in await cards(person)}
    assert (shown[first.id]["isDefault"], shown[second.id]["isDefault"]) == (False, True)
    await shop.control(
        "POST", f"/payment-methods/{first.id}/renew", {"expMonth": 3, "expYear": 2044, "last4": "0077"}
    )
    await hear_of(shop, customer_id, "payment_method.automatically_updated")
    shown = {one["stripePaymentMethodId"]: one for one in await cards(person)}
    assert (shown[first.id]["cardExpYear"], shown[first.id]["cardLast4"]) == (2044, "0077")
    await at_stripe(shop, "POST", f"payment_methods/{second.id}/detach")
    [told] = await hear_of(shop, second.id, "payment_method.detached")
    assert told["status"] == "HANDLED"
    assert [one["stripePaymentMethodId"] for one in await cards(person)] == [first.id], "its customer is null there"
    version = (await cards(person))[0]["version"]
    assert [one["status"] for one in await hear_of(shop, customer_id, "payment_method.attached")] == ["HANDLED"] * 2
    assert [(one["stripePaymentMethodId"], one["version"]) for one in await cards(person)] == [(first.id, version)]


async def test_a_setup_intent_alone_brings_its_card(shop: Shop) -> None:
    """The browser was closed before the app could add it."""
    person = await shop.person()
    method_id = await taken(shop, person)
    [told] = await hear_of(shop, method_id, "setup_intent.succeeded")
    assert told["status"] == "HANDLED"
    assert [one["stripePaymentMethodId"] for one in await cards(person)] == [method_id]


async def test_a_customer_that_is_deleted_loses_all(shop: Shop) -> None:
    person = await shop.person()
    await add_card(shop, person)
    customer_id = await customer_of(shop, person)
    await at_stripe(shop, "DELETE", f"customers/{customer_id}")
    [told] = await hear_of(shop, customer_id, "customer.deleted")
    assert (told["status"], await cards(person)) == ("HANDLED", [])
    card = await add_card(shop, person)
    assert (card["isDefault"], await customer_of(shop, person) == customer_id) == (True, False)


async def test_a_customer_of_another_installations_account_is_held(shop: Shop) -> None:
    """Two installations may share one Stripe account: it names somebody, who is not here."""
    metadata = {"metadata[accountType]": "USER", "metadata[accountId]": str(uuid4())}
    await at_stripe(shop, "POST", "customers", email="elsewhere@example.com", **metadata)
    customer_id = (await shop.events("customer.created"))[-1]["data"]["object"]["id"]
    await at_stripe(shop, "POST", f"customers/{customer_id}", name="Elsewhere")
    [told] = await hear_of(shop, customer_id, "customer.updated")
    assert (told["status"], "there is no user" in told["outcome"]) == ("HELD", True)


async def test_strangers_are_held_and_those_of_nobody_ignored(shop: Shop) -> None:
    await at_stripe(shop, "POST", "customers", email="stranger@example.com")
    customer_id = (await shop.events("customer.created"))[-1]["data"]["object"]["id"]
    kept = await stripe_methods.attach(shop.door, "pm_card_visa", customer_id, key=new_key())
    [told] = await hear_of(shop, kept.id, "payment_method.attached")
    assert (told["status"], "belongs to no account" in told["outcome"]) == ("HELD", True)
    await stripe_methods.detach(shop.door, kept.id, key=new_key())
    [told] = await hear_of(shop, kept.id, "payment_method.detached")
    assert (told["status"], told["outcome"]) == ("HANDLED", "ignored: a payment method that was never ours")


async def test_an_older_look_changes_nothing(shop: Shop) -> None:
    person = await shop.person()
    platform = shop.till.platform
    first = await add_card(shop, person)
    old = await picture_of(shop, person)
    second = await add_card(shop, person, number=OTHER_CARD, setDefault=True)
    assert await remove(person, first) == (204, None)
    before = await cards(person)
    async with platform.database.transaction() as session:
        await payment_methods.mirror_customer(session, platform, (AccountType.USER, person.id), old)
    assert await cards(person) == before
    assert (before[0]["id"], before[0]["isDefault"]) == (second["id"], True)
    assert len(before) == 1
