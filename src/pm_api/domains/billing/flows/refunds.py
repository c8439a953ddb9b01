"""Giving money back: one refund at Stripe for one request, whatever breaks on the way."""

import contextlib
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AdminScope
from pm_api.core.answers import Response, answer_with
from pm_api.core.errors import NotFound
from pm_api.core.flows import FlowKind, FlowView, RequestKey
from pm_api.core.platform import Platform
from pm_api.domains.billing import accounts, invoices, money_back, refund_reading, refunds
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.domains.billing.errors import (
    InvoiceNotPaid,
    PaymentDisputed,
    RefundExceedsPayment,
    RefundRefused,
)
from pm_api.domains.billing.models.invoices import Invoice
from pm_api.domains.billing.money_back import MoneyBack
from pm_api.domains.billing.repository import auto_topup as top_ups
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.repository import refunds as repository
from pm_api.domains.billing.schemas.refunds import PaymentRefundAnswer, PaymentRefundCreate, PaymentRefundReason
from pm_api.domains.billing.understanding import EventNotUnderstood
from pm_api.domains.payments import checkouts
from pm_api.entitlements.enums import AccountType
from pm_api.identity import audit
from pm_api.integrations.stripe import (
    StripeDoor,
    StripeObjectMissing,
    StripePayment,
    StripeRefund,
    StripeRefused,
    payments,
)
from pm_api.integrations.stripe import refunds as stripe_refunds

ADDRESS: Final = "/api/admin/billing/refunds"
ALREADY: Final = "charge_already_refunded"
DISPUTED: Final = "charge_disputed"
BY_ITSELF: Final = "system"
_WORDS: Final = {
    PaymentRefundReason.DUPLICATE: "duplicate",
    PaymentRefundReason.FRAUDULENT: "fraudulent",
    PaymentRefundReason.REQUESTED_BY_CUSTOMER: "requested_by_customer",
}


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment that can be given back: whose, and how much it was."""

    owner: Account
    payment_intent_id: str
    amount_minor: int
    currency: str
    subject: tuple[str, str]


class Refunding(FlowKind[MoneyBack]):
    """Found again by the flow's id in the refund's metadata."""

    name = "billing.refund"

    async def act(self, platform: Platform, flow: FlowView) -> MoneyBack:
        if flow.attempt > 1:
            found = await self.find(platform, flow)
            if found is not None:
                return found
        door = platform.part(StripeDoor)
        made = await _refund(door, flow)
        if made.charge_id is None:
            raise RefundRefused("Stripe made a refund of no charge.", reason="no_charge")
        return await money_back.fetch_by_charge(door, made.charge_id)

    async def find(self, platform: Platform, flow: FlowView) -> MoneyBack | None:
        door = platform.part(StripeDoor)
        payment: StripePayment = await payments.retrieve(door, flow.parameters["paymentIntentId"])
        if payment.charge_id is None:
            return None
        picture = await money_back.fetch_by_charge(door, payment.charge_id)
        mine = [one for one in picture.refunds if one.metadata.get("flow") == str(flow.id)]
        return picture if mine else None

    async def settle(self, session: AsyncSession, platform: Platform, flow: FlowView, found: MoneyBack) -> Response:
        owner = AccountType(flow.parameters["accountType"]), UUID(flow.parameters["accountId"])
        try:
            async with session.begin_nested():
                await refunds.apply(session, platform, found)
        except EventNotUnderstood:
            # The money has gone back: that is written down, and what follows from it is tried again by the sweep.
            await refunds.note(session, platform, owner, found)
        row = await repository.lock_refund(session, refunds.SCOPE, stripe_refund_id=None, flow_id=flow.id)
        assert row is not None, "the first transaction wrote it"
        shown = await refund_reading.read(session, row)
        return answer_with(
            PaymentRefundAnswer(refund=shown), status=201, location=f"{ADDRESS}/{row.id}", version=row.version
        )

    async def give_up(self, session: AsyncSession, platform: Platform, flow: FlowView) -> None:
        await refunds.withdraw(session, platform, flow.id)


REFUNDING: Final = flows.register(Refunding())


async def refund(
    platform: Platform, scope: AdminScope, wanted: PaymentRefundCreate, request_key: RequestKey
) -> Response:
    """Give back what was paid for an invoice, at a checkout or by auto top-up, whole or in part. Raises NotFound,
    InvoiceNotPaid, RefundExceedsPayment, PaymentDisputed, RefundRefused, PaymentProviderUnavailable.
    """

    async def begin(session: AsyncSession, flow_id: UUID) -> dict[str, Any]:
        paid = await _paid(session, wanted)
        await accounts.lock(session, paid.owner, gone_too=True)
        paid = await _paid(session, wanted)  # as it stands now that nobody else changes it
        asked = _Asked(wanted.amount, _WORDS[wanted.reason], scope.actor.key)
        pinned = await _request(session, platform, flow_id, paid, asked)
        audit.record(
            session,
            platform,
            scope.actor,
            "billing.refund_requested",
            subject=paid.subject,
            workspace_id=paid.owner[1] if paid.owner[0] is AccountType.WORKSPACE else None,
        )
        return pinned

    return await flows.run(platform, REFUNDING, begin, request_key=request_key)


async def give_back_too_late(platform: Platform, invoice_id: UUID) -> None:
    """Refund what is left of an invoice that was paid for a workspace when it was deleted; a restored one keeps what
    was bought. Raises InvoiceNotPaid, PaymentDisputed, RefundRefused, ChangeInProgress, PaymentProviderUnavailable.
    """
    async with platform.database.reading() as session:
        known = await invoice_rows.any_invoice(session, refunds.SCOPE, invoice_id)
        if known is None:
            return
        owner = invoices.account_of(known)

    async def begin(session: AsyncSession, flow_id: UUID) -> dict[str, Any]:
        # One that was restored and deleted again since had what was bought between.
        if not await accounts.was_deleted_by(session, owner, known.paid_at or known.issued_at):
            raise _NothingToGiveBack
        invoice = await invoice_rows.any_invoice(session, refunds.SCOPE, invoice_id)
        assert invoice is not None, "an invoice is never deleted"
        asked = _Asked(None, _WORDS[PaymentRefundReason.REQUESTED_BY_CUSTOMER], BY_ITSELF)
        return await _request(session, platform, flow_id, _paid_by(invoice, ("invoice", str(invoice_id))), asked)

    with contextlib.suppress(_NothingToGiveBack, RefundExceedsPayment):
        await flows.run(
            platform, REFUNDING, begin, request_key=None, exclusive=f"give-back:{invoice_id}", subject=owner[1]
        )


class _NothingToGiveBack(Exception):
    """The workspace is there again."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to go back (None: all that is left), Stripe's word for why, and who asks."""

    amount: int | None
    reason: str
    by: str


