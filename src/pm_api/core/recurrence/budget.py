"""What one answer may cost, counted in steps: a period looked at, a day tried or an instant made is one step.

Steps, unlike seconds, are the same on every machine, so a test can state what a window costs.
"""

from typing import Final

from pm_api.core.recurrence.errors import RuleTooComplex

STEPS: Final = 40_000
"""Enough for 1,000 occurrences of any admitted rule; about 40 ms of a slow machine."""


class Budget:
    """Counts steps, and refuses when they are used up: an expansion is whole or refused, never cut silently."""

    __slots__ = ("kept", "limit", "spent")

    def __init__(self, limit: int = STEPS) -> None:
        self.limit = limit
        self.spent = 0
        self.kept: dict[object, object] = {}
        """What one answer has worked out, so that it pays once."""

    def spend(self, steps: int = 1) -> None:
        """Raises RuleTooComplex."""
        self.spent += steps
        if self.spent > self.limit:
            raise RuleTooComplex
