"""Queries of products and prices."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.billing.models.prices import Price, Product

CATALOGUE_LOCK: Final = 0x70726963657300  # any number that nobody else locks


async def price(session: AsyncSession, price_id: str) -> Price | None:
    """As committed now."""
    return await session.scalar(select(Price).where(Price.id == price_id).execution_options(populate_existing=True))


async def on_sale(session: AsyncSession, kinds: Sequence[str], name: str, interval: str | None) -> Price | None:
    """The price at which something is bought, unless Stripe has put it or its product away since."""
    return await session.scalar(
        select(Price)
        .join(Product, Product.id == Price.product_id)
        .where(
            Price.on_sale,
            Price.item_kind.in_(kinds),
            Price.item_name == name,
            Price.billing_interval == interval if interval is not None else Price.billing_interval.is_(None),
            Price.is_active,
            Price.deleted_at.is_(None),
            Product.is_active,
            Product.deleted_at.is_(None),
        )
    )


async def lock_product(session: AsyncSession, product_id: str) -> Product | None:
    """Before the prices of the product, always."""
    return await session.scalar(
        select(Product).where(Product.id == product_id).with_for_update().execution_options(populate_existing=True)
    )


async def lock_price(session: AsyncSession, price_id: str) -> Price | None:
    return await session.scalar(
        select(Price).where(Price.id == price_id).with_for_update().execution_options(populate_existing=True)
    )


async def lock_prices_of(session: AsyncSession, product_id: str) -> Sequence[Price]:
    """A product's prices, by id. Locked first and read in the next statement: one may have changed meanwhile."""
    ids = await session.scalars(
        select(Price.id).where(Price.product_id == product_id).order_by(Price.id).with_for_update()
    )
    rows = await session.scalars(
        select(Price).where(Price.id.in_(list(ids))).order_by(Price.id).execution_options(populate_existing=True)
    )
    return rows.all()


async def insert_product(session: AsyncSession, values: dict[str, Any]) -> None:
    """Unless it is there."""
    await session.execute(insert(Product).values(**values).on_conflict_do_nothing(index_elements=[Product.id]))


async def insert_price(session: AsyncSession, values: dict[str, Any]) -> None:
    """Unless it is there."""
    await session.execute(insert(Price).values(**values).on_conflict_do_nothing(index_elements=[Price.id]))


async def lock_catalogue(session: AsyncSession) -> None:
    """One synchronisation at a time."""
    await session.execute(select(func.pg_advisory_xact_lock(CATALOGUE_LOCK)))


async def all_prices(session: AsyncSession) -> list[tuple[Price, Product | None]]:
    """Every price we know with its product, newest first."""
    rows = await session.execute(
        select(Price, Product)
        .join(Product, Product.id == Price.product_id, isouter=True)
        .order_by(Price.created_at.desc(), Price.id)
        .execution_options(populate_existing=True)
    )
    return [(price, product) for price, product in rows]


async def count_on_sale(session: AsyncSession) -> int:
    return len((await session.scalars(select(Price.id).where(Price.on_sale))).all())


async def sell_only(session: AsyncSession, price_ids: Sequence[str]) -> None:
    """These prices are on sale, and no others. Those that go are first: one may come in another's place."""
    await session.execute(update(Price).where(Price.on_sale, Price.id.not_in(price_ids)).values(on_sale=False))
    await session.execute(update(Price).where(~Price.on_sale, Price.id.in_(price_ids)).values(on_sale=True))
