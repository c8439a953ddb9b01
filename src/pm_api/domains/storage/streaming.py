"""Bytes on their way into the store: counted, digested and compared as they pass, with two buffers in memory.

While one buffer is digested (md5 and SHA-256 side by side in threads, which let go of the interpreter) and written,
the next one fills.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pm_api.domains.storage.errors.uploads import ChecksumMismatch, FileTooLarge, LengthMismatch
from pm_api.integrations.blobs import BlobDoor

BUFFER_BYTES: Final = 4 << 20
HEAD_BYTES: Final = 64 << 10
TAIL_BYTES: Final = 64 << 10
"""What is looked at to tell what a file is: its beginning, and its end, where archives keep their table."""

Write = Callable[[bytes], Awaitable[None]]
BeforeMore = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Expected:
    """What was announced of a file; None is nothing."""

    size_bytes: int | None = None
    sha256: bytes | None = None
    md5: bytes | None = None


NOTHING_EXPECTED: Final = Expected()


@dataclass(frozen=True, slots=True)
class Received:
    """An object as it lies in the store, and what it begins and ends with."""

    key: str
    size_bytes: int
    md5: bytes
    sha256: bytes
    head: bytes
    tail: bytes


class Digests:
    """Both digests of a stream, in step."""

    def __init__(self) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.head = b""
        self.tail = b""

    async def update(self, data: bytes) -> None:
        self.size_bytes += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self.tail = data[-TAIL_BYTES:] if len(data) >= TAIL_BYTES else (self.tail + data)[-TAIL_BYTES:]
        await asyncio.gather(asyncio.to_thread(self.sha256.update, data), asyncio.to_thread(self.md5.update, data))

    def received(self, key: str, expected: Expected) -> Received:
        """Raises LengthMismatch and ChecksumMismatch."""
        found = Received(
            key, self.size_bytes, self.md5.digest(), self.sha256.digest(), bytes(self.head), bytes(self.tail)
        )
        if expected.size_bytes is not None and expected.size_bytes != found.size_bytes:
            raise LengthMismatch(f"{found.size_bytes} bytes arrived, {expected.size_bytes} were announced.")
        for name, wanted, got in (
            ("SHA-256", expected.sha256, found.sha256),
            ("MD5", expected.md5, found.md5),
        ):
            if wanted is not None and not hmac.compare_digest(wanted, got):
                raise ChecksumMismatch(f"The {name} of what arrived is {got.hex()}, announced was {wanted.hex()}.")
        return found


async def take(
    door: BlobDoor,
    key: str,
    source: AsyncIterable[bytes],
    *,
    most_bytes: int | None,
    expected: Expected = NOTHING_EXPECTED,
    before_more: BeforeMore | None = None,
) -> Received:
    """Write a stream under a key, which the database holds already. Nothing is under the key unless this returns.

    `before_more` is called with the bytes there will be before a buffer is written; it may refuse them. Raises
    FileTooLarge, LengthMismatch, ChecksumMismatch and StorageUnavailable, and whatever the source raises.
    """
    digests = Digests()
    async with door.writer(key) as writing:

        async def write(data: bytes) -> None:
            await asyncio.gather(digests.update(data), writing.write(data))

        await _pass_on(_buffers(source, most_bytes, expected.size_bytes), write, before_more)
        found = digests.received(key, expected)
        await writing.finish()
    return found


async def look_through(
    source: AsyncIterable[bytes],
    key: str,
    *,
    most_bytes: int | None,
    expected: Expected = NOTHING_EXPECTED,
) -> Received:
    """The same of an object that lies in the store already: nothing is written."""
    digests = Digests()
    await _pass_on(_buffers(source, most_bytes, expected.size_bytes), digests.update, None)
    return digests.received(key, expected)


async def _buffers(
    source: AsyncIterable[bytes], most_bytes: int | None, announced: int | None
) -> AsyncIterator[bytes]:
    """The stream in pieces of a few megabytes; raises FileTooLarge or LengthMismatch at the first byte too many."""
    waiting: list[bytes] = []
    size = total = 0
    async for piece in source:
        size += len(piece)
        total += len(piece)
        if most_bytes is not None and total > most_bytes:
            raise FileTooLarge(f"A file has at most {most_bytes} bytes.", limit=most_bytes)
        if announced is not None and total > announced:
            raise LengthMismatch(f"More than the {announced} bytes that were announced are arriving.")
        waiting.append(piece)
        if size >= BUFFER_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if size:
        yield b"".join(waiting)


async def _pass_on(buffers: AsyncIterator[bytes], write: Write, before_more: BeforeMore | None) -> None:
    """One buffer is written while the next one fills; never more than one."""
    writing: asyncio.Task[Any] | None = None
    total = 0
    try:
        async for data in buffers:
            total += len(data)
            if before_more is not None:
                await before_more(total)
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(write(data))
        if writing is not None:
            await writing
    except BaseException:
        if writing is not None and not writing.done():
            # A thread at work cannot be stopped; what it writes to must not be dropped under it.
            with suppress(Exception):
                await writing
        raise
