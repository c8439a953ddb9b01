"""What is compared with Stripe, part by part: both sides as plain values, and the handler that mends ours."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits import purchases
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.repository import reconciliation as repository
from pm_api.domains.billing.stripe_events import checkouts as checkout_events
from pm_api.domains.billing.stripe_events import invoices as invoice_events
from pm_api.domains.billing.stripe_events import payments as payment_events
from pm_api.domains.billing.stripe_events import refunds as refund_events
from pm_api.domains.billing.stripe_events import subscriptions as subscription_events
from pm_api.domains.billing.stripe_events.handling import Handler
from pm_api.domains.payments import checkouts as till
from pm_api.integrations.stripe import (
    StripeCheckout,
    StripeDispute,
    StripeDoor,
    StripeInvoice,
    StripeList,
    StripePayment,
    StripeRefund,
    StripeSubscription,
    checkouts,
    invoices,
    payments,
    refunds,
    subscriptions,
)

Values = dict[str, Any]
Page = Sequence[tuple[UUID, str]]


@dataclass(frozen=True, slots=True)
class Side:
    """One object as one side has it. `counts` is false where nothing has to be there on the other side yet."""

    object_id: str
    values: Values
    account_id: UUID | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """`list_theirs` by the time of making; `ours` by Stripe's ids; `our_ids` a page of (our id, Stripe's id)."""

    name: str
    noun: str
    handler: Handler
    list_theirs: Callable[[StripeDoor, datetime, datetime], Awaitable[StripeList[Side]]]
    retrieve: Callable[[StripeDoor, str], Awaitable[Side]]
    ours: Callable[[AsyncSession, Collection[str]], Awaitable[Mapping[str, Side]]]
    our_ids: Callable[[AsyncSession, datetime, datetime, UUID | None, int], Awaitable[Page]]


def differing(ours: Side | None, theirs: Side | None) -> tuple[Values, Values]:
    """The values on which they do not agree; a side that is not there has none."""
    here, there = ours.values if ours else {}, theirs.values if theirs else {}
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    return {name: here[name] for name in names if name in here}, {
        name: there[name] for name in names if name in there
    }


def _sides(found: StripeList[Any], read: Callable[[Any], Side]) -> StripeList[Side]:
    return StripeList(tuple(read(one) for one in found.items), is_complete=found.is_complete)


# --- subscriptions ---------------------------------------------------------------------------------------------


def _their_subscription(found: StripeSubscription) -> Side:
    values = {
        "status": found.status.upper(),
        "price": found.price_id,
        "customer": found.customer_id,
        "periodEnd": found.period_end.isoformat(),
        "cancelAtPeriodEnd": found.cancel_at_period_end,
    }
    return Side(found.id, values)


async def _list_subscriptions(door: StripeDoor, since: datetime, until: datetime) -> StripeList[Side]:
    return _sides(await subscriptions.list_created(door, since=since, until=until), _their_subscription)


async def _subscription(door: StripeDoor, object_id: str) -> Side:
    return _their_subscription(await subscriptions.retrieve(door, object_id))


async def _our_subscriptions(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Side]:
    return {
        row.stripe_subscription_id: Side(
            row.stripe_subscription_id,
            {
                "status": row.status,
                "price": row.stripe_price_id,
                "customer": row.stripe_customer_id,
                "periodEnd": row.current_period_end.isoformat(),
                "cancelAtPeriodEnd": row.cancel_at_period_end,
            },
            row.account_id,
        )
        for row in await repository.subscriptions(session, ids)
    }


# --- invoices --------------------------------------------------------------------------------------------------


def _their_invoice(found: StripeInvoice) -> Side:
    values = {
        "status": found.status,
        "currency": found.currency,
        "total": found.total,
        "paid": found.amount_paid,
        "subscription": found.subscription_id,
    }
    return Side(found.id, values, counts=found.status != "draft")


async def _list_invoices(door: StripeDoor, since: datetime, until: datetime) -> StripeList[Side]:
    return _sides(await invoices.list_all(door, since=since, until=until), _their_invoice)


async def _invoice(door: StripeDoor, object_id: str) -> Side:
    return _their_invoice(await invoices.retrieve(door, object_id))


async def _our_invoices(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Side]:
    return {
        row.reference: Side(
            row.reference,
            {
                "status": row.provider_status,
                "currency": row.currency,
                "total": row.total_minor,
                "paid": row.paid_minor,
                "subscription": row.stripe_subscription_id,
            },
            row.account_id,
        )
        for row in await repository.invoices(session, ids)
    }


# --- checkouts and their credits -------------------------------------------------------------------------------


def _their_checkout(found: StripeCheckout) -> Side:
    """Money that was paid on a pack's or bundle's page, and so credits that must be there."""
    owes_credits = found.mode == "payment" and found.is_paid
    values = {
        "status": found.status.upper(),
        "payment": found.payment_status.upper(),
        "credits": "granted" if owes_credits else "none",
    }
    return Side(found.id, values, counts=found.status == "complete")


async def _list_checkouts(door: StripeDoor, since: datetime, until: datetime) -> StripeList[Side]:
    return _sides(await checkouts.list_created(door, since=since, until=until), _their_checkout)


async def _checkout(door: StripeDoor, object_id: str) -> Side:
    return _their_checkout(await checkouts.retrieve(door, object_id))


async def _our_checkouts(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Side]:
    """Whether credits came of it is read from the ledger itself, not from what the checkout says of them."""
    rows = await till.by_sessions(session, ids)
    references = [(row.account_id, row.stripe_session_id) for row in rows if row.stripe_session_id is not None]
    granted = await purchases.granted(session, purchases.Till.CHECKOUT, references)
    return {
        row.stripe_session_id: Side(
            row.stripe_session_id,
            {
                "status": row.status,
                "payment": row.payment_status,
                "credits": "granted" if row.stripe_session_id in granted else "none",
            },
            row.account_id,
            counts=row.status == till.COMPLETE or row.stripe_session_id in granted,
        )
        for row in rows
        if row.stripe_session_id is not None
    }


# --- automatic top-ups, their invoices and their credits -------------------------------------------------------


def _their_top_up(found: StripePayment) -> Side:
    """Money that was taken from a card on file, and so credits and an invoice that must be there."""
    is_paid = found.status == "succeeded"
    values = {
        "paid": found.amount_received,
        "currency": found.currency,
        "credits": "granted" if is_paid else "none",
        "invoice": "made" if is_paid else "none",
    }
    return Side(found.id, values, counts=is_paid)


async def _list_top_ups(door: StripeDoor, since: datetime, until: datetime) -> StripeList[Side]:
    """Of all payments those that say they are ours; every other one is compared as an invoice's or a checkout's."""
    found = await payments.list_created(door, since=since, until=until)
    ours = tuple(one for one in found.items if one.metadata.keys() >= payment_events.OURS)
    return _sides(StripeList(ours, is_complete=found.is_complete), _their_top_up)


async def _top_up(door: StripeDoor, object_id: str) -> Side:
    return _their_top_up(await payments.retrieve(door, object_id))


async def _our_top_ups(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Side]:
    """Whether credits came of it is read from the ledger itself."""
    rows = [(row.stripe_payment_intent_id or "", row) for row in await repository.top_ups(session, ids)]
    granted = await purchases.granted(session, purchases.Till.PAYMENT, [(row.account_id, name) for name, row in rows])
    billed = await invoice_rows.ids_by_payment(session, ids)
    return {
        name: Side(
            name,
            {
                "paid": row.amount_minor if row.status == TopUpStatus.SUCCEEDED else 0,
                "currency": row.currency,
                "credits": "granted" if name in granted else "none",
                "invoice": "made" if name in billed else "none",
            },
            row.account_id,
            counts=row.status == TopUpStatus.SUCCEEDED or name in granted,
        )
        for name, row in rows
    }


# --- money back ------------------------------------------------------------------------------------------------


def _their_refund(found: StripeRefund) -> Side:
    status = "PENDING" if found.status == "requires_action" else found.status.upper()
    return Side(found.id, {"status": status, "amount": found.amount, "currency": found.currency})


async def _list_refunds(door: StripeDoor, since: datetime, until: datetime) -> StripeList[Side]:
    return _sides(await refunds.list_created(door, since=since, until=until), _their_refund)


async def _refund(door: StripeDoor, object_id: str) -> Side:
    return _their_refund(await refunds.retrieve(door, object_id))


async def _our_refunds(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Side]:
    return {
        row.stripe_refund_id: Side(
            row.stripe_refund_id,
            {"status": row.status, "amount": row.amount_minor, "currency": row.currency},
            row.account_id,
        )
        for row in await repository.refunds(session, ids)
        if row.stripe_refund_id is not None
    }


def _their_dispute(found: StripeDispute) -> Side:
    return Side(found.id, {"status": found.status, "amount": found.amount, "currency": found.currency})


async def _list_disputes(door: StripeDoor, since: datetime, until: datetime) -> StripeList[Side]:
    return _sides(await refunds.list_disputes_created(door, since=since, until=until), _their_dispute)


async def _dispute(door: StripeDoor, object_id: str) -> Side:
    return _their_dispute(await refunds.retrieve_dispute(door, object_id))


async def _our_disputes(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Side]:
    return {
        row.stripe_dispute_id: Side(
            row.stripe_dispute_id,
            {"status": row.provider_status, "amount": row.amount_minor, "currency": row.currency},
            row.account_id,
        )
        for row in await repository.disputes(session, ids)
    }


PARTS: Final = (
    Part(
        "checkouts",
        "Checkout",
        checkout_events.HANDLERS["checkout.session.completed"],
        _list_checkouts,
        _checkout,
        _our_checkouts,
        till.sessions_between,
    ),
    Part(
        "top-ups",
        "Automatic payment",
        payment_events.HANDLERS["payment_intent.succeeded"],
        _list_top_ups,
        _top_up,
        _our_top_ups,
        repository.top_up_ids,
    ),
    Part(
        "subscriptions",
        "Subscription",
        subscription_events.HANDLERS["customer.subscription.updated"],
        _list_subscriptions,
        _subscription,
        _our_subscriptions,
        repository.subscription_ids,
    ),
    Part(
        "invoices",
        "Invoice",
        invoice_events.HANDLERS["invoice.paid"],
        _list_invoices,
        _invoice,
        _our_invoices,
        repository.invoice_ids,
    ),
    Part(
        "refunds",
        "Refund",
        refund_events.HANDLERS["refund.updated"],
        _list_refunds,
        _refund,
        _our_refunds,
        repository.refund_ids,
    ),
    Part(
        "disputes",
        "Dispute",
        refund_events.HANDLERS["charge.dispute.closed"],
        _list_disputes,
        _dispute,
        _our_disputes,
        repository.dispute_ids,
    ),
)
"""In this order: what is bought first, what goes back last."""
