"""What people say of a task, and the time they spent on it."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class TaskComment(Base, Versioned, Timestamped):
    """Markdown below a task; a deleted one keeps its place while others answer it."""

    __tablename__ = "task_comments"
    __table_args__ = (
        Index("ix_task_comments_task_id_id", "task_id", "id"),
        Index("ix_task_comments_author_user_id", "author_user_id"),
        Index("ix_task_comments_parent_id", "parent_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("task_comments.id", ondelete="CASCADE"))
    author_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str] = mapped_column(info=personal("erased", of="author_user_id"))
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class CommentMention(Base):
    """Somebody whom a comment names, and who saw the task when it did."""

    __tablename__ = "task_comment_mentions"
    __table_args__ = (Index("ix_task_comment_mentions_user_id", "user_id"),)

    comment_id: Mapped[UUID] = mapped_column(ForeignKey("task_comments.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, info=personal("deleted"))


class CommentReaction(Base):
    __tablename__ = "task_comment_reactions"
    __table_args__ = (Index("ix_task_comment_reactions_user_id", "user_id"),)

    comment_id: Mapped[UUID] = mapped_column(ForeignKey("task_comments.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, info=personal("deleted"))
    emoji: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class TimeEntry(Base, Versioned, Timestamped):
    """Minutes somebody worked on a day; `created_at` is when they said so."""

    __tablename__ = "time_entries"
    __table_args__ = (
        CheckConstraint("minutes BETWEEN 1 AND 1440", name="minutes_of_a_day"),
        Index("ix_time_entries_task_id_id", "task_id", "id"),
        Index("ix_time_entries_user_id_worked_on", "user_id", "worked_on"),
        Index("ix_time_entries_workspace_id_worked_on_id", "workspace_id", "worked_on", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    worked_on: Mapped[date]
    minutes: Mapped[int]
    note: Mapped[str] = mapped_column(info=personal("erased"))
