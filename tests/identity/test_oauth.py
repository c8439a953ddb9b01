"""Signing in through an independent OpenID provider: in one browser, once, in time, and to the right account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.identity.models.people import User, UserSession
from pm_api.identity.models.sign_in import ExternalIdentity, OauthAttempt
from tests.conftest import PASSWORD, Person, client_of, open_platform, register
from tests.domains.team.inviting import a_team, invited, roles_of, token_of
from tests.support.clock import MovableClock
from tests.support.providers import (
    CLIENT_ID,
    IndependentProvider,
    claims_of,
    independent_provider,
    query_of,
    s256,
)
from tests.support.queue import work_off
from tests.support.settings import settings_for

PAGE = {"Accept": "text/html,application/xhtml+xml"}
SITE = "http://site.local"
ACME, OTHER = "acme", "other"

pytestmark = pytest.mark.xdist_group("oidc-provider")


@dataclass
class Stage:
    """An installation with two entries for the same provider, and that provider."""

    platform: Platform
    app: FastAPI
    provider: IndependentProvider

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    @asynccontextmanager
    async def browser(self) -> AsyncIterator["Browser"]:
        async with client_of(self.app, headers=PAGE) as client:
            yield Browser(client, self.provider)

    async def count(self, model: type[Any], *where: Any) -> int:
        async with self.platform.database.reading() as session:
            return await session.scalar(select(func.count()).select_from(model).where(*where)) or 0

    async def verify(self, person: Person) -> None:
        async with self.platform.database.transaction() as session:
            await session.execute(
                text("UPDATE users SET email_verified_at = :now WHERE id = :id"),
                {"now": self.clock.now(), "id": person.id},
            )

    async def person(self, *, verified: bool = True, **fields: Any) -> Person:
        made = await register(self.app, **fields)
        if verified:
            await self.verify(made)
        return made


@dataclass
class Browser:
    """One browser: it keeps cookies, and goes where it is led."""

    client: httpx.AsyncClient
    provider: IndependentProvider

    async def leave(self, name: str = ACME, **query: str) -> str:
        """Begin to sign in; the address at the provider."""
        answer = await self.client.get(f"/api/auth/oauth/{name}/start", params=query)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def come(self, address: str) -> httpx.Response:
        return await self.client.get(address)

    async def sign_in(self, subject: str, name: str = ACME, **query: str) -> httpx.Response:
        back = await self.provider.allow(await self.leave(name, **query), subject)
        return await self.come(back)

    async def me(self) -> dict[str, Any]:
        """Who the refresh cookie says one is."""
        refreshed = await self.client.post("/api/auth/refresh", headers={"Origin": SITE})
        assert refreshed.status_code == 200, refreshed.text
        assert "refreshToken" not in refreshed.json()
        token = refreshed.json()["accessToken"]
        answer = await self.client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        self.client.headers["Authorization"] = f"Bearer {token}"
        user: dict[str, Any] = answer.json()["user"]
        return user


def refused(answer: httpx.Response, code: str, page: str = f"{SITE}/login") -> None:
    """Led to the app, which is told why; nobody is signed in."""
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page}?error={code}")
    assert "pm_refresh" not in answer.headers.get("set-cookie", "")


def an_address() -> str:
    return f"{uuid4().hex[:12]}@example.com"


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[IndependentProvider]:
    async with independent_provider() as found:
        yield found


@pytest.fixture(scope="module")
async def everything(worker_database: str, provider: IndependentProvider) -> AsyncIterator[Stage]:
    settings = settings_for(worker_database, oidc={"providers": [provider.settings(ACME), provider.settings(OTHER)]})
    async with open_platform(settings, MovableClock()) as platform:
        yield Stage(platform, create_app(settings, platform), provider)


@pytest.fixture
def stage(everything: Stage) -> Stage:
    everything.clock.reset()
    everything.provider.down = False
    everything.provider.exchanges.clear()
    return everything


# --- the way through -----------------------------------------------------------------------------------------------


async def test_a_new_person_comes_back_signed_in(stage: Stage) -> None:
    email = an_address()
    subject = await stage.provider.person(email=email.upper(), email_verified=True, name="Ann Archer")
    async with stage.browser() as browser:
        left = await browser.leave(returnTo="/projects?filter=mine#top")
        asked = query_of(left)
        assert left.startswith(f"{stage.provider.issuer}/oauth2/authorize?")
        assert asked["redirect_uri"] == "http://test.local/api/auth/oauth/acme/callback"
        assert (asked["response_type"], asked["client_id"], asked["scope"]) == (
            "code",
            CLIENT_ID,
            "openid email profile",
        )
        assert asked["code_challenge_method"] == "S256"
        assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))
        answer = await browser.come(await stage.provider.allow(left, subject))
        assert (answer.status_code, answer.headers["location"]) == (303, f"{SITE}/projects?filter=mine#top")
        cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("pm_refresh="))
        for part in ("HttpOnly", "SameSite=lax", "Path=/api/auth"):
            assert part in cookie
        assert "accessToken" not in answer.text
        user = await browser.me()
        assert (user["email"], user["name"]) == (email, "Ann Archer")
        assert user["emailVerifiedAt"] is not None
        balance = await browser.client.get("/api/credits/balance")
        assert balance.status_code == 200, "a wallet was opened with the account"
        shown = (await browser.client.get("/api/user/security")).json()["security"]
    [exchange] = stage.provider.exchanges
    assert s256(exchange.form["code_verifier"]) == asked["code_challenge"]
    assert claims_of(exchange.answer["id_token"])["nonce"] == asked["nonce"]
    assert shown["signInMethods"]["hasPassword"] is False
    assert [one["provider"] for one in shown["signInMethods"]["providers"]] == [ACME]
    assert [one["kind"] for one in shown["events"]] == ["SIGNED_IN", "SIGN_IN_METHOD_LINKED"]
    assert shown["events"][0]["details"] == {"method": ACME}


async def test_the_same_identity_is_the_same_person_whatever_its_address_becomes(stage: Stage) -> None:
    email = an_address()
    subject = await stage.provider.person(email=email, email_verified=True)
    async with stage.browser() as browser:
        await browser.sign_in(subject)
        first = await browser.me()
    async with httpx.AsyncClient(trust_env=False, verify=False) as there:
        changed = {"email": an_address(), "email_verified": False}
        await there.put(f"{stage.provider.issuer}/users/{subject}", json=changed)
    async with stage.browser() as browser:
        assert (await browser.sign_in(subject)).headers["location"] == f"{SITE}/dashboard"
        again = await browser.me()
    assert (again["id"], again["email"]) == (first["id"], email)


async def test_a_program_is_answered_in_json(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with client_of(stage.app) as client:
        started = await client.get(f"/api/auth/oauth/{ACME}/start")
        assert started.status_code == 200
        back = await stage.provider.allow(started.json()["authorizationUrl"], subject)
        finished = await client.get(back)
        assert finished.json() == {"outcome": "SIGNED_IN", "returnTo": f"{SITE}/dashboard"}
        assert (await client.post("/api/auth/refresh")).status_code == 200
        replayed = await client.get(back)
    assert (replayed.status_code, replayed.json()["code"]) == (400, "sign_in_state_invalid")


async def test_two_tabs_that_begin_at_once_both_come_back(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        first, second = await browser.leave(), await browser.leave()
        for left in (first, second):
            answer = await browser.come(await stage.provider.allow(left, subject))
            assert answer.headers["location"] == f"{SITE}/dashboard"


async def test_a_script_begins_and_brings_a_lead_along(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        lead = await browser.client.post("/api/leads", json={"source": "home"})
        assert lead.status_code == 201, lead.text
        token = lead.json()["leadToken"]
        body = {"returnTo": "/welcome", "leadToken": token}
        elsewhere = await browser.client.post(
            f"/api/auth/oauth/{ACME}/start", json=body, headers={"Origin": "http://evil.local"}
        )
        assert elsewhere.json()["code"] == "origin_not_allowed"
        started = await browser.client.post(f"/api/auth/oauth/{ACME}/start", json=body, headers={"Origin": SITE})
        back = await stage.provider.allow(started.json()["authorizationUrl"], subject)
        assert (await browser.come(back)).headers["location"] == f"{SITE}/welcome"
        await browser.me()
        assert (await browser.client.get("/api/credits/balance")).json()["balance"]["current"] == 30
    async with client_of(stage.app, headers={"Authorization": f"Bearer {token}"}) as visitor:
        assert (await visitor.get("/api/credits/balance")).status_code == 401, "the token was used"


async def test_an_invitation_comes_along(stage: Stage) -> None:
    """Taken up where the invited address is the one the provider proves; otherwise it is left, and nothing fails."""
    host, email = await stage.person(), an_address()
    workspace_id = await a_team(stage.platform, host)
    made = await invited(host, workspace_id, email)
    token = await token_of(stage.platform, made["id"])
    for address, roles in ((an_address(), 1), (email, 2)):
        subject = await stage.provider.person(email=address, email_verified=True)
        async with stage.browser() as browser:
            body = {"invitationToken": token}
            started = await browser.client.post(f"/api/auth/oauth/{ACME}/start", json=body)
            back = await stage.provider.allow(started.json()["authorizationUrl"], subject)
            assert (await browser.come(back)).headers["location"] == f"{SITE}/dashboard"
        assert len(await roles_of(host, workspace_id)) == roles


async def test_the_providers_there_are_are_listed(stage: Stage, client: httpx.AsyncClient) -> None:
    async with client_of(stage.app) as caller:
        listed = (await caller.get("/api/auth/providers")).json()["providers"]
    assert [(one["name"], one["title"]) for one in listed] == [(ACME, "Acme"), (OTHER, "Other")]
    assert listed[0]["startUrl"] == "http://test.local/api/auth/oauth/acme/start"


# --- what does not get through -------------------------------------------------------------------------------------


async def test_a_replayed_return_is_refused(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        back = await stage.provider.allow(await browser.leave(), subject)
        answers = await asyncio.gather(*(browser.come(back) for _ in range(4)))
        places = sorted(one.headers["location"] for one in answers)
        assert places == [f"{SITE}/dashboard", *[f"{SITE}/login?error=sign_in_state_invalid"] * 3]
        refused(await browser.come(back), "sign_in_state_invalid")
    assert len(stage.provider.exchanges) == 1, "the provider was asked once"


async def test_another_browser_cannot_use_what_this_one_began(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as mine, stage.browser() as foreign, stage.browser() as busy:
        back = await stage.provider.allow(await mine.leave(), subject)
        refused(await foreign.come(back), "sign_in_state_invalid")
        await busy.leave()  # a browser with a sign-in of its own under way
        refused(await busy.come(back), "sign_in_state_invalid")
        assert (await mine.come(back)).headers["location"] == f"{SITE}/dashboard", "it was not used up by them"


async def test_whoever_comes_back_too_late_begins_again(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        back = await stage.provider.allow(await browser.leave(), subject)
        kept = dict(browser.client.cookies)
        stage.clock.advance(minutes=10, seconds=1)
        # The browser has dropped the cookie by now; somebody may have kept it.
        browser.client.cookies.update(kept)
        refused(await browser.come(back), "sign_in_state_invalid")
    assert stage.provider.exchanges == []


async def test_a_state_is_good_for_its_own_provider(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        back = await stage.provider.allow(await browser.leave(ACME), subject)
        refused(await browser.come(back.replace(f"/{ACME}/", f"/{OTHER}/")), "sign_in_state_invalid")
        assert (await browser.come(back)).headers["location"] == f"{SITE}/dashboard"


async def test_a_code_of_another_sign_in_is_refused(stage: Stage) -> None:
    """A code that was stolen, or planted: the nonce in its ID token is another sign-in's."""
    ann, eve = [await stage.provider.person(email=an_address(), email_verified=True) for _ in range(2)]
    async with stage.browser() as browser, stage.browser() as other:
        mine = query_of(await stage.provider.allow(await browser.leave(), ann))
        theirs = query_of(await stage.provider.allow(await other.leave(), eve))
        answer = await browser.client.get(
            f"/api/auth/oauth/{ACME}/callback", params={"state": mine["state"], "code": theirs["code"]}
        )
        refused(answer, "sign_in_refused")
        again = await browser.come(f"/api/auth/oauth/{ACME}/callback?state={mine['state']}&code={mine['code']}")
        refused(again, "sign_in_state_invalid")
    assert await stage.count(ExternalIdentity, ExternalIdentity.subject.in_([ann, eve])) == 0


