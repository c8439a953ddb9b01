"""Shapes of free and taken time on the wire."""

import re
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.calendar.enums import ShowAs
from pm_api.domains.calendar.rules import WEEKDAYS, Hindrance, NoneFound
from pm_api.domains.calendar.schemas.events import ZoneName

MOST_PEOPLE: Final = 50
MOST_ROOMS: Final = 50
MOST_SLOTS: Final = 50
MOST_RANGES: Final = 6
LONGEST_LOOK: Final = timedelta(days=62)
LONGEST_SEARCH: Final = timedelta(days=31)
LONGEST_BUFFER_MINUTES: Final = 24 * 60
MOST_TRIED: Final = 3000


class FreeBusyRequest(ApiRequest):
    """Whose time, and when."""

    workspace_id: UUID = Field(description="The workspace whose events count.")
    user_ids: list[UUID] = Field([], max_length=MOST_PEOPLE, description="People, at most 50.")
    resource_ids: list[UUID] = Field([], max_length=MOST_ROOMS, description="Rooms, at most 50.")
    start: Timestamp = Field(description="From when on.", examples=["2026-03-02T00:00:00Z"])
    end: Timestamp = Field(description="Up to, not with; at most 62 days later.", examples=["2026-03-09T00:00:00Z"])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.start < self.end <= self.start + LONGEST_LOOK:
            raise ValueError("end must lie after start, at most 62 days")
        if not self.user_ids and not self.resource_ids:
            raise ValueError("name people in userIds or rooms in resourceIds")
        return self


class BusyInterval(ApiModel):
    """Time that is taken: disjoint from the others, ascending; where several overlap OOO holds over BUSY over
    TENTATIVE.
    """

    start: Timestamp = Field(description="From when on.")
    end: Timestamp = Field(description="Up to, not with.")
    status: ShowAs = Field(
        description="BUSY, OOO (out of office), or TENTATIVE: not answered yet, or answered so.", examples=["BUSY"]
    )


class BusyProblem(ApiModel):
    """Why something could not be told."""

    code: str = Field(description="The code of the problem.", examples=["person_not_found"])
    detail: str = Field(description="The same for people.", examples=["Nobody with this id is a member."])


class PersonBusy(ApiModel):
    user_id: UUID = Field(description="Whose time.")
    busy: list[BusyInterval] = Field(description="When they are taken, cut to the range.")
    errors: list[BusyProblem] = Field(description="What could not be told of them; empty when all was.")


class ResourceBusy(ApiModel):
    resource_id: UUID = Field(description="Which room.")
    busy: list[BusyInterval] = Field(description="When it is taken, cut to the range.")
    errors: list[BusyProblem] = Field(description="What could not be told of it; empty when all was.")


class FreeBusyRead(ApiModel):
    start: Timestamp = Field(description="From when on.")
    end: Timestamp = Field(description="Up to, not with.")
    people: list[PersonBusy] = Field(description="In the order they were asked for.")
    resources: list[ResourceBusy] = Field(description="In the order they were asked for.")


class FreeBusyAnswer(ApiModel):
    free_busy: FreeBusyRead = Field(description="When each is taken; never with what.")


# --- find a time ----------------------------------------------------------------------------------------------


class SoughtAttendee(ApiRequest):
    """Somebody who is to come."""

    user_id: UUID = Field(description="A member.")
    optional: StrictBool = Field(False, description="Whether it goes on without them.", examples=[False])


