"""Several at once, and processes that die: one subscription at Stripe, one change at a time, and nothing lost."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from pm_api.core import flows
from pm_api.domains.billing.flows.subscriptions import BEGIN
from pm_api.entitlements.enums import AccountType, Plan
from tests.conftest import Person
from tests.domains.billing.subscribing import SUBSCRIPTION, SUBSCRIPTIONS, Shop, new_key
from tests.support.stripe import event_about

Json = dict[str, Any]


def told(answers: list[httpx.Response]) -> list[tuple[int, str]]:
    return sorted((one.status_code, one.json().get("code", "")) for one in answers)


async def test_two_begin_at_once_and_one_subscription_is_there(shop: Shop) -> None:
    owner, team = await shop.team()
    body = {"plan": "TEAM_STANDARD", "workspaceId": team}
    answers = await asyncio.gather(*(shop.send(owner, "POST", SUBSCRIPTIONS, **body) for _ in range(4)))
    codes = [code for _, code in told(list(answers))]
    assert codes.count("") >= 1, told(list(answers))
    assert set(codes) <= {"", "change_in_progress"}
    assert len(await shop.all_at_stripe(AccountType.WORKSPACE, team)) == 1
    assert await shop.rows("SELECT count(*) FROM subscriptions") == [(1,)]


async def test_the_same_request_at_once_is_one(shop: Shop) -> None:
    owner, team = await shop.team()
    key = new_key()
    body = {"plan": "TEAM_STANDARD", "workspaceId": team}
    answers = await asyncio.gather(*(shop.send(owner, "POST", SUBSCRIPTIONS, key=key, **body) for _ in range(4)))
    # Who has waited for two seconds is told to come back.
    assert {code for _, code in told(list(answers))} <= {"", "idempotency_in_progress"}
    heard = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, key=key, **body)
    assert all(one.json() == heard for one in answers if one.is_success)
    assert len(await shop.all_at_stripe(AccountType.WORKSPACE, team)) == 1


async def test_an_upgrade_and_a_cancellation_do_not_mix(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    up, off = await asyncio.gather(
        shop.send(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team),
        shop.send(owner, "POST", f"{SUBSCRIPTION}/cancel", workspaceId=team),
    )
    assert {up.status_code, off.status_code} <= {200, 409}, told([up, off])
    stands = (await shop.picture(found["stripeSubscriptionId"])).subscription
    assert (stands.price_id == shop.prices["team_premium_monthly"]) is up.is_success
    assert stands.cancel_at_period_end is off.is_success
    shown = await shop.shown(owner, team)
    assert (shown["plan"] == "TEAM_PREMIUM") is up.is_success
    assert shown["cancelAtPeriodEnd"] is off.is_success


async def test_a_renewal_told_while_the_plan_is_changed(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    await shop.move(days=31, hours=2)
    change, _ = await asyncio.gather(
        shop.send(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team),
        asyncio.gather(*(shop.hear(found["stripeSubscriptionId"]) for _ in range(3))),
    )
    if not change.is_success:
        # What was pinned lies in the period before: nothing was changed, and the next try goes through.
        assert (await shop.shown(owner, team))["plan"] == "TEAM_STANDARD", change.text
        await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    await shop.hear(found["stripeSubscriptionId"])
    assert (await shop.shown(owner, team))["plan"] == "TEAM_PREMIUM"
    assert 950 <= await shop.credits(team) <= 1000
    assert len(await shop.notices(owner, "billing.renewed")) == 1
    assert len(await shop.notices(owner, "billing.plan_changed")) == 1


async def test_events_at_once_and_twice_grant_once(shop: Shop) -> None:
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    stripe_id = begun["subscription"]["stripeSubscriptionId"]
    before = await shop.picture(stripe_id)
    await shop.pay(begun["clientSecret"])
    after = await shop.picture(stripe_id)
    await asyncio.gather(*(shop.apply(one) for one in (before, after, before, after, after, before)))
    assert (await shop.shown(owner, team))["status"] == "ACTIVE"
    assert await shop.credits(team) == 500


async def test_by_the_inbox(shop: Shop) -> None:
    """As in production: the event is stored, and a worker fetches and applies."""
    owner, team = await shop.team()
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, plan="TEAM_STANDARD", workspaceId=team)
    await shop.pay(begun["clientSecret"])
    customer = (await shop.all_customers(AccountType.WORKSPACE, team))[0]
    about = {
        "id": begun["subscription"]["stripeSubscriptionId"],
        "object": "subscription",
        "customer": customer,
        "status": "canceled",
    }
    for kind in ("customer.subscription.updated", "customer.subscription.deleted", "customer.subscription.created"):
        await shop.till.tell(event_about(kind, about))
    await shop.till.drain(customer)
    assert (await shop.shown(owner, team))["status"] == "ACTIVE", "what the event itself says is never used"
    assert await shop.credits(team) == 500


@pytest.mark.parametrize("contract_first", [False, True])
async def test_a_contract_and_a_subscription_at_once(shop: Shop, contract_first: bool) -> None:
    owner, team = await shop.team()
    start = shop.now.replace(microsecond=0, day=1)

    async def agree() -> httpx.Response:
        return await shop.installation.operate(
            "PUT",
            f"WORKSPACE/{team}",
            plan="TEAM_PREMIUM",
            price=1,
            currency="USD",
            startsAt=start.isoformat(),
            endsAt=start.replace(year=start.year + 1).isoformat(),
        )

    async def subscribe() -> httpx.Response:
        return await shop.send(owner, "POST", SUBSCRIPTIONS, plan="TEAM_STANDARD", workspaceId=team)

    both = (agree(), subscribe()) if contract_first else (subscribe(), agree())
    answers = await asyncio.gather(*both)
    assert sorted(one.status_code for one in answers) == [201, 409], told(list(answers))
    contracts = await shop.rows("SELECT count(*) FROM contracts")
    assert (contracts[0][0] + len(await shop.all_at_stripe(AccountType.WORKSPACE, team))) == 1


async def test_while_one_is_begun_at_stripe_no_contract_is_made(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.all_customers(AccountType.WORKSPACE, team)
    await shop.till.stripe.fail(delayS=2, times=1, pathPrefix="/v1/subscriptions", method="POST")
    beginning = asyncio.create_task(shop.send(owner, "POST", SUBSCRIPTIONS, plan="TEAM_STANDARD", workspaceId=team))
    for _ in range(200):
        if await shop.rows("SELECT 1 FROM flows WHERE kind = :kind", kind=BEGIN.name):
            break
        await asyncio.sleep(0.02)
    start = shop.now.replace(microsecond=0, day=1)
    refused = await shop.installation.operate(
        "PUT",
        f"WORKSPACE/{team}",
        plan="TEAM_PREMIUM",
        price=1,
        currency="USD",
        startsAt=start.isoformat(),
        endsAt=start.replace(year=start.year + 1).isoformat(),
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_exists")
    assert (await beginning).status_code == 201


# --- cut off in the middle -------------------------------------------------------------------------------------


async def cut_off(shop: Shop, person: Person, method: str, path: str, **request: Any) -> None:
    """Stripe has done it, and we never came to write it down."""
    await shop.till.stripe.fail(status=500, times=99, pathPrefix="/v1/invoices", method="GET")
    lost = await shop.send(person, method, path, **request)
    assert (lost.status_code, lost.json()["code"]) == (503, "payment_provider_unavailable"), lost.text
    await shop.till.stripe.heal()


async def test_dead_between_stripes_answer_and_the_commit(shop: Shop) -> None:
    """The sweep finds the subscription at Stripe by the flow's id and writes it down; nothing is begun twice."""
    owner, team = await shop.team()
    key = new_key()
    await cut_off(shop, owner, "POST", SUBSCRIPTIONS, key=key, plan="TEAM_STANDARD", workspaceId=team)
    assert len(await shop.all_at_stripe(AccountType.WORKSPACE, team)) == 1
    assert await shop.rows("SELECT count(*) FROM subscriptions") == [(0,)]
    await flows.sweep(shop.till.platform)
    assert await shop.rows("SELECT count(*) FROM subscriptions") == [(1,)]
    heard = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, key=key, plan="TEAM_STANDARD", workspaceId=team)
    assert heard["clientSecret"].startswith("pi_")
    assert len(await shop.all_at_stripe(AccountType.WORKSPACE, team)) == 1


