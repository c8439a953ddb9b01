"""`expand[]`: ids that become objects, and fields that are only there when asked for."""

from collections.abc import Callable

from pm_api.sandbox.stripe.errors import InvalidParameter
from pm_api.sandbox.stripe.objects.common import Json, list_object
from pm_api.sandbox.stripe.store import Store

DEPTH_LIMIT = 4
INCLUDED_ITEMS_LIMIT = 10

# Fields that hold an id, by the object they stand in; a dot leads into a plain structure.
REFERENCES: dict[str, tuple[str, ...]] = {
    "charge": ("customer", "payment_intent", "balance_transaction"),
    "checkout.session": ("customer", "payment_intent", "invoice", "subscription", "setup_intent", "payment_link"),
    "customer": ("default_source", "invoice_settings.default_payment_method", "test_clock"),
    "payment_intent": ("customer", "latest_charge", "payment_method"),
    "payment_method": ("customer",),
    "price": ("product",),
    "product": ("default_price",),
}


def _line_items(store: Store, session: Json) -> Json:
    items = store.children(session["id"])
    return list_object(
        items[:INCLUDED_ITEMS_LIMIT],
        f"/v1/checkout/sessions/{session['id']}/line_items",
        has_more=len(items) > INCLUDED_ITEMS_LIMIT,
    )


# Fields that are absent until expanded.
INCLUDABLE: dict[tuple[str, str], Callable[[Store, Json], Json]] = {
    ("checkout.session", "line_items"): _line_items,
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
        identifier = holder.get(names[-1])
        if isinstance(identifier, str):
            holder[names[-1]] = store.find(identifier) or identifier
        if isinstance(holder.get(names[-1]), dict):
            _expand(store, holder[names[-1]], steps[len(names) :], path)
        return True
    return False
