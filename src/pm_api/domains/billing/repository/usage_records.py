"""Queries of daily usage records, and of whose usage is to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Date, DateTime, Integer, and_, column, func, or_, select, values
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription
from pm_api.domains.billing.models.usage_records import UsageRecord
from pm_api.domains.billing.repository.invoices import account_of
from pm_api.entitlements.enums import AccountType, Plan
from pm_api.identity.models.people import User, Workspace


async def keep_peak(session: AsyncSession, _scope: SystemScope, rows: Sequence[dict[str, Any]]) -> None:
    """Write down what was seen; of a day the most counts."""
    if not rows:
        return
    statement = insert(UsageRecord)
    new = statement.excluded
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[
                UsageRecord.account_id,
                UsageRecord.period_start,
                UsageRecord.metric,
                UsageRecord.day,
            ],
            set_={
                "used": func.greatest(UsageRecord.used, new.used),
                "usage_limit": new.usage_limit,
                "plan": new.plan,
                "period_end": new.period_end,
                "sampled_at": new.sampled_at,
            },
        ),
        list(rows),
    )


class Sampled(NamedTuple):
    """Whose usage is to be looked at, in the order of their ids."""

    account_id: UUID
    kind: AccountType


async def users(session: AsyncSession, _scope: SystemScope, after: Sampled | None, limit: int) -> list[Sampled]:
    """The page after a place."""
    statement = select(User.id)
    if after is not None:
        statement = statement.where(User.id > after.account_id)
    rows = await session.scalars(statement.order_by(User.id).limit(limit))
    return [Sampled(user_id, AccountType.USER) for user_id in rows]


async def workspaces(session: AsyncSession, _scope: SystemScope, after: Sampled | None, limit: int) -> list[Sampled]:
    """The page after a place, without the deleted ones."""
    statement = select(Workspace.id).where(Workspace.deleted_at.is_(None))
    if after is not None:
        statement = statement.where(Workspace.id > after.account_id)
    rows = await session.scalars(statement.order_by(Workspace.id).limit(limit))
    return [Sampled(workspace_id, AccountType.WORKSPACE) for workspace_id in rows]


async def about_to_end(
    session: AsyncSession, _scope: SystemScope, since: datetime, until: datetime, after: Sampled | None, limit: int
) -> list[Sampled]:
    """Accounts with a live subscription whose period ends in a window: the page after a place."""
    statement = select(Subscription.account_id, Subscription.user_id).where(
        Subscription.status.in_(LIVE),
        Subscription.current_period_end > since,
        Subscription.current_period_end <= until,
    )
    if after is not None:
        statement = statement.where(Subscription.account_id > after.account_id)
    rows = await session.execute(statement.distinct().order_by(Subscription.account_id).limit(limit))
    return [
        Sampled(account_id, AccountType.WORKSPACE if user_id is None else AccountType.USER)
        for account_id, user_id in rows
    ]


@dataclass(frozen=True, slots=True)
class FreePeriod:
    starts_at: datetime
    ends_at: datetime


async def free_periods(
    session: AsyncSession, scope: AccountScope, *, ended_by: datetime, limit: int
) -> list[FreePeriod]:
    """Past periods without a plan in which something was counted, the last one first."""
    rows = await session.execute(
        select(UsageRecord.period_start, func.max(UsageRecord.period_end))
        .where(
            UsageRecord.account_id == account_of(scope),
            UsageRecord.plan == Plan.FREE,
            UsageRecord.period_end <= ended_by,
        )
        .group_by(UsageRecord.period_start)
        .order_by(UsageRecord.period_start.desc())
        .limit(limit)
    )
    return [FreePeriod(row[0], row[1]) for row in rows]


async def peaks(
    session: AsyncSession, scope: AccountScope, periods: Sequence[tuple[datetime, datetime]]
) -> list[dict[str, int]]:
    """For each period the most of any day, by metric. A day that two share counts where it was counted for."""
    if not periods:
        return []
    wanted = values(
        column("place", Integer),
        column("starts_at", DateTime(timezone=True)),
        column("ends_at", DateTime(timezone=True)),
        column("after_day", Date),
        column("end_day", Date),
        name="periods",
    ).data(
        [
            (place, starts_at, ends_at, starts_at.astimezone(UTC).date(), ends_at.astimezone(UTC).date())
            for place, (starts_at, ends_at) in enumerate(periods)
        ]
    )
    begins_within = and_(UsageRecord.period_start >= wanted.c.starts_at, UsageRecord.period_start < wanted.c.ends_at)
    within = and_(UsageRecord.day > wanted.c.after_day, UsageRecord.day < wanted.c.end_day)
    rows = await session.execute(
        select(wanted.c.place, UsageRecord.metric, func.max(UsageRecord.used))
        .join(UsageRecord, and_(UsageRecord.account_id == account_of(scope), or_(begins_within, within)))
        .group_by(wanted.c.place, UsageRecord.metric)
    )
    found: list[dict[str, int]] = [{} for _ in periods]
    for place, metric, used in rows:
        found[place][metric] = used
    return found
