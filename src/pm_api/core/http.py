"""HTTP manners shared by all routes: request context, security headers, ETags, created answers."""

import hashlib
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import structlog
from anyio import BrokenResourceError
from fastapi import Header, Request, Response
from starlette.datastructures import Headers, MutableHeaders, State
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pm_api.core import acting, telemetry
from pm_api.core.errors import ApiError, PayloadTooLarge, PreconditionFailed, Unprocessable
from pm_api.core.ids import Randomness
from pm_api.core.problem import failure_problem, problem_response
from pm_api.core.ratelimit import Policy, RateLimiter, Standing, client_address

REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
VERSION_TAG = re.compile(r"([0-9]{1,18})(?:-[A-Z]+)?")
SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
)
PERSONAL = "private, no-store"
EMPTY: Mapping[str, int] = MappingProxyType({})
UNMETERED = ("/healthz", "/readyz", "/metrics")

_log = structlog.get_logger("pm_api.http")

_LETTERS = str.maketrans("0123456789abcdef", "ABCDEFGHIJKLMNOP", '"')

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class InvalidIfMatch(Unprocessable):
    """`If-Match` takes the ETag of the resource exactly as it was given, or `*`."""

    code = "invalid_if_match"


def entity_tag(version: int, variant: str = "") -> str:
    """Of a version; `variant` tells apart how different readers see it, and does not count in `If-Match`."""
    return f'"{version}-{variant}"' if variant else f'"{version}"'


def content_tag(content: str) -> str:
    """The tag of an answer that has no version: a digest of what it says."""
    return f'"{hashlib.blake2b(content.encode(), digest_size=12).hexdigest()}"'


def sight_tag(version: int, content: str) -> str:
    """Of a version and of what else an answer says: counts of what hangs on a thing and what its reader may do change
    without it, and 304 must not be said of an older sight. `If-Match` goes by the version alone.
    """
    return entity_tag(version, content_tag(content).translate(_LETTERS))


async def if_match(
    if_match: Annotated[
        str | None, Header(alias="If-Match", description="ETag you read; 412 when it is stale.")
    ] = None,
) -> int | None:
    """The version the caller believes in, or None when any will do (RFC 9110 §13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = VERSION_TAG.fullmatch(if_match.strip().removeprefix("W/").strip('"'))
    if found is None:
        raise InvalidIfMatch
    return int(found[1])


def check_version(current: int, expected: int | None) -> None:
    """Raises PreconditionFailed when the caller read an older version."""
    if expected is not None and expected != current:
        raise PreconditionFailed(f"The resource is at version {current}, not {expected}.")


def conditional(handler: Handler) -> Handler:
    """304 for a GET whose ETag the caller already has (RFC 9110 §13.1.2)."""

    async def handle(request: Request) -> Response:
        response = await handler(request)
        tag = response.headers.get("etag")
        wanted = request.headers.get("if-none-match")
        if tag and wanted and response.status_code == 200:
            known = {one.strip().removeprefix("W/") for one in wanted.split(",")}
            if "*" in known or tag in known:
                kept = {
                    name: response.headers[name] for name in ("etag", "cache-control") if name in response.headers
                }
                return Response(status_code=304, headers=kept)
        return response

    return handle


def _is_of_leaving(error: Exception) -> bool:
    """Whether an answer broke off because nobody reads it any more. FastAPI's streams say so by an exception when
    they are in the middle of handing on an event.
    """
    if isinstance(error, ExceptionGroup):
        return all(_is_of_leaving(one) for one in error.exceptions)
    return isinstance(error, BrokenResourceError)


def _announced_bytes(scope: Scope) -> int:
    announced = Headers(scope=scope).get("content-length", "")
    return int(announced) if announced.isdecimal() and len(announced) < 19 else 0


def limited(receive: Receive, max_body_bytes: int) -> Receive:
    """A body that was not announced is counted as it comes; FastAPI's own limit answers in plain text."""
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_body_bytes:
            raise HTTPException(413)  # the one kind of error that FastAPI lets through while it reads a body
        return message

    return receive_counted


