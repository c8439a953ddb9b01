"""What is to be billed, before it becomes lines of an invoice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Store

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}


@dataclass(frozen=True)
class Entry:
    """One line to be. `amount` is before discounts, in minor units, negative for a credit.

    `item` is the subscription item it bills, `invoice_item` the stored one it comes from, `credited` the invoice
    and line that a credit takes back from.
    """

    amount: int
    currency: str
    description: str | None
    period: tuple[int, int]
    quantity: int = 1
    price: Json | None = None
    item: str | None = None
    subscription: str | None = None
    proration: bool = False
    discountable: bool = True
    invoice_item: Json | None = None
    credited: tuple[str, str] | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def shown_day(moment: int) -> str:
    day = datetime.fromtimestamp(moment, UTC)
    return f"{day.day} {day:%b %Y}"


def product_name(store: Store, price: Json) -> str:
    product = store.find(price["product"], "product")
    return str(product["name"]) if product else str(price["product"])


def amount_of(item: Json) -> int:
    """A whole period of a subscription item."""
    return int(item["price"]["unit_amount"]) * int(item["quantity"])


def period_entry(
    store: Store, item: Json, *, amount: int | None = None, period: tuple[int, int] | None = None
) -> Entry:
    """A period of an item: its own and whole, unless told otherwise."""
    price = item["price"]
    return Entry(
        amount=amount_of(item) if amount is None else amount,
        currency=price["currency"],
        description=f"{item['quantity']} × {product_name(store, price)} ({_terms(price)})",
        period=period or (item["current_period_start"], item["current_period_end"]),
        quantity=item["quantity"],
        price=price,
        item=item["id"],
        subscription=item["subscription"],
    )


def trial_entry(store: Store, item: Json) -> Entry:
    """The trial costs nothing and still has its line."""
    entry = period_entry(store, item, amount=0)
    named = f"Free trial for {item['quantity']} × {product_name(store, item['price'])}"
    return Entry(**{**entry.__dict__, "description": named})


def _terms(price: Json) -> str:
    terms, unit = price["recurring"], price["unit_amount"] / 100
    every = terms["interval"] if terms["interval_count"] == 1 else f"{terms['interval_count']} {terms['interval']}s"
    return f"at {SYMBOLS.get(price['currency'], price['currency'].upper() + ' ')}{unit:,.2f} / {every}"
