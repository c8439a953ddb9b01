"""Shapes of invitations, answers and reminders on the wire."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StrictBool, StrictInt, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.calendar.enums import Response
from pm_api.domains.calendar.schemas.events import MOST_REMINDERS, ReminderRead, ReminderWrite
from pm_api.identity.schemas.people import Email

LONGEST_SNOOZE_MINUTES = 40_320
Comment = Annotated[Text, Field(max_length=2000)]


class RespondRequest(ApiRequest):
    """The caller's own answer; what is left out is taken back."""

    response: Response = Field(description="The answer; PENDING takes one back.", examples=["ACCEPTED"])
    comment: Comment = Field("", description="What is to be said with it.", examples=["I may be late."])
    proposed_start_time: Timestamp | None = Field(
        None, description="Another start you would like; with `proposedEndTime`.", examples=["2026-03-02T15:00:00Z"]
    )
    proposed_end_time: Timestamp | None = Field(
        None, description="Another end you would like.", examples=["2026-03-02T16:00:00Z"]
    )


class AttendeeCreate(ApiRequest):
    """One more: a member by `userId`, or anybody by `email`."""

    user_id: UUID | None = Field(None, description="A member who sees the event.")
    email: Email | None = Field(None, description="An address, of a member or of somebody outside.")
    name: Annotated[Text, Field(max_length=200)] = Field(
        "", description="What somebody outside is called.", examples=["Gil Guest"]
    )
    optional: StrictBool = Field(False, description="Whether it goes on without them.", examples=[False])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.user_id is None) == (self.email is None):
            raise ValueError("either userId or email is sent")
        return self


class RemindersPut(ApiRequest):
    """All of the caller's own for this event or occurrence; none of before stays."""

    reminders: list[ReminderWrite] | None = Field(
        max_length=MOST_REMINDERS,
        description="At most 5. An occurrence's are in place of its series': an empty list is none before that one, "
        "null those of its series again.",
    )


class RemindersAnswer(ApiModel):
    reminders: list[ReminderRead] = Field(description="The caller's own, the earliest first.")


class EventSnooze(ApiRequest):
    """When to be told once more: after so many minutes, or at a time."""

    minutes: StrictInt | None = Field(
        None, ge=1, le=LONGEST_SNOOZE_MINUTES, description="Minutes from now.", examples=[10]
    )
    until: Timestamp | None = Field(None, description="The moment.", examples=["2026-03-02T14:55:00Z"])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.minutes is None) == (self.until is None):
            raise ValueError("either minutes or until is sent")
        return self


class SnoozeRead(ApiModel):
    event_id: str = Field(description="The event or occurrence.")
    until: Timestamp = Field(description="When the caller is told once more.")


class SnoozeAnswer(ApiModel):
    snooze: SnoozeRead = Field(description="What was put off.")
