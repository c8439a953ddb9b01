"""Shapes of what people choose to be told, where and when."""

import re
from datetime import time
from typing import Annotated, Any, Final, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictInt,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.notifications.enums import DIGEST_HOUR, DIGEST_WEEKDAY, Category, Delivery, Weekday

CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
LEAST_DAYS: Final = 7
"""No fewer than the days of grace of a deletion: who has asked to go is not called back."""
MOST_DAYS: Final = 90


def _clock(value: object) -> object:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and CLOCK.fullmatch(value):
        return time(int(value[:2]), int(value[3:]))
    raise ValueError("must be a time of the day such as 22:00")


ClockTime = Annotated[
    time,
    BeforeValidator(_clock),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$", "examples": ["22:00"]}),
]

FROM: Final[Any] = Field(alias="from", description="When they begin, as your clock shows it.", examples=["22:00"])
TO: Final[Any] = Field(
    alias="to",
    description="When they end; on the next day when this is earlier than `from`.",
    examples=["07:00"],
)
AFTER_DAYS: Final[Any] = Field(
    description=f"After how many days without you, {LEAST_DAYS} to {MOST_DAYS}.",
    ge=LEAST_DAYS,
    le=MOST_DAYS,
    examples=[14],
)
QUIET: Final = (
    "When no mail is to reach you, in the time zone of your account; null for never. What comes then waits until "
    "they end. What is about payments and the security of your account is sent all the same."
)
REMINDER: Final = (
    "One mail when you have not been here for a while, with what waits for you; null, as it is at first, for none. "
    "Each costs the credits of INACTIVITY_REMINDER from your own wallet; without them, or without mail, none is sent."
)
HOUR: Final = "The hour at which your daily and weekly mails come, in the time zone of your account."
WEEKDAY: Final = "The day on which your weekly mail comes."
DELIVERY: Final = (
    "INSTANT sends each mail at once; HOURLY, DAILY and WEEKLY send one mail of what is unread then, and none when "
    "everything is read."
)


class CategoryPreference(ApiModel):
    """Where and when you are told of one category."""

    category: Category = Field(description="What it is about.", examples=["CREDITS"])
    in_app: bool = Field(description="Shown inside the app. Otherwise it is put into the archive at once, unread.")
    mail: bool = Field(description="Sent by mail, to the address you have when it is sent.")
    webhook: bool = Field(
        description="What is about a workspace is told to its webhook endpoints too, at once, as "
        "`notification.created`: the notification's id, which you alone can read."
    )
    delivery: Delivery = Field(description=DELIVERY, examples=["DAILY"])
    is_required: bool = Field(
        description="True for payments and the security of your account: inside the app and by mail, at once and in "
        "quiet hours too.",
        examples=[False],
    )


class QuietHoursRead(ApiModel):
    """Hours in which no mail reaches you."""

    begin: ClockTime = FROM
    end: ClockTime = TO


class InactivityReminderRead(ApiModel):
    """A reminder that costs credits."""

    after_days: int = AFTER_DAYS


class PreferencesRead(ApiModel):
    """What you are told, where and when."""

    categories: list[CategoryPreference] = Field(description="Every category there is.")
    quiet_hours: QuietHoursRead | None = Field(description=QUIET)
    digest_hour: int = Field(description=HOUR, ge=0, le=23, examples=[8])
    digest_weekday: Weekday = Field(description=WEEKDAY, examples=["MONDAY"])
    inactivity_reminder: InactivityReminderRead | None = Field(description=REMINDER)
    version: int = Field(description="Counts changes; 0 while you have chosen nothing.", examples=[1])


class PreferencesAnswer(ApiModel):
    preferences: PreferencesRead = Field(description="Your choices as they are now.")


class CategoryChoice(ApiRequest):
    """Where and when you want to be told of one category."""

    category: Category = Field(description="What it is about.", examples=["CREDITS"])
    in_app: bool = Field(True, description="Show it inside the app.", examples=[True], strict=True)
    mail: bool = Field(True, description="Send it by mail.", examples=[False], strict=True)
    webhook: bool = Field(
        False, description="Tell the workspace's webhook endpoints that you were told.", examples=[False], strict=True
    )
    delivery: Delivery = Field(Delivery.INSTANT, description=DELIVERY, examples=["DAILY"])


class QuietHoursChoice(ApiRequest):
    """Hours in which no mail is to reach you."""

    begin: ClockTime = FROM
    end: ClockTime = TO

    @model_validator(mode="after")
    def _not_the_whole_day(self) -> Self:
        if self.begin == self.end:
            raise ValueError("must begin and end at different times")
        return self


class InactivityReminderChoice(ApiRequest):
    """Remind me, for credits."""

    after_days: StrictInt = AFTER_DAYS


def _each_once(value: list[CategoryChoice]) -> list[CategoryChoice]:
    if len({one.category for one in value}) < len(value):
        raise ValueError("must name each category at most once")
    return value


class PreferencesWrite(ApiRequest):
    """All your choices. What is left out is as it is for everybody."""

    categories: list[CategoryChoice] = Field(
        max_length=len(Category),
        description="Your choices, each category once. One left out is on again inside the app and by mail, at once.",
    )
    quiet_hours: QuietHoursChoice | None = Field(None, description=QUIET)
    digest_hour: StrictInt = Field(DIGEST_HOUR, description=HOUR, ge=0, le=23, examples=[8])
    digest_weekday: Weekday = Field(DIGEST_WEEKDAY, description=WEEKDAY, examples=["MONDAY"])
    inactivity_reminder: InactivityReminderChoice | None = Field(None, description=REMINDER)

    _categories = field_validator("categories")(_each_once)


class PreferencesUpdate(ApiRequest):
    """Some of your choices; what is left out stays, null clears."""

    categories: list[CategoryChoice] = Field(
        [], max_length=len(Category), description="Those you choose anew, each once and whole; the others stay."
    )
    quiet_hours: QuietHoursChoice | None = Field(None, description=QUIET)
    digest_hour: StrictInt = Field(DIGEST_HOUR, description=HOUR, ge=0, le=23, examples=[8])
    digest_weekday: Weekday = Field(DIGEST_WEEKDAY, description=WEEKDAY, examples=["MONDAY"])
    inactivity_reminder: InactivityReminderChoice | None = Field(None, description=REMINDER)

    _categories = field_validator("categories")(_each_once)
