"""Shapes of invoices, and of what an account had in past periods."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.billing.enums import BillingInterval, InvoiceStatus
from pm_api.entitlements.enums import Metric, Plan


class InvoiceRead(ApiModel):
    """One invoice. Amounts are minor units; `amount` is the total, tax included and discount taken off."""

    id: UUID = Field(description="Id.")
    user_id: UUID | None = Field(description="Whose it is; null for a workspace's.")
    workspace_id: UUID | None = Field(description="Whose it is; null for a user's.")
    subscription_id: UUID | None = Field(description="The subscription it is for; null for packs.")
    stripe_invoice_id: str | None = Field(
        description="Its id at Stripe; null for an automatic charge, of which Stripe makes no invoice.",
        examples=["in_1PqRsT2eZvKYlo2C"],
    )
    stripe_payment_intent_id: str | None = Field(
        description="The payment at Stripe; null while there is none.", examples=["pi_1PqRsT2eZvKYlo2C"]
    )
    number: str | None = Field(
        description="On the paper; null for a draft, and for an automatic charge.", examples=["A1B2C3D4-0001"]
    )
    status: InvoiceStatus = Field(description="How it stands.", examples=["PAID"])
    amount: int = Field(description="The total.", examples=[9999])
    subtotal: int = Field(description="Before tax and discount.", examples=[9999])
    tax: int = Field(description="Tax within the total.", examples=[0])
    discount: int = Field(description="Discount taken off.", examples=[0])
    amount_due: int = Field(description="What was, or is, to be paid.", examples=[9999])
    amount_paid: int = Field(description="What was paid.", examples=[9999])
    amount_refunded: int = Field(description="What of it went back.", examples=[0])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    description: str = Field(description="What it is for.", examples=["1 × Team Standard (at $99.99 / month)"])
    billing_reason: str = Field(
        description="Stripe's word for why there is one; `manual` for packs. Ours is `automatic_charge`: a pack that "
        "auto top-up bought.",
        examples=["subscription_cycle"],
    )
    attempts: int = Field(description="How often it was tried to collect it.", examples=[1])
    next_attempt_at: Timestamp | None = Field(description="When it is tried again, if it is.")
    period_start: Timestamp = Field(description="Where the time that Stripe counts for it begins.")
    period_end: Timestamp = Field(description="Where that time ends.")
    issued_at: Timestamp = Field(description="When it was made.")
    due_date: Timestamp | None = Field(description="Until when it is to be paid; null where a card is charged.")
    paid_at: Timestamp | None = Field(description="When it was paid.")
    hosted_url: str | None = Field(
        description="Where an open invoice can be paid or confirmed; null for all others.",
        examples=["https://invoice.stripe.com/i/acct_1/test_1"],
    )
    download_url: str | None = Field(
        description="Its file, of this service; null where there is none: of a draft, and of an automatic charge.",
        examples=["/api/billing/invoices/0198c0de-0000-7000-8000-000000000000/pdf"],
    )
    created_at: Timestamp = Field(description="When it came here.")
    updated_at: Timestamp = Field(description="When it changed last.")
    version: int = Field(description="Counts changes; the ETag.", examples=[2])


class InvoiceLineRead(ApiModel):
    """What an invoice asks money for."""

    description: str | None = Field(description="In words.", examples=["1 × Team Standard (at $99.99 / month)"])
    quantity: int | None = Field(description="How many.", examples=[1])
    amount: int = Field(description="Minor units before tax; negative for what is credited.", examples=[9999])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    price_id: str | None = Field(description="The price at Stripe.", examples=["price_1PqRsT2eZvKYlo2C"])
    plan: Plan | None = Field(description="The plan that this price sells.", examples=["TEAM_STANDARD"])
    is_proration: bool = Field(description="Whether it settles a change within a period.", examples=[False])
    period_start: Timestamp = Field(description="Where the time it is for begins.")
    period_end: Timestamp = Field(description="Where that time ends.")


class InvoiceWithLines(InvoiceRead):
    lines: list[InvoiceLineRead] = Field(description="In the order of the paper.")


class InvoiceAnswer(ApiModel):
    invoice: InvoiceWithLines = Field(description="The invoice, line by line.")


class InvoicesAnswer(ApiModel):
    invoices: list[InvoiceRead] = Field(description="The last issued first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class PeriodInvoice(ApiModel):
    """An invoice of a past period."""

    id: UUID = Field(description="Id.")
    number: str | None = Field(description="On the paper.", examples=["A1B2C3D4-0001"])
    status: InvoiceStatus = Field(description="How it stands.", examples=["PAID"])
    amount: int = Field(description="The total, minor units.", examples=[9999])
    amount_paid: int = Field(description="What was paid.", examples=[9999])
    amount_refunded: int = Field(description="What of it went back.", examples=[0])
    currency: str = Field(description="ISO 4217.", examples=["USD"])


class PeriodCredits(ApiModel):
    """AI credits of a past period, of whatever kind."""

    granted: int = Field(description="That came in, bought and carried over ones too.", examples=[500])
    used: int = Field(
        description="That were spent, less what was given back, counted in whole UTC days: the day on which a period "
        "begins is all its own.",
        examples=[412],
    )
    expired: int = Field(description="That ran out within it, or at its end.", examples=[88])


class PeriodPeak(ApiModel):
    """The most that was counted of a metric."""

    metric: Metric = Field(description="What is counted.", examples=["USERS"])
    peak: int = Field(description="The most of any day.", examples=[7])


class HistoryPeriod(ApiModel):
    """A period that is over: what the account had, paid and used."""

    plan: Plan = Field(description="The plan of the period.", examples=["TEAM_STANDARD"])
    billing_interval: BillingInterval = Field(description="How long a period is.", examples=["MONTHLY"])
    period_start: Timestamp = Field(description="Where it begins, included.")
    period_end: Timestamp = Field(description="Where it ends, not included.")
    amount: int = Field(
        description="Paid in it, packs included, less what was refunded since; a contract's price.", examples=[9999]
    )
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    invoices: list[PeriodInvoice] = Field(description="Issued in it, in order; at most 100.")
    credits: PeriodCredits = Field(description="AI credits.")
    peaks: list[PeriodPeak] = Field(description="Of each metric that was counted.")


class HistoryAnswer(ApiModel):
    history: list[HistoryPeriod] = Field(description="The last period first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")
