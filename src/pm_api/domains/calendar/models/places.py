"""Tables of rooms and other things that events take up, and of feeds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class CalendarResource(Base, Versioned, Timestamped):
    """A room, or a thing, that one event at a time may take up. Its row is the lock of its bookings."""

    __tablename__ = "calendar_resources"
    __table_args__ = (
        CheckConstraint("capacity > 0", name="holds_somebody"),
        UniqueConstraint("workspace_id", "name"),
        Index("ix_calendar_resources_workspace_id_id", "workspace_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    description: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    location: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    capacity: Mapped[int | None] = mapped_column(Integer)
    time_zone: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))


class CalendarEventResource(Base):
    """That an event takes a room. `booked_until` is how far a series without an end has been booked; null: wholly."""

    __tablename__ = "calendar_event_resources"
    __table_args__ = (
        Index("ix_calendar_event_resources_resource_id", "resource_id"),
        Index(
            "ix_calendar_event_resources_booked_until",
            "booked_until",
            postgresql_where=text("booked_until IS NOT NULL"),
        ),
        Index("ix_calendar_event_resources_workspace_id", "workspace_id"),
    )

    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"), primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(
        ForeignKey("calendar_resources.id", ondelete="CASCADE"), primary_key=True
    )
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    booked_until: Mapped[datetime | None]


class CalendarBooking(Base):
    """One occurrence in one room. Bookings of a room never overlap: who books holds the room's row, and where
    PostgreSQL has btree_gist an exclusion constraint says the same.
    """

    __tablename__ = "calendar_bookings"
    __table_args__ = (
        CheckConstraint("starts_at <= ends_at", name="ends_after_it_starts"),
        Index("ix_calendar_bookings_resource_id_ends_at", "resource_id", "ends_at", "starts_at"),
        Index("ix_calendar_bookings_event_id", "event_id"),
    )

    resource_id: Mapped[UUID] = mapped_column(
        ForeignKey("calendar_resources.id", ondelete="CASCADE"), primary_key=True
    )
    event_id: Mapped[UUID] = mapped_column(ForeignKey("calendar_events.id", ondelete="CASCADE"), primary_key=True)
    original_at: Mapped[datetime] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]


class CalendarFeed(Base, Versioned, Timestamped):
    """A secret address at which calendar programs read what its owner sees. Of the secret only the digest is kept."""

    __tablename__ = "calendar_feeds"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index("ix_calendar_feeds_user_id_id", "user_id", "id"),
        Index("ix_calendar_feeds_workspace_id", "workspace_id"),
        Index("ix_calendar_feeds_project_id", "project_id", postgresql_where=text("project_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), info=personal("deleted"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(info=personal("deleted"))
    token_hash: Mapped[bytes]
    read_at: Mapped[datetime | None]
