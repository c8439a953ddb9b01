"""The OpenAPI document: complete, readable, and the one that is committed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema_rs
import pytest
import schemathesis
from pydantic import BaseModel

from pm_api.app import api_routes, create_app
from pm_api.core.openapi import CODES_KEY, PROBLEM_REF
from pm_api.core.problem import MEDIA_TYPE
from pm_api.core.settings import Settings
from pm_api.domains.ai_credits.lines import GRANTING, TAKING
from pm_api.routers import KEY_EXEMPT, PUBLIC
from tests.contract.document import DOCUMENT
from tests.support.each import for_each


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a body, that of one which may be left out too."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


VERSIONS_IN_BODY: Final = {"bulkEditEvents"}
"""They write many things at once, and say of each by its own `version` what they go by."""
VERSIONS_OF_A_PROTOCOL: Final = {"createTusUpload", "getTusUpload", "updateTusUpload", "deleteTusUpload"}
"""412 is said of the version of tus, in `Tus-Resumable`."""
COMMITTED: Final = Path(__file__).parents[2] / "openapi.json"
OPERATIONS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
SCHEMAS: Final[dict[str, Any]] = DOCUMENT["components"]["schemas"]
NAMES_OF_SCHEMAS: Final = re.compile(r"^([A-Z][a-z]+)+$")
NAMES_ON_THE_WIRE: Final = re.compile(r"^[a-z]+([A-Z][a-z]*|[0-9]+)*$")

BODIES: Final[dict[str, type[BaseModel]]] = {
    route.operation_id or "": model
    for route in api_routes(create_app(Settings(database_url="postgresql://nowhere/none")))
    for body in route.dependant.body_params
    if (model := model_of(body.field_info.annotation)) is not None
}
REQUESTS_OF_CREDITS: Final = sorted(
    name
    for name, (_, _, operation) in OPERATIONS.items()
    if operation["tags"] == ["ai credits"] and "requestBody" in operation
)

SHOWN_TYPES: Final = {
    "spendCredits": "USAGE",
    "grantCredits": "ADMIN_ADJUSTMENT",
    "adjustCredits": "ADMIN_ADJUSTMENT",
    "refundCredits": "REVERSAL",
    "voidGrant": "VOID",
    "approveRefund": "REVERSAL",
}
"""What kind of line each operation writes, and so shows."""

SAMPLES: Final = {
    "uuid": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "date-time": "2026-11-14T09:30:00Z",
    "date": "2026-11-14",
    "integer": 0,
    "number": 0.0,
    "boolean": True,
    "object": {},
}
"""What the page fills in where there is no example."""

every_operation = for_each(sorted(OPERATIONS))


def properties() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for schema_name, schema in SCHEMAS.items():
        for name, shown in schema.get("properties", {}).items():
            yield schema_name, name, shown


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to, with what stands beside it."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{name: value for name, value in node.items() if name != "$ref"}}


def sample(schema: dict[str, Any]) -> Any:
    """What the page at /docs fills in for somebody to try out: the first example, else one made of its parts."""
    schema = resolved(schema)
    given = [*schema.get("examples", ()), *schema.get("enum", ())]
    given += [schema[name] for name in ("const", "default", "example") if name in schema]
    if given:
        return given[0]
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return sample(schema[name][0])
    if "properties" in schema:
        return {name: sample(shown) for name, shown in schema["properties"].items()}
    if schema.get("type") == "array":
        return [sample(schema["items"])]
    return SAMPLES.get(schema.get("format", schema.get("type", "")), "string")


def validator(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}, validate_formats=True)


def entries(node: Any) -> Iterator[dict[str, Any]]:
    """Every line of a book in an example."""
    if isinstance(node, dict):
        if {"type", "amount", "balanceAfter"} <= set(node):
            yield node
        for value in node.values():
            yield from entries(value)
    elif isinstance(node, list):
        for value in node:
            yield from entries(value)


def takes_input(operation: dict[str, Any]) -> bool:
    return "requestBody" in operation or any(
        one["name"] not in ("If-None-Match", "Idempotency-Key") for one in operation.get("parameters", ())
    )


def test_the_committed_document_is_what_the_code_says() -> None:
    assert json.loads(COMMITTED.read_text("utf-8")) == json.loads(json.dumps(DOCUMENT)), "run `make openapi`"


def test_it_is_a_valid_openapi_3_1_document() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    used = set(references(DOCUMENT))
    known = {f"#/components/{kind}/{name}" for kind, parts in DOCUMENT["components"].items() for name in parts}
    assert used <= known
    unused = {one for one in known - used if not one.startswith("#/components/securitySchemes/")}
    assert unused == set()


@every_operation
def test_every_operation_is_told(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    assert operation["summary"].strip()
    assert operation["description"].strip().endswith(".")
    assert len(operation["tags"]) == 1
    assert NAMES_ON_THE_WIRE.fullmatch(name)


@every_operation
def test_every_parameter_is_told(name: str) -> None:
    _, path, operation = OPERATIONS[name]
    parameters = operation.get("parameters", [])
    assert all(one.get("description") for one in parameters), [one["name"] for one in parameters]
    assert set(re.findall(r"{(\w+)}", path)) == {one["name"] for one in parameters if one["in"] == "path"}
    for one in parameters:
        if one["in"] == "query":
            assert NAMES_ON_THE_WIRE.fullmatch(one["name"])
        if one["in"] == "header":
            assert one["name"] == "Range" or re.fullmatch(r"([A-Z][a-zA-Z]*)(-[A-Z][a-zA-Z]*)+", one["name"])


def test_every_field_is_told() -> None:
    """In its own words: what a thing is says not yet what it is here."""
    assert [f"{schema}.{name}" for schema, name, shown in properties() if not shown.get("description")] == []


@pytest.mark.parametrize("name", REQUESTS_OF_CREDITS)
def test_what_is_tried_out_is_a_good_request(name: str) -> None:
    """Every example of a credit route's body, and first of all the one that the page fills in."""
    schema = OPERATIONS[name][2]["requestBody"]["content"]["application/json"]["schema"]
    schema = next((one for one in schema.get("anyOf", ()) if "$ref" in one), schema)  # a body one may leave out
    model = BODIES[name]
    shown = [sample(schema), *resolved(schema).get("examples", ())]
    for body in shown:
        assert isinstance(body, dict)
        assert [error.message for error in validator(schema).iter_errors(body)] == []
        model.model_validate_json(json.dumps(body))
        assert "workspaceId" not in body or "workspaceId" in resolved(schema).get("required", ()), "made up"
    if "idempotencyKey" in resolved(schema)["properties"]:
        assert shown[0]["idempotencyKey"], "without a key the first try is refused"


