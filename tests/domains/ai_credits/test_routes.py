"""The credit routes over HTTP."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import run_all_sweeps
from pm_api.core.platform import Platform
from tests.conftest import NewPerson, Person, register
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY

OPERATOR = {"x-admin-key": ADMIN_KEY}


async def grant(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    content = {"amount": 100, "reason": "for the test", "idempotencyKey": uuid4().hex, **body}
    return await client.post("/api/credits/grant", headers=OPERATOR, json=content)


async def spend(person: Person, key: str | None = None, **body: Any) -> httpx.Response:
    return await person.client.post("/api/credits/spend", headers={"Idempotency-Key": key or uuid4().hex}, json=body)


async def balance(person: Person, **query: str) -> dict[str, Any]:
    answer = await person.client.get("/api/credits/balance", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["balance"]
    identity = found["identity"]
    assert identity["granted"] == sum(value for name, value in identity.items() if name != "granted")
    assert identity["available"] == found["current"]
    return found


async def test_a_new_user_has_the_free_plan(person: Person, platform: Platform) -> None:
    found = await balance(person)
    assert (found["current"], found["limit"], found["held"], found["debt"], found["seq"]) == (10, 10, 0, 0, 1)
    [lot] = found["lots"]
    assert lot["kind"] == "FREE_TIER"
    assert lot["expiresAt"] == found["resetDate"]
    overview = (await person.client.get("/api/ai/credits")).json()
    assert overview["balance"] == {"current": 10, "limit": 10, "resetDate": found["resetDate"]}
    assert overview["pricing"]["creditCost"] == 0.02
    assert overview["pricing"]["packSizes"]["MEDIUM"] == {"credits": 500, "price": 899, "bonus": 50}


async def test_spending_a_service_uses_its_price_rule(person: Person) -> None:
    answer = await spend(person, service="TASK_GENERATION", quantity=2, metadata={"list": "launch"})
    entry = answer.json()["entry"]
    assert answer.status_code == 200
    assert (entry["amount"], entry["balanceAfter"], entry["priceVersion"], entry["quantity"]) == (-6, 4, 1, 2)
    assert entry["metadata"] == {"list": "launch"}
    assert answer.json()["balance"] == {"current": 4, "held": 0, "debt": 0}
    await spend(person, amount=1)
    usage = (await person.client.get("/api/ai/credits")).json()["usage"]
    assert usage == {"thisMonth": 7, "breakdown": {"OTHER": 1, "TASK_GENERATION": 6}}


async def test_not_enough_says_what_is_needed_and_where_to_buy(person: Person) -> None:
    answer = await spend(person, amount=11)
    problem = answer.json()
    assert answer.status_code == 402
    assert (problem["code"], problem["needed"], problem["available"]) == ("insufficient_credits", 11, 10)
    assert problem["buyUrl"] == "http://site.local/credits"
    assert (await balance(person))["current"] == 10


async def test_the_key_may_stand_in_the_body(person: Person) -> None:
    body = {"amount": 1, "idempotencyKey": "in-body"}
    first = await person.client.post("/api/credits/spend", json=body)
    again = await person.client.post("/api/credits/spend", headers={"Idempotency-Key": "in-body"}, json={"amount": 1})
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    differing = await person.client.post("/api/credits/spend", headers={"Idempotency-Key": "other"}, json=body)
    missing = await person.client.post("/api/credits/spend", json={"amount": 1})
    assert (differing.status_code, differing.json()["code"]) == (422, "invalid_idempotency_key")
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")


async def test_same_key_other_content_is_refused(person: Person) -> None:
    assert (await spend(person, "k", amount=1)).status_code == 200
    for body in ({"amount": 2}, {"amount": 1, "description": "other"}, {"amount": 1, "metadata": {"a": 1}}):
        answer = await spend(person, "k", **body)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (await balance(person))["current"] == 9


async def test_keys_of_two_members_never_clash(new_person: NewPerson, platform: Platform) -> None:
    ann, bob = await new_person(), await new_person()
    first, second = await spend(ann, "same", amount=1), await spend(bob, "same", amount=1)
    assert first.json()["entry"]["id"] != second.json()["entry"]["id"]
    assert "Idempotent-Replayed" not in second.headers


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"amount": 0}, "/amount"),
        ({"amount": -3}, "/amount"),
        ({"amount": 1.5}, "/amount"),
        ({"amount": 3.0}, "/amount"),
        ({"amount": "3"}, "/amount"),
        ({"amount": True}, "/amount"),
        ({"amount": 10**9 + 1}, "/amount"),
        ({"amount": 10**30}, "/amount"),
        ({"service": "MIND_READING"}, "/service"),
        ({"service": "TASK_GENERATION", "quantity": 0}, "/quantity"),
        ({"amount": 1, "service": "TASK_GENERATION"}, ""),
        ({"amount": 1, "quantity": 2}, ""),
        ({}, ""),
        ({"amount": 1, "typo": 1}, "/typo"),
        ({"amount": 1, "metadata": {"a": "x" * 8200}}, "/metadata"),
        ({"amount": 1, "metadata": {"a": "\x00"}}, "/metadata"),
        ({"amount": 1, "metadata": {"a": 10**30}}, "/metadata"),
        ({"amount": 1, "description": "\x00"}, "/description"),
        ({"amount": 1, "description": "x" * 501}, "/description"),
        ({"amount": 1, "workspaceId": "nowhere"}, "/workspaceId"),
        ({"amount": 1, "idempotencyKey": "k" * 256}, "/idempotencyKey"),
    ],
)
async def test_bad_input_is_a_problem_and_writes_nothing(person: Person, body: dict[str, Any], pointer: str) -> None:
    headers = {} if "idempotencyKey" in body else {"Idempotency-Key": "bad"}
    answer = await person.client.post("/api/credits/spend", headers=headers, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in {detail["pointer"] for detail in answer.json()["details"]}
    assert (await balance(person))["seq"] == 1


async def test_lone_surrogates_and_long_keys(person: Person) -> None:
    raw = await person.client.post(
        "/api/credits/spend",
        headers={"Idempotency-Key": "raw", "Content-Type": "application/json"},
        content=b'{"amount": 1, "description": "\\ud800"}',
    )
    long = await spend(person, "k" * 256, amount=1)
    assert (raw.status_code, long.status_code) == (422, 422)
    assert (await balance(person))["seq"] == 1


async def test_metadata_comes_back_as_it_was(person: Person) -> None:
    metadata = {"n": 1e22, "f": 1.0, "z": -0.0, "deep": {"b": [1, None, True, "ü"], "a": {}}}
    made = (await spend(person, "m", amount=1, metadata=metadata)).json()["entry"]
    [listed, _] = (await person.client.get("/api/credits/history")).json()["entries"]
    assert made["metadata"] == listed["metadata"] == metadata
    assert (await person.client.get("/api/credits/verify")).json()["verification"]["ok"]


async def test_whose_credits_are_meant_is_never_guessed(new_person: NewPerson) -> None:
    """Another spelling of a field, or of the body, must not send the bill to the wallet."""
    ann = await new_person()
    pool = (await ann.client.post("/api/workspaces", json={"name": "Pool"})).json()["workspace"]["id"]
    await grant(ann.client, workspaceId=pool, amount=9)
    snake = await spend(ann, amount=3, workspace_id=pool)
    assert (snake.status_code, snake.json()["details"][0]["pointer"]) == (422, "/workspace_id")
    body = f'{{"amount": 3, "workspaceId": "{pool.upper()}"}}'
    for encoding in ("utf-8-sig", "utf-16"):
        headers = {"Idempotency-Key": encoding, "Content-Type": "application/json"}
        answer = await ann.client.post("/api/credits/spend", headers=headers, content=body.encode(encoding))
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 200:
            assert answer.json()["entry"]["accountId"] == pool
    twice = await ann.client.post(
        f"/api/credits/spend?workspaceId={pool.upper()}",
        headers={"Idempotency-Key": "twice"},
        json={"amount": 1, "workspaceId": pool},
    )
    assert twice.status_code == 200
    assert (await balance(ann))["current"] == 10


async def test_what_cannot_be_granted(new_person: NewPerson, platform: Platform) -> None:
    ann = await new_person()
    past = await grant(ann.client, userId=str(ann.id), expiresAt="2020-01-01T00:00:00Z")
    assert (past.status_code, past.json()["code"]) == (422, "expiry_passed")
    made = (await ann.client.post("/api/workspaces", json={"name": "Gone"})).json()["workspace"]["id"]
    await ann.client.delete(f"/api/workspaces/{made}")
    gone = await grant(ann.client, workspaceId=made)
    assert (gone.status_code, gone.json()["code"]) == (422, "account_not_found")


async def test_a_free_plan_without_credits_keeps_the_door_open(fresh_platform: Platform) -> None:
    async with fresh_platform.database.transaction() as session:
        await session.execute(text("INSERT INTO credit_plan_grants VALUES ('FREE', 2, 0)"))
        await session.execute(
            text("INSERT INTO credit_price_rules VALUES ('CHAT_ASSISTANT', 2, 200000, '2020-01-01T00:00:00Z')")
        )
    ann = await register(create_app(fresh_platform.settings, fresh_platform))
    fresh_platform.clock.shift_to(timedelta(days=31))
    await run_all_sweeps(fresh_platform)
    found = await balance(ann)
    assert found["current"] == 0
    assert found["resetDate"] > fresh_platform.clock.now().isoformat()
    dear = await spend(ann, service="CHAT_ASSISTANT", quantity=10_000)
    assert (dear.status_code, dear.json()["code"]) == (422, "amount_too_large")
    await ann.client.aclose()


async def test_packs_are_cacheable(client: httpx.AsyncClient) -> None:
    first = await client.get("/api/credits/packs")
    assert first.headers["Cache-Control"].startswith("public")
    again = await client.get("/api/credits/packs", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


async def test_a_foreign_workspace_does_not_exist(new_person: NewPerson) -> None:
    ann, eve = await new_person(), await new_person()
    made = (await ann.client.post("/api/workspaces", json={"name": "Ours"})).json()["workspace"]
    answers = [
        await spend(eve, amount=1, workspaceId=made["id"]),
        await eve.client.get("/api/credits/balance", params={"workspaceId": made["id"]}),
        await eve.client.get("/api/credits/history", params={"workspaceId": made["id"]}),
        await eve.client.get("/api/credits/verify", params={"workspaceId": made["id"]}),
        await eve.client.get("/api/ai/credits", params={"workspaceId": made["id"]}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5


async def test_the_pool_pays_or_the_wallet_but_never_the_other(new_person: NewPerson) -> None:
    ann = await new_person()
    workspace = (await ann.client.post("/api/workspaces", json={"name": "Pool"})).json()["workspace"]["id"]
    assert (await balance(ann, workspaceId=workspace))["current"] == 0
    refused = await spend(ann, amount=1, workspaceId=workspace)
    assert refused.status_code == 402
    assert (await grant(ann.client, workspaceId=workspace, amount=5)).status_code == 200
    assert (await spend(ann, amount=2, workspaceId=workspace)).json()["balance"]["current"] == 3
    assert (await balance(ann))["current"] == 10
    assert (await spend(ann, amount=11)).status_code == 402


async def test_grants_are_for_operators_and_known_accounts(new_person: NewPerson) -> None:
    ann = await new_person()
    body = {"userId": str(ann.id), "amount": 5, "reason": "thanks", "idempotencyKey": "g"}
    mine = await ann.client.post("/api/credits/grant", json=body)
    wrong = await ann.client.post("/api/credits/grant", headers={"x-admin-key": "guess"}, json=body)
    nobody = await grant(ann.client, userId=str(uuid4()))
    both = await grant(ann.client, userId=str(ann.id), workspaceId=str(uuid4()))
    assert [one.status_code for one in (mine, wrong, nobody, both)] == [403, 401, 422, 422]
    first = await ann.client.post("/api/credits/grant", headers=OPERATOR, json=body)
    again = await ann.client.post("/api/credits/grant", headers=OPERATOR, json=body)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await balance(ann))["current"] == 15


async def test_history_pages_filters_and_refuses_foreign_cursors(new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    for number in range(6):
        await spend(ann, amount=1, **({"service": None} if number % 2 else {}))
    await spend(ann, service="CHAT_ASSISTANT")
    seen: list[int] = []
    cursor: str | None = None
    while True:
        query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = (await ann.client.get("/api/credits/history", params=query)).json()
        seen += [entry["seq"] for entry in page["entries"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
        foreign = await bob.client.get("/api/credits/history", params=query | {"cursor": cursor})
        filtered = await ann.client.get("/api/credits/history", params={"cursor": cursor, "type": "USAGE"})
        assert (foreign.status_code, filtered.status_code) == (422, 422)
    assert seen == list(range(8, 0, -1))
    only = (await ann.client.get("/api/credits/history", params={"service": "CHAT_ASSISTANT"})).json()
    assert [entry["amount"] for entry in only["entries"]] == [-2]
    free = (await ann.client.get("/api/credits/history", params={"type": "FREE_TIER"})).json()["entries"]
    assert [entry["seq"] for entry in free] == [1]
    none = await ann.client.get("/api/credits/history", params={"memberId": str(bob.id)})
    assert none.json()["entries"] == []
    later = await ann.client.get("/api/credits/history", params={"from": seen_at(free[0], 3600)})
    assert later.json()["entries"] == []
    until = await ann.client.get("/api/credits/history", params={"to": free[0]["createdAt"]})
    assert until.json()["entries"] == []


def seen_at(entry: dict[str, Any], seconds: int) -> str:
    from_text = entry["createdAt"].replace("Z", "+00:00")
    moment = datetime.fromisoformat(from_text)
    return str((moment + timedelta(seconds=seconds)).isoformat())


async def test_expiry_is_computed_and_the_sweeper_changes_nothing_visible(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    ann = await new_person()
    await ann.client.post(
        "/api/credits/grant",
        headers=OPERATOR,
        json={
            "userId": str(ann.id),
            "amount": 7,
            "reason": "short",
            "idempotencyKey": uuid4().hex,
            "expiresAt": (clock.now() + timedelta(days=3)).isoformat(),
        },
    )
    before = await balance(ann)
    assert (before["current"], before["expiringSoon"]["amount"]) == (17, 7)
    clock.shift_to(timedelta(days=4))
    unswept = await balance(ann)
    assert unswept["current"] == 10
    assert unswept["identity"]["expired"] == 7
    await run_all_sweeps(platform)
    swept = await balance(ann)
    assert swept["seq"] == before["seq"] + 1
    assert {**swept, "seq": 0} == {**unswept, "seq": 0}
    assert (await ann.client.get("/api/credits/verify")).json()["verification"]["ok"]


async def test_the_free_plan_renews_without_piling_up(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    ann = await new_person()
    await spend(ann, amount=4)
    clock.shift_to(timedelta(days=95))
    assert (await balance(ann))["current"] == 0
    await asyncio.gather(run_all_sweeps(platform), run_all_sweeps(platform))
    found = await balance(ann)
    assert (found["current"], found["limit"]) == (10, 10)
    assert found["identity"] == {
        "granted": 20,
        "available": 10,
        "scheduled": 0,
        "held": 0,
        "spent": 4,
        "expired": 6,
        "voided": 0,
        "transferredOut": 0,
    }
    assert clock.now().isoformat() < found["resetDate"] < (clock.now() + timedelta(days=30)).isoformat()