async def _request(
    session: AsyncSession, platform: Platform, flow_id: UUID, paid: Paid, asked: _Asked
) -> dict[str, Any]:
    """Write the intent, under the account's lock; returns what the flow pins. Raises RefundExceedsPayment."""
    left = paid.amount_minor - await repository.taken_up(session, paid.payment_intent_id)
    amount = left if asked.amount is None else asked.amount
    if left <= 0 or amount > left:
        raise RefundExceedsPayment(left=max(0, left), currency=paid.currency)
    await refunds.request(
        session,
        platform,
        paid.owner,
        flow_id=flow_id,
        payment_intent_id=paid.payment_intent_id,
        amount_minor=amount,
        currency=paid.currency,
        reason=asked.reason,
        requested_by=asked.by,
    )
    return {
        "accountType": paid.owner[0],
        "accountId": str(paid.owner[1]),
        "paymentIntentId": paid.payment_intent_id,
        "amount": amount,
        "reason": asked.reason,
    }


async def _refund(door: StripeDoor, flow: FlowView) -> StripeRefund:
    try:
        return await stripe_refunds.create(
            door,
            payment_intent_id=flow.parameters["paymentIntentId"],
            amount=flow.parameters["amount"],
            reason=flow.parameters["reason"],
            metadata=flow.metadata,
            key=flow.key("refund"),
        )
    except StripeObjectMissing:
        raise RefundRefused("Stripe does not know this payment.", reason="payment_missing") from None
    except StripeRefused as refused:
        if refused.code == ALREADY or refused.parameter == "amount":
            raise RefundExceedsPayment("That much is not left: some of it was refunded at Stripe.") from refused
        if refused.code == DISPUTED:
            raise PaymentDisputed from refused
        raise RefundRefused(reason=refused.code) from refused


async def _paid(session: AsyncSession, wanted: PaymentRefundCreate) -> Paid:
    """Raises NotFound, InvoiceNotPaid."""
    if wanted.invoice_id is not None:
        invoice = await invoice_rows.any_invoice(session, refunds.SCOPE, wanted.invoice_id)
        if invoice is None:
            raise NotFound
        return _paid_by(invoice, ("invoice", str(invoice.id)))
    if wanted.top_up_id is not None:
        return await _paid_by_itself(session, wanted.top_up_id)
    checkout = await checkouts.anybodys(session, refunds.SCOPE, wanted.checkout_session_id or "")
    if checkout is None:
        raise NotFound
    subject = ("checkout_session", str(checkout.id))
    if checkout.stripe_invoice_id is not None:
        invoice = await invoice_rows.by_stripe_id(session, refunds.SCOPE, checkout.stripe_invoice_id)
        if invoice is not None:
            return _paid_by(invoice, subject)
    if checkout.stripe_payment_intent_id is None or not checkout.paid_minor:
        raise InvoiceNotPaid
    return Paid(
        owner=(AccountType(checkout.account_kind), checkout.account_id),
        payment_intent_id=checkout.stripe_payment_intent_id,
        amount_minor=checkout.paid_minor,
        currency=checkout.currency,
        subject=subject,
    )


async def _paid_by_itself(session: AsyncSession, top_up_id: UUID) -> Paid:
    bought = await top_ups.payment(session, refunds.SCOPE, top_up_id)
    if bought is None:
        raise NotFound
    if bought.status != TopUpStatus.SUCCEEDED or bought.stripe_payment_intent_id is None:
        raise InvoiceNotPaid
    return Paid(
        owner=(AccountType(bought.account_kind), bought.account_id),
        payment_intent_id=bought.stripe_payment_intent_id,
        amount_minor=bought.amount_minor,
        currency=bought.currency,
        subject=("top_up", str(bought.id)),
    )


def _paid_by(invoice: Invoice, subject: tuple[str, str]) -> Paid:
    if invoice.provider_status != invoice_rows.PAID or invoice.stripe_payment_intent_id is None:
        raise InvoiceNotPaid
    if invoice.paid_minor <= 0:
        raise InvoiceNotPaid
    return Paid(
        owner=invoices.account_of(invoice),
        payment_intent_id=invoice.stripe_payment_intent_id,
        amount_minor=invoice.paid_minor,
        currency=invoice.currency,
        subject=subject,
    )
