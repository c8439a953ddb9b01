"""Tables of notifications."""

from datetime import datetime, time
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal
from pm_api.domains.notifications.enums import DIGEST_HOUR, DIGEST_WEEKDAY

DELIVERY_KNOWN: Final = "delivery IN ('INSTANT', 'HOURLY', 'DAILY', 'WEEKLY')"


class Notification(Base, Versioned):
    """One thing one person is told. `workspace_id` and `scope_id` say who may see it, as on any other row.

    `mail_due_at` and `delivery` are set while its mail waits for a digest or for the end of quiet hours; `mailing_id`
    is the mail of several that it went into.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("user_id", "dedup_key"),
        CheckConstraint("scope_id IS NULL OR workspace_id IS NOT NULL", name="scope_within_workspace"),
        Index("ix_notifications_user_id_id", "user_id", "id"),
        Index(
            "ix_notifications_unread",
            "user_id",
            "id",
            postgresql_where=text("read_at IS NULL AND archived_at IS NULL"),
        ),
        CheckConstraint("(mail_due_at IS NULL) = (delivery IS NULL)", name="delivery_while_mail_waits"),
        CheckConstraint(DELIVERY_KNOWN, name="delivery_known"),
        Index(
            "ix_notifications_mail_due",
            "mail_due_at",
            "user_id",
            postgresql_where=text("mail_due_at IS NOT NULL"),
        ),
        Index(
            "ix_notifications_mail_waits",
            "user_id",
            "delivery",
            postgresql_where=text("mail_due_at IS NOT NULL"),
        ),
        Index("ix_notifications_mailing_id", "mailing_id", "id", postgresql_where=text("mailing_id IS NOT NULL")),
        Index("ix_notifications_asleep", "snoozed_until", "id", postgresql_where=text("snoozed_until IS NOT NULL")),
        Index("ix_notifications_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID | None]
    category: Mapped[str]
    type: Mapped[str]
    reason: Mapped[str] = mapped_column(info=personal("deleted"))
    title: Mapped[str] = mapped_column(info=personal("deleted"))
    body: Mapped[str] = mapped_column(info=personal("deleted"))
    data: Mapped[dict[str, Any]] = mapped_column(info=personal("deleted"))
    link: Mapped[str | None]
    dedup_key: Mapped[str]
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    woken_at: Mapped[datetime | None]
    mail_due_at: Mapped[datetime | None]
    delivery: Mapped[str | None]
    mailing_id: Mapped[UUID | None] = mapped_column(ForeignKey("notification_mailings.id", ondelete="SET NULL"))


class NotificationMailing(Base):
    """One mail of several notifications: a digest, or what waited for the end of quiet hours. One for each person,
    delivery and moment, however many workers look. What it says is read when it is sent.
    """

    __tablename__ = "notification_mailings"
    __table_args__ = (
        UniqueConstraint("user_id", "delivery", "due_at"),
        CheckConstraint(DELIVERY_KNOWN, name="delivery_known"),
        Index("ix_notification_mailings_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), info=personal("deleted"))
    delivery: Mapped[str]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]


class NotificationPreferences(Base, Versioned, Timestamped):
    """What one person chose: `{"CREDITS": {"inApp": true, "mail": false, "webhook": false, "delivery": "INSTANT"}}`.
    What is not in it is as it is for all.

    `inactivity_since` is when they switched the reminder on; `reminded_at` when they were last reminded or could not
    pay for it: an absence that began before is over for us.
    """

    __tablename__ = "notification_preferences"
    __table_args__ = (
        CheckConstraint(
            "(quiet_from IS NULL) = (quiet_to IS NULL) AND (quiet_from IS NULL OR quiet_from <> quiet_to)",
            name="quiet_hours_whole",
        ),
        CheckConstraint("digest_hour BETWEEN 0 AND 23", name="digest_hour_of_a_day"),
        CheckConstraint("inactivity_days BETWEEN 7 AND 90", name="inactivity_days_sensible"),
        CheckConstraint("(inactivity_days IS NULL) = (inactivity_since IS NULL)", name="inactivity_since_when_on"),
        Index(
            "ix_notification_preferences_reminded",
            "user_id",
            postgresql_where=text("inactivity_days IS NOT NULL"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    choices: Mapped[dict[str, Any]] = mapped_column(info=personal("deleted"))
    quiet_from: Mapped[time | None]
    quiet_to: Mapped[time | None]
    digest_hour: Mapped[int] = mapped_column(default=DIGEST_HOUR, server_default=text(str(DIGEST_HOUR)))
    digest_weekday: Mapped[str] = mapped_column(default=DIGEST_WEEKDAY, server_default=DIGEST_WEEKDAY)
    inactivity_days: Mapped[int | None]
    inactivity_since: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