def test_examples_are_of_their_own_schema() -> None:
    wrong = [
        (name, [error.message for error in found])
        for name, schema in SCHEMAS.items()
        for one in schema.get("examples", ())
        if (found := list(validator({"$ref": f"#/components/schemas/{name}"}).iter_errors(one)))
    ]
    assert wrong == []


@every_operation
def test_answers_shown_are_true_to_themselves(name: str) -> None:
    """What brings credits shows more than nothing, what takes them less; what is shown is as the schema says."""
    for status, answer in OPERATIONS[name][2]["responses"].items():
        told = answer.get("content", {}).get("application/json", {})
        if status[0] != "2" or "schema" not in told:
            continue
        shown = told.get("example", sample(told["schema"]))
        if "example" in told:
            assert [error.message for error in validator(told["schema"]).iter_errors(shown)] == []
        for entry in entries(shown):
            if entry["type"] in TAKING:
                assert entry["amount"] < 0, entry
            elif entry["type"] in GRANTING or entry["type"] == "REVERSAL":
                assert entry["amount"] > 0, entry
            assert (entry["service"] is not None) >= (entry["quantity"] is not None), entry
        if name in SHOWN_TYPES:
            assert shown["entry"]["type"] == SHOWN_TYPES[name]
            assert shown["balance"]["current"] == shown["entry"]["balanceAfter"]


def test_names_are_readable() -> None:
    assert [name for name in SCHEMAS if not NAMES_OF_SCHEMAS.fullmatch(name)] == []
    assert [f"{schema}.{name}" for schema, name, _ in properties() if not NAMES_ON_THE_WIRE.fullmatch(name)] == []
    assert [f"{schema}.{name}" for schema, name, shown in properties() if "title" in shown] == []


