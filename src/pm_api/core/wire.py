"""What became of the writes of one piece of work, told by the doors they leave through.

A flow must know whether something may stand at a provider now. Every door that writes tells it here: `calling` before
a call leaves, and for one that writes `unsent` when it surely did not, or `answered` with the status that came back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Writes:
    """What left, as far as anybody knows. Work under a door that tells nothing counts as unknown."""

    told: bool = False
    left: int = 0
    last_status: int | None = None

    @property
    def surely_none(self) -> bool:
        """Nothing can stand at the provider."""
        return self.told and self.left == 0

    @property
    def failed_there(self) -> bool:
        """The provider itself answered the last write with a failure, which it may keep under the key."""
        return self.last_status is not None and self.last_status >= 500


_writes: ContextVar[Writes | None] = ContextVar("writes", default=None)


@contextmanager
def watching() -> Iterator[Writes]:
    """What is written inside, also by tasks that begin inside."""
    seen = Writes()
    token = _writes.set(seen)
    try:
        yield seen
    finally:
        _writes.reset(token)


def calling(*, writes: bool) -> None:
    """A call is about to leave."""
    seen = _writes.get()
    if seen is not None:
        seen.told = True
        if writes:
            seen.left += 1
            seen.last_status = None


def told_elsewhere() -> None:
    """What is done now has a record of its own to tell of it: of the work around it nothing left by that."""
    seen = _writes.get()
    if seen is not None:
        seen.told = True


def unsent() -> None:
    """The write that was about to leave did not: there was no connection."""
    seen = _writes.get()
    if seen is not None:
        seen.left -= 1


def answered(status: int) -> None:
    """The provider answered the write. A refusal for want of a key, a right or patience has done nothing."""
    seen = _writes.get()
    if seen is not None:
        seen.last_status = status
        if status in (401, 403, 429):
            seen.left -= 1
