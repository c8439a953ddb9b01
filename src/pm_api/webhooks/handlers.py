"""Which event types are applied, and how: fetch the object from Stripe, then write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.billing import stripe_events
from pm_api.integrations.stripe import StripeDoor


@dataclass(frozen=True, slots=True)
class Handler:
    """`fetch` talks to Stripe with no session open; `apply` writes with no network."""

    fetch: Callable[[StripeDoor, str], Awaitable[Any]]
    apply: Callable[[AsyncSession, Platform, Any], Awaitable[str]]


_CHECKOUT: Final = Handler(stripe_events.fetch_checkout, stripe_events.apply_checkout)

STRIPE: Final[dict[str, Handler]] = {
    "checkout.session.completed": _CHECKOUT,
    "checkout.session.async_payment_succeeded": _CHECKOUT,
    "checkout.session.async_payment_failed": _CHECKOUT,
    "checkout.session.expired": _CHECKOUT,
}
