"""Gifts over HTTP: to a person, by code, returned, taken back; and the races between them."""

import asyncio
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.crypto import KeyRing
from pm_api.core.jobs import PERIODICS, JobContext
from pm_api.core.platform import Platform
from pm_api.core.settings import SecretKey
from pm_api.domains.ai_credits import gift_claims, gift_codes, ledger
from pm_api.domains.ai_credits.enums import GiftStatus, LotKind
from pm_api.domains.ai_credits.repository import gifts as repository
from pm_api.domains.ai_credits.repository.ledger import lock_accounts
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as identity
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.ai_credits.story import Story
from tests.domains.ai_credits.test_routes import balance, grant, spend
from tests.identity.teams import join, somebody_waits_for_a_lock
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

CODE = re.compile(r"^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$")


async def give(person: Person, key: str | None = None, **body: Any) -> httpx.Response:
    return await person.client.post("/api/credits/gifts", headers={"Idempotency-Key": key or uuid4().hex}, json=body)


async def give_codes(person: Person, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or uuid4().hex}
    return await person.client.post("/api/credits/gifts/codes", headers=headers, json=body)


async def redeem(person: Person, code: str, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await person.client.post("/api/credits/gifts/redeem", headers=headers, json={"code": code})


async def gift(person: Person, gift_id: str) -> dict[str, Any]:
    answer = await person.client.get(f"/api/credits/gifts/{gift_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def code_of(person: Person, **body: Any) -> tuple[str, str]:
    """(gift, code) of a new code."""
    answer = await give(person, **{"amount": 10, "code": {}, **body})
    assert answer.status_code == 201, answer.text
    [issued] = answer.json()["codes"]
    return answer.json()["gift"]["id"], issued["code"]


@pytest.fixture
async def giver(new_person: NewPerson) -> Person:
    """With 110 credits, 100 of which may be given away."""
    person = await new_person(name="Ann Archer")
    assert (await grant(person.client, userId=str(person.id), amount=100)).status_code == 200
    return person


async def prove(platform: Platform, *account_ids: UUID) -> None:
    """Every book adds up, and no credit is in two places."""
    async with platform.database.reading() as session:
        for account_id in account_ids:
            rows = await session.execute(
                text(
                    "SELECT balance ="
                    " (SELECT coalesce(sum(remaining), 0) FROM credit_grants g WHERE g.account_id = a.id)"
                    " AND granted = balance + spent + expired + voided + transferred_out"
                    " AND seq = (SELECT count(*) FROM credit_entries e WHERE e.account_id = a.id)"
                    " AND balance = (SELECT coalesce(sum(amount), 0) FROM credit_entries e WHERE e.account_id = a.id)"
                    " FROM credit_accounts a WHERE id = :id"
                ),
                {"id": account_id},
            )
            assert rows.scalar_one(), account_id


async def notified(person: Person) -> list[str]:
    answer = await person.client.get("/api/notifications")
    assert answer.status_code == 200, answer.text
    return [one["type"] for one in answer.json()["notifications"]]


# --- to a person -----------------------------------------------------------------------------------------------


async def test_a_gift_moves_credits_at_once(giver: Person, new_person: NewPerson, platform: Platform) -> None:
    bob = await new_person()
    answer = await give(giver, recipientEmail=bob.email.upper(), amount=30, message="Thank you!")
    assert answer.status_code == 201, answer.text
    sent = answer.json()
    assert (sent["gift"]["status"], sent["gift"]["claims"], sent["codes"]) == ("CLAIMED", 1, [])
    assert sent["balance"] == {"current": 80, "held": 0, "debt": 0}
    assert answer.headers["Location"] == f"/api/credits/gifts/{sent['gift']['id']}"
    found = await balance(bob)
    [lot] = [one for one in found["lots"] if one["kind"] == "GIFT"]
    lives = datetime.fromisoformat(lot["expiresAt"]) - datetime.fromisoformat(lot["effectiveAt"])
    assert (found["current"], lot["amount"]) == (40, 30)
    assert timedelta(days=364, hours=23) < lives <= timedelta(days=366), "12 months"
    assert (await balance(giver))["identity"]["transferredOut"] == 30
    assert "credits.gift_received" in await notified(bob)
    [received] = (await bob.client.get("/api/credits/gifts?direction=received")).json()["gifts"]
    assert (received["message"], received["fromName"], received["maxClaims"]) == ("Thank you!", "Ann Archer", None)
    await prove(platform, giver.id, bob.id)


async def test_the_same_key_gives_once_and_answers_the_same(
    giver: Person, new_person: NewPerson, clock: MovableClock
) -> None:
    bob = await new_person()
    first = await give(giver, "k", recipientUserId=str(bob.id), amount=30)
    await give(giver, recipientUserId=str(bob.id), amount=1)
    clock.shift_to(timedelta(days=3))  # longer than any answer is kept: the ledger's own record is for ever
    again = await give(giver, "k", recipientUserId=str(bob.id), amount=30)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await give(giver, "k", recipientUserId=str(bob.id), amount=31)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await balance(bob))["identity"]["granted"] == 41
    missing = await giver.client.post("/api/credits/gifts", json={"recipientUserId": str(bob.id), "amount": 1})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")


async def test_what_runs_out_may_not_be_given_away(giver: Person, new_person: NewPerson) -> None:
    bob = await new_person()
    refused = await give(giver, "k", recipientUserId=str(bob.id), amount=101)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (402, "insufficient_credits")
    assert (problem["needed"], problem["available"]) == (101, 100)
    assert "may be given away" in problem["detail"]
    await grant(giver.client, userId=str(giver.id), amount=100)
    again = await give(giver, "k", recipientUserId=str(bob.id), amount=101)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (402, "true")
    assert (await balance(bob))["seq"] == 1, "a refused gift writes nothing on the other side"
    outcome = await giver.client.get("/api/idempotency/k", params={"route": "sendGift"})
    assert outcome.json()["outcome"]["statusCode"] == 402


async def test_the_outcome_of_a_lost_answer_can_be_asked_for(giver: Person, new_person: NewPerson) -> None:
    bob = await new_person()
    sent = await give(giver, "k", recipientUserId=str(bob.id), amount=3)
    outcome = (await giver.client.get("/api/idempotency/k", params={"route": "sendGift"})).json()["outcome"]
    assert (outcome["statusCode"], outcome["body"]) == (201, sent.json())


async def test_recipients_that_are_none(giver: Person) -> None:
    for body, code in (
        ({"recipientUserId": str(uuid4())}, "recipient_not_found"),
        ({"recipientEmail": f"{uuid4().hex}@example.com"}, "recipient_not_found"),
        ({"recipientUserId": str(giver.id)}, "gift_to_self"),
        ({"recipientEmail": giver.email}, "gift_to_self"),
    ):
        answer = await give(giver, amount=1, **body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await balance(giver))["current"] == 110


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 1},
        {"amount": 0, "code": {}},
        {"amount": 1.5, "code": {}},
        {"amount": 1, "code": {}, "recipientEmail": "bob@example.com"},
        {"amount": 1, "code": {"maxClaims": 0}},
        {"amount": 1, "code": {"maxClaims": 10_001}},
        {"amount": 1, "code": {"expiresAt": "2020-01-01T00:00:00Z"}},
        {"amount": 1, "code": {"expiresAt": "2099-01-01T00:00:00Z"}},
        {"amount": 10**9, "code": {"maxClaims": 2}},
        {"amount": 1, "code": {}, "message": "x" * 501},
        {"amount": 1, "code": {}, "typo": 1},
    ],
)
async def test_bad_input_writes_nothing(giver: Person, body: dict[str, Any]) -> None:
    answer = await give(giver, **body)
    assert answer.status_code == 422, answer.text
    assert (await balance(giver))["seq"] == 2


