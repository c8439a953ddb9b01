"""Shapes of the hold routes."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import ConfigDict, Field

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.ai_credits.enums import HoldStatus, Service
from pm_api.domains.ai_credits.schemas import samples
from pm_api.domains.ai_credits.schemas.ledger import (
    Amount,
    BalanceAfter,
    CreditEntryRead,
    Key,
    Metadata,
    WorkRequest,
)

DEFAULT_TTL_S: Final = 900
MAX_TTL_S: Final = 86_400

TtlSeconds = Annotated[int, Field(strict=True, ge=1, le=MAX_TTL_S)]


class HoldRequest(WorkRequest):
    """Exactly one of `amount` and `service`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "service": "TASK_GENERATION",
                    "quantity": 1,
                    "description": "Report of the week",
                    "ttlSeconds": DEFAULT_TTL_S,
                    "idempotencyKey": samples.KEY,
                }
            ]
        }
    )

    ttl_seconds: TtlSeconds = Field(
        DEFAULT_TTL_S, description="For how long; what is not captured by then goes back by itself."
    )
    workspace_id: UUID | None = Field(None, description="The pool's credits; absent: your own wallet's.")
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class CaptureRequest(ApiRequest):
    """Without `amount`, all that is left of the hold."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": 2, "final": True, "idempotencyKey": samples.KEY}]}
    )

    amount: Amount | None = Field(None, description="Credits to spend out of the hold.", examples=[2])
    final: bool = Field(
        False, description="Give the rest back. Without it the hold stays open until it is used up.", strict=True
    )
    description: Text | None = Field(None, max_length=500, description="Text for people; the hold's when absent.")
    metadata: Metadata | None = Field(None, description="Up to 8 KiB of JSON; the hold's when absent.")
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class ReleaseRequest(ApiRequest):
    """Nothing but the key, for callers who cannot set headers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"idempotencyKey": samples.KEY}]})

    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class ExtendRequest(ApiRequest):
    """A hold never gets shorter by this."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ttlSeconds": DEFAULT_TTL_S, "idempotencyKey": samples.KEY}]}
    )

    ttl_seconds: TtlSeconds = Field(
        description="Let it live for so long from now. It never gets shorter: a time that ends before `expiresAt` "
        "changes nothing.",
        examples=[900],
    )
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class HoldRead(ApiModel):
    """Credits set aside for work under way."""

    id: UUID = Field(description="Id of the hold.")
    status: HoldStatus = Field(description="OPEN until it is captured, released or has expired.")
    amount: int = Field(description="Credits set aside at first.", examples=[5])
    captured: int = Field(description="How many of them were spent.", examples=[2])
    left: int = Field(description="How many are still set aside; 0 when it is not open.", examples=[3])
    service: Service | None = Field(description="The service it is for.")
    description: str = Field(description="Text for people.", examples=["Report of the week"])
    expires_at: Timestamp = Field(description="When what is left goes back by itself.")
    created_at: Timestamp = Field(description="When it was placed.")
    version: int = Field(
        description="Grows with every change, by more than one; also when its time has passed.", examples=[900_002]
    )


class HoldDetails(HoldRead):
    """A hold as it is now, with what its caller attached."""

    account_id: UUID = Field(description="The wallet's user or the pool's workspace.")
    quantity: int | None = Field(description="How many units of the service.")
    price_version: int | None = Field(description="Version of the price rule used.")
    metadata: dict[str, Any] = Field(description="What the caller attached.")
    actor_user_id: UUID | None = Field(description="Who placed it; null for the system.")


class HoldAnswer(ApiModel):
    hold: HoldRead = Field(description="The hold as this left it.")
    balance: BalanceAfter = Field(description="The figures right after it.")


class CaptureAnswer(ApiModel):
    hold: HoldRead = Field(description="The hold as this left it.")
    entry: CreditEntryRead = Field(description="The line that was written.")
    balance: BalanceAfter = Field(description="The figures right after it.")


class HoldDetailsAnswer(ApiModel):
    hold: HoldDetails = Field(description="The hold as it is now.")


class HoldList(ApiModel):
    holds: list[HoldDetails] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")
