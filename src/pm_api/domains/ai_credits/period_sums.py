"""What came in, was used and ran out within periods: sums of lots and of days, never of single lines."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.repository import period_sums as repository
from pm_api.domains.ai_credits.repository.period_sums import PeriodSums

__all__ = ["PeriodSums", "of_periods"]


async def of_periods(
    session: AsyncSession, platform: Platform, scope: AccountScope, periods: Sequence[tuple[datetime, datetime]]
) -> list[PeriodSums]:
    """One for each period [start, end), in their order. What was used is told in whole UTC days: the day on which a
    period begins is all its own. What runs out at the end of a period counts in it, posted or not.
    """
    if not periods:
        return []
    return await repository.sums(session, scope, periods, platform.clock.now())
