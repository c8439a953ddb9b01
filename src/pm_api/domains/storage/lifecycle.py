"""What time takes away: uploads that nobody goes on with, files that nobody claimed, the trash, bytes without use.

Rows go first and name the keys that are let go of; the store's bytes go after, so that a crash between costs nothing
but another try. What came back meanwhile (a late finish, a restored file, a claim) is looked at again under the lock.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.core.sweeping import LEFT_OUT, is_nobodys_fault
from pm_api.domains.storage import quotas, sessions, trash
from pm_api.domains.storage.accounts import Account, account_at
from pm_api.domains.storage.enums import SessionState
from pm_api.domains.storage.repository import lifecycle as repository
from pm_api.domains.storage.repository import uploads
from pm_api.domains.storage.repository.lifecycle import Doomed, Due, Expired
from pm_api.integrations.blobs import BlobDoor, StorageUnavailable
from pm_api.integrations.blobs.presigning import Presigner

FINISHING_GRACE: Final = timedelta(days=1)
"""An upload that has all its bytes is finished by a job, which is tried for some time."""
ENDED_KEPT: Final = timedelta(days=7)
"""For so long an upload that has ended is told of."""
LINKS_KEPT: Final = timedelta(days=30)
STALE_AFTER: Final = timedelta(days=1)
"""Nobody writes one object for longer: what is unfinished by then was left by somebody who died."""
UPLOADS_AT_A_TIME: Final = 200
FILES_AT_A_TIME: Final = 100
DOOMED_AT_A_TIME: Final = 500
ROWS_AT_A_TIME: Final = 1000
STORE_IS_AWAY: Final = 3
"""So many in a row that could not be removed, and none that could: then it is the store."""
FIRST_DELAY: Final = timedelta(minutes=1)
LONGEST_DELAY: Final = timedelta(days=1)

FindFiles = Callable[[AsyncSession, datetime, Due | None, int], Awaitable[Sequence[Due]]]

_log = structlog.get_logger(__name__)


# --- uploads -------------------------------------------------------------------------------------------------------


async def expire_uploads(context: JobContext) -> None:
    """End uploads whose time is over, each in a transaction of its own. Their room is given back."""
    platform, now = context.platform, context.platform.clock.now()
    after: Expired | None = None
    while True:
        async with platform.database.reading() as session:
            found = await repository.expired_uploads(session, now, FINISHING_GRACE, after, limit=UPLOADS_AT_A_TIME)
        for one in found:
            try:
                await _expire(platform, one)
            except Exception as failure:
                _left_out(context, one.account_id, failure)
        if len(found) < UPLOADS_AT_A_TIME:
            return
        after = found[-1]


async def _expire(platform: Platform, due: Expired) -> None:
    """Under the counters' lock, which everybody takes who goes on with an upload or finishes it: what is still over
    then stays over. Bytes that have come meanwhile put the end off.
    """
    async with platform.database.transaction() as session:
        await quotas.hold(session, platform, account_at(due.account_kind, due.account_id))
        upload = await uploads.lock_upload(session, due.upload_id)
        now = platform.clock.now()
        if upload is None or upload.state not in sessions.UNDER_WAY or upload.expires_at > now:
            return
        if upload.state == SessionState.FINISHING and upload.expires_at > now - FINISHING_GRACE:
            return
        await sessions.end(session, platform, upload, SessionState.EXPIRED, failure="upload_expired")


async def forget_uploads(context: JobContext) -> None:
    """Uploads that ended a week ago, with the files that never came of them; and links a month after their end."""
    platform = context.platform
    gone, before = ROWS_AT_A_TIME, platform.clock.now() - ENDED_KEPT
    while gone == ROWS_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await repository.forget_uploads(session, before, limit=ROWS_AT_A_TIME)
    gone, before = ROWS_AT_A_TIME, platform.clock.wall() - LINKS_KEPT
    while gone == ROWS_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await repository.forget_links(session, before, limit=ROWS_AT_A_TIME)


async def clear_unfinished(context: JobContext) -> None:
    """Parts of objects that nobody has put together within a day: at the store over the network, and on disk."""
    platform = context.platform
    before = platform.clock.wall() - STALE_AFTER
    removed = await platform.part(BlobDoor).clear_unfinished(before)
    presigner = platform.part(Presigner)
    if presigner.is_on:
        stale = [one async for one in presigner.open_multiparts() if one.began_at < before]
        async with platform.database.reading() as session:
            known = await repository.multiparts_under_way(session)
        for one in stale:
            if one.multipart_id not in known:
                await presigner.abort_multipart(one.key, one.multipart_id)
                removed += 1
    if removed:
        _log.info("storage_unfinished_removed", count=removed)


# --- files ---------------------------------------------------------------------------------------------------------


async def purge_trash(context: JobContext) -> None:
    """Files whose thirty days in the trash are over."""
    await _purge_due(context, repository.files_to_purge)


async def purge_expired(context: JobContext) -> None:
    """Temporary files that nobody has claimed within a day."""
    await _purge_due(context, repository.files_expired)


async def _purge_due(context: JobContext, find: FindFiles) -> None:
    platform, now = context.platform, context.platform.clock.now()
    after: Due | None = None
    while True:
        async with platform.database.reading() as session:
            found = await find(session, now, after, FILES_AT_A_TIME)
        accounts: dict[Account, list[UUID]] = {}
        for one in found:
            accounts.setdefault(account_at(one.account_kind, one.account_id), []).append(one.file_id)
        for account in sorted(accounts, key=lambda one: one.id):
            try:
                async with platform.database.transaction() as session:
                    await quotas.hold(session, platform, account)
                    over = await repository.still_over(session, accounts[account], platform.clock.now())
                    await purge(session, platform, account, over)
            except Exception as failure:
                _left_out(context, account.id, failure)
        if len(found) < FILES_AT_A_TIME:
            return
        after = found[-1]


async def purge(
    session: AsyncSession,
    platform: Platform,
    account: Account,
    file_ids: Collection[UUID],
    *,
    actor_user_id: UUID | None = None,
) -> int:
    """Remove files of an account for good, with their versions, links and uploads; what nothing else refers to goes
    from the store. Holds the account's counters; returns how many files it was.
    """
    if not file_ids:
        return 0
    await quotas.hold(session, platform, account)
    under_way, most = True, ROWS_AT_A_TIME
    while under_way:
        found = await repository.uploads_under_way(session, file_ids=file_ids, limit=most)
        for upload in found:
            await sessions.end(session, platform, upload, SessionState.TERMINATED)
        await session.flush()
        under_way = len(found) == most
    rows = await repository.lock_files(session, account.id, file_ids)
    for one in rows:
        await trash.purge(session, platform, one, actor_user_id=actor_user_id)
    return len(rows)


# --- bytes ---------------------------------------------------------------------------------------------------------


async def delete_doomed(context: JobContext) -> None:
    """Take away from the store what nothing refers to any more. What it does not take away is tried again, later and
    later; while it is away nothing else is tried.
    """
    platform, now = context.platform, context.platform.clock.now()
    after: Doomed | None = None
    while True:
        async with platform.database.reading() as session:
            found = await repository.doomed(session, now, after, limit=DOOMED_AT_A_TIME)
            kept = await repository.in_use(session, [one.key for one in found])
        if kept:  # nobody dooms what is in use: a fault of ours must cost no file
            _log.error("doomed_object_is_in_use", keys=sorted(kept)[:10], count=len(kept))
            await _put_off(platform, [one for one in found if one.key in kept], now)
        if not await _take_away(platform, [one for one in found if one.key not in kept], now):
            return
        if len(found) < DOOMED_AT_A_TIME:
            return
        after = found[-1]


async def _take_away(platform: Platform, found: Sequence[Doomed], now: datetime) -> bool:
    """Whether the store answers. Deleting twice is deleting once, so the rows may go after the bytes. If it fails for
    all together, each is tried by itself: one that cannot be removed keeps no other waiting.
    """
    if not found:
        return True
    gone: list[Doomed] = []
    stay: list[Doomed] = []
    if await _remove(platform, found):
        gone += found
    else:
        for place, one in enumerate(found):
            if len(stay) == STORE_IS_AWAY and not gone:
                stay += found[place:]
                break
            (gone if await _remove(platform, [one]) else stay).append(one)
    if stay:
        _log.warning("doomed_objects_stay", count=len(stay))
        await _put_off(platform, stay, now)
    if gone:
        async with platform.database.transaction() as session:
            await repository.forget_doomed(session, [one.key for one in gone])
    return bool(gone)


async def _remove(platform: Platform, found: Sequence[Doomed]) -> bool:
    """Whether the store has taken all of them away."""
    door = platform.part(BlobDoor)
    try:
        for one in found:
            if one.multipart_id is not None:
                await platform.part(Presigner).abort_multipart(one.key, one.multipart_id)
            if one.key.endswith("/"):
                await _empty(door, one.key)
        await door.delete(*(one.key for one in found if not one.key.endswith("/")))
    except StorageUnavailable:
        return False
    return True


async def _empty(door: BlobDoor, folder: str) -> None:
    """All that lies under a folder."""
    keys: list[str] = []
    async for one in door.list(folder):
        keys.append(one.key)
        if len(keys) == ROWS_AT_A_TIME:
            await door.delete(*keys)
            keys.clear()
    if keys:
        await door.delete(*keys)


async def _put_off(platform: Platform, found: Sequence[Doomed], now: datetime) -> None:
    waits: dict[timedelta, list[str]] = {}
    for one in found:
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(one.attempts, 20))
        waits.setdefault(delay, []).append(one.key)
    async with platform.database.transaction() as session:
        for delay, keys in waits.items():
            await repository.put_off(session, keys, now + delay)


def _left_out(context: JobContext, account_id: UUID, failure: Exception) -> None:
    """One account's fault keeps nobody else waiting; the next run tries it again."""
    if is_nobodys_fault(failure):
        raise failure
    telemetry.JOBS.labels(context.name, LEFT_OUT).inc()
    _log.exception("sweep_left_an_account_out", sweep=context.name, account_id=str(account_id))
