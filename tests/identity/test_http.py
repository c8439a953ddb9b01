"""The manners of every route, shown on identity's: problems, headers, cursors, COMMIT before the answer."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.app import create_app
from pm_api.core.db import Database, SessionDep, before_commit, database_unreachable
from pm_api.core.errors import ApiError
from pm_api.core.idempotency import api_router
from pm_api.core.platform import Platform
from pm_api.core.problem import validation_problem
from pm_api.identity.routers.auth import Caller
from tests.conftest import PASSWORD, Person, client_of, open_platform, register
from tests.identity.teams import make_workspace
from tests.support.clock import MovableClock
from tests.support.processes import free_port
from tests.support.settings import settings_for

JSON = {"Content-Type": "application/json"}
PATH = "/api/workspaces"


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"] == f"/problems/{code}"
    assert body["instance"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    assert body["error"]
    return body


# --- requests that cannot be read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "malformed_body"),
        (b'{"name": "x",}', "malformed_body"),
        (b'{"name": "\xff"}', "bad_request"),
        (b"[" * 100_000, "bad_request"),
    ],
)
async def test_a_body_that_is_not_json(person: Person, content: bytes, code: str) -> None:
    assert_problem(await person.client.post(PATH, content=content, headers=JSON), 400, code)


@pytest.mark.parametrize("path", ["/api/auth/logout", "/api/conversations", "/api/stream/tickets"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
async def test_a_body_too_deep_to_be_read_is_refused_by_every_guard(
    client: httpx.AsyncClient, person: Person, path: str, content_type: str
) -> None:
    """The framework leaves alone what does not call itself JSON; the guards look into it all the same."""
    headers = {"Content-Type": content_type}
    caller = client if path.endswith("logout") else person.client
    answer = await caller.post(path, content=b"[" * 100_000, headers=headers)
    assert answer.status_code in (400, 401, 415, 422), answer.text


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}, {}])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}])
async def test_a_body_of_another_type(
    person: Person, client: httpx.AsyncClient, headers: dict[str, str], key: dict[str, str]
) -> None:
    body = b'{"name": "x"}'
    answer = await person.client.post(PATH, content=body, headers=headers | key)
    assert_problem(answer, 415, "unsupported_media_type")
    assert_problem(await client.post(PATH, content=body, headers=headers), 401, "unauthorized")


async def test_a_type_with_parameters_or_a_suffix_is_json(person: Person) -> None:
    for kind in ("application/json; charset=utf-8", "application/merge-patch+json"):
        answer = await person.client.post(PATH, content=b'{"name": "x"}', headers={"Content-Type": kind})
        assert answer.status_code == 201


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"null", b"7", b""])
async def test_a_body_that_is_no_object(person: Person, content: bytes) -> None:
    assert_problem(await person.client.post(PATH, content=content, headers=JSON), 422, "validation_failed")


async def test_an_unknown_field_is_pointed_at(person: Person) -> None:
    answer = await person.client.post(PATH, json={"name": "x", "colour/of~it": "red", "slug": "Not A Slug"})
    body = assert_problem(answer, 422, "validation_failed")
    assert {one["pointer"] for one in body["details"]} == {"/colour~1of~0it", "/slug"}
    assert "Not A Slug" not in answer.text, "what was sent is not echoed"
    snake = await person.client.post("/api/auth/refresh", json={"refresh_token": "x"})
    assert snake.status_code in (401, 422)


@pytest.mark.parametrize(
    "content",
    [
        b'{"name": "a\\u0000b"}',
        b'{"name": "a\\ud800b"}',
        b'{"name": "x", "description": "a\\u0000b"}',
        b'{"name": "x", "description": "\\udfff"}',
        b'{"name": "x", "\\ud800": 1}',
        b'{"name": "x", "a\\u0000b": 1}',
    ],
)
async def test_text_that_cannot_be_stored_is_refused(person: Person, content: bytes) -> None:
    assert_problem(await person.client.post(PATH, content=content, headers=JSON), 422, "validation_failed")


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/register", "/api/auth/refresh"])
@pytest.mark.parametrize("bad", [b"\\u0000", b"\\ud800"])
async def test_credentials_that_cannot_be_stored_are_refused(
    client: httpx.AsyncClient, path: str, bad: bytes
) -> None:
    fields = {"email": b"a@example.com", "password": b"a good long password", "name": b"Ann", "refreshToken": b"t"}
    wanted = {"login": ("email", "password"), "register": ("email", "password", "name"), "refresh": ("refreshToken",)}
    names = wanted[path.rsplit("/", 1)[1]]
    for wrong in names:
        values = {name: fields[name] + (bad if name == wrong else b"") for name in names}
        content = b"{" + b",".join(b'"%s":"%s"' % (name.encode(), value) for name, value in values.items()) + b"}"
        answer = await client.post(path, content=content, headers=JSON)
        body = assert_problem(answer, 422, "validation_failed")
        assert [one["pointer"] for one in body["details"]] == [f"/{wrong}"]


async def test_a_body_that_is_too_large(person: Person) -> None:
    announced = await person.client.post(PATH, json={"name": "x" * 2_000_000})
    assert_problem(announced, 413, "payload_too_large")
    assert announced.headers["x-content-type-options"] == "nosniff"

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(5):
            yield b"x" * 300_000

    assert_problem(await person.client.post(PATH, content=pieces(), headers=JSON), 413, "payload_too_large")
    fits = await person.client.post(PATH, json={"name": "x", "description": "d" * 1_000_000})
    assert_problem(fits, 422, "validation_failed")


# --- routes that are not there ---------------------------------------------------------------------------------


async def test_an_unknown_address(person: Person, client: httpx.AsyncClient) -> None:
    for path in ("/api/nothing", "/nothing", f"{PATH}/", "/api/auth"):
        assert_problem(await client.get(path), 404, "not_found")


async def test_a_method_that_is_not_there(person: Person) -> None:
    """All there is stands in `Allow` (RFC 9110 §15.5.6): not what the first route of the address takes."""
    for path, allowed in (
        (PATH, "GET, POST"),
        (f"{PATH}/{uuid4()}", "DELETE, GET, PATCH"),
        ("/api/auth/login", "POST"),
        ("/docs/assets/swagger-ui.css", "GET, HEAD"),
    ):
        answer = await person.client.put(path, json={})
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allowed


async def test_a_request_without_a_token_is_told_how(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/auth/me")
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="pm_api"'


async def test_every_code_has_a_page(client: httpx.AsyncClient) -> None:
    for code in sorted(ApiError.registry):
        page = await client.get(f"/problems/{code}")
        assert page.status_code == 200, code
        assert code in page.text


# --- headers ---------------------------------------------------------------------------------------------------


async def test_a_request_id_goes_in_and_out(client: httpx.AsyncClient) -> None:
    given = f"from-the-proxy.{uuid4().hex[:8]}_1"
    assert (await client.get("/healthz", headers={"X-Request-ID": given})).headers["x-request-id"] == given
    for wrong in ("with space", "x" * 65, "", "semi;colon", "zeile\xfc"):
        answer = await client.get("/healthz", headers=[(b"X-Request-ID", wrong.encode("latin-1"))])
        assert answer.headers["x-request-id"] != wrong
        assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/healthz", "/api/auth/me", "/api/nothing", "/.well-known/jwks.json"])
async def test_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in headers
    if "jwks" not in path:
        assert headers["cache-control"] == "private, no-store"


async def test_a_known_site_passes_the_preflight(client: httpx.AsyncClient) -> None:
    asking = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match,authorization"}
    answer = await client.options(PATH, headers={"Origin": "http://site.local", **asking})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://site.local"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "if-match" in answer.headers["access-control-allow-headers"].lower()
    foreign = await client.options(PATH, headers={"Origin": "http://evil.local", **asking})
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_site_may_read_our_headers_and_refusals(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/auth/me", headers={"Origin": "http://site.local"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "http://site.local"
    exposed = {one.strip() for one in answer.headers["access-control-expose-headers"].split(",")}
    assert {"ETag", "Location", "Retry-After", "RateLimit", "X-Request-ID", "Idempotent-Replayed"} <= exposed
    assert "Content-Disposition" in exposed, "the name of a file"


async def test_what_is_no_id_is_nothings_id(person: Person) -> None:
    for method, path in (
        ("DELETE", "/api/auth/sessions/xyz"),
        ("GET", "/api/notifications/xxx"),
        ("POST", "/api/notifications/xxx/read"),
        ("GET", "/api/workspaces/xxx"),
    ):
        answer = await person.client.request(method, path)
        assert (answer.status_code, answer.json()["code"][-9:]) == (404, "not_found"), path


async def test_a_wrong_part_of_the_path_is_named_as_everything_is_named(person: Person) -> None:
    errors = [{"type": "string_too_long", "loc": ("path", "promotion_code"), "msg": "too long"}]
    problem = validation_problem(errors)
    assert (problem.status, problem.details) == (422, [{"pointer": "/promotionCode", "detail": "too long"}])


NAMES_THAT_MISLEAD = [
    "Ann\nBcc: eve@example.com",
    "Ann\rArcher",
    "Ann\tArcher",
    "Ann\u2028Archer",
    "Ann\u0085Archer",
    "Ann \u202egpj.exe",
    "\u2066Ann\u2069",
    "\u200b\u200d",
    "\u3164",
    "\u00ad \ufeff",
    "\u001b[31mAnn",
]


@pytest.mark.parametrize("name", NAMES_THAT_MISLEAD)
async def test_a_name_stands_on_one_line_and_is_seen(client: httpx.AsyncClient, person: Person, name: str) -> None:
    body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": name}
    for answer, pointer in (
        (await client.post("/api/auth/register", json=body), "/name"),
        (await person.client.put("/api/user/profile", json={"name": name}), "/name"),
        (await person.client.post("/api/workspaces", json={"name": name}), "/name"),
        (await person.client.post("/api/api-keys", json={"name": name, "scopes": ["profile:read"]}), "/name"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.request.url
        assert [one["pointer"] for one in answer.json()["details"]] == [pointer]


@pytest.mark.parametrize(
    "name", ["Zoë Öztürk", "นภัส", "נועה \u200f", "می\u200cخواهم", "👩\u200d🚀 Ann", "山田 太郎", "é"]
)
async def test_names_of_the_world_are_names(person: Person, name: str) -> None:
    answer = await person.client.post("/api/workspaces", json={"name": name})
    assert answer.status_code == 201, answer.text
    assert answer.json()["workspace"]["name"] == name.strip()


async def test_a_caller_is_limited_wherever_they_come_from(worker_database: str, person: Person) -> None:
    settings = settings_for(worker_database, rate_limits=True, rate_limit_caller="2/minute")
    headers = {"Authorization": f"Bearer {person.access_token}"}
    async with open_platform(settings, MovableClock()) as parts:
        app = create_app(settings, parts)
        answers = []
        for number in range(3):
            transport = httpx.ASGITransport(app, client=(f"10.0.0.{number}", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test.local") as caller:
                answers.append(await caller.get("/api/auth/me", headers=headers))
                assert (await caller.get("/healthz")).status_code == 200
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"caller";q=2;w=60'
    assert_problem(answers[2], 429, "rate_limited")
    assert int(answers[2].headers["retry-after"]) >= 1


async def test_an_address_is_limited(worker_database: str) -> None:
    settings = settings_for(worker_database, rate_limits=True, rate_limit_address="2/minute")
    async with open_platform(settings, MovableClock()) as parts, client_of(create_app(settings, parts)) as caller:
        answers = [await caller.get("/api/config", headers={"Origin": "http://site.local"}) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert_problem(answers[2], 429, "rate_limited")
    assert answers[2].headers["access-control-allow-origin"] == "http://site.local", "the SPA can read the refusal"


# --- cursors ---------------------------------------------------------------------------------------------------


async def test_a_cursor_is_taken_back_only_as_it_was_given(person: Person) -> None:
    for _ in range(2):
        await make_workspace(person)
    cursor = (await person.client.get(PATH, params={"limit": 1})).json()["nextCursor"]
    assert (await person.client.get(PATH, params={"limit": 1, "cursor": cursor})).status_code == 200
    changed = cursor[:-3] + ("A" if cursor[-3] != "A" else "B") + cursor[-2:]
    for wrong in (changed, cursor + "AAAA", cursor[4:], "", "x", "%%%", "ü", "AAAA" * 20):
        assert_problem(await person.client.get(PATH, params={"cursor": wrong}), 422, "invalid_cursor")
    too_long = await person.client.get(PATH, params={"cursor": "x" * 1025})
    assert_problem(too_long, 422, "validation_failed")


@pytest.mark.parametrize("filters", [{"archived": "true"}, {"archived": "false"}, {"deleted": "true"}])
async def test_a_cursor_belongs_to_its_filters(person: Person, filters: dict[str, str]) -> None:
    for _ in range(2):
        await make_workspace(person)
    cursor = (await person.client.get(PATH, params={"limit": 1})).json()["nextCursor"]
    answer = await person.client.get(PATH, params={"cursor": cursor, **filters})
    assert_problem(answer, 422, "invalid_cursor")


async def test_a_cursor_belongs_to_its_list_and_caller(person: Person, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await make_workspace(person)
    cursor = (await person.client.get(PATH, params={"limit": 1})).json()["nextCursor"]
    elsewhere = await person.client.get("/api/auth/sessions", params={"cursor": cursor})
    assert_problem(elsewhere, 422, "invalid_cursor")
    other = await client.post(
        "/api/auth/register",
        json={"email": f"{uuid4().hex}@example.com", "password": "a good long password", "name": "Eve"},
    )
    headers = {"Authorization": f"Bearer {other.json()['accessToken']}"}
    assert_problem(await client.get(PATH, params={"cursor": cursor}, headers=headers), 422, "invalid_cursor")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", ""])
async def test_a_page_has_1_to_200_rows(person: Person, limit: str) -> None:
    body = assert_problem(await person.client.get(PATH, params={"limit": limit}), 422, "validation_failed")
    assert body["details"][0]["pointer"] == "/limit"


# --- COMMIT comes before the answer ----------------------------------------------------------------------------

throwaway = api_router(tag="test")


@throwaway.post("/break/commit", operation_id="breakCommit")
async def break_commit(_scope: Caller, session: SessionDep) -> dict[str, bool]:
    """Leaves a deferred constraint broken, so that only COMMIT finds out."""
    await session.execute(
        text("CREATE TEMPORARY TABLE twice (id integer, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
    )
    await session.execute(text("INSERT INTO twice VALUES (1), (1)"))
    return {"done": True}


@throwaway.post("/break/callback", operation_id="breakCallback")
async def break_callback(_scope: Caller, session: SessionDep) -> dict[str, bool]:
    async def fail(_session: AsyncSession) -> None:
        raise RuntimeError("the very last moment, with the secret word sesame")

    before_commit(session, "fail", fail)
    return {"done": True}


@throwaway.get("/break/inside", operation_id="breakInside")
async def break_inside() -> None:
    raise RuntimeError("the secret word is sesame")


@pytest.fixture
async def breakable(platform: Platform, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(platform.settings, platform)
    app.include_router(throwaway)
    async with client_of(app, headers={"Authorization": f"Bearer {person.access_token}"}) as caller:
        yield caller


@pytest.mark.parametrize("path", ["/api/break/commit", "/api/break/callback"])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "the same for both tries"}])
async def test_a_failed_commit_is_never_a_success(
    breakable: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    for _ in range(2):
        answer = await breakable.post(path, headers=headers)
        assert_problem(answer, 500, "internal_error")
        assert "idempotent-replayed" not in answer.headers


async def test_a_failure_tells_nothing_of_the_inside(breakable: httpx.AsyncClient) -> None:
    answer = await breakable.get(
        "/api/break/inside", headers={"X-Request-ID": "for-support", "Origin": "http://site.local"}
    )
    body = assert_problem(answer, 500, "internal_error")
    assert body["instance"] == "for-support"
    for inside in ("sesame", "RuntimeError", "Traceback", ".py"):
        assert inside not in answer.text
    assert answer.headers["access-control-allow-origin"] == "http://site.local"
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- without a database ----------------------------------------------------------------------------------------


async def assert_unreachable(caller: httpx.AsyncClient, **headers: str) -> None:
    answer = await caller.request("POST" if headers else "GET", PATH, json={"name": "x"}, headers=headers)
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
async def test_a_lost_database_is_said_to_be_away(fresh_database: str, headers: dict[str, str]) -> None:
    settings = settings_for(fresh_database, database_pool_size=1, database_pool_overflow=0)
    async with open_platform(settings, MovableClock()) as narrow:
        somebody = await register(create_app(settings, narrow))
        async with narrow.database.reading() as session:  # the only connection there is
            await session.execute(text("SELECT 1"))
            narrow.database.engine.pool._timeout = 0.1  # type: ignore[attr-defined]  # 10 s otherwise
            await assert_unreachable(somebody.client, **headers)
        connection = await narrow.database.dedicated_connection()
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> $1 AND datname = current_database()"
        )
        await connection.execute(others, connection.get_server_pid())
        await connection.close()
        await assert_unreachable(somebody.client, **headers)
        assert (await somebody.client.get(PATH)).status_code == 200
        await narrow.database.engine.dispose()
        elsewhere = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
        narrow.database.engine, narrow.database._sessions = elsewhere.engine, elsewhere._sessions
        await assert_unreachable(somebody.client, **headers)
        await somebody.client.aclose()


def test_a_fault_of_ours_is_not_called_an_absence() -> None:
    for fault in (
        FileNotFoundError(2, "no such file", "/etc/x"),
        DBAPIError("", {}, Exception()),
        ValueError(),
        None,
    ):
        assert not database_unreachable(fault)
    for absence in (ConnectionRefusedError(111, "refused"), TimeoutError(), asyncpg.TooManyConnectionsError()):
        assert database_unreachable(absence)


# --- the document --------------------------------------------------------------------------------


async def test_the_document_is_written_once_and_kept_by_who_has_it(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes seconds to make and is megabytes long: nobody else waits for it, and nobody fetches it twice."""
    path = "/api/openapi.json"
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    assert (plain.status_code, plain.json()) == (200, app.openapi())
    assert plain.headers["cache-control"].startswith("public, max-age=")

    def again() -> None:
        raise AssertionError("it was written a second time")

    monkeypatch.setattr(app, "openapi", again)
    packed = await client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.json() == plain.json()
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 5
    assert packed.headers["etag"] != plain.headers["etag"], "other bytes"
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["vary"]
        sent = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": answer.request.headers["accept-encoding"]}
        assert (await client.get(path, headers=sent)).status_code == 304


async def test_the_document_shows_gates_headers_and_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "x-problems" not in (await client.get("/api/openapi.json")).text
    update = document["paths"]["/api/workspaces/{workspace_id}"]["patch"]
    assert update["security"] == [{"bearer": []}]
    assert {"200", "400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "500", "503"} <= set(
        update["responses"]
    )
    assert "slug_taken" in update["responses"]["409"]["description"]
    named = {(one["in"], one["name"]) for one in update["parameters"]}
    assert {("path", "workspace_id"), ("header", "If-Match")} <= named
    read = document["paths"]["/api/workspaces/{workspace_id}"]["get"]
    assert "304" in read["responses"]
    assert "ETag" in read["responses"]["200"]["headers"]
    created = document["paths"]["/api/workspaces"]["post"]
    assert {"ETag", "Location"} <= set(created["responses"]["201"]["headers"])
    assert ("header", "Idempotency-Key") in {(one["in"], one["name"]) for one in created["parameters"]}
    login = document["paths"]["/api/auth/login"]["post"]
    assert "security" not in login
    assert "refreshToken" not in document["components"]["schemas"]["SignInAnswer"]["required"]
