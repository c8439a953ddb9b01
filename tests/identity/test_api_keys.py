"""API keys: made, shown once, used within their scopes, and ended everywhere."""

import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine

from pm_api.app import create_app
from pm_api.core.errors import PaymentRequired
from pm_api.core.ids import SystemRandomness
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import purchases
from pm_api.domains.ai_credits.purchases import Purchase
from pm_api.domains.ai_credits.statement_check import check, public_keys
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.identity import api_key_tokens
from pm_api.identity.guards import CACHE_S, SessionCache
from pm_api.identity.key_uses import KeyUses
from pm_api.identity.models.credentials import ApiKey
from pm_api.identity.permissions import (
    FOR_PEOPLE_ALONE,
    PERMISSIONS,
    KeyScope,
    Role,
    scope_allows,
    scope_of_permission,
)
from pm_api.identity.repository import credentials
from tests.conftest import NewPerson, Person, client_of, open_platform, register
from tests.identity.teams import audit_of, join, make_workspace, member_of, somebody_waits_for_a_lock
from tests.support.clock import MovableClock
from tests.support.plans import bought
from tests.support.settings import settings_for

ALL = sorted(KeyScope)
TOKEN = re.compile(r"pm_live_[0-9A-Za-z]{36}")


async def give_keys(platform: Platform, account_id: UUID | str, kind: AccountType, limit: int | None) -> None:
    """A plan that holds so many keys, and anybody."""
    async with platform.database.transaction() as session:
        plan = await bought(
            session, platform, UUID(str(account_id)), kind=kind, limits={"max_api_keys": limit, "max_users": None}
        )
        await entitlements.write(session, platform, plan)


async def ask_for_key(person: Person, **fields: Any) -> httpx.Response:
    return await person.client.post("/api/api-keys", json={"name": "Nightly", "scopes": ALL, **fields})


