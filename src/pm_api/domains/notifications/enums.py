"""Words of notifications, written exactly as on the wire."""

from enum import StrEnum


class Category(StrEnum):
    """What a notification is about; new ones are added here alone, the table takes any text."""

    CREDITS = "CREDITS"
    BILLING = "BILLING"
    WORKSPACE = "WORKSPACE"
