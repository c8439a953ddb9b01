"""Refusals of notifications."""

from pm_api.core.errors import Unprocessable


class InvalidSnooze(Unprocessable):
    """A notification can be put to sleep until a time that is still to come, at most a year from now."""

    code = "invalid_snooze"
