"""Tables of the change feed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class Feed(Base):
    """One ordered stream of changes; its id is the id of the workspace or user it belongs to."""

    __tablename__ = "feeds"
    __table_args__ = (CheckConstraint("kind IN ('WORKSPACE', 'USER')", name="kind_known"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    position: Mapped[int] = mapped_column(default=0, server_default="0")
    pruned_to: Mapped[int] = mapped_column(default=0, server_default="0")


class Change(Base):
    """One thing that changed. `position` is commit order within the feed; it rises, but may leave gaps.

    `event_id` is set when a domain event caused the change, so that its second delivery writes nothing. `least_role`
    is set when a workspace's members below that role may not read the thing.
    """

    __tablename__ = "changes"
    __table_args__ = (
        Index(
            "ix_changes_feed_id_event_id",
            "feed_id",
            "event_id",
            unique=True,
            postgresql_where=text("event_id IS NOT NULL"),
        ),
    )

    feed_id: Mapped[UUID] = mapped_column(ForeignKey("feeds.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    entity: Mapped[str]
    entity_id: Mapped[UUID]
    action: Mapped[str]
    version: Mapped[int]
    scope_id: Mapped[UUID | None]
    least_role: Mapped[str | None]
    actor_user_id: Mapped[UUID | None]
    actor_key_id: Mapped[UUID | None]
    event_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(index=True)


class StreamTicket(Base):
    """Opens one stream once, for clients that cannot set headers, as long as the session or API key behind it lives.
    Only the hash is kept.
    """

    __tablename__ = "stream_tickets"
    __table_args__ = (CheckConstraint("num_nonnulls(session_id, api_key_id) = 1", name="one_credential"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    expires_at: Mapped[datetime] = mapped_column(index=True)
