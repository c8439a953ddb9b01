"""Sessions in two processes at once: tabs that refresh together stay signed in, and a sign-out is felt everywhere."""

import asyncio
import time
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from pm_api.app import create_app
from pm_api.identity import guards
from pm_api.identity.models.people import RefreshToken, UserSession
from tests.conftest import PASSWORD, client_of, open_platform, register
from tests.races.town import Town
from tests.support.clock import MovableClock
from tests.support.settings import settings_for
from tests.support.soak import rounds

pytestmark = pytest.mark.xdist_group("processes")

SITE = {"Origin": "http://site.local"}
REFRESHES = rounds(200, 2000)
FELT_WITHIN_S = 5.0


async def refresh(town: Town, number: int, cookie: str) -> tuple[httpx.Response, str]:
    """One tab's refresh at one of the processes, and the cookie the browser has after it."""
    answer = await town.apis[number % 2].post("/api/auth/refresh", headers={**SITE, "Cookie": f"pm_refresh={cookie}"})
    return answer, answer.cookies.get("pm_refresh") or ""


async def test_two_tabs_that_refresh_at_once_two_hundred_times_stay_signed_in(town: Town) -> None:
    """One browser, two tabs, two processes: both send the cookie there is, and whichever answer comes last stays."""
    person = await register(town.app)
    cookie, token = person.refresh_token, ""
    for number in range(REFRESHES):
        tabs = await asyncio.gather(refresh(town, number, cookie), refresh(town, number + 1, cookie))
        assert [answer.status_code for answer, _ in tabs] == [200, 200], (number, [one.text for one, _ in tabs])
        assert tabs[0][1] == tabs[1][1] != cookie, "both are given the same successor"
        cookie, token = tabs[number % 2][1], tabs[0][0].json()["accessToken"]
    for api in town.apis:
        assert (await api.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    async with town.platform.database.reading() as session:
        [family] = (await session.scalars(select(UserSession).where(UserSession.user_id == person.id))).all()
        assert family.revoked_at is None
        assert await session.scalar(select(func.count()).where(RefreshToken.session_id == family.id)) == REFRESHES + 1
    await person.client.aclose()


async def test_a_tab_that_lags_behind_two_others_stays_signed_in(town: Town) -> None:
    person = await register(town.app)
    ahead = behind = person.refresh_token
    for number in range(REFRESHES // 4):
        (answer, following), (late, caught_up) = await asyncio.gather(
            refresh(town, number, ahead), refresh(town, number + 1, behind)
        )
        assert (answer.status_code, late.status_code) == (200, 200), (number, answer.text, late.text)
        assert caught_up, "the tab that was behind is given the living end"
        behind, ahead = ahead, following
    await person.client.aclose()


async def test_signing_out_is_felt_in_the_other_process(town: Town) -> None:
    here, there = town.apis
    for path in ("/api/auth/logout", "/api/auth/logout-all"):
        person = await register(town.app)
        headers = {"Authorization": f"Bearer {person.access_token}"}
        assert (await there.get("/api/auth/me", headers=headers)).status_code == 200, "in that process's cache now"
        assert (await here.post(path, headers=headers)).status_code == 204
        began = time.monotonic()
        assert (await here.get("/api/auth/me", headers=headers)).status_code == 401, "at once where it happened"
        while (await there.get("/api/auth/me", headers=headers)).status_code == 200:
            assert time.monotonic() - began < FELT_WITHIN_S
            await asyncio.sleep(0.01)
        await person.client.aclose()


async def test_a_new_password_is_felt_in_the_other_process(town: Town) -> None:
    here, there = town.apis
    person = await register(town.app)
    headers = {"Authorization": f"Bearer {person.access_token}"}
    other = await here.post("/api/auth/login", json={"email": person.email, "password": PASSWORD})
    mine = {"Authorization": f"Bearer {other.json()['accessToken']}"}
    assert (await there.get("/api/auth/me", headers=headers)).status_code == 200
    body = {"oldPassword": PASSWORD, "password": f"another phrase {uuid4().hex}"}
    assert (await here.post("/api/auth/change-password", headers=mine, json=body)).status_code == 204
    began = time.monotonic()
    while (await there.get("/api/auth/me", headers=headers)).status_code == 200:
        assert time.monotonic() - began < FELT_WITHIN_S
        await asyncio.sleep(0.01)
    assert (await there.get("/api/auth/me", headers=mine)).status_code == 200
    await person.client.aclose()


async def test_a_process_that_hears_nothing_forgets_in_time(
    worker_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the signal it is the cache's own end, after five seconds at most; here it is made shorter."""
    assert guards.CACHE_S <= FELT_WITHIN_S
    monkeypatch.setattr(guards, "CACHE_S", 0.4)
    settings = settings_for(worker_database)
    async with (
        open_platform(settings, MovableClock()) as near,
        open_platform(settings, MovableClock()) as deaf,
        client_of(create_app(settings, deaf)) as there,
    ):
        await deaf.signals.stop()
        person = await register(create_app(settings, near))
        there.headers["Authorization"] = f"Bearer {person.access_token}"
        assert (await there.get("/api/auth/me")).status_code == 200
        assert (await person.client.post("/api/auth/logout")).status_code == 204
        assert (await there.get("/api/auth/me")).status_code == 200, "it has heard nothing"
        began = time.monotonic()
        while (await there.get("/api/auth/me")).status_code == 200:
            assert time.monotonic() - began < 2 * guards.CACHE_S
            await asyncio.sleep(0.01)
        await person.client.aclose()
