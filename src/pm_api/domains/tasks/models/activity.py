"""What was done to tasks, how it is taken back, and how somebody likes to look at them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class TaskActivity(Base):
    """One thing done to a task: `changes` is a list of {field, old, new}."""

    __tablename__ = "task_activities"
    __table_args__ = (
        Index("ix_task_activities_task_id_id", "task_id", "id"),
        Index("ix_task_activities_project_id_id", "project_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    actor_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    actor_key_id: Mapped[UUID | None]
    action: Mapped[str]
    changes: Mapped[list[Any]] = mapped_column(info=personal("erased", of="workspace_id"))
    undo_id: Mapped[UUID | None]
    created_at: Mapped[datetime]


class TaskUndo(Base):
    """How a change is taken back: what each task was before, and the version the change left it at.

    The id is the undo token: worth something to the person who made the change alone, for ten minutes, once. The
    scope is that of the tasks when they all are of one project.
    """

    __tablename__ = "task_undos"
    __table_args__ = (Index("ix_task_undos_expires_at", "expires_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID | None]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str]
    before: Mapped[list[Any]] = mapped_column(info=personal("deleted"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SavedView(Base, Versioned, Timestamped):
    """A filter, an order and columns under a name; of a workspace, or of one project and then in its scope."""

    __tablename__ = "saved_views"
    __table_args__ = (
        CheckConstraint("(project_id IS NULL) = (scope_id IS NULL)", name="sight_of_its_project"),
        Index("ix_saved_views_workspace_id_id", "workspace_id", "id"),
        Index("ix_saved_views_owner_user_id", "owner_user_id"),
        Index("ix_saved_views_scope_id", "scope_id"),
        Index("ix_saved_views_project_id", "project_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID | None] = mapped_column(ForeignKey("scopes.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    owner_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(info=personal("deleted", of="owner_user_id"))
    is_shared: Mapped[bool]
    query: Mapped[dict[str, Any]] = mapped_column(info=personal("deleted", of="owner_user_id"))