async def test_who_has_an_account_cannot_be_tried_out(fresh_database: str) -> None:
    """A sending that comes to nothing counts, whether for its recipient or its price: 20 an hour."""
    settings = settings_for(fresh_database, rate_limits=True)
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        ann, bob = await register(app), await register(app)
        statuses = []
        for number in range(21):
            to = bob.email if number % 2 else f"{uuid4().hex}@example.com"
            statuses.append((await give(ann, recipientEmail=to, amount=1)).status_code)
        assert set(statuses[:20]) == {402, 422}
        assert statuses[20] == 429
        await ann.client.aclose()
        await bob.client.aclose()


# --- codes -----------------------------------------------------------------------------------------------------


async def test_a_code_is_shown_once_and_claimed_once(
    giver: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob, eve = await new_person(), await new_person()
    sent = await give(giver, "k", amount=25, code={}, message="For you")
    [issued] = sent.json()["codes"]
    assert CODE.match(issued["code"])
    assert sent.json()["gift"]["status"] == "OPEN"
    again = await give(giver, "k", amount=25, code={}, message="For you")
    assert again.json() == sent.json(), "a retry shows the same code"
    typed = issued["code"].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    claimed = await redeem(bob, typed)
    assert claimed.status_code == 200, claimed.text
    assert claimed.json()["balance"]["current"] == 35
    assert claimed.json()["gift"]["direction"] == "received"
    late, twice = await redeem(eve, issued["code"]), await redeem(bob, issued["code"])
    assert (late.status_code, late.json()["code"]) == (409, "gift_code_spent")
    assert (twice.status_code, twice.json()["code"]) == (409, "gift_already_claimed")
    found = await gift(giver, sent.json()["gift"]["id"])
    assert (found["gift"]["status"], found["codes"]) == ("CLAIMED", [{"number": 1, "maxClaims": 1, "claims": 1}])
    assert "credits.gift_claimed" in await notified(giver)
    await prove(platform, giver.id, bob.id, eve.id)


async def test_a_retry_of_a_redemption_gets_its_answer_again(giver: Person, new_person: NewPerson) -> None:
    bob = await new_person()
    _, code = await code_of(giver)
    body = {"code": code, "idempotencyKey": "mine"}
    first = await bob.client.post("/api/credits/gifts/redeem", json=body)
    await spend(bob, amount=1)
    again = await bob.client.post("/api/credits/gifts/redeem", json=body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await bob.client.post("/api/credits/gifts/redeem", json={**body, "idempotencyKey": "other"})
    assert other.status_code == 409
    assert (await balance(bob))["identity"]["granted"] == 20


async def test_a_code_for_several_people(giver: Person, new_person: NewPerson) -> None:
    gift_id, code = await code_of(giver, code={"maxClaims": 3})
    assert (await balance(giver))["current"] == 80
    people = [await new_person() for _ in range(4)]
    assert [(await redeem(one, code)).status_code for one in people] == [200, 200, 200, 409]
    assert (await redeem(people[0], code)).json()["code"] == "gift_already_claimed"
    assert (await gift(giver, gift_id))["gift"]["claims"] == 3


async def test_codes_for_a_team(giver: Person, new_person: NewPerson, platform: Platform) -> None:
    bob, eve = await new_person(), await new_person()
    sent = (await give_codes(giver, "team", count=5, amount=8)).json()
    codes = [one["code"] for one in sent["codes"]]
    assert len(set(codes)) == 5
    assert sent["balance"]["current"] == 70
    assert (await give_codes(giver, "team", count=5, amount=8)).json() == sent
    assert (await redeem(bob, codes[3])).status_code == 200
    assert (await redeem(eve, codes[3])).json()["code"] == "gift_code_spent"
    assert (await redeem(eve, codes[0])).status_code == 200
    found = await gift(giver, sent["gift"]["id"])
    assert [one["claims"] for one in found["codes"]] == [1, 0, 0, 1, 0]
    assert (found["gift"]["claims"], found["gift"]["status"]) == (2, "OPEN")
    await prove(platform, giver.id, bob.id, eve.id)


async def test_no_code_rests_in_the_database(giver: Person, platform: Platform) -> None:
    _, code = await code_of(giver)
    async with platform.database.reading() as session:
        dump = ""
        for table in ("credit_gifts", "credit_gift_codes", "credit_commands", "credit_entries"):
            dump += str((await session.execute(text(f"SELECT array_agg({table}::text) FROM {table}"))).scalar())
    assert "Gift codes" in dump
    assert code not in dump
    assert code.replace("-", "") not in dump


def test_codes_outlive_a_roll_of_keys_and_end_with_their_own() -> None:
    def key(name: str, letter: str) -> SecretKey:
        return SecretKey.model_validate({"id": name, "value": (letter * 43 + "=")})

    class Fixed:
        def token(self, entropy_bytes: int = 32) -> str:
            return "x" * entropy_bytes

        def uuid(self) -> UUID:
            return UUID(int=1)

        def uniform(self) -> float:
            return 0.0

    old, new = key("old", "A"), key("new", "B")
    gift_id = uuid4()
    before = KeyRing((old,))
    seed = gift_codes.new_seed(before, Fixed(), gift_id)
    codes = gift_codes.issue(before, seed, gift_id, 500)
    assert len(set(codes)) == 500
    rolled = KeyRing((new, old))
    assert gift_codes.issue(rolled, seed, gift_id, 500) == codes
    assert gift_codes.digest(before, codes[0]) in gift_codes.digests(rolled, codes[0])
    assert gift_codes.issue(KeyRing((new,)), seed, gift_id, 1) == []
    assert gift_codes.digests(rolled, "no code") == []


async def test_wrong_and_own_codes(giver: Person, person: Person) -> None:
    _, code = await code_of(giver)
    own = await redeem(giver, code)
    assert (own.status_code, own.json()["code"]) == (422, "gift_to_self")
    for wrong in ("7KQ2-M9XW-4TDR", "x", "-" * 14, "7KQ2-M9XW-4TDÜ"):
        answer = await redeem(person, wrong)
        assert (answer.status_code, answer.json()["code"]) == (404, "gift_code_not_found"), wrong


async def test_codes_cannot_be_guessed_for_long(fresh_database: str) -> None:
    settings = settings_for(fresh_database, rate_limits=True, rate_limit_auth="3/minute")
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        ann = await register(app)
        statuses = [(await redeem(ann, "7KQ2-M9XW-4TDR")).status_code for _ in range(4)]
        assert statuses == [404, 404, 404, 429]
        await ann.client.aclose()


# --- going back ------------------------------------------------------------------------------------------------


async def test_what_nobody_claims_goes_back_to_its_lots(
    giver: Person, new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    bob, eve = await new_person(), await new_person()
    gift_id, code = await code_of(giver, code={"maxClaims": 4})
    assert (await redeem(bob, code)).status_code == 200
    before = [lot for lot in (await balance(giver))["lots"] if lot["kind"] == "ADMIN_ADJUSTMENT"]
    assert before[0]["remaining"] == 60
    clock.shift_to(timedelta(days=90, seconds=1))
    late = await redeem(eve, code)
    assert (late.status_code, late.json()["code"]) == (410, "gift_code_expired"), "by the clock, before any sweep"
    assert (await gift(giver, gift_id))["gift"]["status"] == "EXPIRED"
    sweep = PERIODICS["ai_credits.return_gifts"]
    for _ in range(2):
        await sweep.run(JobContext(platform, sweep.name))
    found = await gift(giver, gift_id)
    assert (found["gift"]["status"], found["gift"]["returned"]) == ("EXPIRED", 30)
    [lot] = [lot for lot in (await balance(giver))["lots"] if lot["kind"] == "ADMIN_ADJUSTMENT"]
    assert (lot["id"], lot["remaining"], lot["transferredOut"]) == (before[0]["id"], 90, 10)
    assert "credits.gift_returned" in await notified(giver)
    assert (await redeem(eve, code)).status_code == 410
    history = (await giver.client.get("/api/credits/history?type=TRANSFER_IN")).json()["entries"]
    assert [entry["amount"] for entry in history] == [30]
    await prove(platform, giver.id, bob.id, eve.id)


async def test_a_gift_is_taken_back_once(giver: Person, new_person: NewPerson, platform: Platform) -> None:
    bob = await new_person()
    gift_id, code = await code_of(giver, code={"maxClaims": 2})
    assert (await redeem(bob, code)).status_code == 200
    path = f"/api/credits/gifts/{gift_id}/cancel"
    stale = await giver.client.post(path, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    strangers = await bob.client.post(path)
    assert strangers.status_code == 404
    taken = await giver.client.post(path, headers={"If-Match": '"2"', "Idempotency-Key": "c"})
    assert (taken.status_code, taken.json()["gift"]["status"], taken.json()["gift"]["returned"]) == (
        200,
        "CANCELLED",
        10,
    )
    replayed = await giver.client.post(path, headers={"If-Match": '"2"', "Idempotency-Key": "c"})
    assert replayed.headers["Idempotent-Replayed"] == "true"
    again = await giver.client.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "gift_closed")
    gone = await redeem(await new_person(), code)
    assert (gone.status_code, gone.json()["code"]) == (410, "gift_code_expired")
    assert (await balance(giver))["current"] == 100
    await prove(platform, giver.id, bob.id)


async def test_lists_are_paged_and_each_side_sees_its_own(giver: Person, new_person: NewPerson) -> None:
    bob = await new_person()
    made = [(await give(giver, recipientUserId=str(bob.id), amount=one)).json()["gift"]["id"] for one in (1, 2, 3)]
    first = (await giver.client.get("/api/credits/gifts?limit=2")).json()
    rest = (await giver.client.get(f"/api/credits/gifts?limit=2&cursor={first['nextCursor']}")).json()
    assert [one["id"] for one in (*first["gifts"], *rest["gifts"])] == list(reversed(made))
    assert rest["nextCursor"] is None
    assert (await giver.client.get("/api/credits/gifts?direction=received")).json()["gifts"] == []
    page = (await bob.client.get("/api/credits/gifts?direction=received&limit=2")).json()
    assert [one["amount"] for one in page["gifts"]] == [3, 2]
    wrong = await giver.client.get(f"/api/credits/gifts?cursor={page['nextCursor']}")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_cursor")
    tag = (await giver.client.get(f"/api/credits/gifts/{made[0]}")).headers["etag"]
    known = await giver.client.get(f"/api/credits/gifts/{made[0]}", headers={"If-None-Match": tag})
    assert known.status_code == 304
    assert (await bob.client.get(f"/api/credits/gifts/{made[0]}")).status_code == 404


async def test_a_pool_pays_for_its_gifts(giver: Person, new_person: NewPerson, platform: Platform) -> None:
    workspace = (await giver.client.post("/api/workspaces", json={"name": "Acme"})).json()["workspace"]["id"]
    await grant(giver.client, workspaceId=workspace, amount=50)
    sent = await give_codes(giver, count=2, amount=20, workspaceId=workspace)
    assert sent.status_code == 201, sent.text
    assert sent.json()["balance"]["current"] == 10
    assert (await balance(giver))["current"] == 110
    bob = await new_person()
    assert (await redeem(bob, sent.json()["codes"][1]["code"])).status_code == 200
    listed = (await giver.client.get("/api/credits/gifts", params={"workspaceId": workspace})).json()["gifts"]
    assert [one["accountId"] for one in listed] == [workspace]
    cancelled = await giver.client.post(f"/api/credits/gifts/{sent.json()['gift']['id']}/cancel")
    assert cancelled.json()["gift"]["returned"] == 20
    assert (await balance(giver, workspaceId=workspace))["current"] == 30
    stranger = await give(bob, amount=1, code={}, workspaceId=workspace)
    assert stranger.status_code == 404
    await prove(platform, UUID(workspace), giver.id, bob.id)


async def pool_of(owner: Person, credits: int = 50) -> str:
    workspace: str = (await owner.client.post("/api/workspaces", json={"name": "Acme"})).json()["workspace"]["id"]
    assert (await grant(owner.client, workspaceId=workspace, amount=credits)).status_code == 200
    return workspace


async def test_who_left_a_workspace_is_told_no_more_of_its_gifts(
    giver: Person, new_person: NewPerson, platform: Platform
) -> None:
    workspace = await pool_of(giver)
    manager, bob, eve = [await new_person() for _ in range(3)]
    member = await join(platform, workspace, manager, Role.ADMIN)
    sent = (await give_codes(manager, count=2, amount=5, workspaceId=workspace)).json()
    assert (await redeem(bob, sent["codes"][0]["code"])).status_code == 200
    assert (await notified(manager)).count("credits.gift_claimed") == 1
    removed = await giver.client.delete(f"/api/team/members/{member}")
    assert removed.status_code == 200, removed.text
    assert (await redeem(eve, sent["codes"][1]["code"])).status_code == 200
    async with platform.database.reading() as session:
        rows = await session.execute(
            text("SELECT workspace_id FROM notifications WHERE user_id = :id AND type = 'credits.gift_claimed'"),
            {"id": manager.id},
        )
        assert [row[0] for row in rows] in ([], [UUID(workspace)])
    assert "credits.gift_claimed" not in await notified(manager)


async def test_who_gets_a_gift_does_not_learn_whose_account_gave_it(giver: Person, new_person: NewPerson) -> None:
    workspace = await pool_of(giver)
    bob = await new_person()
    code = (await give_codes(giver, count=1, amount=5, workspaceId=workspace)).json()["codes"][0]["code"]
    redeemed = await redeem(bob, code)
    assert redeemed.json()["gift"]["accountId"] is None
    await give(giver, recipientUserId=str(bob.id), amount=5, workspaceId=workspace)
    received = await bob.client.get("/api/credits/gifts?direction=received")
    assert [one["accountId"] for one in received.json()["gifts"]] == [None, None]
    assert workspace not in redeemed.text + received.text
    listed = (await giver.client.get("/api/credits/gifts", params={"workspaceId": workspace})).json()["gifts"]
    assert {one["accountId"] for one in listed} == {workspace}


FULL = 500


async def fill_up(platform: Platform, person: Person, lots: int) -> None:
    story = Story(platform, person.id)
    await story.grant(*(story.lot(LotKind.PURCHASE, 1) for _ in range(lots)))


async def test_a_full_recipient_costs_the_giver_nothing(
    giver: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    await fill_up(platform, bob, FULL - 1)
    refused = await give(giver, "k", recipientUserId=str(bob.id), amount=30)
    assert (refused.status_code, refused.json()["code"]) == (409, "recipient_full")
    assert (await balance(giver))["current"] == 110
    assert (await giver.client.get("/api/credits/gifts")).json()["gifts"] == []
    assert "credits.gift_received" not in await notified(bob)
    await spend(bob, amount=20)
    again = await give(giver, "k", recipientUserId=str(bob.id), amount=30)
    assert (again.status_code, again.json()["balance"]["current"]) == (201, 80), "the key was not used up"
    await prove(platform, giver.id, bob.id)


async def test_a_code_waits_until_its_claimant_has_room(
    giver: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    await fill_up(platform, bob, FULL - 1)
    gift_id, code = await code_of(giver)
    refused = await redeem(bob, code)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_lots")
    found = (await gift(giver, gift_id))["gift"]
    assert (found["status"], found["claims"]) == ("OPEN", 0)
    assert "credits.gift_claimed" not in await notified(giver)
    await spend(bob, amount=20)
    assert (await redeem(bob, code)).status_code == 200
    await prove(platform, giver.id, bob.id)


# --- races -----------------------------------------------------------------------------------------------------


async def test_fifty_people_and_one_code(
    giver: Person, new_person: NewPerson, app: FastAPI, platform: Platform
) -> None:
    gift_id, code = await code_of(giver)
    people = await asyncio.gather(*(new_person() for _ in range(50)))
    answers = await asyncio.gather(*(redeem(one, code) for one in people))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"gift_code_spent"}
    balances = [(await balance(one))["current"] for one in people]
    assert sum(balances) == 50 * 10 + 10
    assert (await gift(giver, gift_id))["gift"]["claims"] == 1


async def test_one_person_redeems_many_times_at_once(giver: Person, person: Person) -> None:
    _, code = await code_of(giver, code={"maxClaims": 10})
    answers = await asyncio.gather(*(redeem(person, code) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert (await balance(person))["identity"]["granted"] == 20


async def test_gifts_that_cross_do_not_block_each_other(
    giver: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    await grant(bob.client, userId=str(bob.id), amount=100)
    there = [give(giver, recipientUserId=str(bob.id), amount=2) for _ in range(15)]
    back = [give(bob, recipientUserId=str(giver.id), amount=3) for _ in range(15)]
    answers = await asyncio.gather(*(one for pair in zip(there, back, strict=True) for one in pair))
    assert {answer.status_code for answer in answers} == {201}
    assert (await balance(giver))["current"] == 110 - 30 + 45
    assert (await balance(bob))["current"] == 110 + 30 - 45
    await prove(platform, giver.id, bob.id)


async def test_the_same_gift_sent_at_once_is_sent_once(giver: Person, new_person: NewPerson) -> None:
    bob = await new_person()
    answers = await asyncio.gather(*(give(giver, "k", recipientUserId=str(bob.id), amount=7) for _ in range(10)))
    assert {(answer.status_code, answer.json()["gift"]["id"]) for answer in answers} == {
        (201, answers[0].json()["gift"]["id"])
    }
    assert (await balance(bob))["current"] == 17


async def test_claims_against_a_cancellation(giver: Person, new_person: NewPerson, platform: Platform) -> None:
    """Whoever gets the gift's row first decides; nothing is there twice, and nobody waits for ever."""
    people = [await new_person() for _ in range(12)]
    for _ in range(4):
        gift_id, code = await code_of(giver, amount=1, code={"maxClaims": 13})  # one more than there are people
        path = f"/api/credits/gifts/{gift_id}/cancel"
        half = len(people) // 2
        answers = await asyncio.gather(
            *(redeem(one, code) for one in people[:half]),
            giver.client.post(path),
            *(redeem(one, code) for one in people[half:]),
        )
        cancelled = answers.pop(half)
        assert cancelled.status_code == 200, cancelled.text
        claims = sum(answer.status_code == 200 for answer in answers)
        assert {answer.status_code for answer in answers} <= {200, 410}
        found = (await gift(giver, gift_id))["gift"]
        assert (found["claims"], found["returned"]) == (claims, 13 - claims)
    everything = [(await balance(one))["current"] for one in (giver, *people)]
    assert sum(everything) == 110 + 12 * 10
    await prove(platform, giver.id, *(one.id for one in people))


async def test_a_claim_and_the_return_meet_at_the_gifts_row(
    giver: Person, new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    """The return holds the row when a claim that was in time when it asked comes to it: it finds the gift closed."""
    bob = await new_person()
    gift_id, code = await code_of(giver)
    async with platform.database.transaction() as session:
        await lock_accounts(session, [giver.id])
        given = await repository.lock_gift(session, giver.id, UUID(gift_id))
        assert given is not None
        claiming = asyncio.create_task(redeem(bob, code))
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%credit_gifts%'"
        )
        async with asyncio.timeout(10), platform.database.reading() as looking:
            while not (await looking.execute(waiting)).scalar():
                await looking.rollback()
        clock.shift_to(timedelta(days=91))
        await gift_claims.close(session, platform, given, GiftStatus.EXPIRED, by=ledger.by_system())
    answer = await claiming
    assert (answer.status_code, answer.json()["code"]) == (410, "gift_code_expired")
    clock.reset()
    kinds = {lot["kind"]: lot["remaining"] for lot in (await balance(giver))["lots"]}
    assert kinds == {"ADMIN_ADJUSTMENT": 100}, "all of it is back; the free credits ran out meanwhile"
    assert (await balance(bob))["current"] == 10


@pytest.mark.parametrize("what", ["send", "codes", "cancel"])
async def test_who_loses_the_pool_while_they_wait_gives_nothing_of_it(
    giver: Person, new_person: NewPerson, platform: Platform, what: str
) -> None:
    """The guard let them in before; the role that counts is the one under the workspace's lock."""
    workspace = await pool_of(giver)
    manager, bob = await new_person(), await new_person()
    member = await join(platform, workspace, manager, Role.ADMIN)
    code = (await give_codes(giver, count=1, amount=10, workspaceId=workspace)).json()
    async with platform.database.transaction() as session:
        await identity.lock_workspace(session, UUID(workspace))
        if what == "send":
            asking = give(manager, recipientUserId=str(bob.id), amount=5, workspaceId=workspace)
        elif what == "codes":
            asking = give_codes(manager, count=2, amount=5, workspaceId=workspace)
        else:
            asking = manager.client.post(f"/api/credits/gifts/{code['gift']['id']}/cancel")
        waiting = asyncio.create_task(asking)
        await somebody_waits_for_a_lock(platform)
        await session.execute(text("UPDATE workspace_members SET role = 'VIEWER' WHERE id = :id"), {"id": member})
    answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await balance(giver, workspaceId=workspace))["current"] == 40
    assert (await balance(bob))["current"] == 10
    assert (await gift(giver, code["gift"]["id"]))["gift"]["status"] == "OPEN"
    await prove(platform, UUID(workspace), bob.id)


async def test_the_books_of_both_sides_can_be_proved(
    giver: Person, new_person: NewPerson, platform: Platform
) -> None:
    bob = await new_person()
    _, code = await code_of(giver, code={"maxClaims": 2})
    await redeem(bob, code)
    await spend(bob, amount=13)
    for one in (giver, bob):
        answer = await one.client.get("/api/credits/verify")
        assert answer.json()["verification"]["problems"] == []
