"""Other plans: what an upgrade costs to the cent and brings to the credit, what waits, and what can be undone."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pm_api.core.money import money
from pm_api.domains.billing.changes import kind_of
from pm_api.domains.billing.enums import BillingInterval, ChangeKind
from pm_api.entitlements.enums import AccountType, Plan
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
PREVIEW, CANCEL, RESUME = f"{SUBSCRIPTION}/preview", f"{SUBSCRIPTION}/cancel", f"{SUBSCRIPTION}/resume"
MONTHLY, YEARLY = BillingInterval.MONTHLY, BillingInterval.YEARLY


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ((3, MONTHLY), (4, MONTHLY), ChangeKind.UPGRADE),
        ((3, MONTHLY), (3, YEARLY), ChangeKind.UPGRADE),
        ((3, MONTHLY), (4, YEARLY), ChangeKind.UPGRADE),
        ((3, YEARLY), (4, YEARLY), ChangeKind.UPGRADE),
        ((4, MONTHLY), (3, MONTHLY), ChangeKind.DOWNGRADE),
        ((4, MONTHLY), (3, YEARLY), ChangeKind.DOWNGRADE),
        ((3, YEARLY), (3, MONTHLY), ChangeKind.DOWNGRADE),
        ((3, YEARLY), (4, MONTHLY), ChangeKind.DOWNGRADE),
    ],
)
def test_which_way_a_change_goes(old: Any, new: Any, kind: ChangeKind) -> None:
    assert kind_of(old[0], new[0], old[1], new[1]) is kind


# --- upgrades --------------------------------------------------------------------------------------------------


async def test_a_quote_is_carried_out_to_the_cent_and_to_the_credit(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    await shop.move(days=12, hours=7)
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_PREMIUM", workspaceId=team))["quote"]
    start, end, at = (
        _moment(found["currentPeriodStart"]),
        _moment(found["currentPeriodEnd"]),
        quote["prorationDate"],
    )
    left, whole = end - _moment(at), end - start
    unused, rest = _share(STANDARD, left, whole), _share(PREMIUM, left, whole)
    assert (quote["kind"], quote["currency"]) == ("UPGRADE", "USD")
    assert sorted(line["amount"] for line in quote["lines"]) == [-unused, rest]
    assert quote["amountDue"] == quote["total"] == rest - unused
    assert (quote["currentPriceId"], quote["priceId"]) == (
        shop.prices["team_standard_monthly"],
        shop.prices["team_premium_monthly"],
    )
    difference = 500 * (left // timedelta(seconds=1)) // (whole // timedelta(seconds=1))
    assert quote["credits"] == {
        "grantedNow": difference,
        "replacesPeriod": False,
        "perMonth": 1000,
        "perMonthBefore": 500,
    }
    assert (await shop.shown(owner, team))["plan"] == "TEAM_STANDARD", "nothing is changed by looking"

    # Half an hour later it is still that sum.
    await shop.move(minutes=29)
    changed = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team, quoteId=quote["id"])
    assert (changed["subscription"]["plan"], changed["clientSecret"]) == ("TEAM_PREMIUM", None)
    invoice = (await shop.picture(found["stripeSubscriptionId"])).invoices[-1]
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert (invoice.total, invoice.amount_paid) == (quote["total"], quote["amountDue"])
    assert [line.amount for line in invoice.lines] == [line["amount"] for line in quote["lines"]]
    assert await shop.credits(team) == 500 + difference
    assert (await shop.standing(team)).plan is Plan.TEAM_PREMIUM
    [told] = await shop.notices(owner, "billing.plan_changed")
    assert (told["data"]["previousPlan"], told["data"]["plan"]) == ("TEAM_STANDARD", "TEAM_PREMIUM")
    assert (told["data"]["amount"], told["data"]["price"]) == (invoice.amount_paid, PREMIUM)
    assert told["data"]["number"] == invoice.number
    assert told["body"].endswith(
        f"{money(invoice.amount_paid, 'USD')} were charged for the change now (invoice {invoice.number})."
    )
    # However often it is told.
    for _ in range(2):
        await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == 500 + difference
    assert len(await shop.notices(owner, "billing.plan_changed")) == 1
    # The next month is the new plan's, and replaces what is left.
    await shop.move_to(end + timedelta(hours=2))
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == 1000


async def test_a_quote_holds_half_an_hour(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.active(owner, team)
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_PREMIUM", workspaceId=team))["quote"]
    await shop.move(minutes=31)
    body = {"plan": "TEAM_PREMIUM", "workspaceId": team, "quoteId": quote["id"]}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "quote_expired")
    assert (await shop.shown(owner, team))["plan"] == "TEAM_STANDARD"


async def test_a_quote_that_would_be_another_sum_is_refused(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_PREMIUM", workspaceId=team))["quote"]
    # Somebody gives the customer something that the next invoice takes.
    [customer] = await shop.all_customers(AccountType.WORKSPACE, team)
    answer = await shop.till.stripe.http.post(
        f"/v1/customers/{customer}/balance_transactions",
        data={"amount": "-500", "currency": "usd"},
        headers={"Authorization": "Bearer sk_test_tests", "Idempotency-Key": new_key()},
    )
    assert answer.status_code == 200, answer.text
    body = {"plan": "TEAM_PREMIUM", "workspaceId": team, "quoteId": quote["id"]}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "quote_changed")
    stands = await shop.picture(found["stripeSubscriptionId"])
    assert stands.subscription.price_id == shop.prices["team_standard_monthly"]
    assert len(stands.invoices) == 1


async def test_a_quote_is_for_one_change_of_one_account(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.active(owner, team)
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_PREMIUM", workspaceId=team))["quote"]
    other, elsewhere = await shop.team()
    await shop.active(other, elsewhere)
    wrong = {"plan": "TEAM_PREMIUM", "workspaceId": elsewhere, "quoteId": quote["id"]}
    assert await shop.refused(other, "PUT", SUBSCRIPTION, **wrong) == (422, "invalid_quote")
    wrong = {"plan": "TEAM_PREMIUM", "workspaceId": team, "quoteId": quote["id"], "billingInterval": "YEARLY"}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **wrong) == (422, "invalid_quote")
    wrong = {"plan": "TEAM_PREMIUM", "workspaceId": team, "quoteId": "forged"}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **wrong) == (422, "invalid_quote")
    # A new period is another state of affairs.
    changed = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert changed["subscription"]["plan"] == "TEAM_PREMIUM"


async def test_an_upgrade_that_is_not_paid_changes_nothing_until_it_is(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    stripe_id = found["stripeSubscriptionId"]
    card = await shop.card(AccountType.WORKSPACE, team, FAILS_LATER)
    await stripe_subscriptions.set_default_payment_method(shop.door, stripe_id, card, key=new_key())
    tried = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert tried["clientSecret"].startswith("pi_")
    shown = tried["subscription"]
    assert (shown["plan"], shown["status"], shown["hasPendingUpdate"]) == ("TEAM_STANDARD", "ACTIVE", True)
    assert await shop.credits(team) == 500
    # Meanwhile nothing else is changed.
    body = {"plan": "TEAM_PREMIUM", "billingInterval": "YEARLY", "workspaceId": team}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "change_awaits_payment")
    assert await shop.refused(owner, "POST", CANCEL, workspaceId=team) == (409, "change_awaits_payment")

    assert (await shop.pay(tried["clientSecret"]))["error"] is None
    await shop.hear(stripe_id)
    shown = await shop.shown(owner, team)
    assert (shown["plan"], shown["hasPendingUpdate"]) == ("TEAM_PREMIUM", False)
    assert 998 <= await shop.credits(team) <= 1000


async def test_an_upgrade_that_is_never_paid_lapses(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    card = await shop.card(AccountType.WORKSPACE, team, FAILS_LATER)
    await stripe_subscriptions.set_default_payment_method(
        shop.door, found["stripeSubscriptionId"], card, key=new_key()
    )
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    await shop.move(days=1, hours=1)
    await shop.hear(found["stripeSubscriptionId"])
    shown = await shop.shown(owner, team)
    assert (shown["plan"], shown["status"], shown["hasPendingUpdate"]) == ("TEAM_STANDARD", "ACTIVE", False)
    assert await shop.credits(team) == 500
    assert await shop.notices(owner, "billing.plan_changed") == []


async def test_from_monthly_to_yearly_a_year_begins_now(shop: Shop) -> None:
    person = await shop.person()
    found = await shop.active(person)
    await shop.move(days=10)
    quote = (await shop.done(person, "POST", PREVIEW, plan="INDIVIDUAL_PRO", billingInterval="year"))["quote"]
    assert quote["credits"] == {"grantedNow": 100, "replacesPeriod": True, "perMonth": 100, "perMonthBefore": 100}
    start, end = _moment(found["currentPeriodStart"]), _moment(found["currentPeriodEnd"])
    unused = _share(PRO, end - _moment(quote["prorationDate"]), end - start)
    assert quote["amountDue"] == 10 * PRO - unused
    body = {"plan": "INDIVIDUAL_PRO", "billingInterval": "YEARLY", "quoteId": quote["id"]}
    changed = (await shop.done(person, "PUT", SUBSCRIPTION, **body))["subscription"]
    assert (changed["billingInterval"], changed["amount"]) == ("YEARLY", 10 * PRO)
    assert _moment(changed["currentPeriodEnd"]) - _moment(changed["currentPeriodStart"]) > timedelta(days=364)
    assert (await shop.picture(found["stripeSubscriptionId"])).invoices[-1].amount_paid == quote["amountDue"]
    assert await shop.credits(None, person) == 100
    await shop.move(days=32)
    await shop.installation.sweep()
    assert await shop.credits(None, person) == 100
    # Back to monthly waits for the end of the year.
    later = (await shop.done(person, "PUT", SUBSCRIPTION, plan="INDIVIDUAL_PRO", billingInterval="MONTHLY"))[
        "subscription"
    ]
    assert later["billingInterval"] == "YEARLY"
    assert later["scheduledChange"]["effectiveAt"] == changed["currentPeriodEnd"]


async def test_up_within_a_year_brings_the_difference_of_the_month(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, billingInterval="YEARLY")
    await shop.move(days=45)
    await shop.installation.sweep()
    assert await shop.credits(team) == 500
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_PREMIUM", workspaceId=team))["quote"]
    assert 0 < quote["credits"]["grantedNow"] < 500
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team, quoteId=quote["id"])
    assert await shop.credits(team) == 500 + quote["credits"]["grantedNow"]
    await shop.move(days=31)
    await shop.installation.sweep()
    await shop.hear(found["stripeSubscriptionId"])
    assert await shop.credits(team) == 1000


async def test_up_and_down_and_up_again_brings_no_more_than_up_once(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    first = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    credits = await shop.credits(team)
    # Down at once is nothing that we offer; whoever does it at Stripe keeps what is there.
    item = (await shop.at_stripe(found["stripeSubscriptionId"])).item_id
    await stripe_subscriptions.change_price(
        shop.door,
        found["stripeSubscriptionId"],
        item,
        shop.prices["team_standard_monthly"],
        prorate_at=shop.now,
        key=new_key(),
    )
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["plan"] == "TEAM_STANDARD"
    assert await shop.credits(team) == credits
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert await shop.credits(team) == credits
    assert first["subscription"]["plan"] == "TEAM_PREMIUM"


async def test_within_a_trial_another_plan_costs_nothing_now(shop: Shop) -> None:
    owner, team = await shop.team()
    card = await shop.card(AccountType.WORKSPACE, team)
    begun = await shop.done(
        owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team, paymentMethodId=card
    )
    before = await shop.credits(team)
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_PREMIUM", workspaceId=team))["quote"]
    assert (quote["amountDue"], quote["lines"], quote["prorationDate"]) == (0, [], None)
    changed = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team, quoteId=quote["id"])
    shown = changed["subscription"]
    assert (shown["plan"], shown["status"], shown["usage"]["maxUsers"]) == ("TEAM_PREMIUM", "TRIALING", None)
    assert shown["trialEnd"] == begun["subscription"]["trialEnd"]
    assert await shop.credits(team) == before
    assert len(await shop.notices(owner, "billing.plan_changed")) == 1
    await shop.move(days=14, hours=2)
    await shop.hear(shown["stripeSubscriptionId"])
    assert await shop.credits(team) == 1000


# --- downgrades ------------------------------------------------------------------------------------------------


async def test_a_downgrade_waits_costs_nothing_and_takes_nothing(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, plan="TEAM_PREMIUM")
    await shop.move(days=5)
    quote = (await shop.done(owner, "POST", PREVIEW, plan="TEAM_STANDARD", workspaceId=team))["quote"]
    assert (quote["kind"], quote["amountDue"], quote["lines"]) == ("DOWNGRADE", 0, [])
    assert quote["effectiveAt"] == found["currentPeriodEnd"]
    assert quote["credits"]["grantedNow"] == 0
    changed = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=team, quoteId=quote["id"])
    shown = changed["subscription"]
    assert (shown["plan"], shown["amount"]) == ("TEAM_PREMIUM", PREMIUM)
    assert shown["scheduledChange"] == {
        "plan": "TEAM_STANDARD",
        "billingInterval": "MONTHLY",
        "amount": STANDARD,
        "effectiveAt": found["currentPeriodEnd"],
    }
    assert len((await shop.picture(found["stripeSubscriptionId"])).invoices) == 1
    assert await shop.credits(team) == 1000
    assert len(await shop.notices(owner, "billing.plan_change_scheduled")) == 1
    body = {"plan": "TEAM_STANDARD", "workspaceId": team}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "plan_unchanged")

    await shop.move_to(_moment(found["currentPeriodEnd"]) + timedelta(hours=2))
    await shop.hear(found["stripeSubscriptionId"])
    shown = await shop.shown(owner, team)
    assert (shown["plan"], shown["amount"], shown["scheduledChange"]) == ("TEAM_STANDARD", STANDARD, None)
    assert (await shop.picture(found["stripeSubscriptionId"])).invoices[-1].total == STANDARD
    assert await shop.credits(team) == 500
    [told] = await shop.notices(owner, "billing.plan_changed")
    assert told["data"]["plan"] == "TEAM_STANDARD"
    # Right after it, while its schedule still holds the subscription, it can be changed again.
    again = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert again["subscription"]["plan"] == "TEAM_PREMIUM"


async def test_a_downgrade_is_undone(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, plan="TEAM_PREMIUM")
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=team)
    undone = await shop.done(owner, "POST", RESUME, workspaceId=team)
    assert undone["subscription"]["scheduledChange"] is None
    assert (await shop.at_stripe(found["stripeSubscriptionId"])).schedule_id is None
    assert await shop.refused(owner, "POST", RESUME, workspaceId=team) == (409, "nothing_to_resume")
    await shop.move(days=31, hours=2)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["plan"] == "TEAM_PREMIUM"
    assert await shop.credits(team) == 1000


async def test_an_upgrade_takes_the_place_of_a_scheduled_downgrade(shop: Shop) -> None:
    person = await shop.person()
    found = await shop.active(person, billingInterval="YEARLY")
    await shop.done(person, "PUT", SUBSCRIPTION, plan="INDIVIDUAL_PRO", billingInterval="MONTHLY")
    undone = await shop.done(person, "POST", RESUME)
    assert undone["subscription"]["scheduledChange"] is None
    owner, team = await shop.team()
    await shop.active(owner, team, billingInterval="YEARLY")
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", billingInterval="MONTHLY", workspaceId=team)
    body: Json = {"plan": "TEAM_PREMIUM", "billingInterval": "YEARLY", "workspaceId": team}
    quote = (await shop.done(owner, "POST", PREVIEW, **body))["quote"]
    up = await shop.done(owner, "PUT", SUBSCRIPTION, **body, quoteId=quote["id"])
    assert (up["subscription"]["plan"], up["subscription"]["scheduledChange"]) == ("TEAM_PREMIUM", None)
    assert found["billingInterval"] == "YEARLY"


async def test_a_cancellation_is_undone(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    canceled = await shop.done(owner, "POST", CANCEL, workspaceId=team)
    body = {"plan": "TEAM_PREMIUM", "workspaceId": team}
    assert await shop.refused(owner, "PUT", SUBSCRIPTION, **body) == (409, "subscription_ending")
    assert await shop.refused(owner, "POST", PREVIEW, **body) == (409, "subscription_ending")
    resumed = (await shop.done(owner, "POST", RESUME, workspaceId=team))["subscription"]
    assert (resumed["cancelAtPeriodEnd"], resumed["endsAt"], resumed["canceledAt"]) == (False, None, None)
    assert resumed["version"] > canceled["subscription"]["version"]
    await shop.move(days=31, hours=2)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["status"] == "ACTIVE"
    assert await shop.credits(team) == 500


async def test_a_cancellation_takes_a_scheduled_downgrade_with_it(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team, plan="TEAM_PREMIUM")
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=team)
    canceled = (await shop.done(owner, "POST", CANCEL, workspaceId=team))["subscription"]
    assert (canceled["cancelAtPeriodEnd"], canceled["scheduledChange"]) == (True, None)
    await shop.move(days=31, hours=2)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.at_stripe(found["stripeSubscriptionId"])).status == "canceled"


async def test_a_paid_upgrade_of_an_unpaid_period_waits_for_it(shop: Shop) -> None:
    """The difference counts within a period; as long as that is not paid for there is nothing to differ from."""
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    stripe_id = found["stripeSubscriptionId"]
    card = await shop.card(AccountType.WORKSPACE, team, MASTERCARD)
    await stripe_subscriptions.set_default_payment_method(shop.door, stripe_id, card, key=new_key())
    await shop.move_to(_moment(found["currentPeriodEnd"]) + timedelta(minutes=5))
    await shop.hear(stripe_id)  # the renewal's invoice is a draft for an hour
    changed = await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    assert changed["subscription"]["plan"] == "TEAM_PREMIUM"
    assert await shop.credits(team) == 0
    await shop.move(hours=2)
    await shop.hear(stripe_id)
    assert 995 <= await shop.credits(team) <= 1000
    rows = await shop.rows("SELECT plan FROM credit_plans WHERE account_id = :id", id=UUID(team))
    assert rows == [("TEAM_PREMIUM",)]


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


def _share(amount: int, left: timedelta, whole: timedelta) -> int:
    """As Stripe rounds: to the nearest cent, by the second."""
    return (2 * amount * (left // timedelta(seconds=1)) + whole // timedelta(seconds=1)) // (
        2 * (whole // timedelta(seconds=1))
    )
