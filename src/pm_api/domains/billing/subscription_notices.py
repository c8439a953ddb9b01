"""What people are told of their subscription: renewals, changes of plan, endings, the end of a trial. Once each.

Who paid for the first time gets a receipt, which is the invoice's to tell.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.billing import telling
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import SubscriptionStatus
from pm_api.domains.billing.invoices import PaidInvoice
from pm_api.domains.billing.models.subscriptions import LIVE, Subscription
from pm_api.domains.billing.paid_periods import Step, StepKind
from pm_api.domains.billing.prices import PlanPrice
from pm_api.domains.billing.telling import money
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan

TRIAL_NOTICE: Final = timedelta(days=3)


async def tell(
    session: AsyncSession, platform: Platform, account: Account, row: Subscription, steps: Sequence[Step]
) -> None:
    """Everything there is to tell by now of a subscription and of what was paid for it; what was told stays told."""
    told = _Told(session, platform, account, row)
    for step in steps:
        if step.is_renewal:
            await told.renewal(step)
        if step.is_another_plan and step.before is not None:
            await told.change(step.before, step.price, step.invoice)
        if step.kind is StepKind.TRIAL and row.status == SubscriptionStatus.TRIALING:
            await told.change_within_trial(step.price)
    if row.began_at is None:
        return
    if row.upcoming_at is not None:
        await told.scheduled(row.upcoming_at)
    if row.canceled_at is not None:
        await told.cancellation(row.canceled_at)
    elif row.status == SubscriptionStatus.TRIALING and row.trial_end is not None:
        await told.trial_ending(row.trial_end)


async def tell_paid_after_the_end(
    session: AsyncSession, platform: Platform, account: Account, row: Subscription, paid: PaidInvoice
) -> None:
    """Money that came for nothing: it buys no plan and no credits any more, and is to be given back."""
    if paid.amount_paid <= 0:
        return
    shown = money(paid.amount_paid, paid.currency)
    data = {
        "invoiceId": str(paid.id),
        "amount": paid.amount_paid,
        "currency": paid.currency,
        "plan": row.plan,
    }
    await telling.tell(
        session,
        platform,
        account,
        type="billing.paid_after_end",
        dedup_key=f"paid-after-end:{paid.stripe_invoice_id}",
        title=f"{shown} were paid for a plan that has ended",
        body=f"An invoice was paid after its subscription had ended: {shown}. It brings no plan and no credits. "
        "We have been told, and the payment is to be given back. Subscribe anew to have the plan again.",
        data={"subscriptionId": str(row.id), **data},
    )
    await telling.tell_operators(
        session,
        platform,
        type="billing.paid_after_end",
        dedup_key=f"paid-after-end:{paid.stripe_invoice_id}:operators",
        title="An invoice was paid after its subscription had ended",
        body=f"{shown} were paid with {paid.stripe_invoice_id} for {row.stripe_subscription_id}, which had ended. "
        "Nothing was given for it: it has to be refunded.",
        data={"stripeInvoiceId": paid.stripe_invoice_id, "accountId": str(account[1]), **data},
    )


class _Told:
    def __init__(self, session: AsyncSession, platform: Platform, account: Account, row: Subscription) -> None:
        self._session = session
        self._platform = platform
        self._account = account
        self._row = row

    async def renewal(self, step: Step) -> None:
        name, paid = await self._name(step.price.plan), money(step.invoice.amount_paid, step.invoice.currency)
        credits = await self._credits(step.price)
        await self._tell(
            "billing.renewed",
            f"renewal:{step.invoice.stripe_invoice_id}",
            f"{name} was renewed: {paid}",
            f"{paid} were paid for {name} until {_day(step.ends_at)}{_numbered(step.invoice)}. "
            f"It brings {credits} AI credits a month. "
            f"The next payment is due on {_day(step.ends_at)}.",
            {
                "invoiceId": str(step.invoice.id),
                "number": step.invoice.number,
                "amount": step.invoice.amount_paid,
                "currency": step.invoice.currency,
                "credits": credits,
                "plan": step.price.plan,
                "nextPaymentAt": written(step.ends_at),
            },
        )

    async def change(self, old: PlanPrice, new: PlanPrice, invoice: PaidInvoice) -> None:
        """What was charged for it now is another sum than what it costs from now on."""
        before, after = await self._name(old.plan), await self._name(new.plan)
        how = f"{money(new.amount_minor, new.currency)}, billed {new.interval.lower()}"
        credits, charged = await self._credits(new), money(invoice.amount_paid, invoice.currency)
        await self._tell(
            "billing.plan_changed",
            f"plan-change:{invoice.stripe_invoice_id}",
            f"The plan is {after} now",
            f"{before} was changed to {after}: {how}, with {credits} AI credits a month. "
            f"{charged} were charged for the change now{_numbered(invoice)}.",
            {
                "plan": new.plan,
                "billingInterval": new.interval,
                "previousPlan": old.plan,
                "previousBillingInterval": old.interval,
                "invoiceId": str(invoice.id),
                "number": invoice.number,
                "amount": invoice.amount_paid,
                "price": new.amount_minor,
                "currency": new.currency,
                "credits": credits,
            },
        )

    async def change_within_trial(self, tried: PlanPrice) -> None:
        """No invoice tells of it."""
        row = self._row
        if row.stripe_price_id == tried.price_id:
            return
        after = await self._name(Plan(row.plan))
        await self._tell(
            "billing.plan_changed",
            f"plan-change:{row.stripe_subscription_id}:{row.stripe_price_id}",
            f"The plan is {after} now",
            f"The trial goes on with {after}, which will cost {money(row.amount_minor, row.currency)}.",
            {"plan": row.plan, "billingInterval": row.billing_interval, "previousPlan": tried.plan},
        )

    async def scheduled(self, moment: datetime) -> None:
        row = self._row
        assert row.upcoming_plan is not None
        before, after = await self._name(Plan(row.plan)), await self._name(Plan(row.upcoming_plan))
        price = money(row.upcoming_amount_minor or 0, row.currency)
        await self._tell(
            "billing.plan_change_scheduled",
            f"plan-scheduled:{row.stripe_subscription_id}:{row.upcoming_price_id}:{moment:%Y%m%d%H%M%S}",
            f"{after} from {_day(moment)} on",
            f"{before} stays until {_day(moment)}; from then on it is {after} for {price}. Until then this can be "
            "undone. Credits that are there stay until they expire.",
            {
                "plan": row.upcoming_plan,
                "billingInterval": row.upcoming_interval,
                "previousPlan": row.plan,
                "effectiveAt": written(moment),
            },
        )

    async def cancellation(self, canceled_at: datetime) -> None:
        row = self._row
        name = await self._name(Plan(row.plan))
        stays_until = row.cancel_at if row.status in LIVE else None
        if stays_until is not None:
            title = f"{name} ends on {_day(stays_until)}"
            body = f"Everything stays as it is until {_day(stays_until)}, and nothing more is charged. "
        else:
            title = f"{name} has ended"
            body = "The limits are those of the free plan from now on; nothing is deleted. "
        await self._tell(
            "billing.canceled",
            f"cancel:{row.stripe_subscription_id}:{canceled_at:%Y%m%d%H%M%S}",
            title,
            f"{body}Plan credits stay until they expire, bought ones for ever.",
            {"plan": row.plan, "endsAt": written(stays_until) if stays_until is not None else None},
        )

    async def trial_ending(self, trial_end: datetime) -> None:
        """Three days before."""
        row = self._row
        if not trial_end - TRIAL_NOTICE <= self._platform.clock.now() < trial_end:
            return
        name, price = await self._name(Plan(row.plan)), money(row.amount_minor, row.currency)
        await self._tell(
            "billing.trial_ending",
            f"trial-ending:{row.stripe_subscription_id}:{trial_end:%Y%m%d%H%M%S}",
            f"The trial of {name} ends on {_day(trial_end)}",
            f"From {_day(trial_end)} on it costs {price}, billed {row.billing_interval.lower()}. "
            "Cancel before then and nothing is charged.",
            {"plan": row.plan, "trialEnd": written(trial_end), "amount": row.amount_minor, "currency": row.currency},
        )

    async def _tell(self, type: str, key: str, title: str, body: str, data: dict[str, Any]) -> None:
        await telling.tell(
            self._session,
            self._platform,
            self._account,
            type=type,
            dedup_key=key,
            title=title,
            body=body,
            data={"subscriptionId": str(self._row.id), **data},
        )

    async def _name(self, plan: Plan) -> str:
        return (await entitlements.terms_of(self._session, plan)).name

    async def _credits(self, price: PlanPrice) -> int:
        if price.included_credits is not None:
            return price.included_credits
        return (await plan_credits.credits_by_plan(self._session))[price.plan]


def _numbered(invoice: PaidInvoice) -> str:
    return f" (invoice {invoice.number})" if invoice.number else ""


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
