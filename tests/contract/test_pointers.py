"""Every value of every request is named as the caller wrote it, never by how the service reads it."""

from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from pm_api.core.problem import problem_body, validation_problem
from tests.contract.test_hard_values import ROUTES, fields, operation_of
from tests.support.each import for_each

WRONG: Final[tuple[Any, ...]] = (
    *("", "nonsense", "2026-02-30", "2026-02-30T09:00:00Z", "2026-03-02T09:00:00", "2026-03-02T09:00:00+99:00"),
    *("0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    *(-1, 0.5, 1 << 63, True, [], {}, [[]], [{}], [-1], ["nonsense", 0.5], {"nonsense": -1}),
)

INTERNAL: Final = ("[", "(", "function-", "constrained-", "nullable", "is-instance", "lax-or-strict")


def queries(route: APIRoute) -> list[Any]:
    return [one for one in get_flat_params(route.dependant) if isinstance(one.field_info, Query)]


def refusals(route: APIRoute) -> Iterator[list[Any]]:
    """What reading a request answers when one value of it is wrong."""
    for field in queries(route):
        for value in WRONG:
            yield field.validate(value, {}, loc=("query", field.alias))[1]
    if route.body_field is None:
        return
    for name in fields(operation_of(route)):
        for value in WRONG:
            yield route.body_field.validate({name: value}, {}, loc=("body",))[1]


def problems(route: APIRoute) -> Iterator[dict[str, Any]]:
    for errors in refusals(route):
        if errors:
            yield orjson.loads(problem_body(validation_problem(errors), "1"))


def test_there_is_something_to_read() -> None:
    assert sum(1 for route in ROUTES.values() for _ in problems(route)) > 1000


@for_each(sorted(ROUTES))
def test_a_pointer_names_what_was_sent(name: str) -> None:
    wrong = set()
    for problem in problems(ROUTES[name]):
        for one in problem["details"]:
            pointer = one["pointer"]
            if any(part in pointer or part in problem["error"].split(": ")[0] for part in INTERNAL):
                wrong.add(pointer)
    assert wrong == set()


def test_one_sentence_says_what_is_wrong_with_a_time() -> None:
    for value in WRONG:
        for errors in (
            ROUTES["createEvent"].body_field.validate({"startTime": value}, {}, loc=("body",))[1],  # type: ignore[union-attr]
            *(
                field.validate(value, {}, loc=("query", field.alias))[1]
                for name in ("getEvents", "getAgenda")
                for field in queries(ROUTES[name])
                if field.alias == "start"
            ),
        ):
            of_it = [one for one in validation_problem(errors).details or () if one["pointer"].startswith("/start")]
            assert [one["pointer"] for one in of_it] in (["/startTime"], ["/start"]), (value, of_it)