async def make_key(person: Person, **fields: Any) -> dict[str, Any]:
    answer = await ask_for_key(person, **fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(made: dict[str, Any] | str) -> dict[str, str]:
    return {"Authorization": f"Bearer {made if isinstance(made, str) else made['token']}"}


async def status_with(client: httpx.AsyncClient, made: dict[str, Any] | str, path: str = "/api/auth/me") -> int:
    return (await client.get(path, headers=bearer(made))).status_code


@pytest.fixture
async def team(new_person: NewPerson, platform: Platform) -> tuple[Person, Person, str]:
    """An owner, an admin, and their workspace, which holds ten keys."""
    owner, admin = await new_person(name="Ann"), await new_person(name="Ben")
    workspace_id: str = (await make_workspace(owner))["id"]
    await give_keys(platform, workspace_id, AccountType.WORKSPACE, 10)
    await join(platform, workspace_id, admin, Role.ADMIN)
    return owner, admin, workspace_id


# --- how a key is written --------------------------------------------------------------------------------------


def test_a_key_carries_its_checksum() -> None:
    token = api_key_tokens.new_token(SystemRandomness())
    assert TOKEN.fullmatch(token)
    assert api_key_tokens.is_well_formed(token)
    number = 0
    for letter in token[-6:]:
        number = number * 62 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(letter)
    assert number == zlib.crc32(token[:-6].encode())
    assert len({api_key_tokens.new_token(SystemRandomness()) for _ in range(100)}) == 100


def test_one_wrong_letter_is_seen() -> None:
    token = api_key_tokens.new_token(SystemRandomness())
    for place in range(len(api_key_tokens.PREFIX), len(token)):
        other = "b" if token[place] != "b" else "c"
        assert not api_key_tokens.is_well_formed(f"{token[:place]}{other}{token[place + 1 :]}")
    for cut in (token[:-1], token + "a", token[:8], "", "pm_live_", f"{token[:-1]}é"):
        assert not api_key_tokens.is_well_formed(cut)


async def test_a_mistyped_key_is_refused_without_the_database(
    client: httpx.AsyncClient, person: Person, platform: Platform
) -> None:
    token = (await make_key(person))["token"]
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    engine: Engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        wrong = await client.get("/api/auth/me", headers=bearer(token[:-1] + ("a" if token[-1] != "a" else "b")))
        assert asked == []
        right = await client.get("/api/auth/me", headers=bearer(token))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
    assert "www-authenticate" in wrong.headers
    assert right.status_code == 200
    assert asked != []


async def test_an_unknown_key_is_no_key(client: httpx.AsyncClient) -> None:
    assert await status_with(client, api_key_tokens.new_token(SystemRandomness())) == 401


# --- making and changing them ------------------------------------------------------------------------------------


async def test_a_key_is_shown_once(person: Person, platform: Platform) -> None:
    answer = await ask_for_key(person, name="  Nightly export ", scopes=["profile:read", "credits:write"])
    assert answer.status_code == 201
    made = answer.json()
    key, token = made["apiKey"], made["token"]
    assert answer.headers["location"] == f"/api/api-keys/{key['id']}"
    assert answer.headers["etag"].startswith('"1-')
    assert (key["name"], key["accountType"], key["workspaceId"]) == ("Nightly export", "USER", None)
    assert key["scopes"] == ["credits:write", "profile:read"]
    assert key["madeBy"] == {"id": str(person.id), "name": person.name}
    assert key["hint"] == f"{token[:12]}…"
    assert (key["lastUsedAt"], key["expiresAt"], key["revokedAt"], key["version"]) == (None, None, None, 1)
    shown = await person.client.get(answer.headers["location"])
    assert shown.json() == {"apiKey": key}
    assert shown.headers["etag"] == answer.headers["etag"]
    listed = await person.client.get("/api/api-keys")
    assert listed.json() == {"apiKeys": [key], "nextCursor": None}
    assert token not in shown.text + listed.text
    async with platform.database.reading() as session:
        row = await session.get_one(ApiKey, UUID(key["id"]))
    assert len(row.token_hash) == 32
    assert token.encode() not in row.token_hash


async def test_a_retry_shows_the_same_key(person: Person) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"name": "Nightly", "scopes": ["profile:read"]}
    first = await person.client.post("/api/api-keys", json=body, headers=headers)
    again = await person.client.post("/api/api-keys", json=body, headers=headers)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await person.client.get("/api/api-keys")).json()["apiKeys"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "x" * 101),
        ("name", None),
        ("scopes", []),
        ("scopes", ["profile:all"]),
        ("scopes", None),
        ("workspaceId", "acme"),
        ("expiresAt", "tomorrow"),
        ("expiresAt", 1893456000),
        ("token", "pm_live_mine"),
    ],
)
async def test_wrong_fields_are_named(person: Person, field: str, value: object) -> None:
    answer = await ask_for_key(person, **{field: value})
    assert answer.status_code == 422
    assert answer.json()["details"][0]["pointer"].startswith(f"/{field}")


async def test_an_expiry_lies_ahead(person: Person, clock: MovableClock) -> None:
    now = clock.wall()
    for moment in (now - timedelta(seconds=1), now + timedelta(days=3700)):
        answer = await ask_for_key(person, expiresAt=moment.isoformat())
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_expiry")


async def test_a_key_expires(
    client: httpx.AsyncClient, person: Person, platform: Platform, clock: MovableClock
) -> None:
    made = await make_key(person, expiresAt=(clock.wall() + timedelta(minutes=10)).isoformat())
    assert await status_with(client, made) == 200
    clock.advance(minutes=10, seconds=1)
    platform.part(SessionCache).clear()
    assert await status_with(client, made) == 401
    assert (await person.client.get("/api/api-keys")).json()["apiKeys"] == []
    [shown] = (await person.client.get("/api/api-keys", params={"ended": True})).json()["apiKeys"]
    assert shown["id"] == made["apiKey"]["id"]
    late = await person.client.patch(f"/api/api-keys/{shown['id']}", json={"expiresAt": None})
    assert (late.status_code, late.json()["code"]) == (410, "api_key_ended"), "it would come back past the limit"


async def test_a_check_is_not_kept_beyond_the_expiry(
    client: httpx.AsyncClient, person: Person, platform: Platform, clock: MovableClock
) -> None:
    made = await make_key(person, expiresAt=(clock.wall() + timedelta(seconds=2)).isoformat())
    assert await status_with(client, made) == 200
    entries = platform.part(SessionCache)._entries.values()
    [until] = [end for actor, end in entries if actor.api_key_id == UUID(made["apiKey"]["id"])]
    assert until - time.monotonic() <= 2.0 < CACHE_S


