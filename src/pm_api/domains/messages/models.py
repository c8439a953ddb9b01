"""Tables of messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

OF_THEIR_AUTHOR = "erased: messages"


class Conversation(Base, Versioned, Timestamped):
    """Its scope tells who sees it and all that is said in it; a project's channel has the project's. `last_number` is
    the last one given to a message, `active_at` when that was.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        CheckConstraint("kind IN ('DIRECT', 'GROUP', 'CHANNEL')", name="kind_known"),
        CheckConstraint("(kind = 'DIRECT') = (first_user_id IS NOT NULL)", name="direct_has_two"),
        CheckConstraint("first_user_id < second_user_id", name="pair_in_order"),
        UniqueConstraint("workspace_id", "first_user_id", "second_user_id"),
        Index("ix_conversations_workspace_id_active_at_id", "workspace_id", "active_at", "id"),
        Index("ix_conversations_scope_id", "scope_id"),
        Index("ix_conversations_project_id", "project_id", postgresql_where=text("project_id IS NOT NULL")),
        Index("ix_conversations_created_by_user_id", "created_by_user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    first_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    second_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    last_number: Mapped[int] = mapped_column(default=0, server_default="0")
    active_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class ConversationReader(Base, Versioned):
    """How far somebody has read, and whether they want to be told. A channel's readers have no row before they do
    something; then nothing is read.
    """

    __tablename__ = "conversation_readers"
    __table_args__ = (Index("ix_conversation_readers_user_id_conversation_id", "user_id", "conversation_id"),)

    conversation_id: Mapped[UUID] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    read_number: Mapped[int] = mapped_column(default=0, server_default="0", info=personal("deleted"))
    is_muted: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    muted_until: Mapped[datetime | None]


class Message(Base, Versioned, Timestamped):
    """What somebody said. A deleted one keeps its place and says nothing any more. Its scope is its conversation's,
    which never has another one.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("conversation_id", "number"),
        Index("ix_messages_parent_id_number", "parent_id", "number", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_messages_author_user_id_id", "author_user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID]
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    number: Mapped[int]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    author_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str] = mapped_column(info=personal(OF_THEIR_AUTHOR, of="author_user_id"))
    mentions: Mapped[list[Any]]
    reply_count: Mapped[int] = mapped_column(default=0, server_default="0")
    last_reply_at: Mapped[datetime | None]
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class MessageRevision(Base):
    """What a message said before it was changed: its text as it was at `version`."""

    __tablename__ = "message_revisions"
    __table_args__ = (Index("ix_message_revisions_author_user_id_message_id", "author_user_id", "message_id"),)

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    author_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str] = mapped_column(info=personal("deleted: messages", of="author_user_id"))
    written_at: Mapped[datetime]


class MessageReaction(Base):
    """One person's one emoji."""

    __tablename__ = "message_reactions"
    __table_args__ = (Index("ix_message_reactions_user_id_message_id", "user_id", "message_id"),)

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    emoji: Mapped[str] = mapped_column(primary_key=True, info=personal("deleted"))
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    created_at: Mapped[datetime]
