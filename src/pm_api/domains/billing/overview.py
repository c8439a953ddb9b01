"""What an account has, what it uses of it, and what comes of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import insight
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.plans import PlanUsage
from pm_api.domains.billing import plans, subscriptions
from pm_api.domains.billing.enums import BillingInterval, SubscriptionStatus
from pm_api.domains.billing.forecasting import Course, Stretch, straight_on
from pm_api.domains.billing.models.subscriptions import Subscription
from pm_api.domains.billing.months import month_of
from pm_api.domains.billing.repository import contracts as repository
from pm_api.domains.billing.schemas.overview import (
    LimitsFrom,
    MetricUsage,
    ScheduledChange,
    SubscriptionRead,
    SubscriptionUsage,
    UsageAnswer,
    UsageForecast,
    UsagePeriod,
)
from pm_api.domains.storage import usage as storage
from pm_api.domains.tasks import service as tasks
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType, Metric, Plan, Status
from pm_api.entitlements.rules import Budget, Limits, Standing

COUNT, BYTES = "count", "bytes"
NOT_COUNTED_YET = 0

_STATUSES = {
    Status.ACTIVE: SubscriptionStatus.ACTIVE,
    Status.TRIALING: SubscriptionStatus.TRIALING,
    Status.GRACE: SubscriptionStatus.PAST_DUE,
}


@dataclass(frozen=True, slots=True)
class _Account:
    """An account's own plan, the limits it lives under, and the month that runs."""

    kind: AccountType
    id: UUID
    own: Standing
    budget: Budget
    month: Stretch
    credits: PlanUsage
    max_ai_credits: int

    @property
    def limits(self) -> Limits:
        return self.budget.limits


async def subscription(session: AsyncSession, platform: Platform, scope: AccountScope) -> SubscriptionRead:
    """The plan an account has with its figures; without any, FREE and ACTIVE."""
    now = platform.clock.now()
    found = await _account(session, platform, scope)
    row = await subscriptions.live_of(session, (found.kind, found.id))
    if row is not None:
        return await _subscribed(session, platform, found, row)
    contract = await repository.running(session, scope, now) if found.own.is_bought else None
    offer = await plans.offered(platform, found.own.plan)
    own, trialing = found.own, found.own.status is Status.TRIALING
    return SubscriptionRead(
        id=own.source_id,
        user_id=found.id if found.kind is AccountType.USER else None,
        workspace_id=found.id if found.kind is AccountType.WORKSPACE else None,
        stripe_subscription_id=None,
        stripe_price_id=None,
        plan=own.plan,
        status=_STATUSES[own.status],
        billing_interval=BillingInterval.MONTHLY,
        amount=contract.price_minor if contract else offer.price or 0,
        currency=contract.currency if contract else offer.currency,
        current_period_start=found.month.start,
        current_period_end=found.month.end,
        trial_start=own.period_start if trialing else None,
        trial_end=own.period_end if trialing else None,
        cancel_at_period_end=False,
        canceled_at=None,
        ends_at=own.ends_at,
        grace_ends_at=own.grace_ends_at,
        scheduled_change=None,
        has_pending_update=False,
        pricing=offer,
        limits_from=_limits_from(found.budget),
        usage=await _usage_of(session, found),
        created_at=contract.created_at if contract else None,
        updated_at=contract.updated_at if contract else None,
        version=own.version,
    )


