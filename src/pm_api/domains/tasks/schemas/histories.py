"""What was done to a task, on the wire."""

from typing import Any
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.tasks.schemas.tasks import PersonShown


class FieldChangeRead(ApiModel):
    """One field, before and after."""

    field: str = Field(description="The field, as the wire calls it.", examples=["status"])
    old: Any = Field(description="What it was; of a long text the beginning.", examples=["TODO"])
    new: Any = Field(description="What it became.", examples=["IN_PROGRESS"])


class ActivityRead(ApiModel):
    """One thing that was done to a task."""

    id: UUID = Field(description="Its id; what came later has a greater id.")
    action: str = Field(description="What was done.", examples=["updated"])
    actor: PersonShown | None = Field(description="Who did it; null when nobody did, such as a repetition.")
    changes: list[FieldChangeRead] = Field(description="What became of which field.")
    created_at: Timestamp = Field(description="When.")


class ActivityAnswer(ApiModel):
    """A page of a task's history."""

    activity: list[ActivityRead] = Field(description="Oldest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
