"""The chunks of a tus upload become one object: read in order, written under the upload's own key, digested as they
pass. Everything else is `finishing`'s, as for any other upload.

That it is to be done is a job's row, written with the last chunk's. A small upload is joined before its last answer
leaves; the job finds nothing left to do then.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.errors import ApiError
from pm_api.core.jobs import TryAgain, declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.storage import finishing, sessions, streaming
from pm_api.domains.storage.accounts import account_at
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.errors.uploads import ChecksumMismatch, LengthMismatch, UploadEnded
from pm_api.domains.storage.models import UploadSession
from pm_api.domains.storage.repository import chunks
from pm_api.domains.storage.streaming import Expected
from pm_api.integrations.blobs import BlobDoor, BlobMissing

AT_ONCE_BYTES: Final = 16 << 20
"""An upload of no more than this is joined while its client waits."""
JOB_WAITS_S: Final = 30.0
"""So that the job does not run against the request that joins by itself."""
HOLD: Final = timedelta(seconds=60)
ASK_AGAIN_S: Final = 15.0
CHUNKS_AT_A_TIME: Final = 500

_log = structlog.get_logger(__name__)


class JoinUpload(BaseModel):
    """An upload whose bytes have all come."""

    upload_id: UUID


JOIN: Final = declare("storage.join", JoinUpload)


class JoinedElsewhere(Exception):
    """Somebody else is joining this upload, or has ended it."""


async def all_is_here(session: AsyncSession, upload: UploadSession) -> None:
    """The last byte of an upload, which the caller holds, is counted in this transaction: it takes no more."""
    upload.state = SessionState.FINISHING
    upload.leased_until = None
    is_small = is_joined_at_once(upload)
    await enqueue(session, JOIN, JoinUpload(upload_id=upload.id), delay_s=JOB_WAITS_S if is_small else 0.0)


def is_joined_at_once(upload: UploadSession) -> bool:
    return upload.received_bytes <= AT_ONCE_BYTES


async def join_now(platform: Platform, upload_id: UUID) -> None:
    """Join while the client waits. What hinders it is the job's to deal with: the bytes have arrived."""
    try:
        await join(platform, upload_id)
    except (ApiError, TryAgain) as error:
        _log.warning("upload_not_joined_at_once", upload_id=str(upload_id), error=type(error).__name__)


async def join(platform: Platform, upload_id: UUID) -> None:
    """Make an upload that has all its bytes the file it was for. Safe to run twice, and by two at once: one of them
    is told to try again. Raises TryAgain, StorageUnavailable.
    """
    upload = await _hold(platform, upload_id)
    if upload is None:
        return
    assert upload.total_bytes is not None
    expected = Expected(upload.total_bytes, upload.expected_sha256, upload.expected_md5)
    try:
        source = _bytes_of(platform, upload)
        received = await streaming.take(
            platform.part(BlobDoor), upload.key, source, most_bytes=upload.total_bytes, expected=expected
        )
        # Also by whoever has lost it meanwhile: the bytes are the same, and must become the file's or go.
        account = account_at(upload.account_kind, upload.account_id)
        await finishing.finish(platform, upload_id, received, account)
    except (JoinedElsewhere, UploadEnded):
        _log.warning("upload_joined_elsewhere", upload_id=str(upload_id), epoch=upload.lease_epoch)
    except BlobMissing as missing:
        _log.error("upload_chunk_missing", upload_id=str(upload_id), key=missing.key)
        await sessions.fail_later(platform, upload_id, LengthMismatch.code)
    except (ChecksumMismatch, LengthMismatch) as error:
        await sessions.fail_later(platform, upload_id, error.code)
    except BaseException:
        await _let_go(platform, upload)
        raise


async def _hold(platform: Platform, upload_id: UUID) -> UploadSession | None:
    """The upload, for this joiner alone while it shows signs of life; None when there is nothing to join."""
    async with platform.database.transaction() as session:
        upload = await chunks.held(session, upload_id)
        if upload is None or upload.state != SessionState.FINISHING:
            return None
        wall = platform.clock.wall()
        if upload.leased_until is not None and upload.leased_until > wall:
            raise TryAgain("somebody is joining it", delay_s=ASK_AGAIN_S)
        upload.lease_epoch += 1
        upload.leased_until = wall + HOLD
        return upload


async def _say_alive(platform: Platform, upload: UploadSession) -> None:
    """Raises JoinedElsewhere when another has it by now."""
    async with platform.database.transaction() as session:
        if not await chunks.renew(session, upload.id, upload.lease_epoch, platform.clock.wall() + HOLD):
            raise JoinedElsewhere


async def _let_go(platform: Platform, upload: UploadSession) -> None:
    async with platform.database.transaction() as session:
        await chunks.renew(session, upload.id, upload.lease_epoch, None)


async def _bytes_of(platform: Platform, upload: UploadSession) -> AsyncIterator[bytes]:
    """All chunks in order. Between two of them the joiner says that it is alive."""
    door = platform.part(BlobDoor)
    number = at = 0
    said_at = platform.clock.wall()
    while at < upload.received_bytes:
        async with platform.database.reading() as session:
            page = await chunks.page(session, upload.id, number, CHUNKS_AT_A_TIME)
        if not page:
            raise JoinedElsewhere
        for chunk in page:
            if chunk.number != number or chunk.starts_at != at:
                raise LengthMismatch(f"chunk {number} of upload {upload.id} is not there")
            async for piece in door.read(chunk.key):
                yield piece
            number += 1
            at += chunk.size_bytes
            if platform.clock.wall() - said_at > HOLD / 4:
                said_at = platform.clock.wall()
                await _say_alive(platform, upload)