async def test_its_event_comes_before_the_dead_ones_result(shop: Shop) -> None:
    owner, team = await shop.team()
    key = new_key()
    await cut_off(shop, owner, "POST", SUBSCRIPTIONS, key=key, plan="TEAM_STANDARD", workspaceId=team)
    [made] = await shop.all_at_stripe(AccountType.WORKSPACE, team)
    await shop.hear(made.id)
    heard = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, key=key, plan="TEAM_STANDARD", workspaceId=team)
    assert heard["subscription"]["stripeSubscriptionId"] == made.id
    assert await shop.rows("SELECT count(*) FROM subscriptions") == [(1,)]


async def test_dead_in_the_middle_of_an_upgrade(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    key = new_key()
    await cut_off(shop, owner, "PUT", SUBSCRIPTION, key=key, plan="TEAM_PREMIUM", workspaceId=team)
    done = await shop.done(owner, "PUT", SUBSCRIPTION, key=key, plan="TEAM_PREMIUM", workspaceId=team)
    assert done["subscription"]["plan"] == "TEAM_PREMIUM"
    assert len((await shop.picture(found["stripeSubscriptionId"])).invoices) == 2, "it is paid once"
    assert 998 <= await shop.credits(team) <= 1000


async def test_what_never_got_to_stripe_is_given_up_and_its_trial_with_it(shop: Shop) -> None:
    owner, team = await shop.team()
    card = await shop.card(AccountType.WORKSPACE, team)
    body = {"plan": "TEAM_STANDARD", "workspaceId": team, "paymentMethodId": card}
    await shop.till.stripe.fail(status=500, times=9, pathPrefix="/v1/subscriptions", method="POST")
    lost = await shop.send(owner, "POST", SUBSCRIPTIONS, **body)
    assert lost.json()["code"] == "payment_provider_unavailable"
    await shop.till.stripe.heal()
    assert await shop.rows("SELECT count(*) FROM trial_claims") == [(1,)]
    await flows.sweep(shop.till.platform)
    assert await shop.rows("SELECT status FROM flows WHERE kind = :kind", kind=BEGIN.name) == [("OPEN",)]
    shop.installation.clock.advance(minutes=2)
    await flows.sweep(shop.till.platform)
    assert await shop.rows("SELECT status FROM flows WHERE kind = :kind", kind=BEGIN.name) == [("ABANDONED",)]
    assert await shop.rows("SELECT count(*) FROM trial_claims") == [(0,)]
    begun = await shop.done(owner, "POST", SUBSCRIPTIONS, 201, **body)
    assert begun["subscription"]["status"] == "TRIALING"


async def test_the_ledger_has_each_effect_under_its_permanent_key(shop: Shop) -> None:
    owner, team = await shop.team()
    found = await shop.active(owner, team)
    await shop.move(days=3)
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    first, second = (await shop.picture(found["stripeSubscriptionId"])).invoices
    [charged] = [line for line in second.lines if line.amount > 0]
    keys = {
        key for (key,) in await shop.rows("SELECT key FROM credit_commands WHERE account_id = :id", id=UUID(team))
    }
    start = first.lines[0].period_start.isoformat()
    assert keys == {f"s:plan:{team}:{start}", f"s:plan-change:stripe:invoice:{second.id}:{charged.id}"}
    assert (await shop.standing(team)).plan is Plan.TEAM_PREMIUM
