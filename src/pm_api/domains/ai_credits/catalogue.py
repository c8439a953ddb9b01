"""What services cost, which packs and bundles are on offer: rows, cached for a few seconds."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signals
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.errors import OfferExpired, UnknownPackName, UnknownService
from pm_api.domains.ai_credits.models.catalogue import CreditPackLot
from pm_api.domains.ai_credits.models.ledger import CreditPack, CreditPlanGrant, CreditPriceRule
from pm_api.domains.ai_credits.repository import insight, plans
from pm_api.domains.ai_credits.repository import ledger as repository

CACHE_S: Final = 5.0
CHANNEL: Final = "pm_catalogue"


@dataclass(frozen=True, slots=True)
class Price:
    service: str
    version: int
    cost: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A pack as it can be bought; a bundle's lots, none for a plain pack."""

    pack: CreditPack
    lots: tuple[CreditPackLot, ...]


class Catalogue:
    """Price rules and packs of this installation, at most 5 s old."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._rules: list[CreditPriceRule] = []
        self._offers: list[Offer] = []
        self._plan_credits: dict[str, int] = {}
        self._read_at = -CACHE_S
        self._reading = asyncio.Lock()

    async def price_of(self, service: str) -> Price:
        """The rule in force now; raises UnknownService."""
        await self._refresh()
        now = self._platform.clock.now()
        best: CreditPriceRule | None = None
        for rule in self._rules:
            # A price below one would take nothing, or bring credits: such a row sells nothing.
            if rule.service != service or rule.effective_at > now or rule.cost < 1:
                continue
            if best is None or rule.version > best.version:
                best = rule
        if best is None:
            raise UnknownService(f"No price is set for the service {service}.")
        return Price(service, best.version, best.cost)

    async def packs(self) -> list[Offer]:
        """The newest version of each pack or bundle that has a price and is still on offer, smallest first."""
        await self._refresh()
        now = self._platform.clock.now()
        return [offer for offer in self._offers if offer.pack.price_minor is not None and not _is_over(offer, now)]

    async def offer(self, name: str) -> Offer:
        """A pack or bundle by name; raises UnknownPackName, or OfferExpired when its time is over."""
        await self._refresh()
        found = next(
            (one for one in self._offers if one.pack.name == name and one.pack.price_minor is not None), None
        )
        if found is None:
            raise UnknownPackName(f"There is no pack called {name} on offer.")
        if _is_over(found, self._platform.clock.now()):
            raise OfferExpired
        return found

    async def plan_credits(self) -> dict[str, int]:
        """Credits each plan brings a month, by its newest terms."""
        await self._refresh()
        return self._plan_credits

    def forget(self) -> None:
        """Something was offered anew: read again when next asked."""
        self._read_at = time.monotonic() - CACHE_S

    async def _refresh(self) -> None:
        if self._fresh():
            return
        async with self._reading:
            if self._fresh():
                return
            async with self._platform.database.reading() as session:
                self._rules = list(await repository.price_rules(session))
                packs = await repository.newest_packs(session)
                lots = await repository.lots_of_packs(session)
                self._plan_credits = await insight.plan_grants(session)
            self._offers = [
                Offer(pack, tuple(lot for lot in lots if (lot.pack, lot.version) == (pack.name, pack.version)))
                for pack in packs
            ]
            self._read_at = time.monotonic()

    def _fresh(self) -> bool:
        return time.monotonic() - self._read_at < CACHE_S


def _is_over(offer: Offer, now: datetime) -> bool:
    return offer.pack.valid_until is not None and offer.pack.valid_until <= now


@dataclass(frozen=True, slots=True)
class NewOffer:
    """What a pack is to be. A bundle says its `lots` (credits, service or None); they add up to `credits`."""

    name: str
    credits: int
    bonus: int
    price_minor: int | None
    currency: str
    valid_until: datetime | None = None
    lots: tuple[tuple[int, str | None], ...] = ()


async def put_offer(session: AsyncSession, platform: Platform, wanted: NewOffer) -> int:
    """Offer a pack or bundle so: a new version of it, unless it stands so already. Returns its version."""
    if wanted.lots and sum(credits for credits, _ in wanted.lots) != wanted.credits:
        raise ValueError(f"the lots of {wanted.name} do not add up to {wanted.credits} credits")
    newest = next((pack for pack in await repository.newest_packs(session) if pack.name == wanted.name), None)
    if newest is not None:
        lots = tuple(
            (lot.credits, lot.service) for lot in await repository.pack_lots(session, newest.name, newest.version)
        )
        if _as_wanted(newest, lots) == wanted:
            return newest.version
    version = newest.version + 1 if newest else 1
    session.add(
        CreditPack(
            name=wanted.name,
            version=version,
            credits=wanted.credits,
            bonus=wanted.bonus,
            price_minor=wanted.price_minor,
            currency=wanted.currency,
            valid_until=wanted.valid_until,
            created_at=platform.clock.now(),
        )
    )
    await session.flush()
    session.add_all(
        CreditPackLot(pack=wanted.name, version=version, position=position, credits=credits, service=service)
        for position, (credits, service) in enumerate(wanted.lots)
    )
    await signals.publish(session, CHANNEL, wanted.name)
    return version


async def offer_now(session: AsyncSession, platform: Platform, name: str, *, is_bundle: bool) -> CreditPack:
    """The newest version of a pack, or of a bundle, as it is bought in this transaction; raises UnknownPackName and
    OfferExpired.
    """
    pack = next((one for one in await repository.newest_packs(session) if one.name == name), None)
    if pack is None or pack.price_minor is None:
        raise UnknownPackName(f"There is no {'bundle' if is_bundle else 'pack'} called {name} on offer.")
    lots = await repository.pack_lots(session, pack.name, pack.version)
    if bool(lots) != is_bundle:
        raise UnknownPackName(f"{name} is a {'bundle' if lots else 'pack'}.")
    if _is_over(Offer(pack, tuple(lots)), platform.clock.now()):
        raise OfferExpired
    return pack


async def standing_offers(session: AsyncSession) -> dict[str, NewOffer]:
    """The newest version of each pack and bundle by name, on offer or not."""
    return {
        pack.name: _as_wanted(
            pack,
            tuple((lot.credits, lot.service) for lot in await repository.pack_lots(session, pack.name, pack.version)),
        )
        for pack in await repository.newest_packs(session)
    }


async def put_plan_credits(session: AsyncSession, plan: str, credits: int) -> None:
    """What a plan brings each month from the next one on: a new version of its terms, unless they say so already.

    Raises LookupError for a plan without terms.
    """
    terms = await plans.plan_terms(session, plan)
    if terms.credits == credits:
        return
    session.add(
        CreditPlanGrant(
            plan=plan,
            version=terms.version + 1,
            credits=credits,
            rollover_percent=terms.rollover_percent,
            rollover_months=terms.rollover_months,
        )
    )
    await session.flush()
    await signals.publish(session, CHANNEL, plan)


async def set_pack_price(session: AsyncSession, platform: Platform, name: str, price_minor: int) -> None:
    """Offer a pack at another price: a new version of it, unless it costs that already."""
    newest = next(pack for pack in await repository.newest_packs(session) if pack.name == name)
    lots = tuple((lot.credits, lot.service) for lot in await repository.pack_lots(session, name, newest.version))
    await put_offer(session, platform, replace(_as_wanted(newest, lots), price_minor=price_minor))


def _as_wanted(pack: CreditPack, lots: tuple[tuple[int, str | None], ...]) -> NewOffer:
    return NewOffer(pack.name, pack.credits, pack.bonus, pack.price_minor, pack.currency, pack.valid_until, lots)
