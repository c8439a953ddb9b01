"""Tables of the team."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal
from pm_api.identity.models.people import ROLE_CHECK


class Invitation(Base, Versioned, Timestamped):
    """An address asked into a workspace. `letter_id` is new with every sending: the token is derived from it and
    from the installation's keys, so that neither this row nor the mail's holds anything that opens the door.
    `project_ids` are the projects they are put into when they come, with the role `project_role`.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint(ROLE_CHECK, name="role_known"),
        CheckConstraint("project_role IN ('ADMIN', 'MEMBER', 'VIEWER')", name="project_role_known"),
        CheckConstraint("status IN ('PENDING', 'ACCEPTED', 'DECLINED', 'REVOKED')", name="status_known"),
        CheckConstraint("(status = 'PENDING') = (decided_at IS NULL)", name="decided_when_not_pending"),
        CheckConstraint("status <> 'ACCEPTED' OR accepted_by IS NOT NULL", name="accepted_by_somebody"),
        Index(
            "ix_invitations_open",
            "workspace_id",
            "email",
            unique=True,
            postgresql_where=text("status = 'PENDING'"),
        ),
        Index("ix_invitations_workspace_id_id", "workspace_id", "id"),
        Index("ix_invitations_token_hash", "token_hash", unique=True),
        Index("ix_invitations_letter_id", "letter_id", unique=True),
        Index("ix_invitations_email", "email"),
        Index("ix_invitations_decided_at", "decided_at", postgresql_where=text("decided_at IS NOT NULL")),
        Index("ix_invitations_expires_at", "expires_at", postgresql_where=text("status = 'PENDING'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    email: Mapped[str] = mapped_column(info=personal("deleted: team, by the address"))
    role: Mapped[str]
    status: Mapped[str]
    letter_id: Mapped[UUID]
    token_hash: Mapped[bytes]
    invited_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    project_ids: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))
    project_role: Mapped[str | None]
