"""Plan credits: who gets which, when, once; on calendars and clocks that are not kind."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import text

from pm_api.core.actor import AccountScope, Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import balances, jobs, ledger, plans, verification
from pm_api.domains.ai_credits.book import Applied, LotDraft, fingerprint
from pm_api.domains.ai_credits.commands import Grant, PlaceHold, Spend
from pm_api.domains.ai_credits.engine import SYSTEM
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.plans import PlanPeriod
from pm_api.domains.ai_credits.purchases import Purchase, grant_purchase
from pm_api.domains.ai_credits.repository import plans as repository
from pm_api.domains.ai_credits.store import Answer, Order
from tests.conftest import open_platform
from tests.identity.teams import somebody_waits_for_a_lock
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

START: Final = datetime(2027, 1, 5, 9, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)
MONTH: Final = 30 * DAY
FREE: Final = ("FREE_TIER", 10, 10)
PRO: Final = "INDIVIDUAL_PRO"
PRO_CREDITS: Final = 100


@dataclass
class Account:
    """A wallet, or a workspace's pool, and what its book says."""

    platform: Platform
    id: UUID
    kind: AccountKind = AccountKind.USER
    orders: int = 0

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    @property
    def scope(self) -> AccountScope:
        if self.kind is AccountKind.USER:
            return UserScope(Actor(ActorKind.USER, self.id), self.id)
        return WorkspaceScope(Actor(ActorKind.USER, self.id), self.id, self.id, "OWNER")

    async def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.platform.database.transaction() as session:
            found = await session.execute(text(statement), {"id": self.id, **values})
            return [tuple(row) for row in found] if found.returns_rows else []  # type: ignore[attr-defined]

    async def apply(self, kind: type[Any], **content: Any) -> Answer:
        self.orders += 1
        key = f"s:test:{self.orders}"
        command = kind(account_id=self.id, key=key, fingerprint=fingerprint(key), by=SYSTEM, **content)
        async with self.platform.database.transaction() as session:
            [answer] = await ledger.apply(session, self.platform, [Order(self.kind, command)])
        return answer

    async def spend(self, amount: int, service: str | None = None) -> Answer:
        return await self.apply(Spend, amount=amount, description="work", details=b"{}", service=service)

    async def buy(self, amount: int) -> None:
        lots = (LotDraft(LotKind.PURCHASE, amount, "test", "bought"),)
        await self.apply(Grant, lots=lots, description="bought")

    async def begin(self, starts_at: datetime, ends_at: datetime, plan: str = PRO, *, yearly: bool = False) -> Answer:
        """What billing does when a paid period begins."""
        period = PlanPeriod(self.kind, self.id, plan, starts_at, ends_at, yearly)
        async with self.platform.database.transaction() as session:
            return await plans.grant_period(session, self.platform, period)

    async def change(
        self, new: str, old: str, period: tuple[datetime, datetime], at: datetime, reference: str = "c1", **more: Any
    ) -> Answer | None:
        changed = PlanPeriod(self.kind, self.id, new, *period, **more)
        async with self.platform.database.transaction() as session:
            return await plans.change_plan(
                session, self.platform, period=changed, old_plan=old, changed_at=at, reference=reference
            )

    async def end(self) -> None:
        async with self.platform.database.transaction() as session:
            await plans.end_plan(session, self.id)

    async def usable(self) -> list[tuple[str, int, int]]:
        """(kind, amount, left) of every lot that can be spent from now, oldest first."""
        return [
            (kind, amount, left)
            for kind, amount, left in await self.query(
                "SELECT kind, amount, remaining - held FROM credit_grants WHERE account_id = :id AND remaining > held"
                " AND (expires_at IS NULL OR expires_at > :now) ORDER BY effective_at, id",
                now=self.clock.now(),
            )
        ]

    async def granted(self, kind: str) -> list[tuple[datetime, int, datetime]]:
        """(when, how many, until when) of every lot of a kind that ever was, in the order of their ends."""
        return [
            (made, amount, ends)
            for made, amount, ends in await self.query(
                "SELECT effective_at, amount, expires_at FROM credit_grants WHERE account_id = :id AND kind = :kind"
                " ORDER BY expires_at, id",
                kind=kind,
            )
        ]

    async def current(self) -> int:
        """What people see as their credits."""
        async with self.platform.database.reading() as session:
            return (await balances.balance(session, self.platform, self.scope)).current

    async def prove(self) -> None:
        async with self.platform.database.reading() as session:
            found = await verification.verify(session, self.platform, self.scope)
        assert found.ok, found.problems
        identity = found.identity.model_dump()
        assert identity.pop("granted") == sum(identity.values())


