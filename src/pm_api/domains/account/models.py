"""Tables of the account as a whole: exports of a person's data, and deletions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Versioned, personal


class AccountExport(Base, Versioned):
    """All of a person's data as a zip, made by a job. The bytes stand in the parts, until `expires_at`."""

    __tablename__ = "account_exports"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'RUNNING', 'READY', 'FAILED', 'EXPIRED')", name="status_known"),
        CheckConstraint("(status IN ('PENDING', 'RUNNING')) = (finished_at IS NULL)", name="finished_when_final"),
        Index("ix_account_exports_user_id_id", "user_id", "id"),
        Index(
            "uq_account_exports_one_at_a_time",
            "user_id",
            unique=True,
            postgresql_where=text("status IN ('PENDING', 'RUNNING')"),
        ),
        Index("ix_account_exports_expires_at", "expires_at", postgresql_where=text("status = 'READY'")),
        Index("ix_account_exports_waiting", "looked_at", postgresql_where=text("status IN ('PENDING', 'RUNNING')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), info=personal("deleted"))
    status: Mapped[str]
    size_bytes: Mapped[int | None]
    files: Mapped[int | None] = mapped_column(Integer)
    failure_code: Mapped[str | None]
    created_at: Mapped[datetime]
    looked_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class AccountExportPart(Base):
    """Some of the bytes of an export, in their order."""

    __tablename__ = "account_export_parts"

    export_id: Mapped[UUID] = mapped_column(ForeignKey("account_exports.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    content: Mapped[bytes] = mapped_column(info=personal("deleted: with its export"))


class AccountDeletion(Base, Versioned):
    """One deletion of an account: asked for, called off within the grace, or carried out.

    `look_at` is when the sweep looks at it: the end of the grace, or later while something stands in the way; once it
    is ERASED, when what comes late is put away next, null when nothing comes any more.
    While ERASING `sealed_person` holds what they were called, to be struck out everywhere; nothing after.
    """

    __tablename__ = "account_deletions"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'CANCELLED', 'ERASING', 'ERASED')", name="status_known"),
        CheckConstraint("(status IN ('CANCELLED', 'ERASED')) = (ended_at IS NOT NULL)", name="ended_when_final"),
        CheckConstraint("(status = 'ERASING') = (sealed_person IS NOT NULL)", name="person_known_while_erasing"),
        Index(
            "uq_account_deletions_one",
            "user_id",
            unique=True,
            postgresql_where=text("status IN ('PENDING', 'ERASING', 'ERASED')"),
        ),
        Index("ix_account_deletions_due", "look_at", postgresql_where=text("status IN ('PENDING', 'ERASING')")),
        CheckConstraint("look_at IS NOT NULL OR status IN ('CANCELLED', 'ERASED')", name="open_is_looked_at"),
        Index("ix_account_deletions_late", "look_at", "id", postgresql_where=text("status = 'ERASED'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    status: Mapped[str]
    requested_at: Mapped[datetime]
    erase_at: Mapped[datetime]
    look_at: Mapped[datetime | None]
    sealed_person: Mapped[bytes | None] = mapped_column(info=personal("erased: the account, when all else is"))
    closed_workspaces: Mapped[list[Any]]
    left_workspaces: Mapped[list[Any]]
    ended_at: Mapped[datetime | None]
