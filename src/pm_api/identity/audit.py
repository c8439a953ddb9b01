"""Audit rows: written in the transaction of what they record."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.actor import Actor
from pm_api.core.platform import Platform
from pm_api.identity.models import AuditEntry


def record(
    session: AsyncSession,
    platform: Platform,
    actor: Actor,
    action: str,
    *,
    subject: tuple[str, UUID | str],
    workspace_id: UUID | None = None,
    **details: Any,
) -> None:
    """Note that `actor` did `action` to `subject` (type, id)."""
    session.add(
        AuditEntry(
            id=platform.randomness.uuid(),
            workspace_id=workspace_id,
            actor_kind=str(actor.kind),
            actor_user_id=actor.user_id,
            action=action,
            subject_type=subject[0],
            subject_id=str(subject[1]),
            details=details,
            request_id=telemetry.request_id(),
            created_at=platform.clock.now(),
        )
    )