async def new_wallet(platform: Platform) -> Account:
    """A new user's, with the free plan's credits."""
    user_id, now = platform.randomness.uuid(), platform.clock.now()
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO users (id, email, name, locale, time_zone, created_at, updated_at)"
                " VALUES (:id, :email, 'Somebody', 'en', 'UTC', :now, :now)"
            ),
            {"id": user_id, "email": f"{user_id}@example.com", "now": now},
        )
        await plans.open_user_account(session, platform, user_id)
    return Account(platform, user_id)


async def new_pool(platform: Platform) -> Account:
    workspace_id, now = platform.randomness.uuid(), platform.clock.now()
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO workspaces (id, name, slug, created_at, updated_at)"
                " VALUES (:id, 'Team', :slug, :now, :now)"
            ),
            {"id": workspace_id, "slug": str(workspace_id), "now": now},
        )
    return Account(platform, workspace_id, AccountKind.WORKSPACE)


@pytest.fixture
def clock(fresh_platform: Platform) -> MovableClock:
    """Jobs look at every account there is, so each test has a database of its own."""
    found = fresh_platform.clock
    assert isinstance(found, MovableClock)
    found.move_to(START)
    return found


@pytest.fixture
async def wallet(fresh_platform: Platform, clock: MovableClock) -> Account:
    assert clock.now() >= START
    return await new_wallet(fresh_platform)


async def renew(platform: Platform) -> int:
    """One run of the free plan's job; how many wallets it filled."""
    async with platform.database.transaction() as session:
        due = await repository.due_wallets(session, platform.clock.now(), None, 200)
        return await plans.renew_free_tier(session, platform, due)


async def months(platform: Platform) -> int:
    """One run of the yearly plans' job; how many plans were due."""
    async with platform.database.transaction() as session:
        due = await repository.due_months(session, platform.clock.now(), None, 200)
        return await plans.grant_due_months(session, platform, due)


def seconds(moments: Sequence[datetime]) -> list[datetime]:
    return [moment.replace(microsecond=0) for moment in moments]


# --- the free plan ----------------------------------------------------------------------------------------------


async def test_the_free_tier_is_given_again_every_thirty_days_and_never_added_up(
    wallet: Account, clock: MovableClock
) -> None:
    await wallet.buy(7)
    await wallet.spend(4)
    assert await wallet.usable() == [("FREE_TIER", 10, 6), ("PURCHASE", 7, 7)]
    clock.advance(days=29, hours=23)
    assert await renew(wallet.platform) == 0
    clock.advance(hours=2)
    assert await wallet.current() == 7, "what has run out is gone before any job has run"
    assert await renew(wallet.platform) == 1
    assert await renew(wallet.platform) == 0
    assert await wallet.usable() == [("PURCHASE", 7, 7), FREE]
    first, second = await wallet.granted("FREE_TIER")
    assert second[2] - first[2] == MONTH
    assert await wallet.current() == 17
    await wallet.prove()


async def test_a_job_that_comes_late_keeps_the_rhythm_and_gives_one_period(
    wallet: Account, clock: MovableClock
) -> None:
    clock.advance(days=100)
    assert await renew(wallet.platform) == 1
    [(_, _, first), (_, _, present)] = await wallet.granted("FREE_TIER")
    assert present - first == 3 * MONTH
    assert await wallet.usable() == [FREE]
    clock.advance(days=20)
    assert await renew(wallet.platform) == 1
    await wallet.prove()


async def test_two_workers_renew_every_wallet_once(fresh_platform: Platform, clock: MovableClock) -> None:
    wallets = [await new_wallet(fresh_platform) for _ in range(30)]
    clock.advance(days=31)
    async with AsyncExitStack() as stack:
        settings = settings_for(fresh_platform.database.url.render_as_string(hide_password=False))
        other = await stack.enter_async_context(open_platform(settings, clock))
        for _ in range(2):
            await asyncio.gather(
                *(jobs.renew_free_tier(JobContext(one, "test")) for one in (fresh_platform, other) for _ in range(3))
            )
    for wallet in wallets:
        assert await wallet.usable() == [FREE]
        assert len(await wallet.granted("FREE_TIER")) == 2
        await wallet.prove()


# --- paid plans -------------------------------------------------------------------------------------------------


async def test_a_paid_plan_replaces_the_free_credits_and_nothing_else(wallet: Account, clock: MovableClock) -> None:
    await wallet.buy(7)
    await wallet.spend(3)
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    assert await wallet.usable() == [("PURCHASE", 7, 7), ("SUBSCRIPTION_GRANT", 100, 100)]
    clock.advance(days=29)
    assert await renew(wallet.platform) == 0
    await wallet.prove()


