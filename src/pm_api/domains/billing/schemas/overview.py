"""Shapes of what an account has and uses."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.billing.enums import BillingInterval, SubscriptionStatus
from pm_api.domains.billing.schemas.plans import PlanRead
from pm_api.entitlements.enums import AccountType, Metric, Plan


class LimitsFrom(ApiModel):
    """Whose plan gives the limits in force: a workspace without one of its own lives under its owner's."""

    account_type: AccountType = Field(description="A user's, or a workspace's.", examples=["WORKSPACE"])
    account_id: UUID = Field(description="Whose plan it is.")
    plan: Plan = Field(description="That plan.", examples=["TEAM_STANDARD"])
    workspaces: int = Field(description="Workspaces that share these limits.", examples=[1])


class SubscriptionUsage(ApiModel):
    """What is used now of what is there. Null is unlimited. Workspaces that share limits are counted together.

    `apiCalls` are counted once calls with API keys are; until then they are 0.
    """

    users: int = Field(description="People, each once; viewers are people too.", examples=[4])
    max_users: int | None = Field(description="Most people.", examples=[10])
    storage: int = Field(description="Bytes stored; who shares the plan is counted together.", examples=[734003200])
    max_storage: int | None = Field(description="Most bytes.", examples=[107374182400])
    ai_credits: int = Field(description="Of this period's plan credits, how many are spent.", examples=[120])
    max_ai_credits: int = Field(
        description="Credits the plan brings this account each period. 0 for a workspace without a plan of its own: "
        "the free plan fills people's own wallets.",
        examples=[500],
    )
    api_calls: int = Field(description="Requests with API keys this month; 0 until they are counted.", examples=[0])
    max_api_calls: int | None = Field(description="Most of them a month.", examples=[250000])


class ScheduledChange(ApiModel):
    """What the subscription becomes at the end of its period. Until then it can be undone: `POST …/resume`."""

    plan: Plan = Field(description="The plan it will be.", examples=["TEAM_STANDARD"])
    billing_interval: BillingInterval = Field(description="How often it will be billed.", examples=["MONTHLY"])
    amount: int = Field(description="Minor units an interval, from then on.", examples=[9999])
    effective_at: Timestamp = Field(description="When it changes.")


class SubscriptionRead(ApiModel):
    """The plan an account has. Without a subscription or contract: FREE and ACTIVE, with no id and no end."""

    id: UUID | None = Field(description="The subscription or contract; null for FREE.")
    user_id: UUID | None = Field(description="Whose it is, for a person's own.")
    workspace_id: UUID | None = Field(description="Whose it is, for a workspace.")
    stripe_subscription_id: str | None = Field(
        description="At Stripe; null for FREE and contracts.", examples=["sub_1MowQVLkdIwHu7ixeRlqHVzs"]
    )
    stripe_price_id: str | None = Field(
        description="The price at Stripe; null for FREE and contracts.", examples=["price_1MoBy5LkdIwHu7ixZhnattbh"]
    )
    plan: Plan = Field(description="The plan.", examples=["FREE"])
    status: SubscriptionStatus = Field(description="How it stands.", examples=["ACTIVE"])
    billing_interval: BillingInterval = Field(description="How often it is billed.", examples=["MONTHLY"])
    amount: int = Field(description="Minor units an interval.", examples=[0])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    current_period_start: Timestamp = Field(description="Of the period that runs; for FREE the UTC month.")
    current_period_end: Timestamp = Field(description="When it ends.")
    trial_start: Timestamp | None = Field(description="When a trial began.")
    trial_end: Timestamp | None = Field(description="When it ends.")
    cancel_at_period_end: bool = Field(description="Whether it ends with this period.", examples=[False])
    canceled_at: Timestamp | None = Field(description="When it was canceled.")
    ends_at: Timestamp | None = Field(description="When it is over for certain; null: it goes on.")
    grace_ends_at: Timestamp | None = Field(description="While a payment is due: until when access stays.")
    scheduled_change: ScheduledChange | None = Field(description="What is going to be another; null: nothing.")
    has_pending_update: bool = Field(description="Whether an upgrade waits for its payment.", examples=[False])
    pricing: PlanRead = Field(description="The plan as it is on offer.")
    limits_from: LimitsFrom = Field(description="Whose plan gives the limits in `usage`.")
    usage: SubscriptionUsage = Field(description="What is used of it now.")
    created_at: Timestamp | None = Field(description="When it was made; null for FREE.")
    updated_at: Timestamp | None = Field(description="When it was changed last; null for FREE.")
    version: int = Field(description="Changes with the plan, limits or dates; 0 for FREE.", examples=[0])


class SubscriptionAnswer(ApiModel):
    subscription: SubscriptionRead = Field(description="The plan the account has, or FREE.")


class UsagePeriod(ApiModel):
    """A stretch in which something is counted."""

    start: Timestamp = Field(description="From here on, included.")
    end: Timestamp = Field(description="Up to here, not included.")


class UsageForecast(ApiModel):
    """What comes of it if things go on as they went."""

    at_period_end: int | None = Field(
        description="How many it will be then; null: too little is known.", examples=[7]
    )
    reaches_limit_at: Timestamp | None = Field(
        description="When the limit is met, or AI credits run out; null: not within the forecast."
    )


class MetricUsage(ApiModel):
    """One metric: used, limit, period, forecast."""

    metric: Metric = Field(description="What is counted.", examples=["USERS"])
    unit: str = Field(description="Of all its figures.", examples=["count"])
    used: int = Field(description="How many there are, or were used in the period.", examples=[4])
    limit: int | None = Field(description="Most of them; null: unlimited.", examples=[10])
    is_over: bool = Field(
        description="Whether there are more than the plan holds: nothing is deleted, and nothing can be added until "
        "there is room again, or a larger plan.",
        examples=[False],
    )
    period: UsagePeriod = Field(description="What `used` is counted in, or what the forecast looks to the end of.")
    forecast: UsageForecast = Field(description="If things go on as they went.")


class UsageAnswer(ApiModel):
    """Every metric of one account."""

    limits_from: LimitsFrom = Field(description="Whose plan gives the limits.")
    usage: list[MetricUsage] = Field(description="API_CALLS are counted once there are such things; until then 0.")
