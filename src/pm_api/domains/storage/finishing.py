"""The end of every way in: the bytes lie under their key, now the row flips.

One transaction takes the object in, gives the file its version, turns the reservation into a charge, closes the
upload and tells of it. Before it commits nobody sees anything of the new bytes; if it never does, the upload expires
and the key, which its row names, is cleared.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.errors import ApiError
from pm_api.core.platform import Platform
from pm_api.domains.storage import objects, quotas, scanning, sessions, sniffing, telling
from pm_api.domains.storage.accounts import Account, account_at
from pm_api.domains.storage.admission import admitted
from pm_api.domains.storage.destinations import Destination
from pm_api.domains.storage.enums import ScanState, SessionState, UploadStatus, UploadWay
from pm_api.domains.storage.errors.uploads import UploadEnded
from pm_api.domains.storage.models import StoredFile, StoredObject, UploadSession
from pm_api.domains.storage.repository import uploads as repository
from pm_api.domains.storage.sessions import NewUpload
from pm_api.domains.storage.streaming import Expected, Received, take
from pm_api.integrations.blobs import BlobDoor

TEMPORARY_FOR: Final = timedelta(hours=24)
INTERNAL_ERROR: Final = "internal_error"

_log = structlog.get_logger(__name__)


async def finish(
    platform: Platform, upload_id: UUID, received: Received, account: Account | None = None
) -> StoredFile:
    """The file with its new version. Done twice, it is done once. Raises UploadEnded for an upload that has come to
    an end otherwise, whose bytes then go; and StorageQuotaExceeded when more came than was reserved and does not fit.
    """
    account = account or await _account_of(platform, upload_id)
    if account is None:  # cancelled, and gone with its file
        async with platform.database.transaction() as session:
            await objects.doom(session, platform, [received.key], "its upload is gone")
        raise UploadEnded
    async with admitted(platform, account) as session:
        file = await finish_in(session, platform, upload_id, received)
    if file is None:
        raise UploadEnded
    return file


async def _account_of(platform: Platform, upload_id: UUID) -> Account | None:
    async with platform.database.reading() as session:
        found = await repository.upload(session, upload_id)
    return account_at(found.account_kind, found.account_id) if found is not None else None


async def finish_in(
    session: AsyncSession, platform: Platform, upload_id: UUID, received: Received
) -> StoredFile | None:
    """The same in the caller's transaction, which has nothing in hand; None instead of UploadEnded."""
    seen = await repository.upload(session, upload_id)
    if seen is None:  # cancelled, and gone with its file
        await objects.doom(session, platform, [received.key], "its upload is gone")
        return None
    account = account_at(seen.account_kind, seen.account_id)
    more = received.size_bytes - seen.reserved_bytes
    if more > 0 and seen.state in sessions.UNDER_WAY:
        await quotas.reserve(session, platform, account, more)
    else:
        more = 0
        await quotas.hold(session, platform, account)
    upload = await repository.lock_upload(session, upload_id)
    if upload is None or upload.state not in sessions.UNDER_WAY:
        await quotas.release(session, platform, account, more)
        if upload is not None and upload.state == SessionState.COMPLETED:
            # By another, who may have let go of the key: what was written there since would stay for ever.
            if not await objects.is_kept(session, received.key):
                await objects.doom(session, platform, [received.key], "brought twice", account_id=account.id)
            return await repository.file(session, account.id, upload.file_id)
        await objects.doom(session, platform, [received.key], "its upload has ended", account_id=account.id)
        return None
    if upload.key != received.key:  # taken over meanwhile by somebody who brings it under another key
        await quotas.release(session, platform, account, more)
        await objects.doom(session, platform, [received.key], "brought by another", account_id=account.id)
        return None
    file = await repository.lock_file(session, account.id, upload.file_id)
    assert file is not None, "an upload goes with its file"
    # Still held by the budget's lock or the counters': nothing else of this account moves until the commit.
    await quotas.release(session, platform, account, upload.reserved_bytes + more)
    media_type = sniffing.detect(
        received.head, received.tail, name=upload.original_name, declared=upload.declared_type
    )
    stored = await objects.take_in(session, platform, account, received, media_type)
    if stored.scan_state == ScanState.NOT_SCANNED:
        await scanning.begin(session, platform, stored)
    before = file.object_id
    await _flip(session, platform, upload, file, stored, media_type)
    await objects.recharge(session, platform, {one for one in (before, stored.id) if one is not None})
    await telling.told(
        session,
        platform,
        file,
        "created" if before is None else "updated",
        actor_user_id=upload.user_id,
    )
    if before is not None and stored.scan_state == ScanState.INFECTED:
        await scanning.tell(session, platform, stored)  # its file does not show that it was refused
    return file


