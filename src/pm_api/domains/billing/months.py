"""The month in which an account's usage is counted: pure."""

from datetime import UTC, datetime

from dateutil.relativedelta import relativedelta

from pm_api.domains.ai_credits.plans import month_at
from pm_api.domains.billing.forecasting import Stretch
from pm_api.entitlements.rules import Standing


def month_of(own: Standing, now: datetime) -> Stretch:
    """The month of the plan that runs; of the calendar, in UTC, for who has none."""
    if own.period_start is not None and own.period_end is not None:
        return Stretch(*month_at(own.period_start, own.period_end, now))
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Stretch(first, first + relativedelta(months=1))
