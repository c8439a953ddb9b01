"""Tables of bug reports."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

OF_ITS_REPORTER: Final = "reporter_user_id"


class BugReport(Base, Versioned, Timestamped):
    """What somebody says is broken: in a workspace, or without one in the product; `task_id` is what it became."""

    __tablename__ = "bug_reports"
    __table_args__ = (
        CheckConstraint("severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')", name="severity_known"),
        CheckConstraint(
            "status IN ('OPEN', 'TRIAGED', 'IN_PROGRESS', 'RESOLVED', 'CLOSED', 'DUPLICATE')", name="status_known"
        ),
        CheckConstraint("(status = 'DUPLICATE') = (duplicate_of_id IS NOT NULL)", name="duplicate_of_another"),
        CheckConstraint("duplicate_of_id <> id", name="not_of_itself"),
        Index("ix_bug_reports_workspace_id_id", "workspace_id", "id"),
        Index("ix_bug_reports_reporter_user_id_id", "reporter_user_id", "id"),
        Index("ix_bug_reports_on_the_product", "id", postgresql_where=text("workspace_id IS NULL")),
        Index("ix_bug_reports_assignee_user_id", "assignee_user_id"),
        Index("ix_bug_reports_duplicate_of_id", "duplicate_of_id"),
        Index("ix_bug_reports_task_id", "task_id"),
        Index("ix_bug_reports_screenshot_id", "screenshot_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    reporter_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(info=personal("erased", of=OF_ITS_REPORTER))
    steps: Mapped[str] = mapped_column(info=personal("erased", of=OF_ITS_REPORTER))
    severity: Mapped[str]
    page_url: Mapped[str | None] = mapped_column(info=personal("erased", of=OF_ITS_REPORTER))
    browser_info: Mapped[dict[str, Any]] = mapped_column(info=personal("erased", of=OF_ITS_REPORTER))
    status: Mapped[str]
    duplicate_of_id: Mapped[UUID | None] = mapped_column(ForeignKey("bug_reports.id"))
    assignee_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    note: Mapped[str] = mapped_column(default="", server_default="", info=personal("erased", of="workspace_id"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    screenshot_id: Mapped[UUID | None] = mapped_column(ForeignKey("files.id", ondelete="SET NULL"))
