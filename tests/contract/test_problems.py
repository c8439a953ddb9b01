"""Every error code: a page for people, a shape for programs, and a place in the document."""

import importlib
import pkgutil
from typing import Any, Final

import httpx
import orjson
import pytest

import pm_api
from pm_api.core.errors import ApiError
from pm_api.core.openapi import CODES_KEY
from pm_api.core.problem import MEDIA_TYPE, problem_response
from tests.contract.document import DOCUMENT
from tests.support.each import for_each

for module in pkgutil.walk_packages(pm_api.__path__, "pm_api."):
    if not module.name.startswith(("pm_api.migrations.", "pm_api.sandbox")):
        importlib.import_module(module.name)

CODES: Final = {code: kind for code, kind in ApiError.registry.items() if kind.__module__.startswith("pm_api.")}

NOT_OF_ONE_OPERATION: Final = {
    "method_not_allowed": "an address with another method",
    "gone": "a kind: `cursor_expired` and `restore_expired` are of it",
    "conflict": "a kind",
    "payment_required": "a kind",
    "unprocessable": "a kind",
    "person_not_found": "said of one person in the answer of `getFreeBusy`, which tells of the others",
}
"""Codes that no operation documents as its own, each with the reason."""


def documented() -> set[str]:
    paths: dict[str, Any] = DOCUMENT["paths"]
    return {
        code
        for methods in paths.values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for code in answer.get(CODES_KEY, ())
    }


def test_every_code_is_some_operations_own_or_listed() -> None:
    found = documented()
    assert found <= set(CODES)
    assert set(CODES) - found == set(NOT_OF_ONE_OPERATION)


async def test_every_code_has_a_page(client: httpx.AsyncClient) -> None:
    for code, kind in CODES.items():
        answer = await client.get(f"/problems/{code}")
        assert answer.status_code == 200, code
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "max-age" in answer.headers["cache-control"]
        assert f"<code>{code}</code>" in answer.text
        assert f"<code>{kind.status}</code>" in answer.text
        assert "<p></p>" not in answer.text, code
        again = await client.get(f"/problems/{code}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        assert kind.__doc__, f"{code}: a person reads the docstring"


@for_each(sorted(CODES))
def test_every_error_is_a_problem(code: str) -> None:
    kind = CODES[code]
    answer = problem_response(kind())
    assert answer.media_type == MEDIA_TYPE
    body = orjson.loads(bytes(answer.body))
    assert answer.status_code == body["status"] == kind.status
    assert 400 <= kind.status < 600
    assert body["type"] == f"/problems/{code}"
    assert body["code"] == code
    assert body["title"] == kind.title
    assert body["error"] == body["detail"] == kind.explanation().split("\n", maxsplit=1)[0]
    assert body["detail"].endswith(".")
    assert code == code.lower().replace(" ", "_")


async def test_there_is_no_page_for_what_is_no_problem(client: httpx.AsyncClient) -> None:
    for code in ("nothing", "<script>", "%00", "..%2f"):
        answer = await client.get(f"/problems/{code}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(("status", "header"), [(401, "WWW-Authenticate"), (503, "Retry-After")])
def test_what_can_be_mended_or_waited_for_says_how(status: int, header: str) -> None:
    kinds = [kind for kind in CODES.values() if kind.status == status]
    assert len(kinds) > 2
    assert all(header in kind().headers for kind in kinds)
