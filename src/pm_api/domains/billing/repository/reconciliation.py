"""Queries of comparisons with Stripe: the runs, what they found, and our side of what is compared."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from pm_api.core.actor import AdminScope, SystemScope
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.domains.billing.models.invoices import Invoice
from pm_api.domains.billing.models.payment_methods import TopUpPayment
from pm_api.domains.billing.models.reconciliation import ReconciliationFinding, ReconciliationRun
from pm_api.domains.billing.models.refunds import Dispute, Refund
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription
from pm_api.identity.models.people import Workspace

Scope = AdminScope | SystemScope
Row = Subscription | Invoice | Refund | Dispute

RUNNING = "RUNNING"


async def running(session: AsyncSession, _scope: Scope) -> ReconciliationRun | None:
    return await session.scalar(select(ReconciliationRun).where(ReconciliationRun.status == RUNNING))


async def insert_run(session: AsyncSession, values: dict[str, Any]) -> bool:
    """False when one is running: two began at the same moment."""
    made = await session.scalar(
        insert(ReconciliationRun)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[ReconciliationRun.status], index_where=text("status = 'RUNNING'"))
        .returning(ReconciliationRun.id)
    )
    return made is not None


async def run(session: AsyncSession, _scope: Scope, run_id: UUID, *, lock: bool = False) -> ReconciliationRun | None:
    statement = select(ReconciliationRun).where(ReconciliationRun.id == run_id)
    statement = statement.execution_options(populate_existing=True)
    return await session.scalar(statement.with_for_update() if lock else statement)


async def runs(
    session: AsyncSession, _scope: Scope, *, limit: int, before: UUID | None
) -> Sequence[ReconciliationRun]:
    """A page, the newest first."""
    statement = select(ReconciliationRun)
    if before is not None:
        statement = statement.where(ReconciliationRun.id < before)
    return (await session.scalars(statement.order_by(ReconciliationRun.id.desc()).limit(limit))).all()


async def findings(
    session: AsyncSession, _scope: Scope, run_id: UUID, *, limit: int, after: UUID | None
) -> Sequence[ReconciliationFinding]:
    """A page of a run's, in the order they were found."""
    statement = select(ReconciliationFinding).where(ReconciliationFinding.run_id == run_id)
    if after is not None:
        statement = statement.where(ReconciliationFinding.id > after)
    return (await session.scalars(statement.order_by(ReconciliationFinding.id).limit(limit))).all()


async def insert_finding(session: AsyncSession, values: dict[str, Any]) -> bool:
    """Once a run for each thing: a step that was cut off may find it again."""
    made = await session.scalar(
        insert(ReconciliationFinding)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["run_id", "kind", "object_id"])
        .returning(ReconciliationFinding.id)
    )
    return made is not None


# --- our side --------------------------------------------------------------------------------------------------


async def subscriptions(session: AsyncSession, stripe_ids: Collection[str]) -> Sequence[Subscription]:
    return await _of(session, Subscription, Subscription.stripe_subscription_id, stripe_ids)


async def invoices(session: AsyncSession, stripe_ids: Collection[str]) -> Sequence[Invoice]:
    return await _of(session, Invoice, Invoice.stripe_invoice_id, stripe_ids)


async def top_ups(session: AsyncSession, payment_intent_ids: Collection[str]) -> Sequence[TopUpPayment]:
    return await _of(session, TopUpPayment, TopUpPayment.stripe_payment_intent_id, payment_intent_ids)


async def refunds(session: AsyncSession, stripe_ids: Collection[str]) -> Sequence[Refund]:
    return await _of(session, Refund, Refund.stripe_refund_id, stripe_ids)


async def disputes(session: AsyncSession, stripe_ids: Collection[str]) -> Sequence[Dispute]:
    return await _of(session, Dispute, Dispute.stripe_dispute_id, stripe_ids)


async def _of(
    session: AsyncSession, model: type[Any], column: InstrumentedAttribute[Any], ids: Collection[str]
) -> Sequence[Any]:
    statement = select(model).where(column.in_(ids)).execution_options(populate_existing=True)
    return (await session.scalars(statement)).all()


