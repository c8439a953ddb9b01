"""`expand[]`: ids that become objects, and fields that are only there when asked for."""

from collections.abc import Callable

from pm_api.sandbox.stripe.errors import InvalidParameter
from pm_api.sandbox.stripe.objects.common import Json, list_object
from pm_api.sandbox.stripe.store import Store

DEPTH_LIMIT = 4
INCLUDED_ITEMS_LIMIT = 10

# Fields that hold an id, by the object they stand in; a dot leads into a plain structure.
REFERENCES: dict[str, tuple[str, ...]] = {
    "charge": ("customer", "payment_intent", "payment_method", "balance_transaction"),
    "billing_portal.session": ("configuration",),
    "checkout.session": ("customer", "payment_intent", "invoice", "subscription", "setup_intent", "payment_link"),
    "customer": ("default_source", "invoice_settings.default_payment_method", "test_clock"),
    "customer_balance_transaction": ("customer", "invoice"),
    "discount": ("customer", "promotion_code", "source.coupon"),
    "dispute": ("charge", "payment_intent"),
    "invoice": (
        "customer",
        "default_payment_method",
        "discounts",
        "parent.subscription_details.subscription",
        "test_clock",
    ),
    "invoice_payment": ("invoice", "payment.payment_intent"),
    "invoiceitem": ("customer", "invoice", "pricing.price_details.price", "test_clock"),
    "line_item": ("discounts", "pricing.price_details.price", "subscription"),
    "payment_intent": ("customer", "latest_charge", "payment_method"),
    "payment_method": ("customer",),
    "price": ("product",),
    "product": ("default_price",),
    "promotion_code": ("customer", "promotion.coupon"),
    "refund": ("balance_transaction", "charge", "failure_balance_transaction", "payment_intent"),
    "setup_attempt": ("customer", "payment_method", "setup_intent"),
    "setup_intent": ("customer", "latest_attempt", "payment_method"),
    "subscription": (
        "customer",
        "default_payment_method",
        "discounts",
        "latest_invoice",
        "pending_setup_intent",
        "schedule",
        "test_clock",
    ),
    "subscription_schedule": ("customer", "default_settings.default_payment_method", "subscription", "test_clock"),
}


def _line_items(store: Store, session: Json) -> Json:
    items = store.children(session["id"])
    return list_object(
        items[:INCLUDED_ITEMS_LIMIT],
        f"/v1/checkout/sessions/{session['id']}/line_items",
        has_more=len(items) > INCLUDED_ITEMS_LIMIT,
    )


def _payments(store: Store, invoice: Json) -> Json:
    payments = store.children(invoice["id"], "invoice_payment")[::-1]
    return list_object(payments, f"/v1/invoice_payments?invoice={invoice['id']}")


def _confirmation_secret(store: Store, invoice: Json) -> Json | None:
    """What the buyer's browser needs to pay an open invoice."""
    for payment in _payments(store, invoice)["data"]:
        intent = store.find(payment["payment"]["payment_intent"], "payment_intent")
        if payment["status"] != "canceled" and intent is not None:
            return {"client_secret": intent["client_secret"], "type": "payment_intent"}
    return None


# Fields that are absent until expanded.
INCLUDABLE: dict[tuple[str, str], Callable[[Store, Json], Json | None]] = {
    ("checkout.session", "line_items"): _line_items,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("invoice", "payments"): _payments,
}


def expand(store: Store, body: Json, paths: list[str]) -> Json:
    """The body with every path expanded in place; raises `InvalidParameter` for one that cannot be."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH_LIMIT:
            raise InvalidParameter(f"You cannot expand more than {DEPTH_LIMIT} levels of a property.", param="expand")
        _expand(store, body, steps, path)
    return body


def _expand(store: Store, owner: Json, steps: list[str], path: str) -> None:
    if not steps:
        return
    if owner.get("object") == "list" and steps[0] == "data":
        for item in owner["data"]:
            _expand(store, item, steps[1:], path)
        return
    kind = str(owner.get("object"))
    include = INCLUDABLE.get((kind, steps[0]))
    if include is not None and steps[0] not in owner:
        owner[steps[0]] = include(store, owner)
    if include is not None and (len(steps) == 1 or owner[steps[0]] is None):
        return
    if _expand_reference(store, owner, kind, steps, path):
        return
    inner = owner.get(steps[0])
    if not isinstance(inner, dict) or "object" not in inner:
        raise InvalidParameter(f"This property cannot be expanded ({path}).", param="expand")
    _expand(store, inner, steps[1:], path)


def _expand_reference(store: Store, owner: Json, kind: str, steps: list[str], path: str) -> bool:
    for reference in REFERENCES.get(kind, ()):
        names = reference.split(".")
        if steps[: len(names)] != names:
            continue
        holder = owner
        for name in names[:-1]:
            holder = holder.get(name) or {}
        held = holder.get(names[-1])
        if isinstance(held, str):
            holder[names[-1]] = store.find(held) or held
        elif isinstance(held, list):
            holder[names[-1]] = [store.find(one) or one if isinstance(one, str) else one for one in held]
        found = holder.get(names[-1])
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, dict):
                _expand(store, one, steps[len(names) :], path)
        return True
    return False
