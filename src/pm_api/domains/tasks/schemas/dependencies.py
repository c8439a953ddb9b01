"""Dependencies on the wire, and how dates move along them."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.tasks.schemas.tasks import PersonShown, TaskRef
from pm_api.domains.tasks.shifting import Follow

MOST_DAYS: Final = 3650
MOST_MINUTES: Final = 525_600


class NewDependencyKind(StrEnum):
    """How this task stands to the other: BLOCKS, the other waits for it; BLOCKED_BY, it waits for the other."""

    BLOCKS = "BLOCKS"
    BLOCKED_BY = "BLOCKED_BY"
    RELATES = "RELATES"
    DUPLICATES = "DUPLICATES"


class DependencyKind(StrEnum):
    """How a task stands to another, as seen from the first."""

    BLOCKS = "BLOCKS"
    BLOCKED_BY = "BLOCKED_BY"
    RELATES = "RELATES"
    DUPLICATES = "DUPLICATES"
    DUPLICATED_BY = "DUPLICATED_BY"


class DependencyCreate(ApiRequest):
    """A link to another task of the workspace."""

    other_task_id: TaskRef = Field(
        description="The other task: its id, or its key such as `WEB-42`.", examples=["WEB-42"]
    )
    kind: NewDependencyKind = Field(description="How this task stands to the other.", examples=["BLOCKS"])


class LinkedTask(ApiModel):
    """The task at the other end."""

    id: UUID = Field(description="The task's id.")
    key: str = Field(description="Its name among people.", examples=["WEB-42"])
    project_id: UUID = Field(description="Its project.")
    title: str = Field(description="What is to be done.")
    status: str = Field(description="Key of its status.", examples=["IN_PROGRESS"])
    status_category: StatusCategory = Field(description="What the status means.")


class DependencyRead(ApiModel):
    """A link between two tasks."""

    id: UUID = Field(description="The dependency's id.")
    kind: DependencyKind = Field(description="How the task that was asked for stands to the other.")
    task: LinkedTask = Field(description="The other task.")
    created_by: PersonShown = Field(description="Who made it.")
    created_at: Timestamp = Field(description="When it was made.")


class DependencyAnswer(ApiModel):
    """One dependency."""

    dependency: DependencyRead = Field(description="The dependency.")


class DependenciesAnswer(ApiModel):
    """A page of dependencies."""

    dependencies: list[DependencyRead] = Field(
        description="Oldest first, in both directions; those to tasks that you do not see are left out."
    )
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class ShiftRequest(ApiRequest):
    """How far the dates move: either `days` or `minutes`, forward or, with a minus, back."""

    days: Annotated[int, Field(strict=True, ge=-MOST_DAYS, le=MOST_DAYS)] | None = Field(
        None, description="So many days. Moments keep their time of the day in the task's zone.", examples=[7]
    )
    minutes: Annotated[int, Field(strict=True, ge=-MOST_MINUTES, le=MOST_MINUTES)] | None = Field(
        None,
        description="So many minutes by the wall clock of the task's zone. Blocked tasks whose dates are days move by"
        " the whole days in it.",
        examples=[90],
    )
    follow: Follow = Field(
        Follow.SAME,
        description="How far what it blocks, directly and through others, moves. SAME: by as much. NEEDED: only what"
        " would begin before what blocks it ends, and by no more than that takes.",
    )
    dry_run: StrictBool = Field(False, description="Only tell what would move.", examples=[True])

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.days is None) == (self.minutes is None):
            raise ValueError("needs either `days` or `minutes`")
        if not (self.days or self.minutes):
            raise ValueError("must move by something")
        return self


class DatesRead(ApiModel):
    """When a task begins and is due."""

    start_on: date | None = Field(description="Day on which it starts.")
    start_at: Timestamp | None = Field(description="Moment at which it starts.")
    due_on: date | None = Field(description="Day on which it is due.")
    due_at: Timestamp | None = Field(description="Moment at which it is due.")


class ShiftedTask(ApiModel):
    """One task that moves."""

    task_id: UUID = Field(description="The task.")
    key: str = Field(description="Its name among people.", examples=["WEB-42"])
    title: str = Field(description="What is to be done.")
    time_zone: str | None = Field(description="IANA time zone its moments were meant in; UTC when there is none.")
    old: DatesRead = Field(description="Its dates before.")
    new: DatesRead = Field(description="Its dates after.")


class ShiftAnswer(ApiModel):
    """What moved, or would."""

    tasks: list[ShiftedTask] = Field(
        description="Each after all that block it. Tasks without dates, finished ones, and those that you do not see"
        " stay as they are, and nothing is moved through the latter two."
    )
    dry_run: bool = Field(description="Whether nothing was written.", examples=[True])
    undo_token: UUID | None = Field(
        description="Takes it back by `POST /api/tasks/undo`, for ten minutes; null when nothing was written."
    )
