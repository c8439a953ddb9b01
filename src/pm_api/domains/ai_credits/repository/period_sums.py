"""Sums of an account's lots and days by period."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Date, DateTime, Integer, and_, case, cast, column, func, select, values
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.domains.ai_credits.models.ledger import CreditGrant, CreditUsageDay
from pm_api.domains.ai_credits.repository.ledger import account_id_of


@dataclass(frozen=True, slots=True)
class PeriodSums:
    granted: int
    used: int
    expired: int


async def sums(
    session: AsyncSession, scope: AccountScope, periods: Sequence[tuple[datetime, datetime]], now: datetime
) -> list[PeriodSums]:
    """Three statements, however many periods."""
    wanted = values(
        column("place", Integer),
        column("starts_at", DateTime(timezone=True)),
        column("ends_at", DateTime(timezone=True)),
        column("first_day", Date),
        column("end_day", Date),
        name="periods",
    ).data(
        [
            (place, starts_at, ends_at, starts_at.astimezone(UTC).date(), ends_at.astimezone(UTC).date())
            for place, (starts_at, ends_at) in enumerate(periods)
        ]
    )
    account_id = account_id_of(scope)
    lot, day = CreditGrant, CreditUsageDay
    run_out = case((lot.expires_at <= now, lot.expired + lot.remaining - lot.held), else_=lot.expired)
    granted = await session.execute(
        select(wanted.c.place, cast(func.sum(lot.amount), BigInteger))
        .join(
            lot,
            and_(
                lot.account_id == account_id,
                lot.created_at >= wanted.c.starts_at,
                lot.created_at < wanted.c.ends_at,
            ),
        )
        .group_by(wanted.c.place)
    )
    expired = await session.execute(
        select(wanted.c.place, cast(func.sum(run_out), BigInteger))
        .join(
            lot,
            and_(
                lot.account_id == account_id,
                lot.expires_at > wanted.c.starts_at,
                lot.expires_at <= wanted.c.ends_at,
            ),
        )
        .group_by(wanted.c.place)
    )
    used = await session.execute(
        select(wanted.c.place, cast(func.sum(day.credits - day.refunded), BigInteger))
        .join(day, and_(day.account_id == account_id, day.day >= wanted.c.first_day, day.day < wanted.c.end_day))
        .group_by(wanted.c.place)
    )
    found: list[dict[int, int]] = [{row[0]: row[1] for row in rows} for rows in (granted, used, expired)]
    return [PeriodSums(*(one.get(place, 0) for one in found)) for place in range(len(periods))]
