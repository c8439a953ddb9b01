"""Errors to `application/problem+json` (RFC 9457), for every status, in one place."""

import html
from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from pm_api.core import telemetry
from pm_api.core.db import database_unreachable
from pm_api.core.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unprocessable,
    UnsupportedMediaType,
    ValidationFailed,
)
from pm_api.core.schema import ApiModel

MEDIA_TYPE = "application/problem+json"
ID_PROBLEMS = ("uuid_parsing", "uuid_type", "uuid_version")

_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: Unprocessable,
    429: TooManyRequests,
}

_log = structlog.get_logger(__name__)


class ProblemDetail(ApiModel):
    pointer: str = Field(description="JSON pointer (RFC 6901) to the wrong field.", examples=["/amount"])
    detail: str = Field(description="What is wrong with it.", examples=["Input should be greater than 0"])


class Problem(ApiModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Address of a page that explains it.", examples=["/problems/not_found"])
    title: str = Field(description="Short name of the kind of problem.", examples=["Not found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened this time.")
    instance: str = Field(description="The request id, for support.")
    code: str = Field(description="Stable code for programs.", examples=["not_found"])
    error: str = Field(description="Short text for people.")
    details: list[ProblemDetail] | None = Field(
        None, exclude_if=lambda details: details is None, description="The wrong fields, for validation."
    )


def problem_body(error: ApiError, request_id: str) -> bytes:
    body: dict[str, Any] = {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": request_id,
        "code": error.code,
        "error": error.detail,
    }
    if error.details is not None:
        body["details"] = error.details
    body.update(error.extra)
    return orjson.dumps(body, default=str)


def problem_response(error: ApiError) -> Response:
    return Response(
        problem_body(error, telemetry.request_id()),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers=error.headers,
    )


def failure_problem(error: Exception) -> ApiError:
    """What the caller is told of an exception that is none of ours."""
    return Unavailable("The database cannot be reached.") if database_unreachable(error) else InternalError()


def validation_problem(errors: Sequence[Any]) -> ApiError:
    """pydantic's error list as one of our errors. The rejected input itself is never echoed."""
    if any(one["type"] == "json_invalid" for one in errors):
        return MalformedBody()
    if any(one["loc"][:1] == ("path",) and one["type"] in ID_PROBLEMS for one in errors):
        return NotFound()  # what is no id is nothing's id
    details = [
        {"pointer": _pointer(one["loc"]), "detail": one["msg"].removeprefix("Value error, ")} for one in errors
    ]
    first = details[0]
    return ValidationFailed(f"{first['pointer'] or 'The body'}: {first['detail']}", details=details[:100])


def _pointer(location: Sequence[str | int]) -> str:
    if location and location[0] == "path":  # named as in the code where the address names it otherwise
        return "".join(f"/{to_camel(str(part))}" for part in location[1:])
    parts = location[1:] if location and location[0] in ("body", "query", "header") else location
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _methods_at(request: Request) -> list[str]:
    """All that may be asked of an address: the framework names those of its first route alone, and 405 has to name
    every one (RFC 9110 §15.5.6).
    """
    routes = (context.original_route for context in iter_route_contexts(request.app.routes))
    here = (one for one in routes if isinstance(one, Route) and one.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in here for method in route.methods or ()})


def install_error_handlers(app: FastAPI) -> None:
    async def handle_api_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return problem_response(error)

    async def handle_validation(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if isinstance(error.body, bytes):  # FastAPI did not read it, for it was not announced as JSON
            return problem_response(UnsupportedMediaType())
        return problem_response(validation_problem(error.errors()))

    async def handle_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = _BY_STATUS.get(error.status_code, InternalError)
        answer = kind()
        answer.headers |= dict(error.headers or {})
        if kind is MethodNotAllowed:
            answer.headers["Allow"] = ", ".join(_methods_at(request)) or "GET, HEAD"  # the latter of files of our own
        return problem_response(answer)

    app.add_exception_handler(ApiError, handle_api_error)
    app.add_exception_handler(RequestValidationError, handle_validation)
    app.add_exception_handler(HTTPException, handle_http)


def problem_page(code: str) -> str | None:
    """A page for a person about one code, or None when there is no such problem."""
    kind = ApiError.registry.get(code)
    if kind is None:
        return None
    title, _, rest = kind.explanation().partition("\n")
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(kind.title)}</title>"
        "<style>body{font:16px/1.5 system-ui;max-width:42rem;margin:4rem auto;padding:0 1rem}"
        "code{background:#8882;padding:.1em .3em;border-radius:.2em}:root{color-scheme:light dark}</style>"
        f"<h1>{html.escape(kind.title)}</h1><p>HTTP status <code>{kind.status}</code>,"
        f" code <code>{html.escape(kind.code)}</code></p>"
        + "".join(f"<p>{html.escape(part.strip())}</p>" for part in (title, *rest.split("\n\n")) if part.strip())
    )
