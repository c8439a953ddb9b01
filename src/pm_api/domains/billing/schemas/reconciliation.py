"""Shapes of comparisons with Stripe."""

from typing import Any
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp


class ReconciliationRequest(ApiRequest):
    """Compare what was made in a window of time, both ways."""

    since: Timestamp | None = Field(None, description="From here on; absent: 30 days before the end.")
    until: Timestamp | None = Field(None, description="Up to here, not included; absent: now.")


class ReconciliationRunRead(ApiModel):
    """One comparison with Stripe."""

    id: UUID = Field(description="Its id.")
    status: str = Field(description="RUNNING, DONE or FAILED.", examples=["DONE"])
    reason: str = Field(description="Who or what began it.", examples=["daily"])
    since: Timestamp = Field(description="Beginning of the window.")
    until: Timestamp = Field(description="End of the window, not included.")
    part: str = Field(description="What is, or was last, compared.", examples=["plan credits"])
    compared: dict[str, int] = Field(
        description="How many of each were looked at.", examples=[{"subscriptions": 12, "invoices": 40}]
    )
    healed: int = Field(description="On so many we did not agree, and now do.", examples=[1])
    reported: int = Field(description="On so many we do not agree: a person must look.", examples=[0])
    problem: str | None = Field(description="Why it failed.", examples=[None])
    started_at: Timestamp = Field(description="When it began.")
    finished_at: Timestamp | None = Field(description="When it ended.")
    says: str = Field(
        description="The same in one sentence.",
        examples=["52 things were compared: 1 was brought in line, 0 need a person."],
    )


class ReconciliationFindingRead(ApiModel):
    """One thing on which we and Stripe did not agree."""

    id: UUID = Field(description="Its id.")
    kind: str = Field(
        description="checkouts, paid_without_credits, credits_without_payment, subscriptions, plan_credits, invoices,"
        " refunds, disputes, paid_without_effect, second_subscription or subscription_of_deleted_account.",
        examples=["paid_without_credits"],
    )
    object_id: str = Field(description="Stripe's id of it.", examples=["cs_1"])
    account_id: UUID | None = Field(description="Whose it is, if that is known.")
    action: str = Field(description="HEALED, or REPORTED for a person to look at.", examples=["HEALED"])
    ours: dict[str, Any] = Field(description="What we had, where it differs.", examples=[{"credits": "none"}])
    stripe: dict[str, Any] = Field(description="What Stripe had.", examples=[{"credits": "granted"}])
    says: str = Field(
        description="Both sides and what was done, in one sentence.",
        examples=["Checkout cs_1: credits none here, granted at Stripe. It was brought in line with Stripe."],
    )
    found_at: Timestamp = Field(description="When it was found.")


class ReconciliationRuns(ApiModel):
    runs: list[ReconciliationRunRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class ReconciliationAnswer(ApiModel):
    run: ReconciliationRunRead = Field(description="The comparison.")


class ReconciliationReport(ApiModel):
    run: ReconciliationRunRead = Field(description="The comparison.")
    findings: list[ReconciliationFindingRead] = Field(description="In the order they were found.")
    next_cursor: str | None = Field(description="For the next page of findings; null at the end.")
