"""Who has stayed away for as many days as they chose, and not been reminded since."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.notifications.repository import absences as repository
from pm_api.domains.notifications.repository import choices

COUNTED: Final = 100
NEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Absence:
    """Away since then. `unread` is counted to 100; `newest` are titles."""

    since: datetime
    days: int
    unread: int
    newest: tuple[str, ...]

    @property
    def shown(self) -> str:
        return f"{COUNTED} or more" if self.unread >= COUNTED else str(self.unread)


async def due(session: AsyncSession, now: datetime, after: UUID | None, limit: int) -> Sequence[UUID]:
    """People to be reminded at a moment: the reminder is on, and so is its mail. A page by id, after that one."""
    return await repository.due(session, now, after, limit=limit)


async def claim(session: AsyncSession, platform: Platform, user_id: UUID) -> Absence | None:
    """Take one person's absence, once: it is over for us, whatever comes of it. None when they are back, or another
    worker was faster.
    """
    now = platform.clock.now()
    row = await choices.lock_preferences(session, user_id, now)
    since = await repository.absent_since(session, user_id, now)
    if since is None:
        return None
    row.reminded_at = now
    titles = await repository.unread_titles(session, user_id, now, limit=COUNTED)
    return Absence(since, (now - since).days, len(titles), tuple(titles[:NEWEST]))
