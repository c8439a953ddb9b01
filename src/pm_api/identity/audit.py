"""Audit rows: written in the transaction of what they record. An API key stands beside the person it acts for."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import acting, telemetry
from pm_api.core.actor import Actor
from pm_api.core.platform import Platform
from pm_api.identity.models.people import AuditEntry
from pm_api.identity.repository import audit as repository_audit


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
    entry_id = platform.randomness.uuid()
    session.add(AuditEntry(**_values(platform, entry_id, actor, action, subject, workspace_id, details)))


async def record_event(
    session: AsyncSession,
    platform: Platform,
    event_id: UUID,
    actor: Actor,
    action: str,
    *,
    subject: tuple[str, UUID | str],
    workspace_id: UUID | None = None,
    **details: Any,
) -> bool:
    """The same for what a domain event tells, once however often it is delivered; whether it was the first time."""
    values = _values(platform, event_id, actor, action, subject, workspace_id, details)
    return await repository_audit.insert_once(session, values)


def _values(
    platform: Platform,
    entry_id: UUID,
    actor: Actor,
    action: str,
    subject: tuple[str, UUID | str],
    workspace_id: UUID | None,
    details: dict[str, Any],
) -> dict[str, Any]:
    return {
        "id": entry_id,
        "workspace_id": workspace_id,
        "actor_kind": str(actor.kind),
        "actor_user_id": actor.user_id,
        "actor_key_id": actor.api_key_id or acting.key_id(),
        "action": action,
        "subject_type": subject[0],
        "subject_id": str(subject[1]),
        "details": details,
        "request_id": telemetry.request_id(),
        "created_at": platform.clock.now(),
    }
