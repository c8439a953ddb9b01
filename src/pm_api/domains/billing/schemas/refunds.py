"""Shapes of refunds of money, and of disputes."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.billing.enums import DisputeStatus, PaymentRefundStatus
from pm_api.entitlements.enums import AccountType


class PaymentRefundReason(StrEnum):
    DUPLICATE = "DUPLICATE"
    FRAUDULENT = "FRAUDULENT"
    REQUESTED_BY_CUSTOMER = "REQUESTED_BY_CUSTOMER"


class PaymentRefundCreate(ApiRequest):
    """What to give back: of exactly one of an invoice, a checkout and an automatic top-up."""

    invoice_id: UUID | None = Field(None, description="The invoice that was paid.")
    checkout_session_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,255}$",
        description="The checkout that was paid: `sessionId` of its answer, or its id here.",
        examples=["cs_test_a1PqRsT2eZvKYlo2C"],
    )
    top_up_id: UUID | None = Field(None, description="The automatic top-up that was paid: `id` of its answer.")
    amount: Annotated[int, Field(strict=True, ge=1, le=10**12)] | None = Field(
        None, description="Minor units; absent: all that is left.", examples=[4999]
    )
    reason: PaymentRefundReason = Field(description="Why.", examples=["REQUESTED_BY_CUSTOMER"])

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(one is not None for one in (self.invoice_id, self.checkout_session_id, self.top_up_id)) != 1:
            raise ValueError("send exactly one of invoiceId, checkoutSessionId and topUpId")
        return self


class PaymentRefundRead(ApiModel):
    """Money that goes, or went, back."""

    id: UUID = Field(description="Id.")
    account_type: AccountType = Field(description="Who had paid: a user, or a workspace.", examples=["WORKSPACE"])
    account_id: UUID = Field(description="The user or the workspace.")
    invoice_id: UUID | None = Field(description="The invoice that had been paid, where there is one.")
    stripe_refund_id: str | None = Field(
        description="Its id at Stripe; null while Stripe has not confirmed it.", examples=["re_3PqRsT2eZvKYlo2C"]
    )
    amount: int = Field(description="Minor units.", examples=[4999])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    status: PaymentRefundStatus = Field(description="How it stands.", examples=["SUCCEEDED"])
    reason: str | None = Field(
        description="Why, as it was asked for; or Stripe's own word in capitals for one given there.",
        examples=["REQUESTED_BY_CUSTOMER"],
    )
    failure_reason: str | None = Field(description="Why the bank sent it back, if it did.")
    requested_by: str | None = Field(
        description="Who asked for it here; null for one given at Stripe.", examples=["admin_key"]
    )
    issued_at: Timestamp = Field(description="When it was asked for, or made at Stripe.")
    updated_at: Timestamp = Field(description="When it changed last.")
    version: int = Field(description="Counts changes.", examples=[1])


class PaymentRefundAnswer(ApiModel):
    refund: PaymentRefundRead = Field(description="The refund.")


class PaymentRefundsAnswer(ApiModel):
    refunds: list[PaymentRefundRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class DisputeRead(ApiModel):
    """A payment that the cardholder disputes at their bank. Only a lost one takes credits."""

    id: UUID = Field(description="Id.")
    account_type: AccountType = Field(description="Who had paid: a user, or a workspace.", examples=["USER"])
    account_id: UUID = Field(description="The user or the workspace.")
    stripe_dispute_id: str = Field(description="Its id at Stripe.", examples=["du_1PqRsT2eZvKYlo2C"])
    amount: int = Field(description="Minor units.", examples=[899])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    status: DisputeStatus = Field(description="How it stands.", examples=["OPEN"])
    provider_status: str = Field(description="Stripe's own word.", examples=["needs_response"])
    reason: str = Field(description="What the cardholder says.", examples=["fraudulent"])
    issued_at: Timestamp = Field(description="When it was begun.")
    updated_at: Timestamp = Field(description="When it changed last.")
    version: int = Field(description="Counts changes.", examples=[1])


class DisputesAnswer(ApiModel):
    disputes: list[DisputeRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")
