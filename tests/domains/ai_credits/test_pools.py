"""Pools over HTTP: settings, caps and how they bind, usage of members, requests for more."""

import asyncio
import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.errors import Forbidden
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger, pools
from pm_api.domains.ai_credits.book import LotDraft, fingerprint
from pm_api.domains.ai_credits.commands import Grant
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow, LotKind
from pm_api.domains.ai_credits.schemas.pools import CapWrite
from pm_api.domains.ai_credits.store import Order
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, client_of, open_platform, register
from tests.domains.ai_credits import holding
from tests.domains.ai_credits.pooling import (
    NOON,
    cap,
    caps_of,
    later,
    pool_of,
    refused,
    spend,
    spent,
    stand_at,
    team,
    uncap,
    used,
)
from tests.domains.notifications.telling import listed
from tests.identity.teams import join
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY, settings_for

MEMBER, ADMIN, VIEWER = Role.MEMBER, Role.ADMIN, Role.VIEWER
CHAT = "CHAT_ASSISTANT"


async def refund(person: Person, entry_id: str, **body: Any) -> None:
    answer = await person.client.post(
        "/api/credits/refund",
        headers={"x-admin-key": ADMIN_KEY, "Idempotency-Key": uuid4().hex},
        json={"entryId": entry_id, "reason": "It failed", **body},
    )
    assert answer.status_code == 200, answer.text


async def ask(person: Person, pool: str, status: int = 201, /, **body: Any) -> dict[str, Any]:
    content = {"workspaceId": pool, "kind": "CAP", "window": "DAY", "amount": 5, "reason": "The launch", **body}
    answer = await person.client.post(
        "/api/credits/pool/requests", json={name: value for name, value in content.items() if value is not None}
    )
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found["request"] if status == 201 else found


async def decide(person: Person, request: dict[str, Any], what: str, **body: Any) -> httpx.Response:
    return await person.client.post(f"/api/credits/pool/requests/{request['id']}/{what}", json=body)


