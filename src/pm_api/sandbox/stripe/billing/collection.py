"""Getting an invoice paid: by the card on file, by hand, after the holder's answer, or outside of Stripe."""

from pm_api.sandbox.stripe.billing.invoicing import intent_of, invoice_of_intent, mark_paid, payment_of
from pm_api.sandbox.stripe.billing.records import keep
from pm_api.sandbox.stripe.billing.standing import after_failed, after_paid, subscription_behind
from pm_api.sandbox.stripe.errors import InvalidRequest
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.payments import Attempt, Outcome, charge_card, refuse_intent, unconfirmed_error
from pm_api.sandbox.stripe.world import Sandbox


def card_on_file(sandbox: Sandbox, invoice: Json) -> Json | None:
    """The invoice's own card, else its subscription's, else its customer's."""
    subscription = subscription_behind(sandbox, invoice)
    return card_for(
        sandbox,
        invoice["default_payment_method"],
        subscription["default_payment_method"] if subscription else None,
        customer_id=invoice["customer"],
    )


def card_for(sandbox: Sandbox, *chosen: str | None, customer_id: str) -> Json | None:
    """The first chosen card that is still there, else the customer's default."""
    customer = sandbox.store.find(customer_id, "customer") or {}
    default = (customer.get("invoice_settings") or {}).get("default_payment_method")
    for identifier in (*chosen, default):
        found = sandbox.store.find(identifier, "payment_method") if identifier else None
        if found is not None and found["customer"] == customer_id:
            return found
    return None


def collect(
    sandbox: Sandbox,
    invoice: Json,
    payment_method: Json | None,
    *,
    automatic: bool,
    confirmed: bool = False,
) -> Attempt:
    """One attempt with this card (None: there is none), with everything that follows from how it ends.

    Tries by hand do not count towards the account's own, except the first.
    """
    intent = _open_intent(sandbox, invoice)
    if automatic or invoice["attempt_count"] == 0:
        invoice["attempt_count"] += 1
    invoice["attempted"] = True
    if automatic:
        invoice["next_payment_attempt"] = None
    keep(sandbox, invoice)
    attempt = charge_card(sandbox, intent, payment_method, confirmed=confirmed)
    _conclude(sandbox, invoice, attempt, payment_method, automatic=automatic)
    return attempt


def confirm(sandbox: Sandbox, intent: Json, payment_method: Json | None, *, confirmed: bool = False) -> Attempt:
    """The buyer pays an intent with a card; `confirmed` when they have just agreed at their bank."""
    invoice = invoice_of_intent(sandbox, intent["id"])
    if invoice is None:
        return charge_card(sandbox, intent, payment_method, confirmed=confirmed)
    return collect(sandbox, invoice, payment_method, automatic=False, confirmed=confirmed)


def answer(sandbox: Sandbox, intent: Json, *, agreed: bool) -> Attempt:
    """The holder's answer to an intent that asked for it."""
    if intent["status"] != "requires_action":
        raise InvalidRequest(f"This PaymentIntent waits for nobody: its status is {intent['status']}.")
    payment_method = sandbox.store.find(intent["payment_method"], "payment_method")
    assert payment_method is not None
    if agreed:
        return confirm(sandbox, intent, payment_method, confirmed=True)
    attempt = refuse_intent(sandbox, intent, unconfirmed_error(payment_method))
    invoice = invoice_of_intent(sandbox, intent["id"])
    if invoice is not None:
        _conclude(sandbox, invoice, attempt, payment_method, automatic=False)
    return attempt


def pay_outside(sandbox: Sandbox, invoice: Json) -> Json:
    """The money came some other way."""
    mark_paid(sandbox, invoice, amount=invoice["amount_due"])
    after_paid(sandbox, invoice, None)
    return invoice


def _open_intent(sandbox: Sandbox, invoice: Json) -> Json:
    if invoice["status"] not in {"open", "uncollectible"}:
        raise InvalidRequest(f"Invoice is already {invoice['status']}.", code="invoice_not_editable")
    intent = intent_of(sandbox, invoice)
    assert intent is not None
    return intent


def _conclude(
    sandbox: Sandbox, invoice: Json, attempt: Attempt, payment_method: Json | None, *, automatic: bool
) -> None:
    if attempt.outcome is Outcome.PAID:
        payment = payment_of(sandbox, invoice)
        assert payment is not None
        assert payment_method is not None
        _attach(sandbox, payment_method, invoice["customer"])
        transitions = payment["status_transitions"] | {"paid_at": sandbox.now()}
        payment.update(status="paid", amount_paid=invoice["amount_due"], status_transitions=transitions)
        sandbox.store.save(payment)
        sandbox.publish("invoice_payment.paid", payment)
        mark_paid(sandbox, invoice, amount=invoice["amount_due"])
        after_paid(sandbox, invoice, attempt.intent)
        return
    if attempt.outcome is Outcome.ASKED:
        sandbox.publish("invoice.payment_action_required", invoice)
    after_failed(sandbox, invoice, automatic=automatic)


def _attach(sandbox: Sandbox, payment_method: Json, customer_id: str) -> None:
    """A card that has paid for a subscription stays with its customer."""
    if payment_method["customer"] is None:
        payment_method["customer"] = customer_id
        sandbox.store.save(payment_method)
        sandbox.publish("payment_method.attached", payment_method)
