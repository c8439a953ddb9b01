"""What a subscription's invoices have paid for, pure: trials, periods, and dearer plans within a period.

Paid invoices alone decide, in the order in which they were paid, so that any event at any time leads to the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dateutil.relativedelta import relativedelta

from pm_api.domains.billing.invoices import PaidInvoice, PaidLine
from pm_api.domains.billing.prices import PlanPrice
from pm_api.entitlements.rules import GRACE
from pm_api.integrations.stripe import StripeInvoice

FIRST: Final = "subscription_create"
RENEWAL: Final = "subscription_cycle"


class StepKind(StrEnum):
    TRIAL = "TRIAL"
    PERIOD = "PERIOD"
    CHANGE = "CHANGE"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was paid for, at `price`; `before` is what was paid for until then. `starts_at` and `ends_at`
    are of the whole period, also for a CHANGE within it, which counts from `changed_at`.
    """

    kind: StepKind
    invoice: PaidInvoice
    line_id: str
    price: PlanPrice
    before: PlanPrice | None
    starts_at: datetime
    ends_at: datetime
    changed_at: datetime

    @property
    def is_renewal(self) -> bool:
        """Whether it goes on with what was there, and somebody paid for that."""
        return self.kind is StepKind.PERIOD and self.invoice.billing_reason == RENEWAL

    @property
    def is_another_plan(self) -> bool:
        """Whether something else was paid for until then."""
        old = self.before
        return old is not None and (old.plan, old.interval) != (self.price.plan, self.price.interval)


def steps(paid: Sequence[PaidInvoice], known: Mapping[str, PlanPrice]) -> list[Step]:
    """All of them, in the order of the moments from which they count: what was paid late may count from before.
    `known` are the prices that sell plans.
    """
    lines = [
        (invoice, line, price)
        for invoice in paid
        for line in invoice.lines
        if (price := known.get(line.price_id or "")) is not None
        and line.amount >= 0  # the others give back what was paid before
    ]
    found: list[Step] = []
    for invoice, line, price in sorted(lines, key=_place):
        step = _step(invoice, line, price, found)
        if step is not None:
            found.append(step)
    return found


def after_the_end(paid_at: datetime | None, ended_at: datetime | None) -> bool:
    """Whether something was paid when the subscription was over already: it buys nothing any more."""
    return paid_at is not None and ended_at is not None and paid_at > ended_at


def _place(one: tuple[PaidInvoice, PaidLine, PlanPrice]) -> tuple[datetime, bool, datetime, str]:
    """A period comes before a change at its very beginning."""
    invoice, line, _ = one
    return line.period_start, line.is_proration, invoice.paid_at or invoice.issued_at, line.stripe_line_id


def began_at(trial_start: datetime | None, invoices: Sequence[StripeInvoice]) -> datetime | None:
    """When the subscription first gave anything; None: it has not yet."""
    moments = [one.paid_at or one.created_at for one in invoices if one.status == "paid"]
    if trial_start is not None:
        moments.append(trial_start)
    return min(moments, default=None)


def grace_ends_at(invoices: Sequence[StripeInvoice], fallback: datetime) -> datetime:
    """Seven days after the first attempt of what is due longest has failed.

    Stripe does not tell when it tried; it does so as soon as an invoice is finalized.
    """
    due = [one.finalized_at or one.created_at for one in invoices if one.status == "open" and one.attempted]
    return min(due, default=fallback) + GRACE


def trial_credits(monthly: int, starts_at: datetime, ends_at: datetime) -> int:
    """A month's credits in proportion to the length of a trial, rounded down; never more than the month's."""
    month = starts_at + relativedelta(months=1) - starts_at
    length = min(max(ends_at - starts_at, timedelta()), month)
    return monthly * (length // timedelta(seconds=1)) // (month // timedelta(seconds=1))


def _step(invoice: PaidInvoice, line: PaidLine, price: PlanPrice, earlier: Sequence[Step]) -> Step | None:
    kind, starts_at, ends_at = StepKind.PERIOD, line.period_start, line.period_end
    if line.is_proration:
        around = [
            one for one in earlier if one.kind is StepKind.PERIOD and one.starts_at <= line.period_start < one.ends_at
        ]
        if not line.amount or not around:
            return None  # a change within a period that nobody has paid for yet
        kind, starts_at, ends_at = StepKind.CHANGE, around[-1].starts_at, around[-1].ends_at
    elif line.amount == 0:
        kind = StepKind.TRIAL
    return Step(
        kind=kind,
        invoice=invoice,
        line_id=line.stripe_line_id,
        price=price,
        before=earlier[-1].price if earlier else None,
        starts_at=starts_at,
        ends_at=ends_at,
        changed_at=line.period_start,
    )
