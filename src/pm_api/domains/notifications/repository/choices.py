"""What people chose, and where they live: what decides when a mail goes out."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, any_, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.notifications.models import Notification, NotificationPreferences
from pm_api.domains.notifications.repository.rows import Wait
from pm_api.identity.models.people import User


async def preferences(session: AsyncSession, user_id: UUID) -> NotificationPreferences | None:
    return await session.scalar(select(NotificationPreferences).where(NotificationPreferences.user_id == user_id))


async def lock_preferences(session: AsyncSession, user_id: UUID, now: datetime) -> NotificationPreferences:
    """The person's row under its lock, made when there is none: one of version 0, which holds no choice."""
    await session.execute(
        insert(NotificationPreferences)
        .values(user_id=user_id, choices={}, version=0, created_at=now, updated_at=now)
        .on_conflict_do_nothing()
    )
    await session.execute(
        select(NotificationPreferences.user_id).where(NotificationPreferences.user_id == user_id).with_for_update()
    )
    row = await session.scalar(
        select(NotificationPreferences)
        .where(NotificationPreferences.user_id == user_id)
        .execution_options(populate_existing=True)
    )
    assert row is not None
    return row


async def zones_and_choices(
    session: AsyncSession, user_ids: Collection[UUID]
) -> Mapping[UUID, tuple[str, NotificationPreferences | None]]:
    """Everybody's time zone, and what they chose if anything."""
    found = await session.execute(
        select(User.id, User.time_zone, NotificationPreferences)
        .outerjoin(NotificationPreferences, NotificationPreferences.user_id == User.id)
        .where(User.id == any_(literal(list(user_ids), ARRAY(Uuid()))))
        .execution_options(populate_existing=True)
    )
    return {user_id: (zone, chosen) for user_id, zone, chosen in found}


async def lock_waiting(session: AsyncSession, user_id: UUID, now: datetime) -> Sequence[tuple[UUID, str]]:
    """A person's notifications whose mail is for later (id and category), under their locks in order of id."""
    found = await session.execute(
        select(Notification.id, Notification.category)
        .where(Notification.user_id == user_id, Notification.mail_due_at.is_not(None), Notification.mail_due_at > now)
        .order_by(Notification.id)
        .with_for_update(key_share=True)
    )
    return [(row.id, row.category) for row in found]


async def put_off(session: AsyncSession, notification_ids: Collection[UUID], wait: Wait | None) -> None:
    """Let the mails of these wait until then; None: none is wanted."""
    await session.execute(
        update(Notification)
        .where(Notification.id == any_(literal(list(notification_ids), ARRAY(Uuid()))))
        .values(
            mail_due_at=None if wait is None else wait.due_at, delivery=None if wait is None else wait.delivery.value
        )
        .execution_options(synchronize_session=False)
    )
