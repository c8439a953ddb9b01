"""Reminders to those who owe, told by the clock: on days 0, 3 and 6, and when the grace is over."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from pm_api.core.jobs import JobContext
from pm_api.domains.billing import jobs
from pm_api.entitlements.enums import AccountType, Plan, Status
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.entitlements.events import EntitlementChanged
from pm_api.identity.permissions import Role
from pm_api.integrations.stripe import invoices as stripe_invoices
from pm_api.integrations.stripe import payment_methods
from pm_api.integrations.stripe import subscriptions as stripe_subscriptions
from tests.conftest import Person
from tests.domains.billing.bills import USAGE, authorized, bills, read
from tests.domains.billing.subscribing import FAILS_LATER, STANDARD, VISA, Shop, new_key

Json = dict[str, Any]
FAILED, ENDED = "billing.payment_failed", "billing.grace_ended"


async def owing(shop: Shop) -> tuple[Person, str, Json]:
    """A team whose renewal has just failed, and of which Stripe has told."""
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    await fail_renewal(shop, made)
    assert (await shop.standing(team)).status is Status.GRACE
    return owner, team, made


async def hear(shop: Shop, made: Json) -> None:
    """What an event brings, and the jobs it leaves behind, each of them twice."""
    await shop.hear(made["stripeSubscriptionId"])
    workspace_id = UUID(made["workspaceId"])
    event = EntitlementChanged(
        id=workspace_id,
        account_kind=AccountType.WORKSPACE,
        account_id=workspace_id,
        plan="TEAM_STANDARD",
        status="GRACE",
        version=1,
    )
    for _ in range(2):
        await jobs.follow_dunning.run(JobContext(shop.till.platform, "test"), event)


async def sweep(shop: Shop) -> None:
    await jobs.remind(JobContext(shop.till.platform, "test"))


async def days_told(shop: Shop, person: Person) -> list[int]:
    return [one["data"]["day"] for one in await shop.notices(person, FAILED)]


async def test_reminders_on_days_0_3_and_6_and_at_the_end(shop: Shop) -> None:
    owner, team, _ = await owing(shop)
    [first] = await shop.notices(owner, FAILED)
    [unpaid, _] = await bills(owner, workspaceId=team)
    assert first["data"]["invoiceId"] == unpaid["id"]
    assert (first["data"]["amount"], first["data"]["hostedUrl"]) == (STANDARD, unpaid["hostedUrl"])
    assert "99.99 USD" in first["title"]
    seen = []
    for _ in range(9):
        await shop.move(days=1)
        for _ in range(2):
            await sweep(shop)
        seen.append((len(await days_told(shop, owner)), len(await shop.notices(owner, ENDED))))
    assert seen == [(1, 0), (1, 0), (2, 0), (2, 0), (2, 0), (3, 0), (3, 1), (3, 1), (3, 1)]
    assert await days_told(shop, owner) == [0, 3, 6]
    assert (await shop.standing(team)).plan is Plan.FREE


async def test_only_those_who_see_bills_are_told(shop: Shop) -> None:
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    member, admin = await shop.person(), await shop.person()
    await shop.installation.add(UUID(team), member)
    await shop.installation.add(UUID(team), admin, Role.ADMIN)
    await fail_renewal(shop, made)
    assert [len(await shop.notices(one, FAILED)) for one in (owner, admin, member)] == [1, 1, 0]


async def test_who_pays_is_reminded_no_more(shop: Shop) -> None:
    owner, team, made = await owing(shop)
    [unpaid, _] = await bills(owner, workspaceId=team)
    customer = (await shop.at_stripe(made["stripeSubscriptionId"])).customer_id
    good = await payment_methods.attach(shop.door, VISA, customer, key=new_key())
    await stripe_invoices.pay(
        shop.door, unpaid["stripeInvoiceId"], payment_method_id=good.id, off_session=True, key=new_key()
    )
    await hear(shop, made)
    assert (await shop.standing(team)).status is Status.ACTIVE
    await shop.move(days=8)
    await sweep(shop)
    assert await days_told(shop, owner) == [0]
    assert await shop.notices(owner, ENDED) == []
    assert await shop.rows("SELECT outcome FROM dunnings") == [("PAID",)]


async def test_who_leaves_is_reminded_no_more(shop: Shop) -> None:
    owner, _, made = await owing(shop)
    await stripe_subscriptions.cancel_now(shop.door, made["stripeSubscriptionId"], key=new_key())
    await hear(shop, made)
    await shop.move(days=8)
    await sweep(shop)
    assert await days_told(shop, owner) == [0]
    assert await shop.notices(owner, ENDED) == []
    assert await shop.rows("SELECT outcome FROM dunnings") == [("ENDED",)]


async def test_after_an_outage_only_what_holds_is_told(shop: Shop) -> None:
    """Nobody was there to remind for five days: one reminder, not two."""
    owner, _, _ = await owing(shop)
    await shop.move(days=6, hours=1)
    await sweep(shop)
    assert await days_told(shop, owner) == [0, 6]


async def test_one_that_cannot_be_told_keeps_nobody_from_their_reminder(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with it is told to the operator; page by page everybody else is served."""
    owner, _, _ = await owing(shop)
    monkeypatch.setattr(jobs, "REMINDERS_AT_A_TIME", 1)
    async with shop.till.platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO dunnings (id, account_kind, account_id, plan, began_at, grace_ends_at, step, due_at)"
                " VALUES (:id, 'USER', :id, repeat('X', 9000), :long_ago, :long_ago, 0, :long_ago)"
            ),
            {"id": uuid4(), "long_ago": shop.now - timedelta(days=30)},
        )
    await shop.move(days=3, hours=1)
    with capture_logs() as logged:
        await sweep(shop)
    assert await days_told(shop, owner) == [0, 3]
    assert [one["event"] for one in logged if one["log_level"] == "error"] == ["sweep_left_an_account_out"]


async def test_what_is_over_the_limit_is_seen_and_stays(shop: Shop) -> None:
    """Four people in a workspace that has the free plan's one seat: nobody is put out, nobody comes in."""
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    for _ in range(3):
        await shop.installation.add(UUID(team), await shop.person())
    assert await over(owner, team) == []
    await fail_renewal(shop, made)
    assert await over(owner, team) == []
    await shop.move(days=8)
    await sweep(shop)
    assert await over(owner, team) == ["USERS"]
    [told] = await shop.notices(owner, ENDED)
    assert told["data"]["plan"] == "FREE"
    newcomer = await shop.person()
    with pytest.raises(PlanLimitReached):
        await shop.installation.add(UUID(team), newcomer)
    assert await shop.installation.count_people(UUID(team)) == 4


async def over(person: Person, team: str) -> list[str]:
    usage = (await read(person, USAGE, workspaceId=team))["usage"]
    return [one["metric"] for one in usage if one["isOver"]]


async def fail_renewal(shop: Shop, made: Json) -> None:
    stripe_id = made["stripeSubscriptionId"]
    await shop.control("PUT", "/collection", {"retryDays": [], "lastStep": "past_due"})
    customer = (await shop.at_stripe(stripe_id)).customer_id
    bad = await payment_methods.attach(shop.door, FAILS_LATER, customer, key=new_key())
    answer = await shop.till.stripe.http.post(
        f"/v1/subscriptions/{stripe_id}", data={"default_payment_method": bad.id}, headers=authorized(shop)
    )
    assert answer.status_code == 200, answer.text
    await shop.move(days=30, hours=2)
    await hear(shop, made)