async def test_a_renewal_lets_the_old_credits_expire_and_grants_the_new_ones_once(
    wallet: Account, clock: MovableClock
) -> None:
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    await wallet.spend(30)
    clock.advance(days=30)
    first = await wallet.begin(now + MONTH, now + 2 * MONTH)
    assert not first.replayed
    await wallet.spend(1)
    again = [await wallet.begin(now + MONTH, now + 2 * MONTH) for _ in range(3)]
    assert all(answer.replayed for answer in again)
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 99)]
    assert [ends for _, _, ends in await wallet.granted("SUBSCRIPTION_GRANT")] == [now + MONTH, now + 2 * MONTH]
    [(expired,)] = await wallet.query("SELECT expired FROM credit_accounts WHERE id = :id")
    assert expired == 10 + 70
    await wallet.prove()


async def test_the_same_renewal_told_by_many_at_once_is_one_grant(wallet: Account, clock: MovableClock) -> None:
    now = clock.now()
    answers = await asyncio.gather(*(wallet.begin(now, now + MONTH) for _ in range(8)))
    assert sorted(answer.replayed for answer in answers) == [False] + 7 * [True]
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 100)]
    await wallet.prove()


async def test_a_renewal_that_is_told_late_brings_no_free_credits_in_between(
    wallet: Account, clock: MovableClock
) -> None:
    """Payment takes its time; the plan runs until billing says that it has ended."""
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    clock.advance(days=30, hours=3)
    assert await renew(wallet.platform) == 0
    assert await wallet.usable() == []
    answer = await wallet.begin(now + MONTH, now + 2 * MONTH)
    assert isinstance(answer.result, Applied)
    assert not answer.replayed
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 100)]
    await wallet.prove()


async def test_a_period_told_after_the_one_that_follows_it_takes_nothing_away(
    wallet: Account, clock: MovableClock
) -> None:
    now = clock.now()
    clock.advance(days=30)
    await wallet.begin(now + MONTH, now + 2 * MONTH)
    await wallet.begin(now, now + MONTH)
    assert await wallet.current() == 100
    [(resets,)] = await wallet.query("SELECT next_reset_at FROM credit_accounts WHERE id = :id")
    assert resets == now + 2 * MONTH
    await wallet.prove()


async def test_a_plan_that_ends_keeps_its_credits_until_they_expire_then_the_free_tier_is_back(
    wallet: Account, clock: MovableClock
) -> None:
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    await wallet.spend(40)
    await wallet.end()
    clock.advance(days=29)
    assert await renew(wallet.platform) == 0
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 60)]
    clock.advance(days=1, minutes=1)
    assert await wallet.current() == 0
    assert await renew(wallet.platform) == 1
    assert await wallet.usable() == [FREE]
    clock.advance(days=29, hours=23)
    assert await renew(wallet.platform) == 0
    clock.advance(hours=1)
    assert await renew(wallet.platform) == 1
    await wallet.prove()


async def test_a_period_paid_after_the_free_tier_is_back_is_granted_in_full(
    wallet: Account, clock: MovableClock
) -> None:
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    await wallet.end()
    clock.advance(days=31)
    assert await renew(wallet.platform) == 1
    await wallet.begin(now + MONTH, now + 2 * MONTH)
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 100)]
    await wallet.prove()


async def test_what_another_plan_ended_is_no_part_of_the_limit(wallet: Account, clock: MovableClock) -> None:
    """Used up or not: the limit is what this period brought, and what else still holds credits."""
    await wallet.spend(10)
    clock.advance(days=2)
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    await wallet.spend(100)
    async with wallet.platform.database.reading() as session:
        shown = await balances.balance(session, wallet.platform, wallet.scope)
        used = await plans.usage_of(session, wallet.platform, wallet.scope)
    assert (shown.current, shown.limit) == (0, 100)
    assert (used.granted, used.spent) == (100, 100)


async def test_a_workspace_gets_what_it_pays_for_and_nothing_free(
    fresh_platform: Platform, clock: MovableClock
) -> None:
    pool = await new_pool(fresh_platform)
    now = clock.now()
    await pool.begin(now, now + MONTH, "TEAM_STANDARD")
    assert await pool.usable() == [("SUBSCRIPTION_GRANT", 500, 500)]
    await pool.end()
    clock.advance(days=61)
    assert await renew(fresh_platform) == 0
    assert await pool.usable() == []
    async with fresh_platform.database.reading() as session:
        shown = await balances.balance(session, fresh_platform, pool.scope)
    assert (shown.current, shown.limit, shown.reset_date) == (0, 0, None)
    await pool.prove()


