"""One client for one event loop, and what Stripe's refusals mean to us."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import stripe
import structlog

from pm_api.core import wire
from pm_api.core.clock import Clock, SystemClock
from pm_api.core.errors import Unavailable
from pm_api.core.settings import StripeSettings

API_VERSION: Final = "2026-10-28.endive"
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Ids become segments of a path: these would ask for something else.
_NO_IDS: Final = frozenset({"", ".", ".."})

_log = structlog.get_logger(__name__)


class PaymentProviderUnavailable(Unavailable):
    """Stripe does not answer just now; try again in a moment, with the same Idempotency-Key.

    What had gone through is not done again, and the answer tells how it ended.
    """

    code = "payment_provider_unavailable"


class StripeObjectMissing(Exception):
    """Stripe knows no object with this id."""


class StripeRefused(Exception):
    """Stripe understood the request and will not do it: `code` is its word for why, `parameter` what is wrong."""

    def __init__(self, code: str, parameter: str | None = None) -> None:
        super().__init__(f"{code} ({parameter})" if parameter else code)
        self.code = code
        self.parameter = parameter


class CardDeclined(Exception):
    """The bank said no. `code` is Stripe's error code, `decline_code` the bank's reason where Stripe tells it.

    When a payment was tried, `payment_intent_id` names it: after `authentication_required` the buyer can still
    confirm it. Nothing about the card itself is kept.
    """

    def __init__(self, code: str, decline_code: str | None = None, payment_intent_id: str | None = None) -> None:
        super().__init__(decline_code or code)
        self.code = code
        self.decline_code = decline_code
        self.payment_intent_id = payment_intent_id


class _Transport(stripe.HTTPXClient):
    """The SDK hands form bodies to httpx as `data`, which httpx deprecates for text: `content` is the same bytes.

    Flows must know whether a write may have reached Stripe, and only the line itself can tell them.
    """

    def _get_request_args_kwargs(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[tuple[str, str], dict[str, Any]]:
        arguments, options = super()._get_request_args_kwargs(method, url, headers, post_data)
        body = options.pop("data", None)
        if body:
            options["content"] = body
        return arguments, options

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        writes = method.lower() != "get"
        wire.calling(writes=writes)
        try:
            answer = await super().request_async(method, url, headers, post_data)
        except stripe.APIConnectionError as error:
            if writes and isinstance(error.__cause__, _NEVER_SENT):
                wire.unsent()
            raise
        if writes:
            wire.answered(answer[1])
        return answer


class StripeDoor:
    """`client` is for the modules of this package alone. `clock` is for whoever must say when a look was taken:
    its wall time, read before the call.
    """

    def __init__(self, settings: StripeSettings, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.stand_in = settings.api_base.rstrip("/")
        """The address of what answers in Stripe's place; empty: Stripe itself does."""
        self._transport = _Transport(
            timeout=settings.timeout_s,
            verify_ssl_certs=urlsplit(settings.api_base).scheme != "http",
        )
        self.client = stripe.StripeClient(
            settings.secret_key.get_secret_value() or "sk_unset",
            http_client=self._transport,
            base_addresses={"api": self.stand_in} if self.stand_in else {},
            stripe_version=API_VERSION,
            max_network_retries=1,
        )

    async def close(self) -> None:
        await self._transport.close_async()  # type: ignore[no-untyped-call]  # untyped in the SDK

    async def probe(self) -> str:
        """`live` or `test`: a harmless call that only works with a good key; what is wrong is in the error."""
        try:
            balance = await self.client.v1.balance.retrieve_async()
        except (stripe.StripeError, UnicodeDecodeError) as error:
            raise PaymentProviderUnavailable(str(error)) from error
        return "live" if balance.livemode else "test"


@asynccontextmanager
async def calling(what: str) -> AsyncIterator[None]:
    """Around every call: nothing of the SDK's errors passes.

    They become StripeObjectMissing, StripeRefused, CardDeclined or PaymentProviderUnavailable; `what` is the id in
    the path, or the noun for calls that have none. A wrong key counts as unavailable too: nothing can be sold.
    """
    if what in _NO_IDS:
        raise StripeObjectMissing(what)
    try:
        yield
    except stripe.CardError as error:
        raise _declined(error) from error
    except stripe.InvalidRequestError as error:
        if error.http_status == 404 or (error.code == "resource_missing" and error.param == "id"):
            raise StripeObjectMissing(what) from error
        raise StripeRefused(error.code or "invalid_request", error.param) from error
    except stripe.IdempotencyError as error:
        if error.code == "idempotency_key_in_use":  # the first request under the key is still at it
            raise PaymentProviderUnavailable from error
        raise StripeRefused("idempotency_error") from error
    except stripe.StripeError as error:
        _log.warning(
            "stripe_unavailable",
            what=what,
            problem=type(error).__name__,
            status=error.http_status,
            code=error.code,
            stripe_request_id=error.request_id,
        )
        raise PaymentProviderUnavailable from error
    except UnicodeDecodeError as error:
        # The SDK takes every answer for UTF-8; what stands between us and Stripe may answer anything.
        _log.warning("stripe_unavailable", what=what, problem=type(error).__name__)
        raise PaymentProviderUnavailable from error


def _declined(error: stripe.CardError) -> CardDeclined:
    body = error.json_body
    told = body.get("error") if isinstance(body, dict) else None
    details = told if isinstance(told, dict) else {}
    intent = details.get("payment_intent")
    return CardDeclined(
        error.code or "card_declined",
        details.get("decline_code"),
        intent.get("id") if isinstance(intent, dict) else None,
    )


def keyed(key: str) -> stripe.RequestOptions:
    """Our own Idempotency-Key: Stripe answers a repeated write as it answered the first."""
    return {"idempotency_key": key}
