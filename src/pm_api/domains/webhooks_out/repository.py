"""Queries of outgoing webhooks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    and_,
    any_,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.domains.webhooks_out.enums import DeliveryStatus
from pm_api.domains.webhooks_out.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from pm_api.identity.models.people import Member
from pm_api.identity.permissions import Role

MOST_ADMINS: Final = 1000
SHOWN_TRIES: Final = 100

# Written out: a statement that is prepared for any status cannot use an index of one.
_PENDING: Final = WebhookDelivery.status == literal_column("'PENDING'")
_earlier: Final = aliased(WebhookDelivery)


def _waits_for(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """An earlier change of the same entity that is not at its end, and of which `which` holds."""
    return exists().where(
        _earlier.endpoint_id == WebhookDelivery.endpoint_id,
        _earlier.entity_id == WebhookDelivery.entity_id,
        _earlier.entity == WebhookDelivery.entity,
        _earlier.position < WebhookDelivery.position,
        _earlier.status == literal_column("'PENDING'"),
        _earlier.in_order,
        which,
    )


# --- endpoints, as their workspace sees them -----------------------------------------------------------------------


async def endpoint(session: AsyncSession, scope: WorkspaceScope, endpoint_id: UUID) -> WebhookEndpoint | None:
    return await session.scalar(_of(scope).where(WebhookEndpoint.id == endpoint_id))


async def lock_endpoint(session: AsyncSession, scope: WorkspaceScope, endpoint_id: UUID) -> WebhookEndpoint | None:
    return await session.scalar(
        _of(scope)
        .where(WebhookEndpoint.id == endpoint_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def _of(scope: WorkspaceScope) -> Select[WebhookEndpoint]:
    return select(WebhookEndpoint).where(
        WebhookEndpoint.workspace_id == scope.workspace_id, WebhookEndpoint.deleted_at.is_(None)
    )


async def endpoints(
    session: AsyncSession, scope: WorkspaceScope, *, limit: int, after: UUID | None
) -> Sequence[WebhookEndpoint]:
    """A page, newest first."""
    statement = _of(scope)
    if after is not None:
        statement = statement.where(WebhookEndpoint.id < after)
    rows = await session.scalars(statement.order_by(WebhookEndpoint.id.desc()).limit(limit))
    return rows.all()


async def count_endpoints(session: AsyncSession, scope: WorkspaceScope) -> int:
    return await session.scalar(select(func.count()).select_from(_of(scope).subquery())) or 0


async def count_made_by(session: AsyncSession, _scope: SystemScope, workspace_id: UUID, user_id: UUID) -> int:
    """How many of a workspace's endpoints one person has made."""
    return (
        await session.scalar(
            select(func.count())
            .select_from(WebhookEndpoint)
            .where(
                WebhookEndpoint.workspace_id == workspace_id,
                WebhookEndpoint.created_by_user_id == user_id,
                WebhookEndpoint.deleted_at.is_(None),
            )
        )
    ) or 0


