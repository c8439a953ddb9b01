"""Business time: the wall clock plus an offset that tests and the sandbox move; wall time for signatures.

The offset is a row (`business_clock`), so every process of one installation lives in the same time. It can never
move in production. What is due is computed against this clock, never awaited by a timer.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Business time, UTC."""
        ...

    def wall(self) -> datetime:
        """The real time, UTC: tokens, signatures, rate limits."""
        ...


class SystemClock:
    """The wall clock shifted by an offset; the offset follows the database row."""

    def __init__(self) -> None:
        self._offset = timedelta(0)

    @property
    def offset(self) -> timedelta:
        return self._offset

    def shift_to(self, offset: timedelta) -> None:
        """Somebody has moved the time."""
        self._offset = offset

    def follow(self, offset: timedelta) -> None:
        """What the row says, read again."""
        self.shift_to(offset)

    def now(self) -> datetime:
        return self.wall() + self._offset

    def wall(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)
