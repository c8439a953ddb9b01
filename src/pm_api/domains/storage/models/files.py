"""Tables of files, their versions and their links."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal
from pm_api.domains.storage.enums import FileType, UploadStatus


def _one_of(column: str, kinds: type) -> str:
    return f"{column} IN ({', '.join(repr(str(one)) for one in kinds)})"  # type: ignore[attr-defined]


class StoredFile(Base, Versioned, Timestamped):
    """A file as people know it: a name, a place, and the version that counts. Of a workspace, or without one of its
    uploader alone. `scope_id` says who sees it; without one a workspace's file is its uploader's until it has a
    place. `deleted_at` puts it into the trash, out of which it is purged at `purge_at`.
    """

    __tablename__ = "files"
    __table_args__ = (
        CheckConstraint(_one_of("file_type", FileType), name="file_type_known"),
        CheckConstraint(_one_of("status", UploadStatus), name="status_known"),
        CheckConstraint("account_id = coalesce(workspace_id, user_id)", name="of_workspace_or_uploader"),
        CheckConstraint("(deleted_at IS NULL) = (purge_at IS NULL)", name="trash_is_purged"),
        CheckConstraint("status <> 'COMPLETED' OR object_id IS NOT NULL", name="completed_has_bytes"),
        Index("ix_files_account_id_id", "account_id", "id"),
        Index("ix_files_workspace_id_id", "workspace_id", "id"),
        Index("ix_files_scope_id", "scope_id"),
        Index("ix_files_task_id", "task_id", "id", postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_files_project_id", "project_id", "id", postgresql_where=text("project_id IS NOT NULL")),
        Index("ix_files_message_id", "message_id", "id", postgresql_where=text("message_id IS NOT NULL")),
        Index("ix_files_user_id_id", "user_id", "id"),
        Index("ix_files_object_id", "object_id"),
        Index("ix_files_purge_at", "purge_at", "id", postgresql_where=text("purge_at IS NOT NULL")),
        Index("ix_files_expires_at", "expires_at", "id", postgresql_where=text("expires_at IS NOT NULL")),
        Index("ix_files_size_bytes", "account_id", "size_bytes", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    scope_id: Mapped[UUID | None] = mapped_column(ForeignKey("scopes.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    file_type: Mapped[str]
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    message_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("messages.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED")
    )
    """Looked at as the transaction commits: a message is given its files before its number, which others wait for."""
    original_name: Mapped[str] = mapped_column(info=personal("erased", of="account_id"))
    status: Mapped[str]
    object_id: Mapped[UUID | None] = mapped_column(ForeignKey("stored_objects.id"))
    version_number: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    last_version_number: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    """The highest number that a version was ever given, whether there is that version or not."""
    size_bytes: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    declared_type: Mapped[str | None]
    media_type: Mapped[str | None]
    is_temporary: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    purge_at: Mapped[datetime | None]
    public_token: Mapped[str | None] = mapped_column(unique=True)
    """The unguessable part of a picture's public address: of avatars and logos alone."""


class FileVersion(Base):
    """What a file held at some time. The one with the file's `version_number` counts; the others are old."""

    __tablename__ = "file_versions"
    __table_args__ = (
        UniqueConstraint("file_id", "number"),
        Index("ix_file_versions_object_id", "object_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"))
    account_id: Mapped[UUID]
    number: Mapped[int] = mapped_column(Integer)
    object_id: Mapped[UUID] = mapped_column(ForeignKey("stored_objects.id"))
    original_name: Mapped[str] = mapped_column(info=personal("erased", of="account_id"))
    declared_type: Mapped[str | None]
    media_type: Mapped[str | None]
    """What the bytes are under this name; None of what came before it was kept here, and is what its object says."""
    uploaded_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]


class FileLink(Base):
    """A signed address that gives a file's bytes to whoever has it, until it expires or is revoked."""

    __tablename__ = "file_links"
    __table_args__ = (
        Index("ix_file_links_file_id_id", "file_id", "id"),
        Index("ix_file_links_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"))
    account_id: Mapped[UUID]
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    is_inline: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
