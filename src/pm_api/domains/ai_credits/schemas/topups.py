"""Shapes of auto top-up."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.ai_credits.book import MAX_AMOUNT


class AutoTopUpState(ApiModel):
    """How it has gone so far; nobody sets this."""

    armed: bool = Field(
        description="Whether it may buy: enabled, with a payment method that can be charged, and not stopped by "
        "declined payments. While no payment method is known nothing is charged, and the settings are kept.",
        examples=[False],
    )
    failures: int = Field(description="Declined payments in a row.", examples=[0])
    last_failure_at: Timestamp | None = Field(description="When the last payment was declined.")
    next_attempt_at: Timestamp | None = Field(description="Not before then after a declined payment.")
    spent_this_month: int = Field(description="Minor units spent in this UTC month.", examples=[899])
    disarmed_reason: str | None = Field(
        description="Why it cannot buy: `NO_PAYMENT_METHOD` while none is known; `OWES_CREDITS` while the account "
        "owes credits, which the next credits pay off first, and it goes on by itself when none are owed; "
        "`card_declined` after repeated declines, `authentication_required` when the bank asked for the cardholder "
        "each time, `PAYMENT_DISPUTED` when a dispute about a payment was lost, and then only a new card starts it "
        "again.",
        examples=["NO_PAYMENT_METHOD"],
    )


class AutoTopUpRead(ApiModel):
    """Settings of one account's auto top-up; nulls while nobody has set any."""

    account_id: UUID = Field(description="The pool's workspace, or the wallet's user.")
    enabled: bool = Field(description="Whether it is wanted.", examples=[True])
    threshold: int | None = Field(description="Below so many available credits the pack is bought.", examples=[50])
    pack: str | None = Field(description="Name of the pack or bundle.", examples=["MEDIUM"])
    monthly_cap: int | None = Field(description="Most minor units in a UTC month.", examples=[5000])
    currency: str | None = Field(description="ISO 4217.", examples=["USD"])
    state: AutoTopUpState = Field(description="How it has gone so far.")
    version: int = Field(description="Of the settings; 0 while there are none.", examples=[1])


class AutoTopUpAnswer(ApiModel):
    auto_top_up: AutoTopUpRead = Field(description="The account's settings and where they stand.")


class AutoTopUpWrite(ApiRequest):
    """All settings at once."""

    enabled: Annotated[bool, Field(strict=True)] = Field(description="Whether it is wanted.", examples=[True])
    threshold: Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT)] = Field(
        description="Below so many available credits the pack is bought.", examples=[50]
    )
    pack: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="A pack on offer.",
        examples=["MEDIUM"],
    )
    monthly_cap: Annotated[int, Field(strict=True, ge=1, le=10**9)] = Field(
        description="Most minor units in a UTC month; at least the pack's price.", examples=[5000]
    )
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217; the pack's.", examples=["USD"])
