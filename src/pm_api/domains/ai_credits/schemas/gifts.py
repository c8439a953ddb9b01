"""Shapes of the gift routes."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.ai_credits.enums import GiftDirection, GiftKind, GiftStatus
from pm_api.domains.ai_credits.schemas import samples
from pm_api.domains.ai_credits.schemas.ledger import Amount, BalanceAfter, Key
from pm_api.identity.schemas.people import Email

MOST_CLAIMS = 10_000
MOST_CODES = 500

Message = Annotated[Text, Field(max_length=500, description="A word to whoever gets it.", examples=["Thank you!"])]


class CodeTerms(ApiRequest):
    """What a code is good for."""

    max_claims: Annotated[int, Field(strict=True, ge=1, le=MOST_CLAIMS)] = Field(
        1, description="How many people may claim it, each once."
    )
    expires_at: Timestamp | None = Field(
        None, description="Until when; 90 days from now when absent, at most 12 months."
    )


class GiftRequest(ApiRequest):
    """Exactly one of `recipientEmail`, `recipientUserId` and `code`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": {"maxClaims": 1}, "amount": 25, "message": "Thank you!", "idempotencyKey": samples.KEY},
                {"recipientEmail": "ben@example.com", "amount": 25, "idempotencyKey": "try-it-out-2"},
            ]
        }
    )

    recipient_email: Email | None = Field(None, description="To whom: a user's e-mail address.")
    recipient_user_id: UUID | None = Field(None, description="To whom: a user's id.")
    code: CodeTerms | None = Field(None, description="To whoever redeems the code that is made.")
    amount: Amount = Field(description="Credits for each who gets it.", examples=[25])
    message: Message = ""
    workspace_id: UUID | None = Field(None, description="The pool pays; absent: your own wallet pays.")
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.recipient_email, self.recipient_user_id, self.code)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("send exactly one of recipientEmail, recipientUserId and code")
        return self


class GiftCodesRequest(ApiRequest):
    """Many single-use codes at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"count": 2, "amount": 5, "message": "Thank you!", "idempotencyKey": samples.KEY}]
        }
    )

    count: Annotated[int, Field(strict=True, ge=1, le=MOST_CODES)] = Field(
        description="How many codes.", examples=[20]
    )
    amount: Amount = Field(description="Credits of each code.", examples=[25])
    expires_at: Timestamp | None = Field(
        None, description="Until when they are good; 90 days from now when absent, at most 12 months."
    )
    message: Message = ""
    workspace_id: UUID | None = Field(None, description="The pool pays; absent: your own wallet pays.")
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class GiftRead(ApiModel):
    """A gift, as one side of it sees it. What only the giver may know is null for who received it."""

    id: UUID = Field(description="The gift's id.")
    direction: GiftDirection = Field(description="Whether this account gave it or the caller received it.")
    kind: GiftKind = Field(description="To a user, one code, or many single-use codes.")
    status: GiftStatus = Field(description="Where it stands at this moment.")
    amount: int = Field(description="Credits for each who gets it.", examples=[25])
    account_id: UUID | None = Field(
        description="Whose credits were given, a user's or a workspace's; null for who received it."
    )
    max_claims: int | None = Field(description="How often it can be claimed in all.", examples=[1])
    claims: int | None = Field(description="How often it was.", examples=[0])
    returned: int | None = Field(description="Credits that came back to the giver.", examples=[0])
    message: str = Field(description="The giver's word.", examples=["Thank you!"])
    recipient_user_id: UUID | None = Field(description="To whom it went; null for codes.")
    from_user_id: UUID = Field(description="Who made the gift.")
    from_name: str = Field(description="The name of who made it.", examples=["Ann Archer"])
    expires_at: Timestamp | None = Field(description="Until when its codes are good; null for a gift to a user.")
    created_at: Timestamp = Field(description="When it was made.")
    claimed_at: Timestamp | None = Field(description="When the caller received it; null for one given.")
    version: int = Field(description="Counts changes.", examples=[1])


class GiftCodeRead(ApiModel):
    """One code of a gift. Its text was shown once, when it was made."""

    number: int = Field(description="Its place in the answer that showed the codes.", examples=[1])
    max_claims: int = Field(description="How often it can be claimed.", examples=[1])
    claims: int = Field(description="How often it was.", examples=[0])


class IssuedCode(ApiModel):
    number: int = Field(description="Its place.", examples=[1])
    code: str = Field(description="What to pass on. It is not stored.", examples=["7KQ2-M9XW-4TDR"])


class GiftSent(ApiModel):
    gift: GiftRead = Field(description="The gift that was made.")
    codes: list[IssuedCode] = Field(description="The codes of this gift, shown only here; empty for one to a user.")
    balance: BalanceAfter = Field(description="What the giving account has now.")


class GiftAnswer(ApiModel):
    gift: GiftRead = Field(description="The gift as it stands.")
    codes: list[GiftCodeRead] = Field(description="How its codes stand, by number.")


class GiftsAnswer(ApiModel):
    gifts: list[GiftRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class RedeemRequest(ApiRequest):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "7KQ2-M9XW-4TDR", "idempotencyKey": samples.KEY}]}
    )

    code: Text = Field(
        min_length=1,
        max_length=64,
        description="The code; case, blanks and hyphens do not count.",
        examples=["7KQ2-M9XW-4TDR"],
    )
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class GiftRedeemed(ApiModel):
    gift: GiftRead = Field(description="The gift, as its receiver sees it.")
    credits_expire_at: Timestamp = Field(description="When the credits received run out.")
    balance: BalanceAfter = Field(description="What the caller's wallet had right after.")
