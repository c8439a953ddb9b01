"""Holds over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import run_all_sweeps
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import jobs
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.ai_credits.holding import (
    act,
    balance,
    figures,
    get_hold,
    grant,
    is_proved,
    moment,
    new_pool,
    place,
    placed,
    post,
    told,
)
from tests.domains.ai_credits.pooling import cap
from tests.identity.teams import join, somebody_waits_for_a_lock
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


class StillClock(MovableClock):
    """Time stands; only business time is moved."""

    def __init__(self) -> None:
        super().__init__()
        self._stands_at = super().wall().replace(microsecond=0)

    def wall(self) -> datetime:
        return self._stands_at

    def pass_by(self, **duration: float) -> None:
        self.shift_to(self.offset + timedelta(**duration))


@pytest.fixture
async def still(fresh_database: str) -> AsyncIterator[tuple[Person, StillClock, Platform]]:
    """A person in an installation whose time stands."""
    clock = StillClock()
    async with open_platform(settings_for(fresh_database), clock) as platform:
        person = await register(create_app(platform.settings, platform))
        yield person, clock, platform
        await person.client.aclose()


# --- placing ----------------------------------------------------------------------------------------------------


async def test_a_hold_sets_credits_aside_and_spends_none(person: Person) -> None:
    answer = await place(person, amount=4, description="Report", metadata={"report": 7}, ttlSeconds=60)
    hold = answer.json()["hold"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/credits/holds/{hold['id']}"
    assert (hold["status"], hold["amount"], hold["captured"], hold["left"]) == ("OPEN", 4, 0, 4)
    assert moment(hold["expiresAt"]) - moment(hold["createdAt"]) == timedelta(seconds=60)
    assert answer.json()["balance"] == {"current": 6, "held": 4, "debt": 0}
    found = (await person.client.get(answer.headers["Location"])).json()["hold"]
    assert found == hold | {
        "accountId": str(person.id),
        "actorUserId": str(person.id),
        "metadata": {"report": 7},
        "quantity": None,
        "priceVersion": None,
    }
    assert await figures(person) == (6, 4, 0)
    assert told(await post(person, "credits/spend", amount=7)) == (402, "insufficient_credits")
    assert (await post(person, "credits/spend", amount=6)).status_code == 200


async def test_a_hold_for_a_service_holds_its_price_for_15_minutes(person: Person) -> None:
    hold = await placed(person, service="TASK_GENERATION", quantity=2)
    assert (hold["amount"], hold["service"], hold["description"]) == (6, "TASK_GENERATION", "TASK_GENERATION × 2")
    assert moment(hold["expiresAt"]) - moment(hold["createdAt"]) == timedelta(minutes=15)
    captured = (await act(person, hold, "capture")).json()
    entry = captured["entry"]
    assert (entry["type"], entry["amount"], entry["service"]) == ("USAGE", -6, "TASK_GENERATION")
    assert (entry["quantity"], entry["priceVersion"]) == (2, 1)
    overview = (await person.client.get("/api/ai/credits")).json()
    assert overview["usage"]["breakdown"] == {"TASK_GENERATION": 6}
    parts = await placed(person, service="CHAT_ASSISTANT", quantity=2)
    lines = [(await act(person, parts, "capture", amount=amount)).json()["entry"] for amount in (1, 2, 1)]
    assert [line["quantity"] for line in lines] == [None, 1, None], "half a unit is none"
    found = await person.client.get(f"/api/credits/entries/{lines[0]['id']}/explain")
    assert found.json()["explanation"]["price"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"amount": 0}, "/amount"),
        ({"amount": 1.5}, "/amount"),
        ({"amount": 10**9 + 1}, "/amount"),
        ({"amount": 1, "service": "CHAT_ASSISTANT"}, ""),
        ({"amount": 1, "quantity": 2}, ""),
        ({"service": "MIND_READING"}, "/service"),
        ({"amount": 1, "ttlSeconds": 0}, "/ttlSeconds"),
        ({"amount": 1, "ttlSeconds": 86_401}, "/ttlSeconds"),
        ({"amount": 1, "ttlSeconds": "60"}, "/ttlSeconds"),
        ({"amount": 1, "metadata": {"a": "x" * 8200}}, "/metadata"),
        ({"amount": 1, "typo": 1}, "/typo"),
    ],
)
async def test_a_bad_hold_is_a_problem_and_writes_nothing(person: Person, body: dict[str, Any], pointer: str) -> None:
    answer = await place(person, **body)
    assert answer.status_code == 422, answer.text
    assert pointer in {detail["pointer"] for detail in answer.json()["details"]}
    assert (await person.client.get("/api/credits/holds")).json()["holds"] == []


async def test_not_enough_is_refused_for_good_under_its_key(person: Person) -> None:
    assert told(await place(person, "k", amount=11)) == (402, "insufficient_credits")
    await grant(person.client, 50, userId=str(person.id))
    again = await place(person, "k", amount=11)
    assert (told(again), again.headers["Idempotent-Replayed"]) == ((402, "insufficient_credits"), "true")
    assert (await place(person, amount=11)).status_code == 201


async def test_an_account_has_so_many_open_holds(person: Person, platform: Platform) -> None:
    last = await placed(person, amount=1)
    more = text("UPDATE credit_accounts SET open_holds = open_holds + :more WHERE id = :id")
    async with platform.database.transaction() as session:
        await session.execute(more, {"id": person.id, "more": 999})
    assert told(await place(person, amount=1)) == (409, "too_many_holds")
    await act(person, last, "release")
    assert (await place(person, amount=1)).status_code == 201
    async with platform.database.transaction() as session:
        await session.execute(more, {"id": person.id, "more": -999})


@pytest.mark.parametrize("action", ["", "/capture", "/release", "/extend"])
async def test_every_command_needs_a_key(person: Person, action: str) -> None:
    hold = await placed(person, amount=1)
    path = f"/api/credits/holds{'/' + hold['id'] + action if action else ''}"
    body = {"": {"amount": 1}, "/extend": {"ttlSeconds": 5}}.get(action, {})
    missing = await person.client.post(path, json=body)
    assert told(missing) == (400, "idempotency_key_required")
    in_body = await person.client.post(path, json={**body, "idempotencyKey": "here"})
    assert in_body.status_code in (200, 201), in_body.text
    again = await person.client.post(path, json=body, headers={"Idempotency-Key": "here"})
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (in_body.json(), "true")


# --- capturing, releasing, extending ----------------------------------------------------------------------------


async def test_a_hold_is_captured_in_steps_up_to_its_amount(person: Person) -> None:
    hold = await placed(person, amount=5, description="Report", metadata={"of": "hold"})
    first = (await act(person, hold, "capture", amount=2)).json()
    assert (first["hold"]["status"], first["hold"]["captured"], first["hold"]["left"]) == ("OPEN", 2, 3)
    assert (first["entry"]["amount"], first["entry"]["description"]) == (-2, "Report")
    assert first["entry"]["metadata"] == {"of": "hold"}
    assert first["balance"] == {"current": 5, "held": 3, "debt": 0}
    over = await act(person, hold, "capture", amount=4)
    assert (told(over), over.json()["left"]) == ((409, "capture_exceeds_hold"), 3)
    assert await figures(person) == (5, 3, 2)
    last = (await act(person, hold, "capture", amount=3, description="Rest", metadata={"of": "rest"})).json()
    assert (last["hold"]["status"], last["hold"]["captured"], last["hold"]["left"]) == ("CAPTURED", 5, 0)
    assert (last["entry"]["description"], last["entry"]["metadata"]) == ("Rest", {"of": "rest"})
    assert told(await act(person, hold, "capture")) == (409, "hold_already_captured")
    assert told(await act(person, hold, "release")) == (409, "hold_already_captured")
    assert told(await act(person, hold, "extend", ttlSeconds=60)) == (409, "hold_already_captured")
    assert await figures(person) == (5, 0, 5)
    assert await is_proved(person)


async def test_a_final_capture_gives_the_rest_back(person: Person) -> None:
    hold = await placed(person, amount=5)
    answer = (await act(person, hold, "capture", amount=2, final=True)).json()
    assert (answer["hold"]["status"], answer["hold"]["captured"], answer["hold"]["left"]) == ("CAPTURED", 2, 0)
    assert answer["balance"] == {"current": 8, "held": 0, "debt": 0}
    assert await figures(person) == (8, 0, 2)


async def test_a_capture_without_an_amount_takes_what_is_left(person: Person) -> None:
    hold = await placed(person, amount=5)
    await act(person, hold, "capture", amount=1)
    answer = (await act(person, hold, "capture")).json()
    assert (answer["entry"]["amount"], answer["hold"]["status"]) == (-4, "CAPTURED")


async def test_a_capture_needs_no_body(person: Person) -> None:
    hold = await placed(person, amount=5)
    for replayed in (None, "true"):
        answer = await person.client.post(
            f"/api/credits/holds/{hold['id']}/capture", headers={"Idempotency-Key": "bare"}
        )
        assert answer.status_code == 200, answer.text
        assert (answer.json()["entry"]["amount"], answer.headers.get("Idempotent-Replayed")) == (-5, replayed)
    with_braces = await act(person, hold, "capture", "bare")
    assert with_braces.headers["Idempotent-Replayed"] == "true", "no body and an empty one are the same request"
    unkeyed = await person.client.post(f"/api/credits/holds/{hold['id']}/capture")
    assert told(unkeyed) == (400, "idempotency_key_required")


async def test_release_gives_back_once(person: Person) -> None:
    hold = await placed(person, amount=5)
    await act(person, hold, "capture", amount=2)
    answer = await person.client.post(
        f"/api/credits/holds/{hold['id']}/release", headers={"Idempotency-Key": "without a body"}
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["hold"]["status"], answer.json()["hold"]["captured"]) == ("RELEASED", 2)
    assert answer.json()["balance"] == {"current": 8, "held": 0, "debt": 0}
    for action in ("capture", "release"):
        assert told(await act(person, hold, action)) == (409, "hold_already_released")
    assert told(await act(person, hold, "extend", ttlSeconds=60)) == (409, "hold_already_released")
    assert await figures(person) == (8, 0, 2)


async def test_of_two_who_capture_all_one_does(person: Person) -> None:
    hold = await placed(person, amount=5)
    answers = await asyncio.gather(*[act(person, hold, "capture") for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert await figures(person) == (5, 0, 5)


# --- time -------------------------------------------------------------------------------------------------------


async def test_a_hold_has_expired_exactly_at_its_end(still: tuple[Person, StillClock, Platform]) -> None:
    person, clock, platform = still
    hold = await placed(person, amount=4, ttlSeconds=60)
    clock.pass_by(seconds=59, microseconds=999_999)
    assert (await get_hold(person, hold))["status"] == "OPEN"
    assert await figures(person) == (6, 4, 0)
    clock.pass_by(microseconds=1)
    found = await get_hold(person, hold)
    assert (found["status"], found["left"], found["captured"]) == ("EXPIRED", 0, 0)
    assert await figures(person) == (10, 0, 0)
    for status, expected in (("OPEN", 0), ("EXPIRED", 1)):
        listed = (await person.client.get("/api/credits/holds", params={"status": status})).json()["holds"]
        assert len(listed) == expected
    assert await stored_status(platform, hold) == "OPEN", "nobody has written it yet"
    for action in ("capture", "release"):
        assert told(await act(person, hold, action)) == (409, "hold_expired")
    assert told(await act(person, hold, "extend", ttlSeconds=60)) == (409, "hold_expired")
    assert (await post(person, "credits/spend", amount=10)).status_code == 200
    assert await is_proved(person)


async def test_the_last_moment_of_a_hold_is_good_enough(still: tuple[Person, StillClock, Platform]) -> None:
    person, clock, _ = still
    hold = await placed(person, amount=4, ttlSeconds=60)
    clock.pass_by(seconds=59, microseconds=999_999)
    assert (await act(person, hold, "capture")).status_code == 200


async def test_extending_makes_it_longer_and_never_shorter(still: tuple[Person, StillClock, Platform]) -> None:
    person, clock, _ = still
    hold = await placed(person, amount=4, ttlSeconds=600)
    shorter = (await act(person, hold, "extend", ttlSeconds=60)).json()
    assert shorter["hold"]["expiresAt"] == hold["expiresAt"]
    assert shorter["balance"] == {"current": 6, "held": 4, "debt": 0}
    clock.pass_by(seconds=590)
    longer = (await act(person, hold, "extend", ttlSeconds=60)).json()["hold"]
    assert moment(longer["expiresAt"]) - moment(hold["expiresAt"]) == timedelta(seconds=50)
    clock.pass_by(seconds=59)
    assert (await act(person, hold, "capture")).status_code == 200


async def test_a_lot_that_runs_out_while_held_is_for_that_hold_only(
    still: tuple[Person, StillClock, Platform],
) -> None:
    person, clock, _ = still
    clock.pass_by(days=29, hours=12)
    hold = await placed(person, amount=4, ttlSeconds=86_400)
    clock.pass_by(hours=13)  # the free plan's credits have run out, the hold has not
    assert await figures(person) == (0, 4, 0)
    assert told(await post(person, "credits/spend", amount=1)) == (402, "insufficient_credits")
    assert told(await place(person, amount=1)) == (402, "insufficient_credits")
    captured = (await act(person, hold, "capture", amount=3, final=True)).json()
    assert (captured["entry"]["amount"], captured["balance"]["current"]) == (-3, 0)
    identity = (await balance(person))["identity"]
    assert (identity["spent"], identity["expired"], identity["held"]) == (3, 7, 0)
    assert await is_proved(person)


async def test_the_sweep_writes_what_has_expired(
    still: tuple[Person, StillClock, Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, clock, platform = still
    bob = await register(ann.client._transport.app)  # type: ignore[attr-defined]
    first, second, young = await placed(ann, amount=1), await placed(bob, amount=2), await placed(bob, amount=3)
    await act(bob, young, "extend", ttlSeconds=3600)
    clock.pass_by(seconds=900)
    monkeypatch.setattr(jobs, "ACCOUNTS_AT_A_TIME", 1)
    assert "ai_credits.expire_holds" in await run_all_sweeps(platform)
    assert [await stored_status(platform, one) for one in (first, second, young)] == ["EXPIRED", "EXPIRED", "OPEN"]
    assert (await figures(ann), await figures(bob)) == ((10, 0, 0), (7, 3, 0))
    assert await is_proved(bob)
    await bob.client.aclose()


async def stored_status(platform: Platform, hold: dict[str, Any]) -> str:
    async with platform.database.reading() as session:
        found: str = (
            await session.execute(text("SELECT status FROM credit_holds WHERE id = :id"), {"id": hold["id"]})
        ).scalar_one()
    return found


# --- retries ----------------------------------------------------------------------------------------------------


async def test_retries_get_the_first_answer_also_when_the_hold_has_moved_on(person: Person) -> None:
    made = await place(person, "place", amount=5)
    hold = made.json()["hold"]
    extended = await act(person, hold, "extend", "extend", ttlSeconds=3600)
    captured = await act(person, hold, "capture", "capture", amount=2)
    released = await act(person, hold, "release", "release")
    again = [
        (made, await place(person, "place", amount=5)),
        (extended, await act(person, hold, "extend", "extend", ttlSeconds=3600)),
        (captured, await act(person, hold, "capture", "capture", amount=2)),
        (released, await act(person, hold, "release", "release")),
    ]
    for first, second in again:
        assert (second.status_code, second.json()) == (first.status_code, first.json())
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
    assert again[0][1].headers["Location"] == made.headers["Location"]
    assert await figures(person) == (8, 0, 2)


async def test_a_key_is_for_one_thing(person: Person) -> None:
    hold = (await place(person, "k", amount=5)).json()["hold"]
    other = await placed(person, amount=1)
    await act(person, hold, "capture", "k", amount=1)
    changed = [
        await place(person, "k", amount=6),
        await place(person, "k", amount=5, ttlSeconds=60),
        await act(person, hold, "capture", "k", amount=2),
        await act(person, hold, "capture", "k", amount=1, final=True),
        await act(person, other, "capture", "k", amount=1),
    ]
    assert {told(answer) for answer in changed} == {(422, "idempotency_key_reused")}
    assert (await act(person, other, "release", "k")).status_code == 200, "a key belongs to one operation"


async def test_a_lost_answer_can_be_asked_for(person: Person) -> None:
    made = await place(person, "k", amount=5)
    hold = made.json()["hold"]
    answers = {
        "placeHold": made,
        "extendHold": await act(person, hold, "extend", "k", ttlSeconds=3600),
        "captureHold": await act(person, hold, "capture", "k", amount=2),
        "releaseHold": await act(person, hold, "release", "k"),
        "spendCredits": await post(person, "credits/spend", "k", amount=1),
    }
    for operation, first in answers.items():
        outcome = (await person.client.get("/api/idempotency/k", params={"route": operation})).json()["outcome"]
        assert (outcome["statusCode"], outcome["body"]) == (first.status_code, first.json())
    refused = await act(person, hold, "capture", "late")
    asked = await person.client.get("/api/idempotency/late", params={"route": "captureHold"})
    assert asked.json()["outcome"]["body"]["code"] == refused.json()["code"] == "hold_already_released"
    missing = await person.client.get("/api/idempotency/never", params={"route": "captureHold"})
    assert missing.status_code == 404


async def test_a_cancelled_request_is_a_command_all_the_same(person: Person, platform: Platform) -> None:
    async with platform.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM credit_accounts WHERE id = :id FOR UPDATE"), {"id": person.id})
        request = asyncio.create_task(place(person, "k", amount=5))
        await somebody_waits_for_a_lock(platform)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    again = await place(person, "k", amount=5)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert await figures(person) == (5, 5, 0)


# --- whose ------------------------------------------------------------------------------------------------------


async def test_a_foreign_hold_does_not_exist(new_person: NewPerson) -> None:
    ann, eve = await new_person(), await new_person()
    pool = await new_pool(ann, 20)
    for hold in (await placed(ann, amount=2), await placed(ann, amount=2, workspaceId=pool)):
        answers = [
            await act(eve, hold, "capture"),
            await act(eve, hold, "release"),
            await act(eve, hold, "extend", ttlSeconds=60),
            await eve.client.get(f"/api/credits/holds/{hold['id']}"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert (await get_hold(ann, hold))["status"] == "OPEN"
    assert (await act(ann, {"id": uuid4()}, "capture")).status_code == 404
    assert (await eve.client.get("/api/credits/holds", params={"workspaceId": pool})).status_code == 404


async def test_a_viewer_moves_no_holds_and_sees_their_own(new_person: NewPerson, platform: Platform) -> None:
    ann, vic = await new_person(), await new_person()
    pool = await new_pool(ann, 20)
    await join(platform, pool, vic, Role.MEMBER)
    own = await placed(vic, amount=1, workspaceId=pool)
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE workspace_members SET role = 'VIEWER' WHERE workspace_id = :pool AND user_id = :id"),
            {"pool": UUID(pool), "id": vic.id},
        )
    other = await placed(ann, amount=2, workspaceId=pool)
    answers = [await place(vic, amount=1, workspaceId=pool)]
    for hold in (own, other):
        answers += [await act(vic, hold, "capture"), await act(vic, hold, "release")]
        answers += [await act(vic, hold, "extend", ttlSeconds=60)]
    assert [answer.status_code for answer in answers] == [403] * 7
    assert (await get_hold(vic, own))["status"] == "OPEN"
    assert told(await vic.client.get(f"/api/credits/holds/{other['id']}")) == (404, "hold_not_found")
    assert await listed(vic, pool) == [own["id"]]


async def listed(person: Person, pool: str, **query: str) -> list[str]:
    answer = await person.client.get("/api/credits/holds", params={"workspaceId": pool, **query})
    assert answer.status_code == 200, answer.text
    return [hold["id"] for hold in answer.json()["holds"]]


async def test_a_members_hold_is_for_them_and_for_managers(new_person: NewPerson, platform: Platform) -> None:
    ann, adi, bob, cid = [await new_person() for _ in range(4)]
    pool = await new_pool(ann, 20)
    for one, role in ((adi, Role.ADMIN), (bob, Role.MEMBER), (cid, Role.MEMBER)):
        await join(platform, pool, one, role)
    of_ann, of_bob = await placed(ann, amount=3, workspaceId=pool), await placed(bob, amount=4, workspaceId=pool)
    of_cid = await placed(cid, amount=1, workspaceId=pool)
    for hold in (of_ann, of_bob):
        refused = [
            await act(cid, hold, "capture", "c", amount=1),
            await act(cid, hold, "release", "r"),
            await act(cid, hold, "extend", "e", ttlSeconds=60_000),
        ]
        assert {told(answer) for answer in refused} == {(403, "not_your_hold")}
        assert told(await cid.client.get(f"/api/credits/holds/{hold['id']}")) == (404, "hold_not_found")
        assert (await get_hold(ann, hold))["expiresAt"] == hold["expiresAt"]
    assert await figures(ann, workspaceId=pool) == (12, 8, 0)
    assert (await listed(cid, pool), await listed(bob, pool)) == ([of_cid["id"]], [of_bob["id"]])
    assert await listed(bob, pool, status="CAPTURED") == []
    assert await listed(adi, pool) == [of_cid["id"], of_bob["id"], of_ann["id"]]
    for one, hold in ((bob, of_bob), (adi, of_ann), (ann, of_cid)):
        assert (await act(one, hold, "extend", ttlSeconds=3600)).status_code == 200
        captured = await act(one, hold, "capture", amount=1)
        assert captured.json()["entry"]["actorUserId"] == str(one.id)
    assert (await act(adi, of_bob, "release")).status_code == 200


async def test_a_refusal_for_whose_it_is_does_not_stay_with_the_key(
    new_person: NewPerson, platform: Platform
) -> None:
    ann, bob = await new_person(), await new_person()
    pool = await new_pool(ann, 20)
    await join(platform, pool, bob, Role.MEMBER)
    hold = await placed(ann, amount=3, workspaceId=pool)
    assert told(await act(bob, hold, "capture", "k", amount=1)) == (403, "not_your_hold")
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE workspace_members SET role = 'ADMIN' WHERE workspace_id = :pool AND user_id = :id"),
            {"pool": UUID(pool), "id": bob.id},
        )
    allowed = await act(bob, hold, "capture", "k", amount=1)
    assert (allowed.status_code, allowed.headers.get("Idempotent-Replayed")) == (200, None)


async def test_a_cap_of_nothing_is_not_passed_by_anothers_hold(new_person: NewPerson, platform: Platform) -> None:
    ann, bob = await new_person(), await new_person()
    pool = await new_pool(ann, 20)
    await join(platform, pool, bob, Role.MEMBER)
    await cap(ann, pool, f"member:{bob.id}", 0)
    hold = await placed(ann, amount=3, workspaceId=pool)
    assert told(await place(bob, amount=1, workspaceId=pool)) == (402, "spending_cap_reached")
    assert told(await act(bob, hold, "capture")) == (403, "not_your_hold")
    assert await figures(ann, workspaceId=pool) == (17, 3, 0)


async def test_members_of_a_pool_share_no_keys(new_person: NewPerson, platform: Platform) -> None:
    ann, bob = await new_person(), await new_person()
    pool = await new_pool(ann, 20)
    await join(platform, pool, bob, Role.MEMBER)
    of_ann = await place(ann, "same", amount=2, workspaceId=pool)
    of_bob = await place(bob, "same", amount=3, workspaceId=pool)
    assert (of_ann.status_code, of_bob.status_code) == (201, 201)
    assert of_ann.json()["hold"]["id"] != of_bob.json()["hold"]["id"]
    await act(bob, of_bob.json()["hold"], "capture", "same", amount=1)
    captured = await act(ann, of_bob.json()["hold"], "capture", "same", amount=2)
    assert captured.json()["entry"]["actorUserId"] == str(ann.id)
    assert await figures(ann, workspaceId=pool) == (15, 2, 3)
    assert await figures(ann) == (10, 0, 0)


async def test_a_cap_binds_holds_by_the_members_role(new_person: NewPerson, platform: Platform) -> None:
    ann, bob = await new_person(), await new_person()
    pool = await new_pool(ann, 50)
    await join(platform, pool, bob, Role.MEMBER)
    now = platform.clock.now()
    async with platform.database.transaction() as session:
        await session.execute(
            text("INSERT INTO credit_caps VALUES (:pool, 'role:MEMBER', 'DAY', 5, 1, :now, :now)"),
            {"pool": UUID(pool), "now": now},
        )
        await session.execute(text("UPDATE credit_accounts SET capped = true WHERE id = :id"), {"id": UUID(pool)})
    hold = await placed(bob, amount=4, workspaceId=pool)
    refused = await place(bob, amount=2, workspaceId=pool)
    assert told(refused) == (402, "spending_cap_reached")
    problem = refused.json()
    assert (problem["subject"], problem["window"], problem["used"]) == ("role:MEMBER", "DAY", 4)
    assert (await place(ann, amount=6, workspaceId=pool)).status_code == 201
    await act(bob, hold, "release")
    assert (await place(bob, amount=5, workspaceId=pool)).status_code == 201


async def test_a_hold_has_a_version_that_grows_with_all_that_happens_to_it(
    still: tuple[Person, StillClock, Platform],
) -> None:
    person, clock, _ = still
    hold = await placed(person, amount=6, ttlSeconds=60)
    address = f"/api/credits/holds/{hold['id']}"
    tag = (await person.client.get(address)).headers["ETag"]
    assert tag == f'"{hold["version"]}"'
    assert (await person.client.get(address, headers={"If-None-Match": tag})).status_code == 304
    seen = [hold["version"]]
    clock.pass_by(seconds=30)
    steps: list[tuple[str, dict[str, Any]]]
    steps = [("capture", {"amount": 1}), ("extend", {"ttlSeconds": 31}), ("capture", {"amount": 2})]
    for action, body in steps:
        seen.append((await act(person, hold, action, **body)).json()["hold"]["version"])
        fresh = await person.client.get(address, headers={"If-None-Match": tag})
        assert (fresh.status_code, fresh.json()["hold"]["version"]) == (200, seen[-1])
        tag = fresh.headers["ETag"]
    clock.pass_by(seconds=31)
    [over] = (await person.client.get("/api/credits/holds")).json()["holds"]
    assert over["status"] == "EXPIRED"
    assert [*seen, over["version"]] == sorted({*seen, over["version"]})
    assert (await person.client.get(address, headers={"If-None-Match": tag})).status_code == 200


async def test_a_balance_has_a_tag_that_a_hold_changes(person: Person) -> None:
    tag = (await person.client.get("/api/credits/balance")).headers["ETag"]
    known = {"If-None-Match": tag}
    assert (await person.client.get("/api/credits/balance", headers=known)).status_code == 304
    await placed(person, amount=1)
    assert (await person.client.get("/api/credits/balance", headers=known)).status_code == 200


# --- lists ------------------------------------------------------------------------------------------------------


async def test_holds_are_listed_newest_first_page_by_page(person: Person) -> None:
    made = [await placed(person, amount=1) for _ in range(5)]
    await act(person, made[1], "capture")
    await act(person, made[3], "release")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await person.client.get("/api/credits/holds", params=query)).json()
        seen += [hold["id"] for hold in page["holds"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
        assert len(page["holds"]) == 2
    assert seen == [hold["id"] for hold in reversed(made)]
    for status, expected in (("OPEN", [4, 2, 0]), ("CAPTURED", [1]), ("RELEASED", [3]), ("EXPIRED", [])):
        found = (await person.client.get("/api/credits/holds", params={"status": status})).json()["holds"]
        assert [hold["id"] for hold in found] == [made[place]["id"] for place in expected]
        assert {hold["status"] for hold in found} <= {status}


async def test_a_cursor_belongs_to_its_list(person: Person) -> None:
    for _ in range(2):
        await placed(person, amount=1)
    cursor = (await person.client.get("/api/credits/holds", params={"limit": 1})).json()["nextCursor"]
    other = await person.client.get("/api/credits/holds", params={"cursor": cursor, "status": "OPEN"})
    assert told(other) == (422, "invalid_cursor")
