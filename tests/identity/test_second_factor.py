"""The second factor: codes of an authenticator app, recovery codes, and who may switch it."""

import asyncio
import base64
import hashlib
import hmac
import struct
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree

import httpx
import pytest
from sqlalchemy import func, select, text

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.identity import second_factor
from pm_api.identity.models.credentials import RecoveryCode, SecondFactor
from pm_api.identity.models.people import User
from pm_api.identity.models.sign_in import SecurityEvent
from tests.conftest import PASSWORD, NewPerson, Person, client_of, open_platform, register
from tests.support.clock import MovableClock
from tests.support.settings import SECRET_KEYS, settings_for

NEW_KEY = "new:" + base64.b64encode(b"the next key of the tests, thirty-two bytes").decode()
STEP_S = 30
RFC_SECRET = b"12345678901234567890"
RFC_VECTORS = [  # RFC 6238, appendix B, SHA-1; the last six of its eight digits
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]


def code_of(secret: str, at: datetime) -> str:
    """RFC 4226 by hand: what an authenticator app shows."""
    key = base64.b32decode(secret)
    digest = hmac.digest(key, struct.pack(">Q", int(at.timestamp()) // STEP_S), hashlib.sha1)
    place = digest[-1] & 15
    number = struct.unpack(">I", digest[place : place + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def at_the_beginning_of_a_step(clock: MovableClock) -> None:
    """Between two looks at the clock no step may end by itself."""
    now = clock.wall().timestamp()
    clock.move_to(datetime.fromtimestamp((now // STEP_S + 2) * STEP_S + 1, UTC))


async def set_up(person: Person) -> str:
    answer = await person.client.post("/api/auth/2fa/setup")
    assert answer.status_code == 200, answer.text
    secret: str = answer.json()["secondFactor"]["secret"]
    return secret


async def enabled(person: Person, clock: MovableClock) -> tuple[str, list[str]]:
    """The secret and the recovery codes; the code of the present step is used up by this."""
    secret = await set_up(person)
    answer = await person.client.post("/api/auth/2fa/enable", json={"code": code_of(secret, clock.wall())})
    assert answer.status_code == 200, answer.text
    return secret, answer.json()["recoveryCodes"]


async def login(client: httpx.AsyncClient, person: Person, code: str | None = None, **fields: Any) -> httpx.Response:
    body = {"email": person.email, "password": PASSWORD, **({} if code is None else {"totpCode": code}), **fields}
    return await client.post("/api/auth/login", json=body)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


@pytest.fixture(autouse=True)
def steady(clock: MovableClock) -> None:
    at_the_beginning_of_a_step(clock)


@pytest.mark.parametrize(("seconds", "code"), RFC_VECTORS)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert second_factor.matching_step(RFC_SECRET, code, moment) == seconds // STEP_S
    assert code_of(base64.b32encode(RFC_SECRET).decode(), moment) == code


async def test_the_secret_is_shown_once_in_three_ways(person: Person, platform: Platform) -> None:
    answer = await person.client.post("/api/auth/2fa/setup")
    shown = answer.json()["secondFactor"]
    uri = urlsplit(shown["otpauthUri"])
    asked = parse_qs(uri.query)
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/pm_api:{person.email}")
    assert asked["secret"] == [shown["secret"]]
    assert asked["issuer"] == ["pm_api"]
    assert len(base64.b32decode(shown["secret"])) == 20
    drawing = ElementTree.fromstring(shown["qrSvg"])
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    async with platform.database.reading() as session:
        row = await session.get_one(SecondFactor, person.id)
    assert base64.b32decode(shown["secret"]) not in row.sealed_secret
    assert shown["secret"].encode() not in row.sealed_secret
    assert row.enabled_at is None
    assert await set_up(person) != shown["secret"], "until it is enabled each call gives another"


async def test_a_secret_that_was_not_enabled_asks_for_nothing(client: httpx.AsyncClient, person: Person) -> None:
    await set_up(person)
    assert (await login(client, person)).status_code == 200


async def test_enabling_needs_a_right_code(person: Person, clock: MovableClock) -> None:
    early = await person.client.post("/api/auth/2fa/enable", json={"code": "123456"})
    assert told(early) == (409, "second_factor_not_set_up")
    secret = await set_up(person)
    right = code_of(secret, clock.wall())
    wrong = f"{(int(right) + 1) % 10**6:06}"
    assert told(await person.client.post("/api/auth/2fa/enable", json={"code": wrong})) == (422, "wrong_code")
    done = await person.client.post("/api/auth/2fa/enable", json={"code": f"{right[:3]} {right[3:]}"})
    assert done.status_code == 200
    codes = done.json()["recoveryCodes"]
    assert len(set(codes)) == 10
    assert all(len(one.replace("-", "")) == 16 for one in codes)
    again = await person.client.post("/api/auth/2fa/enable", json={"code": right})
    assert told(again) == (409, "second_factor_enabled")
    assert told(await person.client.post("/api/auth/2fa/setup")) == (409, "second_factor_enabled")


async def test_setting_it_up_takes_a_proof_that_it_is_you(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    """Else whoever finds a session open locks its owner out."""
    secret = await set_up(person)
    clock.advance(minutes=11)

    async def post(step: str, **body: str) -> tuple[int, str]:
        return told(await person.client.post(f"/api/auth/2fa/{step}", json=body))

    assert told(await person.client.post("/api/auth/2fa/setup")) == (403, "confirmation_required")
    for password in ({}, {"password": "not the password"}):
        assert await post("setup", **password) == (403, "confirmation_required")
        code = code_of(secret, clock.wall())
        assert await post("enable", code=code, **password) == (403, "confirmation_required")
    assert (await login(client, person)).status_code == 200, "nobody is asked for a code"
    again = await person.client.post("/api/auth/2fa/setup", json={"password": PASSWORD})
    assert again.status_code == 200
    code = code_of(again.json()["secondFactor"]["secret"], clock.wall())
    assert (await post("enable", code=code, password=PASSWORD))[0] == 200


async def test_signing_in_asks_for_the_code(client: httpx.AsyncClient, person: Person, clock: MovableClock) -> None:
    secret, _ = await enabled(person, clock)
    clock.advance(seconds=STEP_S)
    asked = await login(client, person)
    assert told(asked) == (401, "totp_required")
    assert "accessToken" not in asked.json()
    assert told(await login(client, person, password="not the password")) == (401, "invalid_credentials"), (
        "who does not know the password does not learn that there is a second factor"
    )
    right = code_of(secret, clock.wall())
    wrong = f"{(int(right) + 1) % 10**6:06}"
    for guess in (wrong, "000", "not a code at all", "１２３４５６"):
        assert told(await login(client, person, guess)) == (401, "totp_invalid")
    done = await login(client, person, right)
    assert done.status_code == 200
    assert done.json()["user"]["id"] == str(person.id)


@pytest.mark.parametrize(("drift", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_a_clock_may_be_off_by_one_step(
    client: httpx.AsyncClient, person: Person, clock: MovableClock, drift: int, status: int
) -> None:
    secret, _ = await enabled(person, clock)
    clock.advance(seconds=STEP_S * 5)
    shown = datetime.fromtimestamp(clock.wall().timestamp() + drift * STEP_S, UTC)
    assert (await login(client, person, code_of(secret, shown))).status_code == status


async def test_a_code_is_good_once_and_takes_the_earlier_ones_with_it(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    secret, _ = await enabled(person, clock)
    used_to_enable = code_of(secret, clock.wall())
    assert told(await login(client, person, used_to_enable)) == (401, "totp_invalid")
    clock.advance(seconds=STEP_S * 3)
    present = code_of(secret, clock.wall())
    before = code_of(secret, datetime.fromtimestamp(clock.wall().timestamp() - STEP_S, UTC))
    assert (await login(client, person, present)).status_code == 200
    assert told(await login(client, person, present)) == (401, "totp_invalid")
    assert told(await login(client, person, before)) == (401, "totp_invalid")
    clock.advance(seconds=STEP_S)
    assert told(await login(client, person, present)) == (401, "totp_invalid"), "still within its window"
    assert (await login(client, person, code_of(secret, clock.wall()))).status_code == 200


async def test_of_many_who_show_one_code_at_once_one_gets_in(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    secret, recovery = await enabled(person, clock)
    clock.advance(seconds=STEP_S * 3)
    for code in (code_of(secret, clock.wall()), recovery[0]):
        answers = await asyncio.gather(*(login(client, person, code) for _ in range(8)))
        assert sorted(one.status_code for one in answers) == [200, *[401] * 7]


async def test_a_recovery_code_stands_in_for_the_device_once(
    client: httpx.AsyncClient, person: Person, clock: MovableClock, platform: Platform
) -> None:
    _, codes = await enabled(person, clock)
    assert (await login(client, person, codes[3].lower())).status_code == 200
    assert told(await login(client, person, codes[3])) == (401, "totp_invalid")
    assert (await login(client, person, codes[4].replace("-", ""))).status_code == 200
    async with platform.database.reading() as session:
        state = await second_factor.state(session, person.id)
        rows = (await session.scalars(select(RecoveryCode).where(RecoveryCode.user_id == person.id))).all()
        kinds = await session.scalars(
            text("SELECT kind FROM security_events WHERE user_id = :id ORDER BY id"), {"id": person.id}
        )
        happened = list(kinds)
    assert state.recovery_codes_left == 8
    assert state.enabled_at is not None
    assert not {one.replace("-", "").encode() for one in codes} & {row.code_hash for row in rows}
    assert {len(row.code_hash) for row in rows} == {32}
    assert happened.count("RECOVERY_CODE_USED") == 2
    assert "SECOND_FACTOR_ENABLED" in happened


async def test_somebody_elses_recovery_code_is_none(
    client: httpx.AsyncClient, new_person: NewPerson, clock: MovableClock
) -> None:
    ann, ben = await new_person(), await new_person()
    await enabled(ann, clock)
    _, codes = await enabled(ben, clock)
    assert told(await login(client, ann, codes[0])) == (401, "totp_invalid")


async def test_new_recovery_codes_replace_the_old(
    client: httpx.AsyncClient, person: Person, clock: MovableClock
) -> None:
    secret, old = await enabled(person, clock)
    clock.advance(seconds=STEP_S)
    wrong = await person.client.post("/api/auth/2fa/recovery-codes", json={"code": "000000"})
    assert told(wrong) == (422, "wrong_code")
    answer = await person.client.post("/api/auth/2fa/recovery-codes", json={"code": code_of(secret, clock.wall())})
    assert answer.status_code == 200
    new = answer.json()["recoveryCodes"]
    assert not set(new) & set(old)
    assert told(await login(client, person, old[0])) == (401, "totp_invalid")
    assert (await login(client, person, new[0])).status_code == 200


async def test_disabling_takes_both_factors(client: httpx.AsyncClient, person: Person, clock: MovableClock) -> None:
    secret, codes = await enabled(person, clock)
    clock.advance(minutes=11)

    async def disable(**body: str) -> httpx.Response:
        return await person.client.post("/api/auth/2fa/disable", json={"code": codes[0], **body})

    assert told(await disable()) == (403, "confirmation_required"), "the sign-in is too long ago"
    assert told(await disable(password="not the password")) == (403, "confirmation_required")
    assert told(await disable(password=PASSWORD, code="000000")) == (422, "wrong_code")
    assert (await disable(password=PASSWORD, code=code_of(secret, clock.wall()))).status_code == 204
    assert (await login(client, person)).status_code == 200
    assert told(await disable(password=PASSWORD)) == (409, "second_factor_not_enabled")


async def test_a_fresh_sign_in_stands_for_the_password(
    client: httpx.AsyncClient, person: Person, clock: MovableClock, platform: Platform
) -> None:
    _, codes = await enabled(person, clock)
    clock.advance(days=2)
    fresh = (await login(client, person, codes[0])).json()["accessToken"]
    answer = await client.post(
        "/api/auth/2fa/disable", json={"code": codes[1]}, headers={"Authorization": f"Bearer {fresh}"}
    )
    assert answer.status_code == 204
    async with platform.database.reading() as session:
        assert await session.get(SecondFactor, person.id) is None
        left = await session.scalars(select(RecoveryCode).where(RecoveryCode.user_id == person.id))
        assert left.all() == []
        actions = await session.scalars(
            text("SELECT action FROM audit_entries WHERE subject_id = :id ORDER BY id"), {"id": str(person.id)}
        )
        assert list(actions) == ["second_factor.enabled", "second_factor.disabled"]


async def test_guesses_run_out(worker_database: str) -> None:
    """Counted by person, whatever address they come from; the right code is not told from a wrong one any more."""
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="1000/minute")
    clock = MovableClock()
    async with open_platform(settings, clock) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        async with client_of(app) as caller, aclosing(person.client):
            at_the_beginning_of_a_step(clock)
            secret, _ = await enabled(person, clock)
            clock.advance(seconds=STEP_S)
            answers = [await login(caller, person, "000000") for _ in range(25)]
            statuses = [one.status_code for one in answers]
            assert 401 in statuses
            assert told(answers[-1]) == (429, "second_factor_locked")
            wait = timedelta(seconds=int(answers[-1].headers["retry-after"]))
            until = datetime.fromisoformat(answers[-1].json()["lockedUntil"])
            assert abs(until - clock.wall() - wait) < timedelta(seconds=2)
            assert "faster" not in answers[-1].json()["detail"]
            assert (await login(caller, person, code_of(secret, clock.wall()))).status_code == 429
            assert told(await login(caller, person)) == (401, "totp_required"), "asking for it is no guess"
            async with platform.database.reading() as session:
                notices = select(func.count()).where(
                    SecurityEvent.user_id == person.id, SecurityEvent.kind == "SECOND_FACTOR_LOCKED"
                )
                assert await session.scalar(notices) == 1, "once a lock"
            clock.advance(hours=1, seconds=1)
            again = await login(caller, person, "000000")
            assert told(again) == (429, "second_factor_locked"), "limits go by the machine's own clock"
            async with platform.database.reading() as session:
                assert await session.scalar(notices) == 2, "a later lock is told of again"


async def test_who_knows_the_password_cannot_keep_anybody_from_their_recovery_codes(worker_database: str) -> None:
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="1000/minute")
    clock = MovableClock()
    async with open_platform(settings, clock) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        transport = httpx.ASGITransport(app, client=("10.9.8.7", 1))
        async with (
            client_of(app) as owner,
            aclosing(person.client),
            httpx.AsyncClient(transport=transport, base_url=settings.public_url) as thief,
        ):
            at_the_beginning_of_a_step(clock)
            _, codes = await enabled(person, clock)
            for wrong in ("000000", "AAAA-BBBB-CCCC-DDDD"):
                tries = [await login(thief, person, wrong) for _ in range(25)]
                assert told(tries[0]) == (401, "totp_invalid")
                assert told(tries[-1]) == (429, "second_factor_locked")
            assert told(await login(owner, person, "000000")) == (429, "second_factor_locked")
            assert (await login(owner, person, codes[0])).status_code == 200


async def test_an_open_session_cannot_use_up_its_owners_guesses(worker_database: str) -> None:
    """Without the first factor no code is looked at, so none is counted."""
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="1000/minute")
    clock = MovableClock()
    async with open_platform(settings, clock) as platform:
        app = create_app(settings, platform)
        person = await register(app)
        async with client_of(app) as caller, aclosing(person.client):
            at_the_beginning_of_a_step(clock)
            secret, _ = await enabled(person, clock)
            clock.advance(minutes=11)
            for _ in range(25):
                tried = await person.client.post("/api/auth/2fa/disable", json={"code": "000000"})
                assert told(tried) == (403, "confirmation_required")
            assert (await login(caller, person, code_of(secret, clock.wall()))).status_code == 200


async def test_the_secret_survives_a_key_roll(person: Person, clock: MovableClock, worker_database: str) -> None:
    secret, _ = await enabled(person, clock)
    rolled = settings_for(worker_database, secret_keys=f"{NEW_KEY},{SECRET_KEYS}")
    later = MovableClock()
    later.move_to(clock.wall())
    later.advance(seconds=STEP_S)
    async with (
        open_platform(rolled, later) as platform,
        client_of(create_app(rolled, platform)) as caller,
    ):
        assert (await login(caller, person, code_of(secret, later.wall()))).status_code == 200


@pytest.mark.parametrize("route", ["setup", "enable", "disable", "recovery-codes"])
async def test_nobody_is_a_stranger_here(client: httpx.AsyncClient, person: Person, route: str) -> None:
    assert (await client.post(f"/api/auth/2fa/{route}", json={"code": "123456"})).status_code == 401
    if route != "setup":
        for body in ({}, {"code": None}, {"code": 123456}, {"code": "12345"}, {"code": "123456", "other": 1}):
            answer = await person.client.post(f"/api/auth/2fa/{route}", json=body)
            assert answer.status_code == 422
    odd = await person.client.post(f"/api/auth/2fa/{route}", json={"code": "123456", "password": 1})
    assert odd.status_code == 422


async def test_a_retry_shows_the_same_recovery_codes(person: Person, clock: MovableClock) -> None:
    secret = await set_up(person)
    headers, body = {"Idempotency-Key": uuid4().hex}, {"code": code_of(secret, clock.wall())}
    first = await person.client.post("/api/auth/2fa/enable", json=body, headers=headers)
    again = await person.client.post("/api/auth/2fa/enable", json=body, headers=headers)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"


async def test_two_who_enable_at_once_get_one_set_of_codes(person: Person, clock: MovableClock) -> None:
    secret = await set_up(person)
    body = {"code": code_of(secret, clock.wall())}
    answers = await asyncio.gather(*(person.client.post("/api/auth/2fa/enable", json=body) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [200, *[409] * 5]


async def test_a_secret_opens_for_its_own_row_alone(
    new_person: NewPerson, platform: Platform, clock: MovableClock
) -> None:
    """Whoever can write to the table cannot give one person another's device."""
    ann, ben = await new_person(), await new_person()
    await enabled(ann, clock)
    secret, _ = await enabled(ben, clock)
    async with platform.database.transaction() as session:
        theirs = await session.get_one(SecondFactor, ben.id)
        row = await session.get_one(SecondFactor, ann.id)
        row.sealed_secret, row.last_step = theirs.sealed_secret, 0
    clock.advance(seconds=STEP_S)
    async with client_of(create_app(platform.settings, platform)) as caller:
        answer = await login(caller, ann, code_of(secret, clock.wall()))
    assert answer.status_code == 500
    async with platform.database.reading() as session:
        assert await session.get(User, ann.id) is not None
