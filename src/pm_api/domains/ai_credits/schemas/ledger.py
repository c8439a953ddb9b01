"""Shapes of the credit routes. Credits are integers; `creditCost` is the one decimal (USD)."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp, storable_json
from pm_api.domains.ai_credits.book import (
    MAX_AMOUNT,
    canonical_json,
)
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, LotKind, PackKind, Service
from pm_api.domains.ai_credits.schemas import samples

MAX_METADATA_BYTES = 8192


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    storable_json(value)
    if len(canonical_json(value)) > MAX_METADATA_BYTES:
        raise ValueError(f"must not exceed {MAX_METADATA_BYTES} bytes as JSON")
    return value


Amount = Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT)]
Metadata = Annotated[dict[str, Any], AfterValidator(_bounded)]
Key = Annotated[str, Field(min_length=1, max_length=255)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=10_000)]


class CreditEntryRead(ApiModel):
    """One line of an account's book."""

    model_config = ConfigDict(json_schema_extra={"examples": [samples.SPEND]})

    id: UUID = Field(description="Id of the entry.")
    account_id: UUID = Field(description="The wallet's user or the pool's workspace.")
    seq: int = Field(description="Place in the account's book, without gaps.", examples=[12])
    type: EntryType = Field(description="What kind of movement it is.")
    amount: int = Field(description="Signed credits: negative spends.", examples=[-3])
    balance_after: int = Field(
        description="The book's balance after this line, held credits included.", examples=[97]
    )
    service: Service | None = Field(description="The service it paid for.")
    quantity: int | None = Field(
        description="How many units of the service it paid for; null for a part of a hold that is no whole units."
    )
    price_version: int | None = Field(description="Version of the price rule used.")
    description: str = Field(description="Text for people.", examples=["Task list for the launch"])
    metadata: dict[str, Any] = Field(description="What the caller attached.")
    actor_user_id: UUID | None = Field(description="Who did it; null for the system.")
    hold_id: UUID | None = Field(description="The hold it was captured from.")
    reverses_seq: int | None = Field(description="The `seq` of the line it gives back, wholly or in part.")
    debt_after: int = Field(description="What the account owed after this line.", examples=[0])
    created_at: Timestamp = Field(description="When it was written.")


class BalanceAfter(ApiModel):
    """The figures right after a command; its retries get the same."""

    current: int = Field(description="Available credits, without held ones.", examples=[97])
    held: int = Field(description="Credits set aside for work under way.", examples=[0])
    debt: int = Field(description="Credits the next grant pays off first.", examples=[0])


class EntryAnswer(ApiModel):
    entry: CreditEntryRead = Field(description="The line that was written.")
    balance: BalanceAfter = Field(description="The figures right after it.")


class GrantAnswer(EntryAnswer):
    """The same, with what `POST /api/credits/grants/{grantId}/void` asks for."""

    model_config = ConfigDict(json_schema_extra={"examples": [samples.after(samples.GRANTED, lots=[samples.LOT_ID])]})

    lots: list[UUID] = Field(description="Ids of the lots it made; empty when it brought none.")


class WorkRequest(ApiRequest):
    """What is paid for: exactly one of `amount` and `service`."""

    amount: Amount | None = Field(None, description="Credits to take.", examples=[3])
    service: Service | None = Field(None, description="Take what this service costs.")
    quantity: Quantity | None = Field(None, description="How many units of the service; 1 when absent.")
    description: Text = Field("", max_length=500, description="Text for people.")
    metadata: Metadata = Field(default_factory=dict, description="Up to 8 KiB of JSON, given back as it is.")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.amount is None) == (self.service is None):
            raise ValueError("send exactly one of amount and service")
        if self.quantity is not None and self.service is None:
            raise ValueError("quantity goes with service")
        return self