async def test_open_holds_outlive_the_renewal_on_the_new_credits(wallet: Account, clock: MovableClock) -> None:
    now = clock.now()
    await wallet.buy(50)
    await wallet.spend(10)
    placed = await wallet.apply(PlaceHold, amount=20, ttl_s=86_400, description="work", details=b"{}")
    assert isinstance(placed.result, Applied)
    await wallet.begin(now, now + MONTH)
    assert await wallet.usable() == [("PURCHASE", 50, 50), ("SUBSCRIPTION_GRANT", 100, 80)]
    await wallet.prove()


# --- rollover ---------------------------------------------------------------------------------------------------


async def roll_over(account: Account, percent: int, months: int) -> None:
    """A version of the plan's terms from now on."""
    await account.query(
        "INSERT INTO credit_plan_grants (plan, version, credits, rollover_percent, rollover_months)"
        " VALUES (:plan, 2, :credits, :percent, :months)",
        plan=PRO,
        credits=PRO_CREDITS,
        percent=percent,
        months=months,
    )


@pytest.mark.parametrize(("spent", "carried"), [(0, 50), (50, 50), (80, 20), (100, 0)])
async def test_what_is_left_rolls_over_up_to_its_share_and_is_shown_apart(
    wallet: Account, clock: MovableClock, spent: int, carried: int
) -> None:
    await roll_over(wallet, percent=50, months=2)
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    if spent:
        await wallet.spend(spent)
    clock.advance(days=30)
    await wallet.begin(now + MONTH, now + 2 * MONTH)
    rolled = [("ROLLOVER", carried, carried)] if carried else []
    assert sorted(await wallet.usable()) == [*rolled, ("SUBSCRIPTION_GRANT", 100, 100)]
    async with wallet.platform.database.reading() as session:
        shown = await balances.balance(session, wallet.platform, wallet.scope)
    assert {(lot.kind, lot.remaining) for lot in shown.lots} == {
        *((LotKind.ROLLOVER, carried) for _ in rolled),
        (LotKind.SUBSCRIPTION_GRANT, 100),
    }
    await wallet.prove()


async def test_rolled_over_credits_live_their_months_whatever_the_plan_does(
    wallet: Account, clock: MovableClock
) -> None:
    await roll_over(wallet, percent=50, months=2)
    begins = datetime(2027, 1, 31, 12, tzinfo=UTC)
    renews = datetime(2027, 2, 28, 12, tzinfo=UTC)
    clock.move_to(begins)
    await wallet.begin(begins, renews)
    clock.move_to(renews)
    await wallet.begin(renews, datetime(2027, 3, 31, 12, tzinfo=UTC))
    assert [(amount, ends) for _, amount, ends in await wallet.granted("ROLLOVER")] == [
        (50, datetime(2027, 4, 28, 12, tzinfo=UTC))
    ]
    clock.move_to(datetime(2027, 3, 31, 13, tzinfo=UTC))
    await wallet.begin(datetime(2027, 3, 31, 12, tzinfo=UTC), datetime(2027, 4, 30, 12, tzinfo=UTC))
    assert sorted(await wallet.usable()) == [
        ("ROLLOVER", 50, 50),
        ("ROLLOVER", 50, 50),
        ("SUBSCRIPTION_GRANT", 100, 100),
    ]
    await wallet.spend(120)
    assert sorted(await wallet.usable()) == [("ROLLOVER", 50, 30), ("ROLLOVER", 50, 50)]
    clock.move_to(datetime(2027, 4, 28, 12, tzinfo=UTC))
    assert sorted(await wallet.usable()) == [("ROLLOVER", 50, 50)]
    await wallet.prove()


async def test_a_late_renewal_rolls_over_what_had_expired_meanwhile(wallet: Account, clock: MovableClock) -> None:
    await roll_over(wallet, percent=30, months=1)
    now = clock.now()
    await wallet.begin(now, now + MONTH)
    await wallet.spend(10)
    clock.advance(days=30, hours=5)
    await jobs.expire_lots(JobContext(wallet.platform, "test"))
    assert await wallet.current() == 0
    await wallet.begin(now + MONTH, now + 2 * MONTH)
    assert sorted(await wallet.usable()) == [("ROLLOVER", 30, 30), ("SUBSCRIPTION_GRANT", 100, 100)]
    await wallet.prove()


# --- yearly plans -----------------------------------------------------------------------------------------------

YEAR_OF_LAST_DAYS: Final = [
    (2027, 1, 31),
    (2027, 2, 28),
    (2027, 3, 31),
    (2027, 4, 30),
    (2027, 5, 31),
    (2027, 6, 30),
    (2027, 7, 31),
    (2027, 8, 31),
    (2027, 9, 30),
    (2027, 10, 31),
    (2027, 11, 30),
    (2027, 12, 31),
    (2028, 1, 31),
]


