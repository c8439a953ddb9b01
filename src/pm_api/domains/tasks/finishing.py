"""What follows when a task is done. `recurring` registers here, so that whoever writes tasks need not know of it."""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks.models import Task

Follow = Callable[[AsyncSession, Platform, WorkspaceScope, Task], Awaitable[None]]

_FOLLOWING: Final[dict[str, Follow]] = {}


def register(name: str, follow: Follow) -> None:
    """To be done, in the same transaction, whenever a task comes to DONE."""
    _FOLLOWING[name] = follow


async def finished(session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task) -> None:
    """A locked task was just done, and that is written."""
    for follow in list(_FOLLOWING.values()):
        await follow(session, platform, scope, task)
