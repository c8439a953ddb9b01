"""Tables of identity."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

ROLE_CHECK = "role IN ('OWNER', 'ADMIN', 'MEMBER', 'VIEWER', 'GUEST')"


BY_IDENTITY = "erased: identity, first of all"


class User(Base, Versioned, Timestamped):
    """A person. One who has gone keeps the row, without anything that tells who they were: books point at it.

    `deletes_at` is when an account that its person has deleted will be erased, `erased_at` when it was.
    """

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_erased_at", "erased_at", postgresql_where=text("erased_at IS NOT NULL")),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True, info=personal(BY_IDENTITY))
    name: Mapped[str] = mapped_column(info=personal(BY_IDENTITY))
    job_title: Mapped[str | None] = mapped_column(info=personal(BY_IDENTITY))
    about: Mapped[str | None] = mapped_column(info=personal(BY_IDENTITY))
    avatar: Mapped[str | None] = mapped_column(info=personal(BY_IDENTITY))
    """Path of their picture at this API, written by storage."""
    password_hash: Mapped[str | None] = mapped_column(info=personal(BY_IDENTITY))
    is_admin: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    email_verified_at: Mapped[datetime | None]
    locale: Mapped[str]
    time_zone: Mapped[str]
    theme: Mapped[str] = mapped_column(default="SYSTEM", server_default="SYSTEM")
    deletes_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]


class UserSession(Base):
    """One sign-in on one device: the family of its refresh tokens."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user_id_id", "user_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    user_agent: Mapped[str] = mapped_column(info=personal("deleted"))
    address: Mapped[str] = mapped_column(info=personal("deleted"))


class RefreshToken(Base):
    """One link of a session's chain; only its hash is kept."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]


WITH_ITS_LAST_MEMBER = "erased: identity, when its only member goes"


class Workspace(Base, Versioned, Timestamped):
    """What members share. `closed_at` is when what it had bought and its credits ended for good, once nobody could
    restore it any more.
    """

    __tablename__ = "workspaces"
    __table_args__ = (
        Index(
            "ix_workspaces_to_close",
            "deleted_at",
            "id",
            postgresql_where=text("deleted_at IS NOT NULL AND closed_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(info=personal(WITH_ITS_LAST_MEMBER))
    slug: Mapped[str] = mapped_column(unique=True, info=personal(WITH_ITS_LAST_MEMBER))
    description: Mapped[str | None] = mapped_column(info=personal(WITH_ITS_LAST_MEMBER))
    logo: Mapped[str | None] = mapped_column(info=personal(WITH_ITS_LAST_MEMBER))
    """Path of its picture at this API, written by storage."""
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]


class Member(Base, Versioned):
    __tablename__ = "workspace_members"
    __table_args__ = (
        UniqueConstraint("workspace_id", "user_id"),
        CheckConstraint(ROLE_CHECK, name="role_known"),
        Index("ix_workspace_members_user_id_workspace_id", "user_id", "workspace_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str]
    joined_at: Mapped[datetime]


class Scope(Base):
    """A circle within the workspace: a project, a conversation, a private event. One that `is_open` is seen by every
    member but guests, whether they are in it or not: what was open becomes private by this one row.
    """

    __tablename__ = "scopes"
    __table_args__ = (Index("ix_scopes_open", "workspace_id", "id", postgresql_where=text("is_open")),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"), index=True)
    is_open: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class ScopeMember(Base, Versioned):
    """Somebody in a circle. Within it their `role` counts in place of the workspace's, unless that is ADMIN or OWNER;
    without one the workspace's does.
    """

    __tablename__ = "scope_members"
    __table_args__ = (
        CheckConstraint("role IN ('ADMIN', 'MEMBER', 'VIEWER')", name="role_known"),
        Index("ix_scope_members_user_id_scope_id", "user_id", "scope_id"),
    )

    scope_id: Mapped[UUID] = mapped_column(ForeignKey("scopes.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str | None]
    added_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who changed membership, roles or money's surroundings, when, in which request."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_workspace_id_id", "workspace_id", "id"),
        Index(
            "ix_audit_entries_actor_user_id_id",
            "actor_user_id",
            "id",
            postgresql_where=text("actor_user_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    actor_kind: Mapped[str]
    actor_user_id: Mapped[UUID | None]
    actor_key_id: Mapped[UUID | None]
    action: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(info=personal("struck: identity"))
    request_id: Mapped[str]
    created_at: Mapped[datetime]
