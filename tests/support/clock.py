"""A clock that stands where a test puts it."""

from datetime import UTC, datetime, timedelta

from pm_api.core.clock import SystemClock


class MovableClock(SystemClock):
    """Runs with real time until moved; both business and wall time move together unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self._wall_shift = timedelta(0)
        self._followed = timedelta(0)

    def follow(self, offset: timedelta) -> None:
        """A row that has not changed since it was last read does not undo what the test did to this clock: whenever
        a listener has to connect again, it is read.
        """
        if offset != self._followed:
            self._followed = offset
            self.shift_to(offset)

    def wall(self) -> datetime:
        return super().wall() + self._wall_shift

    def advance(self, **duration: float) -> None:
        """Move wall and business time alike: `clock.advance(days=30)`."""
        self._wall_shift += timedelta(**duration)

    def advance_business(self, **duration: float) -> None:
        """Move business time alone: whoever is signed in stays so, however much time passes."""
        self.shift_to(self.offset + timedelta(**duration))

    def move_to(self, moment: datetime) -> None:
        self._wall_shift = moment.astimezone(UTC) - super().wall()

    def reset(self) -> None:
        self._wall_shift = timedelta(0)
        self.shift_to(timedelta(0))
