"""The OpenAPI document: FastAPI's, plus what the framework cannot know: guards, problems and headers."""

import asyncio
import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from pm_api.core.errors import (
    ApiError,
    BadRequest,
    InternalError,
    MalformedBody,
    PayloadTooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from pm_api.core.http import content_tag
from pm_api.core.problem import MEDIA_TYPE, Problem, problem_body
from pm_api.core.schema import ApiModel

ERRORS_KEY: Final = "x-problems"
CODES_KEY: Final = "x-codes"
PROBLEM_REF: Final = {"$ref": "#/components/schemas/Problem"}
ALWAYS: Final = (TooManyRequests, InternalError, Unavailable)
WITH_BODY: Final = (BadRequest, MalformedBody, PayloadTooLarge, UnsupportedMediaType, ValidationFailed)
NULL: Final = "x-null"
"""Stands for null in an example: the framework leaves nulls out of the document, even out of examples."""
EVENT_STREAM: Final = "text/event-stream"
CACHED: Final = "public, max-age=300"
HEADERS: Final[dict[str, dict[str, str]]] = {
    "ETag": {"type": "string", "description": "Version of the resource, for `If-Match` and `If-None-Match`."},
    "Location": {"type": "string", "description": "Address of what was created."},
    "Retry-After": {"type": "integer", "description": "Seconds after which to try again."},
    "RateLimit": {"type": "string", "description": "What is left of the limit, and until when."},
    "RateLimit-Policy": {"type": "string", "description": "The limit that was met."},
    "WWW-Authenticate": {"type": "string", "description": "How to prove who you are."},
    "Idempotent-Replayed": {"type": "string", "description": "`true` when this answer was stored before."},
}
HEADERS_OF_STATUS: Final = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}


@dataclass
class Addition:
    """What an operation's guard and route class add to it."""

    problems: list[type[ApiError]] = field(default_factory=list)
    security: list[dict[str, list[str]]] = field(default_factory=list)
    keeps_key: bool = False


def answers_with(*headers: str) -> dict[str, Any]:
    """One entry of a route's `responses`: the headers of its answer."""
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers}}


ETAG_HEADER: Final = answers_with("ETag")


def raises(*errors: type[ApiError]) -> dict[str, Any]:
    """`openapi_extra` of a route: the refusals that are its own."""
    return {ERRORS_KEY: [{"status": error.status, "code": error.code} for error in errors]}


