"""Visitors who try the product before they have an account."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, personal


class Lead(Base):
    """A visitor with credits of their own, until `expires_at` or until they register as `user_id`.

    Of the network address only a keyed digest is kept, to count against the day's limit.
    """

    __tablename__ = "leads"
    __table_args__ = (
        Index("ix_leads_address_digest_created_at", "address_digest", "created_at"),
        Index("ix_leads_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(info=personal("erased"))
    source: Mapped[str] = mapped_column(info=personal("erased"))
    address_digest: Mapped[bytes] = mapped_column(info=personal("erased"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    converted_at: Mapped[datetime | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
