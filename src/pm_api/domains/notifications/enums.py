"""Words of notifications, written exactly as on the wire."""

from enum import StrEnum
from typing import Final


class Category(StrEnum):
    """What a notification is about; new ones are added here alone, the table takes any text."""

    CREDITS = "CREDITS"
    BILLING = "BILLING"
    WORKSPACE = "WORKSPACE"
    SECURITY = "SECURITY"
    REMINDERS = "REMINDERS"
    TASKS = "TASKS"
    MESSAGES = "MESSAGES"
    CALENDAR = "CALENDAR"
    FILES = "FILES"


REQUIRED: Final = frozenset({Category.BILLING, Category.SECURITY})
"""What nobody can switch off: receipts, payments that failed, and what happens to their account's door."""


class Delivery(StrEnum):
    """When mails of a category go out: each at once, or what is unread together in one mail."""

    INSTANT = "INSTANT"
    HOURLY = "HOURLY"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"


class Weekday(StrEnum):
    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"

    @property
    def number(self) -> int:
        """As in ISO 8601: Monday is 1."""
        return list(Weekday).index(self) + 1


DIGEST_HOUR: Final = 8
DIGEST_WEEKDAY: Final = Weekday.MONDAY
"""When digests come to who has not chosen: their own morning, and Monday's for the weekly one."""
