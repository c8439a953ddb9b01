"""Tables of the calendar, one module a noun."""

from pm_api.domains.calendar.models.events import CalendarEvent, CalendarHome, CalendarOverride, CalendarReach
from pm_api.domains.calendar.models.people import (
    CalendarAnswer,
    CalendarAttendee,
    CalendarLetter,
    CalendarReminder,
    CalendarSnooze,
    CalendarWorkingHours,
)
from pm_api.domains.calendar.models.places import (
    CalendarBooking,
    CalendarEventResource,
    CalendarFeed,
    CalendarResource,
)
from pm_api.domains.calendar.models.zones import CalendarZoneTable

__all__ = [
    "CalendarAnswer",
    "CalendarAttendee",
    "CalendarBooking",
    "CalendarEvent",
    "CalendarEventResource",
    "CalendarFeed",
    "CalendarHome",
    "CalendarLetter",
    "CalendarOverride",
    "CalendarReach",
    "CalendarReminder",
    "CalendarResource",
    "CalendarSnooze",
    "CalendarWorkingHours",
    "CalendarZoneTable",
]
