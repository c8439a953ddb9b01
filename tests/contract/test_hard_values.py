"""A good request with one value replaced by one that breaks programs: refused as the document tells, never a 500."""

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4
from zlib import crc32

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from pm_api.app import api_routes, create_app, guard_of
from pm_api.core.errors import ApiError
from pm_api.core.problem import MEDIA_TYPE
from pm_api.core.settings import Settings
from pm_api.identity.guards import Operator
from tests.architecture.examples import Call, example_of
from tests.architecture.world import ADMIN_KEY_HOLDER, Cast, Scene, platform_on_its_own
from tests.conftest import client_of
from tests.contract.document import DOCUMENT
from tests.support.soak import rounds

pytestmark = pytest.mark.xdist_group("hard-values")

Variant = tuple[str, dict[str, Any]]

STRIDE: Final = rounds(12, 1)
STREAMS: Final = {"openStream"}
NUL, LONE_SURROGATE = "a\x00b", "\ud800"
TIMES: Final = ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999Z")
TEXTS: Final = (NUL, "", "%", "\\", "²", "9" * 30, "-1", "1e400", "nan", "{}", *TIMES)
VALUES: Final[tuple[Any, ...]] = (
    *TEXTS,
    LONE_SURROGATE,
    1 << 63,
    -(1 << 64),
    1e308,
    True,
    None,
    [],
    {},
    [[[]]],
    {LONE_SURROGATE: NUL},
)
HEADERS: Final = (b"\xe9", b"\xb2", b'"', b"9" * 300, b"*", b"W/", b'"1", "2"')

ROUTES: Final = {
    route.operation_id or "": route
    for route in api_routes(create_app(Settings(database_url="postgresql://nowhere/none")))
    if route.include_in_schema and route.operation_id not in STREAMS
}


def method_of(route: APIRoute) -> str:
    return next(iter(route.methods or ()))


def operation_of(route: APIRoute) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path_format][method_of(route).lower()]
    return found


def names(operation: dict[str, Any], place: str) -> list[str]:
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == place]


def fields(operation: dict[str, Any]) -> list[str]:
    """Fields of the body that a framework parses."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        text = json.dumps(content["schema"])
        for name, schema in DOCUMENT["components"]["schemas"].items():
            if f'"#/components/schemas/{name}"' in text:
                return list(schema["properties"])
    return []


def variants(route: APIRoute, call: Call) -> Iterator[Variant]:
    """(what was replaced, arguments of the request)."""
    operation = operation_of(route)
    whole: dict[str, Any] = {"url": call.path, "params": call.query, "headers": call.headers}
    body = {"content": call.content} if call.content is not None else {}
    if isinstance(call.json, dict):
        whole["headers"] = {**call.headers, "Content-Type": "application/json"}
        body = {"content": json.dumps(call.json).encode()}
    for name in names(operation, "path"):
        for text in ("%00", "%ED%A0%80", *(quote(one, safe="") for one in TEXTS if one)):
            address = route.path_format.replace(f"{{{name}}}", text)
            yield f"{name} in path = {text}", {**whole, **body, "url": address}
    for name in names(operation, "query"):
        for text in TEXTS:
            yield f"{name} in query = {text!r}", {**whole, **body, "params": {**call.query, name: text}}
    for name in names(operation, "header"):
        for header in HEADERS:
            headers = [(key.encode(), value.encode()) for key, value in whole["headers"].items() if key != name]
            yield f"{name} = {header!r}", {**whole, **body, "headers": [*headers, (name.encode(), header)]}
    for name in fields(operation):
        for value in VALUES:
            content = json.dumps({**(call.json or {}), name: value}).encode()
            yield f"{name} in body = {value!r}", {**whole, "content": content}


def chosen(operation: str, every: Iterator[Variant]) -> Iterator[Variant]:
    """In `make test` one of four, another one for each operation, so that all values meet all kinds of fields."""
    return itertools.islice(every, crc32(operation.encode()) % STRIDE, None, STRIDE)


def test_there_is_something_to_replace() -> None:
    call = Call(path="/x", json={})
    counted = [len(list(chosen(name, variants(route, call)))) for name, route in ROUTES.items()]
    assert sum(counted) > 1000


@pytest.fixture(scope="module")
async def cast(request: pytest.FixtureRequest) -> AsyncIterator[Cast]:
    async with platform_on_its_own(request.config, "hard_values") as platform:
        yield await Cast.hire(platform)


@pytest.fixture(scope="module")
def app(cast: Cast) -> FastAPI:
    return create_app(cast.platform.settings, cast.platform)


@pytest.mark.parametrize("name", sorted(ROUTES))
async def test_a_hard_value_is_refused_or_taken(app: FastAPI, cast: Cast, name: str) -> None:
    route = ROUTES[name]
    caller = ADMIN_KEY_HOLDER if isinstance(guard_of(route), Operator) else "OWNER"
    try:
        call = await example_of(route, await Scene.set(cast, caller, await cast.place_in_use("hard")))
    except ApiError:  # in the making of an example, where something has happened before
        call = await example_of(route, await Scene.set(cast, caller))
    told = set(operation_of(route)["responses"])
    wrong = []
    async with client_of(app) as client:
        for what, arguments in chosen(name, variants(route, call)):
            if isinstance(arguments["headers"], dict) and "Idempotency-Key" in arguments["headers"]:
                # A key that was used would be the reason of every further refusal.
                arguments["headers"] = {**arguments["headers"], "Idempotency-Key": uuid4().hex}
            answer: httpx.Response = await client.request(method_of(route), **arguments)
            refused = answer.status_code >= 400
            if (
                answer.status_code >= 500
                or str(answer.status_code) not in told
                or (refused and answer.headers["content-type"] != MEDIA_TYPE)
            ):
                wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []


async def test_the_address_and_the_body_may_not_name_two_workspaces(app: FastAPI, cast: Cast) -> None:
    """The pool of the one must not pay for what the caller meant for the other."""
    scene = await Scene.set(cast, "OWNER")
    await scene.fill_pool()
    here, elsewhere = str(scene.place.workspace_id), str((await cast.build_place()).workspace_id)
    async with client_of(app, headers=scene.headers) as client:
        for in_body in (elsewhere, here):
            answer = await client.post(
                "/api/credits/spend",
                params={"workspaceId": here},
                json={"amount": 1, "workspaceId": in_body},
                headers={"Idempotency-Key": f"two-{in_body}"},
            )
            assert answer.status_code == (422 if in_body == elsewhere else 200), answer.text


@pytest.mark.parametrize("moment", [0.5, 1767225600, "1767225600", "2026-01-01", "2026-01-01T00:00:00", True])
async def test_a_time_is_written_out(app: FastAPI, cast: Cast, moment: object) -> None:
    """RFC 3339 with an offset: a number is not taken for seconds since 1970."""
    scene = await Scene.set(cast, ADMIN_KEY_HOLDER)
    owner = await Scene.set(cast, "OWNER", scene.place)
    async with client_of(app) as client:
        granted = await client.post(
            "/api/credits/grant",
            json={"userId": str(cast.user_ids["OWNER"]), "amount": 1, "reason": "test", "expiresAt": moment},
            headers={**scene.headers, "Idempotency-Key": f"time-{moment}"},
        )
        listed = await client.get("/api/credits/history", params={"to": str(moment)}, headers=owner.headers)
    assert (granted.status_code, listed.status_code) == (422, 422)
    assert granted.json()["details"][0]["pointer"] == "/expiresAt"
