"""Money that goes back: refunds and disputes as Stripe has them, and the credits that were bought with it.

`apply` is the one that writes. What is taken back is the share of a payment that was refunded, or lost in a dispute,
in all: it follows from the rows alone, so any number of events in any order comes to the same. A dispute takes
nothing while it is open; when it is won, or a refund fails, what was taken for it comes back.

These are refunds of money. What people ask back of credits they spent is the ledger's own (page 20).
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import topups
from pm_api.domains.billing import accounts, invoices, paid_credits, subscriptions, telling
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import DisputeStatus, PaymentRefundStatus
from pm_api.domains.billing.invoices import InvoiceMismatch
from pm_api.domains.billing.models.refunds import Dispute, Refund
from pm_api.domains.billing.money_back import MoneyBack
from pm_api.domains.billing.pictures import InvoicePicture, SubscriptionPicture
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.repository import refunds as repository
from pm_api.domains.billing.telling import money
from pm_api.domains.billing.understanding import EventNotUnderstood
from pm_api.domains.payments import customers
from pm_api.integrations.stripe import StripeDispute, StripeRefund

SCOPE: Final = SystemScope("refunds follow Stripe")

_REFUND_STATUSES: Final = {
    "pending": PaymentRefundStatus.PENDING,
    "requires_action": PaymentRefundStatus.PENDING,
    "succeeded": PaymentRefundStatus.SUCCEEDED,
    "failed": PaymentRefundStatus.FAILED,
    "canceled": PaymentRefundStatus.CANCELED,
}
_DISPUTES_THAT_ENDED: Final = {
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "warning_closed": DisputeStatus.CLOSED,
    "prevented": DisputeStatus.CLOSED,
}

_log = structlog.get_logger(__name__)


Bring = Callable[[AsyncSession, Platform, MoneyBack], Awaitable[None]]


async def apply(session: AsyncSession, platform: Platform, picture: MoneyBack, bring: Bring | None = None) -> str:
    """Write down what went back of a charge, and everything that follows; what it had paid for is applied first, what
    was bought without a plan by `bring`. Returns what was done. Raises EventNotUnderstood when nobody here can be
    found to have paid it.
    """
    charge = picture.charge
    if charge.payment_intent_id is None:
        raise EventNotUnderstood(f"charge {charge.id} belongs to no payment of ours")
    owner = await _owner(session, picture)
    try:
        await accounts.lock(session, owner, gone_too=True)
    except NotFound:
        raise EventNotUnderstood(f"there is no {owner[0].lower()} {owner[1]}") from None
    await _apply_bill(session, platform, owner, picture)
    if bring is not None:
        await bring(session, platform, picture)
    is_newly_lost = await _mirror(session, platform, owner, picture)
    given, lost = await _moved(session, charge.payment_intent_id)
    again_at = await paid_credits.follow(session, platform, owner, picture, min(charge.amount, given + lost))
    await _look_again(session, charge.payment_intent_id, again_at)
    if is_newly_lost:  # after the claw-back, which locks several credit accounts in their order
        await topups.change_state(session, platform, owner[1], topups.after_lost_dispute)
    return f"{charge.id}: {given} refunded, {lost} lost of {charge.amount} {charge.currency}"


async def note(session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack) -> None:
    """Write down what went back, and have the sweep see to all that follows: it could not be done now."""
    await accounts.lock(session, owner, gone_too=True)
    is_newly_lost = await _mirror(session, platform, owner, picture)
    await _look_again(session, picture.charge.payment_intent_id or "", platform.clock.now())
    if is_newly_lost:
        await topups.change_state(session, platform, owner[1], topups.after_lost_dispute)


async def _mirror(session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack) -> bool:
    """Whether a dispute turns out to be lost."""
    is_newly_lost = False
    for refund in sorted(picture.refunds, key=lambda one: (one.created_at, one.id)):
        await _mirror_refund(session, platform, owner, picture, refund)
    for dispute in sorted(picture.disputes, key=lambda one: (one.created_at, one.id)):
        is_newly_lost |= await _mirror_dispute(session, platform, owner, picture, dispute)
    await session.flush()
    bill = await invoice_rows.of_payment(session, SCOPE, picture.charge.payment_intent_id or "")
    if bill is not None:
        await invoices.refresh_refunded(session, platform, bill)
        await session.flush()
    return is_newly_lost


async def _moved(session: AsyncSession, payment_intent_id: str) -> tuple[int, int]:
    return await repository.given_back(session, payment_intent_id), await repository.lost(session, payment_intent_id)


async def _owner(session: AsyncSession, picture: MoneyBack) -> Account:
    """Of our customer; else who stands on what was paid for; else whose row we have of it already."""
    charge = picture.charge
    if charge.customer_id is not None:
        known = await customers.owner_of(session, charge.customer_id)
        if known is not None:
            return known
    told = [charge.metadata]
    if picture.payment is not None:
        told.append(picture.payment.metadata)
    if picture.checkout is not None:
        told.append(picture.checkout.metadata)
    if isinstance(picture.bill, SubscriptionPicture):
        told.append(picture.bill.subscription.metadata)
    if isinstance(picture.bill, InvoicePicture):
        told.append(picture.bill.invoice.metadata)
    for metadata in told:
        owner = accounts.from_metadata(dict(metadata))
        if owner is not None:
            return owner
    known_bill = await invoice_rows.of_payment(session, SCOPE, charge.payment_intent_id or "")
    if known_bill is not None:
        return invoices.account_of(known_bill)
    raise EventNotUnderstood(f"nobody here is customer {charge.customer_id}, and charge {charge.id} names no account")


async def _apply_bill(session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack) -> None:
    """What the charge paid for, with all that it brings."""
    if isinstance(picture.bill, SubscriptionPicture):
        await subscriptions.apply_picture(session, platform, picture.bill)
    elif isinstance(picture.bill, InvoicePicture):
        try:
            await invoices.mirror(session, platform, owner, picture.bill.invoice, picture.bill.fetched_at)
        except InvoiceMismatch as mismatch:
            raise EventNotUnderstood(str(mismatch)) from mismatch


async def _look_again(session: AsyncSession, payment_intent_id: str, again_at: datetime | None) -> None:
    """When the sweep is to come back to this payment; one row of it is enough to remember."""
    rows = await repository.of_payment(session, SCOPE, payment_intent_id)
    with_charge = [row for row in rows if row.stripe_charge_id is not None]
    for number, row in enumerate(with_charge):
        row.credits_due_at = again_at if number == 0 else None
    await session.flush()


# --- refunds ---------------------------------------------------------------------------------------------------


async def request(
    session: AsyncSession,
    platform: Platform,
    owner: Account,
    *,
    flow_id: UUID,
    payment_intent_id: str,
    amount_minor: int,
    currency: str,
    reason: str,
    requested_by: str,
) -> UUID:
    """The intent of a refund, which holds its amount until Stripe has confirmed or refused it."""
    now, refund_id = platform.clock.now(), platform.randomness.uuid()
    await repository.insert_refund(
        session,
        SCOPE,
        {
            "id": refund_id,
            "account_kind": owner[0],
            "account_id": owner[1],
            "flow_id": flow_id,
            "stripe_payment_intent_id": payment_intent_id,
            "amount_minor": amount_minor,
            "currency": currency,
            "status": PaymentRefundStatus.REQUESTED,
            "reason": reason,
            "requested_by": requested_by,
            "issued_at": now,
            "created_at": now,
            "updated_at": now,
        },
    )
    return refund_id


async def withdraw(session: AsyncSession, platform: Platform, flow_id: UUID) -> None:
    """Nothing happened at Stripe: what the intent held may be asked for again."""
    row = await repository.lock_refund(session, SCOPE, stripe_refund_id=None, flow_id=flow_id)
    if row is not None and row.status == PaymentRefundStatus.REQUESTED:
        row.status = PaymentRefundStatus.CANCELED
        row.version += 1
        row.updated_at = platform.clock.now()


async def _mirror_refund(
    session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack, found: StripeRefund
) -> None:
    status = _REFUND_STATUSES.get(found.status)
    if status is None:
        raise EventNotUnderstood(f"refund {found.id} is {found.status}")
    flow_id = _flow_in(found)
    row = await repository.lock_refund(session, SCOPE, stripe_refund_id=found.id, flow_id=flow_id)
    if row is None:
        await repository.insert_refund(session, SCOPE, _first_values(platform, owner, picture, found))
        row = await repository.lock_refund(session, SCOPE, stripe_refund_id=found.id, flow_id=None)
        assert row is not None, "a refund is never deleted"
    if row.synced_at is not None and picture.fetched_at < row.synced_at:
        return
    values = {
        "stripe_refund_id": found.id,
        "stripe_payment_intent_id": picture.charge.payment_intent_id,
        "stripe_charge_id": picture.charge.id,
        "amount_minor": found.amount,
        "currency": found.currency,
        "status": status,
        "reason": found.reason,
        "failure_reason": found.failure_reason,
        "issued_at": found.created_at,
    }
    row.synced_at = picture.fetched_at
    if _write(row, values, platform.clock.now()):
        await _tell_refund(session, platform, owner, row)


def _first_values(platform: Platform, owner: Account, picture: MoneyBack, found: StripeRefund) -> dict[str, Any]:
    now = platform.clock.now()
    return {
        "id": platform.randomness.uuid(),
        "account_kind": owner[0],
        "account_id": owner[1],
        "stripe_refund_id": found.id,
        "stripe_payment_intent_id": picture.charge.payment_intent_id,
        "amount_minor": found.amount,
        "currency": found.currency,
        "status": PaymentRefundStatus.REQUESTED,
        "version": 0,
        "issued_at": found.created_at,
        "created_at": now,
        "updated_at": now,
    }


def _flow_in(found: StripeRefund) -> UUID | None:
    try:
        return UUID(found.metadata.get("flow", ""))
    except ValueError:
        return None


def _write(row: Refund | Dispute, values: dict[str, Any], now: datetime) -> bool:
    """Whether something is news."""
    if all(getattr(row, name) == value for name, value in values.items()):
        return False
    for name, value in values.items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = now
    return True


async def _tell_refund(session: AsyncSession, platform: Platform, owner: Account, row: Refund) -> None:
    """Once when it is on its way, and once more should it fail."""
    shown = money(row.amount_minor, row.currency)
    if row.status in repository.GIVEN_BACK:
        type, word, title = "billing.refund", "issued", f"{shown} are refunded"
        body = "The bank may take 5 to 10 days to show it. What was bought with it goes back in the same proportion."
    elif row.status == PaymentRefundStatus.FAILED:
        type, word, title = "billing.refund_failed", "failed", f"A refund of {shown} failed"
        body = "Your bank has sent it back to us. Please get in touch, so that it reaches you another way."
    else:
        return
    await telling.tell(
        session,
        platform,
        owner,
        type=type,
        dedup_key=f"refund:{row.stripe_refund_id}:{word}",
        title=title,
        body=body,
        data={"refundId": str(row.id), "amount": row.amount_minor, "currency": row.currency},
    )


# --- disputes --------------------------------------------------------------------------------------------------


async def _mirror_dispute(
    session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack, found: StripeDispute
) -> bool:
    """Whether it turns out to be lost."""
    now = platform.clock.now()
    row = await repository.lock_dispute(session, SCOPE, found.id)
    values = {
        "stripe_payment_intent_id": picture.charge.payment_intent_id,
        "stripe_charge_id": picture.charge.id,
        "amount_minor": found.amount,
        "currency": found.currency,
        "status": _DISPUTES_THAT_ENDED.get(found.status, DisputeStatus.OPEN),
        "provider_status": found.status,
        "reason": found.reason,
        "issued_at": found.created_at,
    }
    if row is None:
        first = {
            "id": platform.randomness.uuid(),
            "account_kind": owner[0],
            "account_id": owner[1],
            "stripe_dispute_id": found.id,
            "synced_at": picture.fetched_at,
            "version": 0,
            "created_at": now,
            "updated_at": now,
        }
        await repository.insert_dispute(session, SCOPE, {**first, **values, "provider_status": ""})
        row = await repository.lock_dispute(session, SCOPE, found.id)
        assert row is not None, "a dispute is never deleted"
    if picture.fetched_at < row.synced_at:
        return False
    row.synced_at = picture.fetched_at
    was_lost = row.status == DisputeStatus.LOST and row.version > 0
    if _write(row, values, now):
        await _tell_dispute(session, platform, row)
    return row.status == DisputeStatus.LOST and not was_lost


async def _tell_dispute(session: AsyncSession, platform: Platform, row: Dispute) -> None:
    """The operator alone: they answer it at Stripe, within days."""
    shown = money(row.amount_minor, row.currency)
    status = DisputeStatus(row.status)
    _log.warning(
        "dispute",
        dispute=row.stripe_dispute_id,
        account_id=str(row.account_id),
        status=status,
        reason=row.reason,
        amount_minor=row.amount_minor,
    )
    await telling.tell_operators(
        session,
        platform,
        type="billing.dispute",
        dedup_key=f"dispute:{row.stripe_dispute_id}:{status}",
        title=f"A payment of {shown} is disputed"
        if status is DisputeStatus.OPEN
        else f"A dispute about {shown} is {status.lower()}",
        body=f"{row.stripe_dispute_id} ({row.reason}) of charge {row.stripe_charge_id}."
        + (" Answer it at Stripe before its time is over." if status is DisputeStatus.OPEN else ""),
        data={
            "disputeId": str(row.id),
            "accountType": row.account_kind,
            "accountId": str(row.account_id),
            "amount": row.amount_minor,
            "currency": row.currency,
        },
    )
