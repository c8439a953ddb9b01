"""What an account had in periods that are over.

Periods come from what was paid for (invoice lines), from contracts by the month, and, where there was no plan, from
the calendar months in which usage was counted; those give way where a plan began or ended within them. An invoice
belongs to the period in which it was issued.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import period_sums
from pm_api.domains.ai_credits.period_sums import PeriodSums
from pm_api.domains.ai_credits.plans import month_at
from pm_api.domains.billing import accounts, prices
from pm_api.domains.billing.enums import BillingInterval, InvoiceStatus
from pm_api.domains.billing.models.contracts import Contract
from pm_api.domains.billing.models.invoices import Invoice
from pm_api.domains.billing.repository import contracts as contract_rows
from pm_api.domains.billing.repository import invoices as invoice_rows
from pm_api.domains.billing.repository import usage_records
from pm_api.domains.billing.schemas.invoices import (
    HistoryAnswer,
    HistoryPeriod,
    PeriodCredits,
    PeriodInvoice,
    PeriodPeak,
)
from pm_api.entitlements.enums import Metric, Plan

LISTED: Final = "billing_history"
MOST_PERIODS: Final = 1000
MOST_CONTRACTS: Final = 100
MOST_INVOICES: Final = 2000
MOST_INVOICES_SHOWN: Final = 100
NO_CURRENCY: Final = "USD"


@dataclass(frozen=True, slots=True)
class _Period:
    plan: Plan
    interval: BillingInterval
    starts_at: datetime
    ends_at: datetime
    contract: Contract | None = None


async def list_of(session: AsyncSession, platform: Platform, scope: AccountScope, page: PageRequest) -> HistoryAnswer:
    """A page of an account's past periods, the last one first."""
    account_id = accounts.of_scope(scope)[1]
    key = platform.cursors.decode(page.cursor, of=LISTED, account=account_id)
    before = datetime.fromisoformat(key[0]) if key else None
    periods = [
        one
        for one in await _periods(session, scope, platform.clock.now())
        if before is None or one.starts_at < before
    ]
    shown = periods[: page.limit]
    following = (shown[-1].starts_at,) if len(periods) > page.limit else None
    return HistoryAnswer(
        history=await _told(session, platform, scope, shown),
        next_cursor=platform.cursors.encode(following, of=LISTED, account=account_id),
    )


# --- periods ---------------------------------------------------------------------------------------------------


async def _periods(session: AsyncSession, scope: AccountScope, now: datetime) -> list[_Period]:
    """At most 1000, the last one first; no two overlap."""
    paid = [*await _billed(session, scope, now), *await _by_contract(session, scope, now)]
    free = await usage_records.free_periods(session, scope, ended_by=now, limit=MOST_PERIODS)
    taken = [(one.starts_at, one.ends_at) for one in paid]
    left = [part for one in free for part in _around((one.starts_at, one.ends_at), taken)]
    found = [*paid, *(_Period(Plan.FREE, BillingInterval.MONTHLY, start, end) for start, end in left)]
    return sorted(found, key=lambda one: one.starts_at, reverse=True)[:MOST_PERIODS]


async def _billed(session: AsyncSession, scope: AccountScope, now: datetime) -> list[_Period]:
    """Of two that begin at once (a trial that was ended by a payment) the one that cost more counts. A plan that was
    gone up to within a period is what was paid for in it, whatever the period began and the next one begins with.
    """
    rows = await invoice_rows.billed_periods(session, scope, ended_by=now, limit=MOST_PERIODS)
    dearer = await invoice_rows.dearer_prices(session, scope, ended_by=now, limit=MOST_PERIODS)
    named = {row.price_id for row in (*rows, *dearer)}
    sold = {price_id: await prices.plan_of(session, price_id) for price_id in named}
    found: dict[datetime, _Period] = {}
    for row in rows:
        price = sold[row.price_id]
        if price is not None:
            found[row.starts_at] = _Period(price.plan, price.interval, row.starts_at, row.ends_at)
    ordered = sorted(found.values(), key=lambda one: one.starts_at)
    periods = [_cut(one, ordered[number : number + 1]) for number, one in enumerate(ordered, start=1)]
    changes = [(row.starts_at, price.plan) for row in dearer if (price := sold[row.price_id]) is not None]
    return [_gone_up(one, changes) for one in periods]


