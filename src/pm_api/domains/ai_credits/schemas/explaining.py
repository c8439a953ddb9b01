"""Shapes of an explanation: one line of the book, and everything that made it what it is."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.ai_credits.enums import CapWindow, EntryType, HoldStatus, LotKind, Service
from pm_api.domains.ai_credits.schemas.ledger import CreditEntryRead


class ExplainedActor(ApiModel):
    """Who did it. People who do not belong to the account (operators, former members) go without a name."""

    kind: str = Field(description="user, api_key, admin_key, lead or system.", examples=["user"])
    user_id: UUID | None = Field(description="Who, when a user or with a key of theirs.")
    api_key_id: UUID | None = Field(None, description="The API key it was done with; null without one.")
    name: str = Field(description="For people.", examples=["Ann Archer"])


class ExplainedLot(ApiModel):
    """A lot the line moved."""

    place: int = Field(description="Its turn, from 1.", examples=[1])
    lot_id: UUID = Field(description="The lot.")
    kind: LotKind = Field(description="Where its credits came from.")
    service: Service | None = Field(description="The only service they may pay for; null for any.")
    effective_at: Timestamp = Field(description="From when they may be spent.")
    expires_at: Timestamp | None = Field(description="When they run out; null for never.")
    amount: int = Field(description="What the line put into it, or (negative) took out of it.", examples=[-5])
    left_after: int | None = Field(
        description="What it had then, held credits included; null when that is too many lines ago to count back."
    )
    because: str = Field(
        description="Why it stood there.", examples=["credits for one service only go before all others"]
    )


class ExplainedPrice(ApiModel):
    """The price rule that was in force."""

    service: Service = Field(description="What was paid for.")
    version: int = Field(description="Version of the rule.", examples=[1])
    unit_cost: int = Field(description="Credits for one.", examples=[2])
    quantity: int = Field(description="How many.", examples=[6])
    total: int = Field(description="What they cost together.", examples=[12])


class ExplainedHold(ApiModel):
    """The hold it was captured from."""

    id: UUID = Field(description="The hold.")
    status: HoldStatus = Field(description="How it stands now.")
    amount: int = Field(description="Credits it set aside.", examples=[10])
    captured: int = Field(description="Credits spent out of it in all.", examples=[6])
    placed_by: ExplainedActor = Field(description="Who placed it: their caps counted it.")
    placed_at: Timestamp = Field(description="When it was placed.")


class ExplainedCap(ApiModel):
    """A limit of the pool, as it is set now."""

    subject: str = Field(description="member:<id>, role:<ROLE> or service:<SERVICE>.", examples=["role:MEMBER"])
    window: CapWindow = Field(description="For each UTC day, or each plan period.")
    limit: int = Field(description="Credits.", examples=[50])


class LinkedEntry(ApiModel):
    """Another line that has to do with it."""

    id: UUID = Field(description="Its id.")
    seq: int = Field(description="Its place in the book.", examples=[14])
    type: EntryType = Field(description="What kind of movement it is.")
    amount: int = Field(description="Signed credits.", examples=[7])
    description: str = Field(description="Text for people.")
    created_at: Timestamp = Field(description="When it was written.")


class Change(ApiModel):
    before: int = Field(description="Credits before it.", examples=[150])
    after: int = Field(description="Credits after it.", examples=[138])


class Explanation(ApiModel):
    """One line of the book, and why it is as it is."""

    entry: CreditEntryRead = Field(description="The line.")
    text: str = Field(description="All of it in a paragraph.")
    sentences: list[str] = Field(description="The same, sentence by sentence.")
    actor: ExplainedActor = Field(description="Who did it.")
    request_id: str = Field(description="The request it was done in.")
    lots: list[ExplainedLot] = Field(description="The lots it moved, in the order of their turn.")
    price: ExplainedPrice | None = Field(description="The price rule of a spend on a service.")
    hold: ExplainedHold | None = Field(description="The hold of a captured spend.")
    caps: list[ExplainedCap] = Field(
        description="Limits of the pool that apply to who spent: as they are set now, maybe otherwise then."
    )
    reverses: LinkedEntry | None = Field(description="The line it undoes, or makes good for.")
    reversals: list[LinkedEntry] = Field(description="The lines that undo it, the first 50 of them.")
    debt: Change = Field(description="What the account owed.")
    balance: Change = Field(description="The book's balance.")


class ExplanationAnswer(ApiModel):
    explanation: Explanation = Field(description="Everything that made the line what it is.")
