"""Who goes, what stands in the way, and what each slice does about it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform

DELETED_USER: Final = "Deleted user"
"""What stands where a name stood."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody whose account is being erased. `closed` are the workspaces that go with them, `left` those that others
    stay in. Address and name are what they were, `former` other addresses of theirs; empty once the erasure is done.
    """

    user_id: UUID
    email: str
    name: str
    closed: tuple[UUID, ...] = ()
    left: tuple[UUID, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one for one in (self.email, *self.former) if one))

    @property
    def account_ids(self) -> tuple[UUID, ...]:
        """The accounts that end: their own, and those of the workspaces that go with them."""
        return (self.user_id, *self.closed)

    @property
    def words(self) -> tuple[str, ...]:
        """What to strike out of other people's texts."""
        return (*self.addresses, *((self.name,) if self.name else ()))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing to settle before an account can be deleted; `facts` name it on the wire."""

    code: str
    detail: str
    facts: Mapping[str, str] = field(default_factory=dict)


Look = Callable[[AsyncSession, UUID, Collection[UUID]], Awaitable[Sequence[Obstacle]]]
"""What stands in a person's way: their id, and the accounts that would end with theirs."""
Step = Callable[[Platform, Leaving], Awaitable[None]]
"""Opens its own short transactions, so that it may go over a wire. It may have been done before, whole or in part."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One slice's part of an erasure. `again`: it is done once more for a while after, for what comes late."""

    name: str
    order: int
    run: Step
    again: bool


_LOOKS: Final[dict[str, Look]] = {}
_ENDINGS: Final[dict[str, Ending]] = {}


def obstructs(name: str) -> Callable[[Look], Look]:
    """Register what a slice wants settled first."""

    def register(look: Look) -> Look:
        if _LOOKS.setdefault(name, look) is not look:
            raise TypeError(f"two functions look for the obstacles of {name!r}")
        return look

    return register


def ends(name: str, *, order: int, again: bool = False) -> Callable[[Step], Step]:
    """Register what a slice does when a person goes; lower orders first."""

    def register(step: Step) -> Step:
        if name in _ENDINGS:
            raise TypeError(f"two steps claim the name {name!r}")
        _ENDINGS[name] = Ending(name, order, step, again)
        return step

    return register


async def obstacles(session: AsyncSession, user_id: UUID, account_ids: Collection[UUID]) -> list[Obstacle]:
    """All of them, slice by slice."""
    return [one for name in sorted(_LOOKS) for one in await _LOOKS[name](session, user_id, account_ids)]


def endings() -> list[Ending]:
    """In the order in which they are done."""
    return sorted(_ENDINGS.values(), key=lambda one: (one.order, one.name))
