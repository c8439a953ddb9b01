"""Alerts: once a threshold until a grant, told to whom the credits belong, by any number of workers."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, Worker, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import alerts, ledger
from pm_api.domains.ai_credits.alerts import Offers, advice
from pm_api.domains.ai_credits.book import LotDraft, fingerprint
from pm_api.domains.ai_credits.catalogue import Offer
from pm_api.domains.ai_credits.commands import Grant, Spend
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.models.catalogue import CreditPackLot
from pm_api.domains.ai_credits.models.ledger import CreditPack
from pm_api.domains.ai_credits.repository import alerts as repository
from pm_api.domains.ai_credits.store import Order
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, open_platform, register
from tests.core.test_jobs import until
from tests.domains.ai_credits import holding
from tests.domains.ai_credits.pooling import NOON, later, spent, stand_at, team
from tests.domains.notifications.telling import listed
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY, settings_for

LOW, EXPIRING = "credits.low_balance", "credits.expiring"


async def deliver(platform: Platform) -> None:
    await run_sweep(platform, PERIODICS["ai_credits.deliver_alerts"])


async def warn(platform: Platform) -> None:
    """Both sweeps of lots that run out."""
    await run_sweep(platform, PERIODICS["ai_credits.alert_expiring"])
    await deliver(platform)


async def use(person: Person, amount: int) -> None:
    answer = await holding.post(person, "credits/spend", amount=amount)
    assert answer.status_code == 200, answer.text


async def told(person: Person, platform: Platform) -> list[int]:
    """The thresholds they were told of, in order, after a delivery."""
    await deliver(platform)
    return [one["data"]["percent"] for one in reversed(await listed(person, type=LOW))]


async def grant_until(person: Person, amount: int, clock: MovableClock, **life: float) -> None:
    body = {
        "userId": str(person.id),
        "amount": amount,
        "reason": "test",
        "expiresAt": (clock.now() + timedelta(**life)).isoformat(),
        "idempotencyKey": f"until-{amount}-{person.id}",
    }
    answer = await person.client.post("/api/credits/grant", headers={"x-admin-key": ADMIN_KEY}, json=body)
    assert answer.status_code == 200, answer.text


# --- running low -----------------------------------------------------------------------------------------------


async def test_once_a_threshold_until_a_grant_lifts_the_balance(person: Person, platform: Platform) -> None:
    await holding.grant(person.client, 90, userId=str(person.id))
    await use(person, 79)
    assert await told(person, platform) == []
    await use(person, 1)
    assert await told(person, platform) == [20]
    await use(person, 5)
    assert await told(person, platform) == [20]
    await use(person, 5)
    assert await told(person, platform) == [20, 10]
    await use(person, 5)
    await use(person, 2)
    await use(person, 3)
    assert await told(person, platform) == [20, 10, 5]
    await holding.grant(person.client, 10, userId=str(person.id))
    assert await told(person, platform) == [20, 10, 5]
    await use(person, 7)
    assert await told(person, platform) == [20, 10, 5]
    await use(person, 1)
    assert await told(person, platform) == [20, 10, 5, 20]
    [newest, *_] = await listed(person, type=LOW)
    assert (newest["data"]["available"], newest["data"]["base"], newest["data"]["pack"]) == (2, 10, "SMALL")
    assert newest["category"] == "CREDITS"
    assert newest["body"].startswith("2 credits are left of 10 after the last grant. The SMALL pack brings 100")


async def test_of_several_that_wait_only_the_lowest_is_told(person: Person, platform: Platform) -> None:
    await holding.grant(person.client, 90, userId=str(person.id))
    for amount in (82, 9, 5, 2):
        await use(person, amount)
    assert await told(person, platform) == [5]
    [only] = await listed(person, type=LOW)
    assert (only["title"], only["data"]["available"]) == ("At most 5 % of the credits are left", 2)
    assert only["body"].startswith("2 credits are left of 100 after the last grant.")
    assert await waiting(platform, person.id) == 0, "the others are done with"


async def test_after_a_grant_only_what_came_after_it_is_told(person: Person, platform: Platform) -> None:
    await holding.grant(person.client, 41, userId=str(person.id))
    for amount in (40, 2, 5, 2):
        await use(person, amount)
    await holding.grant(person.client, 100, userId=str(person.id))
    assert await waiting(platform, person.id) == 3
    await use(person, 90)
    assert await told(person, platform) == [20]
    [only] = await listed(person, type=LOW)
    assert (only["data"]["available"], only["data"]["base"]) == (12, 102)


async def test_an_alert_from_before_a_grant_is_not_told_though_its_figures_fit_again(
    person: Person, platform: Platform
) -> None:
    await use(person, 9)
    await holding.grant(person.client, 90, userId=str(person.id))
    await holding.placed(person, amount=85)
    assert await told(person, platform) == [], "6 of 91 are free, and nothing of these was spent"


async def test_what_is_told_is_what_is_true_at_the_delivery(person: Person, platform: Platform) -> None:
    """The 10 % are no longer so, the 20 % are again; and the figures are those of now."""
    await holding.grant(person.client, 90, userId=str(person.id))
    await use(person, 82)
    answer = await holding.post(person, "credits/spend", amount=8)
    assert answer.json()["balance"]["current"] == 10
    refunded = await person.client.post(
        "/api/credits/refund",
        headers={"x-admin-key": ADMIN_KEY, "Idempotency-Key": f"back-{person.id}"},
        json={"entryId": answer.json()["entry"]["id"], "amount": 5, "reason": "test"},
    )
    assert refunded.status_code == 200, refunded.text
    assert await told(person, platform) == [20]
    [only] = await listed(person, type=LOW)
    assert only["data"]["available"] == 15
    assert only["body"].startswith("15 credits are left of 100")


async def test_credits_that_a_hold_no_longer_keeps_count(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    await holding.grant(person.client, 90, userId=str(person.id))
    await holding.placed(person, amount=85)
    await use(person, 5)
    assert await waiting(platform, person.id) == 1
    later(clock, minutes=16)
    assert await told(person, platform) == [], "95 of 100, though no sweep has written it"


async def test_what_another_worker_told_lower_is_not_told_higher(person: Person, platform: Platform) -> None:
    await holding.grant(person.client, 90, userId=str(person.id))
    await use(person, 82)
    async with platform.database.transaction() as other:
        await other.execute(text("SELECT FROM credit_alerts WHERE account_id = :id FOR UPDATE"), {"id": person.id})
        await use(person, 9)
        assert await told(person, platform) == [10]
        assert await waiting(platform, person.id) == 1
    assert await told(person, platform) == [10]
    assert await waiting(platform, person.id) == 0


async def test_one_large_spend_tells_of_the_lowest_threshold_alone(person: Person, platform: Platform) -> None:
    await holding.grant(person.client, 90, userId=str(person.id))
    await use(person, 97)
    assert await told(person, platform) == [5]


async def test_a_capture_counts_when_it_is_spent(person: Person, platform: Platform) -> None:
    hold = await holding.placed(person, amount=9)
    assert await told(person, platform) == []
    assert (await holding.act(person, hold, "capture")).status_code == 200
    assert await told(person, platform) == [10]


async def test_what_a_grant_has_mended_is_not_told(person: Person, platform: Platform) -> None:
    await use(person, 9)
    await holding.grant(person.client, 90, userId=str(person.id))
    assert await told(person, platform) == []


async def test_a_pools_owners_and_admins_are_told(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [admin, member] = await team(new_person, platform, Role.ADMIN, Role.MEMBER, credits=10)
    await spent(member, pool, service="CHAT_ASSISTANT", quantity=5)
    await deliver(platform)
    for one in (owner, admin):
        [alert] = await listed(one, type=LOW)
        assert (alert["title"], alert["workspaceId"]) == ("No credits are left", pool)
        assert (alert["data"]["accountId"], alert["data"]["percent"]) == (pool, 5)
    assert await listed(member) == []


async def test_a_delivery_that_fails_is_made_again(person: Person, platform: Platform) -> None:
    await use(person, 10)
    offers = await alerts.offers_now(platform)

    async def cut_off() -> None:
        async with platform.database.transaction() as session:
            found = await repository.waiting(session, platform.clock.now(), None, 1000)
            assert await alerts.deliver(session, platform, found, offers=offers) > 0
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await cut_off()
    assert await listed(person) == []
    assert await told(person, platform) == [5]


async def test_a_worker_leaves_alone_what_another_has_in_hand(fresh_database: str) -> None:
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as platform:
        people = await _people_with_alerts(platform, 5)
        offers = await alerts.offers_now(platform)
        async with platform.database.transaction() as first:
            found = await repository.waiting(first, platform.clock.now(), None, 10)
            assert len(found) == 5
            assert await alerts.deliver(first, platform, found[:2], offers=offers) == 2
            async with platform.database.transaction() as second:
                assert await alerts.deliver(second, platform, found, offers=offers) == 3
        async with platform.database.reading() as session:
            receivers = list(await session.scalars(text("SELECT user_id FROM notifications")))
        assert sorted(receivers) == sorted(people)


async def test_two_workers_tell_each_once(fresh_database: str) -> None:
    """250 alerts in batches of 100, two workers with two sweeps each, at once."""
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as one, open_platform(settings, MovableClock()) as other:
        people = await _people_with_alerts(one, 250)
        sweep = PERIODICS["ai_credits.deliver_alerts"]
        await asyncio.gather(*(run_sweep(each, sweep) for each in (one, other, one, other)))
        async with one.database.reading() as session:
            waiting = await session.scalar(text("SELECT count(*) FROM credit_alerts WHERE delivered_at IS NULL"))
            made = await session.scalar(text("SELECT count(*) FROM credit_alerts"))
            receivers = list(await session.scalars(text("SELECT user_id FROM notifications")))
        assert (waiting, made) == (0, 250)
        assert sorted(receivers) == sorted(people)


async def _people_with_alerts(platform: Platform, count: int) -> list[UUID]:
    """People who have spent nine credits of ten."""
    people = [platform.randomness.uuid() for _ in range(count)]
    async with platform.database.transaction() as session:
        await _add_people(session, platform, people)
        await ledger.apply(session, platform, [_order(each, index) for each in people for index in range(2)])
    return people


async def _add_people(session: AsyncSession, platform: Platform, people: list[UUID]) -> None:
    await session.execute(
        text(
            "INSERT INTO users (id, email, name, locale, time_zone, created_at, updated_at)"
            " VALUES (:id, :email, 'Somebody', 'en', 'UTC', :now, :now)"
        ),
        [{"id": each, "email": f"{each}@example.com", "now": platform.clock.now()} for each in people],
    )


def _order(user_id: UUID, index: int) -> Order:
    common: dict[str, Any] = {
        "account_id": user_id,
        "key": f"s:test:{index}",
        "fingerprint": fingerprint(index),
        "by": ledger.by_system(),
        "description": "test",
    }
    if index == 0:
        lot = LotDraft(LotKind.ADMIN_ADJUSTMENT, 10, "test", str(user_id))
        return Order(AccountKind.USER, Grant(lots=(lot,), **common))
    return Order(AccountKind.USER, Spend(amount=9, details=b"{}", **common))


async def waiting(platform: Platform, account_id: UUID) -> int:
    return await count(platform, "credit_alerts WHERE account_id = :id AND delivered_at IS NULL", id=account_id)


async def count(platform: Platform, what: str, **values: Any) -> int:
    async with platform.database.reading() as session:
        found: int = await session.scalar(text(f"SELECT count(*) FROM {what}"), values) or 0
        return found


# --- at once ---------------------------------------------------------------------------------------------------

QUEUED = "pgqueuer WHERE entrypoint = 'ai_credits.deliver_alerts' AND status = 'queued'"


async def test_an_alert_is_told_at_once_and_not_by_the_sweep(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the writer's own connection and a worker that knows no sweeps."""
    settings = settings_for(fresh_database)
    monkeypatch.setattr("pm_api.core.jobs.PERIODICS", {})
    async with open_platform(settings, MovableClock()) as platform:
        person = await register(create_app(settings, platform))
        worker = Worker(platform)
        await worker.start()
        try:
            for amount, percents in ((8, [20]), (1, [20, 10]), (1, [20, 10, 5])):
                await use(person, amount)

                async def all_told(wanted: list[int] = percents) -> bool:
                    found = await listed(person, type=LOW)
                    return [one["data"]["percent"] for one in reversed(found)] == wanted

                await until(all_told, f"to be told of {percents}", timeout_s=5)
        finally:
            await worker.stop()
            await person.client.aclose()


