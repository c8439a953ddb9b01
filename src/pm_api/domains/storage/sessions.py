"""Uploads under way: what one is promised when it begins, and what it gives back when it ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.storage import naming, objects, quotas
from pm_api.domains.storage.accounts import Account, account_at, account_of
from pm_api.domains.storage.admission import admitted
from pm_api.domains.storage.destinations import Destination, destination, ensure_open, ensure_room
from pm_api.domains.storage.enums import FileType, SessionState, UploadStatus, UploadWay
from pm_api.domains.storage.errors.uploads import (
    FileTooLarge,
    TooManyUploads,
    UploadEnded,
    VersionNotTaken,
)
from pm_api.domains.storage.keys import incoming_key, object_key
from pm_api.domains.storage.models import StoredFile, UploadSession
from pm_api.domains.storage.repository import uploads as repository

LIFETIME: Final = {
    UploadWay.MULTIPART: timedelta(minutes=15),
    UploadWay.INTERNAL: timedelta(minutes=15),
    UploadWay.TUS: timedelta(hours=24),
    UploadWay.PRESIGNED: timedelta(hours=2),
}
"""After how long without a sign of life an upload is over."""
LONGEST: Final = {
    UploadWay.MULTIPART: timedelta(days=1),
    UploadWay.INTERNAL: timedelta(days=1),
    UploadWay.TUS: timedelta(days=7),
    UploadWay.PRESIGNED: timedelta(days=1),
}
"""How long after its beginning an upload is over, whatever still comes: who sends a byte a minute does not keep room
for ever.
"""
STILL_WRITTEN: Final = timedelta(hours=1)
MOST_AT_ONCE: Final = 1000
UNLIMITED_BYTES: Final = 1 << 62
UNDER_WAY: Final = frozenset({SessionState.OPEN, SessionState.FINISHING})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What somebody wants to bring in. With `file_id` it is a new version of that file, which stays where it is;
    without one a file is made. `place` says where, for slices of ours that have asked already.
    """

    way: UploadWay = UploadWay.INTERNAL
    file_type: FileType
    original_name: str
    declared_type: str | None = None
    total_bytes: int | None = None
    reserve_bytes: int | None = None
    """What is reserved while the length is not known."""
    task_id: UUID | None = None
    project_id: UUID | None = None
    file_id: UUID | None = None
    expected_sha256: bytes | None = None
    expected_md5: bytes | None = None
    raw_metadata: str = ""
    comes_in_apart: bool = False
    """Whether it lands under a key of its own first (presigned)."""
    account: Account | None = None
    place: Destination | None = None
    lifetime: timedelta | None = None


async def begin(session: AsyncSession, platform: Platform, scope: AccountScope, wanted: NewUpload) -> UploadSession:
    """Promise room for an upload, and write down the key its bytes will have.

    Raises InvalidFileName, what the place refuses, FileTooLarge, StorageQuotaExceeded, TooManyUploads and
    VersionNotTaken.
    """
    name = naming.clean_name(wanted.original_name)
    place = wanted.place
    if place is None and wanted.file_id is None:
        place = await destination(wanted.file_type)(
            session, platform, scope, task_id=wanted.task_id, project_id=wanted.project_id
        )
    account = wanted.account or account_of(scope)
    budget = await quotas.budget_for(session, platform, account)
    most = budget.limits.max_file_bytes
    reserved = wanted.total_bytes if wanted.total_bytes is not None else wanted.reserve_bytes or 0
    if most is not None and reserved > most:
        raise FileTooLarge(f"A file has at most {most} bytes under this plan.", limit=most)
    await quotas.reserve(session, platform, account, reserved, seen=budget)
    if await repository.count_open(session, account.id, scope.user_id) >= MOST_AT_ONCE:
        raise TooManyUploads(headers={"Retry-After": "60"})
    now = platform.clock.now()
    file = await _file_for(session, platform, scope, wanted, account, place, name)
    upload_id = platform.randomness.uuid()
    upload = UploadSession(
        id=upload_id,
        account_kind=account.kind,
        account_id=account.id,
        workspace_id=account.workspace_id,
        user_id=scope.user_id,
        file_id=file.id,
        is_new_version=wanted.file_id is not None,
        way=wanted.way,
        state=SessionState.OPEN,
        original_name=name,
        declared_type=wanted.declared_type,
        raw_metadata=wanted.raw_metadata,
        total_bytes=wanted.total_bytes,
        received_bytes=0,
        most_bytes=UNLIMITED_BYTES if most is None else most,
        reserved_bytes=reserved,
        expected_sha256=wanted.expected_sha256,
        expected_md5=wanted.expected_md5,
        key=object_key(account, FileType(file.file_type), platform.randomness.uuid()),
        incoming_key=incoming_key(upload_id) if wanted.comes_in_apart else None,
        expires_at=now + (wanted.lifetime or LIFETIME[wanted.way]),
        created_at=now,
        updated_at=now,
    )
    session.add(upload)
    await session.flush()
    return upload


