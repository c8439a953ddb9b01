"""Tables of projects: the project, and what its tasks may be: statuses, labels, fields of its own."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class Project(Base, Versioned, Timestamped):
    """Work with one aim. Its scope tells who sees it and all that is in it; `last_task_number` is the last one given.

    `archived_from` is the status it comes back to. `deleted_at` hides it for 30 days, in which it can be restored.
    """

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint("status IN ('PLANNED', 'ACTIVE', 'PAUSED', 'COMPLETED', 'ARCHIVED')", name="status_known"),
        CheckConstraint("starts_on <= due_on", name="starts_before_it_is_due"),
        Index("ix_projects_workspace_id_key", "workspace_id", "key", unique=True),
        Index("ix_projects_workspace_id_id", "workspace_id", "id"),
        Index("ix_projects_deleted", "deleted_at", "id", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("ix_projects_created_by_user_id", "created_by_user_id"),
        Index(
            "ix_projects_workspace_id_starts_on",
            "workspace_id",
            "starts_on",
            "id",
            postgresql_where=text("deleted_at IS NULL AND starts_on IS NOT NULL"),
        ),
        Index(
            "ix_projects_workspace_id_due_on",
            "workspace_id",
            "due_on",
            "id",
            postgresql_where=text("deleted_at IS NULL AND due_on IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"), unique=True)
    key: Mapped[str]
    name: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    description: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    status: Mapped[str]
    colour: Mapped[str]
    icon: Mapped[str]
    starts_on: Mapped[date | None]
    due_on: Mapped[date | None]
    is_template: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    enforce_blocked: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    last_task_number: Mapped[int] = mapped_column(default=0, server_default="0")
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    completed_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    archived_from: Mapped[str | None]
    deleted_at: Mapped[datetime | None]


class ProjectStatus(Base, Versioned):
    """One step of a project's workflow, a column of its board. `key` is what a task's `status` says."""

    __tablename__ = "project_statuses"
    __table_args__ = (
        CheckConstraint("category IN ('TODO', 'IN_PROGRESS', 'DONE', 'CANCELED')", name="category_known"),
        UniqueConstraint("project_id", "key"),
        Index("ix_project_statuses_project_id_position", "project_id", "position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"), index=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    key: Mapped[str]
    name: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    category: Mapped[str]
    colour: Mapped[str]
    position: Mapped[int]


class ProjectLabel(Base, Versioned):
    """A coloured word for tasks; its name is unique within the project, whatever its case."""

    __tablename__ = "project_labels"
    __table_args__ = (Index("ix_project_labels_name", "project_id", text("lower(name)"), unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"), index=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    colour: Mapped[str]


class ProjectField(Base, Versioned):
    """A field that a project's tasks have beside the common ones. `options` are those of a SELECT."""

    __tablename__ = "project_fields"
    __table_args__ = (
        CheckConstraint("kind IN ('TEXT', 'NUMBER', 'DATE', 'SELECT', 'USER')", name="kind_known"),
        UniqueConstraint("project_id", "key"),
        Index("ix_project_fields_project_id_position", "project_id", "position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id"), index=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    key: Mapped[str]
    name: Mapped[str] = mapped_column(info=personal("erased", of="workspace_id"))
    kind: Mapped[str]
    options: Mapped[list[Any]] = mapped_column(info=personal("erased", of="workspace_id"))
    position: Mapped[int]
