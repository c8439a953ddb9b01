"""Tables of what opens an account beside a password: API keys and the second factor."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal

LIVE_KEY: Final = "revoked_at IS NULL"


class ApiKey(Base, Versioned, Timestamped):
    """A key for programs. The account is the workspace it is bound to, or its maker; only the hash is kept.

    Times are wall time, as of everything that lets somebody in. Uses are no changes: they do not count in `version`.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("account_kind IN ('USER', 'WORKSPACE')", name="account_kind_known"),
        CheckConstraint("account_kind <> 'USER' OR account_id = user_id", name="own_or_of_workspace"),
        Index("ix_api_keys_account_id_id", "account_id", "id"),
        Index("ix_api_keys_live", "account_id", "user_id", postgresql_where=text(LIVE_KEY)),
        Index("ix_api_keys_user_id", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_kind: Mapped[str]
    account_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(info=personal("erased", becomes="API key"))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str]
    scopes: Mapped[list[Any]]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]


class SecondFactor(Base):
    """A person's TOTP secret, sealed. Not asked for before `enabled_at`; no step up to `last_step` is good again."""

    __tablename__ = "second_factors"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    sealed_secret: Mapped[bytes] = mapped_column(info=personal("deleted"))
    last_step: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    enabled_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """One of the codes that stand in for the device, each once. Only the hash is kept."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(primary_key=True, info=personal("deleted"))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
