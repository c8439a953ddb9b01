"""How far projects are: whoever owns the work in them says how much there is, and how much of it is done.

The slice of tasks stands above this one, so it puts itself on the list, in a module that `registry.py` imports.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

Count = Callable[[AsyncSession, Collection[UUID]], Awaitable[Mapping[UUID, tuple[int, int]]]]
"""Takes the ids of projects; returns (how much there is, how much of it is done) of each that has any."""

_COUNTERS: Final[dict[str, Count]] = {}


@dataclass(frozen=True, slots=True)
class Progress:
    total: int = 0
    done: int = 0

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 says that nothing is left."""
        return self.done * 100 // self.total if self.total else 0


def register(kind: str, count: Count) -> None:
    if kind in _COUNTERS:
        raise TypeError(f"two slices count the {kind!r} of projects")
    _COUNTERS[kind] = count


async def progress_of(session: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """Of each project, in one query for every kind of work."""
    found = dict.fromkeys(project_ids, Progress())
    for kind in sorted(_COUNTERS):
        counted = await _COUNTERS[kind](session, project_ids)
        for project_id, before in found.items():
            total, done = counted.get(project_id, (0, 0))
            found[project_id] = Progress(before.total + total, before.done + done)
    return found
