"""Queries of the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.identity.models.people import AuditEntry, User


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """None leaves a question open. An `action` with a dot at its end means all that begin so; `until` is excluded."""

    action: str | None = None
    actor_user_id: UUID | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def entries_of(
    session: AsyncSession, workspace_id: UUID, filters: AuditFilters, *, limit: int, after: UUID | None
) -> Sequence[tuple[AuditEntry, str | None]]:
    """A page of a workspace's log with the names of who did it, newest first."""
    statement = (
        select(AuditEntry, User.name)
        .outerjoin(User, User.id == AuditEntry.actor_user_id)
        .where(AuditEntry.workspace_id == workspace_id)
    )
    if filters.action is not None:
        begins = filters.action.endswith(".")
        statement = statement.where(
            AuditEntry.action.startswith(filters.action, autoescape=True)
            if begins
            else AuditEntry.action == filters.action
        )
    if filters.actor_user_id is not None:
        statement = statement.where(AuditEntry.actor_user_id == filters.actor_user_id)
    if filters.subject_type is not None:
        statement = statement.where(AuditEntry.subject_type == filters.subject_type)
    if filters.subject_id is not None:
        statement = statement.where(AuditEntry.subject_id == filters.subject_id)
    if filters.since is not None:
        statement = statement.where(AuditEntry.created_at >= filters.since)
    if filters.until is not None:
        statement = statement.where(AuditEntry.created_at < filters.until)
    if after is not None:
        statement = statement.where(AuditEntry.id < after)
    rows = await session.execute(statement.order_by(AuditEntry.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def insert_once(session: AsyncSession, values: dict[str, Any]) -> bool:
    """A row whose id is that of the event it records: a second delivery writes nothing."""
    made = await session.scalar(
        insert(AuditEntry)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[AuditEntry.id])
        .returning(AuditEntry.id)
    )
    return made is not None
