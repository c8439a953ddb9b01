"""One's own way in: addresses proved and changed, passwords forgotten and changed, all by links that work once."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text

from pm_api.app import create_app
from pm_api.core.crypto import KeyRing
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.account import service as account
from pm_api.identity import devices, leaving, recovery, sessions
from pm_api.identity.devices import Device
from pm_api.identity.models.people import User
from pm_api.identity.models.sign_in import EmailToken, KnownDevice, SecurityEvent
from pm_api.identity.passwords import Passwords
from tests.conftest import PASSWORD, Person, client_of, open_platform, register
from tests.domains.team.inviting import a_team, invited, token_of
from tests.identity.test_login_work import asking
from tests.support.clock import MovableClock
from tests.support.mail import Post, post_office, send_due, smtp_settings
from tests.support.providers import query_of
from tests.support.queue import work_off
from tests.support.settings import SECRET_KEYS, settings_for

NEW_PASSWORD = "another long phrase of words"
NEW_KEY = "new:" + base64.b64encode(b"the next key of the tests, thirty-two bytes").decode()
LINK = re.compile(r"http://site\.local/[^\s]+")


@dataclass
class House:
    """One process of ours with a mail server, in a database of its own."""

    platform: Platform
    app: FastAPI
    post: Post

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.platform.clock, MovableClock)
        return self.platform.clock

    async def person(self, **fields: Any) -> Person:
        return await register(self.app, **fields)

    async def mails(self, email: str) -> list[str]:
        """The texts of all that has come to an address, once everything due is sent."""
        await work_off(self.platform, "identity.")
        await send_due(self.platform)
        bodies = [one.message().get_body(("plain",)) for one in self.post.to(email)]
        return [one.get_content() for one in bodies if one is not None]

    async def subjects(self, email: str) -> list[str]:
        await self.mails(email)
        return [str(one.message()["subject"]) for one in self.post.to(email)]

    async def link(self, email: str, path: str) -> str:
        """The token of the newest link to a page of the app."""
        for said in reversed(await self.mails(email)):
            for found in LINK.findall(said):
                if urlsplit(found).path == path:
                    return query_of(found)["token"]
        raise AssertionError(f"no link to {path} has come")

    async def user(self, person: Person) -> User:
        async with self.platform.database.reading() as session:
            found = await session.scalar(select(User).where(User.id == person.id))
            assert found is not None
            return found

    async def events(self, person: Person) -> list[str]:
        async with self.platform.database.reading() as session:
            rows = await session.scalars(
                select(SecurityEvent).where(SecurityEvent.user_id == person.id).order_by(SecurityEvent.id)
            )
            return [one.kind for one in rows]

    async def told(self, person: Person) -> list[str]:
        """What their app shows them about the security of their account."""
        await work_off(self.platform, "identity.")
        answer = await person.client.get("/api/notifications", params={"category": "SECURITY"})
        return [one["data"]["event"] for one in answer.json()["notifications"]]


@pytest.fixture(scope="module")
async def everything(worker_database: str) -> AsyncIterator[House]:
    async with post_office() as post:
        settings = settings_for(worker_database, smtp=smtp_settings(post.url))
        async with open_platform(settings, MovableClock()) as platform:
            yield House(platform, create_app(settings, platform), post)


@pytest.fixture
def house(everything: House) -> House:
    everything.clock.reset()
    return everything


@pytest.fixture
async def caller(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(house.app) as found:
        yield found


async def verify(caller: httpx.AsyncClient, token: str) -> httpx.Response:
    return await caller.post("/api/auth/verify-email", json={"token": token})


async def forgot(caller: httpx.AsyncClient, email: str) -> httpx.Response:
    return await caller.post("/api/auth/forgot-password", json={"email": email})


async def reset(caller: httpx.AsyncClient, token: str, password: str = NEW_PASSWORD) -> httpx.Response:
    return await caller.post("/api/auth/reset-password", json={"token": token, "password": password})


async def sign_in(caller: httpx.AsyncClient, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    return await caller.post("/api/auth/login", json={"email": email, "password": password}, headers=headers)


def gone(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (410, "invalid_link")


# --- proving an address ----------------------------------------------------------------------------------------


async def test_a_registration_is_mailed_a_link_that_proves_its_address(
    house: House, caller: httpx.AsyncClient
) -> None:
    person = await house.person()
    assert (await house.user(person)).email_verified_at is None
    token = await house.link(person.email, "/verify-email")
    answer = await verify(caller, token)
    assert answer.status_code == 200
    assert answer.json()["email"] == person.email
    user = (await person.client.get("/api/auth/me")).json()["user"]
    assert user["emailVerifiedAt"] == answer.json()["emailVerifiedAt"]
    assert user["version"] == 2
    gone(await verify(caller, token))
    assert await house.events(person) == ["SIGNED_IN", "EMAIL_VERIFIED"]


async def test_a_registration_takes_an_invitation_up(house: House) -> None:
    host, email = await house.person(), f"{uuid4().hex[:12]}@example.com"
    workspace_id = await a_team(house.platform, host)
    made = await invited(host, workspace_id, email, role="VIEWER")
    token = await token_of(house.platform, made["id"])
    stranger = await house.person(invitationToken=token)
    assert (await stranger.client.get("/api/auth/me")).json()["workspaces"] == [], "it was for another address"
    guest = await house.person(email=email, invitationToken=token)
    [place] = (await guest.client.get("/api/auth/me")).json()["workspaces"]
    assert (place["id"], place["role"]) == (workspace_id, "VIEWER")
    late = await house.person(invitationToken="unknown")
    assert (await late.client.get("/api/auth/me")).status_code == 200


async def test_demo_people_are_proved_from_the_start(house: House) -> None:
    email = f"{uuid4().hex}@example.com"
    user_id = await account.create_person(house.platform, email=email, password=PASSWORD, name="Dana")
    async with house.platform.database.reading() as session:
        user = await session.scalar(select(User).where(User.id == user_id))
    assert user is not None
    assert user.email_verified_at is not None
    assert await house.mails(email) == []


async def test_a_new_link_replaces_the_old_one(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    first = await house.link(person.email, "/verify-email")
    assert (await person.client.post("/api/auth/verify-email/resend")).status_code == 204
    second = await house.link(person.email, "/verify-email")
    assert first != second
    gone(await verify(caller, first))
    assert (await verify(caller, second)).status_code == 200
    again = await person.client.post("/api/auth/verify-email/resend")
    assert (again.status_code, again.json()["code"]) == (409, "email_already_verified")
    assert (await caller.post("/api/auth/verify-email/resend")).status_code == 401


async def test_a_retried_resend_mails_once(house: House) -> None:
    person = await house.person()
    key = {"Idempotency-Key": "again"}
    for _ in range(2):
        assert (await person.client.post("/api/auth/verify-email/resend", headers=key)).status_code == 204
    assert len([one for one in await house.mails(person.email) if "/verify-email" in one]) == 1, (
        "the first was replaced before it was sent, and the second request was the same one"
    )


async def test_nobody_is_flooded_with_links(house: House) -> None:
    person = await house.person()
    answers = [await person.client.post("/api/auth/verify-email/resend") for _ in range(5)]
    assert [one.status_code for one in answers] == [204] * 4 + [429]
    assert int(answers[4].headers["retry-after"]) > 0
    house.clock.advance(hours=1, seconds=1)
    refreshed = await person.client.post("/api/auth/refresh", json={"refreshToken": person.refresh_token})
    person.client.headers["Authorization"] = f"Bearer {refreshed.json()['accessToken']}"
    assert (await person.client.post("/api/auth/verify-email/resend")).status_code == 204


@pytest.mark.parametrize(("path", "hours"), [("/verify-email", 72), ("/reset-password", 1)], ids=["verify", "reset"])
async def test_a_link_ends(house: House, caller: httpx.AsyncClient, path: str, hours: int) -> None:
    person = await house.person()
    await forgot(caller, person.email)
    token = await house.link(person.email, path)
    house.clock.advance(hours=hours, seconds=1)
    gone(await (verify(caller, token) if path == "/verify-email" else reset(caller, token)))


@pytest.mark.parametrize("token", ["unknown", "x" * 200, "'; DROP TABLE users; --"])
async def test_an_unknown_link_proves_nothing(caller: httpx.AsyncClient, token: str) -> None:
    gone(await verify(caller, token))
    gone(await reset(caller, token))


async def test_a_link_is_good_for_its_own_purpose(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    await forgot(caller, person.email)
    gone(await reset(caller, await house.link(person.email, "/verify-email")))
    gone(await verify(caller, await house.link(person.email, "/reset-password")))


async def test_no_token_rests_in_the_clear(house: House, caller: httpx.AsyncClient) -> None:
    """Neither in the row of the link, nor in the mail that waits, nor in the queue."""
    person = await house.person()
    await forgot(caller, person.email)
    await work_off(house.platform, "identity.")
    async with house.platform.database.reading() as session:
        rows = [*(await session.execute(text("SELECT m::text FROM mails m"))).scalars()]
        rows += (await session.execute(text("SELECT e::text FROM email_tokens e"))).scalars().all()
        rows += (await session.execute(text("SELECT convert_from(payload, 'UTF8') FROM pgqueuer"))).scalars().all()
    tokens = [await house.link(person.email, path) for path in ("/verify-email", "/reset-password")]
    assert len(rows) >= 4
    for token in tokens:
        assert not [row for row in rows if token in row or base64.urlsafe_b64decode(token + "=").hex() in row]


async def test_a_mail_that_waits_through_a_key_roll_still_holds_the_right_link(
    house: House, caller: httpx.AsyncClient, worker_database: str
) -> None:
    person = await house.person()
    rolled = settings_for(worker_database, secret_keys=f"{NEW_KEY},{SECRET_KEYS}", smtp=smtp_settings(house.post.url))
    house.platform.keys, kept = KeyRing(rolled.secret_keys), house.platform.keys
    try:
        token = await house.link(person.email, "/verify-email")
    finally:
        house.platform.keys = kept
    assert (await verify(caller, token)).status_code == 200


# --- a password forgotten --------------------------------------------------------------------------------------


async def test_a_forgotten_password_is_set_anew_and_ends_every_session(
    house: House, caller: httpx.AsyncClient
) -> None:
    person = await house.person()
    other = await sign_in(caller, person.email)
    answer = await forgot(caller, f"  {person.email.upper()} ")
    assert (answer.status_code, answer.content) == (204, b"")
    token = await house.link(person.email, "/reset-password")
    weak = await reset(caller, token, "short")
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    assert (await reset(caller, token)).status_code == 204, "a weak password did not use the link up"
    gone(await reset(caller, token, "and another long phrase"))
    for headers in (dict(person.client.headers), {"Authorization": f"Bearer {other.json()['accessToken']}"}):
        assert (await caller.get("/api/auth/me", headers=headers)).status_code == 401
    assert (await sign_in(caller, person.email)).json()["code"] == "invalid_credentials"
    assert (await sign_in(caller, person.email, NEW_PASSWORD)).status_code == 200
    assert (await house.user(person)).email_verified_at is not None, "whoever got the link reads that mail"
    assert "PASSWORD_RESET" in await house.events(person)


async def test_of_two_who_use_one_link_one_sets_the_password(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    await forgot(caller, person.email)
    token = await house.link(person.email, "/reset-password")
    passwords = [f"a long phrase number {number}" for number in range(6)]
    answers = await asyncio.gather(*(reset(caller, token, one) for one in passwords))
    assert sorted(one.status_code for one in answers) == [204] + [410] * 5
    [won] = [password for password, one in zip(passwords, answers, strict=True) if one.status_code == 204]
    assert (await sign_in(caller, person.email, won)).status_code == 200


async def test_for_an_unknown_address_the_same_is_answered_and_done_and_nothing_is_mailed(
    house: House, caller: httpx.AsyncClient
) -> None:
    """The answer may not tell by its content nor by its time: the same statements run, and one job is put, whoever
    the address belongs to. The job may be held for long, so it does not name the address.
    """
    person = await house.person()
    unknown = f"{uuid4().hex}@example.com"
    answers, jobs, asked = [], [], []
    for email in (person.email, unknown):
        async with house.platform.database.reading() as session:
            before = await session.scalar(text("SELECT max(id) FROM pgqueuer"))
        with asking(house.platform) as statements:
            answers.append(await forgot(caller, email))
        asked.append(list(statements))
        async with house.platform.database.reading() as session:
            found = await session.execute(
                text("SELECT entrypoint, payload FROM pgqueuer WHERE id > :before ORDER BY id"), {"before": before}
            )
            jobs.append([(row.entrypoint, bytes(row.payload)) for row in found])
    assert len({(one.status_code, one.content) for one in answers}) == 1
    assert asked[0] == asked[1]
    known, other = ([(name, len(payload)) for name, payload in each] for each in jobs)
    assert known == other
    assert [name for name, _ in known] == ["identity.forgot_password"]
    for email, [(_, payload)] in zip((person.email, unknown), jobs, strict=True):
        assert email.partition("@")[0].encode() not in payload
    assert await house.mails(unknown) == []
    assert any("/reset-password" in one for one in await house.mails(person.email))


async def test_who_is_gone_before_the_link_is_mailed_gets_none(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    await house.mails(person.email)
    await forgot(caller, person.email)
    async with house.platform.database.transaction() as session:
        user = await leaving.lock(session, person.id)
        assert user is not None
        await leaving.depart(session, house.platform, user)
    await house.mails(person.email)
    async with house.platform.database.reading() as session:
        assert await session.scalar(select(EmailToken.id).where(EmailToken.user_id == person.id)) is None


async def test_asking_is_limited_by_address_and_mails_by_account(
    house: House, caller: httpx.AsyncClient, worker_database: str
) -> None:
    person = await house.person()
    for _ in range(8):
        assert (await forgot(caller, person.email)).status_code == 204
    assert len([one for one in await house.mails(person.email) if "/reset-password" in one]) <= 5
    async with house.platform.database.reading() as session:
        rows = await session.scalars(
            select(EmailToken).where(EmailToken.user_id == person.id, EmailToken.purpose == "RESET")
        )
        assert len(rows.all()) == 5
    strict = settings_for(worker_database, rate_limits=True, rate_limit_auth="3/minute")
    async with open_platform(strict, MovableClock()) as platform:
        application = create_app(strict, platform)
        for known in (True, False):
            email = person.email if known else f"{uuid4().hex}@example.com"
            transport = httpx.ASGITransport(application, client=(f"10.9.{int(known)}.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test.local") as limited:
                statuses = [(await forgot(limited, email)).status_code for _ in range(4)]
            assert statuses == [204, 204, 204, 429]


async def test_an_account_somebody_squats_becomes_its_address_s(house: House, caller: httpx.AsyncClient) -> None:
    """Somebody registers another's address and makes keys to it; its owner resets the password and is alone in it."""
    squatter = await house.person()
    made = await squatter.client.post("/api/api-keys", json={"name": "mine", "scopes": ["credits:read"]})
    assert made.status_code == 201, made.text
    key = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await caller.get("/api/credits/balance", headers=key)).status_code == 200
    await forgot(caller, squatter.email)
    assert (await reset(caller, await house.link(squatter.email, "/reset-password"))).status_code == 204
    # A key that was used a moment ago may stand in a cache for five seconds.
    async with house.platform.database.reading() as session:
        alive = await session.scalar(
            text("SELECT count(*) FROM api_keys WHERE user_id = :id AND revoked_at IS NULL"), {"id": squatter.id}
        )
    assert alive == 0
    assert (await squatter.client.get("/api/auth/me")).status_code == 401


