"""Leads: credits without an account, where their token is good and where not, and what moves along."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core import signing
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.leads import hand_over
from pm_api.domains.ai_credits.statement_check import check, public_keys
from pm_api.identity.tokens import AccessTokens
from tests.conftest import PASSWORD, NewPerson, Person, client_of, open_platform
from tests.domains.ai_credits.story import Story
from tests.domains.ai_credits.test_gifts import prove
from tests.domains.ai_credits.test_routes import balance
from tests.support.clock import MovableClock
from tests.support.settings import ADMIN_KEY, settings_for


async def new_lead(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/api/leads", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def as_lead(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['leadToken']}"}


async def spend(client: httpx.AsyncClient, made: dict[str, Any], amount: int, **more: Any) -> httpx.Response:
    headers = {**as_lead(made), "Idempotency-Key": more.pop("key", uuid4().hex)}
    return await client.post("/api/credits/spend", headers=headers, json={"amount": amount, **more})


async def current(client: httpx.AsyncClient, made: dict[str, Any]) -> int:
    answer = await client.get("/api/credits/balance", headers=as_lead(made))
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["balance"]["current"]
    return found


async def test_a_lead_gets_twenty_credits_for_thirty_days(
    client: httpx.AsyncClient, platform: Platform, clock: MovableClock
) -> None:
    made = await new_lead(client, email="Visitor@Example.com", source="landing-page")
    assert made["balance"] == {"current": 20, "held": 0, "debt": 0}
    answer = await client.get("/api/credits/balance", headers=as_lead(made))
    found = answer.json()["balance"]
    assert (found["accountKind"], found["accountId"], found["current"]) == ("LEAD", made["lead"]["id"], 20)
    [lot] = found["lots"]
    assert (lot["kind"], lot["expiresAt"]) == ("LEAD", made["lead"]["expiresAt"])
    clock.shift_to(timedelta(days=30, seconds=1))
    over = await client.get("/api/credits/balance", headers=as_lead(made))
    assert over.status_code == 401
    await prove(platform, UUID(made["lead"]["id"]))


async def test_a_lead_spends_holds_and_reads_its_own(client: httpx.AsyncClient, platform: Platform) -> None:
    made, other = await new_lead(client), await new_lead(client)
    first = await spend(client, made, 3, key="k")
    assert (first.status_code, first.json()["balance"]["current"]) == (200, 17)
    again = await spend(client, made, 3, key="k")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert (await spend(client, other, 3, key="k")).headers.get("Idempotent-Replayed") is None
    assert (await spend(client, made, 18)).status_code == 402
    headers = {**as_lead(made), "Idempotency-Key": uuid4().hex}
    hold = await client.post("/api/credits/holds", headers=headers, json={"amount": 5})
    assert hold.status_code == 201, hold.text
    path = f"/api/credits/holds/{hold.json()['hold']['id']}"
    assert (await client.get(path, headers=as_lead(made))).status_code == 200
    assert (await client.get(path, headers=as_lead(other))).status_code == 404
    captured = await client.post(
        f"{path}/capture",
        headers={**as_lead(made), "Idempotency-Key": uuid4().hex},
        json={"amount": 4, "final": True},
    )
    assert captured.status_code == 200, captured.text
    estimate = await client.post("/api/credits/estimate", headers=as_lead(made), json={"service": "CHAT_ASSISTANT"})
    assert estimate.status_code == 200, estimate.text
    history = (await client.get("/api/credits/history", headers=as_lead(made))).json()["entries"]
    assert [entry["amount"] for entry in history] == [-4, -3, 20]
    assert {entry["actorUserId"] for entry in history} == {None}
    path = f"/api/credits/entries/{history[0]['id']}/explain"
    assert (await client.get(path, headers=as_lead(made))).status_code == 200
    assert (await client.get(path, headers=as_lead(other))).status_code == 404
    assert await current(client, made) == 13
    await prove(platform, UUID(made["lead"]["id"]))


async def test_a_lead_reads_everything_about_its_own_credits(client: httpx.AsyncClient, platform: Platform) -> None:
    made, headers = (one := await new_lead(client)), as_lead(one)
    await spend(client, made, 8)
    month = f"{platform.clock.now():%Y-%m}"

    async def read(path: str, **query: str) -> httpx.Response:
        answer = await client.get(f"/api/credits/{path}", headers=headers, params=query)
        assert answer.status_code == 200, (path, answer.text)
        return answer

    assert (await read("verify")).json()["verification"]["entries"] == 2
    assert '"USAGE"' in (await read("history/export", format="json")).text
    statement = await read(f"statements/{month}")
    assert statement.json()["statement"]["account"] == {"id": made["lead"]["id"], "kind": "LEAD"}
    [verdict] = check([("lead.json", statement.content)], public_keys(signing.public_keys(platform.keys)))
    assert verdict.problems == []
    assert (await read("forecast")).json()["forecast"]["available"] == 12
    found = (await read("analytics")).json()["analytics"]
    assert (found["totals"]["net"], found["accountId"]) == (8, made["lead"]["id"])
    assert isinstance((await read("suggestions")).json()["suggestions"], list)


async def test_no_other_door_opens_for_a_lead_and_each_says_how_it_would(
    client: httpx.AsyncClient, person: Person
) -> None:
    made = await new_lead(client)
    workspace = (await person.client.post("/api/workspaces", json={"name": "Acme"})).json()["workspace"]["id"]
    doors = (
        ("GET", "/api/auth/me", None),
        ("GET", "/api/workspaces", None),
        ("GET", "/api/credits/gifts", None),
        ("POST", "/api/credits/gifts", {"amount": 1, "code": {}, "idempotencyKey": "k"}),
        ("POST", "/api/credits/gifts/redeem", {"code": "7KQ2-M9XW-4TDR"}),
        ("GET", "/api/credits/auto-topup", None),
        ("GET", "/api/credits/refund-requests", None),
        ("POST", "/api/credits/refund-requests", {"entryId": str(uuid4()), "reason": "x", "category": "FAILED"}),
        ("GET", f"/api/credits/refund-requests/{uuid4()}", None),
        ("GET", "/api/credits/achievements", None),
        ("GET", "/api/credits/pool", None),
        ("GET", "/api/notifications", None),
        ("GET", "/api/stream", None),
        ("POST", "/api/credits/grant", {"userId": str(person.id), "amount": 1, "reason": "x", "idempotencyKey": "k"}),
        ("GET", f"/api/workspaces/{workspace}", None),
    )
    for method, path, body in doors:
        answer = await client.request(method, path, headers=as_lead(made), json=body)
        told = answer.json()
        assert (answer.status_code, told["code"]) == (403, "registration_required"), (path, answer.text)
        assert told["detail"] == "Register first; the credits come along."
    pool = await client.get("/api/credits/balance", headers=as_lead(made), params={"workspaceId": workspace})
    assert (pool.status_code, pool.json()["code"]) == (404, "workspace_not_found")
    assert (await spend(client, made, 1, workspaceId=workspace)).status_code == 404
    assert await current(client, made) == 20
    registered = await client.post(
        "/api/auth/register",
        json={
            "email": f"{uuid4().hex}@example.com",
            "password": PASSWORD,
            "name": "Ann",
            "leadToken": made["leadToken"],
        },
    )
    assert registered.status_code == 201, registered.text
    for method, path, body in doors:
        answer = await client.request(method, path, headers=as_lead(made), json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), "it is used up"


async def test_only_our_own_tokens_are_good(client: httpx.AsyncClient, person: Person, platform: Platform) -> None:
    made = await new_lead(client)
    tokens = platform.part(AccessTokens)
    stranger = AccessTokens(platform.keys, platform.clock, "http://elsewhere.local")
    lead_id = UUID(made["lead"]["id"])
    head, body, signature = made["leadToken"].split(".")
    for token in (
        stranger.issue_for_lead(lead_id),
        tokens.issue_for_lead(uuid4()),
        tokens.issue_for_lead(person.id),
        f"{head}.{body}.{signature[::-1]}",
        "x",
    ):
        answer = await client.get("/api/credits/balance", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token
    assert (await client.get("/api/credits/balance")).status_code == 401
    assert (await balance(person))["current"] == 10, "a person's own token is as good as ever"


# --- registration ----------------------------------------------------------------------------------------------


async def test_the_rest_moves_to_the_new_account_once(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    made = await new_lead(client)
    await spend(client, made, 8)
    ann = await new_person(leadToken=made["leadToken"])
    found = await balance(ann)
    assert found["current"] == 10 + 12
    [lot] = [one for one in found["lots"] if one["kind"] == "LEAD"]
    assert (lot["amount"], lot["expiresAt"]) == (12, made["lead"]["expiresAt"])
    used = await client.get("/api/credits/balance", headers=as_lead(made))
    assert used.status_code == 401
    assert (await spend(client, made, 1)).status_code == 401
    bob = await new_person(leadToken=made["leadToken"])
    assert (await balance(bob))["current"] == 10
    await prove(platform, UUID(made["lead"]["id"]), ann.id, bob.id)


async def test_what_was_held_comes_along(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    made = await new_lead(client)
    for amount in (6, 7):
        headers = {**as_lead(made), "Idempotency-Key": uuid4().hex}
        assert (await client.post("/api/credits/holds", headers=headers, json={"amount": amount})).status_code == 201
    ann = await new_person(leadToken=made["leadToken"])
    assert (await balance(ann))["current"] == 30
    await prove(platform, UUID(made["lead"]["id"]), ann.id)


async def test_nothing_left_moves_nothing(client: httpx.AsyncClient, new_person: NewPerson) -> None:
    made = await new_lead(client)
    await spend(client, made, 20)
    ann = await new_person(leadToken=made["leadToken"])
    assert (await balance(ann))["current"] == 10
    assert (await client.get("/api/credits/balance", headers=as_lead(made))).status_code == 401


async def test_a_bad_token_stops_no_registration(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    made = await new_lead(client)
    access = (await new_person()).access_token
    for token in ("forged", f"{made['leadToken']}x", access, platform.part(AccessTokens).issue_for_lead(uuid4())):
        assert (await balance(await new_person(leadToken=token)))["current"] == 10
    assert await current(client, made) == 20, "and takes nothing from the lead"
    clock.shift_to(timedelta(days=31))
    assert (await balance(await new_person(leadToken=made["leadToken"])))["current"] == 10


async def test_a_registration_that_fails_leaves_the_lead_as_it_was(client: httpx.AsyncClient, person: Person) -> None:
    made = await new_lead(client)
    taken = await client.post(
        "/api/auth/register",
        json={"email": person.email, "password": PASSWORD, "name": "Twin", "leadToken": made["leadToken"]},
    )
    assert taken.status_code == 409
    assert await current(client, made) == 20


async def test_many_registrations_with_one_token_at_once(
    app: FastAPI, client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    made = await new_lead(client)
    people = await asyncio.gather(*(new_person(leadToken=made["leadToken"]) for _ in range(8)))
    assert sorted([(await balance(one))["current"] for one in people]) == [10] * 7 + [30]
    await prove(platform, UUID(made["lead"]["id"]), *(one.id for one in people))


async def test_spends_against_the_registration(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    """What a lead spends while it registers is spent, what is left moves: never both."""
    made = await new_lead(client)
    spends = [spend(client, made, 2) for _ in range(10)]
    *answers, ann = await asyncio.gather(*spends, new_person(leadToken=made["leadToken"]))
    assert isinstance(ann, Person)
    spent = sum(2 for answer in answers if isinstance(answer, httpx.Response) and answer.status_code == 200)
    assert {answer.status_code for answer in answers if isinstance(answer, httpx.Response)} <= {200, 401, 402}
    assert (await balance(ann))["current"] == 10 + 20 - spent
    await prove(platform, UUID(made["lead"]["id"]), ann.id)


async def test_hand_over_is_undone_with_its_transaction(
    client: httpx.AsyncClient, person: Person, platform: Platform
) -> None:
    made = await new_lead(client)
    async with platform.database.reading() as session:
        assert await hand_over(session, platform, made["leadToken"], person.id) == 20
    assert await current(client, made) == 20
    assert (await balance(person))["current"] == 10


async def test_each_lot_keeps_its_own_end_when_that_is_later(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    made = await new_lead(client)
    lead_id = UUID(made["lead"]["id"])
    story = Story(platform, lead_id, AccountKind.LEAD)
    lots = (story.lot(LotKind.REFUND, 4, days=60), story.lot(LotKind.REFUND, 3, days=2), story.lot(LotKind.REFUND, 5))
    await story.grant(*lots)
    await spend(client, made, 6)
    ann = await new_person(leadToken=made["leadToken"])
    found = [one for one in (await balance(ann))["lots"] if one["kind"] == "LEAD"]
    ends = {one["expiresAt"] and datetime.fromisoformat(one["expiresAt"]): one["remaining"] for one in found}
    lead_ends = datetime.fromisoformat(made["lead"]["expiresAt"])
    [later] = [end for end in ends if end is not None and end > lead_ends]
    assert timedelta(days=29) < later - lead_ends < timedelta(days=31)
    # Three of the first to run out are spent, and three of the lead's own.
    assert ends == {lead_ends: 17, later: 4, None: 5}
    await prove(platform, lead_id, ann.id)


async def refund(client: httpx.AsyncClient, entry: str, amount: int, key: str | None = None) -> httpx.Response:
    return await client.post(
        "/api/credits/refund",
        headers={"x-admin-key": ADMIN_KEY, "Idempotency-Key": key or uuid4().hex},
        json={"entryId": entry, "amount": amount, "reason": "for the test"},
    )


async def test_what_a_registered_lead_spent_is_not_given_to_nobody(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    made = await new_lead(client)
    lead_id = UUID(made["lead"]["id"])
    entry = (await spend(client, made, 8)).json()["entry"]["id"]
    before = await refund(client, entry, 3, "k")
    assert before.status_code == 200, before.text
    assert await current(client, made) == 15
    ann = await new_person(leadToken=made["leadToken"])
    assert (await balance(ann))["current"] == 10 + 15
    refused = await refund(client, entry, 5)
    assert (refused.status_code, refused.json()["code"]) == (409, "lead_converted")
    assert refused.json()["userId"] == str(ann.id)
    again = await refund(client, entry, 3, "k")
    assert (again.status_code, again.json()) == (200, before.json()), "what was given before is answered again"
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await refund(client, entry, 2, "k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    async with platform.database.reading() as session:
        statement = text("SELECT balance FROM credit_accounts WHERE id = :id")
        assert await session.scalar(statement, {"id": lead_id}) == 0
    await prove(platform, lead_id, ann.id)


async def test_a_refund_against_the_registration(
    client: httpx.AsyncClient, new_person: NewPerson, platform: Platform
) -> None:
    """It comes before, and moves along; or after, and is refused. Never is it left behind."""
    for _ in range(5):
        made = await new_lead(client)
        lead_id = UUID(made["lead"]["id"])
        entry = (await spend(client, made, 8)).json()["entry"]["id"]
        ann, *answers = await asyncio.gather(
            new_person(leadToken=made["leadToken"]), *(refund(client, entry, 1) for _ in range(6))
        )
        assert isinstance(ann, Person)
        statuses = [answer.status_code for answer in answers if isinstance(answer, httpx.Response)]
        assert set(statuses) <= {200, 409}
        assert (await balance(ann))["current"] == 10 + 12 + statuses.count(200)
        await prove(platform, lead_id, ann.id)


# --- limits ----------------------------------------------------------------------------------------------------


async def test_leads_are_few_for_one_address_and_day(fresh_database: str) -> None:
    settings = settings_for(fresh_database, rate_limits=True, leads_per_address=3)
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        async with client_of(app) as client:
            answers = await asyncio.gather(*(client.post("/api/leads", json={}) for _ in range(6)))
            assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 3
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert (refused.json()["code"], "Retry-After" in refused.headers) == ("too_many_leads", True)
            platform.clock.shift_to(timedelta(days=1, seconds=1))
            assert (await client.post("/api/leads", json={})).status_code == 201
        transport = httpx.ASGITransport(app, client=("2001:db8:1:2::9", 1))
        neighbour = httpx.ASGITransport(app, client=("2001:db8:1:2:ffff::1", 1))
        elsewhere = httpx.ASGITransport(app, client=("2001:db8:1:3::9", 1))
        statuses = []
        for one in (transport, neighbour, transport, neighbour, elsewhere):
            async with httpx.AsyncClient(transport=one, base_url="http://test.local") as client:
                statuses.append((await client.post("/api/leads", json={})).status_code)
        assert statuses == [201, 201, 201, 429, 201], "one IPv6 network is one address"


async def test_leads_are_few_in_all(fresh_database: str) -> None:
    settings = settings_for(fresh_database, rate_limits=True, leads_per_day=4)
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        statuses = []
        for number in range(5):
            transport = httpx.ASGITransport(app, client=(f"10.0.0.{number}", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test.local") as client:
                statuses.append((await client.post("/api/leads", json={})).status_code)
        assert statuses == [201, 201, 201, 201, 429]


@pytest.mark.parametrize("body", [{"email": "nobody"}, {"source": "x" * 101}, {"typo": 1}, {"source": "\x00"}])
async def test_bad_input(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/api/leads", json=body)).status_code == 422
