"""Forecast, analytics, suggestions, boards and badges over HTTP."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind
from pm_api.core.platform import Platform
from pm_api.core.spreadsheets import csv_document
from pm_api.identity import members
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.apart import platform_apart
from tests.domains.ai_credits.test_routes import OPERATOR, grant, spend
from tests.support.clock import MovableClock
from tests.support.plans import have_room

NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)
"""A Wednesday."""
MIDNIGHT = NOON.replace(hour=0)
TODAY = NOON.date()
DAY = timedelta(days=1)
NOBODY = UUID(int=0)


async def execute(platform: Platform, statement: str, **values: Any) -> None:
    async with platform.database.transaction() as session:
        await session.execute(text(statement), values)


async def use(
    platform: Platform,
    account: UUID,
    day: date,
    credits: int,
    *,
    actor: UUID | None = None,
    service: str = "",
    refunded: int = 0,
    entries: int = 1,
) -> None:
    """A day sum as the ledger leaves it. Written here, because nobody can spend yesterday."""
    await execute(
        platform,
        "INSERT INTO credit_usage_days (account_id, day, service, actor_user_id, credits, entries, refunded)"
        " VALUES (:account, :day, :service, :actor, :credits, :entries, :refunded)",
        account=account,
        day=day,
        service=service,
        actor=actor or account,
        credits=credits,
        entries=entries,
        refunded=refunded,
    )


async def lot(platform: Platform, account: UUID, kind: str, amount: int, at: datetime, **other: Any) -> UUID:
    """A lot as the ledger leaves it, of a kind that other slices grant."""
    made = uuid4()
    values = {"source_type": "test", "ref": made.hex, "ends": None, "cost": None, "currency": None} | other
    await execute(
        platform,
        "INSERT INTO credit_grants (account_id, id, kind, priority, amount, remaining, source_type, source_ref,"
        " effective_at, expires_at, created_at, cost_minor, cost_currency)"
        " VALUES (:account, :id, :kind, 50, :amount, :amount, :source_type, :ref, :at, :ends, :at, :cost, :currency)",
        account=account,
        id=made,
        kind=kind,
        amount=amount,
        at=at,
        **values,
    )
    return made


async def new_pool(person: Person) -> UUID:
    answer = await person.client.post("/api/workspaces", json={"name": "Pool"})
    return UUID(answer.json()["workspace"]["id"])


async def join(platform: Platform, pool: UUID, person: Person, role: Role) -> None:
    async with platform.database.transaction() as session:
        await have_room(session, platform, pool)
        await members.add(session, platform, Actor(ActorKind.SYSTEM), pool, person.id, role)


async def ask(person: Person, what: str, status: int = 200, /, **query: Any) -> Any:
    answer = await person.client.get(f"/api/credits/{what}", params={name: str(one) for name, one in query.items()})
    assert answer.status_code == status, answer.text
    assert answer.headers["Cache-Control"] == "private, no-store"
    return answer.json()


@contextmanager
def statements(platform: Platform) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def member_since(platform: Platform, person: Person, days: int) -> None:
    await execute(
        platform,
        "UPDATE credit_accounts SET created_at = created_at - make_interval(days => :days) WHERE id = :id",
        days=days,
        id=person.id,
    )


@pytest.fixture(scope="module")
async def platform() -> AsyncIterator[Platform]:
    """Of this module alone: what its tests leave behind is no book that a sweep could go on with."""
    async with platform_apart() as found:
        yield found


@pytest.fixture(scope="module")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


# --- who may ask -----------------------------------------------------------------------------------------------

PATHS = ("forecast", "analytics", "suggestions", "leaderboard", "achievements")
OF_AN_ACCOUNT = PATHS[:4]


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_token_nothing_is_told(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/credits/{path}", params={"workspaceId": str(uuid4())})
    assert answer.status_code == 401


@pytest.mark.parametrize("path", OF_AN_ACCOUNT)
async def test_a_foreign_workspace_is_not_there(new_person: NewPerson, path: str) -> None:
    ann, eve = await new_person(), await new_person()
    pool = await new_pool(ann)
    assert (await ask(eve, path, 404, workspaceId=pool))["code"] == "workspace_not_found"
    await ask(ann, path, workspaceId=pool)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("forecast", {"workspaceId": "nowhere"}),
        ("leaderboard", {}),
        ("leaderboard", {"period": "DECADE"}),
        ("analytics", {"groupBy": "mood"}),
        ("analytics", {"format": "xlsx"}),
        ("analytics", {"service": "MIND_READING"}),
        ("analytics", {"memberId": "me"}),
        ("analytics", {"from": "yesterday"}),
        ("analytics", {"from": "2031-05-14T00:00:00"}),
    ],
)
async def test_what_cannot_be_asked(new_person: NewPerson, path: str, query: dict[str, str]) -> None:
    ann = await new_person()
    if "period" in query:
        query = {**query, "workspaceId": str(await new_pool(ann))}
    assert (await ask(ann, path, 422, **query))["code"] == "validation_failed"


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2031-05-14T00:00:00Z", "2031-05-14T00:00:00Z"),
        ("2031-05-15T00:00:00Z", "2031-05-14T00:00:00Z"),
        ("2030-01-01T00:00:00Z", "2031-05-14T00:00:00Z"),
        ("0003-01-01T00:00:00Z", "0003-02-01T00:00:00Z"),
        ("9998-01-01T00:00:00Z", "9998-12-31T12:00:00Z"),
    ],
)
async def test_periods_have_an_order_and_a_limit(person: Person, since: str, until: str) -> None:
    assert (await ask(person, "analytics", 422, **{"from": since, "to": until}))["code"] == "invalid_period"


async def test_four_hundred_days_are_the_most(person: Person) -> None:
    query = {"from": "2030-01-01T00:00:00Z", "to": "2031-02-05T00:00:00Z"}
    assert len((await ask(person, "analytics", **query))["analytics"]["byDay"]) == 400


# --- forecast --------------------------------------------------------------------------------------------------


async def test_a_new_wallet_has_no_past(person: Person) -> None:
    found = (await ask(person, "forecast"))["forecast"]
    assert (found["reason"], found["historyDays"], found["available"]) == ("no_history", 0, 10)
    assert found["runOut"] == {"p10": None, "p50": None, "p90": None}
    assert (found["buyBy"], found["gap"], found["cheapestPack"], found["expiringUnused"]) == (None, 0, None, [])


async def test_a_wallet_is_told_when_it_runs_out(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    """Four a day and 99 in the wallet; the free tier of ten comes on the tenth day and every thirty days after."""
    clock.move_to(MIDNIGHT)
    ann = await new_person()
    await member_since(platform, ann, 40)
    await execute(
        platform, "UPDATE credit_grants SET remaining = 0, spent = amount WHERE account_id = :id", id=ann.id
    )
    await execute(
        platform,
        "UPDATE credit_accounts SET next_reset_at = :at WHERE id = :id",
        at=MIDNIGHT + 10 * DAY,
        id=ann.id,
    )
    for number in range(1, 40):
        await use(platform, ann.id, TODAY - number * DAY, 5, refunded=1)
    await lot(platform, ann.id, "PURCHASE", 80, clock.now())
    ending = await lot(platform, ann.id, "GIFT", 19, clock.now(), ends=MIDNIGHT + 3 * DAY)
    found = (await ask(ann, "forecast"))["forecast"]
    assert (found["exact"], found["dailyUsage"], found["available"]) == (True, 4.0, 99)
    assert found["historyDays"] == 39
    # Twelve of the gift are spent in its three days. The 80 go until the reset on day ten (28 of them), are spared
    # for the two and a half days that its ten last, and end thirteen days later.
    assert found["expiringUnused"] == [
        {"lotId": str(ending), "kind": "GIFT", "credits": 7, "expiresAt": "2031-05-17T00:00:00.000Z"}
    ]
    assert found["expiringUnusedTotal"] == 7
    assert found["nextGrant"] == {"credits": 10, "at": "2031-05-24T00:00:00.000Z"}
    run_out = found["runOut"]
    assert run_out["p10"] == run_out["p50"] == run_out["p90"]
    assert run_out["p50"].startswith("2031-06-08T12:00:00")
    assert found["buyBy"] == "2031-06-07"
    assert found["gap"] > 0
    pack = found["cheapestPack"]
    assert pack["credits"] >= found["gap"]
    assert pack["currency"] == "USD"
    assert found["smallestPlan"]["name"] == "TEAM_STANDARD", "120 a month are more than INDIVIDUAL_PRO brings"


async def test_a_pool_without_a_plan_gets_nothing_and_idles(new_person: NewPerson, platform: Platform) -> None:
    ann = await new_person()
    pool = await new_pool(ann)
    empty = (await ask(ann, "forecast", workspaceId=pool))["forecast"]
    assert (empty["accountId"], empty["reason"], empty["nextGrant"]) == (str(pool), "no_history", None)
    await grant(ann.client, workspaceId=str(pool), amount=50)
    await execute(
        platform,
        "UPDATE credit_accounts SET created_at = created_at - interval '20 days' WHERE id = :id",
        id=pool,
    )
    idle = (await ask(ann, "forecast", workspaceId=pool))["forecast"]
    assert (idle["reason"], idle["available"], idle["buyBy"]) == ("no_usage", 50, None)


async def test_a_monthly_plan_renews_by_the_calendar(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(datetime(2031, 5, 31, tzinfo=UTC))
    ann = await new_person()
    ends = datetime(2031, 6, 30, tzinfo=UTC)
    await execute(
        platform,
        "INSERT INTO credit_plans (account_id, plan, yearly, starts_at, ends_at)"
        " VALUES (:id, 'INDIVIDUAL_PRO', false, :starts, :ends)",
        id=ann.id,
        starts=clock.now() - DAY,
        ends=ends,
    )
    await execute(
        platform, "UPDATE credit_accounts SET next_reset_at = :at, debt = 30 WHERE id = :id", at=ends, id=ann.id
    )
    found = (await ask(ann, "forecast"))["forecast"]
    assert found["nextGrant"] == {"credits": 70, "at": "2031-06-30T00:00:00.000Z"}
    lot_id = await lot(platform, ann.id, "SUBSCRIPTION_GRANT", 100, clock.now(), ends=ends)
    await member_since(platform, ann, 40)
    unused = {one["lotId"]: one["credits"] for one in (await ask(ann, "forecast"))["forecast"]["expiringUnused"]}
    assert unused[str(lot_id)] == 100
    await execute(
        platform,
        "INSERT INTO credit_plan_grants (plan, version, credits, rollover_percent, rollover_months)"
        " VALUES ('INDIVIDUAL_PRO', 2, 100, 25, 2)",
    )
    try:
        unused = {one["lotId"]: one["credits"] for one in (await ask(ann, "forecast"))["forecast"]["expiringUnused"]}
    finally:
        await execute(platform, "DELETE FROM credit_plan_grants WHERE version = 2")
    assert unused[str(lot_id)] == 75, "a quarter rolls over"


# --- analytics -------------------------------------------------------------------------------------------------


async def test_usage_is_told_by_service_member_and_day(new_person: NewPerson, platform: Platform) -> None:
    ann, bob = await new_person(), await new_person()
    pool = await new_pool(ann)
    await join(platform, pool, bob, Role.MEMBER)
    day = date(2031, 3, 10)
    await use(platform, pool, day, 10, actor=ann.id, service="CHAT_ASSISTANT", entries=5)
    await use(platform, pool, day, 7, actor=bob.id, service="CHAT_ASSISTANT", refunded=2, entries=3)
    await use(platform, pool, day + DAY, 4, actor=bob.id)
    await use(platform, pool, day + 2 * DAY, 100, actor=bob.id, service="DOCUMENT_ANALYSIS")
    await use(platform, pool, day - DAY, 6, actor=NOBODY, service="CHAT_ASSISTANT", refunded=1)
    await use(platform, pool, day - 3 * DAY, 100, actor=ann.id)
    await use(platform, ann.id, day, 1000)
    query = {"workspaceId": pool, "from": "2031-03-10T09:30:00Z", "to": "2031-03-11T00:00:01Z"}
    found = (await ask(ann, "analytics", **query))["analytics"]
    assert (found["from"], found["to"]) == ("2031-03-10T00:00:00.000Z", "2031-03-12T00:00:00.000Z")
    assert found["totals"] == {"gross": 21, "refunded": 2, "net": 19, "entries": 9}
    assert found["before"] == {
        "from": "2031-03-08T00:00:00.000Z",
        "to": "2031-03-10T00:00:00.000Z",
        "gross": 6,
        "refunded": 1,
        "net": 5,
        "entries": 1,
    }
    assert (found["netChange"], found["netChangePercent"], found["membersShown"]) == (14, 280.0, True)
    assert found["byService"] == [
        {"service": "CHAT_ASSISTANT", "gross": 17, "refunded": 2, "net": 15, "entries": 8, "netBefore": 5},
        {"service": None, "gross": 4, "refunded": 0, "net": 4, "entries": 1, "netBefore": 0},
    ]
    by_member = {one["memberId"]: (one["gross"], one["net"], one["netBefore"]) for one in found["byMember"]}
    assert by_member == {str(bob.id): (11, 9, 0), str(ann.id): (10, 10, 0), None: (0, 0, 5)}
    assert [(one["day"], one["net"]) for one in found["byDay"]] == [("2031-03-10", 15), ("2031-03-11", 4)]
    only = (await ask(ann, "analytics", **query, service="CHAT_ASSISTANT", memberId=bob.id, groupBy="day"))[
        "analytics"
    ]
    assert (only["totals"]["net"], only["before"]["net"], only["netChangePercent"]) == (5, 0, None)
    assert (only["byService"], only["byMember"]) == (None, None)
    assert len(only["byDay"]) == 2


async def test_what_is_spent_and_given_back_now_is_in_the_last_thirty_days(person: Person) -> None:
    made = (await spend(person, service="TASK_GENERATION")).json()["entry"]
    found = (await ask(person, "analytics"))["analytics"]
    assert found["totals"] == {"gross": 3, "refunded": 0, "net": 3, "entries": 1}
    assert len(found["byDay"]) == 30
    assert found["byDay"][-1]["day"] == made["createdAt"][:10]
    assert found["byDay"][-1]["net"] == 3


async def test_lines_of_one_type_are_told_apart(person: Person) -> None:
    await grant(person.client, userId=str(person.id), amount=40)
    made = (await spend(person, service="TASK_GENERATION")).json()["entry"]
    await spend(person, amount=5)
    refund = {"entryId": made["id"], "amount": 2, "idempotencyKey": uuid4().hex}
    await person.client.post("/api/credits/refund", headers=OPERATOR, json=refund)

    async def figures(type: str, **more: Any) -> tuple[int, int, int, int]:
        found = (await ask(person, "analytics", type=type, **more))["analytics"]
        assert found["type"] == type
        assert sum(day["net"] for day in found["byDay"]) == found["totals"]["net"]
        assert sum(one["net"] for one in found["byMember"]) == found["totals"]["net"]
        return tuple(found["totals"].values())

    assert await figures("USAGE") == (8, 0, 8, 2)
    assert await figures("USAGE", service="TASK_GENERATION") == (3, 0, 3, 1)
    assert await figures("REVERSAL") == (2, 0, 2, 1)
    assert await figures("ADMIN_ADJUSTMENT") == (40, 0, 40, 1)
    assert await figures("ADMIN_ADJUSTMENT", memberId=person.id) == (0, 0, 0, 0), "an operator did it"
    assert await figures("PURCHASE") == (0, 0, 0, 0)
    long_ago = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    assert await figures("ADMIN_ADJUSTMENT", **long_ago) == (0, 0, 0, 0)
    await ask(person, "analytics", 422, type="GAMBLING")


async def test_members_see_of_the_members_only_themselves(new_person: NewPerson, platform: Platform) -> None:
    ann, bob, eve = await new_person(), await new_person(), await new_person()
    pool = await new_pool(ann)
    await join(platform, pool, bob, Role.VIEWER)
    await join(platform, pool, eve, Role.ADMIN)
    day = date(2031, 3, 10)
    for person, credits in ((ann, 5), (bob, 3), (eve, 2)):
        await use(platform, pool, day, credits, actor=person.id)
    query = {"workspaceId": pool, "from": "2031-03-10T00:00:00Z", "to": "2031-03-11T00:00:00Z"}
    found = (await ask(bob, "analytics", **query))["analytics"]
    assert (found["totals"]["net"], found["membersShown"]) == (10, False)
    assert [(one["memberId"], one["net"]) for one in found["byMember"]] == [(str(bob.id), 3)]
    assert (await ask(bob, "analytics", 403, **query, memberId=ann.id))["code"] == "forbidden"
    assert (await ask(bob, "analytics", **query, memberId=bob.id))["analytics"]["totals"]["net"] == 3
    assert len((await ask(eve, "analytics", **query))["analytics"]["byMember"]) == 3
    assert (await ask(eve, "analytics", **query, memberId=ann.id))["analytics"]["totals"]["net"] == 5
    exported = await bob.client.get(
        "/api/credits/analytics",
        params={**{k: str(v) for k, v in query.items()}, "format": "csv", "groupBy": "member"},
    )
    assert [row["memberId"] for row in rows_of(exported)] == [str(bob.id)]


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="credits-by-')
    assert answer.headers["Cache-Control"] == "private, no-store"
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_analytics_as_a_file(person: Person, platform: Platform) -> None:
    day = date(2031, 3, 10)
    await use(platform, person.id, day, 10, service="CHAT_ASSISTANT", refunded=4)
    await use(platform, person.id, day, 2)
    query = {"from": "2031-03-09T00:00:00Z", "to": "2031-03-11T00:00:00Z", "format": "csv"}
    by_day = rows_of(await person.client.get("/api/credits/analytics", params=query))
    assert [tuple(row.values()) for row in by_day] == [
        ("2031-03-09", "0", "0", "0", "0"),
        ("2031-03-10", "12", "4", "8", "2"),
    ]
    by_service = rows_of(await person.client.get("/api/credits/analytics", params={**query, "groupBy": "service"}))
    assert [(row["service"], row["net"], row["netBefore"]) for row in by_service] == [
        ("CHAT_ASSISTANT", "6", "0"),
        ("", "2", "0"),
    ]
    as_json = await ask(person, "analytics", **{**query, "format": "json"})
    assert as_json["analytics"]["totals"]["net"] == 8


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    written = csv_document(("name", "credits"), [(f'{start}cmd|"x"!A1', -3), (None, 4)])
    [first, second] = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert first == [f'\'{start}cmd|"x"!A1', "-3"], "a number may be negative"
    assert second == ["", "4"]


async def test_ninety_days_never_touch_the_entries(new_person: NewPerson, platform: Platform) -> None:
    """The same few statements whether there is one day sum or a thousand, and none of them over the entries."""
    ann = await new_person()
    query = {"from": (datetime.now(UTC) - 89 * DAY).isoformat()}
    await spend(ann, amount=1)
    with statements(platform) as few:
        await ask(ann, "analytics", **query)
    for number in range(1, 90):
        for service in ("CHAT_ASSISTANT", "TASK_GENERATION", "DOCUMENT_ANALYSIS"):
            await use(platform, ann.id, datetime.now(UTC).date() - number * DAY, 3, service=service)
    with statements(platform) as many:
        found = (await ask(ann, "analytics", **query))["analytics"]
    assert found["totals"]["gross"] == 1 + 89 * 9
    assert len(few) == len(many)
    assert any("credit_usage_days" in one for one in many)
    assert not [one for one in many if "credit_entries" in one]
    for path in ("forecast", "suggestions", "achievements"):
        with statements(platform) as seen:
            await ask(ann, path)
        assert seen
        assert not [one for one in seen if "credit_entries" in one], path


# --- suggestions -----------------------------------------------------------------------------------------------


async def test_advice_follows_from_what_was_done(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann = await new_person()
    await member_since(platform, ann, 40)
    now = clock.now()
    assert (await ask(ann, "suggestions"))["suggestions"] == []
    await use(platform, ann.id, TODAY - 2 * DAY, 50, service="PROJECT_ANALYSIS")
    await use(platform, ann.id, TODAY - 40 * DAY, 500, service="TASK_GENERATION")
    await use(platform, ann.id, TODAY - 3 * DAY, 20, service="SMART_NOTIFICATIONS", refunded=5)
    await use(platform, ann.id, TODAY - 3 * DAY, 4, service="INACTIVITY_REMINDER")
    for number in (10, 40, 80):
        bought = now - number * DAY
        await lot(platform, ann.id, "PURCHASE", 100, bought, source_type="stripe_checkout", cost=199, currency="USD")
    await lot(platform, ann.id, "PURCHASE", 9999, now - 100 * DAY, source_type="stripe_checkout")
    ending = await lot(platform, ann.id, "GIFT", 400, now - DAY, ends=now + 13 * DAY)
    await lot(platform, ann.id, "REFERRAL", 300, now - DAY, ends=now + 15 * DAY)
    found = {one["code"]: one for one in (await ask(ann, "suggestions"))["suggestions"]}
    assert set(found) == {"CHEAPER_SERVICE", "FREE_FEATURE", "PLAN_INSTEAD_OF_PACKS", "SPEND_BEFORE_EXPIRY"}
    cheaper = found["CHEAPER_SERVICE"]
    assert (cheaper["service"], cheaper["instead"], cheaper["creditsSaved"]) == (
        "PROJECT_ANALYSIS",
        "DOCUMENT_ANALYSIS",
        10,
    )
    assert (found["FREE_FEATURE"]["service"], found["FREE_FEATURE"]["creditsSaved"]) == ("SMART_NOTIFICATIONS", 15)
    plan = found["PLAN_INSTEAD_OF_PACKS"]
    assert (plan["plan"], plan["paid"], plan["creditsSaved"]) == ("TEAM_STANDARD", {"USD": 597}, 100)
    unused = (await ask(ann, "forecast"))["forecast"]["expiringUnused"]
    told = next(one for one in unused if one["lotId"] == str(ending))
    spare = found["SPEND_BEFORE_EXPIRY"]
    assert (spare["lotId"], spare["creditsSaved"]) == (str(ending), told["credits"])
    assert told["credits"] > 0


async def test_a_bundle_is_one_purchase_and_an_automatic_one_counts(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann = await new_person()
    bought = {"source_type": "stripe_checkout", "cost": 500, "currency": "USD"}
    for ref in ("cs_bundle", "cs_bundle:2", "cs_bundle:3"):
        await lot(platform, ann.id, "PURCHASE", 200, NOON - 3 * DAY, ref=ref, **bought)
    await lot(platform, ann.id, "BONUS", 50, NOON - 3 * DAY, ref="cs_bundle:bonus", source_type="stripe_checkout")
    codes = [one["code"] for one in (await ask(ann, "suggestions"))["suggestions"]]
    assert "PLAN_INSTEAD_OF_PACKS" not in codes, "bought once"
    await lot(
        platform, ann.id, "PURCHASE", 100, NOON - DAY, ref="pi_topup", **bought | {"source_type": "stripe_payment"}
    )
    [told] = [one for one in (await ask(ann, "suggestions"))["suggestions"] if one["code"] == "PLAN_INSTEAD_OF_PACKS"]
    assert told["text"].startswith("You bought 2 packs with 750 credits")
    assert told["paid"] == {"USD": 2000}


# --- boards and badges -----------------------------------------------------------------------------------------


async def test_boards_rank_what_was_earned_and_apart_what_was_spent(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann, bob, cem, eve = [await new_person(name=name) for name in ("Ann", "Bob", "Cem", "Eve")]
    pool = await new_pool(ann)
    await join(platform, pool, bob, Role.MEMBER)
    await join(platform, pool, cem, Role.VIEWER)
    await lot(platform, bob.id, "REFERRAL", 40, NOON)
    await lot(platform, bob.id, "PURCHASE", 1000, NOON)
    await lot(platform, cem.id, "BONUS", 15, NOON)
    await lot(platform, cem.id, "GIFT", 30, NOON - 20 * DAY)
    await lot(platform, eve.id, "GIFT", 500, NOON)
    paid_back = await lot(platform, bob.id, "BONUS", 200, NOON)
    await execute(platform, "UPDATE credit_grants SET clawed_back = 200 WHERE id = :id", id=paid_back)
    for person, credits in ((ann, 9), (bob, 9), (cem, 2), (eve, 50)):
        await use(platform, pool, TODAY, credits, actor=person.id)
    await use(platform, pool, TODAY - 3 * DAY, 8, actor=cem.id, refunded=1)
    await use(platform, cem.id, TODAY, 99)
    month = (await ask(cem, "leaderboard", workspaceId=pool))["leaderboard"]
    assert (month["enabled"], month["period"], month["from"]) == (True, "MONTH", "2031-05-01T00:00:00.000Z")
    assert places(month["earned"]) == [(1, "Bob", 40), (2, "Cem", 15)]
    assert sorted(places(month["spent"])) == [(1, "Ann", 9), (1, "Bob", 9), (1, "Cem", 9)]
    week = (await ask(ann, "leaderboard", workspaceId=pool, period="WEEK"))["leaderboard"]
    assert week["from"] == "2031-05-12T00:00:00.000Z"
    assert [rank for rank, _, _ in places(week["spent"])] == [1, 1, 3]
    always = (await ask(ann, "leaderboard", workspaceId=pool, period="ALL"))["leaderboard"]
    assert always["from"] is None
    assert places(always["earned"]) == [(1, "Cem", 45), (2, "Bob", 40)]
    year = (await ask(ann, "leaderboard", workspaceId=pool, period="YEAR"))["leaderboard"]
    assert year["from"] == "2031-01-01T00:00:00.000Z"


def places(board: list[dict[str, Any]]) -> list[tuple[int, str, int]]:
    return [(one["rank"], one["name"], one["credits"]) for one in board]


async def test_the_best_of_a_month_gets_a_badge_once(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann, bob = await new_person(name="Ann"), await new_person(name="Bob")
    for person in (ann, bob):
        await member_since(platform, person, 60)
    pool = await new_pool(ann)
    await use(platform, pool, date(2031, 4, 3), 5, actor=ann.id)
    await ask(ann, "leaderboard", workspaceId=pool)
    assert await badges(ann) == ["FIRST_SPEND"], "nobody is the best of one"
    await join(platform, pool, bob, Role.MEMBER)
    await use(platform, pool, date(2031, 4, 4), 6, actor=bob.id)
    await use(platform, pool, TODAY, 3, actor=bob.id)
    for _ in range(2):
        board = (await ask(ann, "leaderboard", workspaceId=pool))["leaderboard"]
    assert "TOP_OF_THE_MONTH" in board["spent"][0]["achievements"]
    [top] = [one for one in (await ask(bob, "achievements"))["achievements"] if one["code"] == "TOP_OF_THE_MONTH"]
    assert (top["workspaceId"], top["earnedAt"]) == (str(pool), "2031-05-01T00:00:00.000Z")
    assert top["reason"] == "Spent most of the pool in April 2031"


async def badges(person: Person) -> list[str]:
    return sorted(one["code"] for one in (await ask(person, "achievements"))["achievements"])


async def test_badges_are_earned_once_with_their_reason_and_date(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann, bob = await new_person(), await new_person()
    pool, foreign = await new_pool(ann), await new_pool(bob)
    assert await badges(ann) == []
    await member_since(platform, ann, 200)
    for number in range(7):
        await use(platform, ann.id, date(2031, 2, 1) + number * DAY, 10)
    await use(platform, pool, date(2031, 2, 10), 30, actor=ann.id)
    await use(platform, pool, date(2031, 2, 11), 5000, actor=bob.id)
    await use(platform, foreign, date(2031, 2, 11), 5000, actor=ann.id)
    await lot(platform, ann.id, "REFERRAL", 60, NOON - 9 * DAY)
    await lot(platform, ann.id, "GIFT", 50, NOON - 8 * DAY)
    first = (await ask(ann, "achievements"))["achievements"]
    assert {one["code"]: one["earnedAt"][:10] for one in first} == {
        "FIRST_SPEND": "2031-02-01",
        "SEVEN_DAYS_RUNNING": "2031-02-07",
        "SPENT_100": "2031-02-10",
        "FIRST_REFERRAL": "2031-05-05",
        "FIRST_GIFT": "2031-05-06",
        "EARNED_100": "2031-05-06",
    }
    assert all(one["reason"] for one in first)
    assert [one["earnedAt"] for one in first] == sorted((one["earnedAt"] for one in first), reverse=True)
    await use(platform, pool, date(2031, 2, 12), 30, actor=ann.id)
    assert (await ask(ann, "achievements"))["achievements"] == first, "the same rows, with the same ids"


async def test_no_badge_is_older_than_its_wallet(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann = await new_person()
    await use(platform, ann.id, TODAY, 150)
    found = (await ask(ann, "achievements"))["achievements"]
    assert {one["code"] for one in found} == {"FIRST_SPEND", "SPENT_100"}
    for one in found:
        assert one["earnedAt"] >= "2031-05-14T12:00:00.000Z", "the day began before they came"


async def test_a_board_says_the_same_whoever_has_looked(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann, bob, cem = [await new_person(name=name) for name in ("Ann", "Bob", "Cem")]
    pool = await new_pool(ann)
    for person in (bob, cem):
        await join(platform, pool, person, Role.MEMBER)
    for number in range(7):
        await use(platform, pool, TODAY - number * DAY, 20, actor=bob.id)
    await use(platform, pool, TODAY - 9 * DAY, 20, actor=bob.id)
    await use(platform, cem.id, TODAY, 5000)
    await use(platform, pool, TODAY, 1, actor=cem.id)
    await lot(platform, cem.id, "GIFT", 120, NOON)

    async def board() -> dict[str, set[str]]:
        found = (await ask(ann, "leaderboard", workspaceId=pool, period="ALL"))["leaderboard"]
        return {one["name"]: set(one["achievements"]) for one in (*found["spent"], *found["earned"])}

    first = await board()
    assert first == {
        "Bob": {"FIRST_SPEND", "SPENT_100", "SEVEN_DAYS_RUNNING"},
        "Cem": {"FIRST_SPEND", "SPENT_100", "SPENT_1000", "FIRST_GIFT", "EARNED_100"},
    }
    assert set(await badges(bob)) == first["Bob"]
    assert set(await badges(cem)) == first["Cem"]
    assert await board() == first


async def test_six_days_and_a_gap_are_no_seven(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann = await new_person()
    for number in (0, 1, 2, 3, 4, 5, 7, 8):
        await use(platform, ann.id, TODAY - number * DAY, 5, service="CHAT_ASSISTANT")
        await use(platform, ann.id, TODAY - number * DAY, 5)
    await use(platform, ann.id, TODAY - 6 * DAY, 5, refunded=5)
    assert await badges(ann) == ["FIRST_SPEND"]
    await use(platform, ann.id, TODAY - 6 * DAY, 5, service="CHAT_ASSISTANT")
    assert await badges(ann) == ["FIRST_SPEND", "SEVEN_DAYS_RUNNING"]


async def test_who_looks_at_the_same_moment_writes_no_badge_twice(new_person: NewPerson, platform: Platform) -> None:
    ann = await new_person()
    await use(platform, ann.id, date(2025, 2, 1), 20_000)
    looks = await asyncio.gather(*(ask(ann, "achievements") for _ in range(6)))
    last = (await ask(ann, "achievements"))["achievements"]
    assert [one["code"] for one in last].count("SPENT_10000") == 1
    assert len(last) == 4
    assert all(one == looks[0] for one in looks)
    assert looks[0]["achievements"] == last


async def test_a_workspace_may_switch_its_boards_off(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    clock.move_to(NOON)
    ann, bob = await new_person(), await new_person()
    pool = await new_pool(ann)
    await join(platform, pool, bob, Role.MEMBER)
    await grant(ann.client, workspaceId=str(pool), amount=5)
    for person, credits in ((ann, 4), (bob, 6)):
        await use(platform, pool, date(2031, 4, 3), credits, actor=person.id)
        await use(platform, pool, TODAY, credits, actor=person.id)
    await execute(
        platform,
        "INSERT INTO credit_pools (account_id, leaderboard_enabled, created_at, updated_at)"
        " VALUES (:id, false, :now, :now)",
        id=pool,
        now=NOON,
    )
    off = (await ask(ann, "leaderboard", workspaceId=pool))["leaderboard"]
    assert (off["enabled"], off["earned"], off["spent"]) == (False, [], [])
    assert "TOP_OF_THE_MONTH" not in await badges(bob)
    await execute(platform, "UPDATE credit_pools SET leaderboard_enabled = true WHERE account_id = :id", id=pool)
    assert len((await ask(ann, "leaderboard", workspaceId=pool))["leaderboard"]["spent"]) == 2
