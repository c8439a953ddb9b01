"""Recurring tasks on the wire."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.tasks.schemas.tasks import TaskAnswer
from pm_api.domains.tasks.series import Anchor, Mode

RuleText = Annotated[Text, StringConstraints(min_length=1, max_length=4096)]
ZoneName = Annotated[Text, StringConstraints(min_length=1, max_length=64)]


class RecurrenceWrite(ApiRequest):
    """How a task comes again."""

    rrule: RuleText = Field(
        description="The rule, as RFC 5545 §3.3.10 writes it.",
        examples=["FREQ=WEEKLY;BYDAY=MO", "FREQ=MONTHLY;COUNT=6"],
    )
    time_zone: ZoneName = Field(
        description="IANA time zone whose wall time is kept, whatever clocks do.", examples=["Europe/Berlin"]
    )
    anchor: Anchor = Field(
        Anchor.DUE,
        description="Which date comes again by the rule; the other one keeps its distance. The task must have it.",
    )
    mode: Mode = Field(
        Mode.ON_SCHEDULE,
        description="ON_SCHEDULE: by the calendar, done or not. AFTER_COMPLETION: counted from the day it was done.",
    )


class RecurrenceAnswer(TaskAnswer):
    """The task, and how that is taken back."""

    undo_token: UUID | None = Field(
        description="Takes the change back by `POST /api/tasks/undo`, for ten minutes; null when nothing changed."
    )


class SlotShown(ApiModel):
    """When one of the next tasks would be."""

    position: int = Field(description="Its place in the series, counted from 1.", examples=[2])
    start_on: date | None = Field(description="Day on which it would start.")
    start_at: Timestamp | None = Field(description="Moment at which it would start.")
    due_on: date | None = Field(description="Day on which it would be due.")
    due_at: Timestamp | None = Field(description="Moment at which it would be due.")


class RecurrencePreview(ApiModel):
    """What would come after a task, if each one is done in time."""

    rrule: str = Field(description="The rule.", examples=["FREQ=WEEKLY;BYDAY=MO"])
    text: str = Field(description="The same for people.", examples=["Every week on Monday at 09:00"])
    following: list[SlotShown] = Field(description="The next ones; none when the series is at its end.")


class RecurrencePreviewAnswer(ApiModel):
    """A preview."""

    preview: RecurrencePreview = Field(description="What would come.")
