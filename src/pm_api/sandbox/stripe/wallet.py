"""A customer's cards: made from a test card, kept, changed, taken away."""

from copy import deepcopy
from dataclasses import dataclass

from pm_api.sandbox.stripe.billing.records import ENDED
from pm_api.sandbox.stripe.cards import CARDS, Card, CardBehaviour, card_behind
from pm_api.sandbox.stripe.errors import CardRefused, InvalidRequest, ReferenceMissing
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.payments import build_card
from pm_api.sandbox.stripe.payments import declined_error
from pm_api.sandbox.stripe.store import field_is
from pm_api.sandbox.stripe.telling import told
from pm_api.sandbox.stripe.world import Sandbox

YEARS_VALID = 4
# Ids that Stripe's libraries and examples use for a number, beside the one that the card itself names.
OTHER_TOKENS = {
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_us": "4242424242424242",
    "pm_card_visa_chargeCustomerFail": "4000000000000341",
}
TOKENS = {card.token: card for card in CARDS.values()} | {
    token: CARDS[number] for token, number in OTHER_TOKENS.items()
}
USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To "
    "use a PaymentMethod multiple times, you must attach it to a Customer first."
)


@dataclass(frozen=True)
class Typed:
    """A card as somebody typed it. `expires` is (month, year)."""

    card: Card
    expires: tuple[int, int]
    email: str | None = None
    name: str | None = None


def make(sandbox: Sandbox, typed: Typed) -> Json:
    """Store a payment method that belongs to nobody yet; tells nobody, as at Stripe."""
    method = build_card(
        created=sandbox.now(),
        last4=typed.card.last4,
        fingerprint=typed.card.fingerprint,
        expires=typed.expires,
        email=typed.email,
        name=typed.name,
        brand=typed.card.brand,
    )
    method["allow_redisplay"] = "unspecified"
    return sandbox.store.save(method)


def find(sandbox: Sandbox, identifier: str, *, param: str = "payment_method") -> Json:
    """The payment method of that id; a test id such as `pm_card_visa` makes a new one each time.

    Raises `ReferenceMissing`.
    """
    card = TOKENS.get(identifier)
    if card is not None:
        return make(sandbox, Typed(card, (sandbox.clock().month, sandbox.clock().year + YEARS_VALID)))
    method = sandbox.store.find(identifier, "payment_method")
    if method is None:
        raise ReferenceMissing("PaymentMethod", identifier, param=param)
    return method


def find_usable(sandbox: Sandbox, identifier: str, customer_id: str | None) -> Json:
    """As `find`, and this customer may use it: it is the customer's own, or nobody's and new."""
    method = find(sandbox, identifier)
    if method["customer"] is None:
        refuse_used_up(sandbox, method)
    elif customer_id is None:
        raise InvalidRequest(
            f"The PaymentMethod {method['id']} belongs to the Customer {method['customer']}. Please include the "
            "Customer in the `customer` parameter.",
            param="payment_method",
        )
    elif method["customer"] != customer_id:
        raise InvalidRequest(
            f"The PaymentMethod {method['id']} does not belong to the Customer you supplied {customer_id}. Please "
            "use this PaymentMethod with the Customer that it belongs to instead.",
            param="payment_method",
        )
    return method


def attach(sandbox: Sandbox, method: Json, customer: Json) -> Json:
    """Keep it on a customer. A card that declines at once cannot be kept: raises `CardRefused`."""
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None:
        raise InvalidRequest("The payment method you provided has already been attached to a customer.")
    refuse_used_up(sandbox, method)
    if card_behind(method).behaviour is CardBehaviour.DECLINES:
        error = declined_error(method)
        error.pop("payment_method")
        raise CardRefused(error, keeps_effects=False)
    method["customer"] = customer["id"]
    sandbox.store.save(method)
    sandbox.publish("payment_method.attached", method)
    return method


def detach(sandbox: Sandbox, method: Json) -> Json:
    """Take it from its customer for good, and from wherever it was the default."""
    customer_id = method["customer"]
    if customer_id is None:
        raise InvalidRequest(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    before = deepcopy(method)
    method["customer"] = None
    use_up(sandbox, method)
    told(sandbox, before, method, "payment_method.detached")
    customer = sandbox.store.find(customer_id, "customer")
    if customer is not None and not customer.get("deleted"):
        settings = customer["invoice_settings"]
        if settings["default_payment_method"] == method["id"]:
            set_default(sandbox, customer, None)
    for subscription in sandbox.store.all("subscription", [field_is("default_payment_method", method["id"])]):
        if subscription["status"] in ENDED:
            continue
        earlier = deepcopy(subscription)
        subscription["default_payment_method"] = None
        told(sandbox, earlier, subscription, "customer.subscription.updated")
    return method


def set_default(sandbox: Sandbox, customer: Json, method_id: str | None) -> Json:
    """The card that the customer's invoices are paid with."""
    before = deepcopy(customer)
    customer["invoice_settings"]["default_payment_method"] = method_id
    return told(sandbox, before, customer, "customer.updated")


def own(sandbox: Sandbox, customer_id: str, method_id: str, *, param: str) -> Json:
    """A payment method that is attached to this customer. Raises `InvalidRequest`."""
    method = sandbox.store.find(method_id, "payment_method")
    if method is None:
        raise ReferenceMissing("PaymentMethod", method_id, param=param)
    if method["customer"] != customer_id:
        raise InvalidRequest(
            f"The customer does not have a payment method with the ID {method_id}. The payment method must be "
            "attached to the customer.",
            param=param,
            code="resource_missing",
        )
    return method


def cards_of(sandbox: Sandbox, customer_id: str) -> list[Json]:
    """Newest first."""
    return sandbox.store.all("payment_method", [field_is("customer", customer_id)])[::-1]


def use_up(sandbox: Sandbox, method: Json) -> None:
    """Used once without a customer, or detached: nobody may use it again."""
    sandbox.store.save({"id": f"{method['id']}.used_up", "object": "sandbox.used_up"})


def refuse_used_up(sandbox: Sandbox, method: Json) -> None:
    if sandbox.store.find(f"{method['id']}.used_up") is not None:
        raise InvalidRequest(USED_UP, param="payment_method")
