"""What a person leaves behind in a workspace: each slice says what of its rows is somebody's, and hands it over.

The list stands this low so that every slice can be on it and whoever removes a person knows none of them. A slice
puts itself on it in a module that `registry.py` imports. All of it happens under the workspace's lock.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor
from pm_api.core.platform import Platform


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whose things are counted, where, and by whose doing."""

    actor: Actor
    workspace_id: UUID
    user_id: UUID


Count = Callable[[AsyncSession, Platform, Leaver], Awaitable[int]]
HandOver = Callable[[AsyncSession, Platform, Leaver, UUID], Awaitable[int]]
"""Takes the user they go to, and returns how many have gone."""
Settle = Callable[[AsyncSession, Platform, Leaver], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Belonging:
    """One kind of thing. `stays` is what becomes of those that nobody takes over; without `hand_over` nobody can.
    `settle` sees to what must not be nobody's, whatever was handed over, before the person is out of their circles.
    """

    kind: str
    stays: str
    count: Count
    hand_over: HandOver | None = None
    settle: Settle | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """So many of a kind, and how many of them somebody else has now."""

    kind: str
    count: int
    reassigned: int
    stays: str
    can_be_reassigned: bool


_KINDS: Final[dict[str, Belonging]] = {}


def register(belonging: Belonging) -> None:
    if belonging.kind in _KINDS:
        raise TypeError(f"two slices count belongings of the kind {belonging.kind!r}")
    _KINDS[belonging.kind] = belonging


async def left_by(session: AsyncSession, platform: Platform, leaver: Leaver, to_user_id: UUID | None) -> list[Left]:
    """What there is of each kind; with `to_user_id`, handed over where that is possible. Kinds without any are left
    out. They are asked in the order of their names, so that two removals cannot wait for each other.
    """
    found = []
    for kind in sorted(_KINDS):
        belonging = _KINDS[kind]
        count = await belonging.count(session, platform, leaver)
        reassigned = 0
        if count and to_user_id is not None and belonging.hand_over is not None:
            reassigned = await belonging.hand_over(session, platform, leaver, to_user_id)
        if count:
            found.append(Left(kind, count, reassigned, belonging.stays, belonging.hand_over is not None))
    return found


async def settle(session: AsyncSession, platform: Platform, leaver: Leaver) -> None:
    """The person goes now. What they alone held together goes to somebody."""
    for kind in sorted(_KINDS):
        to_settle = _KINDS[kind].settle
        if to_settle is not None:
            await to_settle(session, platform, leaver)