async def subscription_ids(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """Those begun in the window, and whatever lives, however old: (our id, Stripe's)."""
    begun = (Subscription.stripe_created_at >= since) & (Subscription.stripe_created_at < until)
    counted = or_(begun, Subscription.status.in_(LIVE))
    return await _ids(session, Subscription.id, Subscription.stripe_subscription_id, counted, after, limit)


async def without_effect(
    session: AsyncSession, _scope: Scope, ids: Collection[UUID]
) -> Sequence[tuple[Invoice, Subscription | None, bool]]:
    """Of these invoices those that were paid, and not all paid back, for a workspace that was deleted by then (the
    last of the three says so), or for a subscription that gives nothing for it: one that is not known, that is held,
    or that had ended when the money came.
    """
    # Stripe's times are whole seconds.
    was_deleted = func.coalesce(Invoice.paid_at >= func.date_trunc("second", Workspace.deleted_at), false())
    ended = Subscription.status.not_in(LIVE) & (
        Subscription.ended_at.is_(None) | (Invoice.paid_at > Subscription.ended_at)
    )
    gives_nothing = and_(
        Invoice.stripe_subscription_id.is_not(None),
        or_(Subscription.id.is_(None), Subscription.held_reason.is_not(None), ended),
    )
    statement = (
        select(Invoice, Subscription, was_deleted)
        .outerjoin(Subscription, Subscription.stripe_subscription_id == Invoice.stripe_subscription_id)
        .outerjoin(Workspace, Workspace.id == Invoice.account_id)
        .where(
            Invoice.id.in_(ids),
            Invoice.provider_status == "paid",
            Invoice.paid_minor > Invoice.refunded_minor,
            or_(was_deleted, gives_nothing),
        )
        .order_by(Invoice.id)
    )
    rows = await session.execute(statement)
    return [(invoice, subscription, bool(late)) for invoice, subscription, late in rows]


async def too_many(
    session: AsyncSession, _scope: Scope, stripe_ids: Collection[str]
) -> Sequence[tuple[Subscription, bool]]:
    """Of these subscriptions those that live and should not: (it, whether its workspace is deleted). The others are
    held beside another one, or beside a contract.
    """
    is_deleted = Workspace.deleted_at.is_not(None)
    statement = (
        select(Subscription, is_deleted)
        .outerjoin(Workspace, Workspace.id == Subscription.workspace_id)
        .where(
            Subscription.stripe_subscription_id.in_(stripe_ids),
            Subscription.status.in_(LIVE),
            or_(is_deleted, Subscription.held_reason.is_not(None)),
        )
        .order_by(Subscription.id)
    )
    return [(row, bool(deleted)) for row, deleted in await session.execute(statement)]


async def invoice_ids(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """Those that Stripe made: (our id, Stripe's)."""
    counted = (Invoice.issued_at >= since) & (Invoice.issued_at < until) & Invoice.stripe_invoice_id.is_not(None)
    return await _ids(session, Invoice.id, Invoice.stripe_invoice_id, counted, after, limit)


async def issued_ids(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """All of them, those of automatic charges too."""
    counted = (Invoice.issued_at >= since) & (Invoice.issued_at < until)
    return [one for one, _ in await _ids(session, Invoice.id, Invoice.account_id, counted, after, limit)]


async def top_up_ids(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    """Those that were paid: (our id, their payment's at Stripe)."""
    counted = (TopUpPayment.created_at >= since) & (TopUpPayment.created_at < until)
    paid = (TopUpPayment.status == TopUpStatus.SUCCEEDED) & TopUpPayment.stripe_payment_intent_id.is_not(None)
    return await _ids(session, TopUpPayment.id, TopUpPayment.stripe_payment_intent_id, counted & paid, after, limit)


async def refund_ids(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    counted = (Refund.issued_at >= since) & (Refund.issued_at < until) & Refund.stripe_refund_id.is_not(None)
    return await _ids(session, Refund.id, Refund.stripe_refund_id, counted, after, limit)


async def dispute_ids(
    session: AsyncSession, since: datetime, until: datetime, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, str]]:
    counted = (Dispute.issued_at >= since) & (Dispute.issued_at < until)
    return await _ids(session, Dispute.id, Dispute.stripe_dispute_id, counted, after, limit)


async def _ids(
    session: AsyncSession,
    key: InstrumentedAttribute[UUID],
    stripe_id: InstrumentedAttribute[Any],
    counted: ColumnElement[bool],
    after: UUID | None,
    limit: int,
) -> Sequence[tuple[UUID, str]]:
    statement = select(key, stripe_id).where(counted)
    if after is not None:
        statement = statement.where(key > after)
    rows = await session.execute(statement.order_by(key).limit(limit))
    return [(one, other) for one, other in rows]
