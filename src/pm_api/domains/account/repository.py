"""Queries of exports and deletions, and of what the floor keeps of a caller."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, UserScope
from pm_api.core.tables import FlowRecord, IdempotencyKey, InboxEvent
from pm_api.domains.account.enums import DeletionStatus, ExportStatus
from pm_api.domains.account.models import AccountDeletion, AccountExport, AccountExportPart

UNDER_WAY = (ExportStatus.PENDING, ExportStatus.RUNNING)
ADDRESS_CHANGED = "customer.updated"
OPEN = (DeletionStatus.PENDING, DeletionStatus.ERASING)

# --- exports ---------------------------------------------------------------------------------------------------


async def open_export(session: AsyncSession, values: dict[str, Any]) -> AccountExport | None:
    """A new one; None while the person has one under way."""
    return await session.scalar(
        insert(AccountExport).values(**values).on_conflict_do_nothing().returning(AccountExport)
    )


async def export_under_way(session: AsyncSession, scope: UserScope) -> AccountExport | None:
    return await session.scalar(
        select(AccountExport).where(AccountExport.user_id == scope.user_id, AccountExport.status.in_(UNDER_WAY))
    )


async def export(session: AsyncSession, scope: UserScope, export_id: UUID) -> AccountExport | None:
    return await session.scalar(
        select(AccountExport).where(AccountExport.id == export_id, AccountExport.user_id == scope.user_id)
    )


async def exports(
    session: AsyncSession, scope: UserScope, *, limit: int, before: UUID | None
) -> Sequence[AccountExport]:
    statement = select(AccountExport).where(AccountExport.user_id == scope.user_id)
    if before is not None:
        statement = statement.where(AccountExport.id < before)
    return (await session.scalars(statement.order_by(AccountExport.id.desc()).limit(limit))).all()


async def exports_since(session: AsyncSession, user_id: UUID, since: datetime) -> int:
    found = select(func.count()).where(AccountExport.user_id == user_id, AccountExport.created_at > since)
    return await session.scalar(found) or 0


async def lock_export(session: AsyncSession, _scope: SystemScope, export_id: UUID) -> AccountExport | None:
    return await session.scalar(
        select(AccountExport)
        .where(AccountExport.id == export_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def put_part(session: AsyncSession, export_id: UUID, number: int, content: bytes) -> None:
    await session.execute(insert(AccountExportPart).values(export_id=export_id, number=number, content=content))


async def drop_parts(session: AsyncSession, export_ids: Collection[UUID]) -> None:
    await session.execute(delete(AccountExportPart).where(AccountExportPart.export_id.in_(export_ids)))


async def part(session: AsyncSession, export_id: UUID, number: int) -> bytes | None:
    return await session.scalar(
        select(AccountExportPart.content).where(
            AccountExportPart.export_id == export_id, AccountExportPart.number == number
        )
    )


async def ready_of(session: AsyncSession, user_id: UUID, besides: UUID) -> Sequence[AccountExport]:
    """Finished exports of a person that a newer one stands for."""
    rows = await session.scalars(
        select(AccountExport)
        .where(
            AccountExport.user_id == user_id,
            AccountExport.status == ExportStatus.READY,
            AccountExport.id != besides,
        )
        .order_by(AccountExport.id)
        .with_for_update()
    )
    return rows.all()


async def expired_exports(
    session: AsyncSession, _scope: SystemScope, now: datetime, limit: int
) -> Sequence[AccountExport]:
    rows = await session.scalars(
        select(AccountExport)
        .where(AccountExport.status == ExportStatus.READY, AccountExport.expires_at <= now)
        .order_by(AccountExport.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


async def waiting_exports(
    session: AsyncSession, _scope: SystemScope, before: datetime, limit: int
) -> Sequence[AccountExport]:
    """Those whose job was lost: nobody has looked at them for long."""
    rows = await session.scalars(
        select(AccountExport)
        .where(AccountExport.status.in_(UNDER_WAY), AccountExport.looked_at <= before)
        .order_by(AccountExport.looked_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


# --- deletions -------------------------------------------------------------------------------------------------


class Due(NamedTuple):
    look_at: datetime
    id: UUID
    account_id: UUID


async def open_deletion(session: AsyncSession, values: dict[str, Any]) -> AccountDeletion | None:
    return await session.scalar(
        insert(AccountDeletion).values(**values).on_conflict_do_nothing().returning(AccountDeletion)
    )


async def deletion_of(session: AsyncSession, user_id: UUID) -> AccountDeletion | None:
    """The one that is open, as committed now."""
    return await session.scalar(
        select(AccountDeletion)
        .where(AccountDeletion.user_id == user_id, AccountDeletion.status.in_(OPEN))
        .execution_options(populate_existing=True)
    )


async def due_deletions(session: AsyncSession, _scope: SystemScope, now: datetime, limit: int) -> Sequence[Due]:
    rows = await session.execute(
        select(AccountDeletion.look_at, AccountDeletion.id, AccountDeletion.user_id)
        .where(AccountDeletion.status.in_(OPEN), AccountDeletion.look_at <= now)
        .order_by(AccountDeletion.look_at, AccountDeletion.id)
        .limit(limit)
    )
    return [Due(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


async def deletion(session: AsyncSession, _scope: SystemScope, deletion_id: UUID) -> AccountDeletion | None:
    return await session.get(AccountDeletion, deletion_id)


async def lock_deletion(session: AsyncSession, _scope: SystemScope, deletion_id: UUID) -> AccountDeletion | None:
    return await session.scalar(
        select(AccountDeletion)
        .where(AccountDeletion.id == deletion_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def looked_at_late(session: AsyncSession, _scope: SystemScope, now: datetime, limit: int) -> Sequence[Due]:
    """Erased ones for whom something may have come since."""
    rows = await session.execute(
        select(AccountDeletion.look_at, AccountDeletion.id, AccountDeletion.user_id)
        .where(AccountDeletion.status == DeletionStatus.ERASED, AccountDeletion.look_at <= now)
        .order_by(AccountDeletion.look_at, AccountDeletion.id)
        .limit(limit)
    )
    return [Due(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


# --- what the floor keeps of a caller --------------------------------------------------------------------------


async def forget_calls(session: AsyncSession, callers: Collection[str], subjects: Collection[UUID]) -> None:
    """Answers that were kept for repeated requests, and flows that have ended. One that has not is let be: it is
    looked at again.
    """
    await session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.caller.in_(callers), IdempotencyKey.status_code.is_not(None))
    )
    await session.execute(
        delete(FlowRecord).where(
            or_(FlowRecord.caller.in_(callers), FlowRecord.subject.in_(subjects)), FlowRecord.closed_at.is_not(None)
        )
    )


async def empty_events_about(
    session: AsyncSession, customer_ids: Collection[str], words: Sequence[str], limit: int
) -> int:
    """The same of customers who go on: what named this person, and what told of the change of address."""
    named = [InboxEvent.body.icontains(one, autoescape=True) for one in words]
    chosen = (
        select(InboxEvent.id)
        .where(
            InboxEvent.subject.in_(customer_ids),
            InboxEvent.body != "{}",
            or_(InboxEvent.type == ADDRESS_CHANGED, *named),
        )
        .order_by(InboxEvent.id)
        .limit(limit)
    )
    rows = await session.scalars(
        update(InboxEvent)
        .where(InboxEvent.id.in_(chosen.scalar_subquery()))
        .values(body="{}")
        .returning(InboxEvent.id)
    )
    return len(rows.all())


async def empty_events(session: AsyncSession, customer_ids: Collection[str], limit: int) -> int:
    """What a provider said of these customers; that it said so, and what came of it, stays."""
    chosen = (
        select(InboxEvent.id)
        .where(InboxEvent.subject.in_(customer_ids), InboxEvent.body != "{}")
        .order_by(InboxEvent.id)
        .limit(limit)
    )
    rows = await session.scalars(
        update(InboxEvent)
        .where(InboxEvent.id.in_(chosen.scalar_subquery()))
        .values(body="{}")
        .returning(InboxEvent.id)
    )
    return len(rows.all())
