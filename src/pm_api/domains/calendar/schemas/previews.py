"""Shapes of a recurrence that somebody tries out before anything is saved."""

from datetime import date
from typing import Annotated, Final

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from pm_api.core.recurrence import Surprise
from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp, either
from pm_api.domains.calendar.schemas.events import MOST_DATES, DateText, RuleText, ZoneName

MOST_SHOWN: Final = 1000

MomentText = Annotated[Text, StringConstraints(min_length=1, max_length=64)]
DurationText = Annotated[Text, StringConstraints(min_length=2, max_length=64)]
DateList = Annotated[list[DateText], Field(max_length=MOST_DATES)]
DatesText = Annotated[Text, StringConstraints(min_length=1, max_length=12_000)]
Dates = Annotated[DateList | DatesText, either(DateList, DatesText, is_one=lambda value: not isinstance(value, str))]

_FORMS: Final = "wall time (`2026-03-02T09:00:00`, `20260302T090000`), an instant (with `Z` or an offset) or a day"
_DATES: Final = "one text with commas, or a list: wall times, instants, or days when all-day"


class RulePreviewRequest(ApiRequest):
    """A start and how it recurs, in the words of RFC 5545. Nothing of it is kept."""

    dtstart: MomentText = Field(
        description=f"The first start: {_FORMS}. A day makes it all-day; an instant is read as wall time of `tzid`.",
        examples=["2026-03-02T09:00:00"],
    )
    dtend: MomentText | None = Field(
        None, description="When the first one ends, exclusive, written likewise.", examples=["2026-03-02T10:00:00"]
    )
    duration: DurationText | None = Field(
        None,
        description=(
            "Instead of `dtend`, as RFC 5545 §3.3.6 writes it (`PT1H30M`): days and weeks by the calendar, the rest "
            "as exact time. Without either a day lasts a day, and a time is a moment."
        ),
    )
    tzid: ZoneName | None = Field(
        None,
        description="IANA zone of the wall times. Left out: that of your settings; UTC where nothing needs one.",
        examples=["America/New_York"],
    )
    rrule: RuleText | None = Field(
        None, description="The rule, with or without `RRULE:` before it.", examples=["FREQ=WEEKLY;BYDAY=MO;COUNT=10"]
    )
    rdate: Dates | None = Field(None, description=f"Further starts: {_DATES}.", examples=[["2026-03-05T09:00:00"]])
    exdate: Dates | None = Field(
        None, description=f"Starts that are left out: {_DATES}.", examples=[["2026-03-09T09:00:00"]]
    )
    all_day: StrictBool | None = Field(
        None, description="Left out: all-day when `dtstart` is a day. False takes a day for its midnight."
    )
    count: StrictInt = Field(
        MOST_SHOWN, ge=1, le=MOST_SHOWN, description="Most occurrences that are shown.", examples=[10]
    )
    after: Timestamp | None = Field(
        None, description="Only occurrences that start at this moment or later; left out: all from the first."
    )


class PreviewedOccurrence(ApiModel):
    start: Timestamp = Field(description="When it begins; all-day at midnight of its first day in `tzid`.")
    end: Timestamp = Field(description="When it ends, exclusive; all-day at the midnight after its last day.")
    start_date: date | None = Field(description="The first day of an all-day one, wherever.", examples=["2026-03-02"])
    end_date: date | None = Field(description="The day after the last of an all-day one.", examples=["2026-03-03"])


class PreviewWarning(ApiModel):
    """Something that may not be what was meant."""

    code: Surprise = Field(
        description=(
            "EMPTY: no occurrence is left; an event would be refused. DST_GAP: clocks skip its time. DST_OVERLAP: "
            "clocks show its time twice. SKIPPED_DATES: some months or years lack the day. START_OUTSIDE_RULE: the "
            "start does not fit the rule, which begins later."
        ),
        examples=["DST_GAP"],
    )
    detail: str = Field(
        description="In a sentence.",
        examples=["On 8 March 2026 clocks go forward and skip 02:30: it takes place at 03:30."],
    )
    dates: list[date] = Field(description="The days it is about, where they can be told.", examples=[["2026-03-08"]])


class RulePreview(ApiModel):
    """What somebody gets who saves it so."""

    occurrences: list[PreviewedOccurrence] = Field(description="By their start.")
    has_more: bool = Field(description="Whether more come after those shown.")
    rrule: str | None = Field(
        description="The rule as it would be kept: normal form, UNTIL in UTC.", examples=["FREQ=WEEKLY;BYDAY=MO"]
    )
    text: str = Field(description="The same for people.", examples=["Every week on Monday at 09:00, 10 times"])
    warnings: list[PreviewWarning] = Field(
        description="What may surprise; changes of clocks are looked for in the two years from the first shown."
    )
