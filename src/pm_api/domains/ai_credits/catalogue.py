"""What services cost and which packs are on offer: rows, cached for a few seconds."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.errors import UnknownService
from pm_api.domains.ai_credits.models.ledger import CreditPack, CreditPriceRule
from pm_api.domains.ai_credits.repository import ledger as repository

CACHE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Price:
    service: str
    version: int
    cost: int


class Catalogue:
    """Price rules and packs of this installation, at most 5 s old."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._rules: list[CreditPriceRule] = []
        self._packs: list[CreditPack] = []
        self._read_at = -CACHE_S
        self._reading = asyncio.Lock()

    async def price_of(self, service: str) -> Price:
        """The rule in force now; raises UnknownService."""
        await self._refresh()
        now = self._platform.clock.now()
        best: CreditPriceRule | None = None
        for rule in self._rules:
            if rule.service == service and rule.effective_at <= now and (best is None or rule.version > best.version):
                best = rule
        if best is None:
            raise UnknownService(f"No price is set for the service {service}.")
        return Price(service, best.version, best.cost)

    async def packs(self) -> list[CreditPack]:
        """The newest version of each pack that has a price and is still on offer, smallest first."""
        await self._refresh()
        now = self._platform.clock.now()
        return [pack for pack in self._packs if _on_offer(pack, now)]

    async def _refresh(self) -> None:
        if self._fresh():
            return
        async with self._reading:
            if self._fresh():
                return
            async with self._platform.database.reading() as session:
                self._rules = list(await repository.price_rules(session))
                self._packs = list(await repository.newest_packs(session))
            self._read_at = time.monotonic()

    def _fresh(self) -> bool:
        return time.monotonic() - self._read_at < CACHE_S


def _on_offer(pack: CreditPack, now: datetime) -> bool:
    return pack.price_minor is not None and (pack.valid_until is None or pack.valid_until > now)


async def set_pack_price(session: AsyncSession, platform: Platform, name: str, price_minor: int) -> None:
    """Offer a pack at another price: a new version of it, unless it costs that already."""
    newest = next(pack for pack in await repository.newest_packs(session) if pack.name == name)
    if newest.price_minor == price_minor:
        return
    session.add(
        CreditPack(
            name=name,
            version=newest.version + 1,
            credits=newest.credits,
            bonus=newest.bonus,
            price_minor=price_minor,
            currency=newest.currency,
            valid_until=newest.valid_until,
            created_at=platform.clock.now(),
        )
    )
