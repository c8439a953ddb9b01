"""Shapes of an event on the wire."""

from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from pm_api.core.schema import ApiModel, ApiRequest, Moment, Name, Text, Timestamp
from pm_api.domains.calendar.enums import (
    Channel,
    ConflictPolicy,
    EventAction,
    EventType,
    Response,
    ShowAs,
    Visibility,
)
from pm_api.identity.schemas.people import Email, not_null
from pm_api.identity.schemas.pictured import Pictured

MOST_ATTENDEES: Final = 300
MOST_RESOURCES: Final = 20
MOST_REMINDERS: Final = 5
MOST_DATES: Final = 1000


def _said(rule: str) -> str:
    if not rule.strip():
        raise ValueError("must be a rule such as FREQ=WEEKLY;BYDAY=MO, or be left out when nothing recurs")
    return rule


Title = Annotated[Name, Field(max_length=500)]
Description = Annotated[Text, Field(max_length=20_000)]
Location = Annotated[Text, Field(max_length=1000)]
ZoneName = Annotated[Text, StringConstraints(min_length=1, max_length=64)]
RuleText = Annotated[
    Text, StringConstraints(max_length=12_000), AfterValidator(_said), Field(json_schema_extra={"minLength": 1})
]
DateText = Annotated[Text, StringConstraints(min_length=1, max_length=64)]

_START = "When it begins: RFC 3339 with an offset, or of an all-day event a bare date."
_END = "When it ends, exclusive; not before `startTime`. A bare date is the day after the last."
_ZONE = "IANA zone whose wall time counts, whatever clocks do. Left out: that of the caller's settings."
_RULE = "How it recurs, as RFC 5545 §3.3.10 writes it, 2 KiB at most. DTSTART is `startTime`."
_RDATE = "Further starts: wall times of `timeZone`, instants, or dates when all-day."
_EXDATE = "Starts that are left out, written likewise."
_SHOW_AS = "What the time is to those who take part. Left out: BUSY, of a DEADLINE or REMINDER FREE."
_POLICY = "What becomes of the write when those who take part have something else: nothing, a list of it, a refusal."


class ReminderWrite(ApiRequest):
    """Tell the caller before it begins."""

    minutes_before: StrictInt = Field(ge=0, le=40_320, description="Minutes before the start.", examples=[10])
    channel: Channel = Field(Channel.IN_APP, description="In the app, or by mail too.", examples=["IN_APP"])


class AttendeeWrite(ApiRequest):
    """Somebody by their address: a member who sees the event, or a person outside, who is mailed."""

    email: Email = Field(description="The address.", examples=["guest@example.org"])
    name: Annotated[Text, Field(max_length=200)] = Field(
        "", description="What somebody outside is called.", examples=["Gil Guest"]
    )
    optional: StrictBool = Field(False, description="Whether it goes on without them.", examples=[False])


class EventWrite(ApiRequest):
    """All that somebody says of an event."""

    title: Title = Field(description="What it is.", examples=["Sprint planning"])
    description: Description = Field("", description="Markdown.", examples=["What comes **next**."])
    start_time: Moment = Field(description=_START, examples=["2026-03-02T09:00:00-05:00"])
    end_time: Moment = Field(description=_END, examples=["2026-03-02T10:00:00-05:00"])
    type: EventType = Field(description="What kind of event.", examples=["MEETING"])
    location: Location = Field("", description="Where, or an address to dial in.", examples=["Room 4"])
    project_id: UUID | None = Field(None, description="The project it is part of: who sees that sees it.")
    attendee_ids: list[UUID] = Field([], max_length=MOST_ATTENDEES, description="Members who are invited.")
    attendees: list[AttendeeWrite] = Field([], max_length=MOST_ATTENDEES, description="People invited by address.")
    time_zone: ZoneName | None = Field(None, description=_ZONE, examples=["America/New_York"])
    all_day: StrictBool = Field(False, description="Whether it takes whole days, wherever somebody is.")
    rrule: RuleText | None = Field(None, description=_RULE, examples=["FREQ=WEEKLY;BYDAY=MO"])
    rdate: list[DateText] = Field([], max_length=MOST_DATES, description=_RDATE, examples=[["2026-03-05T09:00:00"]])
    exdate: list[DateText] = Field([], max_length=MOST_DATES, description=_EXDATE, examples=[["2026-03-09T09:00:00"]])
    reminders: list[ReminderWrite] = Field([], max_length=MOST_REMINDERS, description="The caller's own.")
    visibility: Visibility = Field(
        Visibility.DEFAULT, description="Whether others see more than Busy.", examples=["DEFAULT"]
    )
    show_as: ShowAs | None = Field(None, description=_SHOW_AS, examples=["BUSY"])
    guests_can_invite: StrictBool = Field(False, description="Whether those invited may invite others.")
    resource_ids: list[UUID] = Field([], max_length=MOST_RESOURCES, description="Rooms it takes.")
    conflict_policy: ConflictPolicy = Field(ConflictPolicy.ALLOW, description=_POLICY, examples=["WARN"])

    @field_validator("end_time")
    @classmethod
    def _fits(cls, end: date, info: ValidationInfo) -> date:
        if "start_time" in info.data:
            ensure_ends_after(info.data["start_time"], end)
        return end