async def test_only_its_maker_changes_a_key(team: tuple[Person, Person, str], platform: Platform) -> None:
    owner, admin, workspace_id = team
    made = await make_key(owner, workspaceId=workspace_id, name="Nightly")
    path = f"/api/api-keys/{made['apiKey']['id']}"
    refused = await admin.client.patch(path, json={"name": "Mine"})
    assert refused.status_code == 403
    stale = await owner.client.patch(path, json={"name": "Weekly"}, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    until = "2035-01-01T00:00:00.000Z"
    tag = (await owner.client.get(path)).headers["etag"]
    done = await owner.client.patch(path, json={"name": "Weekly", "expiresAt": until}, headers={"If-Match": tag})
    assert done.status_code == 200
    assert done.headers["etag"].startswith('"2-')
    changed = done.json()["apiKey"]
    assert (changed["name"], changed["expiresAt"], changed["version"]) == ("Weekly", until, 2)
    same = await owner.client.patch(path, json={"name": "Weekly"})
    assert same.json()["apiKey"]["version"] == 2, "nothing changed"
    cleared = await owner.client.patch(path, json={"expiresAt": None})
    assert cleared.json()["apiKey"]["expiresAt"] is None
    for body in ({"name": None}, {"scopes": ["profile:read"]}, {"name": ""}):
        assert (await owner.client.patch(path, json=body)).status_code == 422
    entries = [one for one in await audit_of(platform, workspace_id) if one.action.startswith("api_key.")]
    assert [one.action for one in entries] == ["api_key.created", "api_key.updated", "api_key.updated"]
    assert entries[1].details["fields"] == ["expires_at", "name"]


async def test_an_admin_sees_and_ends_the_workspaces_keys(
    client: httpx.AsyncClient, team: tuple[Person, Person, str], new_person: NewPerson, platform: Platform
) -> None:
    owner, admin, workspace_id = team
    member, stranger = await new_person(), await new_person()
    await join(platform, workspace_id, member, Role.MEMBER)
    made = await make_key(owner, workspaceId=workspace_id)
    path = f"/api/api-keys/{made['apiKey']['id']}"
    assert made["apiKey"]["accountType"] == "WORKSPACE"
    assert [one["id"] for one in (await listed(admin, workspace_id))] == [made["apiKey"]["id"]]
    for method in ("GET", "PATCH", "DELETE"):
        body: dict[str, Any] = {"json": {"name": "Mine"}} if method == "PATCH" else {}
        assert (await client.request(method, path, **body)).status_code == 401
        assert (await member.client.request(method, path, **body)).status_code == 403
        assert (await stranger.client.request(method, path, **body)).status_code == 404
        assert (await admin.client.request(method, f"/api/api-keys/{uuid4()}", **body)).status_code == 404
    assert (await ask_for_key(member, workspaceId=workspace_id)).status_code == 403
    assert (await ask_for_key(stranger, workspaceId=workspace_id)).status_code == 404
    assert (await client.post("/api/api-keys", json={"name": "x", "scopes": ALL})).status_code == 401
    assert await status_with(client, made, f"/api/workspaces/{workspace_id}") == 200
    assert (await admin.client.delete(path, headers={"If-Match": '"9"'})).status_code == 412
    assert (await admin.client.delete(path)).status_code == 204
    assert await status_with(client, made, f"/api/workspaces/{workspace_id}") == 401
    again = await admin.client.delete(path)
    assert (again.status_code, again.json()["code"]) == (410, "api_key_ended")
    assert await listed(admin, workspace_id) == []
    [ended] = await listed(admin, workspace_id, ended=True)
    assert ended["revokedAt"] is not None
    [*_, entry] = await audit_of(platform, workspace_id)
    assert (entry.action, entry.actor_user_id, entry.details["made_by"]) == (
        "api_key.revoked",
        admin.id,
        str(owner.id),
    )


async def listed(person: Person, workspace_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = await person.client.get("/api/api-keys", params={"workspaceId": workspace_id, **query})
    assert answer.status_code == 200, answer.text
    keys: list[dict[str, Any]] = answer.json()["apiKeys"]
    return keys


async def test_lists_are_paged(person: Person, platform: Platform) -> None:
    await give_keys(platform, person.id, AccountType.USER, None)
    made = [(await make_key(person, name=f"{number}"))["apiKey"]["id"] for number in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await person.client.get("/api/api-keys", params=query)).json()
        seen += [one["id"] for one in page["apiKeys"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    answer = await person.client.get("/api/api-keys", params={"cursor": "bm90IG91cnM"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


# --- the plan's limit ------------------------------------------------------------------------------------------


async def test_the_free_plan_holds_two_keys(person: Person) -> None:
    workspace_id = (await make_workspace(person))["id"]
    first = await make_key(person)
    await make_key(person, workspaceId=workspace_id)
    full = await ask_for_key(person)
    assert (full.status_code, full.json()["code"]) == (PaymentRequired.status, "plan_limit_reached")
    told = full.json()
    assert (told["metric"], told["limit"], told["used"]) == ("API_KEYS", 2, 2), "one plan, shared by both"
    assert told["upgradePlan"] == "INDIVIDUAL_PRO"
    assert (await ask_for_key(person, workspaceId=workspace_id)).status_code == 402
    assert (await person.client.delete(f"/api/api-keys/{first['apiKey']['id']}")).status_code == 204
    assert (await ask_for_key(person)).status_code == 201, "an ended key takes no place"


@pytest.mark.parametrize("of_workspace", [False, True])
async def test_of_many_at_once_only_those_that_fit(fresh_platform: Platform, of_workspace: bool) -> None:
    """Also of two workspaces that share a plan, whose locks are not each other's."""
    app = create_app(fresh_platform.settings, fresh_platform)
    person = await register(app)
    async with aclosing(person.client):
        places = [{"workspaceId": (await make_workspace(person))["id"]} for _ in range(2)] if of_workspace else [{}]
        await give_keys(fresh_platform, person.id, AccountType.USER, 3)
        answers = await asyncio.gather(*(ask_for_key(person, **places[n % len(places)]) for n in range(12)))
        statuses = sorted(one.status_code for one in answers)
        assert statuses == [201] * 3 + [402] * 9


# --- what a key opens ------------------------------------------------------------------------------------------


def test_every_permission_has_a_scope_or_is_for_people_alone() -> None:
    """A new permission: decide whether keys may use it, and with which scope."""
    everything = set().union(*PERMISSIONS.values())
    assert everything >= FOR_PEOPLE_ALONE
    undecided = {one for one in everything - FOR_PEOPLE_ALONE if scope_of_permission(one) is None}
    assert undecided == set()


def test_every_scope_is_good_for_something() -> None:
    of_own_things = {"profile:read", "profile:write", "notification:read", "notification:write"}
    used = {scope_of_permission(one) for one in set().union(*PERMISSIONS.values())} - {None}
    assert set(KeyScope) == used | of_own_things


def test_writing_includes_reading_in_its_area_alone() -> None:
    assert scope_allows({"credits:write"}, KeyScope.CREDITS_READ)
    assert not scope_allows({"credits:read"}, KeyScope.CREDITS_WRITE)
    assert not scope_allows({"credits:write"}, KeyScope.BILLING_READ)
    assert scope_of_permission("workspace.delete") == KeyScope.WORKSPACE_WRITE
    assert scope_of_permission("credits.verify") == KeyScope.CREDITS_READ
    assert scope_of_permission("no_such_area.read") is None


async def test_me_tells_what_the_key_may_do(client: httpx.AsyncClient, person: Person) -> None:
    made = await make_key(person, scopes=["profile:write", "credits:read"])
    me = (await client.get("/api/auth/me", headers=bearer(made))).json()
    assert me["user"]["id"] == str(person.id)
    assert me["apiKeyId"] == made["apiKey"]["id"]
    assert me["scopes"] == ["credits:read", "profile:write"]


async def test_a_workspaces_key_learns_what_it_is_itself(
    client: httpx.AsyncClient, team: tuple[Person, Person, str]
) -> None:
    owner, _, workspace_id = team
    await make_workspace(owner)
    made = await make_key(owner, workspaceId=workspace_id, scopes=["credits:read"])
    me = (await client.get("/api/auth/me", headers=bearer(made))).json()
    assert [(one["id"], one["role"]) for one in me.pop("workspaces")] == [(workspace_id, "OWNER")]
    assert me == {
        "userId": str(owner.id),
        "user": None,
        "apiKeyId": made["apiKey"]["id"],
        "scopes": ["credits:read"],
    }, "nothing of its maker's own"


async def test_a_key_does_what_its_scopes_say(client: httpx.AsyncClient, person: Person) -> None:
    made = await make_key(person, scopes=["workspace:read"])
    workspace_id = (await make_workspace(person))["id"]
    assert await status_with(client, made, "/api/workspaces") == 200
    assert await status_with(client, made, f"/api/workspaces/{workspace_id}") == 200
    assert await status_with(client, made, "/api/changes") == 200
    for method, path, needed in (
        ("GET", "/api/auth/me", "profile:read"),
        ("GET", "/api/credits/balance", "credits:read"),
        ("GET", "/api/notifications", "notification:read"),
        ("POST", "/api/notifications/read-all", "notification:write"),
        ("POST", "/api/workspaces", "workspace:write"),
        ("PATCH", f"/api/workspaces/{workspace_id}", "workspace:write"),
        ("GET", f"/api/team/members?workspaceId={workspace_id}", "member:read"),
        ("GET", f"/api/billing/invoices?workspaceId={workspace_id}", "billing:read"),
    ):
        answer = await client.request(method, path, headers=bearer(made), json={} if method != "GET" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope"), path
        assert answer.json()["scope"] == needed
        assert f'scope="{needed}"' in answer.headers["www-authenticate"]


async def test_a_key_never_does_more_than_its_makers_role_now(
    client: httpx.AsyncClient, team: tuple[Person, Person, str]
) -> None:
    owner, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    path, change = f"/api/workspaces/{workspace_id}", {"description": "By a key"}
    assert (await client.patch(path, json=change, headers=bearer(made))).status_code == 200
    assert (await client.delete(path, headers=bearer(made))).status_code == 403, "an admin may not either"
    member = await member_of(owner, workspace_id, admin)
    lowered = await owner.client.put(f"/api/team/members/{member['id']}", json={"role": "VIEWER"})
    assert lowered.status_code == 200
    assert (await client.patch(path, json=change, headers=bearer(made))).status_code == 403
    assert await status_with(client, made, path) == 200


async def test_a_workspaces_key_opens_nothing_else(
    client: httpx.AsyncClient, team: tuple[Person, Person, str]
) -> None:
    owner, _, workspace_id = team
    other_id = (await make_workspace(owner))["id"]
    made = await make_key(owner, workspaceId=workspace_id)
    for path, status in (
        (f"/api/workspaces/{workspace_id}", 200),
        (f"/api/workspaces/{other_id}", 404),
        (f"/api/credits/balance?workspaceId={workspace_id}", 200),
        (f"/api/credits/balance?workspaceId={other_id}", 404),
        ("/api/credits/balance", 404),
        ("/api/workspaces", 404),
        ("/api/auth/me", 200),
        ("/api/user/profile", 404),
        ("/api/notifications", 404),
        ("/api/changes", 404),
        (f"/api/changes?workspaceId={workspace_id}", 200),
    ):
        assert await status_with(client, made, path) == status, path
    assert (await client.post("/api/workspaces", json={"name": "New"}, headers=bearer(made))).status_code == 404


@pytest.mark.parametrize("bound", [False, True])
async def test_a_persons_own_security_is_not_for_keys(
    client: httpx.AsyncClient, team: tuple[Person, Person, str], platform: Platform, bound: bool
) -> None:
    owner, _, workspace_id = team
    made = await make_key(owner, **({"workspaceId": workspace_id} if bound else {}))
    async with platform.database.transaction() as session:
        await session.execute(text("UPDATE users SET is_admin = true WHERE id = :id"), {"id": owner.id})
    key_path = f"/api/api-keys/{made['apiKey']['id']}"
    in_place = f"?workspaceId={workspace_id}" if bound else ""
    for method, path in (
        ("GET", "/api/auth/sessions"),
        ("DELETE", f"/api/auth/sessions/{uuid4()}"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/logout-all"),
        ("POST", "/api/auth/2fa/setup"),
        ("POST", "/api/auth/2fa/disable"),
        ("GET", f"/api/api-keys{in_place}"),
        ("POST", f"/api/api-keys{in_place}"),
        ("GET", key_path),
        ("PATCH", key_path),
        ("DELETE", key_path),
        ("GET", "/api/admin/jobs"),
    ):
        answer = await client.request(method, path, headers=bearer(made), json=None if method == "GET" else {})
        assert (answer.status_code, answer.json()["code"]) == (403, "api_key_not_allowed"), path


async def test_what_is_done_names_the_maker_and_the_key(
    client: httpx.AsyncClient, team: tuple[Person, Person, str], platform: Platform
) -> None:
    owner, _, workspace_id = team
    made = await make_key(owner, workspaceId=workspace_id)
    key_id = UUID(made["apiKey"]["id"])
    path = f"/api/workspaces/{workspace_id}"
    assert (await client.patch(path, json={"description": "A"}, headers=bearer(made))).status_code == 200
    assert (await owner.client.patch(path, json={"description": "B"})).status_code == 200
    by_key, by_hand = [one for one in await audit_of(platform, workspace_id) if one.action == "workspace.updated"]
    assert (by_key.actor_kind, by_key.actor_user_id, by_key.actor_key_id) == ("api_key", owner.id, key_id)
    assert (by_hand.actor_kind, by_hand.actor_user_id, by_hand.actor_key_id) == ("user", owner.id, None)


async def test_the_ledger_names_the_maker_and_the_key(
    client: httpx.AsyncClient, team: tuple[Person, Person, str], platform: Platform
) -> None:
    """In the line itself, under its hash: neither can be taken out of it again."""
    owner, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    purchase = Purchase("WORKSPACE", UUID(workspace_id), "SMALL", 1, f"cs_{uuid4().hex}", None, None)
    async with platform.database.transaction() as session:
        await purchases.grant_purchase(session, platform, purchase)
    body = {"amount": 3, "workspaceId": workspace_id, "description": "Nightly"}
    spent = await client.post(
        "/api/credits/spend", json=body, headers={**bearer(made), "Idempotency-Key": uuid4().hex}
    )
    assert spent.status_code == 200, spent.text
    entry_id = spent.json()["entry"]["id"]
    explained = await owner.client.get(f"/api/credits/entries/{entry_id}/explain")
    told = explained.json()["explanation"]
    assert told["actor"] == {
        "kind": "api_key",
        "userId": str(admin.id),
        "apiKeyId": made["apiKey"]["id"],
        "name": admin.name,
    }
    assert f"{admin.name}, with an API key, spent 3 credits" in told["text"]
    place = {"workspaceId": workspace_id}
    assert (await owner.client.get("/api/credits/verify", params=place)).json()["verification"]["ok"]
    async with platform.database.transaction() as session:
        await session.execute(text("UPDATE credit_entries SET actor_key_id = NULL WHERE id = :id"), {"id": entry_id})
    assert not (await owner.client.get("/api/credits/verify", params=place)).json()["verification"]["ok"]


async def test_a_statement_shows_the_key_and_checks(
    client: httpx.AsyncClient, team: tuple[Person, Person, str], platform: Platform, clock: MovableClock
) -> None:
    owner, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    purchase = Purchase("WORKSPACE", UUID(workspace_id), "SMALL", 1, f"cs_{uuid4().hex}", None, None)
    async with platform.database.transaction() as session:
        await purchases.grant_purchase(session, platform, purchase)
    headers = {**bearer(made), "Idempotency-Key": uuid4().hex}
    body = {"amount": 3, "workspaceId": workspace_id}
    assert (await client.post("/api/credits/spend", json=body, headers=headers)).status_code == 200
    month = f"{clock.now():%Y-%m}"
    answer = await owner.client.get(f"/api/credits/statements/{month}", params={"workspaceId": workspace_id})
    assert answer.status_code == 200, answer.text
    granted, spent = answer.json()["statement"]["lines"]
    jwks = (await client.get("/.well-known/jwks.json")).json()
    [verdict] = check([("statement.json", answer.content)], public_keys(jwks))
    assert verdict.ok, verdict.problems
    assert "apiKeyId" not in granted["actor"]
    assert spent["actor"] == {"kind": "api_key", "userId": str(admin.id), "apiKeyId": made["apiKey"]["id"]}


async def test_idempotency_keys_belong_to_the_api_key(client: httpx.AsyncClient, person: Person) -> None:
    one, other = await make_key(person), await make_key(person)
    same = {"Idempotency-Key": uuid4().hex}
    answers = [
        await client.post("/api/workspaces", json={"name": "Acme"}, headers={**same, **caller})
        for caller in (bearer(one), bearer(other), dict(person.client.headers), bearer(one))
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["workspace"]["id"] for answer in answers}) == 3
    assert answers[3].headers["idempotent-replayed"] == "true"


async def test_each_key_has_a_rate_of_its_own(worker_database: str) -> None:
    settings = settings_for(worker_database, rate_limits=True, rate_limit_caller="8/minute")
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        async with aclosing(person.client), client_of(app) as caller:
            one, other = await make_key(person), await make_key(person)
            statuses = [await status_with(caller, one) for _ in range(10)]
            assert statuses[-1] == 429
            assert await status_with(caller, other) == 200


async def test_more_keys_are_no_more_guesses(worker_database: str) -> None:
    """Where a secret can be guessed the person is counted, whatever they come with."""
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="6/minute")
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        async with aclosing(person.client):
            made = [await make_key(person) for _ in range(2)]
            statuses = []
            for number in range(8):
                # Each time from another address, so that only the person is the same.
                transport = httpx.ASGITransport(app, client=(f"203.0.113.{number}", 1))
                async with httpx.AsyncClient(transport=transport, base_url=settings.public_url) as caller:
                    answer = await caller.post(
                        "/api/credits/gifts/redeem",
                        json={"code": "NOSUCHCODE"},
                        headers={**bearer(made[number % 2]), "Idempotency-Key": uuid4().hex},
                    )
                    statuses.append(answer.status_code)
            assert statuses[-1] == 429, statuses
            assert 429 not in statuses[:5], statuses


# --- used, and ended -------------------------------------------------------------------------------------------


async def last_use(platform: Platform, key_id: str) -> datetime | None:
    await platform.part(KeyUses).settled()
    async with platform.database.reading() as session:
        return await session.scalar(select(ApiKey.last_used_at).where(ApiKey.id == UUID(key_id)))


async def test_the_last_use_is_noted_once_a_minute(
    client: httpx.AsyncClient, person: Person, platform: Platform, clock: MovableClock
) -> None:
    made = await make_key(person)
    key_id, cache = made["apiKey"]["id"], platform.part(SessionCache)
    unused = await person.client.get(f"/api/api-keys/{key_id}")
    began = clock.wall()
    assert await status_with(client, made) == 200
    first = await last_use(platform, key_id)
    assert first is not None
    assert first >= began
    clock.advance(seconds=30)
    cache.clear()
    assert await status_with(client, made) == 200
    assert await last_use(platform, key_id) == first
    clock.advance(seconds=31)
    cache.clear()
    await asyncio.gather(*(status_with(client, made) for _ in range(5)))
    second = await last_use(platform, key_id)
    assert second is not None
    assert second - first >= timedelta(seconds=60)
    known = {"If-None-Match": unused.headers["etag"]}
    answer = await person.client.get(f"/api/api-keys/{key_id}", headers=known)
    assert answer.status_code == 200, "what is shown is not as it was"
    assert answer.json()["apiKey"]["lastUsedAt"] is not None
    assert answer.json()["apiKey"]["version"] == 1, "to be used is no change"


async def test_of_two_processes_one_notes_the_use(person: Person, platform: Platform, clock: MovableClock) -> None:
    """Each has looked the key up before the other wrote."""
    key_id = UUID((await make_key(person))["apiKey"]["id"])
    began = clock.wall()
    for moment in (began, began + timedelta(seconds=59)):
        async with platform.database.transaction() as session:
            await credentials.note_use(session, key_id, moment)
    assert await last_use(platform, str(key_id)) == began
    async with platform.database.transaction() as session:
        await credentials.note_use(session, key_id, began + timedelta(seconds=60))
    assert await last_use(platform, str(key_id)) == began + timedelta(seconds=60)


async def test_noting_a_use_waits_for_nobody(client: httpx.AsyncClient, person: Person, platform: Platform) -> None:
    made = await make_key(person)
    async with platform.database.transaction() as session:
        await session.execute(select(ApiKey.id).where(ApiKey.id == UUID(made["apiKey"]["id"])).with_for_update())
        assert await status_with(client, made) == 200
        assert await asyncio.wait_for(last_use(platform, made["apiKey"]["id"]), 5) is None


@pytest.fixture
async def elsewhere(worker_database: str) -> AsyncIterator[FastAPI]:
    """A second process's worth of parts on the same database."""
    settings = settings_for(worker_database)
    async with open_platform(settings, MovableClock()) as platform:
        yield create_app(settings, platform)


async def gone_within(caller: httpx.AsyncClient, made: dict[str, Any], path: str, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        if await status_with(caller, made, path) == 401:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_an_ended_key_is_refused_in_every_process(
    team: tuple[Person, Person, str], elsewhere: FastAPI, client: httpx.AsyncClient
) -> None:
    owner, admin, workspace_id = team
    path = f"/api/workspaces/{workspace_id}"
    async with client_of(elsewhere) as there:
        made = await make_key(admin, workspaceId=workspace_id)
        own = await make_key(admin)
        assert await status_with(there, made, path) == 200
        assert (await admin.client.delete(f"/api/api-keys/{made['apiKey']['id']}")).status_code == 204
        assert await gone_within(there, made, path, 2)

        made = await make_key(admin, workspaceId=workspace_id)
        assert await status_with(there, made, path) == 200
        member = await member_of(owner, workspace_id, admin)
        assert (await owner.client.delete(f"/api/team/members/{member['id']}")).status_code < 300
        assert await gone_within(there, made, path, 2), "the key ends with the membership"
        assert await status_with(client, made, path) == 401
        assert await status_with(there, own) == 200, "what is their own stays"
        assert await status_with(there, own, path) == 404


async def test_a_key_that_comes_back_to_a_workspace_stays_ended(
    client: httpx.AsyncClient, team: tuple[Person, Person, str], platform: Platform
) -> None:
    owner, admin, workspace_id = team
    made = await make_key(admin, workspaceId=workspace_id)
    member = await member_of(owner, workspace_id, admin)
    assert (await owner.client.delete(f"/api/team/members/{member['id']}")).status_code < 300
    await join(platform, workspace_id, admin, Role.ADMIN)
    assert await status_with(client, made, f"/api/workspaces/{workspace_id}") == 401
    [ended] = await listed(owner, workspace_id, ended=True)
    assert ended["revokedAt"] is not None
    entries = [one for one in await audit_of(platform, workspace_id) if one.action == "api_key.revoked"]
    assert [(one.actor_user_id, one.details["reason"]) for one in entries] == [(owner.id, "membership ended")]


async def test_keys_end_with_their_workspace_for_good(
    client: httpx.AsyncClient, team: tuple[Person, Person, str]
) -> None:
    owner, _, workspace_id = team
    path = f"/api/workspaces/{workspace_id}"
    made, own = await make_key(owner, workspaceId=workspace_id), await make_key(owner)
    assert (await owner.client.delete(path)).status_code == 204
    assert await status_with(client, made, path) == 401
    assert await status_with(client, own, path) == 404
    assert (await owner.client.post(f"{path}/restore")).status_code == 200
    assert await status_with(client, made, path) == 401
    assert await status_with(client, own, path) == 200


async def test_a_key_is_not_made_for_somebody_who_is_removed_meanwhile(
    team: tuple[Person, Person, str], platform: Platform
) -> None:
    owner, admin, workspace_id = team
    member = await member_of(owner, workspace_id, admin)
    async with platform.database.transaction() as session:
        await session.execute(
            text("SELECT 1 FROM workspaces WHERE id = :id FOR NO KEY UPDATE"), {"id": UUID(workspace_id)}
        )
        making = asyncio.create_task(ask_for_key(admin, workspaceId=workspace_id))
        await somebody_waits_for_a_lock(platform)
        await session.execute(text("DELETE FROM workspace_members WHERE id = :id"), {"id": UUID(member["id"])})
    assert (await making).status_code == 404
    assert await listed(owner, workspace_id, ended=True) == []