async def _file_for(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    wanted: NewUpload,
    account: Account,
    place: Destination | None,
    name: str,
) -> StoredFile:
    if wanted.file_id is not None:
        file = await repository.lock_file(session, account.id, wanted.file_id)
        if file is None:
            raise NotFound
        if file.deleted_at is not None or file.version_number == 0:
            raise VersionNotTaken
        await ensure_open(session, file)
        return file
    assert place is not None
    await ensure_room(session, place.task_id)
    now = platform.clock.now()
    file = StoredFile(
        id=platform.randomness.uuid(),
        account_id=account.id,
        workspace_id=account.workspace_id,
        scope_id=place.scope_id,
        user_id=scope.user_id,
        file_type=wanted.file_type,
        task_id=place.task_id,
        project_id=place.project_id,
        message_id=place.message_id,
        original_name=name,
        status=UploadStatus.UPLOADING,
        declared_type=wanted.declared_type,
        is_temporary=wanted.file_type is FileType.TEMPORARY_UPLOAD,
        created_at=now,
        updated_at=now,
    )
    session.add(file)
    await session.flush()
    return file


async def extend_reservation(
    session: AsyncSession, platform: Platform, upload_id: UUID, total_bytes: int, *, received_bytes: int | None = None
) -> UploadSession:
    """See to it that an upload has room for so many bytes in all, and that it does not expire while they come.
    Returns it, held. Raises UploadEnded, FileTooLarge and StorageQuotaExceeded.
    """
    seen = await repository.upload(session, upload_id)
    if seen is None or seen.state not in UNDER_WAY:
        raise UploadEnded
    if total_bytes > seen.most_bytes:
        raise FileTooLarge(f"A file has at most {seen.most_bytes} bytes under this plan.", limit=seen.most_bytes)
    more = max(0, total_bytes - seen.reserved_bytes)
    account = account_at(seen.account_kind, seen.account_id)
    if more:
        await quotas.reserve(session, platform, account, more)
    else:  # whoever calls may give back some of it: the counters come before the upload
        await quotas.hold(session, platform, account)
    held = await repository.lock_upload(session, upload_id)
    if held is None or held.state not in UNDER_WAY:
        raise UploadEnded
    now = platform.clock.now()
    held.reserved_bytes += more
    if received_bytes is not None:
        held.received_bytes = max(held.received_bytes, received_bytes)
    held.expires_at = max(held.expires_at, lives_until(held, now))
    held.updated_at = now
    return held


def lives_until(upload: UploadSession, now: datetime) -> datetime:
    """When an upload is over that shows a sign of life now."""
    way = UploadWay(upload.way)
    return min(now + LIFETIME[way], upload.created_at + LONGEST[way])