# --- a password changed ----------------------------------------------------------------------------------------


async def test_a_changed_password_ends_the_other_sessions(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    other = await sign_in(caller, person.email)
    await forgot(caller, person.email)
    link = await house.link(person.email, "/reset-password")
    body = {"oldPassword": PASSWORD, "password": NEW_PASSWORD}
    assert (await person.client.post("/api/auth/change-password", json=body)).status_code == 204
    assert (await person.client.get("/api/auth/me")).status_code == 200, "this one lives on"
    refreshed = await caller.post("/api/auth/refresh", json={"refreshToken": person.refresh_token})
    assert refreshed.status_code == 200
    stale = {"Authorization": f"Bearer {other.json()['accessToken']}"}
    assert (await caller.get("/api/auth/me", headers=stale)).status_code == 401
    assert (await sign_in(caller, person.email, NEW_PASSWORD)).status_code == 200
    gone(await reset(caller, link, "a third phrase that is long"))
    again = await person.client.post("/api/auth/change-password", json=body)
    assert (again.status_code, again.json()["code"]) == (422, "wrong_password")
    assert "PASSWORD_CHANGED" in await house.told(person)


async def test_of_two_changes_at_once_one_counts(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    wanted = [f"a long phrase number {number}" for number in range(4)]
    answers = await asyncio.gather(
        *(
            person.client.post("/api/auth/change-password", json={"oldPassword": PASSWORD, "password": one})
            for one in wanted
        )
    )
    assert sorted(one.status_code for one in answers) == [204, 422, 422, 422]
    [won] = [password for password, one in zip(wanted, answers, strict=True) if one.status_code == 204]
    assert (await sign_in(caller, person.email, won)).status_code == 200


async def test_a_changed_password_calls_off_a_move_to_another_address(
    house: House, caller: httpx.AsyncClient
) -> None:
    """What the mail to the present address advises to whoever did not ask for it."""
    person, thiefs = await house.person(), f"{uuid4().hex[:12]}@example.com"
    await person.client.post("/api/auth/change-email", json={"email": thiefs, "password": PASSWORD})
    token = await house.link(thiefs, "/verify-email")
    body = {"oldPassword": PASSWORD, "password": NEW_PASSWORD}
    assert (await person.client.post("/api/auth/change-password", json=body)).status_code == 204
    gone(await verify(caller, token))
    assert (await house.user(person)).email == person.email


async def test_who_signs_in_while_the_password_is_changed_is_not_let_in_by_the_old_one(
    house: House, caller: httpx.AsyncClient
) -> None:
    person = await house.person()
    new_hash = await house.platform.part(Passwords).hash(NEW_PASSWORD)
    async with house.platform.database.transaction() as session:
        await session.execute(
            text("UPDATE users SET password_hash = :hash WHERE id = :id"), {"hash": new_hash, "id": person.id}
        )
        await sessions.end(session, house.platform, user_id=person.id, reason="password changed")
        coming = asyncio.create_task(sign_in(caller, person.email))
        async with asyncio.timeout(20):
            while not coming.done() and not await waits_for_a_lock(house.platform):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
    assert ((await coming).status_code, (await coming).json()["code"]) == (401, "invalid_credentials")
    async with house.platform.database.reading() as session:
        alive = await session.scalar(
            text("SELECT count(*) FROM sessions WHERE user_id = :id AND revoked_at IS NULL"), {"id": person.id}
        )
    assert alive == 0


async def waits_for_a_lock(platform: Platform) -> bool:
    async with platform.database.reading() as session:
        found = await session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query LIKE '%users%'"
            )
        )
    return bool(found)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"oldPassword": "not it", "password": NEW_PASSWORD}, 422, "wrong_password"),
        ({"oldPassword": PASSWORD, "password": "short"}, 422, "weak_password"),
        ({"oldPassword": PASSWORD, "password": "1234567890"}, 422, "weak_password"),
        ({"password": NEW_PASSWORD}, 422, "validation_failed"),
        ({"oldPassword": PASSWORD, "password": NEW_PASSWORD, "extra": 1}, 422, "validation_failed"),
    ],
)
async def test_a_password_is_not_changed_by(house: House, body: dict[str, Any], status: int, code: str) -> None:
    person = await house.person()
    answer = await person.client.post("/api/auth/change-password", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    async with client_of(house.app) as caller:
        assert (await sign_in(caller, person.email)).status_code == 200


async def test_who_has_no_password_is_told_how_to_get_one(house: House) -> None:
    person = await house.person()
    async with house.platform.database.transaction() as session:
        await session.execute(text("UPDATE users SET password_hash = NULL WHERE id = :id"), {"id": person.id})
    body = {"oldPassword": PASSWORD, "password": NEW_PASSWORD}
    answer = await person.client.post("/api/auth/change-password", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_password")


# --- an address changed ----------------------------------------------------------------------------------------


async def test_an_account_moves_once_the_new_address_says_so(house: House, caller: httpx.AsyncClient) -> None:
    person, new = await house.person(), f"{uuid4().hex[:12]}@example.com"
    old = person.email
    answer = await person.client.post("/api/auth/change-email", json={"email": new, "password": PASSWORD})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await person.client.get("/api/auth/me")).json()["user"]["email"] == old
    assert "EMAIL_CHANGE_REQUESTED" in await house.told(person)
    assert "Your account is to move to another e-mail address" in await house.subjects(old)
    token = await house.link(new, "/verify-email")
    assert (await verify(caller, token)).json()["email"] == new
    user = (await person.client.get("/api/auth/me")).json()["user"]
    assert (user["email"], user["emailVerifiedAt"] is not None) == (new, True)
    assert "The e-mail address of your account was changed" in await house.subjects(old)
    said = (await house.mails(old))[-1]
    assert new in said
    assert "token=" not in said
    assert (await sign_in(caller, old)).status_code == 401
    assert (await sign_in(caller, new)).status_code == 200
    gone(await verify(caller, token))


@pytest.mark.parametrize("way", ["verify", "move", "reset"])
async def test_a_proved_or_moved_address_stands_in_the_feed(
    house: House, caller: httpx.AsyncClient, way: str
) -> None:
    """The person's version rises, so whoever shows them must read them again."""
    person, email = await house.person(), f"{uuid4().hex[:12]}@example.com"
    await work_off(house.platform, "user.")
    before = (await person.client.get("/api/changes")).json()["nextCursor"]
    if way == "move":
        await person.client.post("/api/auth/change-email", json={"email": email, "password": PASSWORD})
        assert (await verify(caller, await house.link(email, "/verify-email"))).status_code == 200
    elif way == "verify":
        assert (await verify(caller, await house.link(person.email, "/verify-email"))).status_code == 200
    else:
        await forgot(caller, person.email)
        token = await house.link(person.email, "/reset-password")
        answer = await caller.post("/api/auth/reset-password", json={"token": token, "password": NEW_PASSWORD})
        assert answer.status_code == 204
        signed_in = (await sign_in(caller, person.email, NEW_PASSWORD)).json()["accessToken"]
        person.client.headers["Authorization"] = f"Bearer {signed_in}"
    await work_off(house.platform, "user.")
    found = (await person.client.get("/api/changes", params={"cursor": before})).json()["changes"]
    version = (await house.user(person)).version
    of_user = [one for one in found if one["entity"] == "user"]
    assert [(one["entityId"], one["action"], one["version"]) for one in of_user] == [
        (str(person.id), "updated", version)
    ]


async def test_the_address_of_another_cannot_be_taken(house: House, caller: httpx.AsyncClient) -> None:
    ann, bea = await house.person(), await house.person()
    body = {"email": bea.email, "password": PASSWORD}
    assert (await ann.client.post("/api/auth/change-email", json=body)).json()["code"] == "email_taken"
    new = f"{uuid4().hex[:12]}@example.com"
    await ann.client.post("/api/auth/change-email", json={"email": new, "password": PASSWORD})
    token = await house.link(new, "/verify-email")
    await house.person(email=new)
    late = await verify(caller, token)
    assert (late.status_code, late.json()["code"]) == (409, "email_taken")
    assert (await house.user(ann)).email == ann.email


async def test_two_accounts_cannot_move_to_one_address(house: House, caller: httpx.AsyncClient) -> None:
    people, new = [await house.person() for _ in range(2)], f"{uuid4().hex[:12]}@example.com"
    for person in people:
        body = {"email": new, "password": PASSWORD}
        assert (await person.client.post("/api/auth/change-email", json=body)).status_code == 204
    links = {
        query_of(found)["token"]
        for said in await house.mails(new)
        for found in LINK.findall(said)
        if urlsplit(found).path == "/verify-email"
    }
    assert len(links) == 2
    answers = await asyncio.gather(*(verify(caller, one) for one in links))
    assert sorted(one.status_code for one in answers) == [200, 409]


async def test_a_move_takes_a_proof_that_it_is_you(house: House) -> None:
    person, new = await house.person(), f"{uuid4().hex[:12]}@example.com"
    wrong = await person.client.post("/api/auth/change-email", json={"email": new, "password": "not it"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "confirmation_required")
    fresh = await person.client.post("/api/auth/change-email", json={"email": new})
    assert fresh.status_code == 204, "signed in a moment ago"
    house.clock.advance(minutes=11)
    stale = await person.client.post("/api/auth/change-email", json={"email": new})
    assert (stale.status_code, stale.json()["code"]) == (403, "confirmation_required")


@pytest.mark.parametrize("path", ["change-password", "change-email"])
async def test_changing_needs_a_token(caller: httpx.AsyncClient, path: str) -> None:
    assert (await caller.post(f"/api/auth/{path}", json={})).status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("verify-email", {}),
        ("verify-email", {"token": ""}),
        ("forgot-password", {"email": "no address"}),
        ("reset-password", {"token": "x"}),
        ("reset-password", {"token": "x", "password": 5}),
    ],
)
async def test_a_bad_body_is_refused(caller: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await caller.post(f"/api/auth/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


# --- what one is told ------------------------------------------------------------------------------------------


async def test_a_new_device_is_told_and_a_known_one_is_not(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    firefox, safari = {"User-Agent": "Firefox/130.0 (X11)"}, {"User-Agent": "Safari/17 (Macintosh)"}
    await sign_in(caller, person.email, **firefox)
    assert await house.told(person) == ["SIGNED_IN_NEW_DEVICE"]
    caller.cookies.delete("pm_device")
    await sign_in(caller, person.email, **{"User-Agent": "Firefox/131.5 (X11)"})
    assert len(await house.told(person)) == 1, "an update of the browser is no new device, nor are cleared cookies"
    await sign_in(caller, person.email, **safari)
    assert len(await house.told(person)) == 1, "the device is known by its cookie"
    caller.cookies.clear()
    await sign_in(caller, person.email, **{"User-Agent": "Opera"})
    assert len(await house.told(person)) == 2
    subjects = await house.subjects(person.email)
    assert subjects.count("Somebody signed in to your account on a new device") == 2
    said = (await house.mails(person.email))[-1]
    assert "Opera" in said
    assert "127.0.0.1" in said


async def test_devices_are_kept_as_digests_and_forgotten(house: House) -> None:
    person = await house.person()
    async with house.platform.database.reading() as session:
        rows = (await session.scalars(select(KnownDevice).where(KnownDevice.user_id == person.id))).all()
    assert {len(one.mark) for one in rows} == {32}
    house.clock.advance(days=366)
    await run_sweep(house.platform, PERIODICS["identity.forget_sign_ins"])
    async with house.platform.database.reading() as session:
        for model in (KnownDevice, SecurityEvent, EmailToken):
            left = await session.scalars(select(model).where(model.user_id == person.id))
            assert left.all() == []


async def test_a_program_that_signs_in_all_day_leaves_no_more_than_a_few_devices(house: House) -> None:
    """One that keeps no cookies is a new device each time."""
    person = await house.person()
    seen = [Device("curl/8", "192.0.2.1", f"{number:043}") for number in range(devices.MOST_KNOWN + 5)]
    for one in seen:
        house.clock.advance(seconds=1)
        async with house.platform.database.transaction() as session:
            await devices.recognise(session, house.platform, person.id, one)
    elsewhere = [Device("another browser", "198.51.100.7", one.token) for one in (seen[0], seen[-1])]
    async with house.platform.database.transaction() as session:
        rows = (await session.scalars(select(KnownDevice).where(KnownDevice.user_id == person.id))).all()
        assert len(rows) == devices.MOST_KNOWN
        found = [await devices.recognise(session, house.platform, person.id, one) for one in elsewhere]
    assert found == [False, True], "those seen last are known"


async def test_a_stolen_token_ends_the_family_and_its_person_is_told(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    newest = await caller.post("/api/auth/refresh", json={"refreshToken": person.refresh_token})
    house.clock.advance(seconds=31)
    stolen = await caller.post(
        "/api/auth/refresh", json={"refreshToken": person.refresh_token}, headers={"User-Agent": "a thief's"}
    )
    assert stolen.json()["code"] == "refresh_token_reused"
    for token in (newest.json()["refreshToken"], person.refresh_token):
        ended = await caller.post("/api/auth/refresh", json={"refreshToken": token})
        assert ended.json()["code"] == "invalid_refresh_token"
    back = await sign_in(caller, person.email)
    person.client.headers["Authorization"] = f"Bearer {back.json()['accessToken']}"
    assert await house.told(person) == ["REFRESH_TOKEN_REUSED"], "once, however often it is shown"
    assert (await house.subjects(person.email)).count("We ended one of your sessions for safety") == 1
    assert "a thief's" in (await house.mails(person.email))[-1]


async def test_the_security_page(house: House, caller: httpx.AsyncClient) -> None:
    person = await house.person()
    await sign_in(caller, person.email, **{"User-Agent": "Elsewhere"})
    answer = await person.client.get("/api/user/security")
    shown = answer.json()["security"]
    assert shown["email"] == person.email
    assert [one["current"] for one in shown["sessions"]] == [False, True]
    assert shown["secondFactor"] == {"enabled": False, "enabledAt": None, "recoveryCodesLeft": 0}
    assert shown["signInMethods"] == {"hasPassword": True, "providers": []}
    assert (shown["events"][0]["kind"], shown["events"][0]["userAgent"]) == ("SIGNED_IN_NEW_DEVICE", "Elsewhere")
    assert shown["events"][0]["sessionId"] == shown["sessions"][0]["id"]
    same = await person.client.get("/api/user/security", headers={"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304
    assert (await caller.get("/api/user/security")).status_code == 401
    stranger = await house.person()
    theirs = (await stranger.client.get("/api/user/security")).json()["security"]
    ids = {UUID(one["id"]) for one in (*shown["events"], *shown["sessions"])}
    assert not ids & {UUID(one["id"]) for one in (*theirs["events"], *theirs["sessions"])}


async def test_a_resend_and_a_click_at_once_do_not_block_each_other(house: House, caller: httpx.AsyncClient) -> None:
    """Both lock the person first; the other way round they would wait for each other for ever."""
    for _ in range(5):
        person = await house.person()
        token = await house.link(person.email, "/verify-email")
        answers = await asyncio.gather(
            verify(caller, token),
            person.client.post("/api/auth/verify-email/resend"),
            verify(caller, token),
            recovery.mail_reset_link(house.platform, person.id),
        )
        statuses = [one.status_code for one in answers if one is not None]
        assert set(statuses) <= {200, 204, 409, 410}
        assert 500 not in statuses