async def test_who_says_no_there_comes_back_unsigned(stage: Stage) -> None:
    async with stage.browser() as browser:
        back = await stage.provider.deny(await browser.leave())
        if "state" not in query_of(back):  # the independent provider leaves it out, against RFC 6749 §4.1.2.1
            state = query_of(await browser.leave())["state"]
            back = f"{back}&state={state}"
        refused(await browser.come(back), "sign_in_refused")


async def test_a_made_up_code_is_refused(stage: Stage) -> None:
    async with stage.browser() as browser:
        state = query_of(await browser.leave())["state"]
        refused(await browser.come(f"/api/auth/oauth/{ACME}/callback?state={state}&code=nonsense"), "sign_in_refused")


@pytest.mark.parametrize("query", ["", "?code=x", "?state=", "?state=unknown&code=x"])
async def test_a_return_out_of_nowhere_is_refused(stage: Stage, query: str) -> None:
    async with stage.browser() as browser:
        await browser.leave()
        answer = await browser.come(f"/api/auth/oauth/{ACME}/callback{query}")
    if answer.status_code == 303:
        refused(answer, "sign_in_state_invalid")
    else:
        assert answer.status_code == 422


async def test_while_the_provider_is_away_one_is_told_so(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        back = await stage.provider.allow(await browser.leave(), subject)
        stage.provider.down = True
        refused(await browser.come(back), "sign_in_provider_unavailable")
        stage.provider.down = False
        assert (await browser.sign_in(subject)).headers["location"] == f"{SITE}/dashboard"


@pytest.mark.parametrize("path", ["start", "callback?state=x&code=y"])
async def test_an_unknown_provider_is_not_found(stage: Stage, path: str) -> None:
    async with client_of(stage.app) as client:
        answer = await client.get(f"/api/auth/oauth/nobody/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_provider")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example/x",
        "/\\evil.example",
        "\\\\evil.example",
        "http://site.local.evil.example/",
        "http://site.local@evil.example/",
        "https://site.local/",
        "http://site.local:8080/",
        "javascript:alert(1)",
        "",
    ],
)
async def test_nobody_is_led_astray(stage: Stage, address: str) -> None:
    async with stage.browser() as browser:
        answer = await browser.client.get(f"/api/auth/oauth/{ACME}/start", params={"returnTo": address})
    assert (answer.status_code, answer.json()["code"]) == (422, "sign_in_return_not_allowed")