def _shown_path(scope: Scope) -> str:
    """The path as the log may show it; where a token stands in it, the route's own."""
    template: str = getattr(scope.get("route"), "path", "")
    return template if "{token}" in template else telemetry.shown_path(scope["path"])


class RequestContextMiddleware:
    """Outermost of ours: request id, address and body limits, security headers, 500 as a problem, one log line.

    `file_bytes` names addresses that take a file, each with the most of it; `*` in one stands for a part of the path.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        randomness: Randomness,
        limiter: RateLimiter,
        policy: Policy,
        max_body_bytes: int,
        hsts: bool,
        file_bytes: Mapping[str, int] = EMPTY,
    ) -> None:
        self._app = app
        self._randomness = randomness
        self._limiter = limiter
        self._policy = policy
        self._max_body_bytes = max_body_bytes
        self._file_bytes = {address: most for address, most in file_bytes.items() if "*" not in address}
        self._file_patterns = [
            (re.compile(re.escape(address).replace(r"\*", "[^/]+")), most)
            for address, most in file_bytes.items()
            if "*" in address
        ]
        self._security_headers = [
            *SECURITY_HEADERS,
            *([("Strict-Transport-Security", "max-age=63072000; includeSubDomains")] if hsts else []),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.match(given) else self._randomness.uuid().hex
        telemetry.set_request_id(request_id)
        acting.with_key(None)
        state = scope.setdefault("state", {})
        began = answered = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = time.perf_counter()
                self._add_headers(MutableHeaders(scope=message), request_id, state, is_empty=status == 204)
            await send(message)

        try:
            await self._serve(scope, receive, send_with_headers)
        except Exception as error:
            if status and _is_of_leaving(error):
                _log.info("client_left", method=scope["method"], path=_shown_path(scope))
                return
            _log.exception("request_failed", method=scope["method"], path=_shown_path(scope))
            if status:
                raise
            await problem_response(failure_problem(error))(scope, receive, send_with_headers)
        finally:
            # To the answer's start: a stream's length is not how long it took to answer.
            self._record(scope, status or 499, (answered if status else time.perf_counter()) - began)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in UNMETERED:
            connection = HTTPConnection(scope)
            try:
                await self._limiter.hit_request(connection, self._policy, client_address(connection))
            except ApiError as error:
                await problem_response(error)(scope, receive, send)
                return
        most = max(self._max_body_bytes, self._most_of_file(scope["path"]))
        if _announced_bytes(scope) > most:
            await problem_response(PayloadTooLarge())(scope, receive, send)
            return
        await self._app(scope, limited(receive, most), send)

    def _most_of_file(self, path: str) -> int:
        exact = self._file_bytes.get(path)
        if exact is not None:
            return exact
        return next((most for pattern, most in self._file_patterns if pattern.fullmatch(path)), 0)

    def _add_headers(
        self, headers: MutableHeaders, request_id: str, state: dict[str, Any] | State, *, is_empty: bool
    ) -> None:
        headers["X-Request-ID"] = request_id
        if is_empty:
            del headers["Content-Type"]  # the framework names the type of a body that is not there
        for name, value in self._security_headers:
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", PERSONAL)
        standing = state.get("rate_limit") if isinstance(state, dict) else getattr(state, "rate_limit", None)
        if isinstance(standing, Standing) and "RateLimit" not in headers:
            headers.update(standing.headers())

    @staticmethod
    def _record(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"]
        telemetry.HTTP_REQUESTS.labels(method, route, status).inc()
        telemetry.HTTP_SECONDS.labels(method, route).observe(seconds)
        if scope["path"] not in UNMETERED:
            _log.info(
                "request",
                method=method,
                path=_shown_path(scope),
                status=status,
                ms=round(seconds * 1000, 2),
            )