async def approved(person: Person, request: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await decide(person, request, "approve", **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["request"]
    return found


async def counters(platform: Platform, pool: str) -> list[tuple[Any, ...]]:
    async with platform.database.reading() as session:
        rows = await session.execute(
            text("SELECT subject, cap_window, starts_at, used FROM credit_cap_usage WHERE account_id = :id"),
            {"id": UUID(pool)},
        )
        return sorted(tuple(row) for row in rows)


async def is_capped(platform: Platform, pool: str) -> bool:
    async with platform.database.reading() as session:
        return bool(
            await session.scalar(text("SELECT capped FROM credit_accounts WHERE id = :id"), {"id": UUID(pool)})
        )


async def begin_period(platform: Platform, pool: str, starts_at: datetime, ends_at: datetime) -> None:
    """The plan's period that caps go by."""
    command = Grant(
        account_id=UUID(pool),
        key=f"s:test:{uuid4()}",
        fingerprint=fingerprint("test"),
        by=ledger.by_system(),
        lots=(LotDraft(LotKind.ADMIN_ADJUSTMENT, 1, "test", uuid4().hex),),
        description="A period",
        period=(starts_at, ends_at),
    )
    async with platform.database.transaction() as session:
        await ledger.apply(session, platform, [Order(AccountKind.WORKSPACE, command)])


# --- settings --------------------------------------------------------------------------------------------------


async def test_settings_have_defaults_and_keep_what_was_not_sent(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [viewer] = await team(new_person, platform, VIEWER, credits=50)
    found = await pool_of(viewer, pool)
    assert (found["leaderboardEnabled"], found["useExpiring"], found["version"]) == (True, False, 0)
    assert (found["available"], found["held"], found["caps"], found["accountKind"]) == (50, 0, [], "WORKSPACE")
    query = {"workspaceId": pool}
    changed = await owner.client.patch("/api/credits/pool", params=query, json={"leaderboardEnabled": False})
    assert changed.status_code == 200
    again = await owner.client.patch("/api/credits/pool", params=query, json={"useExpiring": True})
    assert (again.json()["pool"]["leaderboardEnabled"], again.json()["pool"]["useExpiring"]) == (False, True)
    assert again.json()["pool"]["version"] == 2
    nothing = await owner.client.patch("/api/credits/pool", params=query, json={})
    assert (nothing.status_code, nothing.json()["pool"]["version"]) == (200, 2)
    assert (await owner.client.patch("/api/credits/pool", json={})).json()["pool"]["version"] == 0
    assert (await pool_of(owner))["version"] == 0
    forbidden = await viewer.client.patch("/api/credits/pool", params=query, json={"useExpiring": False})
    assert forbidden.status_code == 403
    for wrong in ({"useExpiring": None}, {"useExpiring": 1}, {"useExpired": True}):
        assert (await owner.client.patch("/api/credits/pool", params=query, json=wrong)).status_code == 422


async def test_a_wallet_has_settings_of_its_own_and_no_caps(person: Person) -> None:
    changed = await person.client.patch("/api/credits/pool", json={"useExpiring": True})
    assert changed.status_code == 200
    found = await pool_of(person)
    assert (found["accountId"], found["accountKind"], found["useExpiring"]) == (str(person.id), "USER", True)
    assert (found["available"], found["caps"]) == (10, [])
    answer = await person.client.put("/api/credits/pool/caps/role:MEMBER", json={"amount": 1, "window": "DAY"})
    assert (answer.status_code, answer.json()["details"][0]["pointer"]) == (422, "/workspaceId")


async def test_the_etag_moves_with_settings_and_figures_and_guards_the_settings(
    new_person: NewPerson, platform: Platform
) -> None:
    pool, owner, _ = await team(new_person, platform, credits=50)
    query = {"workspaceId": pool}

    async def get(tag: str | None = None) -> httpx.Response:
        return await owner.client.get(
            "/api/credits/pool", params=query, headers={"If-None-Match": tag} if tag else {}
        )

    tag = (await get()).headers["ETag"]
    assert (await get(tag)).status_code == 304
    await spent(owner, pool, amount=1)
    fresh = await get(tag)
    assert (fresh.status_code, fresh.json()["pool"]["available"]) == (200, 49)

    async def patch(match: str) -> httpx.Response:
        return await owner.client.patch(
            "/api/credits/pool", params=query, headers={"If-Match": match}, json={"useExpiring": True}
        )

    assert (await patch(tag)).status_code == 200, "a spend does not make the settings stale"
    assert (await patch(tag)).status_code == 412
    assert (await patch('"0"')).status_code == 412
    assert (await patch('"1"')).status_code == 200, "the version of the body is as good"
    assert (await patch((await get()).headers["ETag"])).status_code == 200


# --- who may ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject",
    [
        "member",
        "member:",
        "member:no-id",
        f"member:{UUID(int=7)}",
        "role:BOSS",
        "role:",
        "service:MAGIC",
        "team:x",
        "all",
    ],
)
async def test_a_subject_that_is_none_is_told(new_person: NewPerson, platform: Platform, subject: str) -> None:
    pool, owner, _ = await team(new_person, platform)
    problem = await cap(owner, pool, subject, 5, status=422)
    assert (problem["code"], problem["details"][0]["pointer"]) == ("unknown_cap_subject", "/subject")
    assert not await is_capped(platform, pool)


async def test_nobody_but_managers_sets_caps(new_person: NewPerson, platform: Platform, client: Any) -> None:
    pool, owner, [member] = await team(new_person, platform, MEMBER)
    stranger = await new_person()
    await cap(member, pool, "role:MEMBER", 5, status=403)
    await cap(stranger, pool, "role:MEMBER", 5, status=404)
    path = "/api/credits/pool/caps/role:MEMBER"
    body = {"amount": 5, "window": "DAY"}
    assert (await client.put(path, params={"workspaceId": pool}, json=body)).status_code == 401
    for wrong in (-1, 1.5, 10**9 + 1, "5", None):
        await cap(owner, pool, "role:MEMBER", wrong, status=422)  # type: ignore[arg-type]
    await cap(owner, pool, "role:MEMBER", 5, "WEEK", status=422)
    assert (await uncap(member, pool, "role:MEMBER")).status_code == 403
    assert (await uncap(owner, pool, "role:MEMBER")).status_code == 404


async def test_a_role_taken_away_after_the_gate_counts_under_the_lock(
    new_person: NewPerson, platform: Platform
) -> None:
    pool, _, [former] = await team(new_person, platform, MEMBER)
    scope = WorkspaceScope(Actor(ActorKind.USER, former.id), UUID(pool), former.id, "ADMIN")
    async with platform.database.reading() as session:
        with pytest.raises(Forbidden):
            await pools.put_cap(
                session, platform, scope, "role:OWNER", CapWrite(amount=1, window=CapWindow.DAY), None
            )


async def test_who_may_not_manage_sees_only_the_caps_that_concern_them(
    new_person: NewPerson, platform: Platform
) -> None:
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    for subject in (f"member:{ann.id}", f"member:{bob.id}", "role:MEMBER", "role:ADMIN", f"service:{CHAT}"):
        await cap(owner, pool, subject, 9)
    await spent(ann, pool, amount=2)
    assert {subject for subject, _ in await caps_of(ann, pool)} == {
        f"member:{ann.id}",
        "role:MEMBER",
        f"service:{CHAT}",
    }
    of_all = await used(owner, pool)
    assert len(of_all) == 5
    assert of_all["role:MEMBER", "DAY"] is None
    assert of_all[f"member:{ann.id}", "DAY"] == 2
    assert (await caps_of(ann, pool))["role:MEMBER", "DAY"]["left"] == 7


# --- how caps bind ---------------------------------------------------------------------------------------------


async def test_a_members_cap_binds_until_midnight_and_names_itself(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    subject = f"member:{ann.id}"
    set_to = await cap(owner, pool, subject, 10)
    assert (set_to["used"], set_to["left"], set_to["version"]) == (0, 10, 1)
    await spent(ann, pool, amount=7)
    problem = await refused(ann, pool, "the-key", amount=4)
    assert (problem["subject"], problem["window"], problem["limit"], problem["used"]) == (subject, "DAY", 10, 7)
    assert datetime.fromisoformat(problem["resetsAt"]) == datetime(2031, 5, 15, tzinfo=UTC)
    await spent(ann, pool, amount=3)
    await spent(bob, pool, amount=50)
    own = await holding.balance(ann)
    assert (await ann.client.post("/api/credits/spend", json={"amount": 1, "idempotencyKey": "w"})).status_code == 200
    assert (await holding.balance(ann))["current"] == own["current"] - 1, "a pool's cap is not the wallet's"
    stand_at(clock, datetime(2031, 5, 14, 23, 59, 58, tzinfo=UTC))
    await refused(ann, pool, amount=1)
    stand_at(clock, datetime(2031, 5, 15, 0, 0, 1, tzinfo=UTC))
    replayed = await spend(ann, pool, "the-key", amount=4)
    assert replayed.status_code == 402, "a refusal is kept with its key"
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert replayed.json()["used"] == 7
    await spent(ann, pool, amount=10)
    await refused(ann, pool, amount=1)
    assert (await used(owner, pool))[subject, "DAY"] == 10


async def test_a_roles_cap_is_for_each_person_and_an_own_cap_stands_in_its_place(
    new_person: NewPerson, platform: Platform
) -> None:
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    await cap(owner, pool, "role:MEMBER", 5)
    await cap(owner, pool, "role:MEMBER", 30, "PERIOD")
    await cap(owner, pool, f"member:{bob.id}", 20)
    await spent(ann, pool, amount=5)
    assert (await refused(ann, pool, amount=1))["subject"] == "role:MEMBER"
    await spent(bob, pool, amount=20)
    assert (await refused(bob, pool, amount=1))["subject"] == f"member:{bob.id}"
    await spent(owner, pool, amount=100)
    await cap(owner, pool, f"member:{bob.id}", 100)
    problem = await refused(bob, pool, amount=11)
    assert (problem["subject"], problem["window"], problem["used"]) == ("role:MEMBER", "PERIOD", 20)
    assert (await uncap(owner, pool, f"member:{bob.id}", window="PERIOD")).status_code == 404
    assert (await uncap(owner, pool, f"member:{bob.id}", window="DAY")).status_code == 204
    assert (await refused(bob, pool, amount=1))["window"] == "DAY"


async def test_a_services_cap_is_for_all_together(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    await cap(owner, pool, f"service:{CHAT}", 5)
    await spent(ann, pool, service=CHAT)
    await spent(bob, pool, service=CHAT)
    problem = await refused(owner, pool, service=CHAT)
    assert (problem["subject"], problem["limit"], problem["used"]) == (f"service:{CHAT}", 5, 4)
    await spent(ann, pool, amount=50)
    await spent(ann, pool, service="DOCUMENT_ANALYSIS")


async def test_a_period_is_the_plans_and_otherwise_the_month(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    set_to = await cap(owner, pool, f"member:{ann.id}", 10, "PERIOD")
    assert set_to["resetsAt"] == "2031-06-01T00:00:00.000Z"
    await spent(ann, pool, amount=10)
    stand_at(clock, datetime(2031, 5, 31, 23, 59, 50, tzinfo=UTC))
    await refused(ann, pool, amount=1)
    stand_at(clock, datetime(2031, 6, 1, 0, 0, 1, tzinfo=UTC))
    await spent(ann, pool, amount=4)
    stand_at(clock, datetime(2031, 6, 10, 9, 30, tzinfo=UTC))
    await begin_period(platform, pool, clock.now(), clock.now() + timedelta(days=30))
    await spent(ann, pool, amount=10)
    problem = await refused(ann, pool, amount=1)
    assert datetime.fromisoformat(problem["resetsAt"]).date().isoformat() == "2031-07-10"
    stand_at(clock, datetime(2031, 7, 10, 9, 31, tzinfo=UTC))
    await spent(ann, pool, amount=1)


async def test_raising_a_cap_opens_at_once_and_lowering_closes(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    subject = f"member:{ann.id}"
    await cap(owner, pool, subject, 5)
    await spent(ann, pool, amount=5)
    await refused(ann, pool, amount=1)
    raised = await cap(owner, pool, subject, 8, match='"1"')
    assert (raised["version"], raised["used"], raised["left"]) == (2, 5, 3)
    await cap(owner, pool, subject, 9, status=412, match='"1"')
    await cap(owner, pool, "role:VIEWER", 9, status=412, match='"1"')
    await spent(ann, pool, amount=3)
    lowered = await cap(owner, pool, subject, 0)
    assert (lowered["used"], lowered["left"]) == (8, 0)
    await refused(ann, pool, amount=1)
    stale = await owner.client.delete(
        f"/api/credits/pool/caps/{subject}", params={"workspaceId": pool}, headers={"If-Match": '"2"'}
    )
    assert stale.status_code == 412
    assert (await uncap(owner, pool, subject)).status_code == 204
    await spent(ann, pool, amount=100)


async def test_refunds_and_holds_move_what_is_used(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    subject = f"member:{ann.id}"
    await cap(owner, pool, subject, 10)
    entry = (await spent(ann, pool, amount=6))["entry"]
    hold = await holding.placed(ann, amount=4, workspaceId=pool)
    assert (await used(ann, pool))[subject, "DAY"] == 10
    await refused(ann, pool, amount=1)
    answer = await holding.place(ann, amount=1, workspaceId=pool)
    assert holding.told(answer) == (402, "spending_cap_reached")
    await refund(owner, entry["id"], amount=5)
    assert (await used(ann, pool))[subject, "DAY"] == 5
    captured = await holding.act(ann, hold, "capture", amount=1, final=True)
    assert captured.status_code == 200
    assert (await used(ann, pool))[subject, "DAY"] == 2
    await holding.placed(ann, amount=8, workspaceId=pool, ttlSeconds=60)
    await refused(ann, pool, amount=1)
    later(clock, minutes=2)
    await spent(ann, pool, amount=8)
    assert (await used(ann, pool))[subject, "DAY"] == 10
    assert await holding.is_proved(owner, workspaceId=pool)


# --- the first cap counts what was before it -------------------------------------------------------------------


async def test_the_first_cap_counts_the_day_and_the_period_so_far(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    """A period that began within a day: that day counts from then on."""
    stand_at(clock, datetime(2031, 5, 10, 8, tzinfo=UTC))
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    await spent(ann, pool, amount=100)
    stand_at(clock, datetime(2031, 5, 10, 15, tzinfo=UTC))
    await begin_period(platform, pool, clock.now() - timedelta(hours=1), clock.now() + timedelta(days=30))
    first = (await spent(ann, pool, service=CHAT, quantity=5))["entry"]
    await spent(bob, pool, amount=3)
    stand_at(clock, datetime(2031, 5, 12, 9, tzinfo=UTC))
    await spent(ann, pool, amount=7)
    await refund(owner, first["id"], amount=4)
    stand_at(clock, NOON)
    today = (await spent(ann, pool, amount=20))["entry"]
    await refund(owner, today["id"], amount=2)
    await spent(bob, pool, service=CHAT)
    await holding.placed(ann, service=CHAT, quantity=2, workspaceId=pool, ttlSeconds=3600)
    await holding.placed(ann, amount=50, workspaceId=pool, ttlSeconds=60)
    later(clock, minutes=5)
    await cap(owner, pool, "role:ADMIN", 1)
    day, period = datetime(2031, 5, 14, tzinfo=UTC), datetime(2031, 5, 10, 14, tzinfo=UTC)
    found = await counters(platform, pool)
    begun = {row[2] for row in found if row[1] == "PERIOD"}
    assert len(begun) == 1
    assert abs(begun.pop() - period) < timedelta(seconds=5)
    assert {(row[0], row[1]): row[3] for row in found} == {
        (f"member:{ann.id}", "DAY"): 20 - 2 + 4,
        (f"member:{bob.id}", "DAY"): 2,
        (f"service:{CHAT}", "DAY"): 2 + 4,
        (f"member:{ann.id}", "PERIOD"): 10 - 4 + 7 + 18 + 4,
        (f"member:{bob.id}", "PERIOD"): 3 + 2,
        (f"service:{CHAT}", "PERIOD"): 10 - 4 + 2 + 4,
    }
    assert {row[2] for row in found if row[1] == "DAY"} == {day}
    assert await is_capped(platform, pool)


async def test_the_last_cap_takes_the_counters_along(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    await cap(owner, pool, "role:MEMBER", 5)
    await cap(owner, pool, f"service:{CHAT}", 5)
    await spent(ann, pool, amount=5)
    assert (await uncap(owner, pool, "role:MEMBER")).status_code == 204
    assert (await is_capped(platform, pool), len(await counters(platform, pool))) == (True, 2)
    assert (await uncap(owner, pool, f"service:{CHAT}")).status_code == 204
    assert (await is_capped(platform, pool), await counters(platform, pool)) == (False, [])
    await spent(ann, pool, amount=7)
    assert (await cap(owner, pool, f"member:{ann.id}", 13))["used"] == 12
    await refused(ann, pool, amount=2)


async def test_a_pool_nobody_used_can_be_capped(new_person: NewPerson, platform: Platform) -> None:
    """Its account is opened by it."""
    owner = await new_person()
    made = await owner.client.post("/api/workspaces", json={"name": "Empty"})
    pool = made.json()["workspace"]["id"]
    assert (await cap(owner, pool, "role:OWNER", 5))["used"] == 0
    await holding.grant(owner.client, 50, workspaceId=pool)
    await spent(owner, pool, amount=5)
    await refused(owner, pool, amount=1)


# --- races -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def two_processes(fresh_database: str) -> Any:
    """Two platforms, each with a writer of its own, over one database."""
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as one, open_platform(settings, MovableClock()) as other:
        yield [create_app(settings, one), create_app(settings, other)], one


async def test_twenty_members_at_once_never_exceed_a_services_cap(two_processes: Any) -> None:
    apps, platform = two_processes
    owner = await register(apps[0])
    pool = await holding.new_pool(owner, 1000)
    people = [await register(apps[0]) for _ in range(20)]
    for one in people:
        await join(platform, pool, one, MEMBER)
    await cap(owner, pool, f"service:{CHAT}", 21)
    clients = [client_of(apps[number % 2], headers=one.client.headers) for number, one in enumerate(people)]
    answers = await asyncio.gather(
        *(
            client.post(
                "/api/credits/spend",
                headers={"Idempotency-Key": f"{index}"},
                json={"workspaceId": pool, "service": CHAT},
            )
            for index in range(3)
            for client in clients
        )
    )
    assert Counter(answer.status_code for answer in answers) == {200: 10, 402: 50}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 402} == {"spending_cap_reached"}
    assert (await used(owner, pool))[f"service:{CHAT}", "DAY"] == 20
    assert await holding.is_proved(owner, workspaceId=pool)
    for client in (*clients, owner.client, *(one.client for one in people)):
        await client.aclose()


async def test_no_spend_slips_between_the_count_and_the_first_cap(two_processes: Any) -> None:
    """Spends run while caps come and go; the counter is what was spent, to the credit."""
    apps, platform = two_processes
    owner, ann = await register(apps[0]), await register(apps[0])
    pool = await holding.new_pool(owner, 100_000)
    await join(platform, pool, ann, MEMBER)
    other = client_of(apps[1], headers=ann.client.headers)
    done = asyncio.Event()

    async def keep_spending(client: httpx.AsyncClient) -> int:
        total = 0
        while not done.is_set():
            answer = await client.post(
                "/api/credits/spend",
                headers={"Idempotency-Key": uuid4().hex},
                json={"workspaceId": pool, "amount": 1},
            )
            assert answer.status_code == 200, answer.text
            total += 1
        return total

    spending = [asyncio.create_task(keep_spending(client)) for client in (ann.client, other) for _ in range(3)]
    for _ in range(8):
        await cap(owner, pool, f"member:{ann.id}", 50_000)
        await asyncio.sleep(0)
        assert (await uncap(owner, pool, f"member:{ann.id}")).status_code == 204
    await cap(owner, pool, f"member:{ann.id}", 50_000)
    done.set()
    total = sum(await asyncio.gather(*spending))
    assert total > 20
    assert (await used(owner, pool))[f"member:{ann.id}", "DAY"] == total
    for client in (owner.client, ann.client, other):
        await client.aclose()


async def test_two_managers_set_one_cap_at_once(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [admin] = await team(new_person, platform, ADMIN)
    await spent(owner, pool, amount=3)
    answers = await asyncio.gather(
        *(
            one.client.put(
                "/api/credits/pool/caps/role:OWNER",
                params={"workspaceId": pool},
                headers={"If-Match": '"0"'},
                json={"amount": amount, "window": "DAY"},
            )
            for one, amount in ((owner, 10), (admin, 20))
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert (await used(owner, pool))["role:OWNER", "DAY"] == 3


# --- usage -----------------------------------------------------------------------------------------------------


async def test_usage_of_members_by_service(new_person: NewPerson, platform: Platform, clock: MovableClock) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    evil = await new_person(name="=HYPERLINK(0)")
    await join(platform, pool, evil, MEMBER)
    entry = (await spent(ann, pool, service=CHAT, quantity=5))["entry"]
    await spent(ann, pool, amount=3)
    await spent(evil, pool, service="DOCUMENT_ANALYSIS")
    await refund(owner, entry["id"], amount=4)
    later(clock, days=1)
    await spent(ann, pool, amount=100)
    query = {"workspaceId": pool, "from": "2031-05-14T00:00:00Z", "to": "2031-05-15T00:00:00Z"}
    found = (await owner.client.get("/api/credits/pool/usage", params=query)).json()
    by_id = {one["userId"]: one for one in found["members"]}
    assert found["nextCursor"] is None
    assert set(by_id) == {str(ann.id), str(evil.id)}
    assert by_id[str(ann.id)] == {
        "userId": str(ann.id),
        "name": ann.name,
        "email": ann.email,
        "credits": 13,
        "refunded": 4,
        "net": 9,
        "byService": {"OTHER": 3, CHAT: 6},
    }
    pages = []
    cursor: str | None = ""
    while cursor is not None:
        page = await owner.client.get(
            "/api/credits/pool/usage", params={**query, "limit": "1", **({"cursor": cursor} if cursor else {})}
        )
        pages += [one["userId"] for one in page.json()["members"]]
        cursor = page.json()["nextCursor"]
    assert pages == sorted(by_id)
    answer = await owner.client.get("/api/credits/pool/usage", params={**query, "format": "csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = {row["userId"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert rows[str(evil.id)]["name"] == "'=HYPERLINK(0)"
    assert (rows[str(ann.id)]["net"], rows[str(ann.id)][CHAT], rows[str(ann.id)]["OTHER"]) == ("9", "6", "3")
    whole = (await owner.client.get("/api/credits/pool/usage", params={"workspaceId": pool})).json()["members"]
    assert {one["userId"]: one["net"] for one in whole}[str(ann.id)] == 109


async def test_usage_is_for_managers_and_for_sensible_times(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann] = await team(new_person, platform, MEMBER)

    async def status(person: Person, **query: str) -> int:
        answer = await person.client.get("/api/credits/pool/usage", params={"workspaceId": pool, **query})
        return answer.status_code

    assert await status(ann) == 403
    assert await status(await new_person()) == 404
    assert await status(owner, **{"from": "2031-05-14T00:00:00Z", "to": "2031-05-14T00:00:00Z"}) == 422
    assert await status(owner, **{"from": "2029-05-14T00:00:00Z", "to": "2031-05-14T00:00:00Z"}) == 422
    assert await status(owner, cursor="x") == 422
    assert await status(owner) == 200


# --- requests --------------------------------------------------------------------------------------------------


async def test_an_approved_request_raises_the_cap_for_the_window_only(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann, admin] = await team(new_person, platform, MEMBER, ADMIN)
    await cap(owner, pool, f"member:{ann.id}", 10)
    await spent(ann, pool, amount=10)
    request = await ask(ann, pool, amount=5)
    assert (request["status"], request["userId"], request["approvedAmount"]) == ("OPEN", str(ann.id), None)
    for manager in (owner, admin):
        [told] = await listed(manager, type="credits.pool_request")
        assert told["title"] == "Person 0 asks for 5 credits more under their cap"
        assert told["data"] == {"requestId": request["id"]}
    assert await listed(ann) == []
    again = await ann.client.get(f"/api/credits/pool/requests/{request['id']}")
    assert (again.json()["request"], again.headers["ETag"]) == (request, '"1"')
    decided = await approved(admin, request, amount=3, note="Not all of it")
    assert (decided["status"], decided["approvedAmount"], decided["decidedByUserId"], decided["lasting"]) == (
        "APPROVED",
        3,
        str(admin.id),
        False,
    )
    assert decided["raisedUntil"] == "2031-05-15T00:00:00.000Z"
    [told] = await listed(ann)
    assert (told["type"], told["body"]) == ("credits.pool_request_decided", "Not all of it")
    shown = (await caps_of(ann, pool))[f"member:{ann.id}", "DAY"]
    assert (shown["amount"], shown["grantedOnTop"], shown["limit"]) == (10, 3, 13)
    assert (shown["used"], shown["left"]) == (10, 3)
    await spent(ann, pool, amount=3)
    assert (await refused(ann, pool, amount=1))["limit"] == 13
    stand_at(clock, datetime(2031, 5, 15, 0, 0, 1, tzinfo=UTC))
    for swept in (0, 1, 2):
        shown = (await caps_of(ann, pool))[f"member:{ann.id}", "DAY"]
        assert (shown["amount"], shown["grantedOnTop"], shown["limit"]) == (10, 0, 10), "a late sweep changes nothing"
        assert (shown["used"], shown["left"]) == (3 * swept, 10 - 3 * swept)
        await refused(ann, pool, amount=11 - 3 * swept)
        await spent(ann, pool, amount=3)
        await run_sweep(platform, PERIODICS["ai_credits.end_raises"])
    await spent(ann, pool, amount=1)
    assert (await refused(ann, pool, amount=1))["limit"] == 10


async def test_whom_the_role_limits_gets_a_cap_of_their_own_and_loses_it_again(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    await cap(owner, pool, "role:MEMBER", 10)
    await approved(owner, await ask(ann, pool, amount=5))
    await approved(owner, await ask(ann, pool, amount=2))
    await spent(ann, pool, amount=17)
    assert (await refused(ann, pool, amount=1))["subject"] == f"member:{ann.id}"
    await refused(bob, pool, amount=11)
    lasting = await approved(owner, await ask(bob, pool, amount=4), lasting=True)
    assert (lasting["lasting"], lasting["raisedUntil"]) == (True, None)
    stand_at(clock, datetime(2031, 5, 15, 0, 0, 1, tzinfo=UTC))
    await refused(ann, pool, amount=11)
    await run_sweep(platform, PERIODICS["ai_credits.end_raises"])
    assert set(await caps_of(owner, pool)) == {("role:MEMBER", "DAY"), (f"member:{bob.id}", "DAY")}
    assert (await refused(ann, pool, amount=11))["subject"] == "role:MEMBER"
    await spent(bob, pool, amount=14)
    await refused(bob, pool, amount=1)


async def test_a_lasting_raise_outlives_one_for_the_window(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    await cap(owner, pool, "role:MEMBER", 10)
    await approved(owner, await ask(ann, pool, amount=5))
    await approved(owner, await ask(ann, pool, amount=2), lasting=True)
    shown = (await caps_of(owner, pool))[f"member:{ann.id}", "DAY"]
    assert (shown["amount"], shown["grantedOnTop"], shown["limit"]) == (12, 5, 17)
    stand_at(clock, datetime(2031, 5, 15, 0, 1, tzinfo=UTC))
    await run_sweep(platform, PERIODICS["ai_credits.end_raises"])
    assert (await caps_of(owner, pool))[f"member:{ann.id}", "DAY"]["amount"] == 12


async def test_a_cap_set_anew_ends_what_was_granted_on_top(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    await cap(owner, pool, f"member:{ann.id}", 10)
    await approved(owner, await ask(ann, pool, amount=5))
    assert (await cap(owner, pool, f"member:{ann.id}", 8))["grantedOnTop"] == 0
    stand_at(clock, datetime(2031, 5, 15, 0, 1, tzinfo=UTC))
    await spent(ann, pool, amount=8)
    await refused(ann, pool, amount=1)
    await run_sweep(platform, PERIODICS["ai_credits.end_raises"])
    assert (await caps_of(owner, pool))[f"member:{ann.id}", "DAY"]["amount"] == 8


async def test_a_form_that_saves_what_it_read_makes_no_raise_permanent(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    stand_at(clock, NOON)
    pool, owner, [ann] = await team(new_person, platform, MEMBER)
    await cap(owner, pool, f"member:{ann.id}", 5)
    await approved(owner, await ask(ann, pool, amount=10))
    shown = (await caps_of(owner, pool))[f"member:{ann.id}", "DAY"]
    assert (shown["amount"], shown["grantedOnTop"], shown["limit"], shown["left"]) == (5, 10, 15, 15)
    saved = await cap(owner, pool, f"member:{ann.id}", shown["amount"])
    assert (saved["amount"], saved["grantedOnTop"], saved["limit"]) == (5, 0, 5)
    stand_at(clock, datetime(2031, 5, 15, 0, 0, 1, tzinfo=UTC))
    await refused(ann, pool, amount=6)


async def test_a_request_is_decided_once(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann, admin] = await team(new_person, platform, MEMBER, ADMIN)
    await cap(owner, pool, "role:MEMBER", 10)
    for _ in range(5):
        request = await ask(ann, pool, amount=5)
        before = (await caps_of(ann, pool)).get((f"member:{ann.id}", "DAY"), {"limit": 10})["limit"]
        answers = await asyncio.gather(
            decide(owner, request, "approve"), decide(admin, request, "approve"), decide(admin, request, "decline")
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        lost = [answer.json()["code"] for answer in answers if answer.status_code == 409]
        assert set(lost) == {"pool_request_already_decided"}
        won = next(answer.json()["request"] for answer in answers if answer.status_code == 200)
        after = (await caps_of(ann, pool)).get((f"member:{ann.id}", "DAY"), {"limit": 10})["limit"]
        assert after - before == (5 if won["status"] == "APPROVED" else 0)
        assert len([one for one in await listed(ann) if one["data"]["requestId"] == request["id"]]) == 1


async def test_a_request_for_credits_moves_none(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann] = await team(new_person, platform, MEMBER, credits=5)
    request = await ask(ann, pool, kind="CREDITS", window=None, amount=100)
    assert (request["kind"], request["window"]) == ("CREDITS", None)
    lasting = await decide(owner, request, "approve", lasting=True)
    assert (lasting.status_code, lasting.json()["code"]) == (422, "nothing_lasting_to_grant")
    assert lasting.json()["details"][0]["pointer"] == "/lasting"
    decided = await approved(owner, request, amount=80, note="On Monday")
    assert (decided["approvedAmount"], decided["lasting"], decided["raisedUntil"]) == (80, False, None)
    [told] = await listed(ann)
    assert told["title"] == "An admin agreed that the pool needs 80 credits more"
    assert told["body"] == "On Monday\nNothing was added by this: the pool is filled by buying credits or a plan."
    assert (await pool_of(owner, pool))["available"] == 5
    assert not await is_capped(platform, pool)


async def test_what_cannot_be_asked_for(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann, viewer] = await team(new_person, platform, MEMBER, VIEWER)
    assert (await ask(ann, pool, 409))["code"] == "no_cap_to_raise"
    await cap(owner, pool, "role:MEMBER", 10)
    assert (await ask(ann, pool, 409, window="PERIOD"))["code"] == "no_cap_to_raise"
    await ask(viewer, pool, 403)
    await ask(await new_person(), pool, 404)
    for wrong in ({"amount": 0}, {"window": None}, {"kind": "CREDITS"}, {"reason": ""}, {"kind": "GIFT"}):
        await ask(ann, pool, 422, **wrong)
    request = await ask(ann, pool)
    await uncap(owner, pool, "role:MEMBER")
    answer = await decide(owner, request, "approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_cap_to_raise")
    assert (await decide(owner, request, "decline", note="No")).json()["request"]["status"] == "DECLINED"
    assert (await decide(ann, request, "approve")).status_code == 403
    assert (await decide(await new_person(), request, "approve")).status_code == 404
    assert (await decide(owner, {"id": uuid4()}, "approve")).status_code == 404


async def test_at_most_twenty_open_requests_a_member(new_person: NewPerson, platform: Platform) -> None:
    pool, owner, [ann, bob] = await team(new_person, platform, MEMBER, MEMBER)
    wanted = {"workspaceId": pool, "kind": "CREDITS", "amount": 1, "reason": "More"}
    answers = await asyncio.gather(*(ann.client.post("/api/credits/pool/requests", json=wanted) for _ in range(24)))
    assert Counter(answer.status_code for answer in answers) == {201: 20, 409: 4}
    await ask(bob, pool, kind="CREDITS", window=None)
    mine = (await ann.client.get("/api/credits/pool/requests", params={"workspaceId": pool})).json()["requests"]
    assert {one["userId"] for one in mine} == {str(ann.id)}
    path = f"/api/credits/pool/requests/{mine[0]['id']}"
    assert [(await one.client.get(path)).status_code for one in (ann, owner, bob)] == [200, 200, 404]
    created = next(answer for answer in answers if answer.status_code == 201)
    assert created.headers["Location"] == f"/api/credits/pool/requests/{created.json()['request']['id']}"
    await decide(owner, mine[0], "decline")
    await ask(ann, pool, kind="CREDITS", window=None)
    walked = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"workspaceId": pool, "limit": "9", "status": "OPEN", **({"cursor": cursor} if cursor else {})}
        page = (await owner.client.get("/api/credits/pool/requests", params=query)).json()
        walked += [one["id"] for one in page["requests"]]
        cursor = page["nextCursor"]
    assert len(walked) == len(set(walked)) == 21
    assert walked == sorted(walked, reverse=True)
