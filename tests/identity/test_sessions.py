"""Refresh tokens, cookies, and sessions that end everywhere at once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from pm_api.app import create_app
from pm_api.core.actor import Actor, ActorKind
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.core.settings import Settings
from pm_api.identity.guards import CACHE_S, SessionCache
from pm_api.identity.jobs.housekeeping import forget_dead_sessions
from pm_api.identity.models.people import RefreshToken, UserSession
from tests.conftest import PASSWORD, Person, client_of, open_platform
from tests.support.clock import MovableClock
from tests.support.settings import SECRET_KEYS, settings_for

SITE = {"Origin": "http://site.local"}
NEW_KEY = "new:" + base64.b64encode(b"the next key of the tests, thirty-two bytes").decode()


async def exchange(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/auth/refresh", json={"refreshToken": token})


async def exchanged(client: httpx.AsyncClient, token: str) -> str:
    answer = await exchange(client, token)
    assert answer.status_code == 200, answer.text
    successor: str = answer.json()["refreshToken"]
    return successor


async def login(client: httpx.AsyncClient, person: Person, **headers: str) -> httpx.Response:
    answer = await client.post("/api/auth/login", json={"email": person.email, "password": PASSWORD}, headers=headers)
    assert answer.status_code == 200
    return answer


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


@asynccontextmanager
async def second_instance(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Another server process's worth of parts on the same database."""
    async with (
        open_platform(settings, MovableClock()) as platform,
        client_of(create_app(settings, platform)) as caller,
    ):
        yield caller


# --- rotation --------------------------------------------------------------------------------------------------


async def test_a_refresh_gives_new_tokens(client: httpx.AsyncClient, person: Person) -> None:
    answer = await exchange(client, person.refresh_token)
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == str(person.id)
    assert answer.json()["refreshToken"] != person.refresh_token
    assert (await client.get("/api/auth/me", headers=bearer(answer))).status_code == 200


