"""Tables of what lies in the store, and of what it takes up."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned


class StorageUsage(Base, Versioned, Timestamped):
    """What an account's files take up, in bytes: each object once, however many files share it. `reserved` is
    promised to uploads under way. Who adds to an account holds this row, after the budget it belongs to.
    """

    __tablename__ = "storage_usage"
    __table_args__ = (
        CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name="account_kind_known"),
        CheckConstraint(
            "least(reserved, task_attachments, project_assets, message_attachments, workspace_logos, user_avatars,"
            " temporary_files, drive_cache, old_versions, trash) >= 0",
            name="never_below_nothing",
        ),
        CheckConstraint(
            "total_used = task_attachments + project_assets + message_attachments + workspace_logos + user_avatars"
            " + temporary_files + drive_cache + old_versions + trash",
            name="is_the_sum_of_its_parts",
        ),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    total_used: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reserved: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    task_attachments: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    project_assets: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    message_attachments: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    workspace_logos: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    user_avatars: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    temporary_files: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    drive_cache: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    old_versions: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    trash: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    last_calculated_at: Mapped[datetime]


class StoredObject(Base, Timestamped):
    """Bytes in the store, once per account and content. `charged_as` is what they are counted under now; null while
    they are counted under nothing. The row is the lock of all that refers to it.
    """

    __tablename__ = "stored_objects"
    __table_args__ = (
        CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name="account_kind_known"),
        CheckConstraint("size_bytes >= 0", name="size_not_negative"),
        CheckConstraint(
            "scan_state IN ('NOT_SCANNED', 'PENDING', 'CLEAN', 'INFECTED', 'TOO_LARGE')", name="scan_state_known"
        ),
        UniqueConstraint("account_id", "sha256"),
        UniqueConstraint("key"),
        Index("ix_stored_objects_account_id_id", "account_id", "id"),
        Index("ix_stored_objects_scan_due_at", "scan_due_at", "id", postgresql_where=text("scan_due_at IS NOT NULL")),
        Index("ix_stored_objects_unscanned", "scan_due_at", "id", postgresql_where=text("scan_state = 'PENDING'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    key: Mapped[str]
    size_bytes: Mapped[int]
    sha256: Mapped[bytes]
    md5: Mapped[bytes]
    media_type: Mapped[str]
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    charged_as: Mapped[str | None]
    scan_state: Mapped[str] = mapped_column(default="NOT_SCANNED", server_default="NOT_SCANNED")
    scan_due_at: Mapped[datetime | None]
    scan_attempts: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    scanned_at: Mapped[datetime | None]
    threat: Mapped[str | None]
    doubted_at: Mapped[datetime | None]
    """When somebody was first refused these bytes, since the store has not got them, or not all."""


class ObjectRendition(Base):
    """A smaller picture of an object, square or fitted, as WebP. It is made again when it is missing, so it is
    counted under nothing.
    """

    __tablename__ = "object_renditions"
    __table_args__ = (UniqueConstraint("key"),)

    object_id: Mapped[UUID] = mapped_column(ForeignKey("stored_objects.id", ondelete="CASCADE"), primary_key=True)
    size: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str]
    size_bytes: Mapped[int]
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]


class DoomedObject(Base):
    """A key whose bytes are to go from the store, written in the transaction that let go of them."""

    __tablename__ = "doomed_objects"
    __table_args__ = (Index("ix_doomed_objects_due_at", "due_at", "key"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None]
    reason: Mapped[str]
    multipart_id: Mapped[str | None]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    created_at: Mapped[datetime]
