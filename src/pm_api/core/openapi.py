"""The OpenAPI document: FastAPI's, plus what the framework cannot know: guards, problems and headers."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from pm_api.core.errors import ApiError
from pm_api.core.problem import MEDIA_TYPE, Problem

ERRORS_KEY: Final = "x-problems"
PROBLEM_REF: Final = {"$ref": "#/components/schemas/Problem"}
ALWAYS: Final = (429, 500)


def raises(*errors: type[ApiError]) -> dict[str, Any]:
    """`openapi_extra` of a route: the refusals that are its own."""
    return {ERRORS_KEY: [{"status": error.status, "code": error.code} for error in errors]}


def build_openapi(
    app: FastAPI, guard_statuses: dict[str, Iterable[int]], security: dict[str, list[Any]]
) -> dict[str, Any]:
    """The document. `guard_statuses` and `security` say per operation what its guard adds."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _inlined_problem()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "adminKey": {"type": "apiKey", "in": "header", "name": "x-admin-key"},
    }
    found = (context.original_route for context in iter_route_contexts(app.routes))
    routes = {route.operation_id: route for route in found if isinstance(route, APIRoute)}
    for path in document["paths"].values():
        for method, operation in path.items():
            identifier = operation["operationId"]
            route = routes.get(identifier)
            if route is not None:
                _complete(operation, route, method, set(guard_statuses.get(identifier, ())))
            if identifier in security:
                operation["security"] = security[identifier]
    return document


def _complete(operation: dict[str, Any], route: APIRoute, method: str, statuses: set[int]) -> None:
    own = operation.pop(ERRORS_KEY, [])
    codes: dict[int, set[str]] = {}
    for one in own:
        codes.setdefault(one["status"], set()).add(one["code"])
    statuses |= set(codes) | set(ALWAYS)
    takes_body = route.body_field is not None
    if takes_body:
        statuses |= {400, 413}
    if takes_body or operation.get("parameters"):
        statuses.add(422)
    if method == "post":
        _add_header(
            operation, "Idempotency-Key", "One text per intention; the same for its retries (1 to 255 characters)."
        )
        statuses |= {409, 422}
    responses = operation["responses"]
    for status in statuses:
        existing = responses.get(str(status))
        if existing is not None and status != 422 and "content" in existing:
            continue
        note = ", ".join(f"`{code}`" for code in sorted(codes.get(status, ())))
        responses[str(status)] = {
            "description": f"Problem: {note}" if note else "Problem",
            "content": {MEDIA_TYPE: {"schema": PROBLEM_REF}},
        }
    if method == "get" and any("ETag" in (answer.get("headers") or {}) for answer in responses.values()):
        responses["304"] = {"description": "You have this version already (`If-None-Match`)."}
        _add_header(operation, "If-None-Match", "ETag you have; 304 when it is still current.")


def _add_header(operation: dict[str, Any], name: str, description: str) -> None:
    parameters = operation.setdefault("parameters", [])
    if any(one["in"] == "header" and one["name"].lower() == name.lower() for one in parameters):
        return
    parameters.append(
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    )


def _inlined_problem() -> dict[str, Any]:
    schema = Problem.model_json_schema(by_alias=True, mode="serialization")
    detail = schema.pop("$defs")["ProblemDetail"]
    for option in schema["properties"]["details"]["anyOf"]:
        if option.get("type") == "array":
            option["items"] = detail
    return schema


ETAG_HEADER: Final[dict[str, Any]] = {
    "headers": {"ETag": {"description": "The resource's version.", "schema": {"type": "string"}}}
}
