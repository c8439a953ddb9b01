"""Changes of plan: which way they go, and quotes of what exactly they cost and bring.

A plan that is at least as large, not billed more often than before, is an upgrade: at once, and paid at once. All
else is a downgrade and waits for the end of the period. During a trial nothing is paid either way.

A quote is a sealed text that its receiver hands back: nothing is stored of what was only looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.crypto import SealBroken, decode_url, encode_url
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.plans import PlanPeriod
from pm_api.domains.billing import accounts, entitling, plans, prices, subscriptions
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import BillingInterval, ChangeKind, SubscriptionStatus
from pm_api.domains.billing.errors import (
    ChangeAwaitsPayment,
    ContactSales,
    InvalidQuote,
    PlanNotForAccount,
    PlanUnchanged,
    QuoteChanged,
    QuoteExpired,
    SubscriptionEnding,
    SubscriptionNotChangeable,
    SubscriptionNotFound,
)
from pm_api.domains.billing.models.subscriptions import Subscription
from pm_api.domains.billing.prices import PlanPrice
from pm_api.domains.billing.schemas.subscriptions import Quote, QuoteCredits, QuoteLine
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan
from pm_api.integrations.stripe import StripeDoor, StripeInvoice, StripeObjectMissing, StripeRefused, invoices

QUOTE_PURPOSE: Final = "subscription-quote"
QUOTE_HOLDS: Final = timedelta(minutes=30)
CHANGEABLE: Final = (SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a subscription, decided. `prorate_at` is a whole second; None where nothing is paid."""

    kind: ChangeKind
    subscription_id: UUID
    stripe_subscription_id: str
    item_id: str
    schedule_id: str | None
    old: PlanPrice
    new: PlanPrice
    effective_at: datetime
    prorate_at: datetime | None
    period: tuple[datetime, datetime]


async def sellable(session: AsyncSession, account: Account, plan: Plan, interval: BillingInterval) -> PlanPrice:
    """The price at which an account may buy a plan; raises ContactSales, PlanNotForAccount, PlanNotOnSale."""
    if plan is Plan.ENTERPRISE:
        raise ContactSales
    if not plans.fits(await entitlements.terms_of(session, plan), account[0]):
        raise PlanNotForAccount(plans.unfit(plan, account[0]))
    return await prices.price_of(session, plan, interval)


async def to_change(session: AsyncSession, account: Account) -> Subscription:
    """The account's subscription, if it may be changed; raises SubscriptionNotFound, SubscriptionNotChangeable,
    SubscriptionEnding, ChangeAwaitsPayment.
    """
    row = await subscriptions.live_of(session, account)
    if row is None:
        raise SubscriptionNotFound
    if row.status not in CHANGEABLE:
        raise SubscriptionNotChangeable(subscriptionStatus=row.status)
    if row.cancel_at is not None:
        raise SubscriptionEnding
    if row.has_pending_update:
        raise ChangeAwaitsPayment
    return row


async def decide(
    session: AsyncSession,
    platform: Platform,
    account: Account,
    row: Subscription,
    wanted: tuple[Plan, BillingInterval | None],
) -> Change:
    """What a wish comes to; to wish for what there is undoes what is scheduled. Raises what `sellable` raises, and
    PlanUnchanged.
    """
    plan, interval = wanted[0], wanted[1] or BillingInterval(row.billing_interval)
    old = await subscriptions.plan_price(session, row.stripe_price_id)
    undoes = row.upcoming_price_id is not None and (plan, interval) == (row.plan, row.billing_interval)
    new = old if undoes else await sellable(session, account, plan, interval)
    is_there = (plan, interval) in ((row.plan, row.billing_interval), (row.upcoming_plan, row.upcoming_interval))
    if is_there and not undoes:
        raise PlanUnchanged
    sizes = [(await entitlements.terms_of(session, one.plan)).position for one in (old, new)]
    kind = kind_of(sizes[0], sizes[1], old.interval, new.interval)
    now = platform.clock.now().replace(microsecond=0)
    start, end = row.current_period_start, row.current_period_end
    is_paid = kind is ChangeKind.UPGRADE and not undoes and row.status != SubscriptionStatus.TRIALING
    return Change(
        kind=kind,
        subscription_id=row.id,
        stripe_subscription_id=row.stripe_subscription_id,
        item_id=row.stripe_item_id,
        schedule_id=row.schedule_id,
        old=old,
        new=new,
        effective_at=end if kind is ChangeKind.DOWNGRADE else now,
        prorate_at=min(max(now, start), end) if is_paid else None,
        period=(start, end),
    )


def kind_of(old_size: int, new_size: int, old: BillingInterval, new: BillingInterval) -> ChangeKind:
    """Whoever has paid for a year keeps it, and whoever has paid for a large plan keeps that, to the end."""
    shortens = old is BillingInterval.YEARLY and new is BillingInterval.MONTHLY
    return ChangeKind.UPGRADE if new_size >= old_size and not shortens else ChangeKind.DOWNGRADE


# --- quotes ----------------------------------------------------------------------------------------------------