async def test_a_year_from_the_31st_is_twelve_months_by_the_calendar(wallet: Account, clock: MovableClock) -> None:
    days = [datetime(*day, 18, tzinfo=UTC) for day in YEAR_OF_LAST_DAYS]
    clock.move_to(days[0])
    await wallet.begin(days[0], days[-1], yearly=True)
    for begins in days[1:-1]:
        clock.move_to(begins - timedelta(minutes=1))
        assert await months(wallet.platform) == 0
        clock.move_to(begins + timedelta(minutes=1))
        assert await months(wallet.platform) == 1
        assert await months(wallet.platform) == 0
        assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 100)]
    granted = await wallet.granted("SUBSCRIPTION_GRANT")
    assert [ends for _, _, ends in granted] == days[1:]
    assert seconds([made for made, _, _ in granted])[1:] == [day + timedelta(minutes=1) for day in days[1:-1]]
    clock.move_to(days[-1] + DAY)
    assert await months(wallet.platform) == 0
    assert await wallet.current() == 0
    await wallet.begin(days[-1], datetime(2029, 1, 31, 18, tzinfo=UTC), yearly=True)
    assert (await wallet.granted("SUBSCRIPTION_GRANT"))[-1][2] == datetime(2028, 2, 29, 18, tzinfo=UTC)
    await wallet.prove()


async def test_a_job_three_months_late_gives_the_month_that_runs(wallet: Account, clock: MovableClock) -> None:
    begins = datetime(2027, 1, 15, 8, tzinfo=UTC)
    clock.move_to(begins)
    await wallet.begin(begins, datetime(2028, 1, 15, 8, tzinfo=UTC), "TEAM_PREMIUM", yearly=True)
    clock.move_to(datetime(2027, 5, 20, tzinfo=UTC))
    assert await months(wallet.platform) == 1
    assert [ends.month for _, _, ends in await wallet.granted("SUBSCRIPTION_GRANT")] == [2, 6]
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 1000, 1000)]
    clock.move_to(datetime(2027, 6, 15, 8, 1, tzinfo=UTC))
    assert await months(wallet.platform) == 1
    await wallet.prove()


async def test_a_year_that_ended_while_the_job_was_away_gives_nothing_more(
    wallet: Account, clock: MovableClock
) -> None:
    begins = datetime(2027, 1, 15, 8, tzinfo=UTC)
    clock.move_to(begins)
    await wallet.begin(begins, datetime(2028, 1, 15, 8, tzinfo=UTC), yearly=True)
    clock.move_to(datetime(2028, 1, 15, 8, tzinfo=UTC))
    await months(wallet.platform)
    assert await months(wallet.platform) == 0
    assert await wallet.current() == 0
    assert len(await wallet.granted("SUBSCRIPTION_GRANT")) == 1
    await wallet.prove()


async def test_two_workers_give_a_yearly_plans_month_once(fresh_platform: Platform, clock: MovableClock) -> None:
    wallets = [await new_wallet(fresh_platform) for _ in range(20)]
    now = clock.now()
    for wallet in wallets:
        await wallet.begin(now, datetime(2028, 1, 5, 9, 30, tzinfo=UTC), yearly=True)
    clock.advance(days=32)
    async with AsyncExitStack() as stack:
        settings = settings_for(fresh_platform.database.url.render_as_string(hide_password=False))
        other = await stack.enter_async_context(open_platform(settings, clock))
        for _ in range(2):
            await asyncio.gather(
                *(jobs.grant_due_months(JobContext(one, "test")) for one in (fresh_platform, other) for _ in range(3))
            )
    for wallet in wallets:
        assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 100)]
        assert len(await wallet.granted("SUBSCRIPTION_GRANT")) == 2
        await wallet.prove()


# --- another plan within a period -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "more"),
    [
        (timedelta(), 400),
        (10 * DAY, 266),
        (15 * DAY, 200),
        (MONTH - timedelta(hours=2), 1),
        (MONTH - timedelta(hours=1), 0),
        (MONTH + DAY, 0),
    ],
)
async def test_a_dearer_plan_brings_the_difference_for_the_rest_to_the_credit(
    wallet: Account, clock: MovableClock, after: timedelta, more: int
) -> None:
    period = (START, START + MONTH)
    await wallet.begin(*period)
    await wallet.spend(5)
    clock.advance(seconds=after.total_seconds())
    before = await wallet.current()
    answers = [await wallet.change("TEAM_STANDARD", PRO, period, START + after) for _ in range(2)]
    assert await wallet.current() == before + more
    assert [answer is not None and answer.replayed for answer in answers] == [False, more > 0]
    assert (await wallet.granted("SUBSCRIPTION_GRANT"))[-1][2] == START + MONTH
    assert await wallet.query("SELECT plan FROM credit_plans WHERE account_id = :id") == [("TEAM_STANDARD",)]
    await wallet.prove()