async def keep_alive(platform: Platform, upload: UploadSession, received_bytes: int) -> None:
    """See to it that an upload does not expire while its bytes come, in a short transaction that holds no counters.
    Raises UploadEnded.
    """
    now = platform.clock.now()
    async with platform.database.transaction() as session:
        is_open = await repository.keep_alive(
            session,
            upload.id,
            received_bytes=received_bytes,
            expires_at=lives_until(upload, now),
            now=now,
        )
    if not is_open:
        raise UploadEnded


async def cancel(platform: Platform, user_id: UUID, upload_id: UUID, expected_version: int | None) -> None:
    """End one of somebody's uploads, as they wish. It opens transactions of its own; call it with none open. Raises
    NotFound, PreconditionFailed, UploadEnded, and Unavailable.
    """
    async with platform.database.reading() as session:
        found = await repository.upload_of(session, user_id, upload_id)
    if found is None:
        raise NotFound
    account = account_at(found.account_kind, found.account_id)
    async with admitted(platform, account) as session:
        await quotas.hold(session, platform, account)
        held = await repository.lock_upload(session, upload_id)
        if held is None:
            raise NotFound
        check_version(held.version, expected_version)
        if not await end(session, platform, held, SessionState.TERMINATED):
            raise UploadEnded


async def fail(session: AsyncSession, platform: Platform, upload: UploadSession, code: str) -> bool:
    """An upload has come to nothing, for the reason that the problem's code gives."""
    return await end(session, platform, upload, SessionState.FAILED, failure=code)


async def end(
    session: AsyncSession,
    platform: Platform,
    upload: UploadSession,
    state: SessionState,
    *,
    failure: str | None = None,
) -> bool:
    """End an upload that has not been completed: its room is given back, what came of it goes from the store, and the
    file it would have made is FAILED, or gone with it when it was cancelled. Whether it was still under way.

    Holds the account's counters and then the upload: call it with nothing else in hand.
    """
    account = account_at(upload.account_kind, upload.account_id)
    await quotas.hold(session, platform, account)
    held = await repository.lock_upload(session, upload.id)
    if held is None or held.state not in UNDER_WAY:
        return False
    now = platform.clock.now()
    await quotas.release(session, platform, account, held.reserved_bytes)
    held.reserved_bytes = 0
    held.state = state
    held.failure = failure
    held.ended_at = now
    held.updated_at = now
    held.version += 1
    held.lease_epoch += 1  # whoever still sends to it is refused
    held.leased_until = None
    await _doom_bytes(session, platform, held)
    file = await repository.lock_file(session, held.account_id, held.file_id)
    if file is not None and file.version_number == 0:
        if state is SessionState.TERMINATED:
            await session.flush()
            await repository.remove_file(session, file.id)  # the upload's row goes with it
        else:
            file.status = UploadStatus.FAILED
            file.updated_at = now
            file.version += 1
    _log.info("upload_ended", upload_id=str(held.id), way=held.way, state=state, failure=failure)
    return True


async def _doom_bytes(session: AsyncSession, platform: Platform, ended: UploadSession) -> None:
    """A process that does not know yet may be writing the object, and a presigned address takes bytes until it is
    over: what comes of either must not outlive its mark.
    """
    now = platform.clock.now()
    reason = f"upload {ended.state.lower()}"
    of = ended.account_id
    await objects.doom(session, platform, [ended.key], reason, account_id=of, due_at=now + STILL_WRITTEN)
    if ended.incoming_key is not None:
        await objects.doom(
            session,
            platform,
            [ended.incoming_key],
            reason,
            account_id=of,
            multipart_id=ended.multipart_id,
            due_at=max(now, ended.expires_at),
        )
    await repository.doom_chunks(session, ended, now)


async def fail_later(platform: Platform, upload_id: UUID, code: str) -> None:
    """The same in a transaction of its own, for whoever has none: called where an upload broke off."""
    async with platform.database.reading() as session:
        found = await repository.upload(session, upload_id)
    if found is not None:
        async with admitted(platform, account_at(found.account_kind, found.account_id)) as session:
            await fail(session, platform, found, code)
