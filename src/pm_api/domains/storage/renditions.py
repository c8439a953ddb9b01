"""Smaller pictures of objects: made when they are first asked for, kept, and made again when they are missing.

A size's row is written before its bytes, as all keys are: whoever finds the row without them makes them once more.
"""

import math
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import BinaryIO, Final
from uuid import UUID

from pm_api.core.platform import Platform
from pm_api.domains.storage import objects
from pm_api.domains.storage.accounts import account_at
from pm_api.domains.storage.imaging import NOT_A_PICTURE, Fit, NotInTime, Rendered, Studio, Unreadable
from pm_api.domains.storage.keys import rendition_key
from pm_api.domains.storage.repository import pictures as repository
from pm_api.domains.storage.repository.pictures import Source
from pm_api.domains.storage.rules import THUMBNAILED
from pm_api.domains.storage.scratch import scratch
from pm_api.integrations.blobs import BlobDoor, BlobMissing, StorageUnavailable

LARGEST_SOURCE_BYTES: Final = 64 << 20
"""Of files that pictures are made from; larger ones have none."""
REMEMBERED: Final = 10_000
PUT_OFF_FOR: Final = timedelta(minutes=1)
"""A try that nothing came of takes a third of it, and the place of another picture."""


class Refusals:
    """Objects of which no picture can be made, so that nobody has one tried again and again: for good, or for a while
    when the machine had no time for it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, str] = OrderedDict()
        self._put_off: OrderedDict[UUID, datetime] = OrderedDict()

    def of(self, object_id: UUID) -> str | None:
        return self._known.get(object_id)

    def remember(self, object_id: UUID, reason: str) -> None:
        self._known[object_id] = reason
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def put_off_for(self, object_id: UUID, now: datetime) -> int:
        """How many seconds it is before it may be tried again."""
        until = self._put_off.get(object_id, now)
        return max(0, math.ceil((until - now).total_seconds()))

    def put_off(self, object_id: UUID, now: datetime) -> None:
        self._put_off[object_id] = now + PUT_OFF_FOR
        self._put_off.move_to_end(object_id)
        while len(self._put_off) > REMEMBERED:
            self._put_off.popitem(last=False)


def not_in_time(wait_s: int) -> StorageUnavailable:
    return StorageUnavailable("There was no time to look at this picture.", retry_after_s=wait_s)


async def content(platform: Platform, source: Source, size: int, fit: Fit) -> bytes:
    """One size as WebP; raises Unreadable for what no picture is made of, BlobMissing when the bytes are gone, and
    StorageUnavailable, also when the machine had no time for it.
    """
    kept = await _kept(platform, source, size)
    if kept is not None:
        return kept
    refusals = platform.part(Refusals)
    known = refusals.of(source.object_id)
    if known is not None:
        raise Unreadable(known)
    wait_s = refusals.put_off_for(source.object_id, platform.clock.wall())
    if wait_s > 0:
        raise not_in_time(wait_s)
    if source.media_type not in THUMBNAILED or source.size_bytes > LARGEST_SOURCE_BYTES:
        raise Unreadable(NOT_A_PICTURE)
    with scratch() as copy:
        await _fetch(platform, source, copy)
        try:
            made = await platform.part(Studio).render(copy, [size], fit)
        except Unreadable as refusal:
            refusals.remember(source.object_id, refusal.reason)
            raise
        except NotInTime:
            refusals.put_off(source.object_id, platform.clock.wall())
            raise not_in_time(int(PUT_OFF_FOR.total_seconds())) from None
    if source.width is None:
        async with platform.database.transaction() as session:
            await repository.measure(session, source.object_id, made.width, made.height)
    await keep(platform, source, made.sizes[0])
    return made.sizes[0].content


async def keep(platform: Platform, source: Source, made: Rendered) -> None:
    """Keep a size of an object; of one that has gone meanwhile nothing is kept."""
    key = rendition_key(account_at(source.account_kind, source.account_id), platform.randomness.uuid())
    async with platform.database.transaction() as session:
        row = await repository.keep_rendition(
            session,
            {
                "object_id": source.object_id,
                "size": made.size,
                "key": key,
                "size_bytes": len(made.content),
                "width": made.width,
                "height": made.height,
                "created_at": platform.clock.now(),
            },
        )
        held = row.key if row is not None else None
    if held is not None:
        await platform.part(BlobDoor).put(held, made.content)


async def _kept(platform: Platform, source: Source, size: int) -> bytes | None:
    async with platform.database.reading() as session:
        row = await repository.rendition(session, source.object_id, size)
    if row is None:
        return None
    try:
        return b"".join([piece async for piece in platform.part(BlobDoor).read(row.key)])
    except BlobMissing:
        return None


async def _fetch(platform: Platform, source: Source, into: BinaryIO) -> None:
    try:
        async for piece in platform.part(BlobDoor).read(source.key, whole_bytes=source.size_bytes):
            into.write(piece)
    except BlobMissing:
        await objects.doubt(platform, source.key)
        raise
