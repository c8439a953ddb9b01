"""Events: as they arrive, verified over the raw bytes, or asked for; and what one says about itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import stripe
from stripe.params import EventListParams

from pm_api.core.errors import BadRequest
from pm_api.integrations.stripe.door import StripeDoor, calling
from pm_api.integrations.stripe.values import FOREVER, LIST_LIMIT, StripeList, everything, moment, page_size, seconds

TOLERANCE_S: Final = 300
MAX_ID_LENGTH: Final = 255
# What a thin event calls itself, and how it begins the types that snapshots have too.
THIN: Final = "v2.core.event"
OF_VERSION_1: Final = "v1."
# So many types Stripe takes in one request.
TYPES_LIMIT: Final = 20


class InvalidWebhook(BadRequest):
    """This is not an event that Stripe signed for us just now."""

    code = "invalid_webhook"


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """What an event says about itself. Its object is fetched afresh, never taken from here.

    `subject` is the customer it is about; where there is none, the object. `body` is the whole event, as text.
    """

    id: str
    type: str
    created_at: datetime
    object_id: str
    subject: str
    body: str


async def list_since(
    door: StripeDoor,
    since: datetime,
    *,
    types: Sequence[str],
    until: datetime = FOREVER,
    undelivered_only: bool = False,
    limit: int = LIST_LIMIT,
) -> StripeList[StripeEvent]:
    """Events of these types from `since` on (Stripe keeps 30 days) to before `until`, oldest first.

    Stripe tells the newest first: when the answer is not complete, the oldest are missing; ask for a shorter window.
    """
    wanted, found, is_complete = sorted(set(types)), list[StripeEvent](), True
    for start in range(0, len(wanted), TYPES_LIMIT):
        params: EventListParams = {
            "created": {"gte": seconds(since), "lt": seconds(until)},
            "types": wanted[start : start + TYPES_LIMIT],
            "limit": page_size(limit),
        }
        if undelivered_only:
            params["delivery_success"] = False
        async with calling("events"):
            part = await everything(await door.client.v1.events.list_async(params), read_event, limit)
        found += part.items
        is_complete = is_complete and part.is_complete
    newest_first = sorted(found, key=lambda event: event.created_at, reverse=True)
    kept = newest_first[:limit]
    return StripeList(tuple(reversed(kept)), is_complete=is_complete and len(kept) == len(found))


def read_event(found: stripe.Event) -> StripeEvent:
    content = found.to_dict()
    body = json.dumps(content, default=str)
    return _described(found.id, found.type, content, created_at=moment(found.created), body=body)


def verify_event(
    body: bytes, header: str | None, secrets: Sequence[str], *, now: datetime, livemode: bool
) -> StripeEvent:
    """Check signature, age (both ways: the SDK accepts the future) and mode; raises InvalidWebhook.

    A thin event carries no object, only where one is; that is enough, because every object is fetched anyway. Its
    type comes without the `v1.` that tells it from a snapshot's.
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
    created_at = _moment(content.get("created"), now)
    if content.get("object") == THIN:
        event_type = event_type.removeprefix(OF_VERSION_1)
    return _described(event_id, event_type, content, created_at=created_at, body=body.decode())


def _described(
    event_id: str, event_type: str, content: Mapping[str, Any], *, created_at: datetime, body: str
) -> StripeEvent:
    found = _about(content)
    object_id = _id(found.get("id"))
    customer = object_id if found.get("object") == "customer" else _id_in(found.get("customer"))
    return StripeEvent(
        id=event_id,
        type=event_type,
        created_at=created_at,
        object_id=object_id or "",
        subject=customer or object_id or event_id,
        body=body,
    )


def _about(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object in a snapshot, or what a thin event says of where it is."""
    if content.get("object") == THIN:
        related = content.get("related_object")
        about = {**related, "object": related.get("type")} if isinstance(related, dict) else None
    else:
        data = content.get("data")
        about = data.get("object") if isinstance(data, dict) else None
    return about if isinstance(about, dict) else {}


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
    """Seconds in a snapshot, a text in a thin event; what is neither happened now."""
    if isinstance(created, int) and 0 < created < 1 << 33:
        return datetime.fromtimestamp(created, UTC)
    try:
        told = datetime.fromisoformat(created)
    except (TypeError, ValueError):
        return now
    return told.astimezone(UTC) if told.tzinfo is not None and 2000 < told.year < 2200 else now
