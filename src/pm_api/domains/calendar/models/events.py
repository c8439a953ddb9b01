"""Tables of events: series and single ones, single occurrences that differ, and where in time each may be found."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, DateTime, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

Wall = DateTime(timezone=False)
"""What a clock on the wall shows; the zone stands in a column beside it."""
MAY_BE_DENSE: Final = "rrule ~ 'BY(HOUR|MINUTE|SECOND)=[0-9]+,' OR cardinality(rdates) > 500"
"""Series that may have over 1,000 occurrences in 400 days; others cannot. The words of an index and of its query."""


class CalendarHome(Base):
    """The open scope of a workspace's events that are in no project: all members see them but guests."""

    __tablename__ = "calendar_homes"

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"), unique=True)


class CalendarEvent(Base, Versioned, Timestamped):
    """One event, or a series with all its occurrences. `version` counts the changes of the whole series, those of
    single occurrences and of who comes too; `sequence` is iCalendar's, raised when the time changes.

    `starts_wall` and `ends_wall` are as somebody wrote them, all-day ones from midnight to midnight, the end
    exclusive; `span_days` and `span_seconds` say how long each occurrence lasts. `starts_at` and `ends_at` are the
    first placement in UTC by `tzdata_version`, `series_starts_at` and `series_ends_at` bound all occurrences, moved
    ones included; the end is null for ever. `reached_until` is how far `calendar_reach` knows a series that goes on.
    """

    __tablename__ = "calendar_events"
    __table_args__ = (
        CheckConstraint("type IN ('MEETING', 'CALL', 'DEADLINE', 'REMINDER')", name="type_known"),
        CheckConstraint("visibility IN ('DEFAULT', 'PRIVATE', 'CONFIDENTIAL')", name="visibility_known"),
        CheckConstraint("show_as IN ('BUSY', 'TENTATIVE', 'OOO', 'FREE')", name="show_as_known"),
        CheckConstraint("starts_at <= ends_at", name="ends_after_it_starts"),
        CheckConstraint("series_starts_at <= series_ends_at", name="series_ends_after_it_starts"),
        UniqueConstraint("workspace_id", "uid"),
        Index("ix_calendar_events_workspace_id_starts_at_id", "workspace_id", "starts_at", "id"),
        Index(
            "ix_calendar_events_workspace_id_reached_until",
            "workspace_id",
            "reached_until",
            postgresql_where=text("reached_until IS NOT NULL"),
        ),
        Index("ix_calendar_events_reached_until_id", "reached_until", "id"),
        Index("ix_calendar_events_workspace_id_dense", "workspace_id", postgresql_where=text(MAY_BE_DENSE)),
        Index("ix_calendar_events_scope_id", "scope_id"),
        Index("ix_calendar_events_project_id", "project_id", postgresql_where=text("project_id IS NOT NULL")),
        Index("ix_calendar_events_organizer_user_id", "organizer_user_id"),
        Index("ix_calendar_events_created_by_user_id", "created_by_user_id"),
        Index(
            "ix_calendar_events_previous_series_id",
            "previous_series_id",
            postgresql_where=text("previous_series_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    type: Mapped[str]
    title: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    description: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    location: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    visibility: Mapped[str]
    show_as: Mapped[str]
    all_day: Mapped[bool]
    time_zone: Mapped[str]
    starts_wall: Mapped[datetime] = mapped_column(Wall)
    ends_wall: Mapped[datetime] = mapped_column(Wall)
    span_days: Mapped[int] = mapped_column(Integer)
    span_seconds: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    rrule: Mapped[str | None]
    rdates: Mapped[list[datetime]] = mapped_column(ARRAY(Wall), server_default=text("'{}'"))
    exdates: Mapped[list[datetime]] = mapped_column(ARRAY(Wall), server_default=text("'{}'"))
    counted_end: Mapped[datetime | None] = mapped_column(Wall)
    series_starts_at: Mapped[datetime]
    series_ends_at: Mapped[datetime | None]
    reached_until: Mapped[datetime | None]
    tzdata_version: Mapped[str]
    uid: Mapped[str]
    sequence: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    previous_series_id: Mapped[UUID | None]
    organizer_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    guests_can_invite: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class CalendarOverride(Base, Timestamped):
    """What differs in one occurrence, named by the instant it was to start at (midnight UTC of its day when all-day).

    The columns of time are all null in one that was not moved; `fields` holds what else differs, by the names of
    calendar_events' columns.
    """

    __tablename__ = "calendar_overrides"
    __table_args__ = (CheckConstraint("(starts_wall IS NULL) = (starts_at IS NULL)", name="moved_wholly"),)

    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"), primary_key=True)
    original_at: Mapped[datetime] = mapped_column(primary_key=True)
    original_wall: Mapped[datetime] = mapped_column(Wall)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"), index=True)
    cancelled: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    all_day: Mapped[bool | None]
    time_zone: Mapped[str | None]
    starts_wall: Mapped[datetime | None] = mapped_column(Wall)
    ends_wall: Mapped[datetime | None] = mapped_column(Wall)
    span_days: Mapped[int | None] = mapped_column(Integer)
    span_seconds: Mapped[int | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    fields: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'"), info=personal("erased", of="workspace_id")
    )
    sequence: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class CalendarReach(Base):
    """In which weeks an event or a series has something: so that a month finds what is in it among a million events,
    and asks no series that is elsewhere. `week` counts from 1970; ALWAYS stands for what lasts longer than a year.
    """

    __tablename__ = "calendar_reach"
    __table_args__ = (Index("ix_calendar_reach_event_id", "event_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    week: Mapped[int] = mapped_column(Integer, primary_key=True)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"), primary_key=True)
