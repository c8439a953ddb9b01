"""The door to Stripe: the official SDK with a pinned API version, our timeouts, our errors.

Nothing here opens a database session, and nothing that has one open may call here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import stripe

from pm_api.core.errors import BadRequest, Unavailable
from pm_api.core.settings import StripeSettings

API_VERSION: Final = "2026-10-28.endive"
TOLERANCE_S: Final = 300
MAX_ID_LENGTH: Final = 255
NOT_MODELLED: Final = "unknown"


class PaymentProviderUnavailable(Unavailable):
    """Stripe does not answer just now. Nothing was charged; try again in a moment."""

    code = "payment_provider_unavailable"


class InvalidWebhook(BadRequest):
    """This is not an event that Stripe signed for us just now."""

    code = "invalid_webhook"


class StripeObjectMissing(Exception):
    """Stripe knows no object with this id."""


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """What an event says about itself. Its object is fetched afresh, never taken from here."""

    id: str
    type: str
    created_at: datetime
    object_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class StripeCheckout:
    """A checkout session as Stripe has it now. Amounts are minor units; `currency` is upper case."""

    id: str
    status: str
    payment_status: str
    client_reference_id: str | None
    customer_id: str | None
    payment_intent_id: str | None
    amount_total: int | None
    currency: str | None
    metadata: Mapping[str, str]

    @property
    def is_paid(self) -> bool:
        return self.status == "complete" and self.payment_status == "paid"


class StripeDoor:
    """One client for one event loop."""

    def __init__(self, settings: StripeSettings) -> None:
        self._settings = settings
        self._transport = stripe.HTTPXClient(
            timeout=settings.timeout_s,
            verify_ssl_certs=urlsplit(settings.api_base).scheme != "http",
        )
        self._client = stripe.StripeClient(
            settings.secret_key.get_secret_value() or "sk_unset",
            http_client=self._transport,
            base_addresses={"api": settings.api_base.rstrip("/")} if settings.api_base else {},
            stripe_version=API_VERSION,
            max_network_retries=1,
        )

    async def close(self) -> None:
        await self._transport.close_async()  # type: ignore[no-untyped-call]  # untyped in the SDK

    async def probe(self) -> str:
        """`live` or `test`: a harmless call that only works with a good key."""
        try:
            balance = await self._client.v1.balance.retrieve_async()
        except stripe.StripeError as error:
            raise PaymentProviderUnavailable(str(error)) from error
        return "live" if balance.livemode else "test"

    async def checkout(self, session_id: str) -> StripeCheckout:
        """A checkout session; raises StripeObjectMissing or PaymentProviderUnavailable."""
        try:
            found = await self._client.v1.checkout.sessions.retrieve_async(session_id)
        except stripe.StripeError as error:
            if isinstance(error, stripe.InvalidRequestError) and error.http_status == 404:
                raise StripeObjectMissing(session_id) from error
            raise PaymentProviderUnavailable from error
        return StripeCheckout(
            id=found.id,
            status=found.status or NOT_MODELLED,
            payment_status=found.payment_status,
            client_reference_id=found.client_reference_id,
            customer_id=_id_of(found.customer),
            payment_intent_id=_id_of(found.payment_intent),
            amount_total=found.amount_total,
            currency=found.currency.upper() if found.currency else None,
            metadata=dict(found.metadata.to_dict()) if found.metadata else {},
        )


def _id_of(reference: object) -> str | None:
    """Stripe gives an id, or the whole object when it was expanded."""
    if reference is None or isinstance(reference, str):
        return reference
    return str(getattr(reference, "id"))  # noqa: B009  every expandable object has one


def verify_event(
    body: bytes, header: str | None, secrets: Sequence[str], *, now: datetime, livemode: bool
) -> StripeEvent:
    """Check signature, age (both ways: the SDK accepts the future) and mode; raises InvalidWebhook.

    Thin events carry no object: they come out with an empty `object_id`.
    """
    _verify_signature(body, header or "", secrets, now)
    try:
        content = json.loads(body.decode())
        event_id, event_type = content["id"], content["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidWebhook("The body is not an event.") from None
    if content.get("livemode") is not livemode:
        raise InvalidWebhook("The event is of the other mode (live or test).")
    if _id(event_id) is None or _id(event_type) is None:
        raise InvalidWebhook("The body is not an event.")
    data = content.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    found = about if isinstance(about, dict) else {}
    object_id = _id(found.get("id"))
    customer = object_id if found.get("object") == "customer" else _id_in(found.get("customer"))
    return StripeEvent(
        id=event_id,
        type=event_type,
        created_at=_moment(content.get("created"), now),
        object_id=object_id or "",
        subject=customer or object_id or event_id,
    )


def _verify_signature(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    # The SDK's comparison raises TypeError for anything but ASCII.
    if not header.isascii() or len(stamps) != 1 or not stamps[0].isdecimal() or len(stamps[0]) > 12 or not signatures:
        raise InvalidWebhook("The Stripe-Signature header is missing or malformed.")
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE_S:
        raise InvalidWebhook("The signature is too old, or from the future.")
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
        except (stripe.SignatureVerificationError, UnicodeError):
            continue
        return
    raise InvalidWebhook("No signature fits.")


def _id(value: Any) -> str | None:
    """An id that can be stored and asked for. People may choose those of coupons and products: not only ASCII."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and value.isprintable() else None


def _id_in(reference: Any) -> str | None:
    return _id(reference.get("id") if isinstance(reference, dict) else reference)


def _moment(created: Any, now: datetime) -> datetime:
    if isinstance(created, int) and 0 < created < 1 << 33:
        return datetime.fromtimestamp(created, UTC)
    return now