def _gone_up(period: _Period, changes: Sequence[tuple[datetime, Plan]]) -> _Period:
    within = [plan for changed_at, plan in changes if period.starts_at <= changed_at < period.ends_at]
    return replace(period, plan=within[-1]) if within else period


def _cut(period: _Period, following: Sequence[_Period]) -> _Period:
    """A period that the next one put an end to: a change of the billing interval begins a new one at once."""
    return replace(period, ends_at=min([period.ends_at, *(one.starts_at for one in following)]))


async def _by_contract(session: AsyncSession, scope: AccountScope, now: datetime) -> list[_Period]:
    found = []
    for contract in await contract_rows.begun(session, scope, MOST_CONTRACTS):
        until = min(contract.ends_at, contract.ended_at or contract.ends_at)
        starts_at = contract.starts_at
        while starts_at < until:
            ends_at = min(month_at(contract.starts_at, contract.ends_at, starts_at)[1], until)
            if ends_at > now:
                break
            found.append(_Period(Plan(contract.plan), BillingInterval.MONTHLY, starts_at, ends_at, contract))
            starts_at = ends_at
    return found


def _around(
    period: tuple[datetime, datetime], taken: Sequence[tuple[datetime, datetime]]
) -> Iterable[tuple[datetime, datetime]]:
    """What is left of a period beside the others."""
    start, end = period
    for begins, ends in sorted(taken):
        if ends <= start or begins >= end:
            continue
        if begins > start:
            yield start, begins
        start = max(start, ends)
    if start < end:
        yield start, end


# --- figures ---------------------------------------------------------------------------------------------------


async def _told(
    session: AsyncSession, platform: Platform, scope: AccountScope, periods: Sequence[_Period]
) -> list[HistoryPeriod]:
    if not periods:
        return []
    begins, ends = min(one.starts_at for one in periods), max(one.ends_at for one in periods)
    invoices = await invoice_rows.issued_within(session, scope, begins, ends, MOST_INVOICES)
    bounds = [(one.starts_at, one.ends_at) for one in periods]
    peaks = await usage_records.peaks(session, scope, bounds)
    sums = await period_sums.of_periods(session, platform, scope, bounds)
    return [
        _read(
            period,
            [one for one in invoices if period.starts_at <= one.issued_at < period.ends_at],
            _peaks(peak, credits),
            credits,
        )
        for period, peak, credits in zip(periods, peaks, sums, strict=True)
    ]


def _peaks(counted: Mapping[str, int], credits: PeriodSums) -> list[PeriodPeak]:
    """What was used by the end of a period was the most of it, though nobody counted on that day."""
    peak = dict(counted)
    if credits.used:
        peak[Metric.AI_CREDITS] = max(credits.used, peak.get(Metric.AI_CREDITS, 0))
    return [PeriodPeak(metric=metric, peak=peak[metric]) for metric in Metric if metric in peak]


def _read(
    period: _Period, invoices: Sequence[Invoice], peaks: list[PeriodPeak], credits: PeriodSums
) -> HistoryPeriod:
    currency = invoices[0].currency if invoices else NO_CURRENCY
    if period.contract is not None:
        currency = period.contract.currency
    amount = sum(one.paid_minor - one.refunded_minor for one in invoices if one.currency == currency)
    if period.contract is not None:
        amount += period.contract.price_minor
    return HistoryPeriod(
        plan=period.plan,
        billing_interval=period.interval,
        period_start=period.starts_at,
        period_end=period.ends_at,
        amount=amount,
        currency=currency,
        invoices=[_read_invoice(one) for one in invoices[:MOST_INVOICES_SHOWN]],
        credits=PeriodCredits(granted=credits.granted, used=credits.used, expired=credits.expired),
        peaks=peaks,
    )


def _read_invoice(row: Invoice) -> PeriodInvoice:
    return PeriodInvoice(
        id=row.id,
        number=row.number,
        status=InvoiceStatus(row.status),
        amount=row.total_minor,
        amount_paid=row.paid_minor,
        amount_refunded=row.refunded_minor,
        currency=row.currency,
    )
