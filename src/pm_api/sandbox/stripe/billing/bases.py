"""What each subscription item was really billed: flexible billing credits unused time from this."""

from pm_api.sandbox.stripe.billing.entries import Entry
from pm_api.sandbox.stripe.billing.records import state_of
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.store import Store

KEPT = 20


def remember_basis(store: Store, entry: Entry, amount: int, *, invoice: str | None, line: str | None) -> None:
    """`amount` is what the entry costs after discounts. An item that still waits has no invoice yet."""
    if entry.subscription is None or entry.item is None:
        return
    state = state_of(store, entry.subscription)
    basis = {"amount": amount, "start": entry.period[0], "end": entry.period[1], "invoice": invoice, "line": line}
    state["bases"][entry.item] = [*state["bases"].get(entry.item, []), basis][-KEPT:]
    store.save(state)


def basis_of(store: Store, subscription_id: str, item_id: str) -> Json | None:
    """The last that was billed for the item; what a void invoice said was never billed."""
    for basis in reversed(state_of(store, subscription_id)["bases"].get(item_id, [])):
        invoice = store.find(basis["invoice"], "invoice") if basis["invoice"] else None
        if invoice is None or invoice["status"] != "void":
            found: Json = basis
            return found
    return None
