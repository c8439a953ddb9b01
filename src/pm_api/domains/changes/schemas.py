"""Shapes of the change feed."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp


class ChangeRead(ApiModel):
    """One thing that changed. It says what to read again; it carries no content."""

    workspace_id: UUID | None = Field(description="Whose feed it is in: this workspace's, or null for your own.")
    position: int = Field(description="Order of commit within the feed. It rises, with gaps.", examples=[1042])
    entity: str = Field(description="What kind of thing changed.", examples=["member"])
    entity_id: UUID = Field(description="Which one.")
    action: str = Field(description="What happened to it.", examples=["updated"])
    version: int = Field(description="The thing's `version` after it.", examples=[3])
    actor_user_id: UUID | None = Field(description="Who did it; null for the service itself.")
    actor_key_id: UUID | None = Field(description="The API key of theirs it was done with; null without one.")
    created_at: Timestamp = Field(description="When, in business time.")


class ChangeList(ApiModel):
    changes: list[ChangeRead] = Field(description="Oldest first.")
    next_cursor: str = Field(
        description="Where you are now. Always given: send it with the next poll, also when `changes` is empty."
    )
    has_more: bool = Field(description="True when there is more to read at once.")


class TicketCreate(ApiRequest):
    workspace_id: UUID | None = Field(
        None, description="The workspace to follow beside your own feed; the ticket opens no other."
    )


class TicketRead(ApiModel):
    ticket: str = Field(description="Opens one stream once: `GET /api/stream?ticket=…`.")
    expires_at: Timestamp = Field(description="30 seconds from now, by the wall clock.")


class ReadyData(ApiModel):
    """Data of `event: ready`."""

    id: str = Field(
        description="Where the stream stands: `<your position>-<workspace position>`.", examples=["12-842"]
    )
    reset: bool = Field(
        description="True when what you missed is no longer kept: read everything again, then follow from here."
    )


class BalanceData(ApiModel):
    """Data of `event: credits.balance`."""

    account_id: UUID = Field(description="The wallet or pool; the id of the user or workspace it belongs to.")
    workspace_id: UUID | None = Field(description="The workspace whose pool it is; null for your own wallet.")
    available: int = Field(description="Credits that can be spent now.", examples=[950])
    seq: int = Field(description="The account's sequence; take no lower one after it.", examples=[31])


class EndData(ApiModel):
    """Data of `event: end`, the last one of a stream."""

    reason: str = Field(
        description="`lifetime` and `shutdown`: reconnect. `unavailable`: reconnect later. "
        "`session_ended` (or the API key is revoked) and `membership_ended`: do not reconnect.",
        examples=["lifetime"],
    )
