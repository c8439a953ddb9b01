"""Many spends in one request."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.schemas.batch import SpendBatchAnswer
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person, register
from tests.domains.ai_credits.holding import figures, grant, is_proved, new_pool, post, told
from tests.identity.teams import join

Json = dict[str, Any]


async def batch(person: Person, items: list[Json], **more: Any) -> httpx.Response:
    return await person.client.post("/api/credits/spend:batch", json={"items": items, **more})


async def results(person: Person, items: list[Json], **more: Any) -> list[Json]:
    answer = await batch(person, items, **more)
    assert answer.status_code == 200, answer.text
    SpendBatchAnswer.model_validate(answer.json())
    found: list[Json] = answer.json()["results"]
    assert [one["index"] for one in found] == list(range(len(items)))
    return found


def item(key: str, **fields: Any) -> Json:
    return {"idempotencyKey": key, **(fields or {"amount": 1})}


async def test_every_item_stands_alone(person: Person) -> None:
    found = await results(
        person,
        [
            item("a", amount=4, description="first", metadata={"n": 1e22, "deep": {"ü": [None]}}),
            item("b", amount=7),
            item("c", service="TASK_GENERATION", quantity=2),
            item("d", amount=1),
        ],
    )
    assert [one["status"] for one in found] == [200, 402, 200, 402]
    assert [one["replayed"] for one in found] == [False] * 4
    assert [one["balance"] and one["balance"]["current"] for one in found] == [6, None, 0, None]
    assert (found[1]["problem"]["code"], found[1]["problem"]["available"]) == ("insufficient_credits", 6)
    assert found[0]["problem"] is None
    assert found[1]["entry"] is None
    history = (await person.client.get("/api/credits/history")).json()["entries"]
    assert [found[2]["entry"], found[0]["entry"]] == history[:2], "an entry looks the same wherever it is read"
    assert await figures(person) == (0, 0, 10)
    assert await is_proved(person)


async def test_an_item_is_the_same_spend_as_one_alone(person: Person) -> None:
    alone = await post(person, "credits/spend", "alone", amount=2)
    found = await results(person, [item("alone", amount=2), item("here", amount=3)])
    assert [one["replayed"] for one in found] == [True, False]
    assert {name: found[0][name] for name in ("entry", "balance")} == alone.json()
    after = await post(person, "credits/spend", "here", amount=3)
    assert after.headers["Idempotent-Replayed"] == "true"
    assert after.json() == {name: found[1][name] for name in ("entry", "balance")}
    assert await results(person, [item("alone", amount=2), item("here", amount=3)]) == [
        {**one, "replayed": True} for one in found
    ]
    for route in ("spendCreditsBatch", "spendCredits"):
        asked = await person.client.get("/api/idempotency/here", params={"route": route})
        assert asked.json()["outcome"]["body"] == after.json()
    assert await figures(person) == (5, 0, 5)


async def test_one_key_twice_in_a_batch(person: Person) -> None:
    found = await results(
        person, [item("k", amount=2), item("k", amount=2), item("k", amount=3), item("no", amount=99), item("no")]
    )
    assert [one["status"] for one in found] == [200, 200, 422, 402, 422]
    assert [one["replayed"] for one in found] == [False, True, True, False, True]
    assert found[0]["entry"] == found[1]["entry"]
    assert found[2]["problem"]["code"] == found[4]["problem"]["code"] == "idempotency_key_reused"
    again = await results(person, [item("no", amount=99)])
    assert (again[0]["status"], again[0]["replayed"]) == (402, True)
    assert await figures(person) == (8, 0, 2)


async def test_a_key_for_the_whole_is_refused_and_not_ignored(person: Person) -> None:
    answer = await person.client.post(
        "/api/credits/spend:batch", json={"items": [item("k")]}, headers={"Idempotency-Key": "k"}
    )
    assert told(answer) == (422, "invalid_idempotency_key")
    assert "each item has its own" in answer.json()["detail"]
    assert await figures(person) == (10, 0, 0)
    assert (await results(person, [item("k")]))[0]["replayed"] is False


async def test_500_items_are_the_most(person: Person) -> None:
    await grant(person.client, 490, userId=str(person.id))
    most = [item(f"k{number}") for number in range(500)]
    found = await results(person, most)
    assert {one["status"] for one in found} == {200}
    seqs = [one["entry"]["seq"] for one in found]
    assert seqs == sorted(seqs), "they are tried in their order"
    assert await figures(person) == (0, 0, 500)
    assert [told(await batch(person, [*most, item("one more")])), told(await batch(person, []))] == [
        (422, "validation_failed")
    ] * 2
    assert await is_proved(person)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"amount": 1}, "/items/1/idempotencyKey"),
        ({"amount": 0, "idempotencyKey": "k"}, "/items/1/amount"),
        ({"amount": 1, "service": "CHAT_ASSISTANT", "idempotencyKey": "k"}, "/items/1"),
        ({"amount": 1, "idempotencyKey": "ключ"}, "/items/1/idempotencyKey"),
        ({"amount": 1, "idempotencyKey": "k" * 256}, "/items/1/idempotencyKey"),
        ({"amount": 1, "idempotencyKey": "k", "workspaceId": str(uuid4())}, "/items/1/workspaceId"),
        ({"amount": 1, "idempotencyKey": "k", "metadata": {"a": "\x00"}}, "/items/1/metadata"),
    ],
)
async def test_one_item_of_a_wrong_shape_refuses_the_request(person: Person, wrong: Json, pointer: str) -> None:
    answer = await batch(person, [item("good"), wrong])
    assert told(answer) == (422, "validation_failed")
    assert pointer in {detail["pointer"] for detail in answer.json()["details"]}
    assert await figures(person) == (10, 0, 0)


async def test_the_pool_pays_for_members_only(new_person: NewPerson, platform: Platform) -> None:
    ann, bob, vic, eve = [await new_person() for _ in range(4)]
    pool = await new_pool(ann, 20)
    await join(platform, pool, bob, Role.MEMBER)
    await join(platform, pool, vic, Role.VIEWER)
    of_ann = await results(ann, [item("same")], workspaceId=pool)
    of_bob = await results(bob, [item("same")], workspaceId=pool)
    assert of_ann[0]["entry"]["id"] != of_bob[0]["entry"]["id"]
    assert (of_bob[0]["entry"]["accountId"], of_bob[0]["entry"]["actorUserId"]) == (pool, str(bob.id))
    assert (await batch(vic, [item("k")], workspaceId=pool)).status_code == 403
    assert (await batch(eve, [item("k")], workspaceId=pool)).status_code == 404
    assert (await ann.client.post("/api/credits/spend:batch", headers={"Authorization": ""})).status_code == 401
    assert await figures(ann, workspaceId=pool) == (18, 0, 2)
    assert await figures(ann) == (10, 0, 0)


async def test_what_cannot_be_priced_is_refused_by_itself(fresh_platform: Platform) -> None:
    async with fresh_platform.database.transaction() as session:
        await session.execute(
            text("INSERT INTO credit_price_rules VALUES ('CHAT_ASSISTANT', 2, 200000, '2020-01-01T00:00:00Z')")
        )
        await session.execute(text("DELETE FROM credit_price_rules WHERE service = 'DOCUMENT_ANALYSIS'"))
    ann = await register(create_app(fresh_platform.settings, fresh_platform))
    found = await results(
        ann,
        [item("a", service="CHAT_ASSISTANT", quantity=10_000), item("b", service="DOCUMENT_ANALYSIS"), item("c")],
    )
    assert [(one["status"], one["problem"] and one["problem"]["code"]) for one in found] == [
        (422, "amount_too_large"),
        (422, "unknown_service"),
        (200, None),
    ]
    estimate = await post(ann, "credits/estimate", service="DOCUMENT_ANALYSIS")
    assert told(estimate) == (422, "unknown_service")
    await ann.client.aclose()


# --- estimates --------------------------------------------------------------------------------------------------


async def estimate(person: Person, **body: Any) -> Json:
    answer = await person.client.post("/api/credits/estimate", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["estimate"]
    return found


async def test_an_estimate_says_who_would_pay_and_writes_nothing(person: Person) -> None:
    await grant(person.client, 5, userId=str(person.id))
    await post(person, "credits/holds", amount=3)
    before = await figures(person)
    found = await estimate(
        person, items=[{"service": "TASK_GENERATION", "quantity": 2}, {"service": "DOCUMENT_ANALYSIS"}]
    )
    assert [(one["service"], one["quantity"], one["unitCost"], one["cost"]) for one in found["items"]] == [
        ("TASK_GENERATION", 2, 3, 6),
        ("DOCUMENT_ANALYSIS", 1, 4, 4),
    ]
    assert (found["total"], found["available"], found["enough"], found["shortfall"]) == (10, 12, True, 0)
    assert [(lot["kind"], lot["amount"]) for lot in found["lots"]] == [("FREE_TIER", 7), ("ADMIN_ADJUSTMENT", 3)]
    assert found["cap"] is None
    assert await figures(person) == before
    for one in ({"service": "TASK_GENERATION", "quantity": 2}, {"service": "DOCUMENT_ANALYSIS"}):
        assert (await post(person, "credits/spend", **one)).status_code == 200
    assert (await figures(person))[0] == 2, "it came as it was said"


async def test_an_estimate_counts_what_is_missing_once(person: Person) -> None:
    found = await estimate(person, items=[{"service": "DOCUMENT_ANALYSIS", "quantity": 2}] * 2)
    assert (found["total"], found["available"], found["enough"], found["shortfall"]) == (16, 10, False, 6)
    assert [lot["amount"] for lot in found["lots"]] == [10]


async def test_an_estimate_knows_holds_and_lots_that_have_run_out(fresh_platform: Platform) -> None:
    ann = await register(create_app(fresh_platform.settings, fresh_platform))
    await grant(ann.client, 5, userId=str(ann.id))
    await post(ann, "credits/holds", amount=12, ttlSeconds=60)
    assert (await estimate(ann, service="CHAT_ASSISTANT", quantity=2))["shortfall"] == 1
    fresh_platform.clock.shift_to(timedelta(seconds=61))
    assert (await estimate(ann, service="CHAT_ASSISTANT"))["available"] == 15
    fresh_platform.clock.shift_to(timedelta(days=31))
    assert (await estimate(ann, service="CHAT_ASSISTANT"))["available"] == 5
    await ann.client.aclose()


async def test_an_estimate_names_the_cap_that_would_bind(new_person: NewPerson, platform: Platform) -> None:
    ann, vic = await new_person(), await new_person()
    pool = await new_pool(ann, 50)
    await join(platform, pool, vic, Role.VIEWER)
    async with platform.database.transaction() as session:
        await session.execute(
            text("INSERT INTO credit_caps VALUES (:pool, 'service:CHAT_ASSISTANT', 'DAY', 5, 1, :now, :now)"),
            {"pool": UUID(pool), "now": platform.clock.now()},
        )
        await session.execute(text("UPDATE credit_accounts SET capped = true WHERE id = :id"), {"id": UUID(pool)})
    await post(ann, "credits/spend", service="CHAT_ASSISTANT", workspaceId=pool)
    fine = await estimate(ann, service="CHAT_ASSISTANT", workspaceId=pool)
    assert (fine["enough"], fine["cap"]) == (True, None)
    found = await estimate(ann, items=[{"service": "CHAT_ASSISTANT"}] * 2, workspaceId=pool)
    assert (found["enough"], found["shortfall"], found["available"]) == (False, 0, 48)
    cap = found["cap"]
    assert (cap["subject"], cap["window"], cap["limit"], cap["used"]) == ("service:CHAT_ASSISTANT", "DAY", 5, 4)
    assert cap["resetsAt"].endswith("T00:00:00.000Z")
    assert (await estimate(vic, service="CHAT_ASSISTANT", workspaceId=pool))["total"] == 2, "reading is enough"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": [{"service": "CHAT_ASSISTANT"}] * 101},
        {"items": [{"service": "CHAT_ASSISTANT"}], "service": "CHAT_ASSISTANT"},
        {"items": [{"service": "CHAT_ASSISTANT"}], "quantity": 2},
        {"service": "MIND_READING"},
        {"service": "CHAT_ASSISTANT", "quantity": 0},
    ],
)
async def test_a_bad_estimate_is_a_problem(person: Person, body: Json) -> None:
    answer = await person.client.post("/api/credits/estimate", json=body)
    assert told(answer) == (422, "validation_failed")


async def test_an_estimate_of_an_empty_pool(new_person: NewPerson) -> None:
    ann, eve = await new_person(), await new_person()
    pool = (await ann.client.post("/api/workspaces", json={"name": "Empty"})).json()["workspace"]["id"]
    found = await estimate(ann, service="CHAT_ASSISTANT", workspaceId=pool)
    assert (found["available"], found["shortfall"], found["lots"]) == (0, 2, [])
    assert (await post(eve, "credits/estimate", service="CHAT_ASSISTANT", workspaceId=pool)).status_code == 404