async def lock_all(session: AsyncSession, _scope: SystemScope, workspace_id: UUID) -> Sequence[WebhookEndpoint]:
    """A workspace's endpoints, in the order of their ids; there are at most 20."""
    rows = await session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.workspace_id == workspace_id, WebhookEndpoint.deleted_at.is_(None))
        .order_by(WebhookEndpoint.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()


# --- the log -------------------------------------------------------------------------------------------------------


async def deliveries(
    session: AsyncSession,
    scope: WorkspaceScope,
    endpoint_id: UUID,
    *,
    status: DeliveryStatus | None,
    limit: int,
    after: UUID | None,
) -> Sequence[tuple[WebhookDelivery, WebhookAttempt | None]]:
    """A page with the last try of each, newest first."""
    statement = (
        select(WebhookDelivery, WebhookAttempt)
        .outerjoin(
            WebhookAttempt,
            and_(WebhookAttempt.delivery_id == WebhookDelivery.id, WebhookAttempt.number == WebhookDelivery.attempts),
        )
        .where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.workspace_id == scope.workspace_id)
    )
    if status is not None:
        statement = statement.where(WebhookDelivery.status == status)
    if after is not None:
        statement = statement.where(WebhookDelivery.id < after)
    rows = await session.execute(statement.order_by(WebhookDelivery.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def delivery(session: AsyncSession, scope: WorkspaceScope, delivery_id: UUID) -> WebhookDelivery | None:
    """One that belongs to an endpoint which is there."""
    return await session.scalar(
        select(WebhookDelivery)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            WebhookDelivery.id == delivery_id,
            WebhookDelivery.workspace_id == scope.workspace_id,
            WebhookEndpoint.deleted_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )


async def tries(session: AsyncSession, scope: WorkspaceScope, delivery_id: UUID) -> list[WebhookAttempt]:
    """The latest, oldest first."""
    rows = await session.scalars(
        select(WebhookAttempt)
        .where(WebhookAttempt.delivery_id == delivery_id, WebhookAttempt.workspace_id == scope.workspace_id)
        .order_by(WebhookAttempt.number.desc())
        .limit(SHOWN_TRIES)
    )
    return list(rows)[::-1]


# --- whose turn it is ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint and how far it has come in its workspace's feed."""

    endpoint_id: UUID
    workspace_id: UUID
    position: int


def _unclaimed(wall: datetime) -> ColumnElement[bool]:
    return or_(WebhookEndpoint.claimed_until.is_(None), WebhookEndpoint.claimed_until <= wall)


async def due(
    session: AsyncSession, _scope: SystemScope, *, now: datetime, wall: datetime, limit: int
) -> Sequence[UUID]:
    """Endpoints with something to try again, who waits longest first; and those whose worker has not come back."""
    rows = await session.scalars(
        select(WebhookEndpoint.id)
        .where(WebhookEndpoint.is_enabled, WebhookEndpoint.due_at <= now, _unclaimed(wall))
        .order_by(WebhookEndpoint.due_at, WebhookEndpoint.id)
        .limit(limit)
    )
    return rows.all()


async def enabled_of(session: AsyncSession, _scope: SystemScope, workspace_ids: Collection[UUID]) -> Sequence[UUID]:
    rows = await session.scalars(
        select(WebhookEndpoint.id).where(
            WebhookEndpoint.workspace_id == any_(literal(list(workspace_ids), ARRAY(Uuid()))),
            WebhookEndpoint.is_enabled,
        )
    )
    return rows.all()


async def standings(
    session: AsyncSession, _scope: SystemScope, *, wall: datetime, after: UUID | None, limit: int
) -> Sequence[Standing]:
    """A page of the enabled endpoints that have room, by id."""
    statement = select(WebhookEndpoint.id, WebhookEndpoint.workspace_id, WebhookEndpoint.position).where(
        WebhookEndpoint.is_enabled, ~WebhookEndpoint.is_full, _unclaimed(wall)
    )
    if after is not None:
        statement = statement.where(WebhookEndpoint.id > after)
    rows = await session.execute(statement.order_by(WebhookEndpoint.id).limit(limit))
    return [Standing(row[0], row[1], row[2]) for row in rows]


async def lock_unclaimed(
    session: AsyncSession, _scope: SystemScope, endpoint_id: UUID, wall: datetime
) -> WebhookEndpoint | None:
    """None when it is not to be sent to, or another worker has it or is just taking it."""
    return await session.scalar(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.is_enabled, _unclaimed(wall))
        .with_for_update(skip_locked=True, key_share=True)
    )


async def lock_claimed(
    session: AsyncSession, _scope: SystemScope, endpoint_id: UUID, claimed_by: UUID
) -> WebhookEndpoint | None:
    """None when the claim has lapsed and another has it."""
    return await session.scalar(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.claimed_by == claimed_by)
        .with_for_update(key_share=True)
    )


# --- what is sent --------------------------------------------------------------------------------------------------


async def count_pending(session: AsyncSession, endpoint_id: UUID) -> int:
    return (
        await session.scalar(
            select(func.count())
            .select_from(WebhookDelivery)
            .where(WebhookDelivery.endpoint_id == endpoint_id, _PENDING)
        )
    ) or 0


