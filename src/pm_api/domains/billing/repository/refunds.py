"""Queries of refunds and disputes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AdminScope, SystemScope
from pm_api.domains.billing.enums import DisputeStatus, PaymentRefundStatus
from pm_api.domains.billing.models.refunds import Dispute, Refund

GIVEN_BACK = (PaymentRefundStatus.PENDING, PaymentRefundStatus.SUCCEEDED)
TAKEN_UP = (PaymentRefundStatus.REQUESTED, *GIVEN_BACK)


async def given_back(session: AsyncSession, payment_intent_id: str) -> int:
    """What Stripe has, or is about to have, given back of a payment: minor units."""
    return await _sum(session, payment_intent_id, GIVEN_BACK)


async def taken_up(session: AsyncSession, payment_intent_id: str) -> int:
    """The same with what we have asked for and not heard of yet: what may no longer be asked for."""
    return await _sum(session, payment_intent_id, TAKEN_UP)


async def _sum(session: AsyncSession, payment_intent_id: str, statuses: Sequence[PaymentRefundStatus]) -> int:
    found = await session.scalar(
        select(func.sum(Refund.amount_minor)).where(
            Refund.stripe_payment_intent_id == payment_intent_id, Refund.status.in_(statuses)
        )
    )
    return int(found or 0)


async def lost(session: AsyncSession, payment_intent_id: str) -> int:
    """What lost disputes took of a payment: minor units."""
    found = await session.scalar(
        select(func.sum(Dispute.amount_minor)).where(
            Dispute.stripe_payment_intent_id == payment_intent_id, Dispute.status == DisputeStatus.LOST
        )
    )
    return int(found or 0)


async def listed(
    session: AsyncSession,
    _scope: AdminScope,
    *,
    limit: int,
    before: UUID | None,
    account_id: UUID | None,
    status: PaymentRefundStatus | None,
) -> Sequence[Refund]:
    """A page of everybody's, the newest first."""
    statement = select(Refund)
    if before is not None:
        statement = statement.where(Refund.id < before)
    if account_id is not None:
        statement = statement.where(Refund.account_id == account_id)
    if status is not None:
        statement = statement.where(Refund.status == status)
    rows = await session.scalars(statement.order_by(Refund.id.desc()).limit(limit))
    return rows.all()


async def refund(session: AsyncSession, _scope: AdminScope | SystemScope, refund_id: UUID) -> Refund | None:
    return await session.scalar(
        select(Refund).where(Refund.id == refund_id).execution_options(populate_existing=True)
    )


async def lock_refund(
    session: AsyncSession, _scope: SystemScope, *, stripe_refund_id: str | None, flow_id: UUID | None
) -> Refund | None:
    """The row of a refund at Stripe: known by its id, or by the flow that asked for it."""
    known = []
    if stripe_refund_id is not None:
        known.append(Refund.stripe_refund_id == stripe_refund_id)
    if flow_id is not None:
        known.append(Refund.flow_id == flow_id)
    found = await session.scalar(select(Refund.id).where(or_(*known)).order_by(Refund.id).limit(1).with_for_update())
    return None if found is None else await refund(session, _scope, found)


async def insert_refund(session: AsyncSession, _scope: SystemScope, values: dict[str, Any]) -> bool:
    made = await session.scalar(insert(Refund).values(**values).on_conflict_do_nothing().returning(Refund.id))
    return made is not None


async def disputes(
    session: AsyncSession,
    _scope: AdminScope,
    *,
    limit: int,
    before: UUID | None,
    status: DisputeStatus | None,
) -> Sequence[Dispute]:
    """A page of everybody's, the newest first."""
    statement = select(Dispute)
    if before is not None:
        statement = statement.where(Dispute.id < before)
    if status is not None:
        statement = statement.where(Dispute.status == status)
    rows = await session.scalars(statement.order_by(Dispute.id.desc()).limit(limit))
    return rows.all()


async def lock_dispute(session: AsyncSession, _scope: SystemScope, stripe_dispute_id: str) -> Dispute | None:
    await session.execute(select(Dispute.id).where(Dispute.stripe_dispute_id == stripe_dispute_id).with_for_update())
    return await session.scalar(
        select(Dispute)
        .where(Dispute.stripe_dispute_id == stripe_dispute_id)
        .execution_options(populate_existing=True)
    )


async def insert_dispute(session: AsyncSession, _scope: SystemScope, values: dict[str, Any]) -> bool:
    made = await session.scalar(
        insert(Dispute)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[Dispute.stripe_dispute_id])
        .returning(Dispute.id)
    )
    return made is not None


async def of_payment(
    session: AsyncSession, _scope: SystemScope, payment_intent_id: str
) -> Sequence[Refund | Dispute]:
    """Everything that went back, or may go back, of one payment, as committed now."""
    given = await session.scalars(
        select(Refund)
        .where(Refund.stripe_payment_intent_id == payment_intent_id)
        .order_by(Refund.id)
        .execution_options(populate_existing=True)
    )
    fetched = await session.scalars(
        select(Dispute)
        .where(Dispute.stripe_payment_intent_id == payment_intent_id)
        .order_by(Dispute.id)
        .execution_options(populate_existing=True)
    )
    return [*given, *fetched]


async def charges_due(session: AsyncSession, _scope: SystemScope, now: datetime, limit: int) -> Sequence[str]:
    """Charges whose credits have to be looked at again, the longest due first."""
    due = union_all(
        select(Refund.stripe_charge_id.label("charge"), Refund.credits_due_at.label("due_at")).where(
            Refund.credits_due_at <= now, Refund.stripe_charge_id.is_not(None)
        ),
        select(Dispute.stripe_charge_id, Dispute.credits_due_at).where(Dispute.credits_due_at <= now),
    ).subquery()
    rows = await session.scalars(
        select(due.c.charge).group_by(due.c.charge).order_by(func.min(due.c.due_at), due.c.charge).limit(limit)
    )
    return rows.all()


async def postpone(session: AsyncSession, _scope: SystemScope, charge_id: str, until: datetime) -> None:
    """It could not be looked at; not before then again."""
    for table in (Refund, Dispute):
        await session.execute(
            update(table)
            .where(table.stripe_charge_id == charge_id, table.credits_due_at.is_not(None))
            .values(credits_due_at=until)
        )
