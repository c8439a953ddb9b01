"""The access matrix: every operation called by every kind of caller.

What must come out is derived from each route's guard and the one dict of permissions; what does come out is measured
over HTTP and committed as `access_matrix.csv`, so that code and table cannot be wrong together. After a change that
is meant: `make matrix`.
"""

import contextlib
import csv
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final
from zlib import crc32

import httpx
import pytest
from fastapi.routing import APIRoute

from pm_api.app import api_routes, create_app, guard_of
from pm_api.core.db import Base
from pm_api.core.errors import ApiError
from pm_api.core.settings import Settings
from pm_api.identity.guards import Guard, Itself, Operator, Require, RequireAccount, RequireAccountOf, SignedIn
from pm_api.identity.permissions import FOR_PEOPLE_ALONE, PERMISSIONS, Role
from pm_api.routers import PUBLIC
from tests.architecture.examples import EXAMPLES, OWN_ACCOUNT, Example, example_of
from tests.architecture.world import (
    ADMIN_KEY_HOLDER,
    ADMINISTRATOR,
    ANONYMOUS,
    COLUMNS,
    FACTORIES,
    FOREIGN_KEY,
    GUEST,
    OTHER_TENANT,
    PEOPLE,
    ROLES,
    SIGNED_IN,
    Cast,
    Place,
    Scene,
    platform_on_its_own,
)
from tests.support.server import serve
from tests.support.soak import SOAKING

MATRIX: Final = Path(__file__).parents[2] / "access_matrix.csv"
STATIC: Final = ("method", "path", "operationId", "guard", "permission", "table")
HEADER: Final = (*STATIC, *COLUMNS)
ROUTES: Final = {
    route.operation_id or route.name: route
    for route in api_routes(create_app(Settings(database_url="postgresql://nowhere/none")))
}

CHANGES_BEFOREHAND: Final = frozenset({"restoreWorkspace", "unarchiveWorkspace", "stopProject", "restoreProject"})
"""Operations whose example ends the place's life, or interrupts it, before the call."""

pytestmark = pytest.mark.xdist_group("access-matrix")


@dataclass
class Theatre:
    """A server on a database of its own, and what was measured so far."""

    client: httpx.AsyncClient
    cast: Cast
    shared: Place
    measured: dict[str, dict[str, str]] = field(default_factory=dict)

    async def status_of(self, route: APIRoute, column: str, examples: dict[str, Example] = EXAMPLES) -> int:
        # What changes something meets what the other operations left; who is refused changes nothing.
        changes = method_of(route) != "GET" and expected(guard_of(route), column) == "2xx"
        if not changes and route.operation_id not in CHANGES_BEFOREHAND:
            return await self.status_in(self.shared, route, column, examples)
        if route.operation_id not in CHANGES_BEFOREHAND:
            place = await self.cast.place_in_use(column)
            with contextlib.suppress(ApiError):  # in the making of an example
                status = await self.status_in(place, route, column, examples)
                if str(status) == committed().get(route.operation_id or "", {}).get(column):
                    return status
        return await self.status_in(await self.cast.build_place(), route, column, examples)

    async def status_in(
        self, place: Place, route: APIRoute, column: str, examples: dict[str, Example] = EXAMPLES
    ) -> int:
        scene = await Scene.set(self.cast, column, place)
        call = await example_of(route, scene, examples)
        self.client.cookies.clear()  # each caller comes with a browser of their own
        request = self.client.build_request(
            method_of(route),
            call.path,
            params=call.query,
            json=call.json,
            content=call.content,
            headers=call.headers,
        )
        answer = await self.client.send(request, stream=True)  # an event stream has no end to wait for
        await answer.aclose()
        return answer.status_code


@pytest.fixture(scope="module")
async def theatre(request: pytest.FixtureRequest) -> AsyncIterator[Theatre]:
    async with platform_on_its_own(request.config, "matrix") as platform:
        cast = await Cast.hire(platform)
        app = create_app(platform.settings, platform, connect=False)
        async with (
            serve(app) as address,
            httpx.AsyncClient(base_url=address, trust_env=False, verify=False, timeout=30) as client,
        ):
            yield Theatre(client, cast, await cast.build_place())


def method_of(route: APIRoute) -> str:
    return next(iter(route.methods or ()))


def static_row(route: APIRoute) -> dict[str, str]:
    guard = guard_of(route)
    return {
        "method": method_of(route),
        "path": route.path_format,
        "operationId": route.operation_id or "",
        "guard": type(guard).__name__ if guard else "public",
        "permission": (guard.permission if guard else None) or "",
        "table": (guard.table if guard else None) or "",
    }


