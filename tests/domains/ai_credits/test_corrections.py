"""Refunds, adjustments and voids by an operator; refunds that people ask for."""

import asyncio
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import corrections
from pm_api.domains.ai_credits.commands import PlaceHold, Transfer
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.ai_credits.story import Story
from tests.identity.teams import audit_of, join, make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY

OPERATOR: Final = {"x-admin-key": ADMIN_KEY}


async def correct(client: httpx.AsyncClient, what: str, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {**OPERATOR, "Idempotency-Key": key or uuid4().hex}
    return await client.post(f"/api/credits/{what}", headers=headers, json={"reason": "for the test", **body})


async def spend(person: Person, amount: int = 3, **body: Any) -> dict[str, Any]:
    answer = await person.client.post(
        "/api/credits/spend", headers={"Idempotency-Key": uuid4().hex}, json={"amount": amount, **body}
    )
    assert answer.status_code == 200, answer.text
    entry: dict[str, Any] = answer.json()["entry"]
    return entry


async def balance(person: Person, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await person.client.get("/api/credits/balance", params=query)).json()["balance"]
    return found


async def proves(person: Person, **query: Any) -> bool:
    answer = (await person.client.get("/api/credits/verify", params=query)).json()["verification"]
    return bool(answer["ok"])


# --- refund ------------------------------------------------------------------------------------------------------


async def test_a_spend_is_refunded_in_parts_and_never_beyond_itself(
    client: httpx.AsyncClient, person: Person
) -> None:
    entry = await spend(person, 7)
    part = await correct(client, "refund", entryId=entry["id"], amount=3, reason="It was too short")
    made = part.json()["entry"]
    assert (part.status_code, made["type"], made["amount"], made["description"]) == (
        *(200, "REVERSAL", 3),
        "It was too short",
    )
    assert part.json()["balance"] == {"current": 6, "held": 0, "debt": 0}
    too_much = await correct(client, "refund", entryId=entry["id"], amount=5)
    assert (too_much.status_code, too_much.json()["code"], too_much.json()["left"]) == (
        *(409, "reversal_exceeds_entry"),
        4,
    )
    rest = await correct(client, "refund", entryId=entry["id"])
    assert rest.json()["entry"]["amount"] == 4
    nothing = await correct(client, "refund", entryId=entry["id"])
    assert (nothing.status_code, nothing.json()["left"]) == (409, 0)
    assert (await balance(person))["current"] == 10
    usage = (await person.client.get("/api/ai/credits")).json()["usage"]
    assert usage["thisMonth"] == 0
    assert await proves(person)


async def test_a_refund_needs_no_reason(client: httpx.AsyncClient, person: Person) -> None:
    body = {"entryId": (await spend(person, 2))["id"], "idempotencyKey": uuid4().hex}
    answer = await client.post("/api/credits/refund", headers=OPERATOR, json=body)
    assert (answer.status_code, answer.json()["entry"]["description"]) == (200, "Refund")


async def test_a_refund_is_given_once_under_its_key(client: httpx.AsyncClient, person: Person) -> None:
    entry = await spend(person, 7)
    key = uuid4().hex
    answers = await asyncio.gather(*(correct(client, "refund", key, entryId=entry["id"], amount=2) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["entry"]["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    other = await correct(client, "refund", key, entryId=entry["id"], amount=1)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await balance(person))["current"] == 5


async def test_only_a_spend_is_refunded(client: httpx.AsyncClient, person: Person, platform: Platform) -> None:
    granted = await correct(client, "adjust", userId=str(person.id), amount=20)
    story = Story(platform, person.id)
    given = (await story.do(Transfer, amount=5, description="a gift")).entries[0]
    for entry_id in (granted.json()["entry"]["id"], str(given.id)):
        answer = await correct(client, "refund", entryId=entry_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "entry_not_reversible")
    unknown = await correct(client, "refund", entryId=str(uuid4()))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "entry_not_found")


# --- adjust, void ------------------------------------------------------------------------------------------------


async def test_an_account_is_set_right_both_ways(client: httpx.AsyncClient, person: Person) -> None:
    up = await correct(client, "adjust", userId=str(person.id), amount=15, reason="A courtesy")
    assert (up.json()["entry"]["type"], up.json()["entry"]["amount"]) == ("ADMIN_ADJUSTMENT", 15)
    lots = {lot["kind"]: lot for lot in (await balance(person))["lots"]}
    assert lots["ADMIN_ADJUSTMENT"]["expiresAt"] is None
    down = await correct(client, "adjust", userId=str(person.id), amount=-12)
    assert (down.json()["entry"]["type"], down.json()["entry"]["amount"]) == ("VOID", -12)
    found = await balance(person)
    assert (found["current"], found["identity"]["voided"]) == (13, 12)
    key = uuid4().hex
    poor = [await correct(client, "adjust", key, userId=str(person.id), amount=-14) for _ in range(2)]
    assert [(one.status_code, one.json()["needed"], one.json()["available"]) for one in poor] == [(402, 14, 13)] * 2
    assert await proves(person)


async def test_a_pool_is_set_right_by_its_workspace(client: httpx.AsyncClient, person: Person) -> None:
    workspace = await make_workspace(person)
    answer = await correct(client, "adjust", workspaceId=workspace["id"], amount=9)
    assert answer.json()["entry"]["accountId"] == workspace["id"]
    assert (await balance(person, workspaceId=workspace["id"]))["current"] == 9
    unknown = await correct(client, "adjust", workspaceId=str(uuid4()), amount=9)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "account_not_found")


async def test_a_lot_is_voided_but_for_what_is_held(
    client: httpx.AsyncClient, person: Person, platform: Platform
) -> None:
    story = Story(platform, person.id)
    await story.do(PlaceHold, amount=4, ttl_s=600)
    [lot] = (await balance(person))["lots"]
    answer = await correct(client, f"grants/{lot['id']}/void", reason="A stolen card")
    assert (answer.json()["entry"]["type"], answer.json()["entry"]["amount"]) == ("VOID", -6)
    empty = await correct(client, f"grants/{lot['id']}/void")
    assert (empty.status_code, empty.json()["code"]) == (409, "lot_empty")
    unknown = await correct(client, f"grants/{uuid4()}/void")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "lot_not_found")
    assert (await correct(client, "grants/nowhere/void")).status_code == 404
    found = await balance(person)
    assert (found["current"], found["held"]) == (0, 4)
    assert await proves(person)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("refund", {}),
        ("refund", {"entryId": "nowhere"}),
        ("refund", {"entryId": str(UUID(int=1)), "amount": 0}),
        ("refund", {"entryId": str(UUID(int=1)), "amount": 10**9 + 1}),
        ("refund", {"entryId": str(UUID(int=1)), "reason": ""}),
        ("adjust", {"userId": str(UUID(int=1)), "amount": 0}),
        ("adjust", {"userId": str(UUID(int=1)), "amount": 1.5}),
        ("adjust", {"userId": str(UUID(int=1)), "amount": -(10**9) - 1}),
        ("adjust", {"userId": str(UUID(int=1)), "workspaceId": str(UUID(int=2)), "amount": 1}),
        ("adjust", {"amount": 1}),
        (f"grants/{UUID(int=1)}/void", {"reason": "x" * 501}),
        (f"grants/{UUID(int=1)}/void", {"typo": 1}),
    ],
)
async def test_bad_input_is_a_problem(client: httpx.AsyncClient, what: str, body: dict[str, Any]) -> None:
    answer = await correct(client, what, **body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize("what", ["refund", "adjust", f"grants/{UUID(int=1)}/void"])
async def test_only_operators_set_right_and_never_without_a_key(
    client: httpx.AsyncClient, person: Person, what: str
) -> None:
    body = {"entryId": str(UUID(int=1)), "userId": str(person.id), "amount": 1, "reason": "r"}
    fields = {"refund": ("entryId", "amount", "reason"), "adjust": ("userId", "amount", "reason")}
    content = {name: body[name] for name in fields.get(what, ("reason",))}
    path = f"/api/credits/{what}"
    assert (await client.post(path, json=content)).status_code == 401
    assert (await person.client.post(path, json=content)).status_code == 403
    without = await client.post(path, json=content, headers=OPERATOR)
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_required")


# --- asking for a refund -----------------------------------------------------------------------------------------


async def ask(person: Person, entry: dict[str, Any], **body: Any) -> httpx.Response:
    content = {"entryId": entry["id"], "reason": "It broke off", "category": "FAILED", **body}
    return await person.client.post("/api/credits/refund-requests", json=content)


async def asked(person: Person, entry: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await ask(person, entry, **body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["refundRequest"]
    return made


async def decide(client: httpx.AsyncClient, request: dict[str, Any], how: str, **body: Any) -> httpx.Response:
    return await client.post(f"/api/admin/credits/refund-requests/{request['id']}/{how}", headers=OPERATOR, json=body)


async def notices(person: Person) -> list[dict[str, Any]]:
    answer = await person.client.get("/api/notifications")
    return [one for one in answer.json()["notifications"] if one["type"].startswith("credits.refund_request")]


async def test_a_refund_is_asked_for_approved_and_told(client: httpx.AsyncClient, person: Person) -> None:
    entry = await spend(person, 7)
    answer = await ask(person, entry, amount=5)
    made = answer.json()["refundRequest"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert (made["status"], made["amount"], made["entrySeq"], made["decidedAt"]) == ("PENDING", 5, 2, None)
    assert "decidedBy" not in made
    [queued] = [
        one
        for one in (
            await client.get(
                "/api/admin/credits/refund-requests", params={"status": "PENDING", "limit": 200}, headers=OPERATOR
            )
        ).json()["refundRequests"]
        if one["id"] == made["id"]
    ]
    assert (queued["accountId"], queued["reason"]) == (str(person.id), "It broke off")
    approved = await decide(client, made, "approve", note="Sorry for that")
    assert approved.status_code == 200, approved.text
    found = approved.json()
    assert (found["entry"]["type"], found["entry"]["amount"], found["balance"]["current"]) == ("REVERSAL", 5, 8)
    assert found["entry"]["metadata"] == {"refundRequest": made["id"], "category": "FAILED"}
    one = await person.client.get(answer.headers["location"])
    shown = one.json()["refundRequest"]
    assert (one.headers["etag"], shown["status"], shown["note"]) == ('"2"', "APPROVED", "Sorry for that")
    assert (shown["refundEntryId"], shown["refundedAmount"]) == (found["entry"]["id"], 5)
    [told] = await notices(person)
    assert (told["title"], told["body"]) == ("Refund approved: 5 credits came back", "Sorry for that")
    assert await proves(person)


async def test_a_refund_is_declined_with_a_word_why(client: httpx.AsyncClient, person: Person) -> None:
    made = await asked(person, await spend(person, 2))
    assert (await decide(client, made, "decline")).status_code == 422
    answer = await decide(client, made, "decline", note="It was delivered")
    assert answer.json()["refundRequest"]["status"] == "DECLINED"
    assert (await balance(person))["current"] == 8
    [told] = await notices(person)
    assert (told["title"], told["body"]) == ("Refund declined", "It was delivered")
    for how, body in (("approve", {}), ("decline", {"note": "again"})):
        again = await decide(client, made, how, **body)
        assert (again.status_code, again.json()["code"]) == (409, "refund_already_decided")
    unknown = await decide(client, {"id": uuid4()}, "approve")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "refund_request_not_found")


async def test_an_operator_may_give_another_amount_up_to_what_is_left(
    client: httpx.AsyncClient, person: Person
) -> None:
    entry = await spend(person, 8)
    made = await asked(person, entry, amount=8)
    await correct(client, "refund", entryId=entry["id"], amount=6)
    too_much = await decide(client, made, "approve")
    assert (too_much.status_code, too_much.json()["left"]) == (409, 2)
    answer = await decide(client, made, "approve", amount=1)
    assert (answer.json()["entry"]["amount"], answer.json()["refundRequest"]["refundedAmount"]) == (1, 1)
    assert (await balance(person))["current"] == 9


async def test_an_entry_has_one_open_request(client: httpx.AsyncClient, person: Person) -> None:
    entry = await spend(person, 6)
    answers = await asyncio.gather(*(ask(person, entry, amount=1) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"refund_already_requested"}
    [made] = [answer.json()["refundRequest"] for answer in answers if answer.status_code == 201]
    await decide(client, made, "decline", note="no")
    assert (await ask(person, entry)).status_code == 201


async def test_what_cannot_be_asked_for(person: Person, new_person: NewPerson, clock: MovableClock) -> None:
    entry = await spend(person, 4)
    history = (await person.client.get("/api/credits/history")).json()["entries"]
    granted = next(one for one in history if one["type"] == "FREE_TIER")
    refusals = [
        (await ask(person, granted), 409, "entry_not_reversible"),
        (await ask(person, entry, amount=5), 409, "reversal_exceeds_entry"),
        (await ask(person, {"id": str(uuid4())}), 404, "entry_not_found"),
        (await ask(await new_person(), entry), 404, "entry_not_found"),
        (await ask(person, entry, reason=""), 422, "validation_failed"),
        (await ask(person, entry, category="BORING"), 422, "validation_failed"),
        (await ask(person, entry, amount=0), 422, "validation_failed"),
    ]
    for answer, status, code in refusals:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    clock.shift_to(timedelta(days=90))
    late = await ask(person, entry)
    assert (late.status_code, late.json()["code"]) == (409, "refund_too_late")
    clock.shift_to(timedelta(days=89, hours=23))
    assert (await ask(person, entry)).status_code == 201


async def test_in_a_pool_whoever_spent_or_manages_asks(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    owner, ann, bob, viewer = [await new_person() for _ in range(4)]
    workspace = await make_workspace(owner)
    pool = {"workspaceId": workspace["id"]}
    for member, role in ((ann, Role.MEMBER), (bob, Role.MEMBER), (viewer, Role.VIEWER)):
        await join(platform, workspace["id"], member, role)
    await correct(client, "adjust", amount=50, **pool)
    entries = [await spend(ann, 3, **pool) for _ in range(3)]
    by_ann = await asked(ann, entries[0], **pool)
    by_owner = await asked(owner, entries[1], **pool)
    other = await ask(bob, entries[2], **pool)
    assert (other.status_code, other.json()["code"]) == (403, "not_your_spend")
    assert (await ask(viewer, entries[2], **pool)).status_code == 403
    from_wallet = await ask(ann, entries[2])
    assert (from_wallet.status_code, from_wallet.json()["code"]) == (404, "entry_not_found")

    async def listed(person: Person) -> list[str]:
        answer = await person.client.get("/api/credits/refund-requests", params=pool)
        return [one["id"] for one in answer.json()["refundRequests"]]

    assert await listed(ann) == [by_ann["id"]]
    assert await listed(owner) == [by_owner["id"], by_ann["id"]]
    assert await listed(bob) == []
    path = f"/api/credits/refund-requests/{by_owner['id']}"
    statuses = [(await one.client.get(path)).status_code for one in (owner, ann, bob, await new_person())]
    assert statuses == [200, 404, 404, 404]
    await decide(client, by_ann, "approve")
    assert (len(await notices(ann)), len(await notices(owner))) == (1, 0)
    logged = [one for one in await audit_of(platform, workspace["id"]) if one.action.startswith("credits.")]
    assert [(one.action, one.subject_id) for one in logged] == [("credits.refund_request_approved", by_ann["id"])]
    assert await proves(owner, **pool)


async def test_lists_are_walked_by_their_cursor(client: httpx.AsyncClient, person: Person) -> None:
    """More than a server keeps planning a statement anew for: each request finds its index by then, too."""
    await correct(client, "adjust", userId=str(person.id), amount=10)
    made = [(await asked(person, await spend(person, 1)))["id"] for _ in range(14)]

    async def walk(path: str, headers: dict[str, str] | None = None, **query: Any) -> list[str]:
        found, cursor = [], None
        while True:
            parameters = query | ({"cursor": cursor} if cursor else {})
            answer = (await person.client.get(path, params=parameters, headers=headers)).json()
            found += [one["id"] for one in answer["refundRequests"]]
            cursor = answer["nextCursor"]
            if cursor is None:
                return found

    assert await walk("/api/credits/refund-requests", limit=5) == made[::-1]
    assert await walk("/api/credits/refund-requests", limit=2, status="APPROVED") == []
    queue = await walk("/api/admin/credits/refund-requests", headers=OPERATOR, limit=200, status="PENDING")
    assert [one for one in queue if one in made] == made
    first = (await person.client.get("/api/credits/refund-requests", params={"limit": 2})).json()["nextCursor"]
    stale = await person.client.get("/api/credits/refund-requests", params={"cursor": first, "status": "PENDING"})
    assert (stale.status_code, stale.json()["code"]) == (422, "invalid_cursor")


# --- races -------------------------------------------------------------------------------------------------------


async def test_many_operators_at_once_decide_once_and_refund_once(client: httpx.AsyncClient, person: Person) -> None:
    for attempt in range(4):
        made = await asked(person, await spend(person, 2))
        calls = [
            decide(client, made, "approve", amount=1),
            decide(client, made, "approve"),
            decide(client, made, "decline", note="no"),
            decide(client, made, "approve", amount=1),
            decide(client, made, "decline", note="never"),
        ]
        if attempt % 2:
            calls.reverse()
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
        lost = [answer.json()["code"] for answer in answers if answer.status_code == 409]
        assert set(lost) == {"refund_already_decided"}
        [winner] = [answer.json() for answer in answers if answer.status_code == 200]
        shown = (await person.client.get(f"/api/credits/refund-requests/{made['id']}")).json()["refundRequest"]
        assert shown["status"] == winner["refundRequest"]["status"]
        entries = (await person.client.get("/api/credits/history", params={"type": "REVERSAL"})).json()["entries"]
        ours = [one for one in entries if one["metadata"].get("refundRequest") == made["id"]]
        assert len(ours) == (1 if shown["status"] == "APPROVED" else 0)
        assert sum(one["amount"] for one in ours) == (shown["refundedAmount"] or 0)
    assert len(await notices(person)) == 4
    assert await proves(person)


async def test_a_decision_that_cannot_be_kept_refunds_nothing(
    client: httpx.AsyncClient, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refund stands in the same transaction: when telling fails at the very end, nothing has happened."""
    made = await asked(person, await spend(person, 5))
    monkeypatch.setattr(corrections, "Category", object)
    failed = await decide(client, made, "approve")
    assert failed.status_code == 500
    monkeypatch.undo()
    assert (await balance(person))["current"] == 5
    shown = (await person.client.get(f"/api/credits/refund-requests/{made['id']}")).json()["refundRequest"]
    assert shown["status"] == "PENDING"
    assert (await decide(client, made, "approve")).status_code == 200
    assert (await balance(person))["current"] == 10


async def test_an_approval_comes_into_lots_that_have_run_out_as_credits_of_thirty_days(
    client: httpx.AsyncClient, person: Person, platform: Platform
) -> None:
    story = Story(platform, person.id, AccountKind.USER)
    await story.grant(story.lot(LotKind.GIFT, 5, days=1))
    entry = await spend(person, 12)
    made = await asked(person, entry)
    story.advance(days=31)
    answer = await decide(client, made, "approve")
    assert answer.status_code == 200
    lots = (await balance(person))["lots"]
    refunds = [lot for lot in lots if lot["kind"] == "REFUND"]
    assert [lot["amount"] for lot in refunds] == [12]
    assert await proves(person)
