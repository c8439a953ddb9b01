"""Time worked, on the wire."""

from datetime import date
from typing import Annotated, Final
from uuid import UUID

from pydantic import BeforeValidator, Field

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.tasks.schemas.tasks import Day, PersonShown, not_null

NOTE_LENGTH: Final = 2000
MINUTES_OF_A_DAY: Final = 1440

Minutes = Annotated[int, Field(strict=True, ge=1, le=MINUTES_OF_A_DAY)]
Note = Annotated[Text, Field(max_length=NOTE_LENGTH)]

_WORKED_ON: Final = "The day on which the work was done, which need not be the day on which it is entered."


class TimeEntryCreate(ApiRequest):
    """Time that you worked on a task."""

    worked_on: Day = Field(description=_WORKED_ON, examples=["2026-03-02"])
    minutes: Minutes = Field(description="How long, 1 to 1440.", examples=[90])
    note: Note = Field("", description="What was done.", examples=["Looked for the leak"])


class TimeEntryUpdate(ApiRequest):
    """Only the fields sent are changed."""

    worked_on: Annotated[Day | None, BeforeValidator(not_null)] = Field(None, description=_WORKED_ON)
    minutes: Annotated[Minutes | None, BeforeValidator(not_null)] = Field(
        None, description="How long.", examples=[60]
    )
    note: Note | None = Field(None, description="What was done; null clears it.")


class TimeEntryRead(ApiModel):
    """Time that somebody worked on a task."""

    id: UUID = Field(description="The entry's id.")
    task_id: UUID = Field(description="The task.")
    user: PersonShown = Field(description="Who worked.")
    worked_on: date = Field(description=_WORKED_ON, examples=["2026-03-02"])
    minutes: int = Field(description="How long.", examples=[90])
    note: str = Field(description="What was done; may be empty.")
    version: int = Field(description="Counts its changes; the ETag.", examples=[1])
    created_at: Timestamp = Field(description="When it was entered.")
    updated_at: Timestamp = Field(description="When it was last changed.")


class TimeEntryAnswer(ApiModel):
    """One time entry."""

    time_entry: TimeEntryRead = Field(description="The entry as it is now.")


class PersonTotal(ApiModel):
    """How long somebody worked."""

    user: PersonShown = Field(description="Who.")
    minutes: int = Field(description="How long in all.", examples=[480])


class TaskTimeAnswer(ApiModel):
    """A page of a task's time entries."""

    time_entries: list[TimeEntryRead] = Field(description="In the order in which they were entered.")
    total_minutes: int = Field(description="Of all entries of the task, whatever the page.", examples=[480])
    people: list[PersonTotal] = Field(description="The same for each who worked on it, at most 1000; most first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class DayTotal(ApiModel):
    """How long somebody worked on one day."""

    user: PersonShown = Field(description="Who.")
    worked_on: date = Field(description="The day.", examples=["2026-03-02"])
    minutes: int = Field(description="How long on all tasks that you see.", examples=[480])


class TimeReportAnswer(ApiModel):
    """A page of a workspace's time entries, and the sums of all of them."""

    time_entries: list[TimeEntryRead] = Field(description="By day, then in the order in which they were entered.")
    from_: date = Field(alias="from", description="The first day.", examples=["2026-03-01"])
    to: date = Field(description="The last day.", examples=["2026-03-31"])
    total_minutes: int | None = Field(description="Of all entries asked for; null on all pages but the first.")
    totals: list[DayTotal] | None = Field(
        description="The same for each person and day; null on all pages but the first, and where there are over"
        " 5000: ask for a shorter time or for one person then."
    )
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
