"""Alarms of an event (RFC 5545 §3.6.6) as reminders: those that lie whole minutes before its start, told by us.

Of every other one a note says that it was left out.
"""

from datetime import timedelta
from typing import Final

from pm_api.domains.calendar.enums import Channel
from pm_api.domains.calendar.ical import times
from pm_api.domains.calendar.ical.drafts import Item
from pm_api.domains.calendar.ical.entries import Alarm
from pm_api.domains.calendar.ical.lines import Component, plain
from pm_api.domains.calendar.ical.properties import note
from pm_api.domains.calendar.ical.times import NotThat
from pm_api.domains.calendar.schemas.events import MOST_REMINDERS

_CHANNELS: Final = {"DISPLAY": Channel.IN_APP, "AUDIO": Channel.IN_APP, "EMAIL": Channel.MAIL}
MOST_MINUTES: Final = 40_320
"""As of any reminder: four weeks."""
_NOTHING: Final = "NONE"
"""What some programs write so that no alarm of theirs is added."""


def alarms_of(event: Component, item: Item) -> tuple[Alarm, ...]:
    """The earliest first. By mail is in the app too, so of both at one time the former is kept."""
    found: dict[int, Channel] = {}
    for one in event.named("VALARM"):
        action = plain(one.text("ACTION")).strip().upper()
        if action == _NOTHING:
            continue
        try:
            minutes, channel = _minutes(one), _channel(action)
        except NotThat as error:
            note(item, f"An alarm was left out: {error}.")
            continue
        if minutes not in found and len(found) == MOST_REMINDERS:
            note(item, f"It has more than {MOST_REMINDERS} alarms; the rest was left out.")
            continue
        if one.first("REPEAT") is not None:
            note(item, "An alarm that repeats tells once here.")
        if found.get(minutes) is not Channel.MAIL:
            found[minutes] = channel
    return tuple(Alarm(minutes, channel) for minutes, channel in sorted(found.items(), reverse=True))


def _channel(action: str) -> Channel:
    if action not in _CHANNELS:
        raise NotThat(f"nothing here does its ACTION {action[:20]!r}" if action else "it has no ACTION")
    return _CHANNELS[action]


def _minutes(alarm: Component) -> int:
    trigger = alarm.first("TRIGGER")
    if trigger is None:
        raise NotThat("it has no TRIGGER")
    if trigger.parameter("VALUE").upper() == "DATE-TIME":
        raise NotThat("it is at a fixed time, not some time before the start")
    if trigger.parameter("RELATED").upper() == "END":
        raise NotThat("it goes by the end, not the start")
    minutes, rest = divmod(times.ahead_of(trigger.value), timedelta(minutes=1))
    if minutes < 0:
        raise NotThat("it comes after the start")
    if rest:
        raise NotThat("it is not whole minutes before the start")
    if minutes > MOST_MINUTES:
        raise NotThat(f"it is more than {MOST_MINUTES:,} minutes before the start")
    return minutes