class SpendRequest(WorkRequest):
    """Exactly one of `amount` and `service`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "service": "TASK_GENERATION",
                    "quantity": 1,
                    "description": "Task list for the launch",
                    "metadata": {"project": "launch"},
                    "idempotencyKey": samples.KEY,
                },
                {"amount": 3, "description": "Task list for the launch", "idempotencyKey": "try-it-out-2"},
            ]
        }
    )

    workspace_id: UUID | None = Field(None, description="The pool pays; absent: your own wallet pays.")
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")


class GrantRequest(ApiRequest):
    """Exactly one of `userId` and `workspaceId`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "userId": samples.ACCOUNT_ID,
                    "amount": 100,
                    "reason": "Welcome back",
                    "idempotencyKey": samples.KEY,
                }
            ]
        }
    )

    user_id: UUID | None = Field(None, description="Whose wallet.")
    workspace_id: UUID | None = Field(None, description="Whose pool.")
    amount: Amount = Field(description="Credits to bring.", examples=[100])
    reason: Text = Field(min_length=1, max_length=500, description="Why; shown to the account's owner.")
    expires_at: Timestamp | None = Field(None, description="When they run out; never when absent.")
    idempotency_key: Key | None = Field(None, description="Instead of the Idempotency-Key header.")

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if (self.user_id is None) == (self.workspace_id is None):
            raise ValueError("send exactly one of userId and workspaceId")
        return self


class LotRead(ApiModel):
    """Credits of one origin: amount = remaining + spent + expired + voided + transferredOut, always."""

    model_config = ConfigDict(json_schema_extra={"examples": [samples.LOT]})

    id: UUID = Field(description="Id of the lot.")
    kind: LotKind = Field(description="Where they came from.")
    amount: int = Field(description="How many there were.", examples=[100])
    remaining: int = Field(description="How many are left, held ones included.", examples=[97])
    held: int = Field(description="How many of those are held.", examples=[0])
    spent: int = Field(description="Used, refunds taken off.", examples=[3])
    expired: int = Field(description="Ran out unused.", examples=[0])
    voided: int = Field(description="Taken back, or paid off a debt.", examples=[0])
    transferred_out: int = Field(description="Given to others.", examples=[0])
    service: Service | None = Field(description="The only service they may pay for; null for any.")
    effective_at: Timestamp = Field(description="From when they may be spent.")
    expires_at: Timestamp | None = Field(description="When they run out; null for never.")


class ExpiringSoon(ApiModel):
    """What runs out within seven days."""

    amount: int = Field(description="Credits.", examples=[10])
    at: Timestamp | None = Field(description="When the first of them run out.")


class Identity(ApiModel):
    """granted = available + scheduled + held + spent + expired + voided + transferredOut, always."""

    model_config = ConfigDict(json_schema_extra={"examples": [samples.IDENTITY]})

    granted: int = Field(description="All credits this account ever got.")
    available: int = Field(description="May be spent now.")
    scheduled: int = Field(description="May be spent from a later moment on.")
    held: int = Field(description="Set aside for work under way.")
    spent: int = Field(description="Used.")
    expired: int = Field(description="Ran out unused.")
    voided: int = Field(description="Taken back, or paid off a debt.")
    transferred_out: int = Field(description="Given to others.")


class Balance(ApiModel):
    """What an account has, lot by lot."""

    model_config = ConfigDict(json_schema_extra={"examples": [samples.BALANCE]})

    account_id: UUID = Field(description="The wallet's user or the pool's workspace.")
    account_kind: AccountKind = Field(
        description="USER for a wallet, WORKSPACE for a pool, LEAD for a visitor's credits."
    )
    current: int = Field(description="Available credits, without held ones.", examples=[97])
    limit: int = Field(
        description="This period's grant plus the original amounts of other lots that still have credits."
    )
    reset_date: Timestamp | None = Field(description="When the plan's credits are renewed; null when none come.")
    held: int = Field(description="Credits set aside for work under way.")
    debt: int = Field(description="Credits the next grant pays off first.")
    seq: int = Field(
        description="Number of the book's last line. Holds and expiry change a balance without one: compare the ETag."
    )
    expiring_soon: ExpiringSoon = Field(description="How much of it runs out within seven days.")
    lots: list[LotRead] = Field(description="Lots that have credits, in the order they are spent.")
    identity: Identity = Field(description="Where every credit ever granted is now.")


