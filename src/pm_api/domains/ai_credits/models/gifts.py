"""Tables of gifts. Every one carries the giving account in its key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class CreditGift(Base, Versioned, Timestamped):
    """Credits that left an account for others: `max_claims` times `amount`. `entry_seq` is the line of the giver's
    book that took them; what nobody claims goes back along it.

    `command_key` is the giver's command, so that its retries find the gift. `sealed_seed` is what the codes are
    made from; only who has the installation's keys can make them again.
    """

    __tablename__ = "credit_gifts"
    __table_args__ = (
        UniqueConstraint("account_id", "command_key"),
        CheckConstraint("kind IN ('USER', 'CODE', 'CODES')", name="kind_known"),
        CheckConstraint("status IN ('OPEN', 'CLAIMED', 'CANCELLED', 'EXPIRED', 'WITHDRAWN')", name="status_known"),
        CheckConstraint("amount > 0 AND max_claims > 0", name="something_given"),
        CheckConstraint("claims BETWEEN 0 AND max_claims", name="claims_within_limit"),
        CheckConstraint("claims * amount + returned <= max_claims * amount", name="given_once"),
        Index("ix_credit_gifts_id", "id", unique=True),
        Index("ix_credit_gifts_entry", "account_id", "entry_seq"),
        Index("ix_credit_gifts_due", "expires_at", postgresql_where=text("status = 'OPEN'")),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_accounts.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    command_key: Mapped[str]
    entry_seq: Mapped[int]
    kind: Mapped[str]
    status: Mapped[str]
    amount: Mapped[int]
    max_claims: Mapped[int] = mapped_column(Integer)
    claims: Mapped[int] = mapped_column(Integer, server_default="0")
    returned: Mapped[int] = mapped_column(server_default="0")
    message: Mapped[str] = mapped_column(server_default="", info=personal("erased", of="created_by_user_id"))
    recipient_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    sealed_seed: Mapped[bytes | None]
    expires_at: Mapped[datetime | None]


class CreditGiftCode(Base):
    """One code of a gift: only its keyed digest is here."""

    __tablename__ = "credit_gift_codes"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "gift_id"], ["credit_gifts.account_id", "credit_gifts.id"]),
        CheckConstraint("claims BETWEEN 0 AND max_claims", name="claims_within_limit"),
        Index("ix_credit_gift_codes_digest", "digest", unique=True),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    gift_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[bytes]
    max_claims: Mapped[int] = mapped_column(Integer)
    claims: Mapped[int] = mapped_column(Integer, server_default="0")


class CreditGiftClaim(Base):
    """Who got a gift: number 0 is a gift made straight to a person, the others are its codes. A person claims a code
    once. The credits are the lot of this `source_ref` in the person's wallet.
    """

    __tablename__ = "credit_gift_claims"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "gift_id"], ["credit_gifts.account_id", "credit_gifts.id"]),
        Index("ix_credit_gift_claims_user_id_id", "user_id", "id"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    gift_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    id: Mapped[UUID]
    source_ref: Mapped[str]
    client_key: Mapped[str | None]
    claimed_at: Mapped[datetime]


class CreditGiftClawback(Base):
    """What was ever taken back from those a gift went to, because the purchase of this lot was refunded."""

    __tablename__ = "credit_gift_clawbacks"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "gift_id"], ["credit_gifts.account_id", "credit_gifts.id"]),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    gift_id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    amount: Mapped[int]
