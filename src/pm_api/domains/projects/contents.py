"""What higher slices keep in a project: each says how its rows leave a status, and how they end with the project.

They put themselves on the list in a module that `registry.py` imports. Tables that go with the project by their
foreign key (ON DELETE CASCADE) need no entry.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform

CountIn = Callable[[AsyncSession, UUID, str], Awaitable[int]]
"""(session, project id, key of a status) -> how many rows stand there, deleted ones too."""
MoveOut = Callable[[AsyncSession, Platform, WorkspaceScope, UUID, str, str], Awaitable[int]]
"""(…, project id, from, to) -> how many have moved. The project's row is locked; deleted rows move too."""
Erase = Callable[[AsyncSession, Platform, UUID, int], Awaitable[int]]
"""(…, project id, most rows) -> how many were deleted for good; fewer than asked for: none is left."""
ForgetField = Callable[[AsyncSession, UUID, str], Awaitable[int]]
"""(session, project id, key of a field) -> how many rows said something in it; deleted ones too."""


@dataclass(frozen=True, slots=True)
class Content:
    """One kind of thing. Without `count_in` it stands in no status; `order` is that of erasing, lower ones first."""

    kind: str
    erase: Erase | None = None
    count_in: CountIn | None = None
    move_out: MoveOut | None = None
    forget_field: ForgetField | None = None
    order: int = 0


_KINDS: Final[dict[str, Content]] = {}


def register(content: Content) -> None:
    if content.kind in _KINDS:
        raise TypeError(f"two slices keep {content.kind!r} in projects")
    _KINDS[content.kind] = content


async def count_in_status(session: AsyncSession, project_id: UUID, key: str) -> int:
    return sum([await one.count_in(session, project_id, key) for one in _in_order() if one.count_in is not None])


async def move_out(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, *, leaves: str, to: str
) -> int:
    """Everything in one status goes on in another; returns how much that was."""
    return sum(
        [
            await one.move_out(session, platform, scope, project_id, leaves, to)
            for one in _in_order()
            if one.move_out is not None
        ]
    )


async def forget_field(session: AsyncSession, project_id: UUID, key: str) -> None:
    for one in _in_order():
        if one.forget_field is not None:
            await one.forget_field(session, project_id, key)


async def erase(session: AsyncSession, platform: Platform, project_id: UUID, most: int) -> int:
    """Delete some of what a project holds, for good; fewer than `most`: nothing is left."""
    erased = 0
    for one in _in_order():
        if one.erase is not None and erased < most:
            erased += await one.erase(session, platform, project_id, most - erased)
    return erased


def _in_order() -> list[Content]:
    return sorted(_KINDS.values(), key=lambda one: (one.order, one.kind))
