"""The bytes of one tus request on their way into chunks.

A chunk is put under a key of this lease first, and counted in a row after: a process that dies between the two leaves
bytes that nobody counts, and the client sends them again. While one chunk is put the next one fills, so that a
request takes twice `CHUNK_BYTES` of memory, however long it is.
"""

import asyncio
import hmac
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive

from pm_api.core.errors import ApiError, Unavailable
from pm_api.core.platform import Platform
from pm_api.domains.storage import joining, sessions
from pm_api.domains.storage.accounts import account_at
from pm_api.domains.storage.admission import admitted
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.errors.tus import (
    ChunkChecksumMismatch,
    UploadCutOff,
    UploadFragmented,
    UploadGone,
    UploadLengthExceeded,
    UploadStalled,
    UploadTakenOver,
)
from pm_api.domains.storage.errors.uploads import FileTooLarge, StorageQuotaExceeded
from pm_api.domains.storage.keys import chunk_key
from pm_api.domains.storage.leases import LEASE, RENEW_EVERY_S, Ending, Lease, Leases, NoMore
from pm_api.domains.storage.models import UploadChunk, UploadSession
from pm_api.domains.storage.repository import chunks
from pm_api.domains.storage.tus_headers import ALGORITHMS, Checksum
from pm_api.integrations.blobs import BlobDoor

CHUNK_BYTES: Final = 8 << 20
SMALL_BYTES: Final = 64 << 10
"""What is less than this is a small piece."""
SMALL_CHUNKS: Final = 1000
"""So many small pieces one upload may come in, and one more for each `SMALL_BYTES` that have come."""
KEEP_EVERY_S: Final = 15.0
"""What a slow sender has sent is put into the store this often, once it is no small piece any more."""
ROOM_STEP_BYTES: Final = 64 << 20
"""How much room is taken ahead of bytes whose number nobody has told."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a request says of the bytes in its body."""

    offset: int
    announced_bytes: int | None = None
    checksum: Checksum | None = None
    upload_length: int | None = None


@dataclass(frozen=True, slots=True)
class _Put:
    number: int
    key: str
    size_bytes: int


def gone(upload: UploadSession, state: str | None = None) -> UploadGone:
    """What is said of an upload that has ended without becoming a file."""
    return UploadGone(state=state or upload.state, failure=upload.failure)


