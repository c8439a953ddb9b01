"""What waits: mails for digests and for the end of quiet hours, sleepers, and what has grown old."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, and_, any_, delete, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.notifications.enums import Delivery
from pm_api.domains.notifications.models import Notification, NotificationMailing, NotificationPreferences
from pm_api.domains.notifications.repository.rows import seen_by_its_receiver, worth_telling
from pm_api.identity.models.people import User


@dataclass(frozen=True, slots=True)
class Due:
    """What is due for one person: the latest moment of one kind of delivery, and the earliest that waits for it."""

    user_id: UUID
    delivery: Delivery
    due_at: datetime
    waits_since: datetime

    @property
    def account_id(self) -> UUID:
        """Whose it is, as a sweep asks."""
        return self.user_id


async def to_mail(
    session: AsyncSession, notification_id: UUID
) -> tuple[Notification, User, NotificationPreferences | None] | None:
    """A notification, its receiver as they are now and what they chose; None when they may not see it any more."""
    found = await session.execute(
        select(Notification, User, NotificationPreferences)
        .join(User, User.id == Notification.user_id)
        .outerjoin(NotificationPreferences, NotificationPreferences.user_id == User.id)
        .where(Notification.id == notification_id, seen_by_its_receiver())
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1], row[2])


# --- mails that wait -------------------------------------------------------------------------------------------


async def due(session: AsyncSession, now: datetime, after: Due | None, limit: int) -> Sequence[Due]:
    """Whose mails are due, those first that have been so for longest; the page after one of them."""
    since = func.min(Notification.mail_due_at)
    place = (since, Notification.user_id, Notification.delivery)
    statement = (
        select(
            Notification.user_id,
            Notification.delivery,
            func.max(Notification.mail_due_at).label("due_at"),
            since.label("waits_since"),
        )
        .where(Notification.mail_due_at.is_not(None), Notification.mail_due_at <= now)
        .group_by(Notification.user_id, Notification.delivery)
        .order_by(*place)
        .limit(limit)
    )
    if after is not None:
        statement = statement.having(tuple_(*place) > (after.waits_since, after.user_id, after.delivery.value))
    found = await session.execute(statement)
    return [Due(row.user_id, Delivery(row.delivery), row.due_at, row.waits_since) for row in found]


async def lock_due(session: AsyncSession, one: Due) -> Sequence[UUID]:
    """The notifications it is about, under their locks in order of id: those that wait still."""
    found = await session.scalars(
        select(Notification.id)
        .where(
            Notification.user_id == one.user_id,
            Notification.delivery == one.delivery.value,
            Notification.mail_due_at.is_not(None),
            Notification.mail_due_at <= one.due_at,
        )
        .order_by(Notification.id)
        .with_for_update(key_share=True)
    )
    return found.all()


async def insert_mailing(session: AsyncSession, mailing_id: UUID, one: Due, now: datetime) -> bool:
    """False when there is one for that person, delivery and moment."""
    made = await session.scalars(
        insert(NotificationMailing)
        .values(id=mailing_id, user_id=one.user_id, delivery=one.delivery.value, due_at=one.due_at, created_at=now)
        .on_conflict_do_nothing()
        .returning(NotificationMailing.id)
    )
    return made.first() is not None


async def take_up(session: AsyncSession, notification_ids: Sequence[UUID], mailing_id: UUID) -> None:
    """They go into this mail, and wait no longer."""
    await session.execute(
        update(Notification)
        .where(Notification.id == any_(literal(list(notification_ids), ARRAY(Uuid()))))
        .values(mailing_id=mailing_id, mail_due_at=None, delivery=None)
        .execution_options(synchronize_session=False)
    )


async def contents(
    session: AsyncSession, mailing_id: UUID, categories: Sequence[str], now: datetime, *, limit: int
) -> tuple[Sequence[Notification], int]:
    """What of a mailing is worth telling now, of these categories: the newest ones, and how many in all."""
    wanted = and_(Notification.mailing_id == mailing_id, Notification.category.in_(categories), worth_telling(now))
    count = await session.scalar(select(func.count()).select_from(Notification).where(wanted)) or 0
    rows = await session.scalars(select(Notification).where(wanted).order_by(Notification.id.desc()).limit(limit))
    return rows.all(), count


async def mailing(
    session: AsyncSession, mailing_id: UUID
) -> tuple[NotificationMailing, User, NotificationPreferences | None] | None:
    """A mailing, its receiver as they are now and what they chose."""
    found = await session.execute(
        select(NotificationMailing, User, NotificationPreferences)
        .join(User, User.id == NotificationMailing.user_id)
        .outerjoin(NotificationPreferences, NotificationPreferences.user_id == User.id)
        .where(NotificationMailing.id == mailing_id)
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1], row[2])


# --- sleepers --------------------------------------------------------------------------------------------------


async def lock_sleepers_due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[Notification]:
    """Those whose time has come, each taken by one worker."""
    rows = await session.scalars(
        select(Notification)
        .where(Notification.snoozed_until.is_not(None), Notification.snoozed_until <= now)
        .order_by(Notification.snoozed_until, Notification.id)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def seen(session: AsyncSession, notification_ids: Sequence[UUID]) -> set[UUID]:
    """Those of them that their receivers may see."""
    found = await session.scalars(
        select(Notification.id).where(
            Notification.id == any_(literal(list(notification_ids), ARRAY(Uuid()))), seen_by_its_receiver()
        )
    )
    return set(found)


# --- what has grown old ----------------------------------------------------------------------------------------


async def delete_notifications(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Those told before then that neither sleep nor wait for their mail; returns how many."""
    old = (
        select(Notification.id)
        .where(
            Notification.created_at < before,
            Notification.snoozed_until.is_(None),
            Notification.mail_due_at.is_(None),
        )
        .order_by(Notification.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(delete(Notification).where(Notification.id.in_(old)).returning(Notification.id))
    return len(gone.all())


async def delete_mailings(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Mails of several that were made before then; their notifications forget them. Returns how many."""
    old = (
        select(NotificationMailing.id)
        .where(NotificationMailing.created_at < before)
        .order_by(NotificationMailing.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(
        delete(NotificationMailing).where(NotificationMailing.id.in_(old)).returning(NotificationMailing.id)
    )
    return len(gone.all())
