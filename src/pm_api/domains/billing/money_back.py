"""A charge with everything that went back of it, and what it had paid for: fetched from Stripe, no session open.

Whichever event tells of a refund or a dispute, all of it is looked at: order and number of the events cannot matter,
and what was bought is granted before it is taken back, also when the event that grants it has not come yet.
"""

from dataclasses import dataclass
from datetime import datetime

from pm_api.domains.billing import pictures
from pm_api.domains.billing.pictures import InvoicePicture, SubscriptionPicture
from pm_api.integrations.stripe import (
    StripeCharge,
    StripeCheckout,
    StripeDispute,
    StripeDoor,
    StripeObjectMissing,
    StripePayment,
    StripeRefund,
    checkouts,
    invoices,
    payments,
    refunds,
)


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """`fetched_at` is the wall time before the first call. `bill` is what the charge paid, `checkout` where."""

    fetched_at: datetime
    charge: StripeCharge
    payment: StripePayment | None
    refunds: tuple[StripeRefund, ...]
    disputes: tuple[StripeDispute, ...]
    bill: SubscriptionPicture | InvoicePicture | None
    checkout: StripeCheckout | None


async def fetch_by_charge(door: StripeDoor, charge_id: str) -> MoneyBack:
    """Raises StripeObjectMissing or PaymentProviderUnavailable."""
    fetched_at = door.clock.wall()
    charge = await payments.retrieve_charge(door, charge_id)
    payment, bill, checkout = None, None, None
    if charge.payment_intent_id is not None:
        payment = await payments.retrieve(door, charge.payment_intent_id)
        checkout = await checkouts.find_by_payment(door, charge.payment_intent_id)
        invoice_id = await invoices.find_id_of_payment(door, charge.payment_intent_id)
        bill = None if invoice_id is None else await pictures.fetch_by_invoice(door, invoice_id)
    return MoneyBack(
        fetched_at=fetched_at,
        charge=charge,
        payment=payment,
        refunds=(await refunds.list_of_charge(door, charge_id)).items,
        disputes=(await refunds.list_disputes_of_charge(door, charge_id)).items,
        bill=bill,
        checkout=checkout,
    )


async def fetch_by_refund(door: StripeDoor, refund_id: str) -> MoneyBack:
    """Raises StripeObjectMissing or PaymentProviderUnavailable."""
    found = await refunds.retrieve(door, refund_id)
    if found.charge_id is None:
        raise StripeObjectMissing(f"{refund_id} is of no charge")
    return await fetch_by_charge(door, found.charge_id)


async def fetch_by_dispute(door: StripeDoor, dispute_id: str) -> MoneyBack:
    """Raises StripeObjectMissing or PaymentProviderUnavailable."""
    return await fetch_by_charge(door, (await refunds.retrieve_dispute(door, dispute_id)).charge_id)
