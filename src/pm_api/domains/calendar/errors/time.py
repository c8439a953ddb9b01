"""Refusals of free time, conflicts and working hours."""

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class PersonNotFound(NotFound):
    """Nobody with this id is a member whose time you may ask for.

    A guest asks for the time of those who see a project with them.
    """

    code = "person_not_found"


class CalendarConflict(Conflict):
    """Somebody who takes part has something else at that time, and `conflictPolicy` is REJECT.

    `conflicts` lists the first 20 by time; what you may not see is Busy. Send WARN to write it all the same and be
    told of them, or ask `POST /api/calendar/find-time` for a time that suits.
    """

    code = "calendar_conflict"


class AttendeesUnknown(Unprocessable):
    """Only members whose time you may ask for can be looked for; `details` names the others."""

    code = "attendees_unknown"
