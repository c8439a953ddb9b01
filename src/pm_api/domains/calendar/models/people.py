"""Tables of who comes, what they answered, and when they want to be reminded."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

OF_WHO_ANSWERED = "deleted"


class CalendarAttendee(Base):
    """Somebody invited: a member, or an address outside. The answer is for the whole series; one invited to a single
    occurrence alone has its original start in `only_at`. `is_told`: they know that they are invited.
    """

    __tablename__ = "calendar_attendees"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (email IS NULL)", name="member_or_address"),
        CheckConstraint("response IN ('PENDING', 'ACCEPTED', 'DECLINED', 'TENTATIVE')", name="response_known"),
        CheckConstraint("(proposed_starts_at IS NULL) = (proposed_ends_at IS NULL)", name="proposed_wholly"),
        UniqueConstraint("event_id", "user_id", "email", "only_at", postgresql_nulls_not_distinct=True),
        Index(
            "ix_calendar_attendees_user_id_workspace_id",
            "user_id",
            "workspace_id",
            "event_id",
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        Index("ix_calendar_attendees_workspace_id", "workspace_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), info=personal(OF_WHO_ANSWERED))
    email: Mapped[str | None] = mapped_column(info=personal("deleted", of="workspace_id"))
    name: Mapped[str] = mapped_column(default="", server_default="", info=personal("erased", of="workspace_id"))
    only_at: Mapped[datetime | None]
    is_optional: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    response: Mapped[str]
    comment: Mapped[str] = mapped_column(default="", server_default="", info=personal(OF_WHO_ANSWERED))
    proposed_starts_at: Mapped[datetime | None]
    proposed_ends_at: Mapped[datetime | None]
    responded_at: Mapped[datetime | None]
    is_told: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class CalendarAnswer(Base):
    """What somebody invited to a series answered for one occurrence; `uninvited`: they need not come to that one."""

    __tablename__ = "calendar_answers"
    __table_args__ = (
        CheckConstraint("response IN ('PENDING', 'ACCEPTED', 'DECLINED', 'TENTATIVE')", name="response_known"),
        Index("ix_calendar_answers_event_id_original_at", "event_id", "original_at"),
    )

    attendee_id: Mapped[UUID] = mapped_column(
        ForeignKey("calendar_attendees.id", ondelete="CASCADE"), primary_key=True
    )
    original_at: Mapped[datetime] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"))
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"), index=True)
    response: Mapped[str]
    comment: Mapped[str] = mapped_column(default="", server_default="", info=personal("erased", of="workspace_id"))
    proposed_starts_at: Mapped[datetime | None]
    proposed_ends_at: Mapped[datetime | None]
    uninvited: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    responded_at: Mapped[datetime | None]


class CalendarReminder(Base):
    """When somebody wants to be told before each occurrence; with `only_at` before that one alone, in place of what
    they have for all, and without `minutes_before` never before that one. `next_at` is when that is due the next
    time, for the occurrence with the original start `next_original_at`; null when nothing comes any more.
    """

    __tablename__ = "calendar_reminders"
    __table_args__ = (
        CheckConstraint("minutes_before BETWEEN 0 AND 40320", name="minutes_in_range"),
        CheckConstraint("channel IN ('IN_APP', 'MAIL')", name="channel_known"),
        CheckConstraint("(minutes_before IS NULL) = (channel IS NULL)", name="said_wholly"),
        CheckConstraint(
            "minutes_before IS NOT NULL OR (only_at IS NOT NULL AND next_at IS NULL)", name="never_of_one_alone"
        ),
        UniqueConstraint(
            *("event_id", "user_id", "only_at", "minutes_before", "channel"),
            name="uq_calendar_reminders_once",
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_calendar_reminders_next_at_id", "next_at", "id", postgresql_where=text("next_at IS NOT NULL")),
        Index("ix_calendar_reminders_user_id", "user_id"),
        Index("ix_calendar_reminders_workspace_id", "workspace_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), info=personal("deleted"))
    only_at: Mapped[datetime | None]
    minutes_before: Mapped[int | None] = mapped_column(Integer)
    channel: Mapped[str | None]
    next_at: Mapped[datetime | None]
    next_original_at: Mapped[datetime | None]


class CalendarSnooze(Base):
    """Somebody wants to be reminded of one occurrence once more."""

    __tablename__ = "calendar_snoozes"
    __table_args__ = (
        UniqueConstraint("event_id", "user_id", "original_at", postgresql_nulls_not_distinct=True),
        Index("ix_calendar_snoozes_due_at_id", "due_at", "id"),
        Index("ix_calendar_snoozes_user_id", "user_id"),
        Index("ix_calendar_snoozes_workspace_id", "workspace_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), info=personal("deleted"))
    original_at: Mapped[datetime | None]
    due_at: Mapped[datetime]


class CalendarWorkingHours(Base, Versioned, Timestamped):
    """When somebody works, in the zone of their settings: for each weekday from MO to SU ranges of `HH:MM`. Without a
    row: Monday to Friday, 09:00 to 17:00.
    """

    __tablename__ = "calendar_working_hours"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    days: Mapped[dict[str, Any]] = mapped_column(info=personal("deleted"))


class CalendarLetter(Base):
    """What is mailed to an address outside, as it stood when it was written: a cancellation outlives its event.
    `occasion` is a digest of what it says of time, place and words, so that nobody is mailed the same twice. With
    `about_at` it says of that one occurrence of a series that it does not take place; the invitation stands.
    """

    __tablename__ = "calendar_letters"
    __table_args__ = (
        CheckConstraint("method IN ('REQUEST', 'CANCEL')", name="method_known"),
        Index("ix_calendar_letters_attendee_id_id", "attendee_id", "id"),
        Index("ix_calendar_letters_workspace_id", "workspace_id"),
        Index("ix_calendar_letters_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    attendee_id: Mapped[UUID]
    email: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    method: Mapped[str]
    about_at: Mapped[datetime | None]
    occasion: Mapped[bytes]
    words: Mapped[dict[str, Any]] = mapped_column(info=personal("deleted", of="workspace_id"))
    calendar: Mapped[bytes] = mapped_column(info=personal("deleted", of="workspace_id"))
    created_at: Mapped[datetime]