class Intake:
    """Takes the body of one request into an upload that this lease holds."""

    def __init__(
        self, platform: Platform, lease: Lease, upload: UploadSession, piece: Piece, chunks_so_far: int
    ) -> None:
        self._platform = platform
        self._door = platform.part(BlobDoor)
        self._leases = platform.part(Leases)
        self._lease = lease
        self.upload = upload
        self._piece = piece
        self._number = chunks_so_far
        self._total = upload.total_bytes if upload.total_bytes is not None else piece.upload_length
        self._coming = upload.received_bytes
        self._reserved = upload.reserved_bytes
        self._buffer = bytearray()
        self._pending: asyncio.Task[None] | None = None
        self._digest = ALGORITHMS[piece.checksum.algorithm]() if piece.checksum is not None else None
        self._unproven: list[_Put] = []
        self._kept_at = self._renewed_at = asyncio.get_running_loop().time()

    async def take(self, receive: Receive) -> UploadSession:
        """All that comes, and how far the upload is after it. What came of a request that broke off is kept, unless
        it has a checksum, which can only be told of the whole.

        Raises UploadCutOff, UploadStalled, UploadTakenOver, UploadGone, UploadLengthExceeded, UploadFragmented,
        ChunkChecksumMismatch, FileTooLarge, StorageQuotaExceeded, StorageUnavailable.
        """
        self._refuse_what_cannot_be()
        try:
            refusal = await self._read(receive)
            if self._digest is None:
                await self._keep_the_rest()
            elif refusal is None:
                await self._keep_proven()
        finally:
            await self._drop()
        if refusal is not None and self.upload.state == SessionState.OPEN:
            raise refusal
        return self.upload

    def _refuse_what_cannot_be(self) -> None:
        announced = self._piece.announced_bytes
        end = self._coming + (announced or 0)
        self._refuse_beyond(end)
        if announced is not None and 0 < announced < SMALL_BYTES and not self._has_room_for_small(end):
            raise UploadFragmented

    def _refuse_beyond(self, end: int) -> None:
        total, most = self._total, self.upload.most_bytes
        if total is not None and end > total:
            raise UploadLengthExceeded(f"The upload has {total} bytes; these would end at {end}.")
        if end > most:
            raise FileTooLarge(f"A file has at most {most} bytes under this plan.", limit=most)

    def _has_room_for_small(self, end: int) -> bool:
        """Whether a small piece may be kept that ends there. The last one always may."""
        return end == self._total or self._number < SMALL_CHUNKS + self._coming // SMALL_BYTES

    # --- reading ----------------------------------------------------------------------------------------------

    async def _read(self, receive: Receive) -> ApiError | None:
        """Read to the end of the body; why it was not read to its end."""
        try:
            while True:
                message = await self._lease.read(receive, self._leases.patience.stall_s)
                if message["type"] == "http.disconnect":
                    return UploadCutOff()
                body: bytes = message.get("body", b"")
                if body:
                    await self._add(body)
                if not message.get("more_body", False):
                    return None
        except NoMore as end:
            if end.ending is Ending.TAKEN_OVER:
                return UploadTakenOver()
            if end.ending is Ending.STALLED:
                return UploadStalled(headers={"Connection": "close"})
            return Unavailable("The service is being restarted; what had arrived was kept.")

    async def _add(self, body: bytes) -> None:
        """The last byte of a body is not counted before the body's end has come: there might be one too many."""
        self._refuse_beyond(self._coming + len(body))
        now = asyncio.get_running_loop().time()
        is_late = now - self._kept_at > KEEP_EVERY_S and len(self._buffer) >= SMALL_BYTES
        if is_late or len(self._buffer) + len(body) > CHUNK_BYTES:
            await self._put_buffer()
        elif now - self._renewed_at > RENEW_EVERY_S:
            self._renewed_at = now
            if not await self._leases.renew(self._lease):
                raise await self._lost()
        self._buffer += body
        self._coming += len(body)

    # --- keeping ----------------------------------------------------------------------------------------------

    async def _put_buffer(self) -> None:
        """Begin to put what has filled, after what was begun before has ended."""
        await self._settle()
        data, self._buffer = bytes(self._buffer), bytearray()
        self._kept_at = self._renewed_at = asyncio.get_running_loop().time()
        self._pending = asyncio.create_task(self._put(data))

    async def _settle(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            await pending

    async def _put(self, data: bytes) -> None:
        await self._make_room(self.upload.received_bytes + sum(one.size_bytes for one in self._unproven) + len(data))
        number, self._number = self._number, self._number + 1
        put = _Put(number, chunk_key(self._lease.upload_id, self._lease.epoch, number), len(data))
        if self._digest is not None:
            self._unproven.append(put)
            await asyncio.gather(self._door.put(put.key, data), asyncio.to_thread(self._digest.update, data))
            return
        await self._door.put(put.key, data)
        await self._count([put])

    async def _keep_the_rest(self) -> None:
        await self._settle()
        end = self._coming
        if self._buffer and (len(self._buffer) >= SMALL_BYTES or self._has_room_for_small(end)):
            await self._put_buffer()
            await self._settle()

    async def _keep_proven(self) -> None:
        assert self._digest is not None
        assert self._piece.checksum is not None
        if self._buffer:
            await self._put_buffer()
        await self._settle()
        if not hmac.compare_digest(self._digest.digest(), self._piece.checksum.digest):
            raise ChunkChecksumMismatch
        proven, self._unproven = self._unproven, []
        if proven:
            await self._count(proven)

    async def _make_room(self, end: int) -> None:
        """Room is taken before bytes are stored; of an upload without a length in steps."""
        if end <= self._reserved:
            return
        ahead = min(max(end, self._reserved + ROOM_STEP_BYTES), self.upload.most_bytes)
        try:
            self._reserved = await self._reserve(max(ahead, end))
        except StorageQuotaExceeded:
            if ahead <= end:
                raise
            self._reserved = await self._reserve(end)

    async def _reserve(self, total_bytes: int) -> int:
        account = account_at(self.upload.account_kind, self.upload.account_id)
        async with admitted(self._platform, account) as session:
            held = await sessions.extend_reservation(session, self._platform, self._lease.upload_id, total_bytes)
            return held.reserved_bytes

    async def _count(self, puts: list[_Put]) -> None:
        """The upload is so much further. If another has it by now, these bytes are nobody's."""
        now = self._platform.clock.now()
        starts_at = self.upload.received_bytes
        async with self._platform.database.transaction() as session:
            row = await chunks.advance(
                session,
                self._lease.upload_id,
                self._lease.epoch,
                offset=starts_at,
                size_bytes=sum(one.size_bytes for one in puts),
                leased_until=self._platform.clock.wall() + LEASE,
                expires_at=sessions.lives_until(self.upload, now),
                now=now,
            )
            if row is not None:
                for put in puts:
                    session.add(
                        UploadChunk(
                            upload_id=row.id,
                            number=put.number,
                            starts_at=starts_at,
                            size_bytes=put.size_bytes,
                            key=put.key,
                            created_at=now,
                        )
                    )
                    starts_at += put.size_bytes
                if row.received_bytes == row.total_bytes:
                    await joining.all_is_here(session, row)
        if row is None:
            await self._door.delete(*(one.key for one in puts))
            raise await self._lost()
        self.upload = row

    async def _lost(self) -> ApiError:
        """Why this lease counts no more."""
        async with self._platform.database.reading() as session:
            upload = await chunks.upload(session, self._lease.upload_id)
        if upload is None or upload.state not in (SessionState.OPEN, SessionState.FINISHING, SessionState.COMPLETED):
            return gone(upload) if upload is not None else UploadGone()
        return UploadTakenOver()

    async def _drop(self) -> None:
        """Nothing is left behind that is not counted."""
        if self._pending is not None:
            await asyncio.wait({self._pending})
            if not self._pending.cancelled():
                self._pending.exception()  # whatever it was, an earlier one is being told
        if self._unproven:
            await self._door.delete(*(one.key for one in self._unproven))
