"""Uploads by tus 1.0.0: begun, sent on with, asked about and ended.

https://tus.io/protocols/resumable-upload
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from starlette.types import Receive

from pm_api.core.actor import AccountScope
from pm_api.core.errors import ApiError, NotFound
from pm_api.core.platform import Platform
from pm_api.domains.storage import joining, quotas, sessions
from pm_api.domains.storage.accounts import account_at, account_of
from pm_api.domains.storage.admission import admitted
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.errors.tus import (
    InvalidTusHeader,
    UploadGone,
    UploadLengthExceeded,
    UploadOffsetMismatch,
    UploadTakenOver,
)
from pm_api.domains.storage.errors.uploads import FileTooLarge
from pm_api.domains.storage.leases import Lease, Leases
from pm_api.domains.storage.models import UploadSession
from pm_api.domains.storage.repository import chunks
from pm_api.domains.storage.sessions import NewUpload
from pm_api.domains.storage.tus_headers import written_time
from pm_api.domains.storage.tus_intake import Intake, Piece, gone

ENDED = frozenset({SessionState.FAILED, SessionState.TERMINATED, SessionState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an upload is. `expires_at` is None once it has all its bytes."""

    upload_id: UUID
    file_id: UUID
    offset: int
    length: int | None
    expires_at: datetime | None
    metadata: str
    is_finishing: bool

    def headers(self) -> dict[str, str]:
        """What every answer of this upload says."""
        told = {"Upload-Offset": str(self.offset)}
        if self.expires_at is not None:
            told["Upload-Expires"] = written_time(self.expires_at)
        return told


def standing_of(upload: UploadSession) -> Standing:
    return Standing(
        upload_id=upload.id,
        file_id=upload.file_id,
        offset=upload.received_bytes,
        length=upload.total_bytes,
        expires_at=upload.expires_at if upload.state == SessionState.OPEN else None,
        metadata=upload.raw_metadata,
        is_finishing=upload.state == SessionState.FINISHING,
    )


async def create(platform: Platform, scope: AccountScope, wanted: NewUpload) -> Standing:
    """A new upload, with room promised for all its bytes; without a length, as they come. An empty one is complete.

    Raises what `sessions.begin` raises.
    """
    async with admitted(platform, account_of(scope)) as session:
        upload = await sessions.begin(session, platform, scope, wanted)
        if upload.total_bytes == 0:
            await joining.all_is_here(session, upload)
    return await _joined(platform, upload)


async def stand(platform: Platform, upload_id: UUID) -> Standing:
    """How far an upload is, once whoever sends to it has let go: nothing of theirs comes after this answer.

    Raises NotFound, and UploadGone when it has ended.
    """
    upload = await platform.part(Leases).stand(upload_id)
    _refuse_ended(platform, upload)
    return standing_of(upload)


async def add(platform: Platform, upload_id: UUID, piece: Piece, receive: Receive) -> Standing:
    """Take a request's bytes where the upload stands. Raises UploadOffsetMismatch, InvalidTusHeader, UploadGone, and
    what `Intake.take` raises; each refusal tells how far the upload is.
    """
    async with platform.part(Leases).held(upload_id) as (found, lease):
        _refuse_ended(platform, found)
        with _telling(found):
            if piece.offset != found.received_bytes:
                raise UploadOffsetMismatch(
                    f"The upload is at {found.received_bytes}, not at {piece.offset}.", offset=found.received_bytes
                )
            _check_length(found, piece.upload_length)
            # A piece that is not what its checksum says changes nothing of an upload, not even its length.
            is_told_first = piece.checksum is None or found.state != SessionState.OPEN
            upload = await _declare(platform, found, lease, piece.upload_length) if is_told_first else found
        if lease is None or upload.state != SessionState.OPEN:
            if piece.announced_bytes:
                raise UploadLengthExceeded(headers=standing_of(upload).headers())
        else:
            upload = await _taken(platform, upload, lease, piece, receive)
            with _telling(upload):
                upload = await _declare(platform, upload, lease, piece.upload_length)
    return await _joined(platform, upload)


