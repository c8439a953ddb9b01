"""Registration, sign-in, tokens and their keys."""

import asyncio
import base64
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import plans
from pm_api.domains.ai_credits.models.ledger import CreditAccount
from pm_api.identity.models.people import User
from pm_api.identity.passwords import Passwords
from pm_api.identity.permissions import Role
from pm_api.identity.tokens import AccessTokens
from tests.conftest import PASSWORD, NewPerson, Person, client_of, open_platform, register
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import SECRET_KEYS, settings_for

NEW_KEY = "new:" + base64.b64encode(b"the next key of the tests, thirty-two bytes").decode()


def an_address() -> str:
    return f"{uuid4().hex[:12]}@example.com"


def registration(**fields: Any) -> dict[str, Any]:
    return {"email": an_address(), "password": PASSWORD, "name": "Ann", **fields}


async def test_registration_signs_in(client: httpx.AsyncClient, platform: Platform) -> None:
    local = uuid4().hex[:12]
    answer = await client.post(
        "/api/auth/register",
        json=registration(email=f"  {local.upper()}@Example.com ", locale="de-CH", timeZone="Europe/Zurich"),
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/auth/me"
    assert answer.headers["cache-control"] == "private, no-store"
    content = answer.json()
    assert content["expiresIn"] == 900
    user = content["user"]
    assert user["email"] == f"{local}@example.com"
    assert (user["locale"], user["timeZone"], user["isAdmin"], user["version"]) == (
        "de-CH",
        "Europe/Zurich",
        False,
        1,
    )
    assert "password" not in answer.text.lower()
    me = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {content['accessToken']}"})
    assert me.json() == {"userId": user["id"], "user": user, "apiKeyId": None, "scopes": None, "workspaces": []}
    async with platform.database.reading() as session:
        wallets = select(func.count()).select_from(CreditAccount).where(CreditAccount.id == user["id"])
        assert await session.scalar(wallets) == 1


async def test_registration_is_all_or_nothing(
    client: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_arguments: object) -> None:
        raise RuntimeError("the wallet could not be opened")

    monkeypatch.setattr(plans, "open_user_account", fail)
    wanted = registration()
    assert (await client.post("/api/auth/register", json=wanted)).status_code == 500
    async with platform.database.reading() as session:
        assert await session.scalar(select(User.id).where(User.email == wanted["email"])) is None


async def test_an_address_registers_once(client: httpx.AsyncClient) -> None:
    wanted = registration()
    assert (await client.post("/api/auth/register", json=wanted)).status_code == 201
    again = await client.post("/api/auth/register", json={**wanted, "email": wanted["email"].upper()})
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")


async def test_a_race_for_an_address_has_one_winner(client: httpx.AsyncClient) -> None:
    wanted = registration()
    answers = await asyncio.gather(*(client.post("/api/auth/register", json=wanted) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409, 409, 409]


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "123456789",
        "1234567890",
        "aaaaaaaaaaaaaa",
        "abababababab",
        "ann.archer@example.com",
        "Ann Archer of Acme",
    ],
)
async def test_weak_passwords_are_refused(client: httpx.AsyncClient, password: str) -> None:
    wanted = registration(password=password, email="ann.archer@example.com", name="Ann Archer of Acme")
    answer = await client.post("/api/auth/register", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", "Ann <ann@example.com>"),
        ("email", None),
        ("password", "x" * 201),
        ("name", "   "),
        ("name", "x" * 101),
        ("locale", "english please"),
        ("timeZone", "Mars/Olympus"),
        ("timeZone", "../etc/passwd"),
        ("isAdmin", True),
    ],
)
async def test_wrong_fields_are_named(client: httpx.AsyncClient, field: str, value: object) -> None:
    answer = await client.post("/api/auth/register", json=registration(**{field: value}))
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["details"]] == [f"/{field}"]


