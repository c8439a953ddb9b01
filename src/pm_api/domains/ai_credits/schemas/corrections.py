"""Shapes of an operator's corrections and of refund requests."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.ai_credits.book import MAX_AMOUNT
from pm_api.domains.ai_credits.enums import RefundCategory, RefundStatus
from pm_api.domains.ai_credits.schemas import samples
from pm_api.domains.ai_credits.schemas.ledger import Amount, EntryAnswer, Key

Reason = Annotated[Text, Field(min_length=1, max_length=500)]
SignedAmount = Annotated[int, Field(strict=True, ge=-MAX_AMOUNT, le=MAX_AMOUNT)]


class RefundCreditsRequest(ApiRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entryId": samples.ENTRY_ID,
                    "reason": "The task list came out empty",
                    "idempotencyKey": samples.KEY,
                }
            ]
        }
    )

    entry_id: UUID = Field(description="The spend to give back.")
    amount: Amount | None = Field(None, description="Credits; all that is left of it when absent.", examples=[3])
    reason: Reason | None = Field(
        None,
        description="Why; shown to the account's owner. `Refund` when absent.",
        examples=["The task list came out empty"],
    )
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class AdjustCreditsRequest(ApiRequest):
    """Exactly one of `userId` and `workspaceId`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "userId": samples.ACCOUNT_ID,
                    "amount": 100,
                    "reason": "Welcome back",
                    "idempotencyKey": samples.KEY,
                },
                {
                    "userId": samples.ACCOUNT_ID,
                    "amount": -5,
                    "reason": "Granted twice by mistake",
                    "idempotencyKey": "try-it-out-2",
                },
            ]
        }
    )

    user_id: UUID | None = Field(None, description="Whose wallet.")
    workspace_id: UUID | None = Field(None, description="Whose pool.")
    amount: SignedAmount = Field(
        description="Positive brings credits that never expire; negative takes them away, as they would be spent.",
        examples=[-5],
    )
    reason: Reason = Field(description="Why; shown to the account's owner.", examples=["Granted twice by mistake"])
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")

    @model_validator(mode="after")
    def _one_account_and_some_credits(self) -> Self:
        if (self.user_id is None) == (self.workspace_id is None):
            raise ValueError("send exactly one of userId and workspaceId")
        if self.amount == 0:
            raise ValueError("amount must not be 0")
        return self


class VoidGrantRequest(ApiRequest):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "Bought with a stolen card", "idempotencyKey": samples.KEY}]}
    )

    reason: Reason = Field(description="Why; shown to the account's owner.", examples=["Bought with a stolen card"])
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class RefundRequestCreate(ApiRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entryId": samples.ENTRY_ID,
                    "reason": "The answer broke off in the middle",
                    "category": "FAILED",
                }
            ]
        }
    )

    entry_id: UUID = Field(description="The spend whose credits should come back.")
    amount: Amount | None = Field(None, description="Credits; all that is left of it when absent.", examples=[3])
    reason: Reason = Field(description="What went wrong.", examples=["The answer broke off in the middle"])
    category: RefundCategory = Field(description="FAILED: no result; POOR_RESULT: not what it should be.")
    workspace_id: UUID | None = Field(None, description="The pool that paid; absent: your own wallet.")


class RefundRequestRead(ApiModel):
    """A refund somebody asked for."""

    id: UUID = Field(description="Id of the request.")
    account_id: UUID = Field(description="The wallet's user or the pool's workspace.")
    entry_id: UUID = Field(description="The spend.")
    entry_seq: int = Field(description="Its place in the account's book.", examples=[12])
    amount: int = Field(description="Credits asked for.", examples=[3])
    reason: str = Field(description="What went wrong.")
    category: RefundCategory = Field(description="What kind of trouble it was.")
    status: RefundStatus = Field(description="PENDING until an operator decides.")
    note: str | None = Field(description="What the operator says to it.")
    decided_at: Timestamp | None = Field(description="When it was decided.")
    refund_entry_id: UUID | None = Field(description="The entry that gave the credits back.")
    refunded_amount: int | None = Field(description="How many came back: maybe other than asked for.")
    requested_by: UUID = Field(description="Who asked.")
    version: int = Field(description="Grows with every change.", examples=[1])
    created_at: Timestamp = Field(description="When it was asked for.")


class RefundRequestDecided(RefundRequestRead):
    """The same for operators."""

    decided_by: UUID | None = Field(description="Who decided; null for the holder of the admin key.")


class RefundRequestAnswer(ApiModel):
    refund_request: RefundRequestRead = Field(description="The request as it stands.")


class RefundRequests(ApiModel):
    refund_requests: list[RefundRequestRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class RefundQueue(ApiModel):
    refund_requests: list[RefundRequestDecided] = Field(description="Oldest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class ApproveRefundRequest(ApiRequest):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"note": "Sorry about that"}, {"amount": 3, "note": "Sorry about that"}]}
    )

    amount: Amount | None = Field(None, description="Credits to give back; what was asked for when absent.")
    note: Reason | None = Field(None, description="What the person is told with it.")


class DeclineRefundRequest(ApiRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "The result was delivered and used"}]})

    note: Reason = Field(description="What the person is told.", examples=["The result was delivered and used"])


class ApprovedAnswer(EntryAnswer):
    """The decision, the entry that gave the credits back, and the account's balance after it."""

    refund_request: RefundRequestDecided = Field(description="The request, approved.")


class DeclinedAnswer(ApiModel):
    refund_request: RefundRequestDecided = Field(description="The request, declined.")
