"""What a copy of a project takes along: higher slices put their own copiers on the list.

They do so in a module that `registry.py` imports. Statuses, labels and fields are copied by this slice, before.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.projects.models import Project


@dataclass(frozen=True, slots=True)
class Copy:
    """A project and the new one made of it. Status and field keys are the same in both; labels have new ids."""

    source: Project
    target: Project
    label_ids: Mapping[UUID, UUID]


Copier = Callable[[AsyncSession, Platform, WorkspaceScope, Copy], Awaitable[int]]
"""Returns how many rows it has copied. Both projects are locked; the caller sees the source."""

_COPIERS: Final[dict[str, Copier]] = {}


def register(kind: str, copier: Copier) -> None:
    if kind in _COPIERS:
        raise TypeError(f"two slices copy the {kind!r} of projects")
    _COPIERS[kind] = copier


async def copy_contents(session: AsyncSession, platform: Platform, scope: WorkspaceScope, copy: Copy) -> int:
    """All that the higher slices have in the source; returns how many rows that was."""
    return sum([await _COPIERS[kind](session, platform, scope, copy) for kind in sorted(_COPIERS)])
