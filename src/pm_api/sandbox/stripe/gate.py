"""The one door of `/v1`: request log, key, version, idempotency, faults; then the route, in one transaction."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from pm_api.sandbox.stripe.errors import (
    ApiError,
    InvalidParameter,
    KeyInUse,
    KeyReused,
    Unauthenticated,
    UnknownRoute,
)
from pm_api.sandbox.stripe.expansion import expand
from pm_api.sandbox.stripe.faults import Fault, take_fault
from pm_api.sandbox.stripe.objects.common import API_VERSION, Json, new_id
from pm_api.sandbox.stripe.params import Params, decode_form
from pm_api.sandbox.stripe.wire import ApiCall, ApiRoute, Handler
from pm_api.sandbox.stripe.world import Origin, Sandbox

KEY_MEMORY_S = 24 * 60 * 60
KEY_LENGTH_LIMIT = 255
BODY_LIMIT_BYTES = 1_000_000
VERSION_PATTERN = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


class Gate:
    """Answers every request under `/v1`; its routes are the only thing that grows."""

    def __init__(self, sandbox: Sandbox, routes: Sequence[ApiRoute]) -> None:
        self._sandbox = sandbox
        self._store = sandbox.store
        self._routes = routes

    async def answer(self, request: Request) -> Response:
        request_id = new_id("req")
        key = request.headers.get("Idempotency-Key")
        version = request.headers.get("Stripe-Version", API_VERSION)
        text = (await request.body()).decode("utf-8", "replace")
        self._log(request, text, request_id, key, version)
        try:
            answer = await self._admit(request, text, Origin(request_id, key), version)
        except ApiError as error:
            answer = _refusal(error)
        headers = {"Request-Id": request_id, "Stripe-Version": version, "Cache-Control": "no-cache, no-store"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return Response(answer.body, answer.status, {**headers, **answer.headers}, media_type="application/json")

    def _log(self, request: Request, text: str, request_id: str, key: str | None, version: str) -> None:
        self._store.log_request(
            {
                "at": self._sandbox.now(),
                "requestId": request_id,
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "body": text,
                "idempotencyKey": key,
                "apiVersion": version,
            }
        )

    async def _admit(self, request: Request, text: str, origin: Origin, version: str) -> Answer:
        _authenticate(request.headers.get("Authorization"), self._sandbox.secret_key)
        if VERSION_PATTERN.fullmatch(version) is None:
            raise InvalidParameter(f"Invalid Stripe API version: {version}")
        if len(text) > BODY_LIMIT_BYTES:
            raise InvalidParameter("Request body too large.")
        method, path = request.method, request.url.path
        handler, values = self._find(method, path)
        encoded = text if method == "POST" else request.url.query
        call = ApiCall(
            sandbox=self._sandbox,
            path=path,
            values=values,
            params=Params(decode_form(encoded)),
            origin=origin,
            base_url=str(request.base_url),
        )
        if method != "POST" or origin.idempotency_key is None:
            return await self._perform(method, call, handler, key=None)
        replay = self._claim(origin.idempotency_key, path, encoded, origin)
        if replay is not None:
            return replay
        try:
            return await self._perform(method, call, handler, key=origin.idempotency_key)
        except BaseException:
            self._store.forget_key(origin.idempotency_key)
            raise

    def _find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        for route in self._routes:
            values = route.match(method, path)
            if values is not None:
                return route.handler, values
        raise UnknownRoute(method, path)

    def _claim(self, key: str, path: str, encoded: str, origin: Origin) -> Answer | None:
        """The remembered answer, or None after the key was taken for this request."""
        if len(key) > KEY_LENGTH_LIMIT:
            raise InvalidParameter(f"Idempotency keys can be up to {KEY_LENGTH_LIMIT} characters long.")
        self._store.forget_keys_before(self._sandbox.now() - KEY_MEMORY_S)
        fingerprint = hashlib.sha256("&".join(sorted(encoded.split("&"))).encode()).hexdigest()
        known = self._store.remembered(key)
        if known is None:
            self._store.claim_key(
                key,
                endpoint=path,
                fingerprint=fingerprint,
                created=self._sandbox.now(),
                request_id=origin.request_id or "",
            )
            return None
        if known.endpoint != path:
            raise KeyReused(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{known.endpoint}' vs '{path}'). Try using a key other than '{key}' if you meant to execute "
                "a different request."
            )
        if known.fingerprint != fingerprint:
            raise KeyReused(
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request."
            )
        if known.status is None or known.body is None:
            raise KeyInUse(key)
        headers = {"Idempotent-Replayed": "true", "Original-Request": known.request_id}
        if known.status >= 500:
            headers["Stripe-Should-Retry"] = "false"
        return Answer(known.status, known.body, headers)

    async def _perform(self, method: str, call: ApiCall, handler: Handler, *, key: str | None) -> Answer:
        fault = take_fault(self._store, method, call.path)
        if fault is None:
            return self._act(call, handler, key, fault)
        if fault.act_then_fail:
            answer = self._act(call, handler, key, fault)
            await asyncio.sleep(fault.delay_s)
            return answer
        await asyncio.sleep(fault.delay_s)
        return self._act(call, handler, key, fault)

    def _act(self, call: ApiCall, handler: Handler, key: str | None, fault: Fault | None) -> Answer:
        """The route's effect and the memory of its answer, together or not at all."""
        failure = fault.failure() if fault is not None else None
        try:
            if failure is not None and fault is not None and not fault.act_then_fail:
                raise failure
            with self._store.transaction():
                answer, remembered = self._answered(call, handler)
                if failure is not None:
                    answer, remembered = _refusal(failure), failure.remembered
                self._remember(key, answer, remembered=remembered)
        except ApiError as error:
            answer = _refusal(error)
            self._remember(key, answer, remembered=error.remembered)
        return answer

    def _answered(self, call: ApiCall, handler: Handler) -> tuple[Answer, bool]:
        """The answer and whether a key keeps it; a refusal that undoes the effect is raised."""
        try:
            body = expand(self._store, handler(call), call.params.texts("expand"))
        except ApiError as error:
            if not error.keeps_effects:
                raise
            return _refusal(error), error.remembered
        return Answer(200, _encoded(body)), True

    def _remember(self, key: str | None, answer: Answer, *, remembered: bool) -> None:
        if key is None:
            return
        if remembered:
            self._store.remember(key, status=answer.status, body=answer.body)
        else:
            self._store.forget_key(key)


def _encoded(body: Json) -> str:
    return json.dumps(body, indent=2)


def _refusal(error: ApiError) -> Answer:
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    if isinstance(error, KeyInUse):
        headers["Stripe-Should-Retry"] = "true"
    return Answer(error.status, _encoded(error.body()), headers)


def _authenticate(header: str | None, secret_key: str) -> None:
    """Bearer, or Basic with the key as the user name; raises `Unauthenticated`."""
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() == "bearer":
        given = credentials.strip()
    elif scheme.lower() == "basic":
        given = _basic_user(credentials)
    else:
        raise Unauthenticated(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication"
            " for details."
        )
    if not hmac.compare_digest(given.encode(), secret_key.encode()):
        raise Unauthenticated(f"Invalid API Key provided: {_masked(given)}")


def _basic_user(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * len(key)
