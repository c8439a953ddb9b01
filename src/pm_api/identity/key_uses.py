"""When each API key was last used: written beside the requests and never in their way, once a minute at most."""

import asyncio
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from pm_api.core.platform import Platform
from pm_api.identity.repository import credentials

_log = structlog.get_logger(__name__)


class KeyUses:
    """Takes note, and writes in tasks of its own. What a dying process had not written is lost: it is a hint."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._writing: dict[UUID, asyncio.Task[None]] = {}

    def note(self, key_id: UUID, last_used_at: datetime | None) -> None:
        """A key was looked up just now; `last_used_at` is what its row says."""
        now = self._platform.clock.wall()
        if last_used_at is not None and now - last_used_at < credentials.USED_AT_EVERY:
            return
        if key_id not in self._writing:
            self._writing[key_id] = asyncio.create_task(self._write(key_id, now), name="key-use")

    async def _write(self, key_id: UUID, now: datetime) -> None:
        try:
            async with self._platform.database.transaction() as session:
                await credentials.note_use(session, key_id, now)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("key_use_not_written", error=repr(error))
        finally:
            del self._writing[key_id]

    async def settled(self) -> None:
        """Until all that was noted is written."""
        while self._writing:
            await asyncio.gather(*self._writing.values(), return_exceptions=True)
