"""Queries of alerts: what waits to be told, whether it is still so, and what is about to run out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, and_, cast, exists, func, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import AlertKind
from pm_api.domains.ai_credits.models.ledger import (
    CreditAccount,
    CreditAlert,
    CreditGrant,
    CreditHold,
    CreditHoldLot,
    CreditUsageDay,
)


@dataclass(frozen=True, slots=True)
class NewAlert:
    account_id: UUID
    reference: str
    details: dict[str, Any]


class WaitingAlert(NamedTuple):
    """An alert nobody was told of, in the order they are told: oldest first."""

    created_at: datetime
    account_id: UUID
    kind: str
    reference: str


class EndingLot(NamedTuple):
    """A lot to warn of, in the order it is done: what ends first comes first."""

    expires_at: datetime
    lot_id: UUID
    account_id: UUID


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as it is now. `base` was available right after its last grant, and `alerted_percent` is the lowest
    threshold that was noted since.
    """

    account_id: UUID
    user_id: UUID | None
    workspace_id: UUID | None
    base: int
    alerted_percent: int
    available: int
    debt: int


async def any_waiting(session: AsyncSession) -> bool:
    return bool(await session.scalar(select(exists().where(CreditAlert.delivered_at.is_(None)))))


async def waiting(
    session: AsyncSession, _now: datetime, after: WaitingAlert | None, limit: int
) -> Sequence[WaitingAlert]:
    """Alerts nobody was told of, as they look without a lock; the page after a place."""
    place = (CreditAlert.created_at, CreditAlert.account_id, CreditAlert.kind, CreditAlert.reference)
    statement = select(*place).where(CreditAlert.delivered_at.is_(None))
    if after is not None:
        statement = statement.where(tuple_(*place) > after)
    rows = await session.execute(statement.order_by(*place).limit(limit))
    return [WaitingAlert(*row) for row in rows]


async def lock_waiting(session: AsyncSession, found: Sequence[WaitingAlert]) -> Sequence[CreditAlert]:
    """Those of the alerts that still wait, locked, oldest first; those another worker has in hand are left out."""
    rows = await session.scalars(
        select(CreditAlert)
        .where(
            tuple_(CreditAlert.account_id, CreditAlert.kind, CreditAlert.reference).in_(
                [(one.account_id, one.kind, one.reference) for one in found]
            ),
            CreditAlert.delivered_at.is_(None),
        )
        .order_by(CreditAlert.created_at, CreditAlert.account_id, CreditAlert.kind, CreditAlert.reference)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


async def standings(session: AsyncSession, account_ids: Sequence[UUID], now: datetime) -> dict[UUID, Standing]:
    """In one statement, so that an account's thresholds and its lots are of the same moment. What rests in holds that
    have run out is free again, as everywhere.
    """
    usable = and_(
        CreditGrant.account_id == CreditAccount.id,
        CreditGrant.effective_at <= now,
        or_(CreditGrant.expires_at.is_(None), CreditGrant.expires_at > now),
    )
    free = (
        select(func.coalesce(func.sum(CreditGrant.remaining - CreditGrant.held), 0))
        .where(usable, CreditGrant.remaining > literal_column("0"))
        .correlate(CreditAccount)
        .scalar_subquery()
    )
    freed = (
        select(func.coalesce(func.sum(CreditHoldLot.amount), 0))
        .select_from(CreditHold)
        .join(
            CreditHoldLot,
            and_(CreditHoldLot.account_id == CreditHold.account_id, CreditHoldLot.hold_id == CreditHold.id),
        )
        .join(
            CreditGrant,
            and_(CreditGrant.account_id == CreditHoldLot.account_id, CreditGrant.id == CreditHoldLot.grant_id),
        )
        .where(
            usable,
            CreditHold.account_id == CreditAccount.id,
            CreditHold.status == literal_column("'OPEN'"),
            CreditHold.expires_at <= now,
        )
        .correlate(CreditAccount)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(
            CreditAccount.id,
            CreditAccount.user_id,
            CreditAccount.workspace_id,
            CreditAccount.alert_base,
            CreditAccount.alerted_percent,
            cast(free + freed, BigInteger),
            CreditAccount.debt,
        ).where(CreditAccount.id.in_(account_ids))
    )
    return {row[0]: Standing(*row) for row in rows}


async def lots(session: AsyncSession, wanted: Sequence[tuple[UUID, UUID]]) -> dict[UUID, CreditGrant]:
    """Lots by (account, id)."""
    rows = await session.scalars(
        select(CreditGrant).where(tuple_(CreditGrant.account_id, CreditGrant.id).in_(list(wanted)))
    )
    return {row.id: row for row in rows}


async def used_by_service(
    session: AsyncSession, account_ids: Sequence[UUID], since: date
) -> dict[UUID, dict[str, int]]:
    """Credits each account spent by service from a UTC day on, net of refunds, from the day sums."""
    rows = await session.execute(
        select(
            CreditUsageDay.account_id,
            CreditUsageDay.service,
            func.sum(CreditUsageDay.credits - CreditUsageDay.refunded),
        )
        .where(CreditUsageDay.account_id.in_(account_ids), CreditUsageDay.day >= since)
        .group_by(CreditUsageDay.account_id, CreditUsageDay.service)
    )
    used: dict[UUID, dict[str, int]] = {}
    for account_id, service, credits in rows:
        used.setdefault(account_id, {})[service] = int(credits)
    return used


async def lots_to_warn_of(
    session: AsyncSession,
    now: datetime,
    after: EndingLot | None,
    limit: int,
    *,
    beyond: timedelta,
    within: timedelta,
    suffix: str,
) -> Sequence[EndingLot]:
    """Lots with free credits of wallets and pools that expire in (now + beyond, now + within], and were not warned of
    with this suffix; the page after a place.
    """
    told = exists().where(
        CreditAlert.account_id == CreditGrant.account_id,
        CreditAlert.kind == AlertKind.EXPIRING,
        CreditAlert.reference == func.concat(CreditGrant.id, suffix),
    )
    statement = (
        select(CreditGrant.expires_at, CreditGrant.id, CreditGrant.account_id)
        .join(CreditAccount, CreditAccount.id == CreditGrant.account_id)
        .where(
            CreditAccount.lead_id.is_(None),
            CreditGrant.remaining > literal_column("0"),
            CreditGrant.remaining > CreditGrant.held,
            CreditGrant.expires_at.is_not(None),
            CreditGrant.expires_at > now + beyond,
            CreditGrant.expires_at <= now + within,
            ~told,
        )
    )
    if after is not None:
        statement = statement.where(tuple_(CreditGrant.expires_at, CreditGrant.id) > (after.expires_at, after.lot_id))
    rows = await session.execute(statement.order_by(CreditGrant.expires_at, CreditGrant.id).limit(limit))
    return [EndingLot(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


async def insert_expiring(session: AsyncSession, made: Sequence[NewAlert], now: datetime) -> None:
    """Each once for ever, whoever else writes it at the same time."""
    await session.execute(
        insert(CreditAlert).on_conflict_do_nothing(),
        [
            {
                "account_id": one.account_id,
                "kind": str(AlertKind.EXPIRING),
                "reference": one.reference,
                "details": one.details,
                "created_at": now,
            }
            for one in made
        ],
    )
