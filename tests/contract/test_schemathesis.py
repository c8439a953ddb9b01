"""Requests made from the document, against the real service: no answer may be one that the document does not tell.

Every request goes out as nobody and as who may make it (in soak as everybody), and once more with the ids of rows
that are really there. What a route makes of a good request is asked with the access matrix' examples.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from zlib import crc32

import httpx
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pm_api.app import api_routes, create_app, guard_of
from pm_api.core.errors import ApiError
from pm_api.core.settings import Settings
from pm_api.identity.guards import Operator
from tests.architecture.examples import example_of, path_ids
from tests.architecture.world import ADMIN_KEY_HOLDER, ANONYMOUS, TARGET, Cast, Place, Scene
from tests.contract.document import DOCUMENT
from tests.contract.served import Served, served
from tests.support.soak import SOAKING, rounds

pytestmark = pytest.mark.xdist_group("schemathesis")

Json = dict[str, Any]

STREAMS: Final = {"openStream", "streamCredits"}
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
REFUSALS: Final = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]
"""How what is wrong may be refused: with 412 too, as tus says of a version that is not sent."""
COVERED: Final = rounds(20, 1)
"""Of so many operations one gets the systematic cases too, beside the random ones; in soak every one."""
ROUTES: Final = {
    route.operation_id or "": route
    for route in api_routes(create_app(Settings(database_url="postgresql://nowhere/none")))
    if route.include_in_schema and route.operation_id not in STREAMS
}

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
"""The bytes of a piece of a tus upload."""


def config_of(operation_id: str) -> schemathesis.Config:
    coverage = crc32(operation_id.encode()) % COVERED == 0
    return schemathesis.Config.from_dict(
        {
            "generation": {
                "max-examples": rounds(1, 100),
                "deterministic": not SOAKING,
                "database": "none",
                "allow-extra-parameters": False,  # an unknown query parameter is ignored, as everywhere on the web
            },
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
            "phases": {"coverage": {"enabled": coverage, "unexpected-methods": []}, "stateful": {"enabled": False}},
        }
    )


def document_of(operation_id: str) -> Json:
    """The document as if there were this operation alone, with the components it refers to: schemathesis keeps what
    it reads several times over.
    """
    [(path, method, operation)] = [
        (path, method, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] == operation_id
    ]
    components: Json = {"securitySchemes": DOCUMENT["components"]["securitySchemes"]}
    ahead: list[Any] = [operation]
    while ahead:
        one = ahead.pop()
        ahead += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        reference = one.get("$ref") if isinstance(one, dict) else None
        if not isinstance(reference, str):
            continue
        _, _, kind, name = reference.split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = DOCUMENT["components"][kind][name]
            ahead.append(components[kind][name])
    return {**DOCUMENT, "paths": {path: {method: operation}}, "components": components}


@dataclass
class Stand:
    """The callers of one operation, and ids of rows that are really there."""

    callers: dict[str, dict[str, str]]
    real: dict[str, str]

    @classmethod
    async def build(cls, cast: Cast, operation: str) -> "Stand":
        owner = await Scene.set(cast, "OWNER", await cast.place_in_use("asked"))
        try:
            ids = await path_ids(ROUTES[operation], owner)
        except ApiError:  # in the making of a row, where something has happened before
            owner = await Scene.set(cast, "OWNER")
            ids = await path_ids(ROUTES[operation], owner)
        operator = await Scene.set(cast, ADMIN_KEY_HOLDER, owner.place)
        return cls(
            {ANONYMOUS: {}, "OWNER": owner.headers, ADMIN_KEY_HOLDER: operator.headers},
            {
                "workspaceId": str(owner.place.workspace_id),
                "userId": str(cast.user_ids[TARGET]),
                **{name: str(value) for name, value in ids.items()},
            },
        )

    def put_real_ids_into(self, case: "Case[Any]") -> bool:
        """True when there was a place for one."""
        changed = False
        for container in (case.path_parameters, case.query, case.body):
            if not isinstance(container, dict):
                continue
            for name in container.keys() & self.real.keys():
                container[name] = self.real[name]
                changed = True
        return changed


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(request.config, "schemathesis") as found:
        yield found


@pytest.fixture(scope="module")
def client(service: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, trust_env=False, verify=False, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def stand_of(service: Served) -> Callable[[str], Stand]:
    return cache(lambda operation: service.run(Stand.build(service.cast, operation)))


def no_request_gets_an_answer_that_is_not_told(
    case: "Case[Any]", service: Served, stand_of: Callable[[str], Stand]
) -> None:
    operation: str = case.operation.definition.raw["operationId"]
    stand = stand_of(operation)
    callers = stand.callers if SOAKING else {name: stand.callers[name] for name in (ANONYMOUS, entitled(operation))}
    # Of a query parameter that is sent several times the last one counts, as everywhere on the web.
    repeated = isinstance(case.query, dict) and any(isinstance(value, list) for value in case.query.values())
    for headers in callers.values():
        case.call_and_validate(service.address, headers=headers, checks=CHECKS[:-1] if repeated else CHECKS)
    if stand.put_real_ids_into(case):  # which may put right what was meant to be wrong
        for headers in [headers for headers in callers.values() if headers]:
            case.call_and_validate(service.address, headers=headers, checks=CHECKS[:-1])


def entitled(operation: str) -> str:
    """Who may call it."""
    return ADMIN_KEY_HOLDER if isinstance(guard_of(ROUTES[operation]), Operator) else "OWNER"


# One name for each operation: pytest-xdist runs what has the same name only once.
for _name in sorted(ROUTES):
    globals()[f"test_requests_of_{_name}"] = schemathesis.openapi.from_dict(
        document_of(_name), config=config_of(_name)
    ).parametrize()(no_request_gets_an_answer_that_is_not_told)


def test_every_operation_is_asked(request: pytest.FixtureRequest) -> None:
    operations = {name for name in globals() if name.startswith("test_requests_of_")}
    assert len(operations) == len(ROUTES)
    names = [item.nodeid for item in request.session.items]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_a_good_request_succeeds_as_told(service: Served, client: httpx.Client, name: str) -> None:
    route = ROUTES[name]
    method = next(iter(route.methods or ()))

    def answer_in(place: Place) -> httpx.Response:
        scene = service.run(Scene.set(service.cast, entitled(name), place))
        call = service.run(example_of(route, scene))
        client.cookies.clear()
        return client.request(
            method, call.path, params=call.query, json=call.json, content=call.content, headers=call.headers
        )

    answer: httpx.Response | None = None
    with suppress(ApiError):  # in the making of an example, where something has happened before
        answer = answer_in(service.run(service.cast.place_in_use("good")))
    if answer is None or not answer.is_success:
        answer = answer_in(service.run(service.cast.build_place()))
    assert answer.is_success, answer.text
    schema = schemathesis.openapi.from_dict(document_of(name), config=config_of(name))
    schema[route.path_format][method].validate_response(answer)
