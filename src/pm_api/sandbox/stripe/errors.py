"""What the API refuses, in Stripe's own words and shapes. https://docs.stripe.com/api/errors"""

from pm_api.sandbox.stripe.objects.common import Json


class ApiError(Exception):
    """One refusal. `remembered` says whether an idempotency key keeps the answer: Stripe keeps what its
    endpoints answered, and forgets what was refused before they began."""

    status = 400
    error_type = "invalid_request_error"
    code: str | None = None
    remembered = False
    # Whether what the call did before it was refused stays, as a failed attempt to pay does.
    keeps_effects = False

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code

    def body(self) -> Json:
        error: Json = {"message": self.message, "type": self.error_type}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


class InvalidRequest(ApiError):
    """Well-formed, but it cannot be done."""

    remembered = True


class InvalidParameter(ApiError):
    """A parameter that no endpoint would start working on."""


class MissingParameter(InvalidParameter):
    code = "parameter_missing"

    def __init__(self, param: str) -> None:
        super().__init__(f"Missing required param: {param}.", param=param)


class UnknownParameter(InvalidParameter):
    code = "parameter_unknown"

    def __init__(self, param: str) -> None:
        super().__init__(f"Received unknown parameter: {param}", param=param)


class ResourceMissing(ApiError):
    status = 404
    code = "resource_missing"
    remembered = True

    def __init__(self, object_name: str, identifier: str, *, param: str = "id") -> None:
        super().__init__(f"No such {object_name}: '{identifier}'", param=param)


class ReferenceMissing(ResourceMissing):
    """An id inside the parameters that leads nowhere; Stripe answers 400 for these, 404 for the path's own."""

    status = 400


class UnknownRoute(ApiError):
    status = 404

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs "
            "or we can help at https://support.stripe.com/."
        )


class Unauthenticated(ApiError):
    status = 401


class KeyReused(ApiError):
    error_type = "idempotency_error"


class KeyInUse(ApiError):
    status = 409
    error_type = "idempotency_error"
    code = "idempotency_key_in_use"

    def __init__(self, key: str) -> None:
        super().__init__(
            "There is currently another in-progress request using this Idempotent Key (that probably means "
            f"you submitted twice, and the other request is still going through): {key}. Please try again later."
        )


class RateLimited(ApiError):
    status = 429
    code = "rate_limit"

    def __init__(self) -> None:
        super().__init__(
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
        )


class InjectedFailure(ApiError):
    """A failure that a fault switch asked for."""

    def __init__(self, status: int) -> None:
        super().__init__("An unknown error occurred. The sandbox was told to fail this request.")
        self.status = status
        self.error_type = "api_error" if status >= 500 else "invalid_request_error"
        # A server error is an answer of the endpoint; what stands before the endpoint is never stored.
        self.remembered = status >= 500


class CardRefused(ApiError):
    """A payment that the card, or its absent holder, did not allow; the attempt itself has happened."""

    status = 402
    error_type = "card_error"
    remembered = True

    def __init__(self, error: Json, *, payment_intent: Json | None = None, keeps_effects: bool = True) -> None:
        super().__init__(error["message"], code=error["code"])
        self.keeps_effects = keeps_effects
        self._error = error
        self._payment_intent = payment_intent

    def body(self) -> Json:
        error = {**super().body()["error"], **self._error}
        if self._payment_intent is not None:
            error["payment_intent"] = self._payment_intent
        return {"error": {name: value for name, value in error.items() if value is not None}}