async def test_a_commit_with_alerts_leaves_one_job_and_one_without_none(fresh_platform: Platform) -> None:
    """Through a session; what is rolled back leaves neither."""
    people = [fresh_platform.randomness.uuid() for _ in range(3)]
    async with fresh_platform.database.transaction() as session:
        await _add_people(session, fresh_platform, people)
        await ledger.apply(session, fresh_platform, [_order(each, 0) for each in people])
    assert await count(fresh_platform, QUEUED) == 0
    spends = [_order(each, 1) for each in people]
    async with fresh_platform.database.reading() as undone:
        await ledger.apply(undone, fresh_platform, spends)
    assert (await count(fresh_platform, "credit_alerts"), await count(fresh_platform, QUEUED)) == (0, 0)
    async with fresh_platform.database.transaction() as session:
        await ledger.apply(session, fresh_platform, spends)
    assert (await count(fresh_platform, "credit_alerts"), await count(fresh_platform, QUEUED)) == (3, 1)


async def test_a_job_under_way_swallows_no_later_one(fresh_platform: Platform) -> None:
    """It may have read what waits before this was committed; and nobody waits for another's transaction."""
    people = [fresh_platform.randomness.uuid() for _ in range(3)]
    async with fresh_platform.database.transaction() as session:
        await _add_people(session, fresh_platform, people)
        await ledger.apply(session, fresh_platform, [_order(each, 0) for each in people])
    first, second, third = [_order(each, 1) for each in people]
    async with fresh_platform.database.transaction() as session:
        await ledger.apply(session, fresh_platform, [first])
        await session.execute(text("UPDATE pgqueuer SET status = 'picked'"))
    async with fresh_platform.database.transaction() as slow:
        await ledger.apply(slow, fresh_platform, [second])
        async with asyncio.timeout(5), fresh_platform.database.transaction() as session:
            await ledger.apply(session, fresh_platform, [third])
    assert await count(fresh_platform, QUEUED) == 2


