"""Refusals of rooms."""

from typing import Final

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class ResourceNotFound(NotFound):
    """There is no such room in this workspace."""

    code = "resource_not_found"


class ResourceExists(Conflict):
    """The workspace has a room with this name already."""

    code = "resource_exists"


class TooManyResources(Conflict):
    """A workspace has 1,000 rooms at most."""

    code = "too_many_resources"


class ResourceBooked(Conflict):
    """The room is taken from now on, and so it cannot be changed like this.

    To delete it all the same, and take it away from the events that have it, send `unbook=true`: their organizers are
    told. To keep what is booked and take no more, set `isActive` to false. The zone cannot be changed while all-day
    events have the room: their bookings lie by it.
    """

    code = "resource_booked"


class ResourceTaken(Conflict):
    """The room is taken at that time.

    `conflicts` lists the first 20 times by their start; what you may not see is Busy.
    """

    code = "resource_taken"


class InvalidResources(Unprocessable):
    """An event takes rooms of its own workspace that are in use; each is named by its id."""

    code = "invalid_resources"


class TooManyBookings(Unprocessable):
    """An event that has a room takes place at most 5,000 times in three years: the last one and the next two."""

    code = "too_many_bookings"


BOOKING: Final = (ResourceTaken, InvalidResources, TooManyBookings)
"""What booking a room raises, wherever an event is written."""
