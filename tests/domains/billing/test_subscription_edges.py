"""Subscriptions where two things meet: pages that are open still, prices of nobody, clocks apart, lost customers."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from pm_api.core import flows
from pm_api.core.flows import FlowView
from pm_api.core.jobs import TryAgain
from pm_api.domains.billing.flows.subscription_changes import CHANGE, RESUME
from pm_api.domains.billing.understanding import EventNotUnderstood
from pm_api.entitlements.enums import AccountType, Plan
from pm_api.integrations.stripe import StripeRefused, checkouts
from pm_api.integrations.stripe import prices as stripe_prices
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions
from tests.domains.billing.subscribing import SUBSCRIPTION, SUBSCRIPTIONS, Shop, new_key
from tests.domains.billing.test_subscription_races import cut_off

Json = dict[str, Any]
CHECKOUT = "/api/billing/checkout-session"


# --- beginning -------------------------------------------------------------------------------------------------


async def test_a_page_that_is_open_still_begins_no_second_subscription_and_no_second_trial(shop: Shop) -> None:
    """Begun here with a trial, canceled at once: the page would have begun another one."""
    owner, team = await shop.team()
    page = await shop.done(owner, "POST", CHECKOUT, 201, plan="TEAM_STANDARD", workspaceId=team)
    card = await shop.card(AccountType.WORKSPACE, team)
    body = {"plan": "TEAM_STANDARD", "workspaceId": team, "paymentMethodId": card}
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    assert begun["subscription"]["status"] == "TRIALING"
    assert (await checkouts.retrieve(shop.door, page["sessionId"])).status == "expired"


async def test_one_that_lapsed_unpaid_makes_room_though_nobody_told_us(shop: Shop) -> None:
    owner, team = await shop.team()
    body = {"plan": "TEAM_STANDARD", "workspaceId": team}
    first = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    await shop.move(hours=25)
    second = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    old, new = (one["subscription"]["stripeSubscriptionId"] for one in (first, second))
    assert (await shop.at_stripe(old)).status == "incomplete_expired"
    assert new != old
    assert second["subscription"]["status"] == "INCOMPLETE"
    assert second["clientSecret"]


async def test_a_customer_that_stripe_deleted_is_replaced(shop: Shop) -> None:
    owner, team = await shop.team()
    [lost] = await shop.all_customers(AccountType.WORKSPACE, team)
    answer = await shop.till.stripe.http.delete(
        f"/v1/customers/{lost}", headers={"Authorization": "Bearer sk_test_tests"}
    )
    assert answer.status_code == 200, answer.text
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    made = await shop.at_stripe(begun["subscription"]["stripeSubscriptionId"])
    assert [made.customer_id] == await shop.all_customers(AccountType.WORKSPACE, team) != [lost]


async def test_one_too_many_is_written_down_with_the_refusal(shop: Shop) -> None:
    """Somebody has subscribed elsewhere, and its event is on its way: the second one is held and ended, not lost."""
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    elder = await shop.made_elsewhere(team, pay=True)
    refused = await shop.refused(owner, "POST", SUBSCRIPTIONS, plan="TEAM_STANDARD", workspaceId=team)
    assert refused == (409, "subscription_exists")
    [younger] = [one.id for one in await shop.all_at_stripe(AccountType.WORKSPACE, team) if one.id != elder]
    rows = await shop.rows("SELECT stripe_subscription_id, held_reason FROM subscriptions")
    assert set(rows) == {(elder, None), (younger, "SECOND_SUBSCRIPTION")}
    await shop.end_held(younger)
    assert (await shop.at_stripe(younger)).status in ("canceled", "incomplete_expired")


# --- one after the other ---------------------------------------------------------------------------------------


async def test_the_new_ones_event_comes_before_the_end_of_the_old_one(shop: Shop) -> None:
    """What was paid for must not be held, or ended, because of one that is over at Stripe and lives here still."""
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    old = (await shop.active(owner, team))["stripeSubscriptionId"]
    await stripe_subscriptions.cancel_now(shop.door, old, key=new_key())
    await shop.move(minutes=5)
    new = await shop.made_elsewhere(team, "team_premium_monthly", pay=True)
    await shop.hear(new)
    rows = await shop.rows("SELECT stripe_subscription_id, status, held_reason FROM subscriptions")
    assert set(rows) == {(old, "CANCELED", None), (new, "ACTIVE", None)}
    await shop.end_held(new)
    assert (await shop.at_stripe(new)).status == "active"
    assert (await shop.standing(team)).plan is Plan.TEAM_PREMIUM
    assert await shop.credits(team) == 1000
    # The end of the old one, told at last, takes nothing of that.
    await shop.hear(old)
    shown = await shop.shown(owner, team)
    assert (shown["stripeSubscriptionId"], shown["status"]) == (new, "ACTIVE")
    assert (await shop.standing(team)).plan is Plan.TEAM_PREMIUM
    assert await shop.credits(team) == 1000


async def test_one_too_many_whose_end_is_unknown_is_waited_for(shop: Shop) -> None:
    """The job tries again without counting it as a failure: it must not be put away while somebody pays."""
    _, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    elder = await shop.made_elsewhere(team, pay=True)
    await shop.move(minutes=5)
    younger = await shop.made_elsewhere(team, "team_premium_monthly", pay=True)
    await shop.hear(elder)
    await shop.till.stripe.fail(status=500, times=99, pathPrefix="/v1/subscriptions", method="DELETE")
    for _ in range(2):
        with pytest.raises(TryAgain):
            await shop.end_held(younger)
    await shop.till.stripe.heal()
    shop.installation.clock.advance(minutes=2)
    await flows.sweep(shop.till.platform)
    await shop.end_held(younger)
    assert (await shop.at_stripe(younger)).status == "canceled"


# --- beside one of nobody's ------------------------------------------------------------------------------------


async def test_a_subscription_at_a_strange_price_does_not_stop_the_one_that_counts(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    product = await stripe_prices.create_product(shop.door, name="Else", metadata={}, key=new_key())
    strange = await stripe_prices.create_price(
        shop.door,
        product_id=product.id,
        unit_amount=1,
        currency="USD",
        interval="month",
        lookup_key="else",
        metadata={},
        key=new_key(),
    )
    [customer] = await shop.all_customers(AccountType.WORKSPACE, team)
    other = await stripe_subscriptions.create(
        shop.door, customer_id=customer, price_id=strange.id, metadata={}, key=new_key()
    )
    with pytest.raises(EventNotUnderstood, match="sells no plan"):
        await shop.hear(other.id)
    changed = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert changed["subscription"]["plan"] == "TEAM_PREMIUM"
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.rows("SELECT stripe_subscription_id FROM subscriptions") == [(found["stripeSubscriptionId"],)]


# --- changing --------------------------------------------------------------------------------------------------


async def test_a_quote_that_stripe_refuses_by_now_is_409(shop: Shop) -> None:
    """Stripe's clock is in the next period already, and we have not heard of it."""
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    quote = (await shop.done(owner, "POST", f"{SUBSCRIPTION}/preview", plan="TEAM_PREMIUM", workspaceId=team))[
        "quote"
    ]
    await shop.control("POST", "/clock", {"advanceS": int(timedelta(days=32).total_seconds())})
    body = {"plan": "TEAM_PREMIUM", "workspaceId": team, "quoteId": quote["id"]}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "quote_expired")
    assert (await shop.at_stripe(found["stripeSubscriptionId"])).price_id == shop.prices["team_standard_monthly"]


