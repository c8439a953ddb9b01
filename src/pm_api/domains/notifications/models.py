"""Tables of notifications."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned


class Notification(Base, Versioned):
    """One thing one person is told. `workspace_id` and `scope_id` say who may see it, as on any other row."""

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
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID | None]
    category: Mapped[str]
    type: Mapped[str]
    reason: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    data: Mapped[dict[str, Any]]
    link: Mapped[str | None]
    dedup_key: Mapped[str]
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]


class NotificationPreferences(Base, Versioned, Timestamped):
    """What one person chose: `{"CREDITS": {"inApp": true, "mail": false}}`. What is not in it is as it is for all."""

    __tablename__ = "notification_preferences"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    choices: Mapped[dict[str, Any]]
