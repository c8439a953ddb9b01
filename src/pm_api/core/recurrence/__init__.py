"""Recurrence: pure (no session, no clock, no I/O but the zone tables), used by calendar and tasks alike.

    series = admit(Placement.timed(start, end, "America/New_York"), rrule="FREQ=WEEKLY;BYDAY=MO")
    expand(series, Window(monday, next_monday), viewer="Europe/Berlin")

A rule is checked once and bounded for ever: `rules` and `parsing` say what it is, `admission` what may be stored,
`expansion` its wall times, `sets` what somebody sees in a window, `splitting` cuts a series in two, `wording` and
`previewing` tell it to a person. Wall time first, then the time line (`zones`): RFC 5545 §3.3.5, §3.3.10, §3.8.5.
"""

from pm_api.core.recurrence.admission import admit
from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.identifiers import occurrence_id, parse_occurrence_id
from pm_api.core.recurrence.placement import Placement, Span, Window
from pm_api.core.recurrence.previewing import Preview, Surprise, Warned, preview, text_of, try_out
from pm_api.core.recurrence.rules import Frequency, Rule
from pm_api.core.recurrence.sets import (
    Bounds,
    Occurrence,
    Override,
    RecurrenceSet,
    bounds,
    expand,
    first_live,
    occurrence_at,
    upcoming,
)
from pm_api.core.recurrence.splitting import Split, split
from pm_api.core.recurrence.wording import describe
from pm_api.core.recurrence.zones import tzdata_version, zone, zone_or_utc

__all__ = [
    "Bounds",
    "Budget",
    "Frequency",
    "Occurrence",
    "Override",
    "Placement",
    "Preview",
    "RecurrenceSet",
    "Rule",
    "Span",
    "Split",
    "Surprise",
    "Warned",
    "Window",
    "admit",
    "bounds",
    "describe",
    "expand",
    "first_live",
    "occurrence_at",
    "occurrence_id",
    "parse_occurrence_id",
    "preview",
    "split",
    "text_of",
    "try_out",
    "tzdata_version",
    "upcoming",
    "zone",
    "zone_or_utc",
]