async def test_a_cheaper_plan_takes_nothing_away(wallet: Account, clock: MovableClock) -> None:
    period = (START, START + MONTH)
    await wallet.begin(*period, "TEAM_STANDARD")
    clock.advance(days=3)
    assert await wallet.change(PRO, "TEAM_STANDARD", period, clock.now()) is None
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 500, 500)]
    clock.move_to(START + MONTH)
    await wallet.begin(START + MONTH, START + 2 * MONTH)
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 100, 100)]
    await wallet.prove()


async def test_a_yearly_plan_that_changes_brings_the_difference_of_the_month(
    wallet: Account, clock: MovableClock
) -> None:
    """The months that follow are granted by the new plan's terms."""
    begins, ends = datetime(2027, 4, 1, tzinfo=UTC), datetime(2028, 4, 1, tzinfo=UTC)
    clock.move_to(begins)
    await wallet.begin(begins, ends, yearly=True)
    clock.move_to(begins + 10 * DAY)
    await wallet.change("TEAM_STANDARD", PRO, (begins, ends), begins + 10 * DAY, yearly=True)
    assert sorted(await wallet.usable()) == [("SUBSCRIPTION_GRANT", 100, 100), ("SUBSCRIPTION_GRANT", 266, 266)]
    assert (await wallet.granted("SUBSCRIPTION_GRANT"))[-1][2] == datetime(2027, 5, 1, tzinfo=UTC)
    clock.move_to(datetime(2027, 5, 1, 1, tzinfo=UTC))
    assert await months(wallet.platform) == 1
    assert await wallet.usable() == [("SUBSCRIPTION_GRANT", 500, 500)]
    await wallet.prove()


CHANGES: Final = (timedelta(hours=7), 3 * DAY, 10 * DAY, 17 * DAY + timedelta(minutes=5), 29 * DAY)


async def grants_of_changes(wallet: Account) -> list[int]:
    return [
        amount
        for (amount,) in await wallet.query(
            "SELECT amount FROM credit_grants WHERE account_id = :id AND source_type = 'plan_change' ORDER BY id"
        )
    ]


def share(credits: int, after: timedelta, whole: timedelta = MONTH) -> int:
    return credits * int((whole - after).total_seconds()) // int(whole.total_seconds())


@pytest.mark.parametrize("yearly", [False, True])
async def test_up_and_down_again_and_again_brings_what_one_upgrade_brings(
    wallet: Account, clock: MovableClock, yearly: bool
) -> None:
    begins = datetime(2027, 4, 1, tzinfo=UTC)  # a month of thirty days
    period = (begins, datetime(2028, 4, 1, tzinfo=UTC) if yearly else begins + MONTH)
    clock.move_to(begins)
    await wallet.begin(*period, yearly=yearly)
    for number, after in enumerate(CHANGES):
        clock.move_to(begins + after)
        await wallet.change("TEAM_STANDARD", PRO, period, begins + after, f"up-{number}", yearly=yearly)
        clock.move_to(begins + after + timedelta(hours=1))
        down = await wallet.change(PRO, "TEAM_STANDARD", period, clock.now(), f"down-{number}", yearly=yearly)
        assert down is None
    assert await grants_of_changes(wallet) == [share(400, CHANGES[0])]
    assert await wallet.current() == 100 + share(400, CHANGES[0])
    await wallet.prove()


async def test_each_step_up_counts_from_the_dearest_plan_there_was(wallet: Account, clock: MovableClock) -> None:
    period = (START, START + MONTH)
    await wallet.begin(*period)
    steps = [("TEAM_STANDARD", 5 * DAY), (PRO, 6 * DAY), ("TEAM_PREMIUM", 12 * DAY), ("TEAM_STANDARD", 13 * DAY)]
    before = PRO
    for number, (plan, after) in enumerate(steps):
        clock.move_to(START + after)
        await wallet.change(plan, before, period, START + after, f"c{number}")
        before = plan
    assert await grants_of_changes(wallet) == [share(400, 5 * DAY), share(500, 12 * DAY)]
    assert await wallet.query("SELECT plan, peak_credits FROM credit_plans WHERE account_id = :id") == [
        ("TEAM_STANDARD", 1000)
    ]
    clock.move_to(START + MONTH)
    await wallet.begin(START + MONTH, START + 2 * MONTH)
    clock.move_to(START + MONTH + 15 * DAY)
    following = (START + MONTH, START + 2 * MONTH)
    answer = await wallet.change("TEAM_STANDARD", PRO, following, START + MONTH + 15 * DAY, "c9")
    assert answer is not None, "a new period counts from its own plan"
    assert (await grants_of_changes(wallet))[-1] == 200
    await wallet.prove()


