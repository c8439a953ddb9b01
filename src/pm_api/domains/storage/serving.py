"""Bytes on their way out: who may read which of them now, and as what.

Bytes that are lost, or not all there, are told before an answer begins wherever the store says so by then. What goes
wrong later breaks the answer off: whoever reads it must not take it for whole.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import filing, objects, rules
from pm_api.domains.storage.enums import ScanState, UploadStatus
from pm_api.domains.storage.errors.files import FileGone, FileInTrash, VersionNotFound
from pm_api.domains.storage.models import StoredFile, StoredObject
from pm_api.domains.storage.ranges import Part
from pm_api.domains.storage.repository import files as repository
from pm_api.domains.storage.repository import versions as version_rows
from pm_api.domains.storage.repository.pictures import Source
from pm_api.integrations.blobs import BlobDamaged, BlobDoor, BlobMissing, StorageUnavailable

POLICY: Final = "sandbox; default-src 'none'"
"""Whatever a browser makes of it, it has no scripts, no origin and nothing to load."""
ASKED_EACH_TIME: Final = "private, no-cache"
"""A copy may be kept, but is asked for every time: what somebody may not see any more is not shown again."""

_log = structlog.get_logger(__name__)


class BrokenOff(Exception):
    """An answer that has begun cannot be brought to its end. The log has been told why."""


@dataclass(frozen=True, slots=True)
class Served:
    """Bytes that somebody may read now, and as what."""

    key: str
    size_bytes: int
    sha256: bytes
    media_type: str
    name: str

    @property
    def tag(self) -> str:
        return f'"{self.sha256.hex()}"'


async def current(session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID) -> Served:
    """What a file holds now; raises FileNotFound, FileInTrash, FileNotReady."""
    return await served(session, platform, await filing.found(session, scope, file_id))


async def served(session: AsyncSession, platform: Platform, file: StoredFile) -> Served:
    """The same of a file in hand."""
    if file.deleted_at is not None:
        raise FileInTrash
    if not rules.is_served(file) or file.object_id is None:
        raise filing.not_ready(file)
    stored = (await repository.objects(session, {file.object_id}))[file.object_id]
    if not may_leave(platform, stored):
        raise filing.not_ready(file)
    return Served(
        stored.key, stored.size_bytes, stored.sha256, file.media_type or stored.media_type, file.original_name
    )


async def version(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID, number: int
) -> Served:
    """What a file held at a version; raises FileNotFound, FileInTrash, VersionNotFound, FileNotReady."""
    file = await filing.found(session, scope, file_id)
    if file.deleted_at is not None:
        raise FileInTrash
    found = await version_rows.one(session, file.id, number)
    if found is None:
        raise VersionNotFound
    row, stored = found
    if not may_leave(platform, stored):
        raise filing.not_ready(file)
    return Served(
        stored.key, stored.size_bytes, stored.sha256, row.media_type or stored.media_type, row.original_name
    )


def may_leave(platform: Platform, stored: StoredObject | Source) -> bool:
    """Whether bytes are given out, by what the scanner said of them. What waits for it does not leave."""
    return objects.status_for(platform, ScanState(stored.scan_state)) is UploadStatus.COMPLETED


async def opened(platform: Platform, found: Served, part: Part) -> AsyncGenerator[bytes, None]:
    """The bytes, opened already: what is missing is told before an answer has begun. Raises FileGone and
    StorageUnavailable; what comes out raises BrokenOff.
    """
    if part.size_bytes == 0:
        return _nothing()
    pieces = platform.part(BlobDoor).read(found.key, part.start, part.end, whole_bytes=found.size_bytes)
    try:
        first = await anext(pieces)
    except (BlobMissing, StopAsyncIteration) as lost:
        left = lost.size_bytes if isinstance(lost, BlobDamaged) else 0
        await _doubt(platform, found.key, size_bytes=found.size_bytes, found_bytes=left)
        raise FileGone from None
    return _to_the_end(platform, found.key, part.size_bytes, pieces, first)


async def ensure_there(platform: Platform, found: Served) -> None:
    """Raises FileGone where the store does not have these bytes, or not all of them, and StorageUnavailable."""
    if not await is_there(platform, found.key, found.size_bytes):
        raise FileGone


async def is_there(platform: Platform, key: str, size_bytes: int) -> bool:
    """Whether the store has an object, and all of it. Raises StorageUnavailable."""
    head = await platform.part(BlobDoor).head(key)
    if head is not None and head.size_bytes == size_bytes:
        return True
    await _doubt(platform, key, size_bytes=size_bytes, found_bytes=head.size_bytes if head is not None else 0)
    return False


async def whole(platform: Platform, key: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
    """An object within an answer that has begun. Raises BrokenOff."""
    pieces = platform.part(BlobDoor).read(key, whole_bytes=size_bytes)
    async with aclosing(_to_the_end(platform, key, size_bytes, pieces)) as found:
        async for piece in found:
            yield piece


async def _to_the_end(
    platform: Platform, key: str, size_bytes: int, pieces: AsyncGenerator[bytes, None], first: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """As many bytes as an answer that has begun has said. Raises BrokenOff."""
    left = size_bytes - len(first)
    try:
        async with aclosing(pieces):
            if first:
                yield first
            async for piece in pieces:
                left -= len(piece)
                yield piece
    except StorageUnavailable:
        _log.error("stored_bytes_broke_off", key=key, missing_bytes=left)
        raise BrokenOff from None
    except BlobMissing:
        await _doubt(platform, key, missing_bytes=left)
        raise BrokenOff from None
    if left:
        await _doubt(platform, key, missing_bytes=left)
        raise BrokenOff


async def _doubt(platform: Platform, key: str, **facts: int) -> None:
    """Say it to the operator, and write it down for whoever brings the bytes again. What has gone since it was looked
    up, as its last file did, is no loss.
    """
    if await objects.doubt(platform, key):
        _log.error("stored_bytes_damaged", key=key, **facts)


async def _nothing() -> AsyncGenerator[bytes, None]:
    for piece in list[bytes]():
        yield piece
