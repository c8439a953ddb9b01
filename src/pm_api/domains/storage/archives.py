"""Several files as one archive, written while it is read: it is never whole anywhere here."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from stream_zip import ZIP_64, async_stream_zip

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import naming, rules, serving
from pm_api.domains.storage.errors.files import (
    FileGone,
    FileNotFound,
    FileNotReady,
    NothingToZip,
    ZipTooLarge,
)
from pm_api.domains.storage.repository import files as repository

MOST_BYTES: Final = 20 * 1024**3
CHUNK_BYTES: Final = 1 << 20
FASTEST: Final = 1
ASKED_AT_ONCE: Final = 16
NOT_YOUR_OWN: Final = "Not all of these are files of your own. Of files of a workspace, name its workspaceId too."
MODE: Final = 0o600
"""A plain file that its owner reads: nothing that an archive could make runnable."""


class Member(NamedTuple):
    """A file in the archive, under a name that no other one has."""

    name: str
    key: str
    modified_at: datetime
    file_id: UUID
    size_bytes: int


async def members(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_ids: Sequence[UUID]
) -> list[Member]:
    """What goes in, in the order that was asked for. Raises NothingToZip, FileNotFound when one of them is not in
    sight, FileNotReady when one is not served, ZipTooLarge.
    """
    if not file_ids or len(set(file_ids)) != len(file_ids):
        raise NothingToZip
    rows = {one.id: one for one in await repository.in_sight_among(session, scope, file_ids)}
    if len(rows) < len(file_ids):
        own = None if isinstance(scope, WorkspaceScope) else NOT_YOUR_OWN
        raise FileNotFound(own)
    objects = await repository.objects(session, {one.object_id for one in rows.values() if one.object_id is not None})
    files = [rows[one] for one in file_ids]
    stored = [objects[one.object_id] if one.object_id is not None else None for one in files]
    held_back = [
        str(one.id)
        for one, its in zip(files, stored, strict=True)
        if its is None or not rules.is_served(one) or not serving.may_leave(platform, its)
    ]
    if held_back:
        raise FileNotReady("Some of these files are not served.", fileIds=held_back)
    needed = sum(one.size_bytes for one in files)
    if needed > MOST_BYTES:
        raise ZipTooLarge(limit=MOST_BYTES, needed=needed)
    names = naming.distinct(naming.clean_name(one.original_name) for one in files)
    return [
        Member(name, its.key, one.updated_at, one.id, its.size_bytes)
        for name, one, its in zip(names, files, stored, strict=True)
        if its is not None
    ]


async def ensure_there(platform: Platform, inside: Sequence[Member]) -> None:
    """Raises FileGone with those whose bytes the store has not, or not all of them, before an archive is begun; and
    StorageUnavailable.
    """
    turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def is_there(one: Member) -> bool:
        async with turns:
            return await serving.is_there(platform, one.key, one.size_bytes)

    there = await asyncio.gather(*(is_there(one) for one in inside))
    gone = [str(one.file_id) for one, its in zip(inside, there, strict=True) if not its]
    if gone:
        raise FileGone("The bytes of some of these files are not in the store any more.", fileIds=gone)


async def written(platform: Platform, inside: Sequence[Member]) -> AsyncGenerator[bytes, None]:
    """The archive, about a megabyte at a time. Where bytes are missing it breaks off: a reader sees that it is not
    whole. Raises BrokenOff.
    """

    async def files() -> AsyncIterator[Any]:
        for one in inside:
            content = serving.whole(platform, one.key, one.size_bytes)
            yield one.name, one.modified_at.replace(tzinfo=None), MODE, ZIP_64, content

    compressor = partial(zlib.compressobj, level=FASTEST, wbits=-zlib.MAX_WBITS)
    pieces: Any = async_stream_zip(files(), chunk_size=CHUNK_BYTES, get_compressobj=compressor)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece
