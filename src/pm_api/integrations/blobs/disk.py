"""Reading and listing on local disk. The library reads a file eight kilobytes at a time and lists in no order; here a
piece is one call, and keys come sorted as they do from S3.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from pm_api.integrations.blobs.values import BlobHead

STAGED: Final = re.compile(r"#[0-9]+$")
"""How the library calls a file until it is whole."""
LISTED_AT_ONCE: Final = 500


class OfAnotherSize(Exception):
    """A file has another number of bytes than was said."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes


async def read(
    path: Path, start: int, end: int | None, piece_bytes: int, whole_bytes: int | None
) -> AsyncGenerator[bytes, None]:
    """Raises FileNotFoundError, and OfAnotherSize where `whole_bytes` is not what the file has, before the first
    piece.
    """
    opened = await asyncio.to_thread(os.open, path, os.O_RDONLY)
    try:
        if whole_bytes is not None and (found := os.fstat(opened).st_size) != whole_bytes:
            raise OfAnotherSize(found)
        at = start
        while end is None or at < end:
            wanted = piece_bytes if end is None else min(piece_bytes, end - at)
            piece = await asyncio.to_thread(os.pread, opened, wanted, at)
            if not piece:
                return
            at += len(piece)
            yield piece
    finally:
        os.close(opened)


async def listed(root: Path, folder: str, after: str | None) -> AsyncGenerator[BlobHead, None]:
    """Sorted by key."""
    walk = _walk(root, folder, after)
    while page := await asyncio.to_thread(lambda: [*islice(walk, LISTED_AT_ONCE)]):
        for one in page:
            yield one


def _walk(root: Path, folder: str, after: str | None) -> Iterator[BlobHead]:
    try:
        entries = [*os.scandir(root / folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    # With its slash a folder sorts where its keys do.
    for entry in sorted(entries, key=lambda one: one.name + ("/" if one.is_dir(follow_symlinks=False) else "")):
        key = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            if after is None or f"{key}/\uffff" > after:
                yield from _walk(root, key, after)
        elif not STAGED.search(key) and (after is None or key > after):
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield BlobHead(key, found.st_size, None, datetime.fromtimestamp(found.st_mtime, UTC))


async def clear_unfinished(root: Path, before: datetime) -> int:
    return await asyncio.to_thread(_clear_unfinished, root, before.timestamp())


def _clear_unfinished(root: Path, before: float) -> int:
    removed = 0
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            try:
                if STAGED.search(name) and path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
    return removed
