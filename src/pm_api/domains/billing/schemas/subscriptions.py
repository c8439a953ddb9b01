"""Shapes of beginning, changing and ending a subscription."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field

from pm_api.core.openapi import NULL
from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.billing.enums import BillingInterval, ChangeKind
from pm_api.domains.billing.schemas.overview import SubscriptionRead
from pm_api.entitlements.enums import Plan

_SHORT: dict[str, BillingInterval] = {"month": BillingInterval.MONTHLY, "year": BillingInterval.YEARLY}


def _interval(given: Any) -> Any:
    """Stripe's words are understood too."""
    return _SHORT.get(given, given) if isinstance(given, str) else given


Interval = Annotated[BillingInterval, BeforeValidator(_interval)]
PaymentMethodId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{3,255}$")]
WORKSPACE = "The workspace whose plan it is; absent: your own."
INTERVAL = "How often it is billed; `month` and `year` are understood too."
QUOTE_LENGTH = 2000


class SubscriptionCreate(ApiRequest):
    """A plan to subscribe to."""

    plan: Plan = Field(description="INDIVIDUAL_PRO for yourself, TEAM_* for a workspace.", examples=["TEAM_STANDARD"])
    billing_interval: Interval = Field(BillingInterval.MONTHLY, description=INTERVAL, examples=["MONTHLY"])
    workspace_id: UUID | None = Field(None, description=WORKSPACE)
    payment_method_id: PaymentMethodId | None = Field(
        None,
        description="What it is paid with, from a setup intent (its id at Stripe). Absent: the default one; without "
        "any, the browser asks for one with `clientSecret`. A trial needs one.",
        examples=["pm_1PqRsT2eZvKYlo2C"],
    )
    promotion_code: Annotated[Text, Field(min_length=1, max_length=64)] | None = Field(
        None, description="A code for a discount.", examples=[NULL]
    )


class SubscriptionChange(ApiRequest):
    """The plan and interval to change to."""

    plan: Plan = Field(description="The plan to change to, or the same one.", examples=["TEAM_PREMIUM"])
    billing_interval: Interval | None = Field(None, description=f"{INTERVAL} Absent: as now.", examples=["MONTHLY"])
    workspace_id: UUID | None = Field(None, description=WORKSPACE)
    quote_id: Annotated[str, Field(min_length=1, max_length=QUOTE_LENGTH)] | None = Field(
        None, description="A quote from `…/preview`: exactly that is done, or nothing.", examples=[NULL]
    )


class SubscriptionPreview(ApiRequest):
    """The plan and interval that a change is thought of to."""

    plan: Plan = Field(description="The plan to change to, or the same one.", examples=["TEAM_PREMIUM"])
    billing_interval: Interval | None = Field(None, description=f"{INTERVAL} Absent: as now.", examples=["MONTHLY"])
    workspace_id: UUID | None = Field(None, description=WORKSPACE)


class SubscriptionCancel(ApiRequest):
    """When it is to end."""

    at_period_end: bool = Field(
        True, description="With the period that is paid for; false: now, and nothing is refunded.", examples=[True]
    )
    workspace_id: UUID | None = Field(None, description=WORKSPACE)


class SubscriptionResume(ApiRequest):
    """Whose it is."""

    workspace_id: UUID | None = Field(None, description=WORKSPACE)


class SubscriptionOutcome(ApiModel):
    """The subscription as it stands now, and what is left to do in the browser."""

    subscription: SubscriptionRead = Field(description="As it stands now.")
    client_secret: str | None = Field(
        description="For Stripe's library, to pay or to confirm the card; null: there is nothing to do.",
        examples=[NULL],
    )


class QuoteLine(ApiModel):
    """A line of the invoice that the change would bring."""

    description: str | None = Field(description="What it is for.", examples=["Remaining time on Team Premium"])
    amount: int = Field(description="Minor units; negative for what is credited.", examples=[10000])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    period_start: Timestamp = Field(description="What time it is for.")
    period_end: Timestamp = Field(description="Until when.")
    is_proration: bool = Field(description="Whether it is for a part of a period.", examples=[True])


class QuoteCredits(ApiModel):
    """What happens to the plan's AI credits. Bought credits are never touched."""

    granted_now: int = Field(description="How many come when the invoice is paid.", examples=[250])
    replaces_period: bool = Field(
        description="Whether a new period begins, whose credits take the place of what is left of the plan's.",
        examples=[False],
    )
    per_month: int = Field(description="How many the plan brings each month from then on.", examples=[1000])
    per_month_before: int = Field(description="How many it brings each month now.", examples=[500])


class Quote(ApiModel):
    """Exactly what a change costs and brings. Nothing has been changed yet."""

    id: str = Field(description="For `quoteId` of the change.", examples=["BHRlc3Q…"])
    kind: ChangeKind = Field(description="UPGRADE: now. DOWNGRADE: at the end of the period.", examples=["UPGRADE"])
    plan: Plan = Field(description="The plan it would be.", examples=["TEAM_PREMIUM"])
    billing_interval: BillingInterval = Field(description="How often it would be billed.", examples=["MONTHLY"])
    current_plan: Plan = Field(description="The plan it is.", examples=["TEAM_STANDARD"])
    current_billing_interval: BillingInterval = Field(description="How often it is billed.", examples=["MONTHLY"])
    current_price_id: str = Field(description="The price now, at Stripe.", examples=["price_1"])
    price_id: str = Field(description="The price it would be, at Stripe.", examples=["price_2"])
    effective_at: Timestamp = Field(description="When the plan would be another.")
    proration_date: Timestamp | None = Field(
        description="The moment from which the difference is counted; null where none is paid."
    )
    subtotal: int = Field(description="Minor units, before discounts and tax.", examples=[5000])
    discount: int = Field(description="What is taken off.", examples=[0])
    tax: int = Field(description="What is added.", examples=[0])
    total: int = Field(description="What the invoice comes to; negative: it becomes the customer's balance.")
    amount_due: int = Field(description="What is charged now, exactly.", examples=[5000])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    lines: list[QuoteLine] = Field(description="The lines of the invoice; none where nothing is paid now.")
    price: int = Field(description="What an interval costs from then on, before discounts and tax.", examples=[19999])
    credits: QuoteCredits = Field(description="What happens to AI credits.")
    expires_at: Timestamp = Field(description="How long the quote holds.")


class QuoteAnswer(ApiModel):
    quote: Quote = Field(description="What the change would cost and bring.")
