"""Who has stayed away: what people chose, beside when their sign-ins were last used."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.notifications.enums import Category
from pm_api.domains.notifications.models import Notification, NotificationPreferences
from pm_api.domains.notifications.repository.rows import worth_telling
from pm_api.identity.models.people import UserSession

A_DAY = timedelta(days=1)


def _last_here() -> ColumnElement[datetime]:
    """The last use of any sign-in, ended ones too; at the earliest when they switched the reminder on, for sign-ins
    are forgotten some time after their end.
    """
    used = (
        select(func.max(UserSession.last_used_at))
        .where(UserSession.user_id == NotificationPreferences.user_id)
        .scalar_subquery()
    )
    # GREATEST passes over what is null.
    return func.greatest(used, NotificationPreferences.inactivity_since, type_=DateTime(timezone=True))


def _absent(*columns: Any, now: datetime) -> Select[Any]:
    last_here = _last_here()
    return select(*columns).where(
        NotificationPreferences.inactivity_days.is_not(None),
        NotificationPreferences.choices[Category.REMINDERS.value]["mail"].as_boolean().is_not(False),
        last_here <= literal(now, DateTime(timezone=True)) - NotificationPreferences.inactivity_days * literal(A_DAY),
        or_(NotificationPreferences.reminded_at.is_(None), NotificationPreferences.reminded_at < last_here),
    )


async def due(session: AsyncSession, now: datetime, after: UUID | None, *, limit: int) -> Sequence[UUID]:
    """People who have been away for as long as they chose, and were not reminded since they went; a page by id."""
    person = NotificationPreferences.user_id
    statement = _absent(person, now=now)
    if after is not None:
        statement = statement.where(person > after)
    found = await session.scalars(statement.order_by(person).limit(limit))
    return found.all()


async def absent_since(session: AsyncSession, user_id: UUID, now: datetime) -> datetime | None:
    """Since when one of them has been away; None when they are not due."""
    found: datetime | None = await session.scalar(
        _absent(_last_here(), now=now).where(NotificationPreferences.user_id == user_id)
    )
    return found


async def unread_titles(session: AsyncSession, user_id: UUID, now: datetime, *, limit: int) -> Sequence[str]:
    """What waits for one person, newest first."""
    found = await session.scalars(
        select(Notification.title)
        .where(Notification.user_id == user_id, Notification.archived_at.is_(None), worth_telling(now))
        .order_by(Notification.id.desc())
        .limit(limit)
    )
    return found.all()