# --- running out -----------------------------------------------------------------------------------------------


async def test_a_lot_is_warned_of_seven_days_and_one_day_before(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    await grant_until(person, 50, clock, days=10)
    await warn(platform)
    assert await listed(person, type=EXPIRING) == []
    later(clock, days=3, hours=1)
    await warn(platform)
    await warn(platform)
    [first] = await listed(person, type=EXPIRING)
    assert first["title"] == "50 credits expire within 7 days"
    assert first["body"].startswith("50 credits expire on 2031-05-24 at 12:00 UTC.")
    assert re.fullmatch(r"2031-05-24T12:00:0\d\.\d{3}Z", first["data"]["expiresAt"])
    answer = await holding.place(person, amount=20, ttlSeconds=86_400)
    assert answer.status_code == 201
    later(clock, days=6)
    held = await holding.place(person, amount=20, ttlSeconds=86_400)
    assert held.status_code == 201
    await warn(platform)
    await warn(platform)
    [second, _] = await listed(person, type=EXPIRING)
    assert second["title"].endswith("credits expire within a day")
    assert second["data"]["credits"] < 50, "what is held is not lost"
    later(clock, days=2)
    await warn(platform)
    assert len(await listed(person, type=EXPIRING)) == 2


async def test_a_lot_with_less_than_a_day_to_live_is_warned_of_once(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    await grant_until(person, 50, clock, hours=20)
    await warn(platform)
    later(clock, hours=2)
    await warn(platform)
    [only] = await listed(person, type=EXPIRING)
    assert only["title"] == "50 credits expire within a day"


async def test_what_is_gone_by_then_is_not_told(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    spender, sleeper = await new_person(), await new_person()
    for person in (spender, sleeper):
        await grant_until(person, 50, clock, days=2)
    await run_sweep(platform, PERIODICS["ai_credits.alert_expiring"])
    await holding.grant(spender.client, 900, userId=str(spender.id))
    await use(spender, 60)
    later(clock, days=2)
    await deliver(platform)
    assert await listed(sleeper, type=EXPIRING) == []
    assert await listed(spender, type=EXPIRING) == []


async def test_an_empty_lot_is_not_warned_of(person: Person, platform: Platform, clock: MovableClock) -> None:
    await grant_until(person, 50, clock, days=3)
    await use(person, 60)
    await warn(platform)
    assert await listed(person, type=EXPIRING) == []


async def test_the_plans_own_credits_are_warned_of_too(
    person: Person, platform: Platform, clock: MovableClock
) -> None:
    later(clock, days=24)
    await warn(platform)
    [alert] = await listed(person, type=EXPIRING)
    assert alert["title"] == "10 credits expire within 7 days"
    assert alert["data"]["accountId"] == str(person.id)


# --- what is advised -------------------------------------------------------------------------------------------


def pack(name: str, credits: int, price: int, *limited: str | None) -> Offer:
    row = CreditPack(name=name, version=1, credits=credits, bonus=0, price_minor=price, currency="USD")
    share = credits // len(limited) if limited else 0
    lots = [
        CreditPackLot(pack=name, version=1, position=place, credits=share, service=service)
        for place, service in enumerate(limited)
    ]
    return Offer(row, tuple(lots))


COSTS = {"PROJECT_ANALYSIS": 5, "DOCUMENT_ANALYSIS": 4, "CHAT_ASSISTANT": 2}


def test_the_cheapest_pack_that_lifts_above_a_fifth() -> None:
    offers = Offers([pack("S", 100, 199), pack("M", 300, 899), pack("L", 900, 800)], {"PRO": 400}, {})
    assert advice(20, 100, {}, offers).data == {"pack": "S"}
    assert advice(100, 1000, {}, offers).data == {"pack": "L"}, "101 lift above 200, and 300 cost more"
    assert advice(101, 1000, {}, offers).data == {"pack": "S"}


def test_without_a_pack_the_smallest_plan_that_does() -> None:
    limited = pack("CHAT", 1000, 1, "CHAT_ASSISTANT", "DOCUMENT_ANALYSIS")
    offers = Offers([pack("S", 100, 199), limited], {"PRO": 400, "TEAM": 5000, "BIG": 9000}, {})
    assert advice(0, 10_000, {}, offers).data == {"plan": "TEAM"}
    assert advice(0, 100_000, {}, offers).data == {}


def test_a_cheaper_service_for_what_took_most() -> None:
    offers = Offers([], {}, COSTS)
    found = advice(0, 10, {"PROJECT_ANALYSIS": 50, "CHAT_ASSISTANT": 9}, offers)
    assert found.data == {"service": "PROJECT_ANALYSIS", "instead": "DOCUMENT_ANALYSIS"}
    assert found.text == ("Most went into project analysis at 5 credits; document analysis does similar work for 4.")
    assert advice(0, 10, {"CHAT_ASSISTANT": 50, "PROJECT_ANALYSIS": 9}, offers).data == {}
    assert advice(0, 10, {"": 50, "PROJECT_ANALYSIS": 9}, offers).data == {}
    assert advice(0, 10, {}, offers).text == ""
