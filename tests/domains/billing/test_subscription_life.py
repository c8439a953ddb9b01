"""A subscription's life: what was paid for is there, in limits and credits, and it ends as it should."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from dateutil.relativedelta import relativedelta

from pm_api.domains.billing import pictures, prices
from pm_api.domains.billing.stripe_events.handling import EventNotUnderstood
from pm_api.entitlements.enums import AccountType, Plan, Status
from pm_api.integrations.stripe import customers as stripe_customers
from pm_api.integrations.stripe import prices as stripe_prices
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions
from tests.domains.billing.subscribing import (
    FAILS_LATER,
    MASTERCARD,
    PREMIUM,
    PRO,
    STANDARD,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    Shop,
    new_key,
)

Json = dict[str, Any]


async def test_a_subscription_is_paid_renewed_and_told_of(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    first = begun["subscription"]
    assert (first["plan"], first["status"], first["billingInterval"]) == ("TEAM_STANDARD", "INCOMPLETE", "MONTHLY")
    assert (first["amount"], first["currency"], first["version"]) == (STANDARD, "USD", 1)
    assert (first["workspaceId"], first["userId"]) == (team, None)
    # Nothing is paid: nothing is given.
    assert await shop.credits(team) == 0
    assert (await shop.standing(team)).plan is Plan.FREE

    assert (await shop.pay(begun["clientSecret"]))["error"] is None
    await shop.hear(first["stripeSubscriptionId"])
    shown = await shop.shown(owner, team)
    assert (shown["status"], shown["id"], shown["usage"]["maxUsers"]) == ("ACTIVE", first["id"], 10)
    assert shown["usage"]["maxAiCredits"] == 500
    assert await shop.credits(team) == 500
    standing = await shop.standing(team)
    assert (standing.plan, standing.status) == (Plan.TEAM_STANDARD, Status.ACTIVE)
    assert await shop.notices(owner, "billing.renewed") == []

    await shop.move(days=31, hours=3)
    await shop.hear(first["stripeSubscriptionId"])
    renewed = await shop.shown(owner, team)
    assert renewed["currentPeriodStart"] == shown["currentPeriodEnd"]
    assert await shop.credits(team) == 500
    [told] = await shop.notices(owner, "billing.renewed")
    assert told["data"]["amount"] == STANDARD
    assert told["data"]["credits"] == 500
    assert told["data"]["nextPaymentAt"] == renewed["currentPeriodEnd"]
    assert "99.99 USD" in told["title"]
    number = (await shop.picture(first["stripeSubscriptionId"])).invoices[-1].number
    assert number is not None
    assert f"(invoice {number})" in told["body"]
    # Somebody with several workspaces sees which one, and gets to its bills.
    [(name,)] = await shop.rows("SELECT name FROM workspaces WHERE id = :id", id=UUID(team))
    assert (told["data"]["workspaceName"], told["body"].startswith(f"{name}: ")) == (name, True)
    [(link, reason)] = await shop.rows(
        "SELECT link, reason FROM notifications WHERE user_id = :id AND type = 'billing.renewed'", id=owner.id
    )
    assert link == f"/dashboard/billing?workspaceId={team}"
    assert reason == f"You manage the plan and the bills of {name}."


async def test_the_same_picture_any_number_of_times_grants_once(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    old = await shop.picture(found["stripeSubscriptionId"])
    for _ in range(3):
        await shop.apply(old)
    assert await shop.credits(team) == 500
    before = await shop.shown(owner, team)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["version"] == before["version"]


async def test_an_older_look_changes_nothing(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    stripe_id = begun["subscription"]["stripeSubscriptionId"]
    unpaid = await shop.picture(stripe_id)
    await shop.pay(begun["clientSecret"])
    await shop.hear(stripe_id)
    assert "nothing new" in await shop.apply(unpaid)
    assert (await shop.shown(owner, team))["status"] == "ACTIVE"
    assert await shop.credits(team) == 500


# --- years and trials ------------------------------------------------------------------------------------------


async def test_a_year_brings_its_credits_month_by_month(shop: Shop) -> None:
    person = await shop.person()
    found = await shop.active(person, plan="INDIVIDUAL_PRO", billingInterval="year")
    assert (found["billingInterval"], found["amount"]) == ("YEARLY", 10 * PRO)
    assert await shop.credits(None, person) == 100
    await shop.installation.sweep()
    assert await shop.credits(None, person) == 100
    for _ in range(2):
        await shop.move(days=31)
        await shop.installation.sweep()
        assert await shop.credits(None, person) == 100  # the month before is over, another one has come
    grants = await shop.rows(
        "SELECT count(*) FROM credit_grants WHERE account_id = :id AND kind = 'SUBSCRIPTION_GRANT'", id=person.id
    )
    assert grants == [(3,)]
    # Events of the year change nothing of that.
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(None, person) == 100


async def test_a_trial_gives_the_limits_at_once_and_credits_in_proportion(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    wanted = {"plan": "TEAM_STANDARD", "workspaceId": team, "paymentMethodId": await _card_id(shop, team)}
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **wanted)
    shown = begun["subscription"]
    assert (shown["status"], begun["clientSecret"]) == ("TRIALING", None)
    assert shown["usage"]["maxUsers"] == 10
    started, ends = await _trial(shop, team)
    assert ends - started == timedelta(days=14)
    month = _month_after(started) - started
    proportion = 500 * timedelta(days=14) // month
    assert 225 <= proportion <= 250
    assert await shop.credits(team) == proportion
    assert shown["usage"]["maxAiCredits"] == proportion
    assert (await shop.standing(team)).status is Status.TRIALING

    # Told three days before, once.
    await shop.move(days=10)
    await shop.hear(shown["stripeSubscriptionId"])
    assert await shop.notices(owner, "billing.trial_ending") == []
    await shop.move(days=1, minutes=1)
    for _ in range(2):
        await shop.hear(shown["stripeSubscriptionId"])
    [told] = await shop.notices(owner, "billing.trial_ending")
    assert told["data"]["amount"] == STANDARD

    # It goes on by itself: paid, with the whole month's credits in place of the trial's.
    await shop.move(days=3, hours=2)
    await shop.hear(shown["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["status"] == "ACTIVE"
    assert await shop.credits(team) == 500
    assert len(await shop.notices(owner, "billing.renewed")) == 1


async def test_a_trial_is_taken_once_by_an_account_and_once_by_a_card(shop: Shop) -> None:
    owner, team = await shop.team()
    card = await shop.card(AccountType.WORKSPACE, team)
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    assert begun["subscription"]["status"] == "INCOMPLETE", "what is not on file here is not known"
    await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team)
    body = {"plan": "TEAM_STANDARD", "workspaceId": team, "paymentMethodId": card}
    tried = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    assert tried["subscription"]["status"] == "TRIALING"
    await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team, atPeriodEnd=False)
    again = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    assert again["subscription"]["status"] == "ACTIVE", "paid for at once"

    # The same card in another workspace has been in one, another card has not.
    for token, status in (("pm_card_visa", "ACTIVE"), (MASTERCARD, "TRIALING")):
        other, elsewhere = await shop.team()
        card = await shop.card(AccountType.WORKSPACE, elsewhere, token)
        wanted = {"plan": "TEAM_PREMIUM", "workspaceId": elsewhere, "paymentMethodId": card}
        begun = await shop.done(other, "POST", SUBSCRIPTIONS, 201, **wanted)
        assert begun["subscription"]["status"] == status, token


async def test_individual_plans_have_no_trial(shop: Shop) -> None:
    person = await shop.person()
    card = await shop.card(AccountType.USER, person.id)
    begun = await shop.done(person, "POST", SUBSCRIPTIONS, 201, plan="INDIVIDUAL_PRO", paymentMethodId=card)
    assert begun["subscription"]["status"] == "ACTIVE"


# --- what is not paid ------------------------------------------------------------------------------------------


async def test_past_due_keeps_access_for_a_week_and_then_has_free_limits(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    stripe_id = found["stripeSubscriptionId"]
    await _pay_with(shop, team, stripe_id, FAILS_LATER)
    await shop.move(days=31, hours=2)
    await shop.hear(stripe_id)
    shown = await shop.shown(owner, team)
    assert shown["status"] == "PAST_DUE"
    standing = await shop.standing(team)
    assert (standing.plan, standing.status) == (Plan.TEAM_STANDARD, Status.GRACE)
    assert standing.grace_ends_at is not None
    invoice = (await shop.picture(stripe_id)).invoices[-1]
    assert invoice.finalized_at is not None
    assert standing.grace_ends_at == invoice.finalized_at + timedelta(days=7)
    assert await shop.credits(team) == 0, "the month that was paid for is over"

    await shop.move_to(standing.grace_ends_at - timedelta(minutes=1))
    assert (await shop.standing(team)).plan is Plan.TEAM_STANDARD
    await shop.move(minutes=2)
    assert (await shop.standing(team)).plan is Plan.FREE
    shown = await shop.shown(owner, team)
    assert (shown["status"], shown["plan"], shown["usage"]["maxUsers"]) == ("PAST_DUE", "TEAM_STANDARD", 1)

    # Paid after all: everything is back, for the period that was paid for.
    await _pay_with(shop, team, stripe_id, MASTERCARD)
    await shop.till.stripe.http.post(
        f"/v1/invoices/{invoice.id}/pay", headers={"Authorization": "Bearer sk_test_tests", "Idempotency-Key": "pay"}
    )
    await shop.hear(stripe_id)
    assert (await shop.shown(owner, team))["status"] == "ACTIVE"
    assert (await shop.standing(team)).plan is Plan.TEAM_STANDARD
    assert await shop.credits(team) == 500
    assert len(await shop.notices(owner, "billing.renewed")) == 1


async def test_after_the_grace_a_wallet_lives_on_the_free_plan(shop: Shop) -> None:
    person = await shop.person()
    found = await shop.active(person)
    await _pay_with(shop, person.id, found["stripeSubscriptionId"], FAILS_LATER, AccountType.USER)
    await shop.move(days=31, hours=2)
    await shop.hear(found["stripeSubscriptionId"])
    await shop.installation.sweep()
    assert await shop.credits(None, person) == 0, "the plan may still be paid"
    await shop.move(days=7, hours=2)
    await shop.end_graces()
    await shop.installation.sweep()
    assert await shop.credits(None, person) == 10


async def test_an_unpaid_subscription_gives_nothing(shop: Shop) -> None:
    await shop.control("PUT", "/collection", {"retryDays": [1], "lastStep": "unpaid"})
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    await _pay_with(shop, team, found["stripeSubscriptionId"], FAILS_LATER)
    await shop.move(days=31, hours=2)
    await shop.move(days=2)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["status"] == "UNPAID"
    assert (await shop.standing(team)).plan is Plan.FREE


# --- endings ---------------------------------------------------------------------------------------------------


async def test_a_canceled_one_stays_until_its_period_ends_and_its_credits_with_it(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    ended = await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team)
    assert ended["subscription"]["cancelAtPeriodEnd"] is True
    assert ended["subscription"]["endsAt"] == found["currentPeriodEnd"]
    [told] = await shop.notices(owner, "billing.canceled")
    assert told["data"]["endsAt"] == found["currentPeriodEnd"]
    assert await shop.credits(team) == 500
    # Limits end by the clock, even if Stripe tells nothing.
    await shop.move(days=31, hours=1)
    assert (await shop.standing(team)).plan is Plan.FREE
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["plan"] == "FREE"
    assert len(await shop.notices(owner, "billing.canceled")) == 1
    assert await shop.credits(team) == 0
    # A canceled one never blocks.
    again = await shop.active(owner, team, plan="TEAM_PREMIUM")
    assert again["id"] != found["id"]
    assert await shop.credits(team) == 1000


async def test_ended_at_once_the_credits_stay_until_they_expire(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, billingInterval="YEARLY")
    ended = await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team, atPeriodEnd=False)
    assert (ended["subscription"]["plan"], ended["subscription"]["status"]) == ("FREE", "ACTIVE")
    assert (await shop.at_stripe(found["stripeSubscriptionId"])).status == "canceled"
    assert await shop.credits(team) == 500
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == 500
    await shop.move(days=32)
    await shop.installation.sweep()
    assert await shop.credits(team) == 0, "no further month of the year comes"


async def test_an_ended_one_told_again_leaves_a_contract_alone(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    await shop.done(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team, atPeriodEnd=False)
    start = shop.now.replace(microsecond=0) - timedelta(days=2)
    await shop.installation.agreed(
        f"WORKSPACE/{team}",
        plan="TEAM_PREMIUM",
        price=1,
        currency="USD",
        startsAt=start.isoformat(),
        endsAt=_month_after(start).isoformat(),
    )
    before = await shop.credits(team)
    assert before >= 1000
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == before
    assert (await shop.standing(team)).plan is Plan.TEAM_PREMIUM
    plans = await shop.rows("SELECT plan FROM credit_plans WHERE account_id = :id", id=UUID(team))
    assert plans == [("TEAM_PREMIUM",)]


# --- what is not understood ------------------------------------------------------------------------------------


async def test_a_price_that_sells_nothing_of_ours_is_held(shop: Shop) -> None:
    owner, team = await shop.team()
    customer = (await shop.all_customers(AccountType.WORKSPACE, team))[0]
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
    made = await stripe_subscriptions.create(
        shop.door, customer_id=customer, price_id=strange.id, metadata={}, key=new_key()
    )
    with pytest.raises(EventNotUnderstood, match="sells no plan"):
        await shop.hear(made.id)
    assert (await shop.shown(owner, team))["plan"] == "FREE"


async def test_a_customer_of_nobody_is_held(shop: Shop) -> None:
    stranger = await stripe_customers.create(shop.door, name=None, email="x@example.com", metadata={}, key=new_key())
    made = await stripe_subscriptions.create(
        shop.door,
        customer_id=stranger.id,
        price_id=shop.prices["team_standard_monthly"],
        metadata={"accountType": "WORKSPACE", "accountId": "nobody"},
        key=new_key(),
    )
    with pytest.raises(EventNotUnderstood, match="nobody here"):
        await shop.hear(made.id)


async def test_a_plan_of_the_other_kind_of_account_is_held(shop: Shop) -> None:
    _, team = await shop.team()
    made = await shop.made_elsewhere(team, "individual_pro_monthly")
    with pytest.raises(EventNotUnderstood, match="no plan for a workspace"):
        await shop.hear(made)


async def test_the_owner_is_the_customers_whatever_the_metadata_say(shop: Shop) -> None:
    owner, team = await shop.team()
    _, other = await shop.team()
    made = await shop.made_elsewhere(team, metadata={"accountType": "WORKSPACE", "accountId": other})
    await shop.hear(made)
    assert (await shop.shown(owner, team))["stripeSubscriptionId"] == made


# --- two at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("younger_first", [False, True])
async def test_of_two_the_one_that_began_first_counts_and_the_other_is_ended(shop: Shop, younger_first: bool) -> None:
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    elder = await shop.made_elsewhere(team, pay=True)
    await shop.move(minutes=5)
    younger = await shop.made_elsewhere(team, "team_premium_monthly", pay=True)
    for one in (younger, elder) if younger_first else (elder, younger):
        await shop.hear(one)
    rows = await shop.rows("SELECT stripe_subscription_id, held_reason FROM subscriptions ORDER BY stripe_created_at")
    assert rows == [(elder, None), (younger, "SECOND_SUBSCRIPTION")]
    assert (await shop.shown(owner, team))["stripeSubscriptionId"] == elder
    assert await shop.credits(team) == 500
    assert (await shop.standing(team)).plan is Plan.TEAM_STANDARD

    await shop.end_held(younger)
    assert (await shop.at_stripe(younger)).status == "canceled"
    assert (await shop.at_stripe(elder)).status == "active"
    assert await shop.credits(team) == 500
    assert (await shop.standing(team)).plan is Plan.TEAM_STANDARD
    # Whatever is told again, the one that counts is not touched.
    await shop.end_held(elder)
    assert (await shop.at_stripe(elder)).status == "active"


async def test_the_second_counts_once_the_first_is_over(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.card(AccountType.WORKSPACE, team)
    elder = await shop.made_elsewhere(team, pay=True)
    await shop.move(minutes=5)
    younger = await shop.made_elsewhere(team, "team_premium_monthly", pay=True)
    await shop.hear(younger)
    await stripe_subscriptions.cancel_now(shop.door, elder, key=new_key())
    await shop.hear(elder)
    await shop.end_held(younger)
    assert (await shop.at_stripe(younger)).status == "active", "it counts now"
    assert (await shop.shown(owner, team))["stripeSubscriptionId"] == younger
    assert (await shop.standing(team)).plan is Plan.TEAM_PREMIUM
    assert await shop.credits(team) == 1000


async def test_beside_a_contract_it_is_held(shop: Shop) -> None:
    owner, team = await shop.team()
    start = shop.now.replace(microsecond=0)
    await shop.installation.agreed(
        f"WORKSPACE/{team}",
        plan="TEAM_PREMIUM",
        price=1,
        currency="USD",
        startsAt=start.isoformat(),
        endsAt=_month_after(start).isoformat(),
    )
    await shop.card(AccountType.WORKSPACE, team)
    made = await shop.made_elsewhere(team, pay=True)
    await shop.hear(made)
    assert await shop.rows("SELECT held_reason FROM subscriptions") == [("CONTRACT",)]
    shown = await shop.shown(owner, team)
    assert (shown["plan"], shown["stripeSubscriptionId"]) == ("TEAM_PREMIUM", None)
    assert await shop.credits(team) == 1000
    await shop.end_held(made)
    assert (await shop.at_stripe(made)).status == "canceled"


# --- figures from Stripe ---------------------------------------------------------------------------------------


async def test_stripes_figure_of_included_credits_counts_from_the_next_period_on(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    assert await shop.credits(team) == 500
    price = shop.prices["team_standard_monthly"]
    await stripe_prices.update_price(shop.door, price, metadata={"includedCredits": "650"}, key=new_key())
    fetched_at = shop.door.clock.wall()
    changed = await stripe_prices.retrieve(shop.door, price)
    async with shop.till.platform.database.transaction() as session:
        await prices.mirror_price(session, changed, fetched_at)
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == 500
    await shop.move(days=31, hours=2)
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == 650
    [told] = await shop.notices(owner, "billing.renewed")
    assert told["data"]["credits"] == 650


async def test_any_invoice_brings_its_whole_subscription_up_to_date(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_PREMIUM", workspaceId=team)
    await shop.pay(begun["clientSecret"])
    [told] = await shop.events("invoice.paid")
    picture = await pictures.fetch_by_invoice(shop.door, told["data"]["object"]["id"])
    assert isinstance(picture, pictures.SubscriptionPicture)
    await shop.apply(picture)
    assert (await shop.shown(owner, team))["amount"] == PREMIUM
    assert await shop.credits(team) == 1000


# --- on the way ------------------------------------------------------------------------------------------------


def _month_after(moment: Any) -> Any:
    return moment + relativedelta(months=1)


async def _trial(shop: Shop, team: str) -> tuple[Any, Any]:
    [row] = await shop.rows(
        "SELECT trial_start, trial_end FROM subscriptions WHERE workspace_id = :id", id=UUID(team)
    )
    return row[0], row[1]


async def _card_id(shop: Shop, team: str) -> str:
    [customer] = await shop.all_customers(AccountType.WORKSPACE, team)
    found = (await stripe_customers.retrieve(shop.door, customer)).default_payment_method_id
    assert found is not None
    return found


async def _pay_with(
    shop: Shop, account_id: Any, stripe_id: str, token: str, kind: AccountType = AccountType.WORKSPACE
) -> None:
    """From now on it is paid with this card."""
    card = await shop.card(kind, account_id, token)
    await stripe_subscriptions.set_default_payment_method(shop.door, stripe_id, card, key=new_key())


async def test_a_gap_of_months_ends_where_the_perfect_stream_does(shop: Shop) -> None:
    """Of two workspaces with the same life, one hears of everything and the other of nothing but the last."""
    ends = []
    for hears in (True, False):
        owner, team = await shop.team()
        begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
        await shop.pay(begun["clientSecret"])
        ends.append((owner, team, begun["subscription"]["stripeSubscriptionId"], hears))
    for step in ("paid", "renewed", "raised", "renewed again"):
        if step.startswith("renewed"):
            await shop.move(days=31, hours=2)
        for _, _team, stripe_id, hears in ends:
            if step == "raised":
                found = await shop.at_stripe(stripe_id)
                await stripe_subscriptions.change_price(
                    shop.door,
                    stripe_id,
                    found.item_id,
                    shop.prices["team_premium_monthly"],
                    prorate_at=found.period_start + timedelta(days=1),
                    key=new_key(),
                )
            if hears:
                await shop.hear(stripe_id)
        if step == "raised":
            await shop.hear(ends[1][2])
            assert await shop.credits(ends[0][1]) == await shop.credits(ends[1][1]) > 900
    await shop.hear(ends[1][2])
    states = []
    for _, team, _, _ in ends:
        standing = await shop.standing(team)
        states.append((await shop.credits(team), standing.plan, standing.status))
    assert states[0] == states[1] == (1000, Plan.TEAM_PREMIUM, Status.ACTIVE)
