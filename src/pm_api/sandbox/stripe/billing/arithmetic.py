"""Pure figures of billing: calendar periods counted from an anchor, and shares of money rounded as Stripe does."""

from calendar import monthrange
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from pm_api.sandbox.stripe.objects.common import Json

HOUR_S = 60 * 60
DAY_S = 24 * HOUR_S
FIXED_LENGTHS_S = {"day": DAY_S, "week": 7 * DAY_S}
MONTHS = {"month": 1, "year": 12}


def share(amount: int, part_s: int, whole_s: int) -> int:
    """`amount * part / whole`, rounded half away from zero, in integer minor units."""
    if whole_s <= 0:
        raise ValueError("A period has a length.")
    numerator = abs(amount) * part_s
    rounded = (2 * numerator + whole_s) // (2 * whole_s)
    return rounded if amount >= 0 else -rounded


def percentage(amount: int, percent: float) -> int:
    """So many percent of an amount, rounded half away from zero."""
    exact = Decimal(abs(amount)) * Decimal(str(percent)) / 100
    rounded = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return rounded if amount >= 0 else -rounded


def months_after(moment: int, months: int) -> int:
    """The same day and time so many months on; where that month has no such day, its last."""
    start = datetime.fromtimestamp(moment, UTC)
    index = start.year * 12 + start.month - 1 + months
    year, month = index // 12, index % 12 + 1
    day = min(start.day, monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def boundary(anchor: int, terms: Json, number: int) -> int:
    """The start of the cycle that is `number` cycles after the one starting at the anchor."""
    steps = number * int(terms["interval_count"])
    interval = str(terms["interval"])
    if interval in FIXED_LENGTHS_S:
        return anchor + steps * FIXED_LENGTHS_S[interval]
    return months_after(anchor, steps * MONTHS[interval])


def cycle_at(anchor: int, terms: Json, moment: int) -> tuple[int, int]:
    """The cycle `[start, end)` that holds the moment. Counted from the anchor, so a 31st comes back in March."""
    count = int(terms["interval_count"])
    interval = str(terms["interval"])
    if interval in FIXED_LENGTHS_S:
        number = (moment - anchor) // (FIXED_LENGTHS_S[interval] * count)
    else:
        here, there = datetime.fromtimestamp(moment, UTC), datetime.fromtimestamp(anchor, UTC)
        months = (here.year - there.year) * 12 + here.month - there.month
        number = months // (MONTHS[interval] * count)
    while boundary(anchor, terms, number) > moment:
        number -= 1
    while boundary(anchor, terms, number + 1) <= moment:
        number += 1
    return boundary(anchor, terms, number), boundary(anchor, terms, number + 1)
