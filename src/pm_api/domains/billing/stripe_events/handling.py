"""How an event is applied: fetch the object from Stripe, then write. What the event itself says is never used."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.billing.understanding import EventNotUnderstood
from pm_api.integrations.stripe import StripeDoor

__all__ = ["EventNotUnderstood", "Handler"]


@dataclass(frozen=True, slots=True)
class Handler:
    """`fetch` talks to Stripe with no session open; `apply` writes with no network and says what was done."""

    fetch: Callable[[StripeDoor, str], Awaitable[Any]]
    apply: Callable[[AsyncSession, Platform, Any], Awaitable[str]]
