"""Bytes on their way into the store: right digests, bounded memory, and nothing kept of what is refused."""

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.domains.storage.errors.uploads import ChecksumMismatch, FileTooLarge, LengthMismatch
from pm_api.domains.storage.streaming import HEAD_BYTES, TAIL_BYTES, Digests, Expected, look_through, take
from pm_api.integrations.blobs import BlobDoor

MEGABYTE = 1 << 20


@pytest.fixture
def door(tmp_path: Path) -> BlobDoor:
    return BlobDoor(StorageSettings(), S3Settings(), tmp_path)


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for one in contents:
        yield one


async def content_of(door: BlobDoor, key: str) -> bytes:
    return b"".join([piece async for piece in door.read(key)])


@pytest.mark.parametrize("size", [0, 1, 70_000, 4 * MEGABYTE, 9 * MEGABYTE + 3])
async def test_what_arrives_is_what_lies_there(door: BlobDoor, size: int) -> None:
    content = os.urandom(size)
    source = pieces(*(content[at : at + 65_536] for at in range(0, size, 65_536)))
    received = await take(door, "a/b", source, most_bytes=size, expected=Expected(size_bytes=size))
    assert (received.key, received.size_bytes) == ("a/b", size)
    assert received.sha256 == hashlib.sha256(content).digest()
    assert received.md5 == hashlib.md5(content).digest()
    assert received.head == content[:HEAD_BYTES]
    assert received.tail == content[-TAIL_BYTES:]
    assert await content_of(door, "a/b") == content
    again = await look_through(door.read("a/b"), "a/b", most_bytes=None)
    assert again == received


@given(st.lists(st.binary(max_size=200_000), max_size=8))
@settings(max_examples=40, deadline=None)
def test_head_and_tail_are_right_however_it_is_cut(parts: list[bytes]) -> None:
    async def digest() -> Digests:
        digests = Digests()
        for part in parts:
            await digests.update(part)
        return digests

    whole = b"".join(parts)
    found = asyncio.run(digest()).received("key", Expected())
    assert (found.head, found.tail) == (whole[:HEAD_BYTES], whole[-TAIL_BYTES:])
    assert found.sha256 == hashlib.sha256(whole).digest()


@pytest.mark.parametrize(
    ("most", "expected", "error"),
    [
        (999, Expected(), FileTooLarge),
        (None, Expected(size_bytes=999), LengthMismatch),
        (None, Expected(size_bytes=1001), LengthMismatch),
        (None, Expected(sha256=bytes(32)), ChecksumMismatch),
        (None, Expected(md5=bytes(16)), ChecksumMismatch),
    ],
)
async def test_what_is_not_as_announced_leaves_nothing(
    door: BlobDoor, most: int | None, expected: Expected, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await take(door, "a/b", pieces(b"x" * 1000), most_bytes=most, expected=expected)
    assert await door.head("a/b") is None
    with pytest.raises(error):
        await look_through(pieces(b"x" * 1000), "a/b", most_bytes=most, expected=expected)


async def test_a_source_that_breaks_off_leaves_nothing(door: BlobDoor, tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * MEGABYTE
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await take(door, "a/b", breaking(), most_bytes=None)
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


async def test_more_is_asked_for_before_it_is_written(door: BlobDoor) -> None:
    asked: list[int] = []

    async def before_more(total_bytes: int) -> None:
        asked.append(total_bytes)
        if total_bytes > 10 * MEGABYTE:
            raise FileTooLarge

    source = pieces(*[b"x" * MEGABYTE] * 20)
    with pytest.raises(FileTooLarge):
        await take(door, "a/b", source, most_bytes=None, before_more=before_more)
    assert asked == [4 * MEGABYTE, 8 * MEGABYTE, 12 * MEGABYTE]
    assert await door.head("a/b") is None


async def test_memory_stays_flat(door: BlobDoor) -> None:
    """What Python holds while 300 MB pass; the whole process is measured by `benchmarks/storage.py`."""

    async def long() -> AsyncIterator[bytes]:
        for _ in range(300 * 16):
            yield bytes(65_536)

    tracemalloc.start()
    try:
        await take(door, "a/b", long(), most_bytes=None)
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 32 * MEGABYTE
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        async for _ in door.read("a/b"):
            pass
        assert tracemalloc.get_traced_memory()[1] - before < 8 * MEGABYTE
    finally:
        tracemalloc.stop()