async def _subscribed(
    session: AsyncSession, platform: Platform, found: _Account, row: Subscription
) -> SubscriptionRead:
    """As Stripe has it; which limits are in force by it stands apart, in `usage` and `limitsFrom`."""
    scheduled = None
    if row.upcoming_plan is not None and row.upcoming_interval is not None and row.upcoming_at is not None:
        scheduled = ScheduledChange(
            plan=Plan(row.upcoming_plan),
            billing_interval=BillingInterval(row.upcoming_interval),
            amount=row.upcoming_amount_minor or 0,
            effective_at=row.upcoming_at,
        )
    return SubscriptionRead(
        id=row.id,
        user_id=row.user_id,
        workspace_id=row.workspace_id,
        stripe_subscription_id=row.stripe_subscription_id,
        stripe_price_id=row.stripe_price_id,
        plan=Plan(row.plan),
        status=SubscriptionStatus(row.status),
        billing_interval=BillingInterval(row.billing_interval),
        amount=row.amount_minor,
        currency=row.currency,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        trial_start=row.trial_start,
        trial_end=row.trial_end,
        cancel_at_period_end=row.cancel_at_period_end,
        canceled_at=row.canceled_at,
        ends_at=row.cancel_at,
        grace_ends_at=row.grace_ends_at,
        scheduled_change=scheduled,
        has_pending_update=row.has_pending_update,
        pricing=await plans.offered(platform, Plan(row.plan)),
        limits_from=_limits_from(found.budget),
        usage=await _usage_of(session, found),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


async def _usage_of(session: AsyncSession, found: _Account) -> SubscriptionUsage:
    return SubscriptionUsage(
        users=await entitlements.users_in(session, found.budget),
        max_users=found.limits.max_users,
        storage=await storage.of_budget(session, found.budget),
        max_storage=found.limits.max_storage_bytes,
        ai_credits=found.credits.spent,
        max_ai_credits=found.max_ai_credits,
        api_calls=NOT_COUNTED_YET,
        max_api_calls=found.limits.max_api_calls,
    )


async def usage(session: AsyncSession, platform: Platform, scope: AccountScope) -> UsageAnswer:
    """Each metric with its limit, its period and its forecast."""
    now = platform.clock.now()
    found = await _account(session, platform, scope)
    limits, month = found.limits, found.month
    users = await entitlements.users_in(session, found.budget)
    users_before = await entitlements.users_before(session, found.budget, month.start)
    projects = await entitlements.projects_in(session, found.budget)
    projects_before = await entitlements.projects_in(session, found.budget, before=month.start)
    counted_tasks = await tasks.count_of(session, found.budget.workspace_ids)
    tasks_before = await tasks.count_of(session, found.budget.workspace_ids, before=month.start)
    stored = await storage.of_budget(session, found.budget)
    stored_before = await storage.of_budget(session, found.budget, before=month.start)
    counted = [
        _metric(Metric.USERS, COUNT, users, limits.max_users, month, now, began_with=users_before),
        _metric(Metric.STORAGE, BYTES, stored, limits.max_storage_bytes, month, now, began_with=stored_before),
        await _ai_credits(session, platform, scope, found),
        _metric(Metric.API_CALLS, COUNT, NOT_COUNTED_YET, limits.max_api_calls, month, now),
        _metric(Metric.PROJECTS, COUNT, projects, limits.max_projects, month, now, began_with=projects_before),
        _metric(Metric.TASKS, COUNT, counted_tasks, None, month, now, began_with=tasks_before),
    ]
    return UsageAnswer(limits_from=_limits_from(found.budget), usage=counted)


async def _account(session: AsyncSession, platform: Platform, scope: AccountScope) -> _Account:
    kind, account_id = AccountType.USER, scope.user_id
    if isinstance(scope, WorkspaceScope):
        kind, account_id = AccountType.WORKSPACE, scope.workspace_id
    own = await entitlements.standing_of(session, platform, kind, account_id)
    if kind is AccountType.USER:
        budget = await entitlements.budget_of_user(session, platform, account_id)
    else:
        budget = await entitlements.budget_of(session, platform, account_id)
    return _Account(
        kind=kind,
        id=account_id,
        own=own,
        budget=budget,
        month=month_of(own, platform.clock.now()),
        credits=await plan_credits.usage_of(session, platform, scope),
        max_ai_credits=await _credits_of(session, own),
    )


async def _credits_of(session: AsyncSession, own: Standing) -> int:
    """Credits a period brings this account itself: the free plan fills wallets, not pools."""
    if own.max_ai_credits is not None:
        return own.max_ai_credits
    if own.plan is Plan.FREE and own.account_kind is AccountType.WORKSPACE:
        return 0
    return (await plan_credits.credits_by_plan(session)).get(own.plan, 0)


async def _ai_credits(session: AsyncSession, platform: Platform, scope: AccountScope, found: _Account) -> MetricUsage:
    """Forecast by the ledger's own insight, which knows weekdays, expiry and renewals."""
    now = platform.clock.now()
    outlook = await insight.forecast_of(session, platform, scope)
    period = found.month
    if found.credits.starts_at is not None and found.credits.ends_at is not None and found.credits.ends_at > now:
        period = Stretch(found.credits.starts_at, found.credits.ends_at)
    at_end = None
    if outlook.daily_usage is not None:
        at_end = round(found.credits.spent + outlook.daily_usage * (period.end - now).total_seconds() / 86400)
    return MetricUsage(
        metric=Metric.AI_CREDITS,
        unit="credits",
        used=found.credits.spent,
        limit=found.max_ai_credits,
        is_over=False,
        period=UsagePeriod(start=period.start, end=period.end),
        forecast=UsageForecast(at_period_end=at_end, reaches_limit_at=outlook.run_out.p50),
    )


def _metric(
    metric: Metric, unit: str, used: int, limit: int | None, period: Stretch, now: datetime, *, began_with: int = 0
) -> MetricUsage:
    found = straight_on(Course(began_with, used, limit), period, now)
    return MetricUsage(
        metric=metric,
        unit=unit,
        used=used,
        limit=limit,
        is_over=limit is not None and used > limit,
        period=UsagePeriod(start=period.start, end=period.end),
        forecast=UsageForecast(at_period_end=found.at_end, reaches_limit_at=found.reaches_limit_at),
    )


def _limits_from(budget: Budget) -> LimitsFrom:
    return LimitsFrom(
        account_type=budget.standing.account_kind,
        account_id=budget.standing.account_id,
        plan=budget.standing.plan,
        workspaces=len(budget.workspace_ids),
    )
