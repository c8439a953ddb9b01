"""Tables of the ledger. Every one carries the account in its key: it is what the data would be distributed by.

Commands, entries and allocations carry no foreign keys: checking one costs as much as inserting the row, only the
ledger's store writes them (under the account's lock), and `/verify` proves that nothing dangles.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal

IN_THE_BOOK = "kept: every line of a book is covered by the hash of the next one"


class CreditAccount(Base):
    """One wallet or pool; its id is the id of the user, workspace or lead it belongs to.

    `balance` is the sum of all entries; what may be spent now is computed from the lots and the clock.
    """

    __tablename__ = "credit_accounts"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(user_id, workspace_id, lead_id) = 1 AND id = coalesce(user_id, workspace_id, lead_id)",
            name="one_owner",
        ),
        CheckConstraint("balance >= 0 AND held >= 0 AND debt >= 0", name="never_negative"),
        Index("ix_credit_accounts_lead_id", "lead_id", unique=True, postgresql_where=text("lead_id IS NOT NULL")),
        Index(
            "ix_credit_accounts_next_reset_at", "next_reset_at", postgresql_where=text("next_reset_at IS NOT NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    workspace_id: Mapped[UUID | None] = mapped_column(ForeignKey("workspaces.id"))
    lead_id: Mapped[UUID | None] = mapped_column(ForeignKey("leads.id"))
    seq: Mapped[int] = mapped_column(server_default="0")
    balance: Mapped[int] = mapped_column(server_default="0")
    held: Mapped[int] = mapped_column(server_default="0")
    debt: Mapped[int] = mapped_column(server_default="0")
    granted: Mapped[int] = mapped_column(server_default="0")
    spent: Mapped[int] = mapped_column(server_default="0")
    expired: Mapped[int] = mapped_column(server_default="0")
    voided: Mapped[int] = mapped_column(server_default="0")
    transferred_out: Mapped[int] = mapped_column(server_default="0")
    last_hash: Mapped[bytes] = mapped_column(server_default=text("'\\x'::bytea"))
    period_started_at: Mapped[datetime | None]
    next_reset_at: Mapped[datetime | None]
    alert_base: Mapped[int] = mapped_column(server_default="0")
    alerted_percent: Mapped[int] = mapped_column(SmallInteger, server_default="100")
    capped: Mapped[bool] = mapped_column(server_default=text("false"))
    open_holds: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CreditGrant(Base):
    """A lot: credits of one origin, with what is left of them."""

    __tablename__ = "credit_grants"
    __table_args__ = (
        UniqueConstraint("account_id", "source_type", "source_ref"),
        CheckConstraint("held >= 0 AND remaining BETWEEN held AND amount", name="remaining_between_held_and_amount"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(
            "amount = remaining + spent + expired + voided + transferred_out", name="every_credit_is_somewhere"
        ),
        Index("ix_credit_grants_id", "id", unique=True),
        Index("ix_credit_grants_live", "account_id", postgresql_where=text("remaining > 0")),
        Index("ix_credit_grants_ends", "account_id", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index(
            "ix_credit_grants_expiring",
            "expires_at",
            postgresql_where=text("remaining > 0 AND expires_at IS NOT NULL"),
        ),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    amount: Mapped[int]
    remaining: Mapped[int]
    held: Mapped[int] = mapped_column(server_default="0")
    spent: Mapped[int] = mapped_column(server_default="0")
    expired: Mapped[int] = mapped_column(server_default="0")
    voided: Mapped[int] = mapped_column(server_default="0")
    transferred_out: Mapped[int] = mapped_column(server_default="0")
    clawed_back: Mapped[int] = mapped_column(server_default="0")
    clawed_as_debt: Mapped[int] = mapped_column(server_default="0")
    clawed_elsewhere: Mapped[int] = mapped_column(server_default="0")
    service: Mapped[str | None]
    cost_minor: Mapped[int | None]
    cost_currency: Mapped[str | None]
    source_type: Mapped[str]
    source_ref: Mapped[str]
    effective_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class CreditCommand(Base):
    """The one idempotency record of the ledger: a key, what was asked, and how it ended, for ever."""

    __tablename__ = "credit_commands"
    __table_args__ = (CheckConstraint("status IN ('APPLIED', 'REFUSED')", name="status_known"),)

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[str]
    result: Mapped[dict[str, Any]] = mapped_column(
        JSON, info=personal("erased: the ledger, of what was asked by them")
    )
    created_at: Mapped[datetime]


class CreditEntry(Base):
    """One signed line of an account's book. `hash` covers the line and the hash of the line before it."""

    __tablename__ = "credit_entries"
    __table_args__ = (
        UniqueConstraint("id"),
        Index("ix_credit_entries_reverses", "account_id", "reverses_seq", postgresql_where=text("reverses_seq > 0")),
        Index("ix_credit_entries_hold", "account_id", "hold_id", postgresql_where=text("hold_id IS NOT NULL")),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    type: Mapped[str]
    amount: Mapped[int]
    balance_after: Mapped[int]
    actor_kind: Mapped[str]
    actor_user_id: Mapped[UUID | None]
    service: Mapped[str | None]
    quantity: Mapped[int | None] = mapped_column(Integer)
    price_version: Mapped[int | None] = mapped_column(Integer)
    description: Mapped[str] = mapped_column(info=personal(IN_THE_BOOK))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, info=personal(IN_THE_BOOK))
    command_key: Mapped[str]
    reverses_seq: Mapped[int | None]
    hold_id: Mapped[UUID | None]
    debt_after: Mapped[int] = mapped_column(server_default="0")
    request_id: Mapped[str]
    created_at: Mapped[datetime]
    hash: Mapped[bytes]
    actor_key_id: Mapped[UUID | None]