async def _taken(
    platform: Platform, upload: UploadSession, lease: Lease, piece: Piece, receive: Receive
) -> UploadSession:
    async with platform.database.reading() as session:
        intake = Intake(platform, lease, upload, piece, await chunks.count(session, upload.id))
    try:
        return await intake.take(receive)
    except ApiError as error:
        _tell(error, intake.upload)
        raise


async def terminate(platform: Platform, upload_id: UUID) -> None:
    """End an upload for good. What a complete one made is a file by now, and is deleted as one.

    Raises NotFound, and UploadGone when it had ended before. A complete one stays what it was: only its address is
    given up.
    """
    upload = await platform.part(Leases).stand(upload_id)
    if upload.state in sessions.UNDER_WAY:
        async with admitted(platform, account_at(upload.account_kind, upload.account_id)) as session:
            if await sessions.end(session, platform, upload, SessionState.TERMINATED):
                return
    async with platform.database.transaction() as session:
        held = await chunks.held(session, upload_id)
        if held is None:
            raise NotFound
        if held.state != SessionState.COMPLETED or is_given_up(held):
            raise gone(held)
        held.leased_until = platform.clock.wall()
        held.lease_epoch += 1  # so that whoever brought the last bytes does not take the mark for their lease
        held.version += 1
        held.updated_at = platform.clock.now()


def is_given_up(upload: UploadSession) -> bool:
    """Whether its client has ended a complete upload. Nobody holds a complete one, so what stands where a lease would
    says since when its address leads nowhere.
    """
    return upload.state == SessionState.COMPLETED and upload.leased_until is not None


async def _joined(platform: Platform, upload: UploadSession) -> Standing:
    if upload.state == SessionState.FINISHING and joining.is_joined_at_once(upload):
        await joining.join_now(platform, upload.id)
    return standing_of(upload)


def _check_length(upload: UploadSession, length: int | None) -> None:
    """Raises InvalidTusHeader and FileTooLarge for what an upload's length cannot be."""
    if length is None or length == upload.total_bytes:
        return
    if upload.total_bytes is not None:
        raise InvalidTusHeader("Upload-Length is what it was: it cannot be changed.")
    if length < upload.received_bytes:
        raise InvalidTusHeader("Upload-Length is less than has arrived.")
    if length > upload.most_bytes:
        raise FileTooLarge(f"A file has at most {upload.most_bytes} bytes under this plan.", limit=upload.most_bytes)


async def _declare(
    platform: Platform, upload: UploadSession, lease: Lease | None, length: int | None
) -> UploadSession:
    """The length of an upload that began without one; the same again changes nothing."""
    if length is None or upload.total_bytes is not None or lease is None:
        return upload
    account = account_at(upload.account_kind, upload.account_id)
    async with admitted(platform, account) as session:
        if length > upload.reserved_bytes:
            await sessions.extend_reservation(session, platform, upload.id, length)
        else:
            await quotas.hold(session, platform, account)
        held = await chunks.held(session, upload.id)
        if held is None or held.state in ENDED:
            raise gone(held) if held is not None else UploadGone()
        if held.lease_epoch != lease.epoch:
            raise UploadTakenOver
        await quotas.release(session, platform, account, max(0, held.reserved_bytes - length))
        held.reserved_bytes = length
        held.total_bytes = length
        held.version += 1
        held.updated_at = platform.clock.now()
        if held.received_bytes == length:
            await joining.all_is_here(session, held)
    return held


def _refuse_ended(platform: Platform, upload: UploadSession) -> None:
    if upload.state in ENDED or is_given_up(upload):
        raise gone(upload)
    if upload.state == SessionState.OPEN and upload.expires_at <= platform.clock.now():
        raise gone(upload, SessionState.EXPIRED)


@contextmanager
def _telling(upload: UploadSession) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        _tell(error, upload)
        raise


def _tell(error: ApiError, upload: UploadSession) -> None:
    """A refusal says how far the upload is, so that its client need not ask."""
    if not isinstance(error, UploadGone):
        error.headers.update(standing_of(upload).headers())
