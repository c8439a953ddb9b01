"""The credits a payment has bought, and their way back when its money goes back.

A pack's lots follow the payment of its checkout; a plan's credits follow the invoice they came by: those of the
period it paid for, month by month where the plan is yearly, and those of a change it paid for. What a plan brought
and nobody used before it ran out is not owed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import clawbacks
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.plans import month_at
from pm_api.domains.ai_credits.purchases import Till
from pm_api.domains.billing import accounts, prices
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.models.invoices import Invoice, InvoiceLine
from pm_api.domains.billing.money_back import MoneyBack
from pm_api.domains.billing.repository import invoices as invoice_rows

SCOPE: Final = SystemScope("credits follow what paid for them")
PLAN, PLAN_CHANGE = "plan", "plan_change"
SOONEST, LATEST = timedelta(minutes=5), timedelta(days=1)
AFTER_A_MONTH_BEGAN: Final = timedelta(minutes=15)
"""By then the month's credits have come."""


async def follow(
    session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack, moved_minor: int
) -> datetime | None:
    """Bring the credits in line with what went back of a payment in all; returns when to look again, if ever."""
    payment_intent_id = picture.charge.payment_intent_id or ""
    bill = await invoice_rows.of_payment(session, SCOPE, payment_intent_id)
    again: list[datetime | None] = [None]
    if picture.bill is None or bill is None or bill.stripe_subscription_id is None:
        again.append(await _follow_purchase(session, platform, owner, picture, moved_minor))
    else:
        again.append(await _follow_plan(session, platform, owner, bill, picture.charge.amount, moved_minor))
    return min((one for one in again if one is not None), default=None)


async def _claw_back(
    session: AsyncSession,
    platform: Platform,
    owner: Account,
    lots: tuple[str, Sequence[str]],
    *,
    moved_minor: int,
    paid_minor: int,
    reference: str,
    forgive_expired: bool = False,
) -> None:
    source_type, source_refs = lots
    await clawbacks.claw_back(
        session,
        platform,
        account_kind=accounts.credit_kind(owner),
        account_id=owner[1],
        source_type=source_type,
        source_refs=source_refs,
        refunded_minor=min(moved_minor, paid_minor),
        paid_minor=paid_minor,
        reference=reference,
        reinstate=True,
        forgive_expired=forgive_expired,
    )


# --- packs and bundles -----------------------------------------------------------------------------------------


async def _follow_purchase(
    session: AsyncSession, platform: Platform, owner: Account, picture: MoneyBack, moved_minor: int
) -> datetime | None:
    """A purchase that is not granted yet is looked for again, ever more rarely, for as long as it takes."""
    names = [(Till.PAYMENT, picture.charge.payment_intent_id or "")]
    if picture.checkout is not None:
        names.append((Till.CHECKOUT, picture.checkout.id))
    for till, name in names:
        lots = await clawbacks.lots_of(session, owner[1], till.value, name)
        if lots:
            await _claw_back(
                session,
                platform,
                owner,
                (till.value, lots),
                moved_minor=moved_minor,
                paid_minor=picture.charge.amount,
                reference=name,
            )
            return None
    if not moved_minor or not _brings_credits(picture):
        return None
    now = platform.clock.now()
    begun = [one.created_at for one in picture.refunds] + [one.created_at for one in picture.disputes]
    age = now - max(begun, default=now)
    return now + min(LATEST, max(SOONEST, age))


def _brings_credits(picture: MoneyBack) -> bool:
    told = [one.metadata for one in (picture.checkout, picture.payment, picture.charge) if one is not None]
    return any("pack" in metadata or "bundle" in metadata for metadata in told)


# --- plans -----------------------------------------------------------------------------------------------------


async def _follow_plan(
    session: AsyncSession, platform: Platform, owner: Account, bill: Invoice, charged_minor: int, moved_minor: int
) -> datetime | None:
    """What was paid of an invoice otherwise than by this charge stays paid."""
    paid_minor = max(charged_minor, bill.total_minor)
    reference = bill.reference
    changes = await clawbacks.lots_of(session, owner[1], PLAN_CHANGE, f"stripe:invoice:{reference}")
    periods = await _periods(session, bill)
    brought = [ref for period in periods for ref in await _lots_within(session, owner, period)]
    for lots in ((PLAN, brought), (PLAN_CHANGE, changes)):
        if lots[1]:
            await _claw_back(
                session,
                platform,
                owner,
                lots,
                moved_minor=moved_minor,
                paid_minor=paid_minor,
                reference=reference,
                forgive_expired=True,
            )
    for period in periods:
        await plan_credits.bring_months(
            session, platform, owner[1], period.starts_at, wanted=moved_minor < paid_minor
        )
    return _next_month(periods, platform.clock.now()) if moved_minor else None


@dataclass(frozen=True, slots=True)
class _Period:
    """What a line of an invoice paid for, `until` another paid period took its place."""

    price_id: str
    starts_at: datetime
    ends_at: datetime
    until: datetime


async def _periods(session: AsyncSession, bill: Invoice) -> list[_Period]:
    """A year that is bought within a month begins at once, and what it brings is not the month's any more."""
    paid = await invoice_rows.paid_of(session, SCOPE, bill.stripe_subscription_id or "")
    lines = await invoice_rows.lines(session, {bill.id, *(one.id for one in paid)})
    beginnings = [line.period_start for of_one in lines.values() for line in of_one if _is_period(line)]
    return [
        _Period(
            line.price_id or "",
            line.period_start,
            line.period_end,
            min([line.period_end, *(one for one in beginnings if one > line.period_start)]),
        )
        for line in lines[bill.id]
        if _is_period(line)
    ]


def _is_period(line: InvoiceLine) -> bool:
    return not line.is_proration and line.amount_minor > 0 and line.price_id is not None


async def _lots_within(session: AsyncSession, owner: Account, period: _Period) -> list[str]:
    """The plan's lots that began within a period that was paid for."""
    price = await prices.plan_of(session, period.price_id)
    if price is None:
        return []
    found = []
    for reference in await clawbacks.lots_of(session, owner[1], PLAN, price.plan):
        began_at = datetime.fromisoformat(reference.partition(":")[2])
        if period.starts_at <= began_at < period.until:
            found.append(reference)
    return found


def _next_month(periods: Sequence[_Period], now: datetime) -> datetime | None:
    """When more credits come for what is refunded: a yearly plan goes on month by month."""
    coming = []
    for period in periods:
        month_ends_at = month_at(period.starts_at, period.ends_at, now)[1]
        if now < month_ends_at < period.until:
            coming.append(month_ends_at + AFTER_A_MONTH_BEGAN)
    return min(coming, default=None)
