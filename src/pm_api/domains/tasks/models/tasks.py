"""The task itself, and what hangs on it row by row."""

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

OF_A_TASK: Final = "tasks.id"
DUE_BY: Final = (
    "COALESCE(due_at, ((due_on + 1))::timestamp without time zone AT TIME ZONE 'UTC'::text, "
    "'9998-12-31 00:00:00+00'::timestamp with time zone)"
)
"""Written as PostgreSQL writes it back, by which the migrations' check compares."""


class Task(Base, Versioned, Timestamped):
    """A piece of work. `number` with its project's key is its name among people (WEB-42).

    `board_key` orders the tasks of a project's status, compared byte by byte. Start and due are a day, or a moment
    with the zone it was meant in; never both. `due_by` is what is sorted by: the moment, the end of the day in UTC,
    or a time beyond all others for what is never due. `fields` holds the project's own, by key. `deleted_with` tells
    what was deleted by one call, and is restored by one.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "status"], ["project_statuses.project_id", "project_statuses.key"], onupdate="CASCADE"
        ),
        UniqueConstraint("project_id", "number"),
        CheckConstraint("priority BETWEEN 0 AND 4", name="priority_known"),
        CheckConstraint("num_nonnulls(start_on, start_at) < 2", name="one_start"),
        CheckConstraint("num_nonnulls(due_on, due_at) < 2", name="one_due"),
        CheckConstraint("depth BETWEEN 0 AND 9", name="depth_bounded"),
        CheckConstraint("length(board_key) <= 64", name="board_key_bounded"),
        CheckConstraint("estimate_minutes >= 0", name="estimate_not_negative"),
        Index("ix_tasks_workspace_id_id", "workspace_id", "id", postgresql_where=text("deleted_at IS NULL")),
        Index(
            "ix_tasks_workspace_id_updated_at",
            "workspace_id",
            "updated_at",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_tasks_workspace_id_due_by",
            "workspace_id",
            "due_by",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_tasks_workspace_id_start_on",
            "workspace_id",
            "start_on",
            "id",
            postgresql_where=text("deleted_at IS NULL AND start_on IS NOT NULL"),
        ),
        Index(
            "ix_tasks_workspace_id_start_at",
            "workspace_id",
            "start_at",
            "id",
            postgresql_where=text("deleted_at IS NULL AND start_at IS NOT NULL"),
        ),
        Index(
            "ix_tasks_workspace_id_priority",
            "workspace_id",
            "priority",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_tasks_scope_id_id", "scope_id", "id"),
        Index(
            "ix_tasks_board",
            "project_id",
            "status",
            "board_key",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_tasks_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_tasks_deleted", "deleted_at", "id", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("ix_tasks_deleted_with", "deleted_with", postgresql_where=text("deleted_with IS NOT NULL")),
        Index("ix_tasks_created_by_user_id", "created_by_user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    number: Mapped[int]
    title: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    description: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    status: Mapped[str]
    priority: Mapped[int]
    board_key: Mapped[str] = mapped_column(String(collation="C"))
    start_on: Mapped[date | None]
    start_at: Mapped[datetime | None]
    due_on: Mapped[date | None]
    due_at: Mapped[datetime | None]
    due_by: Mapped[datetime] = mapped_column(Computed(DUE_BY, persisted=True), deferred=True, deferred_raiseload=True)
    time_zone: Mapped[str | None]
    estimate_minutes: Mapped[int | None]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey(OF_A_TASK))
    depth: Mapped[int] = mapped_column(default=0, server_default="0")
    fields: Mapped[dict[str, Any]] = mapped_column(info=personal("erased", of="workspace_id"))
    recurrence: Mapped[dict[str, Any] | None]
    previous_task_id: Mapped[UUID | None] = mapped_column(ForeignKey(OF_A_TASK), unique=True)
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    completed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_with: Mapped[UUID | None]


class TaskAssignee(Base):
    __tablename__ = "task_assignees"
    __table_args__ = (Index("ix_task_assignees_user_id_task_id", "user_id", "task_id"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey(OF_A_TASK, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, info=personal("deleted"))
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    assigned_at: Mapped[datetime]


class TaskWatcher(Base):
    """Somebody who is told of what happens to a task, because they chose to or took part in it."""

    __tablename__ = "task_watchers"
    __table_args__ = (Index("ix_task_watchers_user_id_task_id", "user_id", "task_id"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey(OF_A_TASK, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, info=personal("deleted"))
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))


class TaskLabel(Base):
    __tablename__ = "task_labels"
    __table_args__ = (Index("ix_task_labels_label_id_task_id", "label_id", "task_id"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey(OF_A_TASK, ondelete="CASCADE"), primary_key=True)
    label_id: Mapped[UUID] = mapped_column(ForeignKey("project_labels.id", ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))


class ChecklistItem(Base, Versioned):
    """One thing to tick off. Its scope is its task's, with which it goes."""

    __tablename__ = "task_checklist_items"
    __table_args__ = (Index("ix_task_checklist_items_task_id_position", "task_id", "position", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID]
    task_id: Mapped[UUID] = mapped_column(ForeignKey(OF_A_TASK, ondelete="CASCADE"))
    content: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    is_done: Mapped[bool]
    position: Mapped[int]


class TaskDependency(Base):
    """`task_id`, whose scope it has, BLOCKS, RELATES to or DUPLICATES `other_task_id`, in the same workspace."""

    __tablename__ = "task_dependencies"
    __table_args__ = (
        CheckConstraint("kind IN ('BLOCKS', 'RELATES', 'DUPLICATES')", name="kind_known"),
        CheckConstraint("task_id <> other_task_id", name="not_on_itself"),
        UniqueConstraint("task_id", "other_task_id", "kind"),
        Index("ix_task_dependencies_other_task_id", "other_task_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID]
    task_id: Mapped[UUID] = mapped_column(ForeignKey(OF_A_TASK, ondelete="CASCADE"))
    other_task_id: Mapped[UUID] = mapped_column(ForeignKey(OF_A_TASK, ondelete="CASCADE"))
    kind: Mapped[str]
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