async def _flip(
    session: AsyncSession,
    platform: Platform,
    upload: UploadSession,
    file: StoredFile,
    stored: StoredObject,
    media_type: str,
) -> None:
    now = platform.clock.now()
    version = await repository.add_version(
        session,
        id=upload.id,  # so that an upload finds what it brought, and brings it once
        file_id=file.id,
        account_id=file.account_id,
        number=await objects.next_number(session, file),
        object_id=stored.id,
        original_name=upload.original_name,
        declared_type=upload.declared_type,
        media_type=media_type,
        uploaded_by_user_id=upload.user_id,
        created_at=now,
    )
    status = objects.status_for(platform, ScanState(stored.scan_state))
    if file.object_id is None or status is UploadStatus.COMPLETED:
        objects.turn_to(file, version, stored, status)
    # Otherwise what it held before counts until the scanner has called the new bytes clean (`scanning.settle`).
    file.original_name = upload.original_name if not upload.is_new_version else file.original_name
    if file.is_temporary and file.deleted_at is None:
        file.expires_at = now + TEMPORARY_FOR
    file.updated_at = now
    file.version += 1
    upload.state = SessionState.COMPLETED
    upload.total_bytes = upload.received_bytes = stored.size_bytes
    upload.reserved_bytes = 0
    upload.leased_until = None
    upload.failure = None
    upload.ended_at = now
    upload.updated_at = now
    upload.version += 1
    if upload.incoming_key is not None:  # its address takes bytes until it is over
        await objects.doom(
            session,
            platform,
            [upload.incoming_key],
            "it was copied",
            account_id=upload.account_id,
            due_at=max(now, upload.expires_at),
        )
    await repository.doom_chunks(session, upload, now)
    await session.flush()


async def put_internal(
    platform: Platform,
    account: Account,
    scope: AccountScope,
    wanted: NewUpload,
    source: AsyncIterable[bytes],
) -> StoredFile:
    """A file that another slice of ours brings: quota, digests, scan and crashes as for any other. It opens
    transactions of its own; call it with none open.
    """
    wanted = replace(wanted, way=UploadWay.INTERNAL, account=account, place=wanted.place or Destination())
    async with admitted(platform, account) as session:
        upload = await sessions.begin(session, platform, scope, wanted)
    return await bring(platform, upload, source, Expected(size_bytes=wanted.total_bytes))


async def bring(
    platform: Platform, upload: UploadSession, source: AsyncIterable[bytes], expected: Expected
) -> StoredFile:
    """Stream the whole of an upload into the store and finish it. Whatever goes wrong ends the upload, whose room is
    given back before the error goes on.
    """
    async with ending_with_it(platform, upload):
        received = await receive(platform, upload, source, expected)
        return await finish(platform, upload.id, received, account_at(upload.account_kind, upload.account_id))


@asynccontextmanager
async def ending_with_it(platform: Platform, upload: UploadSession) -> AsyncIterator[None]:
    """Whatever goes wrong inside ends the upload."""
    try:
        yield
    except ApiError as error:
        await _fail(platform, upload.id, error.code)
        raise
    except BaseException:
        await _fail(platform, upload.id, INTERNAL_ERROR)
        raise


async def receive(
    platform: Platform, upload: UploadSession, source: AsyncIterable[bytes], expected: Expected
) -> Received:
    """Stream the whole of an upload under its key. It does not expire while its bytes come, however slowly. Raises
    UploadEnded when it has ended meanwhile, and what `take` and `Progress` raise.
    """
    progress = Progress(platform, upload)
    async with aclosing(progress.counted(source)) as counted:
        return await take(
            platform.part(BlobDoor),
            upload.key,
            counted,
            most_bytes=upload.most_bytes,
            expected=expected,
            before_more=progress.reached,
        )


async def _fail(platform: Platform, upload_id: UUID, code: str) -> None:
    """The error that is on its way matters more than that this did not work: then the upload expires by itself."""
    try:
        await sessions.fail_later(platform, upload_id, code)
    except Exception as error:
        _log.warning("upload_not_ended", upload_id=str(upload_id), error=type(error).__name__)


class Progress:
    """Keeps an upload alive while its bytes come: a row is written when more room is needed, and once a minute."""

    EVERY: Final = timedelta(minutes=1)

    def __init__(self, platform: Platform, upload: UploadSession) -> None:
        self._platform = platform
        self._upload = upload
        self._account = account_at(upload.account_kind, upload.account_id)
        self._reserved_bytes = upload.reserved_bytes
        self._told_at = platform.clock.now()

    async def counted(self, source: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """The same bytes. They are told of as they come, not as they are written: a buffer of a slow line may take
        longer to fill than an upload lives. Raises UploadEnded.
        """
        come = 0
        async for piece in source:
            come += len(piece)
            now = self._platform.clock.now()
            if now - self._told_at >= self.EVERY:
                self._told_at = now
                await sessions.keep_alive(self._platform, self._upload, come)
            yield piece

    async def reached(self, total_bytes: int) -> None:
        """So many bytes are about to be written; raises UploadEnded, FileTooLarge and StorageQuotaExceeded."""
        if total_bytes <= self._reserved_bytes:
            return
        self._told_at = self._platform.clock.now()
        async with admitted(self._platform, self._account) as session:
            held = await sessions.extend_reservation(
                session, self._platform, self._upload.id, total_bytes, received_bytes=total_bytes
            )
            self._reserved_bytes = held.reserved_bytes
