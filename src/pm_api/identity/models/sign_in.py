"""Tables of signing in: identities at other providers, sign-ins under way, links sent by mail, what happened.

All their times are wall time, as of everything that lets somebody in.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal


class ExternalIdentity(Base):
    """Somebody's account at another provider that signs them in here; one a provider."""

    __tablename__ = "external_identities"
    __table_args__ = (UniqueConstraint("provider", "subject"), UniqueConstraint("user_id", "provider"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    subject: Mapped[str] = mapped_column(info=personal("deleted"))
    email: Mapped[str | None] = mapped_column(info=personal("deleted"))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


class OauthAttempt(Base):
    """A sign-in under way at a provider, or one that waits for the second factor. Taken by deleting it.

    `secret_hash` is of the `state`, later of the cookie that waits for the code; `browser_hash` is of the cookie of
    the browser that began. `user_id` and `session_id` are of who links a provider or is to give the code. What must
    be read again is sealed.
    """

    __tablename__ = "oauth_attempts"
    __table_args__ = (
        CheckConstraint("stage IN ('STARTED', 'SECOND_FACTOR')", name="stage_known"),
        CheckConstraint("stage = 'STARTED' OR user_id IS NOT NULL", name="second_factor_of_somebody"),
        Index("ix_oauth_attempts_expires_at", "expires_at"),
        Index("ix_oauth_attempts_user_id", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    session_id: Mapped[UUID | None]
    provider: Mapped[str]
    stage: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    browser_hash: Mapped[bytes]
    sealed: Mapped[bytes] = mapped_column(info=personal("deleted"))
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class EmailToken(Base):
    """A link that was sent to an address; who shows its token reads mail there. Good once; only its hash is kept."""

    __tablename__ = "email_tokens"
    __table_args__ = (
        CheckConstraint("purpose IN ('VERIFY', 'RESET', 'CHANGE_EMAIL')", name="purpose_known"),
        Index("ix_email_tokens_user_id_purpose", "user_id", "purpose", "created_at"),
        Index("ix_email_tokens_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    purpose: Mapped[str]
    email: Mapped[str] = mapped_column(info=personal("deleted"))
    previous_email: Mapped[str | None] = mapped_column(info=personal("deleted"))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SecurityEvent(Base):
    """Something that happened at the door of an account."""

    __tablename__ = "security_events"
    __table_args__ = (
        Index("ix_security_events_user_id_id", "user_id", "id"),
        Index("ix_security_events_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    session_id: Mapped[UUID | None]
    user_agent: Mapped[str] = mapped_column(info=personal("deleted"))
    address: Mapped[str] = mapped_column(info=personal("deleted"))
    details: Mapped[dict[str, Any]] = mapped_column(info=personal("deleted"))
    created_at: Mapped[datetime]


class KnownDevice(Base):
    """A mark by which a device is known again: of its cookie, or of what it says it is and where it is."""

    __tablename__ = "known_devices"
    __table_args__ = (Index("ix_known_devices_last_seen_at", "last_seen_at"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    mark: Mapped[bytes] = mapped_column(primary_key=True, info=personal("deleted"))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