class EventCreate(EventWrite):
    """An event, or with `rrule` or `rdate` a series of them."""

    workspace_id: UUID = Field(description="The workspace it belongs to.")


class EventReplace(EventWrite):
    """The whole event: what is left out gets its default. Of one occurrence: its own time, words and kind; who comes
    only if sent, and nothing that is of the whole series.
    """

    workspace_id: UUID | None = Field(None, description="The workspace it belongs to, which is fixed.")


class EventUpdate(ApiRequest):
    """Only the fields sent are changed. `attendeeIds` and `attendees` together say who is invited from now on."""

    title: Annotated[Title | None, BeforeValidator(not_null)] = Field(None, description="What it is.")
    description: Annotated[Description | None, BeforeValidator(not_null)] = Field(None, description="Markdown.")
    start_time: Annotated[Moment | None, BeforeValidator(not_null)] = Field(
        None, description=f"{_START} Alone it takes the end along.", examples=["2026-03-02T09:00:00-05:00"]
    )
    end_time: Annotated[Moment | None, BeforeValidator(not_null)] = Field(
        None, description=_END, examples=["2026-03-02T10:00:00-05:00"]
    )
    type: Annotated[EventType | None, BeforeValidator(not_null)] = Field(None, description="What kind of event.")
    location: Annotated[Location | None, BeforeValidator(not_null)] = Field(None, description="Where.")
    project_id: UUID | None = Field(None, description="The project it is part of; null takes it out of one.")
    attendee_ids: Annotated[list[UUID] | None, BeforeValidator(not_null)] = Field(
        None, max_length=MOST_ATTENDEES, description="Members who are invited."
    )
    attendees: Annotated[list[AttendeeWrite] | None, BeforeValidator(not_null)] = Field(
        None, max_length=MOST_ATTENDEES, description="People invited by address."
    )
    time_zone: Annotated[ZoneName | None, BeforeValidator(not_null)] = Field(
        None,
        description="IANA zone whose wall time counts. Alone it keeps the wall time.",
        examples=["Europe/Berlin"],
    )
    all_day: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(None, description="Whole days.")
    rrule: RuleText | None = Field(None, description=f"{_RULE} Null makes it a single event.")
    rdate: Annotated[list[DateText] | None, BeforeValidator(not_null)] = Field(
        None, max_length=MOST_DATES, description=_RDATE
    )
    exdate: Annotated[list[DateText] | None, BeforeValidator(not_null)] = Field(
        None, max_length=MOST_DATES, description=_EXDATE
    )
    reminders: Annotated[list[ReminderWrite] | None, BeforeValidator(not_null)] = Field(
        None, max_length=MOST_REMINDERS, description="The caller's own."
    )
    visibility: Annotated[Visibility | None, BeforeValidator(not_null)] = Field(
        None, description="Whether others see more than Busy."
    )
    show_as: Annotated[ShowAs | None, BeforeValidator(not_null)] = Field(
        None, description="What the time is to those who take part."
    )
    guests_can_invite: Annotated[StrictBool | None, BeforeValidator(not_null)] = Field(
        None, description="Whether those invited may invite others."
    )
    resource_ids: Annotated[list[UUID] | None, BeforeValidator(not_null)] = Field(
        None, max_length=MOST_RESOURCES, description="Rooms it takes from now on."
    )
    organizer_id: Annotated[UUID | None, BeforeValidator(not_null)] = Field(
        None, description="Hands it over to another member who sees it."
    )
    conflict_policy: Annotated[ConflictPolicy | None, BeforeValidator(not_null)] = Field(None, description=_POLICY)


class EventPerson(Pictured):
    """Somebody of the workspace."""

    id: UUID = Field(description="The person's id.")
    name: str = Field(description="Their name.", examples=["Ann Archer"])


class EventProject(ApiModel):
    id: UUID = Field(description="The project's id.")
    name: str = Field(description="Its name.", examples=["Website relaunch"])
    colour: str = Field(alias="color", description="Its colour, as #rrggbb.", examples=["#3b82f6"])


class AttendeeRead(ApiModel):
    """Somebody invited, and what they answered: for this occurrence where they answered for it."""

    id: UUID = Field(description="The invitation's id.")
    user: EventPerson | None = Field(description="The member; null for an address outside.")
    email: str | None = Field(description="The address outside; null for a member.", examples=["guest@example.org"])
    name: str = Field(description="What they are called; empty when nobody said.", examples=["Gil Guest"])
    optional: bool = Field(description="Whether it goes on without them.")
    response: Response = Field(description="What they answered.", examples=["PENDING"])
    comment: str = Field(description="What they said with it.", examples=["I may be late."])
    proposed_start_time: Timestamp | None = Field(description="Another start they would like.")
    proposed_end_time: Timestamp | None = Field(description="Another end they would like.")


