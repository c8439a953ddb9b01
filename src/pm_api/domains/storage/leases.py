"""One connection at a time sends to an upload, and the newest one is right.

A connection may be dead for minutes before its server notices, and it may hang at another process. So whoever comes
next never waits for that, nor is refused: it asks the holder, by a signal, to stop reading, to keep what came and to
let go. Who does not answer within some seconds is fenced off: the lease gets a new epoch, and what an older one
writes is not taken any more (`repository.chunks.advance`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Message, Receive

from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.core.signals import publish
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.models import UploadSession
from pm_api.domains.storage.repository import chunks

CHANNEL: Final = "pm_uploads"
LEASE: Final = timedelta(seconds=120)
RENEW_EVERY_S: Final = 30.0
"""A holder that reads says so this often, however slowly its bytes come."""
QUIET_S: Final = 0.03
DRAIN_S: Final = 0.3
"""Who lets go still reads what has arrived: until nothing comes for the one time, at most for the other."""
ASKED_AGAIN: Final = 3
"""How often somebody who waits asks whoever came in between, before taking the upload as it is."""

_log = structlog.get_logger(__name__)


class Ending(StrEnum):
    """Why a connection is not read any further."""

    TAKEN_OVER = "TAKEN_OVER"
    STALLED = "STALLED"
    SHUTDOWN = "SHUTDOWN"


class NoMore(Exception):
    """Nothing more is read from this connection."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things are waited for, in seconds."""

    handover_s: float = 3.0
    """For a holder to let go: it has one chunk to put, and one row to write."""
    poll_s: float = 0.05
    stall_s: float = 60.0
    """For the next bytes of a connection that has said nothing of its end."""
    body_s: float = 86_400.0
    """For the whole of a body that cannot be gone on with."""


class Lease:
    """An upload held by one request of this process."""

    def __init__(self, upload_id: UUID, epoch: int) -> None:
        self.upload_id = upload_id
        self.epoch = epoch
        self._ending: Ending | None = None
        self._reads_until = 0.0
        self._has_read = False
        self._reading: asyncio.Timeout | None = None

    def let_go(self, ending: Ending) -> None:
        """Stop reading, once what has arrived already is read."""
        if self._ending is not None:
            return
        now = asyncio.get_running_loop().time()
        self._ending, self._reads_until = ending, now + DRAIN_S
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(now + QUIET_S)

    async def read(self, receive: Receive, stall_s: float) -> Message:
        """The next message of the request; raises NoMore."""
        is_over = asyncio.get_running_loop().time() >= self._reads_until
        if self._ending is not None and self._has_read and is_over:
            raise NoMore(self._ending)
        # Whoever is pushed aside has read something before: many who push one another still get on.
        self._has_read = True
        try:
            async with asyncio.timeout(stall_s if self._ending is None else QUIET_S) as self._reading:
                return await receive()
        except TimeoutError:
            raise NoMore(self._ending or Ending.STALLED) from None
        finally:
            self._reading = None


class Leases:
    """The uploads that requests of this process hold."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._held: set[Lease] = set()
        self._ended = False
        self.patience = Patience()

    def __len__(self) -> int:
        return len(self._held)

    def be_patient(self, **seconds: float) -> None:
        """Wait longer or less long for something."""
        self.patience = replace(self.patience, **seconds)

    def on_signal(self, payload: str) -> None:
        """Somebody, here or elsewhere, wants an upload that a lease of this process may hold."""
        upload_id, _, epoch = payload.partition(" ")
        for lease in [one for one in self._held if str(one.upload_id) == upload_id and one.epoch <= int(epoch)]:
            lease.let_go(Ending.TAKEN_OVER)

    def end_all(self) -> None:
        """The process stops: keep what has come, and let go of everything."""
        self._ended = True
        for lease in list(self._held):
            lease.let_go(Ending.SHUTDOWN)

    async def stand(self, upload_id: UUID) -> UploadSession:
        """The upload, which nobody sends to at this moment: who did has let go, and what had come is counted."""
        row, _ = await self._reach(upload_id, take=False)
        return row

    @asynccontextmanager
    async def held(self, upload_id: UUID) -> AsyncIterator[tuple[UploadSession, Lease | None]]:
        """The same, for this request alone while it takes bytes; without a lease when the upload takes none."""
        row, lease = await self._reach(upload_id, take=True)
        if lease is None:
            yield row, None
            return
        try:
            yield row, lease
        finally:
            self._held.discard(lease)
            await self._give_up(lease)

    async def renew(self, lease: Lease) -> bool:
        """Say that the upload is still held; False when it is not."""
        async with self._platform.database.transaction() as session:
            until = self._platform.clock.wall() + LEASE
            return await chunks.renew(session, lease.upload_id, lease.epoch, until)

    async def _reach(self, upload_id: UUID, *, take: bool) -> tuple[UploadSession, Lease | None]:
        """Ask whoever holds the upload for it, and wait a little. Whoever does not answer loses it."""
        loop = asyncio.get_running_loop()
        asked: dict[int, float] = {}
        while True:
            lease: Lease | None = None
            try:
                async with self._platform.database.transaction() as session:
                    row = await _locked(session, upload_id)
                    wall = self._platform.clock.wall()
                    is_held = row.leased_until is not None and row.leased_until > wall
                    # A holder whose time is over is fenced off too: it may be late, not dead.
                    if row.state != SessionState.OPEN or (row.leased_until is None and not take):
                        return row, None
                    deadline = asked.get(row.lease_epoch)
                    is_late = len(asked) == ASKED_AGAIN if deadline is None else loop.time() >= deadline
                    if not is_held or is_late:
                        if is_held:
                            _log.warning("upload_fenced", upload_id=str(upload_id), epoch=row.lease_epoch)
                        row.lease_epoch += 1
                        row.leased_until = wall + LEASE if take else None
                        lease = self._hold(upload_id, row.lease_epoch) if take else None
                        return row, lease
                    if deadline is None:
                        asked[row.lease_epoch] = loop.time() + self.patience.handover_s
                        await publish(session, CHANNEL, f"{upload_id} {row.lease_epoch}")
            except BaseException:
                if lease is not None:
                    self._held.discard(lease)
                raise
            await asyncio.sleep(self.patience.poll_s)

    def _hold(self, upload_id: UUID, epoch: int) -> Lease:
        """Known to the signals before others can know of it: none of theirs is missed."""
        lease = Lease(upload_id, epoch)
        self._held.add(lease)
        if self._ended:
            lease.let_go(Ending.SHUTDOWN)
        return lease

    async def _give_up(self, lease: Lease) -> None:
        try:
            async with self._platform.database.transaction() as session:
                await chunks.renew(session, lease.upload_id, lease.epoch, None)
        except Exception:  # whoever comes next waits for it a moment longer
            _log.exception("lease_not_given_up", upload_id=str(lease.upload_id))


async def _locked(session: AsyncSession, upload_id: UUID) -> UploadSession:
    row = await chunks.held(session, upload_id)
    if row is None:
        raise NotFound
    return row
