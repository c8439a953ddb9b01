"""What invoices have paid for, and what follows from it: pure."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pm_api.domains.billing.enums import BillingInterval
from pm_api.domains.billing.invoices import PaidInvoice, PaidLine
from pm_api.domains.billing.paid_periods import StepKind, steps, trial_credits
from pm_api.domains.billing.prices import PlanPrice
from pm_api.entitlements.enums import Plan

JANUARY, FEBRUARY, MARCH = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
DAY = timedelta(days=1)


def price(name: str, plan: Plan, amount: int) -> PlanPrice:
    return PlanPrice(plan, BillingInterval.MONTHLY, amount, "USD", None, name, "prod_1")


STANDARD, PREMIUM = price("standard", Plan.TEAM_STANDARD, 9999), price("premium", Plan.TEAM_PREMIUM, 19999)
KNOWN = {"standard": STANDARD, "premium": PREMIUM}


def line(amount: int, price_id: str, start: datetime, end: datetime, *, prorated: bool = False) -> PaidLine:
    return PaidLine(f"il_{price_id}_{amount}", price_id, prorated, amount, 1, start, end)


def paid(name: str, reason: str, paid_at: datetime, *lines: PaidLine) -> PaidInvoice:
    total = sum(one.amount for one in lines)
    first = lines[0]
    return PaidInvoice(
        id=UUID(int=1),
        stripe_invoice_id=name,
        billing_reason=reason,
        currency="USD",
        total=total,
        amount_paid=total,
        amount_refunded=0,
        issued_at=paid_at,
        paid_at=paid_at,
        period_start=first.period_start,
        period_end=first.period_end,
        lines=lines,
    )


FIRST = paid("in_1", "subscription_create", JANUARY, line(9999, "standard", JANUARY, FEBRUARY))
RENEWAL = paid("in_2", "subscription_cycle", FEBRUARY, line(9999, "standard", FEBRUARY, MARCH))
CHANGED_AT = FEBRUARY + 10 * DAY
UPGRADE = paid(
    "in_3",
    "subscription_update",
    CHANGED_AT,
    line(-6427, "standard", CHANGED_AT, MARCH, prorated=True),
    line(12856, "premium", CHANGED_AT, MARCH, prorated=True),
)


def test_periods_and_a_change_within_one() -> None:
    found = steps([UPGRADE, RENEWAL, FIRST], KNOWN)
    assert [(one.kind, one.price.plan, one.starts_at, one.ends_at) for one in found] == [
        (StepKind.PERIOD, Plan.TEAM_STANDARD, JANUARY, FEBRUARY),
        (StepKind.PERIOD, Plan.TEAM_STANDARD, FEBRUARY, MARCH),
        (StepKind.CHANGE, Plan.TEAM_PREMIUM, FEBRUARY, MARCH),
    ]
    assert [one.is_renewal for one in found] == [False, True, False]
    assert [one.is_another_plan for one in found] == [False, False, True]
    assert (found[2].changed_at, found[2].before) == (CHANGED_AT, STANDARD)


def test_a_change_counts_once_its_period_is_paid_whichever_was_paid_first() -> None:
    assert [one.kind for one in steps([FIRST, UPGRADE], KNOWN)] == [StepKind.PERIOD]
    late = paid("in_2", "subscription_cycle", CHANGED_AT + DAY, *RENEWAL.lines)
    assert [one.kind for one in steps([FIRST, UPGRADE, late], KNOWN)] == [
        StepKind.PERIOD,
        StepKind.PERIOD,
        StepKind.CHANGE,
    ]


def test_other_things_on_an_invoice_are_no_plans() -> None:
    extra = paid("in_1", "subscription_create", JANUARY, line(500, "pack", JANUARY, JANUARY), *FIRST.lines)
    assert len(steps([extra], KNOWN)) == 1


def test_a_trial_is_what_costs_nothing() -> None:
    trial = paid("in_0", "subscription_create", JANUARY, line(0, "standard", JANUARY, JANUARY + 14 * DAY))
    after = paid("in_1", "subscription_cycle", JANUARY + 14 * DAY, line(9999, "standard", JANUARY + 14 * DAY, MARCH))
    assert [one.kind for one in steps([after, trial], KNOWN)] == [StepKind.TRIAL, StepKind.PERIOD]


@pytest.mark.parametrize(("days", "credits"), [(14, 225), (31, 500), (40, 500), (1, 16), (0, 0)], ids=str)
def test_a_trials_credits(days: int, credits: int) -> None:
    assert trial_credits(500, JANUARY, JANUARY + days * DAY) == credits