async def test_login(client: httpx.AsyncClient, person: Person) -> None:
    answer = await client.post("/api/auth/login", json={"email": f" {person.email.upper()} ", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == str(person.id)
    assert answer.json()["refreshToken"] != person.refresh_token


async def test_wrong_password_and_unknown_address_look_alike(client: httpx.AsyncClient, person: Person) -> None:
    wrong = await client.post("/api/auth/login", json={"email": person.email, "password": "not the password"})
    unknown = await client.post("/api/auth/login", json={"email": an_address(), "password": "not the password"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.headers["www-authenticate"] == unknown.headers["www-authenticate"]
    assert {**wrong.json(), "instance": ""} == {**unknown.json(), "instance": ""}
    assert wrong.json()["code"] == "invalid_credentials"


async def test_an_unknown_address_costs_a_hash_too(
    client: httpx.AsyncClient, person: Person, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = platform.part(Passwords)._hasher
    verify = hasher.verify_and_update
    seen: list[str] = []

    def record(password: str, known: str) -> tuple[bool, str | None]:
        seen.append(known.split("$")[3])
        return verify(password, known)

    monkeypatch.setattr(hasher, "verify_and_update", record)
    for address in (person.email, an_address()):
        await client.post("/api/auth/login", json={"email": address, "password": "not the password"})
    assert len(seen) == 2
    assert seen[0] == seen[1], "the decoy has the cost of a real hash"


async def test_no_connection_is_held_while_hashing(fresh_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(fresh_platform.settings, fresh_platform)
    hasher = fresh_platform.part(Passwords)._hasher
    held: list[str] = []
    pool = fresh_platform.database.engine.sync_engine.pool
    hash_password, verify = hasher.hash, hasher.verify_and_update

    def hash_and_look(password: str) -> str:
        held.append(pool.status())
        return hash_password(password)

    def verify_and_look(password: str, known: str) -> tuple[bool, str | None]:
        held.append(pool.status())
        return verify(password, known)

    monkeypatch.setattr(hasher, "hash", hash_and_look)
    monkeypatch.setattr(hasher, "verify_and_update", verify_and_look)
    async with asyncio.timeout(5):  # the clock is read once more at the start, on a connection of its own
        while "Current Checked out connections: 0" not in pool.status():  # noqa: ASYNC110  the pool tells nobody
            await asyncio.sleep(0.01)
    somebody = await register(app)
    answer = await somebody.client.post("/api/auth/login", json={"email": somebody.email, "password": PASSWORD})
    assert answer.status_code == 200
    assert len(held) == 2
    assert all("Current Checked out connections: 0" in status for status in held), held
    await somebody.client.aclose()


async def test_a_hash_is_renewed_when_the_setting_rises(fresh_platform: Platform) -> None:
    app = create_app(fresh_platform.settings, fresh_platform)
    somebody = await register(app)

    async def stored() -> str | None:
        async with fresh_platform.database.reading() as session:
            return await session.scalar(select(User.password_hash).where(User.id == somebody.id))

    before = await stored()
    fresh_platform.provide(Passwords(memory_kib=16, iterations=1))
    for _ in range(2):
        answer = await somebody.client.post("/api/auth/login", json={"email": somebody.email, "password": PASSWORD})
        assert answer.status_code == 200
    after = await stored()
    assert before is not None
    assert after is not None
    assert "m=8," in before
    assert "m=16," in after
    await somebody.client.aclose()


async def test_me_tells_the_role_in_each_workspace(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    own = await make_workspace(bob, name="Own")
    other = await make_workspace(ann, name="Other")
    await join(platform, other["id"], bob, Role.VIEWER)
    answer = await bob.client.get("/api/auth/me")
    assert [(one["id"], one["slug"], one["name"], one["role"]) for one in answer.json()["workspaces"]] == [
        (other["id"], other["slug"], "Other", "VIEWER"),
        (own["id"], own["slug"], "Own", "OWNER"),
    ]


async def test_me_is_not_sent_again_until_it_changes(person: Person) -> None:
    first = await person.client.get("/api/auth/me")
    known = {"If-None-Match": first.headers["etag"]}
    assert (await person.client.get("/api/auth/me", headers=known)).status_code == 304
    await make_workspace(person)
    assert (await person.client.get("/api/auth/me", headers=known)).status_code == 200


async def test_codes_of_those_who_brought_one_here_fail_nothing(client: httpx.AsyncClient) -> None:
    for codes in ({"referralCode": "nobody's", "leadToken": "x" * 2000}, {"referralCode": None}):
        answer = await client.post("/api/auth/register", json=registration(**codes))
        assert answer.status_code == 201, answer.text
    long = await client.post("/api/auth/register", json=registration(leadToken="x" * 2001))
    assert long.status_code == 422


async def test_only_a_good_token_opens(client: httpx.AsyncClient, person: Person, platform: Platform) -> None:
    me = (await person.client.get("/api/auth/me")).json()["user"]
    stranger = AccessTokens(platform.keys, platform.clock, "http://elsewhere.local")
    sid = (await person.client.get("/api/auth/sessions")).json()["sessions"][0]["id"]
    head, body, signature = person.access_token.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {person.access_token}",
        "Bearer garbage",
        f"Bearer {head}.{body}.{signature[:-4]}AAAA",
        f"Bearer {unsigned}.{body}.",
        f"Bearer {stranger.issue(me['id'], sid)}",
        f"Bearer {platform.part(AccessTokens).issue(me['id'], uuid4())}",
        f"Bearer {platform.part(AccessTokens).issue(uuid4(), sid)}",
        f"Bearer {person.refresh_token}",
    ):
        answer = await client.get("/api/auth/me", headers={} if header is None else {"Authorization": header})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), header
        assert answer.headers["www-authenticate"].startswith("Bearer ")


async def test_an_access_token_lives_a_quarter_of_an_hour(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    second = await client.post("/api/auth/login", json={"email": person.email, "password": PASSWORD})
    clock.advance(minutes=14)
    assert (await person.client.get("/api/auth/me")).status_code == 200
    clock.advance(minutes=2)
    late = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {second.json()['accessToken']}"})
    assert late.status_code == 401


async def test_jwks_is_public_and_cached(client: httpx.AsyncClient) -> None:
    answer = await client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("public")
    keys = answer.json()["keys"]
    assert [key["kid"] for key in keys] == ["test", "credit-statement:test"]
    assert all(set(key) == {"kty", "crv", "x", "kid", "use", "alg"} for key in keys)
    again = await client.get("/.well-known/jwks.json", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"].startswith("public")


async def test_keys_roll_without_logging_anyone_out(app: FastAPI, person: Person, worker_database: str) -> None:
    rolled = settings_for(worker_database, secret_keys=f"{NEW_KEY},{SECRET_KEYS}")
    async with (
        open_platform(rolled, MovableClock()) as platform,
        client_of(create_app(rolled, platform)) as caller,
    ):
        old = {"Authorization": f"Bearer {person.access_token}"}
        assert (await caller.get("/api/auth/me", headers=old)).status_code == 200
        kids = [key["kid"] for key in (await caller.get("/.well-known/jwks.json")).json()["keys"]]
        assert kids == ["new", "test", "credit-statement:new", "credit-statement:test"]
        fresh = await caller.post("/api/auth/refresh", json={"refreshToken": person.refresh_token})
        assert fresh.status_code == 200
        new = {"Authorization": f"Bearer {fresh.json()['accessToken']}"}
        assert (await caller.get("/api/auth/me", headers=new)).status_code == 200
        unrolled = await person.client.get("/api/auth/me", headers=new)
        assert unrolled.status_code == 401, "the old installation does not know the new key"


async def test_guessing_is_slowed_down(worker_database: str, person: Person) -> None:
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="3/minute")
    async with open_platform(settings, MovableClock()) as platform:
        app = create_app(settings, platform)

        async def attempt(address: str, path: str, body: dict[str, Any]) -> httpx.Response:
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test.local") as caller:
                return await caller.post(path, json=body)

        guess = {"email": person.email, "password": "not the password"}
        tries = [await attempt(f"10.0.0.{number}", "/api/auth/login", guess) for number in range(4)]
        assert [one.status_code for one in tries] == [401, 401, 401, 429], "one address tried from many places"
        for path, wrong in (
            ("/api/auth/login", lambda: {"email": an_address(), "password": "not the password"}),
            ("/api/auth/register", lambda: registration(password="too short")),
        ):
            place = f"10.1.{len(path)}.1"
            answers = [await attempt(place, path, wrong()) for _ in range(4)]
            assert [one.status_code for one in answers][3] == 429, path
            assert 429 not in [one.status_code for one in answers[:3]], path
            assert int(answers[3].headers["retry-after"]) >= 1
            assert answers[3].headers["ratelimit-policy"] == '"sign-in";q=3;w=60'
            assert answers[3].json()["code"] == "rate_limited"
            apart = await attempt(place, "/api/auth/refresh", {"refreshToken": person.refresh_token})
            assert apart.status_code == 200, "whoever is here already is not locked out by others who come"
            assert apart.headers["ratelimit-policy"] == '"refresh";q=300;w=60'