def expected(guard: Guard | None, column: str) -> str:
    """What the guard must answer: `2xx`, or the status of a refusal."""
    if guard is None:
        return "2xx"
    if column == FOREIGN_KEY:
        return of_a_foreign_key(guard)
    if isinstance(guard, Operator):
        return {ANONYMOUS: "401", ADMINISTRATOR: "2xx", ADMIN_KEY_HOLDER: "2xx"}.get(column, "403")
    if column not in PEOPLE or isinstance(guard, SignedIn):
        return "2xx" if column in PEOPLE else "401"
    assert isinstance(guard, Require | RequireAccount | RequireAccountOf), (
        f"the matrix knows no {type(guard).__name__}"
    )
    if column not in ROLES:
        return "404"
    return "2xx" if guard.permission in PERMISSIONS[role_over(guard, column)] else "403"


def telling(operation: str, guard: Guard | None) -> list[str]:
    """Who tells most, for `make test`: nobody, another tenant, a foreign key, both sides of the line that the guard
    draws between roles, and one more, another one for each operation. `make matrix` and soak ask everybody.
    """
    let_in = [column for column in ROLES if expected(guard, column) == "2xx"]
    kept_out = [column for column in ROLES if expected(guard, column) != "2xx"]
    chosen = {ANONYMOUS, OTHER_TENANT, FOREIGN_KEY, *let_in[:1], *kept_out[-1:]}
    return [column for column in COLUMNS if column in chosen | {COLUMNS[crc32(operation.encode()) % len(COLUMNS)]}]


def of_a_foreign_key(guard: Guard) -> str:
    if isinstance(guard, Itself):
        return "2xx"
    takes_no_key = isinstance(guard, Operator) or (isinstance(guard, SignedIn) and guard.area is None)
    return "403" if takes_no_key else "404"


def role_over(guard: Guard, column: str) -> Role:
    """What somebody is over the row; a guest is a member within what has a circle, and nothing besides."""
    within = column == GUEST and guard.table is not None and "scope_id" in Base.metadata.tables[guard.table].columns
    return Role.MEMBER if within and not getattr(guard, "by_workspace_role", False) else Role(column)


@cache
def committed() -> dict[str, dict[str, str]]:
    with MATRIX.open(encoding="utf-8", newline="") as file:
        return {row["operationId"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("operation", sorted(ROUTES))
async def test_every_caller_gets_what_the_guard_says(
    theatre: Theatre, operation: str, request: pytest.FixtureRequest
) -> None:
    route = ROUTES[operation]
    guard = guard_of(route)
    writing = request.config.getoption("write_access_matrix")
    columns = COLUMNS if writing or SOAKING else telling(operation, guard)
    seen = {column: await theatre.status_of(route, column) for column in columns}
    wanted = {column: expected(guard, column) for column in columns}
    assert {column: "2xx" if 200 <= status < 300 else str(status) for column, status in seen.items()} == wanted
    row = static_row(route) | {column: str(status) for column, status in seen.items()}
    theatre.measured[operation] = row
    if not writing:
        told = {name: value for name, value in committed().get(operation, {}).items() if name in row}
        assert told == row, "access_matrix.csv is not true any more; if meant: make matrix"


async def test_without_a_workspace_it_is_the_callers_own_account(theatre: Theatre) -> None:
    """The other half of `RequireAccount`: everybody has their own wallet, and nobody is asked for a role."""
    routes = {name: route for name, route in ROUTES.items() if isinstance(guard_of(route), RequireAccount)}
    assert set(routes) == set(OWN_ACCOUNT)
    for name, route in routes.items():
        for column in COLUMNS if SOAKING else (ANONYMOUS, SIGNED_IN, ADMIN_KEY_HOLDER, FOREIGN_KEY):
            status = await theatre.status_of(route, column, OWN_ACCOUNT)
            if column == FOREIGN_KEY:
                permission = static_row(route)["permission"]
                assert status == (403 if permission in FOR_PEOPLE_ALONE else 404), name
                continue
            assert (200 <= status < 300) if column in PEOPLE else status == 401, (name, column, status)


def test_nothing_is_missing_and_nothing_is_left_over(request: pytest.FixtureRequest) -> None:
    assert set(EXAMPLES) == set(ROUTES), "every operation has one minimal valid request"
    assert {guard.table for route in ROUTES.values() if (guard := guard_of(route)) and guard.table} <= set(FACTORIES)
    assert {operation for operation, route in ROUTES.items() if guard_of(route) is None} == PUBLIC
    if not request.config.getoption("write_access_matrix"):
        assert set(committed()) == set(ROUTES)


def test_the_file_is_as_the_tool_writes_it(theatre: Theatre, request: pytest.FixtureRequest) -> None:
    """Last, so that with `--write-access-matrix` everything is measured."""
    if request.config.getoption("write_access_matrix"):
        missing = set(ROUTES) - set(theatre.measured)
        assert not missing, f"not written: {sorted(missing)} did not pass"
        with MATRIX.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, HEADER, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(theatre.measured.values(), key=lambda row: (row["path"], row["method"])))
    with MATRIX.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADER
    assert rows[1:] == sorted(rows[1:], key=lambda row: (row[1], row[0]))
