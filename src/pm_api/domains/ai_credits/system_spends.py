"""Spends that nobody asks for at the moment: what a person switched on before, and pays for when it happens.

`price` is read before a transaction is opened; `take` works in the caller's, so that the credits go if and only if
what they pay for is done.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.book import Refusal, Refused, canonical_json, fingerprint
from pm_api.domains.ai_credits.catalogue import Catalogue, Price
from pm_api.domains.ai_credits.commands import Spend
from pm_api.domains.ai_credits.enums import AccountKind, Service
from pm_api.domains.ai_credits.errors import UnknownService
from pm_api.domains.ai_credits.outcomes import settled
from pm_api.domains.ai_credits.store import Order


async def price(platform: Platform, service: Service) -> Price | None:
    """What one costs now; None when it is not sold at present."""
    try:
        return await platform.part(Catalogue).price_of(service)
    except UnknownService:
        return None


async def take(
    session: AsyncSession,
    platform: Platform,
    user_id: UUID,
    price: Price,
    *,
    key: str,
    description: str,
    details: Mapping[str, Any],
) -> bool:
    """Take the price of one from a person's own wallet, once for ever under the system's key `s:{key}`; False when it
    has too few credits, which is kept with the key too. Raises IdempotencyKeyReused for other content.
    """
    command = Spend(
        account_id=user_id,
        key=f"s:{key}",
        # The price is not part of it: a second try after a price change is the same spend.
        fingerprint=fingerprint("system_spend", price.service, key),
        by=ledger.by_system(),
        amount=price.cost,
        description=description,
        details=canonical_json(dict(details)),
        service=price.service,
        quantity=1,
        price_version=price.version,
    )
    [answer] = await ledger.apply(session, platform, [Order(AccountKind.USER, command)])
    if isinstance(answer.result, Refused) and answer.result.reason is Refusal.INSUFFICIENT_CREDITS:
        return False
    settled(platform, answer)
    return True
