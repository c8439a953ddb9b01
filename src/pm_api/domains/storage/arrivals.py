"""Uploads that go straight to S3: where the bytes are to be put, and how they are taken in once they are there.

The address stays writable, so nothing counts that lies under it: what is there is looked at, copied to a key that
nobody has an address of on the condition that it is still what was looked at, and only then digested and compared.

Whoever completes an upload holds it by a lease and its epoch. Each epoch copies to a key of its own, so that one who
was taken for dead cannot put other bytes under what another has digested.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.errors import ApiError, NotFound, Unavailable
from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.storage import finishing, objects, quotas, sessions
from pm_api.domains.storage.accounts import account_at, account_of
from pm_api.domains.storage.admission import admitted
from pm_api.domains.storage.enums import FileType, SessionState, UploadWay
from pm_api.domains.storage.errors.arrivals import (
    PresigningUnavailable,
    UploadBeingCompleted,
    UploadNotArrived,
    UploadNotPresigned,
    UploadPartsMismatch,
    UploadStillChanging,
)
from pm_api.domains.storage.errors.uploads import ChecksumMismatch, LengthMismatch, UploadEnded
from pm_api.domains.storage.keys import object_key
from pm_api.domains.storage.models import UploadSession
from pm_api.domains.storage.repository import arrivals as repository
from pm_api.domains.storage.repository import uploads
from pm_api.domains.storage.sessions import NewUpload
from pm_api.domains.storage.streaming import Expected, Received, look_through
from pm_api.integrations.blobs import BlobDoor, BlobMissing
from pm_api.integrations.blobs.presigning import (
    ArrivedBlob,
    BlobChanged,
    MultipartGone,
    PartsRefused,
    Presigner,
    SentPart,
    SignedRequest,
    part_sizes,
)

MEBIBYTE: Final = 1024**2
SINGLE_BYTES: Final = 64 * MEBIBYTE
"""The most that is sent in one PUT; more goes in parts."""
PART_BYTES: Final = 64 * MEBIBYTE
MOST_PARTS: Final = 1024
LARGE_LIFETIME: Final = timedelta(hours=24)
LAST_PUT: Final = timedelta(hours=1)
"""So long before the upload's end its addresses open no more: what was begun then has time to arrive."""
LEASE: Final = timedelta(minutes=15)
RENEWED_EVERY_S: Final = 30.0
COMPLETED_AT_ONCE_BYTES: Final = 256 * MEBIBYTE
"""What is larger is digested by a worker: it takes longer than a caller waits."""
TRIES: Final = 3
AT_A_TIME: Final = 200

_log = structlog.get_logger(__name__)


class CompleteUpload(BaseModel):
    upload_id: UUID


COMPLETE: Final = declare("storage.complete_presigned", CompleteUpload)


@dataclass(frozen=True, slots=True)
class SignedPart:
    """Where one part is to be put, and how long it is."""

    number: int
    size_bytes: int
    request: SignedRequest


