"""Products and prices: through the sandbox, over real HTTP."""

from collections.abc import AsyncIterator

import pytest

from pm_api.integrations.stripe import StripePrice, prices
from tests.integrations.stripe_doors import Shop, new_key, open_shop


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


async def test_prices_come_with_their_products(shop: Shop) -> None:
    found = await prices.list_all(shop.door)
    assert found.is_complete
    by_key = {price.lookup_key: price for price in found.items if price.lookup_key}
    assert by_key["team_monthly"] == shop.monthly
    monthly, pack = by_key["team_monthly"], by_key["pack_medium"]
    assert (monthly.currency, monthly.unit_amount, monthly.interval, monthly.interval_count) == (
        "USD",
        9999,
        "month",
        1,
    )
    assert (pack.type, pack.interval, pack.interval_count) == ("one_time", None, None)
    assert monthly.metadata == {"bonusCredits": "5"}
    assert monthly.product is not None
    assert monthly.product.metadata["plan"] == "TEAM_STANDARD"
    assert await prices.retrieve(shop.door, monthly.id) == monthly
    assert await prices.retrieve_product(shop.door, monthly.product_id) == monthly.product
    assert monthly.product in (await prices.list_products(shop.door)).items


async def test_more_prices_than_fit_a_page(shop: Shop) -> None:
    """Page after page, each price once; inactive ones too."""
    product = await prices.create_product(shop.door, name="Many", metadata={}, key=new_key())
    made = set()
    for number in range(104):
        price = await prices.create_price(
            shop.door,
            product_id=product.id,
            unit_amount=100 + number,
            currency="USD",
            interval=None,
            lookup_key=f"many_{number}",
            metadata={},
            key=new_key(),
        )
        made.add(price.id)
    off = await prices.update_price(shop.door, price.id, is_active=False, metadata={"old": "1"}, key=new_key())
    assert (off.is_active, off.metadata) == (False, {"old": "1"})
    found = await prices.list_all(shop.door)
    of_product = [one for one in found.items if one.product_id == product.id]
    assert found.is_complete
    assert {one.id for one in of_product} == made
    assert len(of_product) == len(made)
    cut = await prices.list_all(shop.door, limit=101)
    assert (len(cut.items), cut.is_complete) == (101, False)


async def test_a_new_price_takes_the_lookup_key_over(shop: Shop) -> None:
    product = await prices.create_product(
        shop.door, name="Solo", description="For one", metadata={"plan": "SOLO"}, key=new_key()
    )
    assert product.description == "For one"

    async def priced(amount: int) -> StripePrice:
        return await prices.create_price(
            shop.door,
            product_id=product.id,
            unit_amount=amount,
            currency="USD",
            interval="month",
            lookup_key="solo_monthly",
            metadata={},
            key=new_key(),
        )

    older, newer = await priced(900), await priced(1000)
    assert newer.lookup_key == "solo_monthly"
    assert (await prices.retrieve(shop.door, older.id)).lookup_key is None
    renamed = await prices.update_product(shop.door, product.id, name="Solo+", metadata={"more": "1"}, key=new_key())
    assert (renamed.name, renamed.metadata) == ("Solo+", {"plan": "SOLO", "more": "1"})
