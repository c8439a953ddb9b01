"""Queries of what is mailed to addresses outside."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, case, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.domains.calendar.models import CalendarAttendee, CalendarLetter


async def letter(session: AsyncSession, letter_id: UUID) -> CalendarLetter | None:
    return await session.scalar(select(CalendarLetter).where(CalendarLetter.id == letter_id))


async def last_letters(session: AsyncSession, attendee_ids: Collection[UUID]) -> dict[UUID, tuple[str, bytes]]:
    """Method and occasion of what each of them was mailed last; after the cancellation of one occurrence their
    invitation stands.
    """
    if not attendee_ids:
        return {}
    rows = await session.execute(
        select(
            CalendarLetter.attendee_id,
            case((CalendarLetter.about_at.is_not(None), "REQUEST"), else_=CalendarLetter.method),
            CalendarLetter.occasion,
        )
        .where(CalendarLetter.attendee_id.in_(attendee_ids))
        .order_by(CalendarLetter.attendee_id, CalendarLetter.id.desc())
        .ext(distinct_on(CalendarLetter.attendee_id))
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def is_last(session: AsyncSession, row: CalendarLetter) -> bool:
    """Whether nothing newer was written to them of the same: that one occurrence does not take place says nothing
    of the others, and holds until the whole is cancelled.
    """
    newer = select(CalendarLetter.id).where(CalendarLetter.attendee_id == row.attendee_id, CalendarLetter.id > row.id)
    if row.about_at is None:
        newer = newer.where(CalendarLetter.about_at.is_(None))
    else:
        ends = and_(CalendarLetter.about_at.is_(None), CalendarLetter.method == "CANCEL")
        newer = newer.where(or_(ends, CalendarLetter.about_at == row.about_at))
    return await session.scalar(newer.limit(1)) is None


async def count_since(session: AsyncSession, workspace_id: UUID, since: datetime) -> int:
    found = await session.scalar(
        select(func.count())
        .select_from(CalendarLetter)
        .where(CalendarLetter.workspace_id == workspace_id, CalendarLetter.created_at > since)
    )
    return found or 0


async def forget_old(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Letters written before then, but for the last one of an invitation that stands; returns how many."""
    later = aliased(CalendarLetter)
    is_superseded = exists().where(later.attendee_id == CalendarLetter.attendee_id, later.id > CalendarLetter.id)
    stands = exists().where(CalendarAttendee.id == CalendarLetter.attendee_id)
    old = (
        select(CalendarLetter.id)
        .where(CalendarLetter.created_at < before, or_(is_superseded, ~stands))
        .order_by(CalendarLetter.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(
        delete(CalendarLetter)
        .where(CalendarLetter.id.in_(old))
        .returning(CalendarLetter.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


async def forget_addresses(session: AsyncSession, emails: Collection[str], *, limit: int) -> int:
    some = select(CalendarLetter.id).where(CalendarLetter.email.in_(emails)).limit(limit)
    gone = await session.scalars(
        delete(CalendarLetter)
        .where(CalendarLetter.id.in_(some))
        .returning(CalendarLetter.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())
