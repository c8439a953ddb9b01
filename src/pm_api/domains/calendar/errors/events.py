"""What may be wrong with events, and with how they are asked for."""

from typing import Final

from pm_api.core.errors import Forbidden, NotFound, Unprocessable, ValidationFailed


class EventNotFound(NotFound):
    """There is no such event, or you do not see it.

    An event is named by its id; an occurrence of a series by `{eventId}_{original start, UTC, YYYYMMDDTHHMMSSZ}`.
    """

    code = "event_not_found"


class EventNotYours(Forbidden):
    """Events are changed by their organizer, by whoever made them, and by administrators who see what they are."""

    code = "event_not_yours"


class OccurrenceRequired(Unprocessable):
    """`scope=this` and `scope=following` are about one occurrence of a series: name it in the address."""

    code = "occurrence_required"


class SeriesFieldOfOccurrence(Unprocessable):
    """A field that is of the whole series cannot be changed in one occurrence.

    One occurrence has a time, a title, a description, a place, a kind, who comes and what it is to their time. Send
    all else with `scope=all` or `scope=following`.
    """

    code = "series_field_of_occurrence"


class TooManyEvents(Unprocessable):
    """There are more than 10,000 events and series in this range of time; ask for a shorter one."""

    code = "too_many_events"


class WorkspaceOfEventFixed(Unprocessable):
    """An event stays in its workspace."""

    code = "workspace_of_event_fixed"


MOST_EVENTS: Final = 10_000


def refused(pointer: str, detail: str) -> ValidationFailed:
    """A value that is wrong, by the field of the request it stands in."""
    return ValidationFailed(f"{pointer.lstrip('/')}: {detail}", details=[{"pointer": pointer, "detail": detail}])