async def test_a_month_of_a_yearly_plan_counts_from_its_own_credits(wallet: Account, clock: MovableClock) -> None:
    begins, ends = datetime(2027, 3, 2, tzinfo=UTC), datetime(2028, 3, 2, tzinfo=UTC)
    clock.move_to(begins)
    await wallet.begin(begins, ends, yearly=True)
    await wallet.change("TEAM_PREMIUM", PRO, (begins, ends), begins, "up", yearly=True)
    await wallet.change(PRO, "TEAM_PREMIUM", (begins, ends), begins, "down", yearly=True)
    clock.move_to(datetime(2027, 4, 2, tzinfo=UTC))
    assert await months(wallet.platform) == 1
    middle = datetime(2027, 4, 17, tzinfo=UTC)
    clock.move_to(middle)
    await wallet.change("TEAM_STANDARD", PRO, (begins, ends), middle, "again", yearly=True)
    assert (await grants_of_changes(wallet))[-1] == 200
    await wallet.prove()


async def test_a_change_that_is_told_again_changes_nothing(wallet: Account, clock: MovableClock) -> None:
    period = (START, START + MONTH)
    await wallet.begin(*period)
    plans_told = [("TEAM_STANDARD", PRO), (PRO, "TEAM_STANDARD"), ("TEAM_PREMIUM", PRO)]
    clock.advance(days=10)
    for number, (new, old) in enumerate(plans_told):
        await wallet.change(new, old, period, clock.now(), f"c{number}")
    [row] = await wallet.query("SELECT plan, credits, peak_credits FROM credit_plans WHERE account_id = :id")
    before = (await wallet.current(), await grants_of_changes(wallet))
    for number in (2, 1, 0, 1):
        await wallet.change(*plans_told[number], period, clock.now(), f"c{number}")
    assert await wallet.query("SELECT plan, credits, peak_credits FROM credit_plans WHERE account_id = :id") == [row]
    assert row == ("TEAM_PREMIUM", None, 1000)
    assert (await wallet.current(), await grants_of_changes(wallet)) == before
    await wallet.end()
    again = await wallet.change(*plans_told[0], period, clock.now(), "c0")
    assert again is not None
    assert again.replayed, "also when the plan has ended"
    with pytest.raises(plans.PlanNotBegun):
        await wallet.change("TEAM_PREMIUM", PRO, period, clock.now(), "c3")
    assert (await wallet.current(), await grants_of_changes(wallet)) == before
    await wallet.prove()


async def test_changes_at_the_same_moment_bring_the_difference_once(wallet: Account, clock: MovableClock) -> None:
    period = (START, START + MONTH)
    await wallet.begin(*period)
    at = START + 15 * DAY
    clock.move_to(at)
    await asyncio.gather(*(wallet.change("TEAM_STANDARD", PRO, period, at, f"c{number}") for number in range(8)))
    assert await grants_of_changes(wallet) == [200]
    await wallet.prove()


# --- refusals ---------------------------------------------------------------------------------------------------

MOST: Final = 10**12


async def test_plan_credits_that_are_refused_are_no_end_of_the_period(wallet: Account, clock: MovableClock) -> None:
    """The caller rolls back, and the period comes when there is room for it."""
    full = (LotDraft(LotKind.PURCHASE, MOST - 10, "test", "full"),)
    await wallet.apply(Grant, lots=full, description="as much as an account can hold")
    period = (START, START + MONTH)
    with pytest.raises(plans.PlanCreditsRefused):
        await wallet.begin(*period)
    assert await wallet.query("SELECT 1 FROM credit_plans WHERE account_id = :id") == []
    await wallet.spend(600)
    answer = await wallet.begin(*period)
    assert (isinstance(answer.result, Applied), answer.replayed) == (True, False)
    middle = START + 15 * DAY
    clock.move_to(middle)
    more = (LotDraft(LotKind.PURCHASE, MOST - await wallet.current(), "test", "more"),)
    await wallet.apply(Grant, lots=more, description="full again")
    with pytest.raises(plans.PlanCreditsRefused):
        await wallet.change("TEAM_STANDARD", PRO, period, middle)
    assert await wallet.query("SELECT plan, peak_credits FROM credit_plans WHERE account_id = :id") == [(PRO, 100)]
    await wallet.spend(600)
    changed = await wallet.change("TEAM_STANDARD", PRO, period, middle)
    assert changed is not None
    assert not changed.replayed
    assert await grants_of_changes(wallet) == [200]
    await wallet.prove()