async def test_within_the_grace_the_same_successor_is_given(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    first = await exchanged(client, person.refresh_token)
    clock.advance(seconds=29)
    assert await exchanged(client, person.refresh_token) == first
    clock.advance(days=1)
    assert await exchanged(client, first), "the session goes on"


async def test_two_tabs_at_once_are_one_honest_user(client: httpx.AsyncClient, person: Person) -> None:
    answers = await asyncio.gather(*(exchange(client, person.refresh_token) for _ in range(6)))
    assert [one.status_code for one in answers] == [200] * 6
    assert len({one.json()["refreshToken"] for one in answers}) == 1


async def test_a_slow_tab_gets_the_living_end_of_the_chain(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    second = await exchanged(client, person.refresh_token)
    clock.advance(seconds=5)
    third = await exchanged(client, second)
    clock.advance(seconds=20)
    assert await exchanged(client, person.refresh_token) == third
    clock.advance(hours=1)
    assert (await exchange(client, third)).status_code == 200


async def test_the_grace_survives_a_key_roll(client: httpx.AsyncClient, person: Person, worker_database: str) -> None:
    successor = await exchanged(client, person.refresh_token)
    rolled = settings_for(worker_database, secret_keys=f"{NEW_KEY},{SECRET_KEYS}")
    async with second_instance(rolled) as caller:
        assert await exchanged(caller, person.refresh_token) == successor


async def test_reuse_after_the_grace_ends_the_family(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    other = await login(client, person)
    newest = await exchange(client, person.refresh_token)
    assert (await client.get("/api/auth/me", headers=bearer(newest))).status_code == 200
    clock.advance(seconds=31)
    stolen = await exchange(client, person.refresh_token)
    assert (stolen.status_code, stolen.json()["code"]) == (401, "refresh_token_reused")
    ended = await exchange(client, newest.json()["refreshToken"])
    assert (ended.status_code, ended.json()["code"]) == (401, "invalid_refresh_token")
    assert (await client.get("/api/auth/me", headers=bearer(newest))).status_code == 401
    again = await exchange(client, person.refresh_token)
    assert again.json()["code"] == "invalid_refresh_token"
    assert (await client.get("/api/auth/me", headers=bearer(other))).status_code == 200, "another sign-in lives on"


async def test_a_session_ends_when_it_is_not_used(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    token = person.refresh_token
    for _ in range(3):
        clock.advance(days=29)
        token = await exchanged(client, token)
    clock.advance(days=31)
    answer = await exchange(client, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


@pytest.mark.parametrize(
    "body", [None, {}, {"refreshToken": None}, {"refreshToken": "unknown"}, {"refreshToken": ""}]
)
async def test_without_a_known_token_there_is_no_refresh(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/api/auth/refresh", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


async def test_tokens_rest_as_hashes(person: Person, platform: Platform) -> None:
    async with platform.database.reading() as session:
        hashes = await session.scalars(
            select(RefreshToken.token_hash).join(UserSession).where(UserSession.user_id == person.id)
        )
        [stored] = hashes.all()
    assert len(stored) == 32
    assert person.refresh_token.encode() not in stored


# --- browsers --------------------------------------------------------------------------------------------------


async def test_a_browser_gets_the_refresh_token_as_a_cookie_only(client: httpx.AsyncClient, person: Person) -> None:
    answer = await login(client, person, **SITE)
    assert "refreshToken" not in answer.json()
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("pm_refresh=")
    for part in ("httponly", "samesite=lax", "path=/api/auth", f"max-age={30 * 86400}"):
        assert part in cookie
    assert "secure" not in cookie
    refreshed = await client.post("/api/auth/refresh", headers=SITE)
    assert refreshed.status_code == 200
    assert "refreshToken" not in refreshed.json()
    assert refreshed.headers["set-cookie"] != answer.headers["set-cookie"]
    assert refreshed.headers["access-control-allow-origin"] == SITE["Origin"]
    assert refreshed.headers["access-control-allow-credentials"] == "true"


async def test_the_cookie_is_secure_where_the_setting_says_so(person: Person, worker_database: str) -> None:
    async with second_instance(settings_for(worker_database, cookie_secure=True)) as caller:
        assert "; secure" in (await login(caller, person)).headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://site.local", 200),
        ("http://test.local", 200),
        (None, 200),
        ("http://evil.local", 403),
        ("http://site.local.evil.local", 403),
        ("https://site.local", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_only_known_sites_may_use_the_cookie(
    client: httpx.AsyncClient, person: Person, origin: str | None, status: int
) -> None:
    await login(client, person, **SITE)
    answer = await client.post("/api/auth/refresh", headers={} if origin is None else {"Origin": origin})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "origin_not_allowed"
        assert "set-cookie" not in answer.headers
        assert (await client.post("/api/auth/refresh")).status_code == 200, "the refusal rotated nothing"


async def test_a_token_in_the_body_needs_no_origin_check(client: httpx.AsyncClient, person: Person) -> None:
    answer = await client.post(
        "/api/auth/refresh", json={"refreshToken": person.refresh_token}, headers={"Origin": "http://evil.local"}
    )
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


# --- ending ----------------------------------------------------------------------------------------------------


async def test_logout_ends_this_session_at_once(client: httpx.AsyncClient, person: Person) -> None:
    other = await login(client, person)
    assert (await person.client.get("/api/auth/me")).status_code == 200
    answer = await person.client.post("/api/auth/logout")
    assert answer.status_code == 204
    assert not answer.content
    cookie = answer.headers["set-cookie"].lower()
    assert "max-age=0" in cookie
    assert "path=/api/auth" in cookie
    assert (await person.client.get("/api/auth/me")).status_code == 401
    assert (await exchange(client, person.refresh_token)).json()["code"] == "invalid_refresh_token"
    assert (await client.get("/api/auth/me", headers=bearer(other))).status_code == 200


@pytest.mark.parametrize("way", ["cookie", "body", "beside an old access token", "rotated"])
async def test_who_has_only_the_refresh_token_logs_out_with_it(
    client: httpx.AsyncClient, person: Person, way: str
) -> None:
    token = person.refresh_token
    if way == "rotated":
        assert (await exchange(client, token)).status_code == 200
    client.cookies.clear()
    headers = {"Authorization": "Bearer expired.or.nonsense"} if way == "beside an old access token" else {}
    if way == "body":
        answer = await client.post("/api/auth/logout", json={"refreshToken": token})
    else:
        headers["Cookie"] = f"pm_refresh={token}"
        evil = await client.post("/api/auth/logout", headers={**headers, "Origin": "http://evil.local"})
        assert (evil.status_code, evil.json()["code"]) == (403, "origin_not_allowed")
        assert (await person.client.get("/api/auth/me")).status_code == 200
        answer = await client.post("/api/auth/logout", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    assert answer.headers["set-cookie"].lower().startswith('pm_refresh="";')
    assert (await person.client.get("/api/auth/me")).status_code == 401
    assert (await exchange(client, token)).json()["code"] == "invalid_refresh_token"
    assert (await client.post("/api/auth/logout", headers=headers)).status_code == 401, "it has ended"


async def test_logout_all_ends_every_session_of_the_caller(
    client: httpx.AsyncClient, person: Person, platform: Platform
) -> None:
    others = [await login(client, person) for _ in range(2)]
    assert (await person.client.post("/api/auth/logout-all")).status_code == 204
    for headers in (dict(person.client.headers), *(bearer(one) for one in others)):
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
    async with platform.database.reading() as session:
        alive = select(func.count()).where(UserSession.user_id == person.id, UserSession.revoked_at.is_(None))
        assert await session.scalar(alive) == 0


@pytest.mark.parametrize("path", ["/api/auth/logout", "/api/auth/logout-all"])
async def test_ending_needs_a_token(client: httpx.AsyncClient, path: str) -> None:
    wrong: list[tuple[Any, dict[str, str]]] = [
        (None, {}),
        ({"refreshToken": "unknown"}, {}),
        (None, {"Cookie": "pm_refresh=unknown"}),
    ]
    for body, headers in wrong:
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_logout_is_felt_by_every_process(person: Person, worker_database: str) -> None:
    async with second_instance(settings_for(worker_database)) as elsewhere:
        elsewhere.headers["Authorization"] = f"Bearer {person.access_token}"
        assert (await elsewhere.get("/api/auth/me")).status_code == 200, "and now it is in that process's cache"
        began = asyncio.get_running_loop().time()
        assert (await person.client.post("/api/auth/logout")).status_code == 204
        while (await elsewhere.get("/api/auth/me")).status_code == 200:
            assert asyncio.get_running_loop().time() - began < CACHE_S / 2, "the signal drops it, not the cache's end"
            await asyncio.sleep(0.005)


async def test_a_check_under_way_does_not_revive_an_ended_session() -> None:
    cache = SessionCache()
    actor = Actor(ActorKind.USER, uuid4(), uuid4())
    cache.put("earlier", actor, 900)
    cache.drop_session(str(actor.session_id))
    cache.put("meanwhile", actor, 900)
    assert cache.get("earlier") is None
    assert cache.get("meanwhile") is None
    other = Actor(ActorKind.USER, uuid4(), uuid4())
    cache.put("other", other, 900)
    assert cache.get("other") == other


async def test_sessions_are_listed_newest_first(client: httpx.AsyncClient, person: Person) -> None:
    await client.post(
        "/api/auth/login", json={"email": person.email, "password": PASSWORD}, headers={"User-Agent": "x" * 500}
    )
    first = await person.client.get("/api/auth/sessions", params={"limit": 1})
    assert [one["current"] for one in first.json()["sessions"]] == [False]
    assert len(first.json()["sessions"][0]["userAgent"]) == 400
    second = await person.client.get("/api/auth/sessions", params={"limit": 1, "cursor": first.json()["nextCursor"]})
    assert [one["current"] for one in second.json()["sessions"]] == [True]
    assert second.json()["nextCursor"] is None
    assert (await client.get("/api/auth/sessions")).status_code == 401


async def test_a_session_is_ended_by_its_id(client: httpx.AsyncClient, person: Person) -> None:
    other = await login(client, person)
    listed = (await person.client.get("/api/auth/sessions")).json()["sessions"]
    [identifier] = [one["id"] for one in listed if not one["current"]]
    assert (await client.delete(f"/api/auth/sessions/{identifier}")).status_code == 401
    assert (await person.client.delete(f"/api/auth/sessions/{identifier}")).status_code == 204
    assert (await client.get("/api/auth/me", headers=bearer(other))).status_code == 401
    assert (await person.client.delete(f"/api/auth/sessions/{identifier}")).status_code == 404
    assert len((await person.client.get("/api/auth/sessions")).json()["sessions"]) == 1


async def test_nobody_ends_a_stranger_s_session(client: httpx.AsyncClient, person: Person, app: FastAPI) -> None:
    stranger = await client.post(
        "/api/auth/register", json={"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Eve"}
    )
    [mine] = (await person.client.get("/api/auth/sessions")).json()["sessions"]
    answer = await client.delete(f"/api/auth/sessions/{mine['id']}", headers=bearer(stranger))
    assert answer.status_code == 404
    assert (await person.client.get("/api/auth/me")).status_code == 200
    assert (await person.client.delete("/api/auth/sessions/not-an-id")).status_code == 404


async def test_dead_sessions_are_forgotten(
    client: httpx.AsyncClient, person: Person, platform: Platform, clock: MovableClock
) -> None:
    ended = await login(client, person)
    await client.post("/api/auth/logout", headers=bearer(ended))

    async def kept() -> int:
        async with platform.database.reading() as session:
            return await session.scalar(select(func.count()).where(UserSession.user_id == person.id)) or 0

    context = JobContext(platform, "identity.forget_dead_sessions")
    clock.advance(days=29)
    await forget_dead_sessions(context)
    assert await kept() == 2
    clock.advance(days=2)
    await forget_dead_sessions(context)
    assert await kept() == 1


async def test_expired_tokens_of_living_sessions_are_forgotten_all_of_them(
    person: Person, platform: Platform, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pm_api.identity.jobs.housekeeping.BATCH", 2)
    now = clock.wall()
    async with platform.database.transaction() as session:
        family = await session.scalar(select(UserSession.id).where(UserSession.user_id == person.id))
        session.add_all(
            RefreshToken(
                token_hash=uuid4().bytes * 2,
                session_id=family,
                created_at=now - timedelta(days=40),
                expires_at=now - timedelta(days=1),
                rotated_at=now - timedelta(days=39),
            )
            for _ in range(5)
        )
    await forget_dead_sessions(JobContext(platform, "identity.forget_dead_sessions"))
    async with platform.database.reading() as session:
        left = select(func.count()).where(RefreshToken.session_id == family)
        assert await session.scalar(left) == 1, "the living one"