class CreditAllocation(Base):
    """Which entry took how much from which lot (or, for a grant, put how much into it)."""

    __tablename__ = "credit_allocations"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    entry_seq: Mapped[int] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    amount: Mapped[int]


class CreditHold(Base):
    """Credits set aside for work that is under way."""

    __tablename__ = "credit_holds"
    __table_args__ = (
        CheckConstraint("status IN ('OPEN', 'CAPTURED', 'RELEASED', 'EXPIRED')", name="status_known"),
        CheckConstraint("amount > 0 AND captured BETWEEN 0 AND amount", name="captured_within_amount"),
        Index("ix_credit_holds_id", "id", unique=True),
        Index("ix_credit_holds_due", "expires_at", postgresql_where=text("status = 'OPEN'")),
        Index("ix_credit_holds_open", "account_id", "expires_at", postgresql_where=text("status = 'OPEN'")),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    amount: Mapped[int]
    captured: Mapped[int] = mapped_column(server_default="0")
    service: Mapped[str | None]
    quantity: Mapped[int | None] = mapped_column(Integer)
    price_version: Mapped[int | None] = mapped_column(Integer)
    description: Mapped[str] = mapped_column(info=personal("erased", of="account_id"))
    details: Mapped[dict[str, Any]] = mapped_column(
        "metadata", JSON, server_default=text("'{}'::json"), info=personal("erased", of="account_id")
    )
    actor_user_id: Mapped[UUID | None]
    guarded: Mapped[bool] = mapped_column(server_default=text("false"))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]


class CreditHoldLot(Base):
    """How much of a hold rests on which lot."""

    __tablename__ = "credit_hold_lots"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "hold_id"], ["credit_holds.account_id", "credit_holds.id"]),
        ForeignKeyConstraint(["account_id", "grant_id"], ["credit_grants.account_id", "credit_grants.id"]),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    hold_id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    amount: Mapped[int]


class CreditUsageDay(Base):
    """A day's usage by service and person, added up in the transaction of each spend."""

    __tablename__ = "credit_usage_days"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    actor_user_id: Mapped[UUID] = mapped_column(primary_key=True)
    credits: Mapped[int]
    entries: Mapped[int]
    refunded: Mapped[int] = mapped_column(server_default="0")


class CreditCap(Base):
    """At most `amount` credits in each window for a member, each person of a role, or a service."""

    __tablename__ = "credit_caps"
    __table_args__ = (
        ForeignKeyConstraint(["account_id"], ["credit_accounts.id"]),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    cap_window: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CreditCapUsage(Base):
    """What a member or a service has used in one window of a capped account."""

    __tablename__ = "credit_cap_usage"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    cap_window: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    used: Mapped[int]


class CreditAlert(Base):
    """Something the owners of an account are to be told: written with its cause, delivered by a sweep."""

    __tablename__ = "credit_alerts"
    __table_args__ = (Index("ix_credit_alerts_waiting", "created_at", postgresql_where=text("delivered_at IS NULL")),)

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]


class CreditPriceRule(Base):
    """What a service costs from a moment on; an entry stores the version it used."""

    __tablename__ = "credit_price_rules"

    service: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    cost: Mapped[int]
    effective_at: Mapped[datetime]


class CreditPlanGrant(Base):
    """How many credits a plan brings each period, by version."""

    __tablename__ = "credit_plan_grants"

    plan: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    credits: Mapped[int]
    rollover_percent: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    rollover_months: Mapped[int | None] = mapped_column(SmallInteger)


class CreditPack(Base):
    """A pack on offer. A version never changes: a new price is a new version."""

    __tablename__ = "credit_packs"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    credits: Mapped[int]
    bonus: Mapped[int]
    price_minor: Mapped[int | None]
    currency: Mapped[str]
    valid_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
