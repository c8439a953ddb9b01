"""What a checkout session comes to: its lines less its discounts; for a subscription, its first invoice."""

from pm_api.sandbox.stripe.billing.beginnings import Beginning, prepare
from pm_api.sandbox.stripe.billing.discounts import give, taken_off
from pm_api.sandbox.stripe.billing.entries import Entry
from pm_api.sandbox.stripe.billing.records import on_timeline
from pm_api.sandbox.stripe.objects.common import Json
from pm_api.sandbox.stripe.objects.customers import build_customer
from pm_api.sandbox.stripe.world import Sandbox


def plan_of(sandbox: Sandbox, session: Json) -> Json:
    """What the session will make, which it does not show: kept beside it until it is complete."""
    found = sandbox.store.find(f"{session['id']}.plan")
    return found or {
        "id": f"{session['id']}.plan",
        "object": "sandbox.checkout_plan",
        "intent": {},
        "subscription": {},
        "trial_days": None,
        "trial_end": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "proration_behavior": "create_prorations",
        "discounts": [],
        "payment_method": None,
    }


def home_of(sandbox: Sandbox, session: Json) -> Sandbox:
    """The moment in which the session's customer lives."""
    customer = sandbox.store.find(session["customer"] or "", "customer") or {}
    return on_timeline(sandbox, customer.get("test_clock"))


def beginning_of(sandbox: Sandbox, session: Json, customer: Json | None = None) -> Beginning:
    """The subscription that a session leads to; without a customer yet, for somebody who has nothing."""
    plan = plan_of(sandbox, session)
    buyer = customer or sandbox.store.find(session["customer"] or "", "customer")
    if buyer is None:
        buyer = build_customer(created=sandbox.now(), email=session["customer_email"])
    days, trial_end = plan["trial_days"], plan["trial_end"]
    return Beginning(
        customer=buyer,
        items=[(item["price"], item["quantity"], {}) for item in sandbox.store.children(session["id"])],
        billing_mode=plan["billing_mode"],
        trial_end=sandbox.now() + days * 24 * 60 * 60 if days else trial_end,
        proration_behavior=plan["proration_behavior"],
        discounts=plan["discounts"],
        fields=plan["subscription"],
    )


def set_totals(sandbox: Sandbox, session: Json) -> Json:
    """Bring the session's amounts and its items' up to its discounts; the session is saved."""
    here = home_of(sandbox, session)
    items = sandbox.store.children(session["id"])
    plan = plan_of(sandbox, session)
    if session["mode"] == "subscription":
        lines = prepare(here, beginning_of(here, session)).bill.lines
        amounts = [line["amount"] for line in lines]
        off = [line["discount_amounts"] for line in lines]
    else:
        amounts = [item["amount_subtotal"] for item in items]
        given = give(here, plan["discounts"], customer_id=session["customer"] or "", subscription_id=None)
        off = taken_off(sandbox.store, [_entry(item) for item in items], given)
    for item, amount, taken in zip(items, amounts, off, strict=True):
        discount = sum(one["amount"] for one in taken)
        item.update(amount_subtotal=amount, amount_discount=discount, amount_total=amount - discount)
        sandbox.store.save(item)
    subtotal, discount = sum(amounts), sum(item["amount_discount"] for item in items)
    session.update(
        amount_subtotal=subtotal,
        amount_total=subtotal - discount,
        total_details=session["total_details"] | {"amount_discount": discount},
        discounts=[{name: wish[name] for name in ("coupon", "promotion_code")} for wish in plan["discounts"]],
    )
    return sandbox.store.save(session)


def _entry(item: Json) -> Entry:
    return Entry(
        amount=item["amount_subtotal"], currency=item["currency"], description=item["description"], period=(0, 0)
    )
