"""Packs and bundles on offer: versions, prices, ends."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import catalogue
from pm_api.domains.ai_credits.catalogue import Catalogue, NewOffer
from pm_api.domains.ai_credits.errors import OfferExpired, UnknownPackName
from tests.support.clock import MovableClock

LOTS = ((300, "CHAT_ASSISTANT"), (200, None))


def bundle(name: str, clock: MovableClock) -> NewOffer:
    until = clock.now() + timedelta(days=7)
    return NewOffer(name, credits=500, bonus=20, price_minor=799, currency="USD", valid_until=until, lots=LOTS)


async def put(platform: Platform, wanted: NewOffer, *, expected_new: int = 1) -> int:
    """Offer it, and wait until this process has heard of it."""
    known = platform.part(Catalogue)
    await known.packs()
    heard = asyncio.Event()
    platform.signals.on(catalogue.CHANNEL, lambda _: heard.set())
    async with platform.database.transaction() as session:
        version = await catalogue.put_offer(session, platform, wanted)
    if version == expected_new:
        await asyncio.wait_for(heard.wait(), 5)
    return version


async def test_a_bundle_shows_its_lots_until_its_offer_ends(
    client: httpx.AsyncClient, platform: Platform, clock: MovableClock
) -> None:
    wanted = bundle("AUTUMN", clock)
    assert await put(platform, wanted) == 1
    [shown] = [one for one in (await client.get("/api/credits/packs")).json()["packs"] if one["name"] == "AUTUMN"]
    assert (shown["kind"], shown["credits"], shown["bonus"], shown["price"]) == ("BUNDLE", 500, 20, 799)
    assert shown["lots"] == [{"credits": 300, "service": "CHAT_ASSISTANT"}, {"credits": 200, "service": None}]
    assert (await platform.part(Catalogue).offer("AUTUMN")).pack.version == 1
    clock.advance(days=7)
    names = [one["name"] for one in (await client.get("/api/credits/packs")).json()["packs"]]
    assert "AUTUMN" not in names
    assert "MEDIUM" in names
    with pytest.raises(OfferExpired):
        await platform.part(Catalogue).offer("AUTUMN")


async def test_a_price_of_nothing_is_no_price(fresh_platform: Platform) -> None:
    """A slip of the pen among the price rules must neither bring credits nor stop a hold."""
    async with fresh_platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO credit_price_rules (service, version, cost, effective_at)"
                " SELECT service, cost + 1, cost - 2, effective_at FROM credit_price_rules"
                " WHERE service IN ('CHAT_ASSISTANT', 'SMART_NOTIFICATIONS')"
            )
        )
    known = fresh_platform.part(Catalogue)
    known.forget()
    prices = [await known.price_of(one) for one in ("CHAT_ASSISTANT", "SMART_NOTIFICATIONS")]
    assert [(one.version, one.cost) for one in prices] == [(1, 2), (1, 1)]


async def test_an_offer_gets_a_new_version_only_when_it_changes(platform: Platform, clock: MovableClock) -> None:
    wanted = bundle("WINTER", clock)
    assert [await put(platform, wanted), await put(platform, wanted, expected_new=0)] == [1, 1]
    dearer = NewOffer("WINTER", 500, 20, 899, "USD", wanted.valid_until, LOTS)
    other_lots = NewOffer("WINTER", 500, 20, 899, "USD", wanted.valid_until, LOTS[::-1])
    assert await put(platform, dearer, expected_new=2) == 2
    assert await put(platform, dearer, expected_new=0) == 2
    assert await put(platform, other_lots, expected_new=3) == 3


async def test_lots_must_add_up_and_names_must_be_known(platform: Platform, clock: MovableClock) -> None:
    wrong = NewOffer("SPRING", 501, 0, 799, "USD", bundle("SPRING", clock).valid_until, LOTS)
    with pytest.raises(ValueError, match="add up"):
        await put(platform, wrong)
    with pytest.raises(UnknownPackName):
        await platform.part(Catalogue).offer("SPRING")
    with pytest.raises(UnknownPackName):
        await platform.part(Catalogue).offer("XL")  # has no price before Stripe names one
