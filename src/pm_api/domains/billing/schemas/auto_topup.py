"""Shapes of automatic top-ups."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.billing.enums import TopUpStatus
from pm_api.entitlements.enums import AccountType


class TopUpRead(ApiModel):
    """One automatic purchase."""

    id: UUID = Field(description="Id.")
    account_type: AccountType = Field(description="Whose it is: a user's, or a workspace's.")
    account_id: UUID = Field(description="The user or the workspace.")
    status: TopUpStatus = Field(
        description="PENDING: on its way. ACTION_REQUIRED: the bank wants the cardholder to confirm it, by `actBy`. "
        "SUCCEEDED: paid, and the credits are there. FAILED: declined. CANCELED: nothing was taken."
    )
    pack: str = Field(description="What was bought.", examples=["MEDIUM"])
    amount: int = Field(description="Minor units.", examples=[899])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    failure_code: str | None = Field(description="Stripe's word for why not.", examples=["card_declined"])
    act_by: Timestamp | None = Field(description="Until when it can be confirmed; then it is called off.")
    stripe_payment_intent_id: str | None = Field(description="The payment at Stripe.", examples=["pi_1PqRsT2eZv"])
    stripe_payment_method_id: str = Field(description="What it is paid with.", examples=["pm_1PqRsT2eZv"])
    created_at: Timestamp = Field(description="When it was decided.")
    ended_at: Timestamp | None = Field(description="When it was paid, declined or called off.")
    version: int = Field(description="Counts changes; the ETag.", examples=[1])


class TopUpAnswer(ApiModel):
    top_up: TopUpRead = Field(description="The purchase.")


class TopUpsAnswer(ApiModel):
    top_ups: list[TopUpRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class Confirmation(ApiModel):
    """What the browser needs to let the cardholder confirm a payment."""

    client_secret: str = Field(
        description="For Stripe's library in the browser, and for nobody else.", examples=["pi_1PqRsT2eZv_secret_x"]
    )
    stripe_payment_method_id: str = Field(description="What to confirm it with.", examples=["pm_1PqRsT2eZv"])
    act_by: Timestamp | None = Field(description="Until when it can be confirmed.")


class ConfirmationAnswer(ApiModel):
    confirmation: Confirmation = Field(description="How to confirm the payment.")
