"""Past periods: what was paid, brought, used and lost in each, and the most that was counted."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pm_api.core.jobs import JobContext
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.billing import jobs, usage_sampling
from tests.domains.ai_credits.test_insight import statements
from tests.domains.billing.accounts import contract
from tests.domains.billing.bills import FREE, HISTORY, bills, buy_pack, read, refunded, spend
from tests.domains.billing.subscribing import STANDARD, SUBSCRIPTION, Shop
from tests.domains.billing.wallets import SMALL_PRICE, add_card, look, wants
from tests.support.stripe import PACK_PRICE_MINOR

Json = dict[str, Any]


async def sample(shop: Shop) -> None:
    await jobs.sample_usage(JobContext(shop.till.platform, "test"))


async def history(shop: Shop, path_query: Json, person: Any) -> list[Json]:
    found: list[Json] = (await read(person, HISTORY, **path_query))["history"]
    return found


async def test_a_teams_past_periods(shop: Shop) -> None:
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    query = {"workspaceId": team}
    assert await history(shop, query, owner) == []

    await sample(shop)
    people = [await shop.person() for _ in range(3)]
    for one in people:
        await shop.installation.add(UUID(team), one)
    await spend(shop, owner, 120, workspace_id=team)
    await shop.move(days=2)
    await sample(shop)
    [first_bill] = await bills(owner, workspaceId=team)
    await refunded(shop, invoiceId=first_bill["id"], amount=999)
    await shop.move(days=28, hours=2)
    await shop.hear(made["stripeSubscriptionId"])

    [past] = await history(shop, query, owner)
    assert (past["plan"], past["billingInterval"]) == ("TEAM_STANDARD", "MONTHLY")
    assert (past["periodStart"], past["periodEnd"]) == (made["currentPeriodStart"], made["currentPeriodEnd"])
    assert (past["amount"], past["currency"]) == (STANDARD - 999, "USD")
    assert [one["id"] for one in past["invoices"]] == [first_bill["id"]]
    # A tenth of what was paid went back, and with it 50 of the 500 credits; 120 were spent.
    assert past["credits"] == {"granted": 500, "used": 120, "expired": 330}
    assert {one["metric"]: one["peak"] for one in past["peaks"]} == {
        "USERS": 4,
        "AI_CREDITS": 120,
        "PROJECTS": 0,
    }
    # The ledger says the same of all time, but for the period that runs.
    [(granted, spent, expired)] = await shop.rows(
        "SELECT granted, spent, expired FROM credit_accounts WHERE id = :id", id=UUID(team)
    )
    assert (granted - 500, spent, expired) == (500, 120, 330)

    await spend(shop, owner, 7, workspace_id=team)
    await shop.move(days=31, hours=2)
    await shop.hear(made["stripeSubscriptionId"])
    with statements(shop.till.platform) as sent:
        second, first = await history(shop, query, owner)
    assert first == past
    assert len([one for one in sent if "FROM prices" in one]) == 1, "once a price, not once a period"
    assert second["periodStart"] == past["periodEnd"]
    assert second["credits"] == {"granted": 500, "used": 7, "expired": 493}
    page = await read(owner, HISTORY, limit="1", **query)
    assert page["history"] == [second]
    rest = await read(owner, HISTORY, limit="1", cursor=page["nextCursor"], **query)
    assert (rest["history"], rest["nextCursor"]) == ([first], None)

    assert (await people[0].client.get(HISTORY, params=query)).status_code == 403
    stranger = await shop.person()
    assert (await stranger.client.get(HISTORY, params=query)).status_code == 404


async def test_a_period_is_of_the_plan_that_was_paid_for_in_it(shop: Shop) -> None:
    """Gone up within it, and down at its end; what was used on a day that nobody counted was used all the same."""
    owner, team = await shop.team()
    made = await shop.active(owner, team)
    await shop.move(days=3)
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_PREMIUM", workspaceId=team)
    await sample(shop)
    await shop.done(owner, "PUT", SUBSCRIPTION, plan="TEAM_STANDARD", workspaceId=team)
    await shop.move(days=2)
    await spend(shop, owner, 130, workspace_id=team)
    await shop.move(days=26, hours=2)
    await shop.hear(made["stripeSubscriptionId"])
    await shop.move(days=31, hours=2)
    await shop.hear(made["stripeSubscriptionId"])
    second, first = await history(shop, {"workspaceId": team}, owner)
    assert (first["plan"], second["plan"]) == ("TEAM_PREMIUM", "TEAM_STANDARD")
    assert first["credits"]["used"] == 130
    assert {one["metric"]: one["peak"] for one in first["peaks"]}["AI_CREDITS"] == 130


async def test_a_person_without_a_plan_has_calendar_months(shop: Shop) -> None:
    """Where something was counted or bought; a pack is paid for in the month it was bought."""
    start = shop.now.replace(day=1, hour=6, minute=0, second=0, microsecond=0) + timedelta(days=62)
    first_of_month = start.replace(day=1)
    await shop.move(seconds=(first_of_month - shop.now).total_seconds())
    buyer = await shop.person()
    await buy_pack(shop, buyer)
    await add_card(shop, buyer)
    await wants(buyer, threshold=1000)
    await look(shop, buyer.id)
    await sample(shop)
    await shop.move(days=32)
    [past] = await history(shop, {}, buyer)
    assert (past["plan"], past["amount"]) == ("FREE", PACK_PRICE_MINOR + SMALL_PRICE), "and what was bought by itself"
    assert sorted(one["amountPaid"] for one in past["invoices"]) == [SMALL_PRICE, PACK_PRICE_MINOR]
    assert past["periodStart"].startswith(f"{first_of_month:%Y-%m}-01T00:00:00")
    assert past["credits"]["granted"] == FREE + 550 + 100
    assert {"metric": "USERS", "peak": 1} in past["peaks"]


async def test_a_contract_is_told_month_by_month(shop: Shop) -> None:
    owner, team = await shop.team()
    begins = shop.now.replace(microsecond=0)
    ends = begins.replace(year=begins.year + 1) if (begins.month, begins.day) != (2, 29) else begins
    await shop.installation.agreed(f"WORKSPACE/{team}", **contract(begins, ends))
    await shop.move(days=70)
    second, first = await history(shop, {"workspaceId": team}, owner)
    assert first["periodEnd"] == second["periodStart"]
    assert (first["plan"], first["amount"], first["invoices"]) == ("TEAM_STANDARD", 9999, [])
    assert first["credits"]["granted"] == 500


async def test_a_period_is_sampled_once_more_before_it_ends(shop: Shop) -> None:
    owner, team = await shop.team()
    await shop.active(owner, team)
    await shop.move(days=29, hours=23, minutes=40)
    await jobs.sample_ending_periods(JobContext(shop.till.platform, "test"))
    assert await shop.rows("SELECT 1 FROM usage_records") == []
    await shop.move(minutes=15)
    await jobs.sample_ending_periods(JobContext(shop.till.platform, "test"))
    found = await shop.rows("SELECT metric, used FROM usage_records WHERE account_id = :id", id=UUID(team))
    assert sorted(found) == [("AI_CREDITS", 0), ("PROJECTS", 0), ("USERS", 1)]


@pytest.mark.parametrize("at_a_time", [1, 200])
async def test_an_account_that_cannot_be_counted_keeps_nobody_from_being_counted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    people = sorted([(await shop.person()).id for _ in range(3)])
    count = plan_credits.usage_of

    async def count_all_but_one(session: Any, platform: Any, scope: Any) -> Any:
        if scope.user_id == people[1]:
            raise ZeroDivisionError
        return await count(session, platform, scope)

    monkeypatch.setattr(plan_credits, "usage_of", count_all_but_one)
    monkeypatch.setattr(usage_sampling, "AT_A_TIME", at_a_time)
    await sample(shop)
    rows = await shop.rows("SELECT DISTINCT account_id FROM usage_records")
    counted = {account_id for (account_id,) in rows}
    assert [one in counted for one in people] == [True, False, True]
