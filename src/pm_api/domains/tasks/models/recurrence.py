"""When tasks that come again by the calendar have their next one made."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base


class TaskRecurrence(Base):
    """The newest task of a series that goes on by itself: at `due_at` the one after it is made, done or not."""

    __tablename__ = "task_recurrences"
    __table_args__ = (Index("ix_task_recurrences_due_at_task_id", "due_at", "task_id"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    due_at: Mapped[datetime]