async def preview(platform: Platform, account: Account, wanted: tuple[Plan, BillingInterval | None]) -> Quote:
    """What a change costs and brings, to the cent and to the credit. Raises what the change would."""
    async with platform.database.reading() as session:
        row = await to_change(session, account)
        change = await decide(session, platform, account, row, wanted)
        credits = await _credits(session, platform, account, change)
    invoice = await looked_at(platform.part(StripeDoor), change)
    expires_at = min(platform.clock.now() + QUOTE_HOLDS, change.period[1])
    sealed = _seal(platform, account, change, invoice, expires_at)
    return Quote(
        id=sealed,
        kind=change.kind,
        plan=change.new.plan,
        billing_interval=change.new.interval,
        current_plan=change.old.plan,
        current_billing_interval=change.old.interval,
        current_price_id=change.old.price_id,
        price_id=change.new.price_id,
        effective_at=change.effective_at,
        proration_date=change.prorate_at,
        subtotal=invoice.subtotal if invoice else 0,
        discount=invoice.discount if invoice else 0,
        tax=invoice.tax if invoice else 0,
        total=invoice.total if invoice else 0,
        amount_due=invoice.amount_due if invoice else 0,
        currency=invoice.currency if invoice else change.new.currency,
        lines=[
            QuoteLine(
                description=line.description,
                amount=line.amount,
                currency=line.currency,
                period_start=line.period_start,
                period_end=line.period_end,
                is_proration=line.is_proration,
            )
            for line in (invoice.lines if invoice else ())
        ],
        price=change.new.amount_minor,
        credits=credits,
        expires_at=expires_at,
    )


async def looked_at(door: StripeDoor, change: Change) -> StripeInvoice | None:
    """What Stripe would invoice for it now; None: nothing. Raises QuoteExpired when it cannot be done any more."""
    if change.prorate_at is None:
        return None
    try:
        return await invoices.preview_change(
            door,
            change.stripe_subscription_id,
            change.item_id,
            change.new.price_id,
            prorate_at=change.prorate_at,
        )
    except (StripeRefused, StripeObjectMissing) as refused:
        raise QuoteExpired("Stripe does not make this change any more; look at the subscription again.") from refused


def as_quoted(
    platform: Platform, account: Account, change: Change, quote_id: str
) -> tuple[datetime | None, dict[str, Any] | None]:
    """The moment a quote is pinned to, and the sums it promised. Raises InvalidQuote, QuoteExpired, QuoteChanged."""
    try:
        told = orjson.loads(platform.keys.open(QUOTE_PURPOSE, decode_url(quote_id), _context(account)))
    except (SealBroken, ValueError):
        raise InvalidQuote from None
    if told["plan"] != [change.new.plan, change.new.interval]:
        raise InvalidQuote("The quote is for another plan or interval.")
    if datetime.fromisoformat(told["expiresAt"]) <= platform.clock.now():
        raise QuoteExpired
    prorate_at = None if told["prorateAt"] is None else datetime.fromisoformat(told["prorateAt"])
    now_is = _facts(change)
    if any(told[name] != value for name, value in now_is.items()) or (prorate_at is None) != (
        change.prorate_at is None
    ):
        raise QuoteChanged
    return prorate_at, told["sums"]


def sums_of(invoice: StripeInvoice) -> dict[str, Any]:
    """What must be the same when a quote is carried out."""
    return {
        "subtotal": invoice.subtotal,
        "discount": invoice.discount,
        "tax": invoice.tax,
        "total": invoice.total,
        "amountDue": invoice.amount_due,
        "currency": invoice.currency,
    }


def _seal(
    platform: Platform, account: Account, change: Change, invoice: StripeInvoice | None, expires_at: datetime
) -> str:
    content = {
        **_facts(change),
        "plan": [change.new.plan, change.new.interval],
        "prorateAt": change.prorate_at.isoformat() if change.prorate_at else None,
        "expiresAt": expires_at.isoformat(),
        "sums": sums_of(invoice) if invoice else None,
    }
    return encode_url(platform.keys.seal(QUOTE_PURPOSE, orjson.dumps(content), _context(account)))


def _facts(change: Change) -> Mapping[str, Any]:
    """What a quote was made of, besides the sums: when one of these is another, it holds no longer."""
    return {
        "kind": change.kind,
        "subscription": str(change.subscription_id),
        "oldPrice": change.old.price_id,
        "price": change.new.price_id,
        "period": [moment.isoformat() for moment in change.period],
    }


def _context(account: Account) -> bytes:
    return f"{account[0]}:{account[1]}".encode()


async def _credits(session: AsyncSession, platform: Platform, account: Account, change: Change) -> QuoteCredits:
    before = await entitling.monthly_credits(session, change.old)
    after = await entitling.monthly_credits(session, change.new)
    begins_anew = change.prorate_at is not None and change.old.interval is not change.new.interval
    granted = after if begins_anew else 0
    if change.prorate_at is not None and not begins_anew:
        period = PlanPeriod(
            account_kind=accounts.credit_kind(account),
            account_id=account[1],
            plan=change.new.plan,
            starts_at=change.period[0],
            ends_at=change.period[1],
            yearly=change.new.interval is BillingInterval.YEARLY,
            credits=change.new.included_credits,
        )
        granted = await plan_credits.change_would_bring(
            session, platform, period=period, changed_at=change.prorate_at
        )
    return QuoteCredits(granted_now=granted, replaces_period=begins_anew, per_month=after, per_month_before=before)