async def test_a_month_that_is_refused_stays_due_and_stops_nobody(wallet: Account, clock: MovableClock) -> None:
    other = await new_wallet(wallet.platform)
    now = clock.now()
    for one in (wallet, other):
        await one.begin(now, datetime(2028, 1, 5, 9, 30, tzinfo=UTC), yearly=True)
    more = (LotDraft(LotKind.PURCHASE, MOST - await wallet.current(), "test", "more"),)
    await wallet.apply(Grant, lots=more, description="full")
    clock.move_to(datetime(2027, 2, 5, 10, tzinfo=UTC))
    await wallet.apply(Grant, lots=(LotDraft(LotKind.PURCHASE, 100, "test", "rest"),), description="full again")
    await jobs.grant_due_months(JobContext(wallet.platform, "test"))
    assert len(await other.granted("SUBSCRIPTION_GRANT")) == 2
    assert len(await wallet.granted("SUBSCRIPTION_GRANT")) == 1
    await wallet.spend(600)
    assert await months(wallet.platform) == 1
    assert len(await wallet.granted("SUBSCRIPTION_GRANT")) == 2
    await wallet.prove()


@pytest.mark.parametrize("how", ["end", "change"])
async def test_the_account_is_locked_before_its_plan(wallet: Account, clock: MovableClock, how: str) -> None:
    """The order of all locks: whoever holds the account reaches the plan's row."""
    period = (START, START + MONTH)
    await wallet.begin(*period, "TEAM_STANDARD")
    clock.advance(days=1)
    async with wallet.platform.database.transaction() as session:
        await repository.lock_account(session, wallet.id)
        waiting = asyncio.create_task(
            wallet.end() if how == "end" else wallet.change(PRO, "TEAM_STANDARD", period, clock.now())
        )
        await somebody_waits_for_a_lock(wallet.platform)
        free = await session.scalar(
            text("SELECT 1 FROM credit_plans WHERE account_id = :id FOR UPDATE NOWAIT"), {"id": wallet.id}
        )
        assert free == 1
    await waiting
    await wallet.prove()


# --- bundles ----------------------------------------------------------------------------------------------------

CHAT: Final = "CHAT_ASSISTANT"
TASKS: Final = "TASK_GENERATION"


async def test_a_bundles_lots_are_spent_first_and_only_for_their_service(
    wallet: Account, clock: MovableClock
) -> None:
    await wallet.query(
        "INSERT INTO credit_packs (name, version, credits, bonus, price_minor, currency, created_at)"
        " VALUES ('TALK', 1, 90, 10, 900, 'USD', :now)",
        now=clock.now(),
    )
    await wallet.query(
        "INSERT INTO credit_pack_lots (pack, version, position, credits, service)"
        " VALUES ('TALK', 1, 1, 60, :chat), ('TALK', 1, 2, 20, :tasks), ('TALK', 1, 3, 10, NULL)",
        chat=CHAT,
        tasks=TASKS,
    )
    bought = Purchase("USER", wallet.id, "TALK", 1, "cs_bundle", 900, "USD")
    for expected in (100, 0):
        async with wallet.platform.database.transaction() as session:
            assert await grant_purchase(session, wallet.platform, bought) == expected
    lots = await wallet.query(
        "SELECT kind, amount, service, cost_minor, expires_at FROM credit_grants"
        " WHERE account_id = :id AND source_type = 'stripe_checkout' ORDER BY amount DESC, kind DESC"
    )
    assert lots == [
        ("PURCHASE", 60, CHAT, 600, None),
        ("PURCHASE", 20, TASKS, 200, None),
        ("PURCHASE", 10, None, 100, None),
        ("BONUS", 10, None, None, None),
    ]

    async def left() -> dict[str | None, int]:
        return dict(
            await wallet.query(
                "SELECT service, sum(remaining)::bigint FROM credit_grants WHERE account_id = :id GROUP BY service"
            )
        )

    await wallet.spend(6, CHAT)
    assert await left() == {CHAT: 54, TASKS: 20, None: 30}, "before the free credits, which run out"
    await wallet.spend(25, TASKS)
    assert await left() == {CHAT: 54, TASKS: 0, None: 25}, "the rest comes from what pays for anything"
    await wallet.spend(20)
    assert await left() == {CHAT: 54, TASKS: 0, None: 5}
    refused = await wallet.spend(6)
    assert not isinstance(refused.result, Applied), "chat credits pay for chats alone"
    assert isinstance((await wallet.spend(59, CHAT)).result, Applied)
    assert await left() == {CHAT: 0, TASKS: 0, None: 0}
    await wallet.prove()
