"""Words of notifications, written exactly as on the wire."""

from enum import StrEnum
from typing import Final


class Category(StrEnum):
    """What a notification is about; new ones are added here alone, the table takes any text."""

    CREDITS = "CREDITS"
    BILLING = "BILLING"
    WORKSPACE = "WORKSPACE"
    SECURITY = "SECURITY"


REQUIRED: Final = frozenset({Category.BILLING, Category.SECURITY})
"""What nobody can switch off: receipts, payments that failed, and what happens to their account's door."""
