"""Shapes of many writes at once on the wire."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, StrictBool, StrictInt, model_validator

from pm_api.core.problem import Problem
from pm_api.core.schema import ApiModel, ApiRequest, Text
from pm_api.domains.calendar.enums import Scope
from pm_api.domains.calendar.schemas.events import ConflictRead, EventCreate, EventRead, EventUpdate
from pm_api.domains.calendar.schemas.series import EventDifference, EventFieldChange, EventOutcome

MOST: Final = 200

EventName = Annotated[Text, Field(min_length=1, max_length=100)]
_ID = "The event's id, or an occurrence's."
_SCOPE = "What of a series it is for. Left out: the occurrence that is named, or all."
_VERSION = "The version you read; what changed since is not touched (`precondition_failed`)."


class EventBulkMode(StrEnum):
    """ATOMIC: all or none. PARTIAL: what can be done is done, and the answer tells of the rest."""

    ATOMIC = "ATOMIC"
    PARTIAL = "PARTIAL"


class BulkEventCreate(ApiRequest):
    """Make an event."""

    action: Literal["create"] = Field(description="Make one.", examples=["create"])
    event: EventCreate = Field(description="The event, of the same workspace.")


class BulkEventUpdate(ApiRequest):
    """Change one."""

    action: Literal["update"] = Field(description="Change one.", examples=["update"])
    id: EventName = Field(description=_ID)
    scope: Scope | None = Field(None, description=_SCOPE, examples=["all"])
    version: StrictInt | None = Field(None, ge=0, le=2**63 - 1, description=_VERSION, examples=[3])
    change: EventUpdate = Field(description="The fields to change.")


class BulkEventDelete(ApiRequest):
    """Delete one."""

    action: Literal["delete"] = Field(description="Delete one.", examples=["delete"])
    id: EventName = Field(description=_ID)
    scope: Scope | None = Field(None, description=_SCOPE, examples=["all"])
    version: StrictInt | None = Field(None, ge=0, le=2**63 - 1, description=_VERSION, examples=[3])


BulkEventItem = Annotated[BulkEventCreate | BulkEventUpdate | BulkEventDelete, Field(discriminator="action")]


class EventBulkRequest(ApiRequest):
    """What is to be done, one after the other."""

    workspace_id: UUID = Field(description="The workspace of all of them.")
    items: list[BulkEventItem] = Field(min_length=1, max_length=MOST, description="At most 200, done in their order.")
    mode: EventBulkMode = Field(EventBulkMode.ATOMIC, description="Whether all is done or none, or what can be done.")
    dry_run: StrictBool = Field(False, description="Tell what would change, and change nothing.")

    @model_validator(mode="after")
    def _of_one_workspace(self) -> Self:
        for index, item in enumerate(self.items):
            if isinstance(item, BulkEventCreate) and item.event.workspace_id != self.workspace_id:
                raise ValueError(f"items/{index}/event/workspaceId must be the workspaceId of the request")
        return self


class EventBulkResult(ApiModel):
    """How it went for one item."""

    index: int = Field(description="Which item, counted from 0.", examples=[0])
    id: str | None = Field(
        description="The event or occurrence, as it is called when all is done; in a dry run as it is called now. "
        "Null for one that was not made."
    )
    outcome: EventOutcome = Field(description="How it went, or would go.", examples=["CHANGED"])
    event: EventRead | None = Field(
        description="As it is when all is done, or would be; null when it is gone, or was not made. What only a dry "
        "run has made has an id of zeros."
    )
    changes: list[EventFieldChange] = Field(
        description="Of an update, what differs between before all and after all."
    )
    differences: list[EventDifference] = Field(
        description="Of an update or a deletion, what became of the event or series, of the occurrence that was "
        "named, and of a series split off, between before all and after all."
    )
    conflicts: list[ConflictRead] = Field(description="What it meets; none unless asked for.")
    problem: Problem | None = Field(description="Why it failed; null when it did not.")


class EventBulkAnswer(ApiModel):
    """How it went."""

    results: list[EventBulkResult] = Field(description="Item by item, in their order.")
    changed: int = Field(description="How many were done, or would be.", examples=[3])
    failed: int = Field(description="How many failed.", examples=[0])
    dry_run: bool = Field(description="Whether nothing was written.")
