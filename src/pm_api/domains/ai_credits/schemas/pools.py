"""Shapes of pools: settings, caps, usage of members, requests for more."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.ai_credits.book import MAX_AMOUNT
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow
from pm_api.domains.ai_credits.schemas.ledger import Amount

Switch = Annotated[bool, Field(strict=True)]


class PoolRequestKind(StrEnum):
    CAP = "CAP"
    CREDITS = "CREDITS"


class PoolRequestStatus(StrEnum):
    OPEN = "OPEN"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


class CapRead(ApiModel):
    """At most `amount` credits in each window, and `limit` in the present one."""

    subject: str = Field(
        description="`member:<user id>`, `role:<ROLE>` (each person of it without a cap of their own) or "
        "`service:<SERVICE>` (all together).",
        examples=["role:MEMBER"],
    )
    window: CapWindow = Field(
        description="DAY: the UTC day. PERIOD: the plan's period, without a plan the UTC month."
    )
    amount: int = Field(
        description="The lasting cap in credits: what a form that edits it shows and sends back. For a member whom "
        "only their role limits but for `grantedOnTop`, the role's.",
        examples=[50],
    )
    granted_on_top: int = Field(description="Granted above `amount` until `resetsAt` only.", examples=[10])
    limit: int = Field(description="What binds now: amount + grantedOnTop.", examples=[60])
    used: int | None = Field(
        description="Used in the present window, open holds included. For your own role what you used; null for "
        "another role: it is held against each person.",
        examples=[12],
    )
    left: int | None = Field(description="What is left of `limit`; null as `used`.", examples=[48])
    resets_at: Timestamp = Field(description="When the window ends.")
    version: int = Field(description="For If-Match.", examples=[1])


class PoolRead(ApiModel):
    """Settings of an account, what it has, and its caps."""

    account_id: UUID = Field(description="The pool's workspace, or the wallet's user.")
    account_kind: AccountKind = Field(description="WORKSPACE for a pool, USER for a wallet.")
    leaderboard_enabled: bool = Field(description="Whether the workspace shows leaderboards.", examples=[True])
    use_expiring: bool = Field(
        description="Scheduled AI work that is due within 7 days may run before credits expire.", examples=[False]
    )
    available: int = Field(description="Credits that may be spent now.", examples=[480])
    held: int = Field(description="Credits set aside for work under way.", examples=[0])
    caps: list[CapRead] = Field(
        description="By subject and window; without credits.manage those that concern you. None for a wallet."
    )
    version: int = Field(description="Of the settings; 0 while they are the defaults.", examples=[1])


class PoolAnswer(ApiModel):
    pool: PoolRead = Field(description="The pool's settings, figures and caps.")


class PoolUpdate(ApiRequest):
    """Only what is sent changes."""

    leaderboard_enabled: Switch = Field(True, description="Show leaderboards to the workspace's members.")
    use_expiring: Switch = Field(False, description="Let scheduled AI work run before credits expire.")


class CapWrite(ApiRequest):
    amount: Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT)] = Field(
        description="Most credits in each window; 0 blocks.", examples=[50]
    )
    window: CapWindow = Field(description="How long a window is.", examples=["DAY"])


class CapAnswer(ApiModel):
    cap: CapRead = Field(description="The cap as it is now.")


class MemberUsage(ApiModel):
    """What one person used of the pool."""

    user_id: UUID | None = Field(description="Who; null for what the system did.")
    name: str | None = Field(description="Their name.", examples=["Ann Archer"])
    email: str | None = Field(description="Their address.", examples=["ann@example.com"])
    credits: int = Field(description="Credits spent.", examples=[40])
    refunded: int = Field(description="Credits of these spends that were given back.", examples=[5])
    net: int = Field(description="credits - refunded", examples=[35])
    by_service: dict[str, int] = Field(
        description="`net` by service; `OTHER` for spends without one.", examples=[{"CHAT_ASSISTANT": 35}]
    )


class PoolUsage(ApiModel):
    """Usage per member on whole UTC days."""

    members: list[MemberUsage] = Field(description="Who used the pool, by user id.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class PoolRequestRead(ApiModel):
    """What a member asked for, and what became of it."""

    id: UUID = Field(description="Id of the request.")
    workspace_id: UUID = Field(description="Whose pool.")
    user_id: UUID = Field(description="Who asks.")
    kind: PoolRequestKind = Field(description="CAP: more room under a cap. CREDITS: that the pool gets more credits.")
    window: CapWindow | None = Field(description="Which cap; null for CREDITS.")
    amount: int = Field(description="How many credits more are asked for.", examples=[50])
    reason: str = Field(description="Why.", examples=["The launch is on Friday"])
    status: PoolRequestStatus = Field(description="OPEN until it is decided, once.")
    approved_amount: int | None = Field(
        description="By how much the cap was raised, or how many credits an admin agreed to; null unless approved."
    )
    lasting: bool = Field(description="Whether the cap was raised for good.")
    raised_until: Timestamp | None = Field(description="Until when the cap is raised, unless it is for good.")
    decided_by_user_id: UUID | None = Field(description="Who decided.")
    decided_at: Timestamp | None = Field(description="When.")
    note: str | None = Field(description="What the admin said to it.")
    created_at: Timestamp = Field(description="When it was asked.")
    version: int = Field(description="Grows with every change.", examples=[1])


class PoolRequestAnswer(ApiModel):
    request: PoolRequestRead = Field(description="The request as it is now.")


class PoolRequests(ApiModel):
    requests: list[PoolRequestRead] = Field(description="Newest first; without credits.manage your own alone.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class PoolRequestCreate(ApiRequest):
    """`window` goes with CAP, and only with it."""

    workspace_id: UUID = Field(description="Whose pool.")
    kind: PoolRequestKind = Field(description="CAP: more room under your cap. CREDITS: more credits in the pool.")
    window: CapWindow | None = Field(None, description="Which of your caps.", examples=["DAY"])
    amount: Amount = Field(description="How many credits more.", examples=[50])
    reason: Text = Field(min_length=1, max_length=500, description="Why; the admins read it.")

    @model_validator(mode="after")
    def _window_of_a_cap(self) -> Self:
        if (self.kind is PoolRequestKind.CAP) != (self.window is not None):
            raise ValueError("send window with kind CAP, and only with it")
        return self


class PoolRequestApproval(ApiRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": 50, "note": "For the launch"}]})

    amount: Amount | None = Field(None, description="How many credits more; what was asked for when absent.")
    lasting: Switch = Field(
        False,
        description="Raise the cap for good, not in the present window alone. Refused for kind CREDITS: there is no "
        "cap to raise.",
    )
    note: Text | None = Field(None, max_length=500, description="What the member is told.")


class PoolRequestRefusal(ApiRequest):
    note: Text | None = Field(None, max_length=500, description="What the member is told.")
