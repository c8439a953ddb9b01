"""Typed refusals. A domain raises one; `core.problem` turns it into RFC 9457 problem+json, once.

`status` and `code` are the contract; the class docstring is what `GET /problems/<code>` explains to a person.
"""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """Something the caller is told about."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    registry: ClassVar[dict[str, type["ApiError"]]] = {}

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        details: list[dict[str, str]] | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or self.explanation().split("\n", maxsplit=1)[0]
        self.headers = dict(headers or {})
        self.details = details
        self.extra = extra
        super().__init__(self.detail)

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "code" in cls.__dict__:
            known = ApiError.registry.setdefault(cls.code, cls)
            if known is not cls and known.__qualname__ != cls.__qualname__:
                raise TypeError(f"two errors claim the code {cls.code!r}")
            if "title" not in cls.__dict__:
                cls.title = cls.code.replace("_", " ").capitalize()

    @classmethod
    def explanation(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or cls.title)


class BadRequest(ApiError):
    """The request could not be read."""

    status = 400
    code = "bad_request"


class MalformedBody(BadRequest):
    """The body is not valid JSON."""

    code = "malformed_body"


class IdempotencyKeyRequired(BadRequest):
    """This route moves money or credits, so it needs an `Idempotency-Key` header (or `idempotencyKey` in the body).

    Send a new random text for each thing you want done, and the same text when you retry it.
    """

    code = "idempotency_key_required"


class Unauthorized(ApiError):
    """No valid access token was sent.

    Send `Authorization: Bearer <accessToken>`; get a token from `POST /api/auth/login` or `POST /api/auth/refresh`.
    A program sends an API key from `POST /api/api-keys` in the same place.
    """

    status = 401
    code = "unauthorized"

    def __init__(self, detail: str | None = None, **arguments: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="pm_api"'}, **arguments)


class PaymentRequired(ApiError):
    """Something has to be paid for first."""

    status = 402
    code = "payment_required"


class Forbidden(ApiError):
    """You may see this, but your role does not allow the action."""

    status = 403
    code = "forbidden"


class NotFound(ApiError):
    """There is nothing here that you may know of: the address or an id in it is wrong, or it is not yours to see."""

    status = 404
    code = "not_found"


class MethodNotAllowed(ApiError):
    """This address exists, but not with this HTTP method."""

    status = 405
    code = "method_not_allowed"


class Conflict(ApiError):
    """The request does not fit the present state."""

    status = 409
    code = "conflict"


class Gone(ApiError):
    """This existed once and will not come back."""

    status = 410
    code = "gone"


class PreconditionFailed(ApiError):
    """The resource has changed since you read it.

    The `If-Match` header carries an older version. Read the resource again, apply your change and retry.
    """

    status = 412
    code = "precondition_failed"


class PayloadTooLarge(ApiError):
    """The request body is larger than this service accepts."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(ApiError):
    """The body must be sent as `application/json`."""

    status = 415
    code = "unsupported_media_type"


class Unprocessable(ApiError):
    """The request is well-formed, but something in it is wrong."""

    status = 422
    code = "unprocessable"


class ValidationFailed(Unprocessable):
    """One or more fields are wrong; `details` names each by JSON pointer."""

    code = "validation_failed"


class TooManyRequests(ApiError):
    """You are calling this faster than allowed.

    Wait for the number of seconds in `Retry-After`; `RateLimit` says how much is left.
    """

    status = 429
    code = "rate_limited"


class InternalError(ApiError):
    """Something went wrong on our side. Quote the request id when you report it."""

    status = 500
    code = "internal_error"


class Unavailable(ApiError):
    """The service cannot answer this just now; try again in a moment."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1, **arguments: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)}, **arguments)