async def test_a_downgrade_that_was_carried_out_before_anybody_looked_is_done(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, plan="TEAM_PREMIUM")
    await cut_off(shop, owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=team)
    await shop.move(days=33)
    assert (await shop.at_stripe(found["stripeSubscriptionId"])).upcoming_price_id is None
    await flows.sweep(shop.till.platform)
    assert await shop.rows("SELECT status FROM flows WHERE kind = :kind", kind=CHANGE.name) == [("DONE",)]
    assert (await shop.shown(owner, team))["plan"] == "TEAM_STANDARD"


async def test_an_end_that_the_portal_set_is_taken_back(shop: Shop) -> None:
    """Stripe's portal may set a moment instead of the end of the period; each is taken back by its own word."""
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    stripe_id = found["stripeSubscriptionId"]
    ends = shop.now + timedelta(days=10)
    answer = await shop.till.stripe.http.post(
        f"/v1/subscriptions/{stripe_id}",
        data={"cancel_at": str(int(ends.timestamp()))},
        headers={"Authorization": "Bearer sk_test_tests", "Idempotency-Key": new_key()},
    )
    assert answer.status_code == 200, answer.text
    await shop.hear(stripe_id)
    there = await shop.at_stripe(stripe_id)
    assert (there.cancel_at_period_end, there.cancel_at is None) == (False, False)
    view = FlowView(uuid4(), {}, 1, None)
    assert not RESUME.is_done(view, there)
    await shop.done(owner, "POST", f"{SUBSCRIPTION}/resume", workspaceId=team)
    assert RESUME.is_done(view, await shop.at_stripe(stripe_id))
    asked = (await shop.till.stripe.http.get("/_sandbox/requests")).json()["requests"]
    [body] = [
        one["body"]
        for one in asked
        if one["path"] == f"/v1/subscriptions/{stripe_id}" and "resume" in (one["idempotencyKey"] or "")
    ]
    assert "cancel_at=" in body
    assert "cancel_at_period_end" not in body


async def test_a_key_that_was_used_for_something_else_is_no_refusal(shop: Shop) -> None:
    """It does not say that nothing was done: the flow stays open, and is looked after."""
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    flow_id = uuid4()

    def view(price: str) -> FlowView:
        wanted = {
            "subscription": found["stripeSubscriptionId"],
            "kind": "UPGRADE",
            "item": item,
            "priceId": shop.prices[price],
            "schedule": None,
            "prorateAt": shop.now.replace(microsecond=0).isoformat(),
            "sums": None,
        }
        return FlowView(flow_id, wanted, 1, UUID(team))

    item = (await shop.at_stripe(found["stripeSubscriptionId"])).item_id
    await CHANGE.act(shop.till.platform, view("team_premium_monthly"))
    with pytest.raises(StripeRefused, match="idempotency_error"):
        await CHANGE.act(shop.till.platform, view("team_premium_yearly"))


async def test_what_stripe_has_no_more_is_given_up(shop: Shop) -> None:
    """Test data were wiped there: a change that was left open must not stand in the way for ever."""
    view = FlowView(uuid4(), {"subscription": "sub_gone", "now": True}, 1, None)
    assert await RESUME.find(shop.till.platform, view) is None
