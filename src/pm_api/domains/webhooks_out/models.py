"""Tables of outgoing webhooks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pm_api.core.db import Base, Timestamped, Versioned, personal


class WebhookEndpoint(Base, Versioned, Timestamped):
    """Where a workspace's changes are told, and how far in its feed we are. `version` counts what people did, and its
    being disabled; not our work.

    `due_at` is business time: when something is tried again; before `paused_until` a receiver that is away is left
    alone. The claim and the end of the previous secret are real time: processes and receivers do not live by our
    clock. Secrets are sealed.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint("is_enabled = (disabled_at IS NULL)", name="disabled_since"),
        CheckConstraint("is_enabled = (disabled_reason IS NULL)", name="disabled_for_a_reason"),
        CheckConstraint("disabled_reason IN ('BY_MEMBER', 'GONE', 'FAILING')", name="reason_known"),
        CheckConstraint("(claimed_by IS NULL) = (claimed_until IS NULL)", name="claimed_for_a_time"),
        CheckConstraint(
            "(sealed_previous_secret IS NULL) = (previous_secret_until IS NULL)", name="previous_secret_for_a_time"
        ),
        Index("ix_webhook_endpoints_workspace_id_id", "workspace_id", "id"),
        Index("ix_webhook_endpoints_due", "due_at", "id", postgresql_where=text("is_enabled AND due_at IS NOT NULL")),
        Index("ix_webhook_endpoints_enabled", "id", postgresql_where=text("is_enabled")),
        Index("ix_webhook_endpoints_deleted", "id", postgresql_where=text("deleted_at IS NOT NULL")),
        CheckConstraint("deleted_at IS NULL OR NOT is_enabled", name="deleted_is_disabled"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    url: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    description: Mapped[str] = mapped_column(info=personal("deleted", of="workspace_id"))
    events: Mapped[list[Any]]
    is_enabled: Mapped[bool]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    sealed_secret: Mapped[bytes]
    sealed_previous_secret: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None]
    position: Mapped[int]
    is_full: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    due_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    failing_since: Mapped[datetime | None]
    last_delivered_at: Mapped[datetime | None]
    claimed_by: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]
    created_by_user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[datetime | None]


class WebhookDelivery(Base):
    """One change for one endpoint; its id is the `webhook-id` of every try. A test has no position.

    `in_order`: later changes of the same entity wait for it. What is replayed holds up nothing. `attempts` counts all
    tries, `failures` those that failed since it was put or replayed.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "position"),
        CheckConstraint("status IN ('PENDING', 'DELIVERED', 'GIVEN_UP', 'SKIPPED')", name="status_known"),
        CheckConstraint("(status = 'PENDING') = (finished_at IS NULL)", name="finished_when_final"),
        CheckConstraint("position IS NOT NULL OR NOT in_order", name="a_test_holds_up_nothing"),
        Index("ix_webhook_deliveries_endpoint_id_id", "endpoint_id", "id"),
        Index(
            "ix_webhook_deliveries_pending", "endpoint_id", "position", postgresql_where=text("status = 'PENDING'")
        ),
        Index(
            "ix_webhook_deliveries_in_order",
            "endpoint_id",
            "entity_id",
            "entity",
            "position",
            postgresql_where=text("status = 'PENDING' AND in_order"),
        ),
        Index("ix_webhook_deliveries_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    position: Mapped[int | None]
    entity: Mapped[str]
    entity_id: Mapped[UUID]
    action: Mapped[str]
    entity_version: Mapped[int]
    actor_user_id: Mapped[UUID | None]
    occurred_at: Mapped[datetime]
    in_order: Mapped[bool]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    outcome: Mapped[str | None]
    due_at: Mapped[datetime]
    try_until: Mapped[datetime]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class WebhookAttempt(Base):
    """One try of a delivery and what came back. Its beginning alone is kept of the answer."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id"))
    tried_at: Mapped[datetime]
    status_code: Mapped[int | None]
    duration_ms: Mapped[int | None]
    error: Mapped[str | None]
    answer: Mapped[str | None]