async def test_an_address_of_the_app_itself_is_fine(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        answer = await browser.sign_in(subject, returnTo=f"{SITE}/a/b?c=d")
    assert answer.headers["location"] == f"{SITE}/a/b?c=d"


# --- whose account -------------------------------------------------------------------------------------------------


async def test_a_proved_address_joins_the_account_that_has_proved_it(stage: Stage) -> None:
    person = await stage.person()
    subject = await stage.provider.person(email=person.email.title(), email_verified=True)
    async with stage.browser() as browser:
        await browser.sign_in(subject)
        assert (await browser.me())["id"] == str(person.id)
    assert await stage.count(ExternalIdentity, ExternalIdentity.user_id == person.id) == 1


@pytest.mark.parametrize("claims", [{"email_verified": False}, {}, {"email_verified": "yes"}])
@pytest.mark.parametrize("known", [True, False])
async def test_an_unproved_address_opens_nothing(stage: Stage, claims: dict[str, Any], known: bool) -> None:
    email = (await stage.person()).email if known else an_address()
    subject = await stage.provider.person(email=email, **claims)
    async with stage.browser() as browser:
        refused(await browser.sign_in(subject), "provider_email_unverified")
    assert await stage.count(ExternalIdentity, ExternalIdentity.subject == subject) == 0
    assert await stage.count(User, User.email == email) == known


async def test_who_squats_an_address_gets_no_share_in_it(stage: Stage) -> None:
    """Somebody registers another's address first; its owner comes through a provider."""
    squatter = await stage.person(verified=False)
    subject = await stage.provider.person(email=squatter.email, email_verified=True)
    async with stage.browser() as browser:
        refused(await browser.sign_in(subject), "account_email_unverified")
    assert await stage.count(ExternalIdentity, ExternalIdentity.user_id == squatter.id) == 0


async def test_without_an_address_nobody_registers(stage: Stage) -> None:
    subject = await stage.provider.person(name="No Address")
    async with stage.browser() as browser:
        refused(await browser.sign_in(subject), "provider_email_unverified")


async def test_one_account_comes_of_one_identity_however_many_arrive_at_once(stage: Stage) -> None:
    email = an_address()
    subject = await stage.provider.person(email=email, email_verified=True)
    async with stage.browser() as one, stage.browser() as two:
        backs = [await stage.provider.allow(await each.leave(), subject) for each in (one, two)]
        answers = await asyncio.gather(one.come(backs[0]), two.come(backs[1]))
        assert [answer.headers["location"] for answer in answers] == [f"{SITE}/dashboard"] * 2
        assert (await one.me())["id"] == (await two.me())["id"]
    assert await stage.count(User, User.email == email) == 1


# --- linking -----------------------------------------------------------------------------------------------------


async def begin_to_link(stage: Stage, person: Person, name: str = ACME) -> httpx.Response:
    person.client.headers["Accept"] = PAGE["Accept"]
    return await person.client.post(f"/api/auth/oauth/{name}/link", json={"returnTo": "/settings/security"})


async def link(stage: Stage, person: Person, subject: str, name: str = ACME) -> httpx.Response:
    started = await begin_to_link(stage, person, name)
    assert started.status_code == 200, started.text
    return await person.client.get(await stage.provider.allow(started.json()["authorizationUrl"], subject))


async def test_a_provider_is_linked_whatever_its_address_and_unlinked_again(stage: Stage) -> None:
    person = await stage.person()
    subject = await stage.provider.person(email=an_address(), email_verified=False)
    answer = await link(stage, person, subject)
    assert answer.headers["location"] == f"{SITE}/settings/security"
    assert "pm_refresh" not in answer.headers.get("set-cookie", ""), "linking opens no session"
    async with stage.browser() as browser:
        await browser.sign_in(subject)
        assert (await browser.me())["id"] == str(person.id)
    assert (await person.client.delete(f"/api/auth/oauth/{ACME}")).status_code == 204
    assert (await person.client.delete(f"/api/auth/oauth/{ACME}")).json()["code"] == "unknown_provider"
    events = (await person.client.get("/api/user/security")).json()["security"]["events"]
    assert [one["kind"] for one in events][:4] == [
        "SIGN_IN_METHOD_UNLINKED",
        "SIGNED_IN",
        "SIGN_IN_METHOD_LINKED",
        "SIGNED_IN",
    ]
    async with stage.browser() as browser:
        refused(await browser.sign_in(subject), "provider_email_unverified")


async def test_linking_and_unlinking_need_a_token(stage: Stage) -> None:
    async with client_of(stage.app) as client:
        assert (await client.post(f"/api/auth/oauth/{ACME}/link")).status_code == 401
        assert (await client.delete(f"/api/auth/oauth/{ACME}")).status_code == 401


async def test_linking_takes_a_proof_that_it_is_you_and_is_told(stage: Stage) -> None:
    """Else whoever finds a session open makes a door of their own, which a new password does not close."""
    person = await stage.person()
    path = f"/api/auth/oauth/{ACME}/link"
    stage.clock.advance(minutes=11)
    for body in (None, {}, {"password": "not the password"}):
        answer = await person.client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_required")
    assert await stage.count(OauthAttempt, OauthAttempt.user_id == person.id) == 0
    started = await person.client.post(path, json={"password": PASSWORD})
    assert started.status_code == 200, started.text
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    await person.client.get(await stage.provider.allow(started.json()["authorizationUrl"], subject))
    await work_off(stage.platform, "identity.")
    shown = await person.client.get("/api/notifications", params={"category": "SECURITY"})
    assert shown.json()["notifications"][0]["data"]["event"] == "SIGN_IN_METHOD_LINKED"


async def test_nobody_links_before_their_address_is_proved(stage: Stage) -> None:
    """Else who registers with another's address keeps a door of their own for the day it is proved."""
    squatter = await stage.person(verified=False)
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    refused(await link(stage, squatter, subject), "verify_email_first", f"{SITE}/settings/security")
    assert await stage.count(ExternalIdentity, ExternalIdentity.user_id == squatter.id) == 0


async def test_one_identity_is_one_person_s(stage: Stage) -> None:
    ann, bea = await stage.person(), await stage.person()
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    await link(stage, ann, subject)
    refused(await link(stage, bea, subject), "provider_linked_elsewhere", f"{SITE}/settings/security")
    second = await stage.provider.person(email=an_address(), email_verified=True)
    refused(await link(stage, ann, second), "provider_already_linked", f"{SITE}/settings/security")
    again = await link(stage, ann, subject)
    assert again.headers["location"] == f"{SITE}/settings/security", "twice is once"


async def test_two_people_cannot_link_one_identity_at_once(stage: Stage) -> None:
    people = [await stage.person() for _ in range(2)]
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    started = [await begin_to_link(stage, one) for one in people]
    backs = [await stage.provider.allow(one.json()["authorizationUrl"], subject) for one in started]
    answers = await asyncio.gather(*(one.client.get(back) for one, back in zip(people, backs, strict=True)))
    places = sorted(one.headers["location"] for one in answers)
    assert places == [f"{SITE}/settings/security", f"{SITE}/settings/security?error=provider_linked_elsewhere"]
    assert await stage.count(ExternalIdentity, ExternalIdentity.subject == subject) == 1


async def test_who_signed_out_meanwhile_links_nothing(stage: Stage) -> None:
    person = await stage.person()
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    started = await begin_to_link(stage, person)
    back = await stage.provider.allow(started.json()["authorizationUrl"], subject)
    assert (await person.client.post("/api/auth/logout")).status_code == 204
    refused(await person.client.get(back), "sign_in_state_invalid", f"{SITE}/settings/security")


async def test_the_last_way_in_stays(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        await browser.sign_in(subject)
        user = await browser.me()
        answer = await browser.client.delete(f"/api/auth/oauth/{ACME}")
        assert (answer.status_code, answer.json()["code"]) == (409, "last_sign_in_method")
        started = await browser.client.post(f"/api/auth/oauth/{OTHER}/link")
        await browser.come(await stage.provider.allow(started.json()["authorizationUrl"], subject))
        for name in (ACME, OTHER):
            assert await stage.count(ExternalIdentity, ExternalIdentity.provider == name) >= 1
        answers = await asyncio.gather(*(browser.client.delete(f"/api/auth/oauth/{one}") for one in (ACME, OTHER)))
        assert sorted(one.status_code for one in answers) == [204, 409], "of two at once one stays"
    assert await stage.count(ExternalIdentity, ExternalIdentity.user_id == UUID(user["id"])) == 1


# --- the second factor ---------------------------------------------------------------------------------------------


async def with_second_factor(stage: Stage, address: str | None = None) -> tuple[Person, str, pyotp.TOTP]:
    """Somebody with a linked provider, where they have this address or their own, and a second factor."""
    person = await stage.person()
    subject = await stage.provider.person(email=address or person.email, email_verified=True)
    await link(stage, person, subject)
    person.client.headers["Accept"] = "*/*"
    setup = await person.client.post("/api/auth/2fa/setup", json={"password": PASSWORD})
    assert setup.status_code == 200, setup.text
    totp = pyotp.TOTP(setup.json()["secondFactor"]["secret"])
    enabled = await person.client.post("/api/auth/2fa/enable", json={"code": totp.at(stage.clock.wall())})
    assert enabled.status_code == 200, enabled.text
    return person, subject, totp


async def test_the_second_factor_is_asked_for_after_the_provider(stage: Stage) -> None:
    person, subject, totp = await with_second_factor(stage)
    stage.clock.advance(minutes=2)  # a code is good once
    path = "/api/auth/oauth/second-factor"
    async with stage.browser() as browser, stage.browser() as foreign:
        answer = await browser.sign_in(subject, returnTo="/projects")
        place = urlsplit(answer.headers["location"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == f"{SITE}/login/second-factor"
        assert query_of(answer.headers["location"]) == {"returnTo": f"{SITE}/projects"}
        assert "pm_refresh" not in answer.headers.get("set-cookie", "")
        assert (await browser.client.post("/api/auth/refresh")).status_code == 401
        code = {"totpCode": totp.at(stage.clock.wall())}
        nobody = await foreign.client.post(path, json=code)
        assert (nobody.status_code, nobody.json()["code"]) == (400, "sign_in_state_invalid")
        wrong = await browser.client.post(path, json={"totpCode": "000000"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "totp_invalid")
        evil = await browser.client.post(path, json=code, headers={"Origin": "http://evil.local"})
        assert evil.json()["code"] == "origin_not_allowed"
        right = await browser.client.post(path, json=code, headers={"Origin": SITE})
        assert right.status_code == 200, right.text
        assert right.json()["user"]["id"] == str(person.id)
        assert (await browser.me())["id"] == str(person.id)
        again = await browser.client.post(path, json=code, headers={"Origin": SITE})
        assert again.json()["code"] == "sign_in_state_invalid"


async def test_a_provider_that_was_unlinked_meanwhile_signs_nobody_in(stage: Stage) -> None:
    person, subject, totp = await with_second_factor(stage, an_address())
    stage.clock.advance(minutes=2)  # a code is good once
    async with stage.browser() as browser:
        answer = await browser.sign_in(subject)
        assert urlsplit(answer.headers["location"]).path == "/login/second-factor"
        assert (await person.client.delete(f"/api/auth/oauth/{ACME}")).status_code == 204
        code = {"totpCode": totp.at(stage.clock.wall())}
        late = await browser.client.post("/api/auth/oauth/second-factor", json=code, headers={"Origin": SITE})
        assert (late.status_code, late.json()["code"]) == (400, "sign_in_state_invalid")
    assert await stage.count(ExternalIdentity, ExternalIdentity.user_id == person.id) == 0


async def test_codes_are_not_guessed_through_a_provider(stage: Stage) -> None:
    _, subject, totp = await with_second_factor(stage)
    stage.clock.advance(minutes=2)
    async with stage.browser() as browser:
        await browser.sign_in(subject)
        path = "/api/auth/oauth/second-factor"
        codes = [await browser.client.post(path, json={"totpCode": "000000"}) for _ in range(5)]
        assert {one.json()["code"] for one in codes} == {"totp_invalid"}
        right = await browser.client.post(path, json={"totpCode": totp.at(stage.clock.wall())})
        assert right.json()["code"] == "sign_in_state_invalid"
        await browser.sign_in(subject)
        stage.clock.advance(minutes=11)
        late = await browser.client.post(path, json={"totpCode": totp.at(stage.clock.wall())})
        assert late.json()["code"] == "sign_in_state_invalid"


# --- what rests ----------------------------------------------------------------------------------------------------


async def test_nothing_that_opens_a_door_rests_in_the_clear(stage: Stage) -> None:
    async with stage.browser() as browser:
        left = query_of(await browser.leave())
        token = browser.client.cookies["pm_oauth"]
    async with stage.platform.database.reading() as session:
        [row] = await session.scalars(select(OauthAttempt).order_by(OauthAttempt.id.desc()).limit(1))
    rest = b"".join(value for value in vars(row).values() if isinstance(value, bytes))
    for secret in (left["state"], left["nonce"], token):
        assert secret.encode() not in rest
    assert len(row.secret_hash) == len(row.browser_hash) == 32


async def test_what_was_begun_and_never_ended_is_forgotten(stage: Stage) -> None:
    async with stage.browser() as browser:
        await browser.leave()
    assert await stage.count(OauthAttempt) > 0
    stage.clock.advance(hours=1)
    await run_sweep(stage.platform, PERIODICS["identity.forget_sign_ins"])
    assert await stage.count(OauthAttempt) == 0


async def test_a_session_of_a_provider_is_one_like_any_other(stage: Stage) -> None:
    subject = await stage.provider.person(email=an_address(), email_verified=True)
    async with stage.browser() as browser:
        await browser.sign_in(subject)
        user = await browser.me()
        assert (await browser.client.post("/api/auth/logout-all")).status_code == 204
        assert (await browser.client.get("/api/auth/me")).status_code == 401
    alive = await stage.count(UserSession, UserSession.user_id == UUID(user["id"]), UserSession.revoked_at.is_(None))
    assert alive == 0