class FindTimeRequest(ApiRequest):
    """A group, how long it needs, and when."""

    workspace_id: UUID = Field(description="The workspace whose events count.")
    attendees: list[SoughtAttendee] = Field(min_length=1, max_length=MOST_PEOPLE, description="Who is to come.")
    duration_minutes: StrictInt = Field(ge=5, le=24 * 60, description="How long it takes.", examples=[45])
    start: Timestamp = Field(description="The earliest start.", examples=["2026-03-02T00:00:00Z"])
    end: Timestamp = Field(description="The latest end; at most 31 days later.", examples=["2026-03-07T00:00:00Z"])
    step_minutes: StrictInt = Field(
        30,
        ge=5,
        le=24 * 60,
        description="Starts are tried in these steps from midnight in `timeZone`.",
        examples=[30],
    )
    time_zone: ZoneName | None = Field(
        None, description="IANA zone the steps count in. Left out: that of the caller's settings."
    )
    buffer_before_minutes: StrictInt = Field(
        0, ge=0, le=LONGEST_BUFFER_MINUTES, description="Minutes before it that attendees need free.", examples=[10]
    )
    buffer_after_minutes: StrictInt = Field(
        0, ge=0, le=LONGEST_BUFFER_MINUTES, description="Minutes after it that attendees need free.", examples=[10]
    )
    quorum: StrictInt | None = Field(
        None,
        ge=1,
        le=MOST_PEOPLE,
        description="How many of those who are not optional have to be there. Left out: all of them.",
        examples=[3],
    )
    outside_working_hours: StrictBool = Field(
        False, description="Whether times outside of somebody's working hours count, for less.", examples=[False]
    )
    resource_ids: list[UUID] = Field(
        [], max_length=MOST_ROOMS, description="Rooms of which one has to be free; none: no room is needed."
    )
    limit: StrictInt = Field(10, ge=1, le=MOST_SLOTS, description="Most times to be told.", examples=[10])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.start < self.end <= self.start + LONGEST_SEARCH:
            raise ValueError("end must lie after start, at most 31 days")
        if (self.end - self.start) / timedelta(minutes=self.step_minutes) > MOST_TRIED:
            raise ValueError(f"take larger steps: at most {MOST_TRIED:,} times are tried")
        named = [one.user_id for one in self.attendees]
        if len(set(named)) < len(named):
            raise ValueError("an attendee is named twice")
        required = sum(not one.optional for one in self.attendees)
        if self.quorum is not None and self.quorum > required:
            raise ValueError("quorum counts attendees who are not optional, and there are fewer")
        return self


class ScoreParts(ApiModel):
    """What the score is made of."""

    attendance: int = Field(
        description="0 to 60: who can come; half for who may not, twice for who is not optional.", examples=[60]
    )
    working_hours: int = Field(description="0 to 20: for how many it lies in their working hours.", examples=[20])
    sooner: int = Field(description="0 to 20: how soon it is within the range.", examples=[13])


class SlotBlocker(ApiModel):
    """Somebody who cannot come then, or perhaps not."""

    user_id: UUID = Field(description="Who.")
    optional: bool = Field(description="Whether it goes on without them.")
    reason: Hindrance = Field(
        description=(
            "TENTATIVE: perhaps not. UNKNOWN: not all that they have could be worked out. BUFFER: something is too"
            " close before or after."
        ),
        examples=["BUSY"],
    )


class SlotRead(ApiModel):
    """A time that suits."""

    start: Timestamp = Field(description="When it begins.")
    end: Timestamp = Field(description="When it ends.")
    score: int = Field(description="0 to 100, the sum of its parts.", examples=[93])
    parts: ScoreParts = Field(description="The points it has for each.")
    blockers: list[SlotBlocker] = Field(description="Who cannot come then, or perhaps not.")
    free_resource_ids: list[UUID] = Field(description="Of the rooms asked for those that are free then.")


class SlotObstacle(ApiModel):
    """Somebody, or a room, that was in the way."""

    user_id: UUID | None = Field(description="Who; null for a room.")
    resource_id: UUID | None = Field(description="The room; null for a person.")
    reason: Hindrance = Field(description="What it was.", examples=["OUTSIDE_WORKING_HOURS"])
    times: int = Field(description="Of how many of the times that were tried.", examples=[12])


class NoTimeRead(ApiModel):
    """Why there is no time."""

    code: NoneFound = Field(
        description=(
            "WINDOW_TOO_SHORT: no start leaves room for it. NOT_ENOUGH_ATTENDEES: at no time enough can come."
            " NO_ROOM: none is free at any time. NOT_AT_ONE_TIME: never people and a room together."
        ),
        examples=["NOT_ENOUGH_ATTENDEES"],
    )
    text: str = Field(description="The same for people.", examples=["At no time of these can enough of them come."])
    tried: int = Field(description="How many times were tried.", examples=[96])
    obstacles: list[SlotObstacle] = Field(description="Who was in the way, the most often first; at most 50.")


