"""How a subscription begins: prepared for a look or for good, then opened and, where it can be, paid."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pm_api.sandbox.stripe.billing.arithmetic import boundary, share
from pm_api.sandbox.stripe.billing.bills import Bill, bill_for, issue, note_on
from pm_api.sandbox.stripe.billing.changes import check_prices
from pm_api.sandbox.stripe.billing.collection import card_for, collect
from pm_api.sandbox.stripe.billing.discounts import give, store_given
from pm_api.sandbox.stripe.billing.entries import Entry, amount_of, period_entry, trial_entry
from pm_api.sandbox.stripe.billing.invoicing import intent_of
from pm_api.sandbox.stripe.billing.records import TRIAL_NOTICE_S, keep, state_of
from pm_api.sandbox.stripe.cards import asks_holder
from pm_api.sandbox.stripe.errors import CardRefused, InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json, new_id
from pm_api.sandbox.stripe.objects.setups import build_setup_intent
from pm_api.sandbox.stripe.objects.subscriptions import build_subscription, build_subscription_item
from pm_api.sandbox.stripe.payments import Attempt, Outcome, card_error
from pm_api.sandbox.stripe.world import Sandbox


@dataclass(frozen=True)
class Beginning:
    """A subscription to be. `items` are (price, quantity, metadata); moments are Unix seconds."""

    customer: Json
    items: Sequence[tuple[Json, int, dict[str, str]]]
    billing_mode: Json
    trial_end: int | None = None
    billing_cycle_anchor: int | None = None
    proration_behavior: str = "create_prorations"
    payment_behavior: str = "allow_incomplete"
    default_payment_method: str | None = None
    discounts: Sequence[Json] = ()
    fields: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    subscription: Json
    bill: Bill
    discounts: list[Json]


def prepare(sandbox: Sandbox, wish: Beginning, *, invoice_id: str | None = None) -> Prepared:
    """The subscription with its first bill, as they would be now; nothing is stored."""
    prices = [price for price, _, _ in wish.items]
    check_prices(prices, prices[0]["currency"] if prices else "")
    now, terms = sandbox.now(), prices[0]["recurring"]
    anchor = wish.trial_end or wish.billing_cycle_anchor
    period = (now, anchor or boundary(now, terms, 1))
    subscription_id = new_id("sub")
    items = [
        build_subscription_item(
            created=now,
            subscription_id=subscription_id,
            price=price,
            quantity=quantity,
            period=period,
            metadata=metadata,
        )
        for price, quantity, metadata in wish.items
    ]
    discounts = give(sandbox, wish.discounts, customer_id=wish.customer["id"], subscription_id=subscription_id)
    subscription = build_subscription(
        subscription_id=subscription_id,
        created=now,
        customer_id=wish.customer["id"],
        currency=prices[0]["currency"],
        items=items,
        status="trialing" if wish.trial_end else "incomplete",
        billing_cycle_anchor=anchor or now,
        billing_mode=wish.billing_mode,
        trial=(now, wish.trial_end) if wish.trial_end else None,
        default_payment_method=wish.default_payment_method,
        discounts=[discount["id"] for discount in discounts],
        test_clock=wish.customer["test_clock"],
        **wish.fields,
    )
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = period[1]
    bill = bill_for(
        sandbox,
        subscription,
        _first_entries(sandbox, wish, items, period),
        reason="subscription_create",
        period=(now, now),
        customer=wish.customer,
        discounts=discounts,
        takes_waiting=False,
        invoice_id=invoice_id,
    )
    return Prepared(subscription, bill, discounts)


def begin(sandbox: Sandbox, wish: Beginning, *, confirmed: bool = False) -> Json:
    """Open the subscription and try its first payment as `payment_behavior` says; returns it as it then stands.

    `confirmed` says that the holder of the card has agreed already, on a checkout page.
    """
    prepared = prepare(sandbox, wish)
    subscription, bill = prepared.subscription, prepared.bill
    due = bill.invoice["amount_due"]
    card = card_for(sandbox, wish.default_payment_method, customer_id=wish.customer["id"])
    if due and card is None and wish.payment_behavior != "default_incomplete":
        raise InvalidRequest(
            "This customer has no attached payment source or default payment method. Please consider adding a "
            "default payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.",
            code="resource_missing",
        )
    if not due and subscription["status"] == "incomplete":
        subscription["status"] = "active"
    store_given(sandbox, prepared.discounts)
    sandbox.store.save(state_of(sandbox.store, subscription["id"]))
    note_on(sandbox, subscription, bill)
    if not due and wish.payment_behavior == "default_incomplete":
        _ask_for_card(sandbox, subscription, card)
    keep(sandbox, subscription)
    sandbox.publish("customer.subscription.created", subscription)
    if wish.trial_end is not None and wish.trial_end - TRIAL_NOTICE_S <= sandbox.now():
        give_trial_notice(sandbox, subscription)
    invoice = issue(sandbox, bill)
    if invoice["status"] == "open":
        _first_payment(sandbox, wish, invoice, card, confirmed=confirmed)
    found = sandbox.store.find(subscription["id"], "subscription")
    assert found is not None
    return found


def give_trial_notice(sandbox: Sandbox, subscription: Json) -> None:
    """Once for each end of a trial."""
    state = state_of(sandbox.store, subscription["id"])
    sandbox.store.save(state | {"trial_notice_for": subscription["trial_end"]})
    keep(sandbox, subscription)
    sandbox.publish("customer.subscription.trial_will_end", subscription)


def refuse_unpaid(attempt: Attempt, *, keeps_effects: bool = False) -> None:
    """Raise what Stripe answers where a payment was required to succeed."""
    if attempt.outcome is Outcome.PAID:
        return
    error = attempt.error
    if error is None:
        error = card_error(
            "subscription_payment_intent_requires_action",
            "Payment for this subscription requires additional user action before it can be completed successfully.",
            {"id": attempt.intent["payment_method"], "object": "payment_method"},
        )
    raise CardRefused(error, payment_intent=attempt.intent, keeps_effects=keeps_effects)


def _first_payment(sandbox: Sandbox, wish: Beginning, invoice: Json, card: Json | None, *, confirmed: bool) -> None:
    if wish.payment_behavior == "default_incomplete":
        leave_to_buyer(sandbox, invoice, card)
        return
    attempt = collect(sandbox, invoice, card, automatic=False, confirmed=confirmed)
    if wish.payment_behavior == "error_if_incomplete":
        refuse_unpaid(attempt)


def _ask_for_card(sandbox: Sandbox, subscription: Json, card: Json | None) -> None:
    """Nothing is to pay yet: the buyer sets up a card for later, unless there is one that asks for nothing."""
    if card is not None and not asks_holder(sandbox.store, card):
        return
    intent = build_setup_intent(
        created=sandbox.now(),
        customer_id=subscription["customer"],
        payment_method=card["id"] if card else None,
    )
    sandbox.store.save(intent)
    sandbox.store.save(
        {"id": f"{intent['id']}.subscription", "object": "sandbox.setup_link", "subscription": subscription["id"]}
    )
    sandbox.publish("setup_intent.created", intent)
    subscription["pending_setup_intent"] = intent["id"]


def leave_to_buyer(sandbox: Sandbox, invoice: Json, card: Json | None) -> None:
    """Nothing is tried: the buyer confirms the intent, with the card it already carries when there is one."""
    intent = intent_of(sandbox, invoice)
    if intent is not None and card is not None:
        intent.update(payment_method=card["id"], status="requires_confirmation")
        sandbox.store.save(intent)


def _first_entries(sandbox: Sandbox, wish: Beginning, items: Sequence[Json], period: tuple[int, int]) -> list[Entry]:
    if wish.trial_end:
        return [trial_entry(sandbox.store, item) for item in items]
    if wish.billing_cycle_anchor is None:
        return [period_entry(sandbox.store, item) for item in items]
    if wish.proration_behavior == "none":
        return []
    cycle_start = boundary(period[1], items[0]["price"]["recurring"], -1)
    if period[0] < cycle_start:
        raise InvalidRequest(
            "billing_cycle_anchor cannot be later than next natural billing date for plan",
            param="billing_cycle_anchor",
        )
    length, whole = period[1] - period[0], period[1] - cycle_start
    return [period_entry(sandbox.store, item, amount=share(amount_of(item), length, whole)) for item in items]
