"""Shapes of following what changes, and of what a write would do."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from pm_api.core.schema import ApiModel
from pm_api.domains.calendar.schemas.events import ConflictRead, EventRead


class EventTombstone(ApiModel):
    """An event that is gone, or out of your sight: forget it, and all its occurrences."""

    id: str = Field(description="The event's id.", examples=["019f7d3e-6f4c-7b52-9a3b-1f0d6a2f7c11"])
    status: Literal["CANCELLED"] = Field("CANCELLED", description="Always CANCELLED.", examples=["CANCELLED"])


class EventChanges(ApiModel):
    """A page of what changed."""

    events: list[EventRead | EventTombstone] = Field(
        description="Events and series, each followed by its occurrences that differ; and what is gone, as id and "
        "status alone. Take them in their order: with a series comes all of it, so forget what you had."
    )
    next_cursor: str | None = Field(description="For the next page; null on the last.")
    next_sync_token: str | None = Field(
        description="On the last page: send it as `syncToken` to read what changed since; null before."
    )


class EventOutcome(StrEnum):
    """What became, or would become, of an event or occurrence."""

    CREATED = "CREATED"
    CHANGED = "CHANGED"
    DELETED = "DELETED"
    UNCHANGED = "UNCHANGED"
    FAILED = "FAILED"


class EventFieldChange(ApiModel):
    """One field, before and after."""

    field: str = Field(description="The field, as answers write it.", examples=["title"])
    old: Any = Field(description="What it was.", examples=["Planning"])
    new: Any = Field(description="What it is, or would be.", examples=["Sprint planning"])


class EventDifference(ApiModel):
    """What would become of one event, series or occurrence."""

    id: str = Field(description="Its id; of a series that would be split off one that nobody will have.")
    outcome: EventOutcome = Field(description="What would become of it.", examples=["CHANGED"])
    changes: list[EventFieldChange] = Field(description="The fields that would differ; none of a new one.")
    event: EventRead | None = Field(description="As it would be; null when it would be gone.")


class EventDryRun(ApiModel):
    """What a write would do. Nothing of it was done, and nobody was told."""

    dry_run: Literal[True] = Field(True, description="Always true.")
    differences: list[EventDifference] = Field(
        description="What would change: the event or series, the occurrence that was named, and a series split off."
    )
    conflicts: list[ConflictRead] = Field(description="What it would meet; none unless asked for.")
