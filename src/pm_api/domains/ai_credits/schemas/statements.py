"""Shapes of statements. Times in a statement are to the microsecond: its hashes are."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, Field

from pm_api.core.schema import ApiModel
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, LotKind
from pm_api.domains.ai_credits.schemas import samples


class StatementAccount(ApiModel):
    id: UUID = Field(description="The wallet's user or the pool's workspace.")
    kind: AccountKind = Field(description="USER for a wallet, WORKSPACE for a pool, LEAD for a visitor's credits.")


class StatementFigures(ApiModel):
    """Where the book stood."""

    seq: int = Field(description="Number of the last line before, or of the last one here.", examples=[12])
    balance: int = Field(description="Sum of all lines up to there.", examples=[97])
    debt: int = Field(description="What was owed.", examples=[0])
    hash: str = Field(description="Hash of that line, in hex; empty before the first one.")


class StatementActor(ApiModel):
    kind: str = Field(description="user, api_key, admin_key, lead or system.", examples=["user"])
    user_id: UUID | None = Field(description="Who, when a user or with a key of theirs.")
    api_key_id: UUID | None = Field(
        None,
        exclude_if=lambda key_id: key_id is None,
        description="The API key it was done with; left out without one.",
    )


class StatementAllocation(ApiModel):
    lot_id: UUID = Field(description="The lot.")
    amount: int = Field(description="What was put into it, or (negative) taken out of it.", examples=[-3])


class StatementLot(ApiModel):
    """What never changes in the lot a line made."""

    kind: LotKind = Field(description="Where its credits came from.")
    amount: int = Field(description="How many there were.", examples=[100])
    service: str | None = Field(description="The only service they may pay for; null for any.")
    effective_at: datetime = Field(description="From when they may be spent.")
    expires_at: datetime | None = Field(description="When they run out; null for never.")
    cost_minor: int | None = Field(description="What was paid for them, in minor units.", examples=[199])
    cost_currency: str | None = Field(description="ISO 4217.", examples=["USD"])
    source_type: str = Field(description="What they came by.", examples=["stripe_checkout"])
    source_ref: str = Field(description="Which one of those.")


class StatementLine(ApiModel):
    """A line with everything that its hash covers."""

    model_config = ConfigDict(json_schema_extra={"examples": [samples.STATED]})

    seq: int = Field(description="Place in the account's book, without gaps.", examples=[13])
    id: UUID = Field(description="Id of the entry.")
    type: EntryType = Field(description="What kind of movement it is.")
    amount: int = Field(description="Signed credits: negative spends.", examples=[-3])
    balance_after: int = Field(description="Sum of all lines up to here.", examples=[94])
    debt_after: int = Field(description="What was owed after it.", examples=[0])
    actor: StatementActor = Field(description="Who did it.")
    request_id: str = Field(description="The request it was done in.")
    service: str | None = Field(description="The service it paid for.")
    quantity: int | None = Field(description="How many units of the service.")
    price_version: int | None = Field(description="Version of the price rule used.")
    description: str = Field(description="Text for people.")
    metadata: dict[str, Any] = Field(description="What the caller attached.")
    command_key: str = Field(description="The key it was applied once under.")
    reverses_seq: int | None = Field(description="The line it undoes.")
    hold_id: UUID | None = Field(description="The hold it was captured from.")
    created_at: datetime = Field(description="When it was written.")
    allocations: list[StatementAllocation] = Field(description="How it moved each lot, by the lot's id.")
    lot: StatementLot | None = Field(description="The lot it made, when it brought credits.")
    hash: str = Field(description="SHA-256 over the line and the hash before it, in hex.")


class StatementTotal(ApiModel):
    lines: int = Field(description="How many lines of this type.", examples=[4])
    amount: int = Field(description="What they add up to.", examples=[-12])


class Statement(ApiModel):
    """A part of a month of one account's book."""

    format: str = Field(description="Name and version of this form.", examples=["pm_api credit statement 1"])
    issuer: str = Field(description="Address of the installation.")
    account: StatementAccount = Field(description="Whose book it is.")
    month: str = Field(description="The UTC calendar month.", examples=["2026-11"])
    from_: datetime = Field(alias="from", description="Its beginning, included.")
    to: datetime = Field(description="Its end, not included.")
    part: int = Field(description="Which part this is, from 1.", examples=[1])
    parts: int = Field(description="How many parts the month has; one holds up to 10,000 lines.", examples=[1])
    final: bool = Field(description="False while the month is not over: lines may still come.")
    as_of: datetime = Field(description="The moment it speaks of: the month's end when it is final.")
    opening: StatementFigures = Field(description="Before the first line of this part.")
    lines: list[StatementLine] = Field(description="In the book's order.")
    closing: StatementFigures = Field(description="After the last line of this part.")
    totals: dict[str, StatementTotal] = Field(description="By type of line.")


class StatementSignature(ApiModel):
    alg: str = Field(description="Ed25519 (RFC 8032).", examples=["EdDSA"])
    kid: str = Field(description="The key, as in `/.well-known/jwks.json`.", examples=["credit-statement:2026-01"])
    value: str = Field(
        description="Signature over `statement` as canonical JSON (keys sorted, no spaces), base64url."
    )


class StatementAnswer(ApiModel):
    """Keep the file exactly as it comes: `pm-api credits check-statement` proves it without any network."""

    statement: Statement = Field(description="What is signed.")
    signature: StatementSignature = Field(description="By whom, and the signature itself.")