@dataclass(frozen=True, slots=True)
class Signed:
    """Where an upload is to be put: at once, or in parts."""

    upload: UploadSession
    expires_in_s: int
    put: SignedRequest | None
    parts: tuple[SignedPart, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What a client says of what it has put: the parts, or the ETag of the one PUT."""

    parts: tuple[SentPart, ...] = ()
    etag: str | None = None
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """One attempt at completing an upload, and what it goes by."""

    upload_id: UUID
    epoch: int
    key: str
    incoming_key: str
    multipart_id: str | None
    parts: tuple[SentPart, ...]
    etag: str | None
    most_bytes: int
    expected: Expected


# --- the beginning -------------------------------------------------------------------------------------------------


async def begin(platform: Platform, scope: AccountScope, wanted: NewUpload) -> Signed:
    """Promise room and sign the addresses. It opens transactions of its own; call it with none open.

    Raises PresigningUnavailable, StorageUnavailable, and what `sessions.begin` refuses.
    """
    presigner = platform.part(Presigner)
    if not presigner.is_on:
        raise PresigningUnavailable
    assert wanted.way is UploadWay.PRESIGNED, "only what lands apart is signed"
    assert wanted.total_bytes is not None, "an address takes a length that is known"
    async with admitted(platform, account_of(scope)) as session:
        upload = await sessions.begin(session, platform, scope, wanted)
    try:
        multipart_id = None
        if wanted.total_bytes > SINGLE_BYTES:
            multipart_id = await _begin_parts(platform, upload)
        return await _signed(platform, upload, wanted.total_bytes, multipart_id)
    except ApiError as error:
        await sessions.fail_later(platform, upload.id, error.code)
        raise


async def _begin_parts(platform: Platform, upload: UploadSession) -> str:
    """The id is written down as soon as it is known; one that was lost on the way is aborted as stale."""
    assert upload.incoming_key is not None
    multipart_id = await platform.part(Presigner).begin_multipart(upload.incoming_key)
    async with platform.database.transaction() as session:
        held = await uploads.lock_upload(session, upload.id)
        is_open = held is not None and held.state == SessionState.OPEN
        if held is not None and is_open:
            held.multipart_id = multipart_id
    if not is_open:
        await platform.part(Presigner).abort_multipart(upload.incoming_key, multipart_id)
        raise UploadEnded
    return multipart_id


async def _signed(platform: Platform, upload: UploadSession, total_bytes: int, multipart_id: str | None) -> Signed:
    presigner, key = platform.part(Presigner), upload.incoming_key
    assert key is not None
    expires_in_s = int((upload.expires_at - LAST_PUT - upload.created_at).total_seconds())
    if multipart_id is None:
        put = await presigner.put(
            key, size_bytes=total_bytes, sha256=upload.expected_sha256, expires_in_s=expires_in_s
        )
        return Signed(upload, expires_in_s, put, ())
    parts = [
        SignedPart(
            number,
            size,
            await presigner.part(key, multipart_id, number, size_bytes=size, expires_in_s=expires_in_s),
        )
        for number, size in enumerate(part_sizes(total_bytes, part_bytes(total_bytes)), 1)
    ]
    return Signed(upload, expires_in_s, None, tuple(parts))


def part_bytes(total_bytes: int) -> int:
    """How long each part is but the last: as many whole mebibytes as keep their number within bounds."""
    least = -(-total_bytes // MOST_PARTS)
    return max(PART_BYTES, -(-least // MEBIBYTE) * MEBIBYTE)


def lifetime_of(total_bytes: int) -> timedelta | None:
    """How long an upload may take; None for the usual."""
    return LARGE_LIFETIME if total_bytes > SINGLE_BYTES else None


# --- the end -------------------------------------------------------------------------------------------------------


async def complete(platform: Platform, upload_id: UUID, told: Told) -> bool:
    """Take in what was put, or leave what is large to a worker. Whether it is complete now; done twice, it is done
    once. It opens transactions of its own; call it with none open.

    Raises NotFound, UploadEnded, UploadNotPresigned, UploadBeingCompleted, UploadPartsMismatch; UploadNotArrived and
    UploadStillChanging, after which it can be tried again; LengthMismatch and ChecksumMismatch, after which not.
    """
    async with platform.database.transaction() as session:
        upload = await _held(session, upload_id)
        if upload.state == SessionState.COMPLETED:
            return True
        _note(platform, upload, told)
        if (upload.total_bytes or 0) > COMPLETED_AT_ONCE_BYTES:
            if upload.state == SessionState.OPEN:
                upload.state = SessionState.FINISHING
                upload.version += 1
            await put_in_turn(session, upload_id)
            return False
    await carry_on(platform, upload_id)
    return True


async def put_in_turn(session: AsyncSession, upload_id: UUID) -> None:
    """Have a worker complete an upload."""
    await enqueue(session, COMPLETE, CompleteUpload(upload_id=upload_id), dedupe_key=f"{COMPLETE.name}:{upload_id}")


def _note(platform: Platform, upload: UploadSession, told: Told) -> None:
    """Write down what the client says, so that anybody can complete the upload after it."""
    now = platform.clock.now()
    if upload.leased_until is not None and upload.leased_until > now:
        raise UploadBeingCompleted(headers={"Retry-After": "2"})
    if told.sha256 is not None:
        if upload.expected_sha256 not in (None, told.sha256):
            raise ChecksumMismatch("This is not the SHA-256 that the upload was begun with.")
        upload.expected_sha256 = told.sha256
    said = _said(upload, told)
    if said is not None:
        upload.parts = said
    upload.updated_at = now


def _said(upload: UploadSession, told: Told) -> list[Any] | None:
    if upload.multipart_id is None:
        if told.parts:
            raise UploadPartsMismatch("This upload is put at once, it has no parts.")
        return [{"number": 0, "etag": told.etag}] if told.etag is not None else None
    if not told.parts and upload.parts:
        return None
    total = upload.total_bytes or 0
    wanted = -(-total // part_bytes(total))
    if sorted(one.number for one in told.parts) != [*range(1, wanted + 1)]:
        raise UploadPartsMismatch(f"This upload has {wanted} parts, numbered from 1.")
    return [{"number": one.number, "etag": one.etag} for one in told.parts]


async def _held(session: AsyncSession, upload_id: UUID) -> UploadSession:
    """The upload, locked; raises NotFound, UploadNotPresigned and UploadEnded."""
    upload = await uploads.lock_upload(session, upload_id)
    if upload is None:
        raise NotFound
    if upload.way != UploadWay.PRESIGNED or upload.incoming_key is None:
        raise UploadNotPresigned
    if upload.state not in (*sessions.UNDER_WAY, SessionState.COMPLETED):
        raise UploadEnded
    return upload


async def carry_on(platform: Platform, upload_id: UUID) -> None:
    """Complete an upload of which everything is written down; raises as `complete`."""
    run = await _claim(platform, upload_id)
    if run is None:
        return
    try:
        received = await _take_in(platform, run)
        await finishing.finish(platform, run.upload_id, received)
    except (UploadNotArrived, UploadStillChanging, UploadPartsMismatch) as error:
        await _let_go(platform, run, SessionState.OPEN, error.code)
        raise
    except Unavailable as error:  # whether the store acted or not, the next run finds out; or the line was long
        await _let_go(platform, run, SessionState.FINISHING, error.code)
        raise
    except UploadBeingCompleted:
        raise
    except ApiError as error:
        await _fail(platform, run, error.code)
        raise
    except BaseException:  # the caller has hung up, the process stops: whoever comes next need not wait for the lease
        await _let_go(platform, run, SessionState.FINISHING, None)
        raise


async def _claim(platform: Platform, upload_id: UUID) -> _Run | None:
    """Hold an upload against everybody else; None when it is complete."""
    async with platform.database.transaction() as session:
        upload = await _held(session, upload_id)
        now = platform.clock.now()
        if upload.state == SessionState.COMPLETED:
            return None
        if upload.leased_until is not None and upload.leased_until > now:
            raise UploadBeingCompleted(headers={"Retry-After": "2"})
        if upload.lease_epoch:
            await _change_key(session, platform, upload)
        upload.lease_epoch += 1
        upload.leased_until = now + LEASE
        upload.state = SessionState.FINISHING
        upload.failure = None
        upload.updated_at = now
        upload.version += 1
        return _run(upload)


async def _change_key(session: AsyncSession, platform: Platform, upload: UploadSession) -> None:
    """Whoever held it before may still be copying: what comes of that goes."""
    file = await uploads.file(session, upload.account_id, upload.file_id)
    assert file is not None, "an upload goes with its file"
    due_at = platform.clock.now() + sessions.STILL_WRITTEN
    await objects.doom(session, platform, [upload.key], "completed anew", account_id=upload.account_id, due_at=due_at)
    account = account_at(upload.account_kind, upload.account_id)
    upload.key = object_key(account, FileType(file.file_type), platform.randomness.uuid())


def _run(upload: UploadSession) -> _Run:
    said = upload.parts or []
    assert upload.incoming_key is not None
    return _Run(
        upload_id=upload.id,
        epoch=upload.lease_epoch,
        key=upload.key,
        incoming_key=upload.incoming_key,
        multipart_id=upload.multipart_id,
        parts=tuple(SentPart(one["number"], one["etag"]) for one in said if one["number"]),
        etag=next((one["etag"] for one in said if not one["number"]), None),
        most_bytes=upload.most_bytes,
        expected=Expected(upload.total_bytes, upload.expected_sha256, upload.expected_md5),
    )


async def _take_in(platform: Platform, run: _Run) -> Received:
    """Copy what has arrived to the upload's own key, and digest the copy."""
    if run.multipart_id is not None:
        await _put_together(platform, run, run.multipart_id)
    await _copy(platform, run)
    async with aclosing(platform.part(BlobDoor).read(run.key)) as source:
        return await look_through(
            _kept(platform, run, source), run.key, most_bytes=run.most_bytes, expected=run.expected
        )


async def _put_together(platform: Platform, run: _Run, multipart_id: str) -> None:
    """Once done, the store knows the upload no more: then what lies there decides."""
    presigner = platform.part(Presigner)
    try:
        await presigner.complete_multipart(run.incoming_key, multipart_id, run.parts)
    except PartsRefused as error:
        raise UploadPartsMismatch from error
    except (MultipartGone, BlobMissing):
        if await presigner.arrived(run.incoming_key) is None:
            raise UploadEnded("The store has let go of the parts of this upload. Begin a new one.") from None


async def _copy(platform: Platform, run: _Run) -> None:
    presigner = platform.part(Presigner)
    for _ in range(TRIES):
        arrived = await presigner.arrived(run.incoming_key)
        if arrived is None:
            raise UploadNotArrived
        _compare(arrived, run)
        try:
            await presigner.copy(arrived, run.key)
        except (BlobChanged, BlobMissing):
            continue
        # Stores that only resemble S3 copy without looking at the condition.
        after = await presigner.arrived(run.incoming_key)
        if after is not None and after.etag == arrived.etag:
            return
    raise UploadStillChanging


def _compare(arrived: ArrivedBlob, run: _Run) -> None:
    """What the store says of itself, before it is copied; raises LengthMismatch and ChecksumMismatch."""
    if arrived.size_bytes != run.expected.size_bytes:
        raise LengthMismatch(f"{arrived.size_bytes} bytes arrived, {run.expected.size_bytes} were announced.")
    if arrived.sha256 is not None and run.expected.sha256 not in (None, arrived.sha256):
        raise ChecksumMismatch
    if run.etag is not None and run.etag.strip('"') != arrived.etag.strip('"'):
        raise ChecksumMismatch("What lies there now has another ETag than what you put.")


async def _kept(platform: Platform, run: _Run, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes, and from time to time a sign of life; raises UploadBeingCompleted when somebody else has it now."""
    told_at = platform.clock.wall()
    async for piece in source:
        yield piece
        wall = platform.clock.wall()
        if (wall - told_at).total_seconds() < RENEWED_EVERY_S:
            continue
        told_at = wall
        async with platform.database.transaction() as session:
            until = platform.clock.now() + LEASE
            if not await repository.renew(session, run.upload_id, run.epoch, until):
                raise UploadBeingCompleted(headers={"Retry-After": "2"})


async def _fail(platform: Platform, run: _Run, code: str) -> None:
    """End the upload, if this run still holds it: another one may have found better bytes."""
    async with platform.database.reading() as session:
        seen = await uploads.upload(session, run.upload_id)
    if seen is None:
        return
    account = account_at(seen.account_kind, seen.account_id)
    try:
        async with admitted(platform, account) as session:
            await quotas.hold(session, platform, account)
            held = await uploads.lock_upload(session, run.upload_id)
            if held is not None and held.lease_epoch == run.epoch and held.state == SessionState.FINISHING:
                await sessions.fail(session, platform, held, code)
    except Unavailable:  # the line is long: whoever comes next finds the same
        await _let_go(platform, run, SessionState.FINISHING, code)


async def _let_go(platform: Platform, run: _Run, state: SessionState, failure: str | None) -> None:
    async with platform.database.transaction() as session:
        await repository.let_go(session, run.upload_id, run.epoch, state, failure, platform.clock.now())
    _log.info("completion_put_off", upload_id=str(run.upload_id), state=state, failure=failure)


# --- by a worker ---------------------------------------------------------------------------------------------------


async def carry_on_alone(platform: Platform, upload_id: UUID) -> None:
    """Complete an upload with nobody waiting. What it is refused with stands in its row; when the store is away, the
    next sweep puts it in turn again.
    """
    try:
        await carry_on(platform, upload_id)
    except ApiError as error:
        _log.info("upload_not_completed", upload_id=str(upload_id), code=error.code)


async def put_all_in_turn(platform: Platform) -> None:
    """Put uploads in turn that were to be completed when whoever did it died, or the store was away."""
    after: UUID | None = None
    while True:
        async with platform.database.transaction() as session:
            found = await repository.left_behind(session, platform.clock.now(), after, AT_A_TIME)
            for upload_id in found:
                await put_in_turn(session, upload_id)
        if len(found) < AT_A_TIME:
            return
        after = found[-1]
