"""Refusals of recurring tasks."""

from pm_api.core.errors import NotFound, Unprocessable


class RecurrenceNeedsDate(Unprocessable):
    """What comes again needs a date to do so: give the task a due date, or with the anchor `start` a start."""

    code = "recurrence_needs_date"


class NotRecurring(NotFound):
    """This task does not come again. Say how in a PUT, or in the query of the preview."""

    code = "task_not_recurring"
