"""Tables of uploads under way."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal
from pm_api.domains.storage.enums import SessionState, UploadWay


class UploadSession(Base, Versioned, Timestamped):
    """An upload, whichever way its bytes come. `file_id` is the file it makes or gives a new version. Every key it
    writes under is here before the bytes are: `key` is where the whole object goes, chunks lie at
    `tus/{id}/{epoch}-{n}`.

    `lease_epoch` is the fence between two connections that send to one upload: what an older one writes is not taken.
    """

    __tablename__ = "upload_sessions"
    __table_args__ = (
        CheckConstraint(f"way IN ({', '.join(repr(str(one)) for one in UploadWay)})", name="way_known"),
        CheckConstraint(f"state IN ({', '.join(repr(str(one)) for one in SessionState)})", name="state_known"),
        CheckConstraint(
            "received_bytes >= 0 AND (total_bytes IS NULL OR received_bytes <= total_bytes)", name="within_its_length"
        ),
        CheckConstraint("reserved_bytes >= 0", name="reserves_no_less_than_nothing"),
        CheckConstraint("state IN ('OPEN', 'FINISHING') OR reserved_bytes = 0", name="ends_without_reservation"),
        Index(
            "ix_upload_sessions_expires_at",
            "expires_at",
            "id",
            postgresql_where=text("state IN ('OPEN', 'FINISHING')"),
        ),
        Index("ix_upload_sessions_account_id_id", "account_id", "id"),
        Index(
            "ix_upload_sessions_under_way",
            "account_id",
            "user_id",
            postgresql_where=text("state IN ('OPEN', 'FINISHING')"),
        ),
        Index("ix_upload_sessions_file_id", "file_id"),
        Index("ix_upload_sessions_user_id_id", "user_id", "id"),
        Index("ix_upload_sessions_ended_at", "ended_at", "id", postgresql_where=text("ended_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"))
    is_new_version: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    way: Mapped[str]
    state: Mapped[str]
    original_name: Mapped[str] = mapped_column(info=personal("deleted"))
    declared_type: Mapped[str | None]
    raw_metadata: Mapped[str] = mapped_column(default="", server_default="", info=personal("deleted"))
    """`Upload-Metadata` as it was sent: tus wants it back unchanged."""
    total_bytes: Mapped[int | None]
    received_bytes: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    most_bytes: Mapped[int]
    """The most this upload may bring: the plan's limit for one file when it began."""
    reserved_bytes: Mapped[int]
    expected_sha256: Mapped[bytes | None]
    expected_md5: Mapped[bytes | None]
    key: Mapped[str]
    incoming_key: Mapped[str | None]
    """Where a presigned upload lands; it is copied to `key` before it is looked at."""
    multipart_id: Mapped[str | None]
    parts: Mapped[list[Any] | None]
    """ETags of a presigned multipart upload, kept so that completion can be done again."""
    lease_epoch: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    leased_until: Mapped[datetime | None]
    """Until when a connection or a job holds it. Of a complete tus upload: when its client gave up its address."""
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    failure: Mapped[str | None]
    """The code of the problem an upload ended with."""


class UploadChunk(Base):
    """Bytes of a tus upload, one after the other. The key tells the lease they were written under, so that a
    connection which has lost the upload overwrites nothing of the one that has it now.
    """

    __tablename__ = "upload_chunks"
    __table_args__ = (CheckConstraint("size_bytes > 0", name="holds_something"),)

    upload_id: Mapped[UUID] = mapped_column(ForeignKey("upload_sessions.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    starts_at: Mapped[int]
    size_bytes: Mapped[int]
    key: Mapped[str]
    created_at: Mapped[datetime]