def test_requests_refuse_what_they_do_not_know_and_answers_may_grow() -> None:
    bodies = {
        one.rsplit("/", 1)[-1]
        for _, _, operation in OPERATIONS.values()
        for one in references(operation.get("requestBody"))
    }
    while (
        inner := {one.rsplit("/", 1)[-1] for name in bodies for one in references(SCHEMAS[name].get("properties"))}
        - bodies
    ):
        bodies |= inner
    bodies = {name for name in bodies if "properties" in SCHEMAS[name]}
    assert len(bodies) > 8
    closed = {name for name, schema in SCHEMAS.items() if schema.get("additionalProperties") is False}
    assert closed == bodies


@every_operation
def test_every_refusal_is_a_problem(name: str) -> None:
    method, _, operation = OPERATIONS[name]
    responses = operation["responses"]
    statuses = set(responses)
    for status, answer in responses.items():
        if status[0] in "45" and CODES_KEY in answer:
            assert answer["content"][MEDIA_TYPE]["schema"] == PROBLEM_REF
            assert set(answer["content"][MEDIA_TYPE]["examples"]) == set(answer[CODES_KEY])
            for one in answer["content"][MEDIA_TYPE]["examples"].values():
                body = resolved(one)["value"]
                assert (str(body["status"]), body["type"]) == (status, f"/problems/{body['code']}")
                assert body["code"] in answer[CODES_KEY]
            assert all(f"`{code}`" in answer["description"] for code in answer[CODES_KEY])
        elif status[0] in "45":
            assert (name, status) == ("getReadiness", "503")
    assert {"429", "500"} <= statuses
    assert ("401" in statuses) >= (name not in PUBLIC)
    assert ("422" in statuses) == (takes_input(operation) or name_keeps_key(name))
    assert ({"400", "413"} <= statuses) == ("requestBody" in operation)
    assert any(status[0] == "2" for status in statuses)
    if method == "get":
        assert "201" not in statuses


def name_keeps_key(name: str) -> bool:
    return OPERATIONS[name][0] == "post" and name not in KEY_EXEMPT


@every_operation
def test_every_operation_says_how_one_gets_in(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    if name in PUBLIC:
        assert "security" not in operation
        return
    ways = [next(iter(way)) for way in operation["security"]]
    assert ways in (["bearer"], ["bearer", "adminKey"])
    assert set(ways) <= set(DOCUMENT["components"]["securitySchemes"])
    assert ("/admin/" in OPERATIONS[name][1]) <= ("adminKey" in ways)


@every_operation
def test_headers_of_requests_and_answers_are_told(name: str) -> None:
    method, _, operation = OPERATIONS[name]
    sent = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
    responses = operation["responses"]
    assert "Retry-After" in responses["429"]["headers"]
    if "401" in responses:
        assert "WWW-Authenticate" in responses["401"]["headers"]
    if "201" in responses:
        assert "Location" in responses["201"]["headers"]
    if method == "post":
        keeps = name_keeps_key(name)
        kept_elsewhere = KEY_EXEMPT.get(name, "").startswith(("the ledger's own", "the flow's own", "the file's own"))
        assert ("Idempotency-Key" in sent) == (keeps or kept_elsewhere)
        assert keeps <= any("Idempotent-Replayed" in one.get("headers", {}) for one in responses.values())
    if method == "get":
        has_tag = "ETag" in responses["200"].get("headers", {})
        assert has_tag == ("304" in responses) == ("If-None-Match" in sent)
    if "412" in responses and name not in VERSIONS_IN_BODY | VERSIONS_OF_A_PROTOCOL:
        assert "If-Match" in sent
    assert ("If-Match" in sent) <= ("412" in responses)


def test_events_are_a_stream_of_text() -> None:
    assert OPERATIONS["openStream"][2]["responses"]["200"]["content"] == {
        "text/event-stream": {"schema": {"type": "string"}}
    }


def test_nothing_of_the_framework_shows_through() -> None:
    text = json.dumps(DOCUMENT)
    assert "HTTPValidationError" not in text
    assert "x-problems" not in text
    assert '"schema": {}' not in text, "an answer of which nothing is said: what has no content says `response_class`"
