"""A change of a subscription, planned without touching anything: a preview and the real change are one plan."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from pm_api.sandbox.stripe.billing.arithmetic import boundary, share
from pm_api.sandbox.stripe.billing.bases import basis_of, remember_basis
from pm_api.sandbox.stripe.billing.entries import Entry, amount_of, period_entry, product_name, shown_day
from pm_api.sandbox.stripe.billing.records import customer_of, items_of, period_of
from pm_api.sandbox.stripe.errors import InvalidRequest, ReferenceMissing
from pm_api.sandbox.stripe.objects.common import Json, new_id
from pm_api.sandbox.stripe.objects.invoices import build_invoice_item, price_details
from pm_api.sandbox.stripe.objects.subscriptions import build_subscription_item, items_list
from pm_api.sandbox.stripe.store import Store
from pm_api.sandbox.stripe.world import Sandbox


@dataclass(frozen=True)
class ItemWish:
    """One entry of `items`: an existing item (`item_id`) or a new one. None leaves a field as it is."""

    item_id: str | None = None
    price: Json | None = None
    quantity: int | None = None
    metadata: dict[str, str] | None = None
    deleted: bool = False


@dataclass(frozen=True)
class Wish:
    """What is to be different. `trial_end` is a moment, or 0 for now; `restart` begins a new cycle now."""

    items: Sequence[ItemWish] = ()
    proration_behavior: str = "create_prorations"
    proration_date: int | None = None
    restart: bool = False
    trial_end: int | None = None


@dataclass(frozen=True)
class Change:
    """The items as they will be and what that costs. `bills_now` says that an invoice follows at once."""

    items: list[Json]
    entries: tuple[Entry, ...]
    bills_now: bool
    fields: Json = field(default_factory=dict)


def plan(sandbox: Sandbox, subscription: Json, wish: Wish) -> Change:
    """Prorated by the second of the period; raises the refusal that the change would meet."""
    now = sandbox.now()
    if not wish.items and not wish.restart and wish.trial_end is None:
        return Change(deepcopy(items_of(subscription)), (), bills_now=False)
    start, end = period_of(subscription)
    at = now if wish.proration_date is None else wish.proration_date
    if not start <= at <= end:
        raise InvalidRequest(
            "Invalid proration_date: must be within the current billing period.", param="proration_date"
        )
    items = planned_items(sandbox, subscription, wish.items)
    always = wish.proration_behavior == "always_invoice"
    prorates = wish.proration_behavior != "none"
    trialing = subscription["status"] == "trialing"
    if trialing and wish.trial_end is None and not wish.restart:
        return Change(items, (), bills_now=False)
    if wish.trial_end:
        credits = () if trialing or not prorates else _credits(sandbox.store, subscription, at)
        for item in items:
            item.update(current_period_start=start if trialing else now, current_period_end=wish.trial_end)
        fields = {
            "status": "trialing",
            "trial_start": subscription["trial_start"] if trialing else now,
            "trial_end": wish.trial_end,
            "billing_cycle_anchor": wish.trial_end,
        }
        return Change(items, tuple(credits), bills_now=always and bool(credits), fields=fields)
    terms = items[0]["price"]["recurring"]
    old_terms = items_of(subscription)[0]["price"]["recurring"]
    if wish.restart or wish.trial_end == 0 or terms_of(terms) != terms_of(old_terms):
        credits = () if trialing or not prorates else _credits(sandbox.store, subscription, at)
        for item in items:
            item.update(current_period_start=now, current_period_end=boundary(now, terms, 1))
        entries = (*credits, *(period_entry(sandbox.store, item) for item in items))
        fields = {"billing_cycle_anchor": now}
        if trialing:
            fields.update(status="active", trial_end=now)
        return Change(items, entries, bills_now=True, fields=fields)
    if not prorates:
        return Change(items, (), bills_now=False)
    entries = _prorations(sandbox.store, subscription, items, at)
    return Change(items, entries, bills_now=always and bool(entries))


def terms_of(recurring: Json) -> tuple[str, int]:
    return str(recurring["interval"]), int(recurring["interval_count"])


def planned_items(sandbox: Sandbox, subscription: Json, wishes: Sequence[ItemWish]) -> list[Json]:
    """Copies of the items with the wishes applied."""
    items = deepcopy(items_of(subscription))
    for wish in wishes:
        if wish.item_id is None:
            items.append(_new_item(sandbox, subscription, wish))
            continue
        found = next((item for item in items if item["id"] == wish.item_id), None)
        if found is None:
            raise ReferenceMissing("subscription_item", wish.item_id, param="items")
        if wish.deleted:
            items.remove(found)
            continue
        fresh = build_subscription_item(
            created=found["created"],
            subscription_id=subscription["id"],
            price=wish.price or found["price"],
            quantity=found["quantity"] if wish.quantity is None else wish.quantity,
            period=(found["current_period_start"], found["current_period_end"]),
            metadata=found["metadata"] if wish.metadata is None else wish.metadata,
            item_id=found["id"],
        )
        found.update(fresh)
    check_prices([item["price"] for item in items], subscription["currency"])
    return items


def check_prices(prices: Sequence[Json], currency: str) -> None:
    """Raises for what cannot stand on one subscription."""
    if not prices:
        raise InvalidRequest("A subscription must have at least one active plan.", param="items")
    if len({price["id"] for price in prices}) < len(prices):
        raise InvalidRequest("Cannot add multiple subscription items with the same plan.", param="items")
    for price in prices:
        if price["recurring"] is None:
            raise InvalidRequest(
                f"The price specified is set to `type=one_time` but this field only accepts prices with "
                f"`type=recurring`: {price['id']}",
                param="items",
            )
        if price["currency"] != currency:
            raise InvalidRequest("All prices of a subscription must have the same currency.", param="items")
    if len({terms_of(price["recurring"]) for price in prices}) > 1:
        raise InvalidRequest(
            "Currently, all prices on a subscription must have the same `recurring.interval` and "
            "`recurring.interval_count`.",
            param="items",
        )


def adopt(sandbox: Sandbox, subscription: Json, change: Change) -> None:
    """Make the plan true in the body given; what is not billed at once waits as invoice items. Tells of those."""
    subscription.update(change.fields)
    subscription["items"] = items_list(subscription["id"], change.items)
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = period_of(subscription)[1]
    if change.bills_now or not change.entries:
        return
    customer = customer_of(sandbox, subscription["customer"])
    for entry in change.entries:
        _let_wait(sandbox, customer, entry)


def unused(sandbox: Sandbox, subscription: Json) -> tuple[Entry, ...]:
    """Credits for the rest of the current period, as of now."""
    if subscription["status"] == "trialing":
        return ()
    return tuple(_credits(sandbox.store, subscription, sandbox.now()))


def let_wait(sandbox: Sandbox, subscription: Json, entries: Sequence[Entry]) -> None:
    """Entries that the next invoice will take."""
    customer = customer_of(sandbox, subscription["customer"])
    for entry in entries:
        _let_wait(sandbox, customer, entry)


def _let_wait(sandbox: Sandbox, customer: Json, entry: Entry) -> None:
    assert entry.price is not None
    item = build_invoice_item(
        created=sandbox.now(),
        customer=customer,
        amount=entry.amount,
        currency=entry.currency,
        description=entry.description,
        period=entry.period,
        quantity=entry.quantity,
        pricing=price_details(entry.price),
        subscription_id=entry.subscription,
        subscription_item=entry.item,
        proration=True,
        discountable=entry.discountable,
    )
    sandbox.store.save(item, parent=customer["id"])
    sandbox.publish("invoiceitem.created", item)
    if entry.amount >= 0:
        remember_basis(sandbox.store, entry, entry.amount, invoice=None, line=None)


def _new_item(sandbox: Sandbox, subscription: Json, wish: ItemWish) -> Json:
    if wish.price is None:
        raise InvalidRequest("A new item needs a price.", param="items")
    return build_subscription_item(
        created=sandbox.now(),
        subscription_id=subscription["id"],
        price=wish.price,
        quantity=1 if wish.quantity is None else wish.quantity,
        period=period_of(subscription),
        metadata=wish.metadata,
        item_id=new_id("si"),
    )


def _prorations(store: Store, subscription: Json, items: Sequence[Json], at: int) -> tuple[Entry, ...]:
    """Credits and charges for the items that differ, in the order of the items."""
    before = {item["id"]: item for item in items_of(subscription)}
    after = {item["id"]: item for item in items}
    entries: list[Entry] = []
    for item_id in dict.fromkeys((*before, *after)):
        old, new = before.get(item_id), after.get(item_id)
        if old and new and (old["price"]["id"], old["quantity"]) == (new["price"]["id"], new["quantity"]):
            continue
        if old is not None:
            entries.extend(_credit(store, subscription, old, at))
        if new is not None:
            entries.extend(_remaining(store, new, at))
    return tuple(entries)


def _credits(store: Store, subscription: Json, at: int) -> list[Entry]:
    return [entry for item in items_of(subscription) for entry in _credit(store, subscription, item, at)]


def _credit(store: Store, subscription: Json, item: Json, at: int) -> list[Entry]:
    """Unused time. Classic billing takes it from the price, flexible from what was really billed."""
    start, end = item["current_period_start"], item["current_period_end"]
    basis = basis_of(store, subscription["id"], item["id"])
    flexible = subscription["billing_mode"]["type"] == "flexible" and basis is not None
    credited = None
    if flexible and basis is not None:
        amount = share(basis["amount"], max(0, basis["end"] - at), basis["end"] - basis["start"])
        credited = (basis["invoice"], basis["line"]) if basis["invoice"] else None
    else:
        amount = share(amount_of(item), end - at, end - start)
    if amount == 0:
        return []
    name = product_name(store, item["price"])
    return [_entry(item, -amount, f"Unused time on {name} after {shown_day(at)}", (at, end), not flexible, credited)]


def _remaining(store: Store, item: Json, at: int) -> list[Entry]:
    start, end = item["current_period_start"], item["current_period_end"]
    amount = share(amount_of(item), end - at, end - start)
    name = product_name(store, item["price"])
    times = f"{item['quantity']} × " if item["quantity"] > 1 else ""
    if end == at:
        return []
    return [_entry(item, amount, f"Remaining time on {times}{name} after {shown_day(at)}", (at, end), True, None)]


def _entry(
    item: Json,
    amount: int,
    description: str,
    period: tuple[int, int],
    discountable: bool,
    credited: tuple[str, str] | None,
) -> Entry:
    return Entry(
        amount=amount,
        currency=item["price"]["currency"],
        description=description,
        period=period,
        quantity=item["quantity"],
        price=item["price"],
        item=item["id"],
        subscription=item["subscription"],
        proration=True,
        discountable=discountable,
        credited=credited,
    )
