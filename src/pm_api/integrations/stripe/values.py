"""From the SDK's values to ours, and from its pages to whole lists."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

import stripe

UNKNOWN: Final = "unknown"
PAGE: Final = 100
LIST_LIMIT: Final = 1000
# Windows without an end of their own: before there was Stripe, and after all of this.
BEGINNING: Final = datetime(2010, 1, 1, tzinfo=UTC)
FOREVER: Final = datetime(2100, 1, 1, tzinfo=UTC)

Item = TypeVar("Item")
Theirs = TypeVar("Theirs", bound=stripe.StripeObject)
Ours = TypeVar("Ours")


@dataclass(frozen=True, slots=True)
class StripeList(Generic[Item]):
    """What a list call found. When it met its limit there is more at Stripe: `is_complete` is false."""

    items: tuple[Item, ...]
    is_complete: bool


async def everything(
    first: stripe.ListObject[Theirs], read: Callable[[Theirs], Ours], limit: int = LIST_LIMIT
) -> StripeList[Ours]:
    """Page after page, until Stripe has no more or `limit` is met."""
    page, found = first, [read(one) for one in first.data]
    while page.has_more and page.data and len(found) < limit:
        page = await page.next_page_async()
        found.extend(read(one) for one in page.data)
    return StripeList(tuple(found[:limit]), is_complete=len(found) <= limit and not page.has_more)


def page_size(limit: int) -> int:
    """How many to ask for at a time."""
    return max(1, min(PAGE, limit))


def id_of(reference: str | stripe.StripeObject | None) -> str | None:
    """Stripe gives an id, or the whole object when it was expanded."""
    return None if reference is None else known_id_of(reference)


def known_id_of(reference: str | stripe.StripeObject) -> str:
    return reference if isinstance(reference, str) else str(reference["id"])


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def moment_of(seconds: int | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def seconds(moment: datetime) -> int:
    """Stripe's times are whole seconds."""
    return int(moment.timestamp())


def texts(metadata: stripe.StripeObject | None) -> Mapping[str, str]:
    """Metadata; a StripeObject is no dict."""
    return dict(metadata.to_dict()) if metadata is not None else {}


def upper(currency: str) -> str:
    return currency.upper()


def upper_of(currency: str | None) -> str | None:
    return None if currency is None else currency.upper()
