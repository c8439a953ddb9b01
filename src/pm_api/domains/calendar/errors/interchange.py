"""Refusals of calendars as files, and of feeds."""

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class InvalidCalendar(Unprocessable):
    """The file is no calendar that can be taken in, so nothing of it was.

    A file is iCalendar (RFC 5545), UTF-8, with at most 1,000 events and 5 MB. A single event that cannot be taken in
    does not hinder the others: the report tells why.
    """

    code = "invalid_calendar"


class FeedNotFound(NotFound):
    """There is no such feed: it was never made, was revoked, or who made it does not see the calendar any more."""

    code = "feed_not_found"


class TooManyFeeds(Conflict):
    """You have 20 feeds of this workspace, which is the most; revoke one first."""

    code = "too_many_feeds"