async def insert_deliveries(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await session.execute(insert(WebhookDelivery), list(rows))


async def sendable(session: AsyncSession, endpoint_id: UUID, now: datetime, limit: int) -> Sequence[WebhookDelivery]:
    """What may be sent now, in the order of the feed. What comes after it in its entity's chain is in it too, unless
    something in between has to wait.
    """
    rows = await session.scalars(
        select(WebhookDelivery)
        .where(
            WebhookDelivery.endpoint_id == endpoint_id,
            _PENDING,
            WebhookDelivery.due_at <= now,
            or_(~WebhookDelivery.in_order, ~_waits_for(_earlier.due_at > now)),
        )
        .order_by(WebhookDelivery.position.asc().nulls_first(), WebhookDelivery.id)
        .limit(limit)
    )
    return rows.all()


async def out_of_order(
    session: AsyncSession, endpoint_id: UUID, now: datetime, limit: int
) -> Sequence[WebhookDelivery]:
    """Tests and replays that are due: somebody waits for them, so they are sent to a receiver that is away too."""
    rows = await session.scalars(
        select(WebhookDelivery)
        .where(
            WebhookDelivery.endpoint_id == endpoint_id,
            _PENDING,
            ~WebhookDelivery.in_order,
            WebhookDelivery.due_at <= now,
        )
        .order_by(WebhookDelivery.due_at, WebhookDelivery.id)
        .limit(limit)
    )
    return rows.all()


async def probe(session: AsyncSession, endpoint_id: UUID) -> Sequence[WebhookDelivery]:
    """One delivery by which to see whether a receiver is back: the one that was tried least, so that no single one
    which it cannot digest keeps us away from it.
    """
    rows = await session.scalars(
        select(WebhookDelivery)
        .where(
            WebhookDelivery.endpoint_id == endpoint_id,
            _PENDING,
            WebhookDelivery.in_order,
            ~_waits_for(literal_column("true")),
        )
        .order_by(WebhookDelivery.attempts, WebhookDelivery.position)
        .limit(1)
    )
    return rows.all()


async def next_due(session: AsyncSession, endpoint_id: UUID, *, in_order: bool | None = None) -> datetime | None:
    """When something may be sent again; None when nothing waits."""
    statement = select(func.min(WebhookDelivery.due_at)).where(
        WebhookDelivery.endpoint_id == endpoint_id,
        _PENDING,
        or_(~WebhookDelivery.in_order, ~_waits_for(literal_column("true"))),
    )
    if in_order is not None:
        statement = statement.where(WebhookDelivery.in_order if in_order else ~WebhookDelivery.in_order)
    found: datetime | None = await session.scalar(statement)
    return found


async def lock_deliveries(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, WebhookDelivery]:
    """By id; those of a deleted endpoint may be gone."""
    rows = await session.scalars(
        select(WebhookDelivery)
        .where(WebhookDelivery.id.in_(ids))
        .order_by(WebhookDelivery.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {UUID(str(row.id)): row for row in rows}


async def wake_pending(session: AsyncSession, endpoint_id: UUID, now: datetime) -> None:
    """The receiver is there: nothing waits for its next time any more."""
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id == endpoint_id, _PENDING, WebhookDelivery.due_at > now)
        .values(due_at=now)
        .execution_options(synchronize_session=False)
    )


async def renew_pending(session: AsyncSession, endpoint_id: UUID, now: datetime, try_until: datetime) -> None:
    """As if all that waits had been put just now."""
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id == endpoint_id, _PENDING)
        .values(due_at=now, try_until=try_until, failures=0)
        .execution_options(synchronize_session=False)
    )


async def finish_pending(
    session: AsyncSession,
    endpoint_id: UUID,
    now: datetime,
    status: DeliveryStatus,
    *,
    outcome: str | None = None,
    expired: bool = False,
) -> bool:
    """Bring all that waits to an end, or only what was tried long enough; whether there was any."""
    statement = update(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id, _PENDING)
    if expired:
        statement = statement.where(WebhookDelivery.try_until <= now)
    ended = await session.scalars(
        statement.values(status=status, finished_at=now, outcome=func.coalesce(WebhookDelivery.outcome, outcome))
        .returning(WebhookDelivery.id)
        .execution_options(synchronize_session=False)
    )
    return bool(ended.all())


async def admins(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """Who manages endpoints, at most a thousand."""
    rows = await session.scalars(
        select(Member.user_id)
        .where(Member.workspace_id == workspace_id, Member.role.in_((Role.OWNER, Role.ADMIN)))
        .order_by(Member.id)
        .limit(MOST_ADMINS)
    )
    return list(rows)


# --- forgetting ----------------------------------------------------------------------------------------------------


async def delete_finished(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Deliveries that came to an end before then, with their tries; returns how many."""
    old = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.finished_at < before)
        .order_by(WebhookDelivery.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return await _delete(session, old)


async def delete_stranded(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """What waits since before then at an endpoint that is disabled, or for nothing at one that is deleted."""
    old = (
        select(WebhookDelivery.id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            ~WebhookEndpoint.is_enabled,
            or_(
                WebhookEndpoint.deleted_at.is_not(None),
                and_(_PENDING, WebhookDelivery.created_at < before),
            ),
        )
        .limit(limit)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    )
    return await _delete(session, old)


async def _delete(session: AsyncSession, which: Select[UUID]) -> int:
    gone = await session.scalars(
        delete(WebhookDelivery).where(WebhookDelivery.id.in_(which)).returning(WebhookDelivery.id)
    )
    return len(gone.all())


async def delete_emptied(session: AsyncSession, *, limit: int) -> None:
    """Deleted endpoints whose log is gone."""
    left = exists().where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)
    some = select(WebhookEndpoint.id).where(WebhookEndpoint.deleted_at.is_not(None), ~left).limit(limit)
    await session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id.in_(some)))
