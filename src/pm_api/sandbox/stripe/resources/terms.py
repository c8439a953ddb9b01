"""Reading what subscriptions, previews and checkout sessions are asked for in the same words."""

from pm_api.sandbox.stripe.billing.changes import ItemWish
from pm_api.sandbox.stripe.billing.records import on_timeline
from pm_api.sandbox.stripe.errors import InvalidParameter, InvalidRequest, MissingParameter
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.wire import ApiCall, referenced
from pm_api.sandbox.stripe.world import Sandbox

DAY_S = 24 * 60 * 60
PRORATIONS = ("always_invoice", "create_prorations", "none")
ITEM_FIELDS = ("deleted", "id", "metadata", "price", "quantity")
MISSING_CARD_ENDS = ("cancel", "create_invoice", "pause")


def timeline_of(call: ApiCall, body: Json) -> Sandbox:
    """The sandbox at the moment where this object (a customer, subscription or invoice) lives."""
    return on_timeline(call.sandbox, body["test_clock"]).asked_by(call.origin)


def read_price(sandbox: Sandbox, params: Params) -> Json | None:
    """The active price that an entry names."""
    price_id = params.text("price")
    if price_id is None:
        return None
    price = referenced(sandbox, "price", price_id, param=params.name_of("price"))
    if not price["active"]:
        raise InvalidRequest(
            f"The price specified is inactive. This field only accepts active prices: {price_id}",
            param=params.name_of("price"),
        )
    return price


def read_quantity(params: Params) -> int | None:
    quantity = params.integer("quantity")
    if quantity is not None and quantity < 1:
        raise InvalidParameter("This value must be greater than or equal to 1.", param=params.name_of("quantity"))
    return quantity


def read_item_wishes(sandbox: Sandbox, params: Params) -> list[ItemWish]:
    """`items` of an update: entries with an `id` change that item, others add one."""
    wishes = []
    for entry in params.entries("items", limit=20):
        entry.refuse_unknown(ITEM_FIELDS)
        wishes.append(
            ItemWish(
                item_id=entry.text("id"),
                price=read_price(sandbox, entry),
                quantity=read_quantity(entry),
                metadata=entry.metadata() if "metadata" in entry else None,
                deleted=entry.boolean("deleted") is True,
            )
        )
    return wishes


def read_first_items(sandbox: Sandbox, params: Params) -> list[tuple[Json, int, dict[str, str]]]:
    """`items` of something new, as (price, quantity, metadata)."""
    entries = params.entries("items", limit=20)
    if not entries:
        raise MissingParameter(params.name_of("items"))
    items = []
    for entry in entries:
        entry.refuse_unknown(("metadata", "price", "quantity"))
        price = read_price(sandbox, entry)
        if price is None:
            raise MissingParameter(entry.name_of("price"))
        items.append((price, read_quantity(entry) or 1, entry.metadata()))
    return items


def read_prorations(params: Params) -> str:
    return params.choice("proration_behavior", PRORATIONS) or "create_prorations"


def read_trial_end(sandbox: Sandbox, params: Params) -> int | None:
    """A moment ahead, 0 for `now`, None when nothing is said. `trial_period_days` counts from now."""
    days = params.integer("trial_period_days")
    if days is not None:
        if params.text("trial_end") is not None:
            raise InvalidParameter("You may only specify one of these parameters: trial_end, trial_period_days.")
        if not 1 <= days <= 730:
            raise InvalidParameter("Trial periods last 1 to 730 days.", param=params.name_of("trial_period_days"))
        return sandbox.now() + days * DAY_S
    if params.text("trial_end") == "now":
        return 0
    trial_end = params.integer("trial_end")
    if trial_end is not None and trial_end <= sandbox.now():
        raise InvalidRequest("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
    return trial_end


def read_missing_card(params: Params) -> str:
    """What `trial_settings` says about a trial that ends without a card."""
    settings = params.within("trial_settings")
    if settings is None:
        return "create_invoice"
    settings.refuse_unknown(("end_behavior",))
    behaviour = settings.within("end_behavior")
    if behaviour is None:
        raise MissingParameter(settings.name_of("end_behavior"))
    behaviour.refuse_unknown(("missing_payment_method",))
    return behaviour.choice("missing_payment_method", MISSING_CARD_ENDS) or "create_invoice"


def read_billing_mode(params: Params) -> Json:
    """Classic unless asked otherwise; flexible credits what was really billed."""
    mode = params.within("billing_mode")
    if mode is None:
        return {"flexible": None, "type": "classic"}
    mode.refuse_unknown(("flexible", "type"))
    kind = mode.choice("type", ("classic", "flexible"))
    if kind is None:
        raise MissingParameter(mode.name_of("type"))
    options = mode.within("flexible")
    if options is not None:
        options.refuse_unknown(("proration_discounts",))
        options.choice("proration_discounts", ("included",))
    return {"flexible": {"proration_discounts": "included"} if kind == "flexible" else None, "type": kind}


def read_payment_settings(params: Params) -> str:
    """Whether the card of a successful payment becomes the subscription's own."""
    settings = params.within("payment_settings")
    if settings is None:
        return "off"
    settings.refuse_unknown(("payment_method_types", "save_default_payment_method"))
    if set(settings.texts("payment_method_types")) - {"card"}:
        raise InvalidParameter("Invalid payment_method_types: must be card", param="payment_settings")
    return settings.choice("save_default_payment_method", ("off", "on_subscription")) or "off"


def read_cancellation_details(params: Params) -> Json:
    details = params.within("cancellation_details")
    if details is None:
        return {}
    details.refuse_unknown(("comment", "feedback"))
    return {name: details.text(name) for name in ("comment", "feedback") if name in details}