class BalanceAnswer(ApiModel):
    balance: Balance = Field(description="What the account has now.")


class CreditBalanceSummary(ApiModel):
    """The balance in three figures."""

    current: int = Field(description="Available credits, without held ones.", examples=[97])
    limit: int = Field(description="What `current` is measured against.", examples=[110])
    reset_date: Timestamp | None = Field(description="When the plan's credits are renewed; null when none come.")


class CreditUsage(ApiModel):
    """What was spent this month."""

    this_month: int = Field(description="Credits spent in this UTC calendar month.", examples=[3])
    breakdown: dict[str, int] = Field(
        description="The same by service; `OTHER` for spends without one.", examples=[{"TASK_GENERATION": 3}]
    )


class PackSize(ApiModel):
    credits: int = Field(description="Credits bought.", examples=[500])
    price: int = Field(description="Price in minor units.", examples=[899])
    bonus: int = Field(description="Credits added for free.", examples=[50])


class CreditPricing(ApiModel):
    """What credits cost."""

    credit_cost: float = Field(description="Reference price of one credit, in USD.", examples=[0.02])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    pack_sizes: dict[str, PackSize] = Field(description="Packs on offer by name.")


class CreditOverview(ApiModel):
    """Everything the credits page shows."""

    balance: CreditBalanceSummary = Field(description="What there is, in three figures.")
    usage: CreditUsage = Field(description="What of it was spent this month.")
    pricing: CreditPricing = Field(description="What more of them cost.")
    lots: list[LotRead] = Field(description="Lots that have credits, in the order they are spent.")
    held: int = Field(description="Credits set aside for work under way.")
    debt: int = Field(description="Credits the next grant pays off first.")
    expiring_soon: ExpiringSoon = Field(description="How much of it runs out within seven days.")
    identity: Identity = Field(description="Where every credit ever granted is now.")


class History(ApiModel):
    entries: list[CreditEntryRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="For the next page; null at the end.")


class Verification(ApiModel):
    """The proof of one account's book from its raw lines."""

    ok: bool = Field(description="Whether everything adds up.")
    account_id: UUID = Field(description="The account.")
    entries: int = Field(description="Lines read.", examples=[12])
    balance: int = Field(description="Sum of all lines.", examples=[97])
    head_hash: str = Field(description="Hash of the last line, in hex: the whole book in one number.")
    identity: Identity = Field(description="Recomputed from the lines.")
    problems: list[str] = Field(description="What does not add up; empty when ok.")


class VerificationAnswer(ApiModel):
    verification: Verification = Field(description="The proof, and what it found.")


class PackLot(ApiModel):
    """A part of a bundle, which becomes a lot of its own."""

    credits: int = Field(description="Credits bought.", examples=[200])
    service: Service | None = Field(description="The only service they may pay for; null for any.")


class Pack(ApiModel):
    """A pack or a bundle on offer."""

    name: str = Field(description="Its name.", examples=["MEDIUM"])
    kind: PackKind = Field(description="BUNDLE when it consists of several lots.")
    version: int = Field(description="Version of the offer.", examples=[1])
    credits: int = Field(description="Credits bought, all lots together.", examples=[500])
    bonus: int = Field(description="Credits added for free.", examples=[50])
    price: int = Field(description="Price in minor units.", examples=[899])
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    valid_until: Timestamp | None = Field(description="End of the offer; null for none.")
    lots: list[PackLot] = Field(description="The lots of a bundle; empty for a pack.")


class Packs(ApiModel):
    packs: list[Pack] = Field(description="Smallest first.")