class UnknownBusy(ApiModel):
    """Somebody of whom it is not known when they are free."""

    user_id: UUID = Field(description="Who.")
    errors: list[BusyProblem] = Field(description="What could not be told of them.")


class FindTimeRead(ApiModel):
    slots: list[SlotRead] = Field(description="The best first, of equals the sooner.")
    none_found: NoTimeRead | None = Field(description="Why there is none; null when there is one.")
    unknown: list[UnknownBusy] = Field(
        description="Of whom not all could be worked out: what could be counts, and otherwise they may come."
    )


class FindTimeAnswer(ApiModel):
    find_time: FindTimeRead = Field(description="Times that suit, or why none does.")


# --- working hours --------------------------------------------------------------------------------------------

CLOCK: Final = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"


def _on_the_clock(text: str) -> str:
    if not re.fullmatch(CLOCK, text, re.ASCII):
        raise ValueError("must be a time of day written HH:MM, from 00:00 to 24:00, such as 09:00")
    return text


Clock = Annotated[Text, AfterValidator(_on_the_clock), Field(json_schema_extra={"pattern": CLOCK})]


class HoursRange(ApiRequest):
    """From one time of day to a later one, by the clocks of the person's zone."""

    start: Clock = Field(description="From when on, HH:MM.", examples=["09:00"])
    end: Clock = Field(description="Up to, not with; 24:00 is midnight.", examples=["17:00"])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.start >= self.end:
            raise ValueError("end must be later than start; for a night take 24:00 and begin again at 00:00")
        return self


class HoursRangeRead(ApiModel):
    start: str = Field(description="From when on, HH:MM.", examples=["09:00"])
    end: str = Field(description="Up to, not with; 24:00 is midnight.", examples=["17:00"])


Ranges = Annotated[list[HoursRange], Field(max_length=MOST_RANGES)]


class DaysWrite(ApiRequest):
    """For each weekday when somebody works; none: not at all."""

    monday: Ranges = Field([], description="On Mondays.")
    tuesday: Ranges = Field([], description="On Tuesdays.")
    wednesday: Ranges = Field([], description="On Wednesdays.")
    thursday: Ranges = Field([], description="On Thursdays.")
    friday: Ranges = Field([], description="On Fridays.")
    saturday: Ranges = Field([], description="On Saturdays.")
    sunday: Ranges = Field([], description="On Sundays.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for day, ranges in self.of_days().items():
            for before, after in pairwise(ranges):
                if after[0] < before[1]:
                    raise ValueError(f"two ranges of {day} overlap")
        return self

    def of_days(self) -> dict[str, list[list[str]]]:
        """As it is stored: by weekday, in the order of the day."""
        ranges = (
            *(self.monday, self.tuesday, self.wednesday, self.thursday),
            *(self.friday, self.saturday, self.sunday),
        )
        return {
            day: sorted([one.start, one.end] for one in of_day) for day, of_day in zip(WEEKDAYS, ranges, strict=True)
        }


class DaysRead(ApiModel):
    monday: list[HoursRangeRead] = Field(description="On Mondays.")
    tuesday: list[HoursRangeRead] = Field(description="On Tuesdays.")
    wednesday: list[HoursRangeRead] = Field(description="On Wednesdays.")
    thursday: list[HoursRangeRead] = Field(description="On Thursdays.")
    friday: list[HoursRangeRead] = Field(description="On Fridays.")
    saturday: list[HoursRangeRead] = Field(description="On Saturdays.")
    sunday: list[HoursRangeRead] = Field(description="On Sundays.")


class WorkingHoursWrite(ApiRequest):
    """When the caller works, all anew: a weekday that is left out is free."""

    days: DaysWrite = Field(
        description="For each weekday, at most 6 ranges.",
        examples=[{"monday": [{"start": "09:00", "end": "12:00"}, {"start": "13:00", "end": "17:30"}]}],
    )


class WorkingHoursRead(ApiModel):
    days: DaysRead = Field(description="For each weekday; none: not at all.")
    time_zone: str = Field(description="By whose clocks: that of their settings.", examples=["Europe/Berlin"])
    version: int = Field(description="0 while they have said nothing, and work as most do.", examples=[1])


class WorkingHoursAnswer(ApiModel):
    working_hours: WorkingHoursRead = Field(description="When the caller works.")