def build_openapi(app: FastAPI, additions: Mapping[str, Addition]) -> dict[str, Any]:
    """The document; `additions` by operation."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _inlined_problem()
    for unused in ("HTTPValidationError", "ValidationError", "ProblemDetail"):
        schemas.pop(unused, None)
    for schema in schemas.values():
        for name, shown in schema.get("properties", {}).items():
            shown.pop("title", None)  # made from the name, and less readable than it
            _name_only_choice(name, shown)
    _require_what_is_always_there(schemas)
    components["headers"] = {
        name: {"description": told["description"], "schema": {"type": told["type"]}} for name, told in HEADERS.items()
    }
    components["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token, or an API key (`pm_live_…`) where the operation takes one.",
        },
        "adminKey": {"type": "apiKey", "in": "header", "name": "x-admin-key"},
    }
    told: set[str] = set()
    for path in document["paths"].values():
        for method, operation in path.items():
            _complete(operation, method, additions.get(operation["operationId"], Addition()))
            told.update(code for answer in operation["responses"].values() for code in answer.get(CODES_KEY, ()))
    _write_nulls(document)
    components["examples"] = {code: problem_example(code) for code in sorted(told)}
    return document


class WrittenDocument:
    """The document as it goes out: seconds of work and megabytes, so it is written once, by whoever asks first, in
    a thread, because everybody else's requests are answered meanwhile.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._writing = asyncio.Lock()
        self._written: tuple[bytes, bytes, str] | None = None

    async def answer(self, request: Request) -> Response:
        async with self._writing:
            if self._written is None:
                self._written = await asyncio.to_thread(self._write)
        plain, packed, tag = self._written
        headers = {"Cache-Control": CACHED, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(plain, headers={**headers, "ETag": f'"{tag}"'}, media_type="application/json")
        # Other bytes are another representation, with a tag of its own (RFC 9110 §8.8.3.3).
        headers |= {"Content-Encoding": "gzip", "ETag": f'"{tag}-gzip"'}
        return Response(packed, headers=headers, media_type="application/json")

    def _write(self) -> tuple[bytes, bytes, str]:
        plain = orjson.dumps(self._app.openapi())
        return plain, gzip.compress(plain, mtime=0), content_tag(plain.decode()).strip('"')


def _require_what_is_always_there(schemas: dict[str, Any]) -> None:
    """An answer has all of its fields, those too that its makers need not fill in: who generates a client from the
    document must not have to ask whether a field is there.
    """
    ahead = [ApiModel]
    while ahead:
        for model in ahead.pop().__subclasses__():
            ahead.append(model)
            shown = schemas.get(model.__name__, {})
            if "properties" in shown:
                fields = model.model_fields.items()
                shown["required"] = [one.alias or name for name, one in fields if one.exclude_if is None]


def _name_only_choice(name: str, shown: dict[str, Any]) -> None:
    """Of several things a value may be, the one that has a shape but no name gets a title: generators of clients
    number what has none (`OrderType0`).
    """
    shapes = [one for one in shown.get("anyOf", ()) if "enum" in one or one.get("type") == "object"]
    if len(shapes) == 1:
        shapes[0].setdefault("title", f"{name[0].upper()}{name[1:]}")


def _write_nulls(node: Any) -> None:
    if isinstance(node, dict | list):
        for place, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if value == NULL:
                node[place] = None
            else:
                _write_nulls(value)


def problem_example(code: str) -> dict[str, Any]:
    """What a refusal looks like, for the document: under each status stand those of its own codes."""
    error = ApiError.registry[code]
    details = (
        [{"pointer": "/amount", "detail": "Input should be greater than 0"}] if error is ValidationFailed else None
    )
    body = orjson.loads(problem_body(error(details=details), "0198c0de-0000-7000-8000-000000000000"))
    return {"summary": error.title, "value": body}


def _complete(operation: dict[str, Any], method: str, addition: Addition) -> None:
    responses = operation["responses"]
    _add_problems(operation, addition)
    for shown in operation.get("parameters", ()):
        shown["schema"].pop("title", None)
        _name_only_choice(shown["name"], shown["schema"])
    if method == "get" and any("ETag" in answer.get("headers", {}) for answer in responses.values()):
        _add_header(operation, "If-None-Match", "ETag you have; 304 when it is still current.")
        responses["304"] = {
            "description": "You have this version already (`If-None-Match`).",
            **answers_with("ETag"),
        }
    if addition.keeps_key:
        _add_header(operation, "Idempotency-Key", "One text per intention, the same for its retries.", max_length=255)
        for status, answer in responses.items():
            if status.startswith("2"):
                answer["headers"] = answer.get("headers", {}) | answers_with("Idempotent-Replayed")["headers"]
    for answer in responses.values():
        if EVENT_STREAM in answer.get("content", {}):
            # What FastAPI writes here (`itemSchema`) is a word of OpenAPI 3.2.
            answer["content"][EVENT_STREAM] = {"schema": {"type": "string"}}
    if addition.security:
        operation["security"] = addition.security


def _add_problems(operation: dict[str, Any], addition: Addition) -> None:
    own: Iterable[dict[str, Any]] = operation.pop(ERRORS_KEY, ())
    codes: dict[int, set[str]] = {}
    for one in own:
        codes.setdefault(one["status"], set()).add(one["code"])
    takes_body = "requestBody" in operation
    general = [*addition.problems, *ALWAYS, *(WITH_BODY if takes_body else ())]
    if operation.get("parameters"):
        general.append(ValidationFailed)
    for error in general:
        codes.setdefault(error.status, set()).add(error.code)
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own shape
    for status in sorted(codes):
        content: dict[str, Any] = responses.get(str(status), {}).get("content", {})
        responses[str(status)] = {
            "description": ", ".join(f"`{code}`" for code in sorted(codes[status])),
            "content": {**content, MEDIA_TYPE: {"schema": PROBLEM_REF, "examples": _examples(codes[status])}},
            CODES_KEY: sorted(codes[status]),
            **(answers_with(*HEADERS_OF_STATUS[status]) if status in HEADERS_OF_STATUS else {}),
        }


def _examples(codes: Iterable[str]) -> dict[str, Any]:
    return {code: {"$ref": f"#/components/examples/{code}"} for code in sorted(codes)}


def _add_header(operation: dict[str, Any], name: str, description: str, max_length: int | None = None) -> None:
    limits = {"minLength": 1, "maxLength": max_length} if max_length else {}
    parameters = operation.setdefault("parameters", [])
    if any(one["name"] == name for one in parameters):
        return  # the route reads it itself, and says what for; twice it may not stand there
    parameters.append(
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string", **limits},
        }
    )


def _inlined_problem() -> dict[str, Any]:
    schema = Problem.model_json_schema(by_alias=True, mode="serialization")
    detail = schema.pop("$defs")["ProblemDetail"]
    for option in schema["properties"]["details"]["anyOf"]:
        if option.get("type") == "array":
            option["items"] = detail
    return schema
