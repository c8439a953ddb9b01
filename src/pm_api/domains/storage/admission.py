"""Who is let to the database with an upload, and when.

All uploads into one account want the same counters, one after the other. Whoever waits for them waits here, first
come first served and with nothing in hand: a wait for the row's lock would keep a connection, and a hundred uploads
of one account would keep all connections from everybody else, until they hear that the database cannot be reached.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import Unavailable
from pm_api.core.platform import Platform
from pm_api.domains.storage.accounts import Account

MOST_INSIDE: Final = 1000
LONGEST_WAIT_S: Final = 60.0
RETRY_AFTER_S: Final = 5


@dataclass(slots=True)
class _Line:
    """Those of one account: one is at work, the others wait."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    people: int = 0


class Admission:
    """The lines of one process, and half of its connections for all of them together. Other processes have lines of
    their own: the locks in the database keep the books right, this is only where one waits for them.
    """

    def __init__(
        self, connections: int, *, most_inside: int = MOST_INSIDE, longest_wait_s: float = LONGEST_WAIT_S
    ) -> None:
        self._places = asyncio.Semaphore(max(1, connections // 2))
        self._lines: dict[UUID, _Line] = {}
        self._inside = 0
        self._most_inside = most_inside
        self._longest_wait_s = longest_wait_s

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Be one of the few who use the database for an upload: for a short read. Hold no session when you ask, and
        no other place. Raises Unavailable when too many wait already, or others take too long.
        """
        async with self._let_in(None):
            yield

    @asynccontextmanager
    async def turn(self, account: Account) -> AsyncIterator[None]:
        """The same, and be the only one of this process who changes what the account takes up."""
        line = self._lines.setdefault(account.id, _Line())
        line.people += 1
        try:
            async with self._let_in(line.turn):
                yield
        finally:
            line.people -= 1
            if not line.people:
                del self._lines[account.id]

    @asynccontextmanager
    async def _let_in(self, turn: asyncio.Lock | None) -> AsyncIterator[None]:
        if self._inside >= self._most_inside:
            raise Unavailable("Too many uploads are waiting already.", retry_after_s=RETRY_AFTER_S)
        self._inside += 1
        try:
            async with AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(self._longest_wait_s):
                        if turn is not None:  # before the place: who has one waits for nobody's turn
                            await held.enter_async_context(turn)
                        await held.enter_async_context(self._places)
                except TimeoutError:
                    raise Unavailable("Other uploads are not done yet.", retry_after_s=RETRY_AFTER_S) from None
                yield
        finally:
            self._inside -= 1


@asynccontextmanager
async def admitted(platform: Platform, account: Account) -> AsyncIterator[AsyncSession]:
    """A transaction that changes what an account takes up, once its turn has come. Raises Unavailable."""
    async with platform.part(Admission).turn(account), platform.database.transaction() as session:
        yield session