class ReminderRead(ApiModel):
    minutes_before: int = Field(description="Minutes before the start.", examples=[10])
    channel: Channel = Field(description="In the app, or by mail too.", examples=["IN_APP"])


class EventResource(ApiModel):
    id: UUID = Field(description="The room's id.")
    name: str = Field(description="Its name.", examples=["Room 4"])


class EventRead(ApiModel):
    """An event, a whole series, or one occurrence of it, as the caller sees it."""

    id: str = Field(
        description="The event's id; of an occurrence `{eventId}_{original start, UTC, YYYYMMDDTHHMMSSZ}`.",
        examples=["019f7d3e-6f4c-7b52-9a3b-1f0d6a2f7c11_20260302T140000Z"],
    )
    series_id: UUID | None = Field(description="Of an occurrence, the series it is of.")
    original_start_time: Timestamp | None = Field(description="Of an occurrence, when it was to begin by the series.")
    is_exception: bool = Field(description="Of an occurrence, whether it differs from its series.")
    workspace_id: UUID = Field(description="The workspace it belongs to.")
    project_id: UUID | None = Field(description="The project it is part of.")
    project: EventProject | None = Field(description="The project it is part of.")
    type: EventType = Field(description="What kind of event.", examples=["MEETING"])
    status: Literal["CONFIRMED", "CANCELLED"] = Field(
        description="CANCELLED: an occurrence that was taken out of its series."
    )
    title: str = Field(description="What it is; Busy when it is masked.", examples=["Sprint planning"])
    description: str = Field(description="Markdown.", examples=["What comes **next**."])
    location: str = Field(description="Where.", examples=["Room 4"])
    start_time: Timestamp = Field(description="When it begins; all-day at midnight in the zone asked for.")
    end_time: Timestamp = Field(description="When it ends, exclusive.")
    all_day: bool = Field(description="Whether it takes whole days, wherever somebody is.")
    start_date: date | None = Field(description="The first day of an all-day event.", examples=["2026-03-02"])
    end_date: date | None = Field(description="The day after the last of an all-day event.", examples=["2026-03-03"])
    time_zone: str = Field(description="IANA zone whose wall time counts.", examples=["America/New_York"])
    rrule: str | None = Field(description="How the series recurs.", examples=["FREQ=WEEKLY;BYDAY=MO"])
    rdate: list[str] = Field(description="Further starts of the series; with an occurrence none: ask the series.")
    exdate: list[str] = Field(description="Starts left out of the series, likewise.")
    recurrence_text: str | None = Field(
        description="The same for people.", examples=["Every week on Monday at 09:00"]
    )
    visibility: Visibility = Field(description="Whether others see more than Busy.")
    show_as: ShowAs = Field(description="What the time is to those who take part.", examples=["BUSY"])
    is_masked: bool = Field(description="Whether the caller sees no more than Busy.")
    organizer: EventPerson | None = Field(description="Who holds it; null when masked.")
    creator: EventPerson | None = Field(description="Who made it; null when masked.")
    attendees: list[AttendeeRead] = Field(description="Who is invited; none when masked.")
    my_response: Response | None = Field(description="What the caller answered; null when they are not invited.")
    guests_can_invite: bool = Field(description="Whether those invited may invite others.")
    resources: list[EventResource] = Field(description="Rooms it takes.")
    reminders: list[ReminderRead] = Field(description="The caller's own.")
    uid: str = Field(description="iCalendar's UID; empty when masked.", examples=["019f7d3e@pm_api"])
    sequence: int = Field(description="iCalendar's SEQUENCE: raised when the time changes.", examples=[0])
    previous_series_id: UUID | None = Field(description="The series that this one was split from.")
    allowed_actions: list[EventAction] = Field(description="What the caller may do with it.")
    version: int = Field(description="Counts changes of the series; the ETag.", examples=[3])
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it last changed.")


class ConflictRead(ApiModel):
    """Something else that somebody who takes part has at that time; what the caller may not see is Busy."""

    user_id: UUID | None = Field(description="Whose; null for a room.")
    resource_id: UUID | None = Field(description="The room; null for a person.")
    event_id: str | None = Field(description="The other event or occurrence; null when the caller may not see it.")
    title: str = Field(description="Its title, or Busy.", examples=["Busy"])
    start_time: Timestamp = Field(description="When the other one begins.")
    end_time: Timestamp = Field(description="When the other one ends.")


class EventAnswer(ApiModel):
    event: EventRead = Field(description="The event.")


class EventWritten(ApiModel):
    """The event as it is now, and with `conflictPolicy` WARN what it meets."""

    event: EventRead = Field(description="The event.")
    conflicts: list[ConflictRead] = Field(description="What it meets: the first 20 by time; none unless asked for.")


class EventList(ApiModel):
    events: list[EventRead] = Field(description="Events or occurrences, by (start, id).")
    next_cursor: str | None = Field(description="For the next page; null on the last.")


def ensure_ends_after(start: object, end: object) -> None:
    if type(start) is not type(end):
        raise ValueError("must be a time when startTime is one, and a date when that is one")
    if end < start:  # type: ignore[operator]  # both are of one type
        raise ValueError("must not lie before startTime")
