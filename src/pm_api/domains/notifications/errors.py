"""Refusals of notifications."""

from pm_api.core.errors import NotFound, Unprocessable


class InvalidSnooze(Unprocessable):
    """A notification can be put to sleep until a time that is still to come, at most a year from now."""

    code = "invalid_snooze"


class ChannelRequired(Unprocessable):
    """What is about payments and about the security of your account is always told: in the app, by mail, at once."""

    code = "channel_required"


class UnknownUnsubscribeLink(NotFound):
    """This link does not stop any mails: it is not whole, or was not made by us. Copy all of it from the mail."""

    code = "unknown_unsubscribe_link"
