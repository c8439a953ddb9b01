"""What the scanner says of objects, and what becomes of files by it. Nothing is clean that it has not called clean.

An object waits with `scan_due_at`; whoever takes its turn moves that on first, so that the sweep follows one who has
died. The bytes go to the scanner with no transaction open. A verdict is written under the account's counters, which
everybody holds who changes what refers to an object: no file comes to it or leaves it meanwhile.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.storage import objects, quotas
from pm_api.domains.storage.accounts import account_at
from pm_api.domains.storage.enums import ScanState, UploadStatus
from pm_api.domains.storage.keys import QUARANTINE, quarantine_key
from pm_api.domains.storage.models import StoredFile, StoredObject
from pm_api.domains.storage.repository import scans as repository
from pm_api.domains.storage.repository.scans import Claimed, Concerned, Due
from pm_api.domains.storage.telling import told
from pm_api.integrations.blobs import BlobDamaged, BlobDoor, BlobMissing, StorageUnavailable
from pm_api.integrations.scanner import Outcome, ScannerDoor, ScannerUnavailable

AT_A_TIME: Final = 200
PAGES: Final = 5
TURN: Final = timedelta(minutes=10)
"""How long whoever scans an object has for it before another may."""
FIRST_DELAY: Final = timedelta(minutes=1)
LONGEST_DELAY: Final = timedelta(hours=1)
DOUBLED_AT_MOST: Final = 6
RESCANNED_AFTER: Final = (timedelta(days=1), timedelta(days=30))
"""Signatures of what is new come late: looked at again after a day, then after as long as it has been here, and every
thirty days in the end.
"""
ASKED_AGAIN_AFTER: Final = timedelta(days=1)
QUARANTINED_WITHIN: Final = timedelta(days=1)
SCANNED: Final = {
    Outcome.CLEAN: ScanState.CLEAN,
    Outcome.INFECTED: ScanState.INFECTED,
    Outcome.TOO_LARGE: ScanState.TOO_LARGE,
}
DECIDED_HERE: Final = frozenset({UploadStatus.VIRUS_SCAN_PENDING.value, UploadStatus.COMPLETED.value})

_log = structlog.get_logger(__name__)


class ScanObject(BaseModel):
    object_id: UUID


SCAN: Final = declare("storage.scan", ScanObject)


# --- at the end of an upload ---------------------------------------------------------------------------------------


async def begin(session: AsyncSession, platform: Platform, stored: StoredObject) -> ScanState:
    """What is known of an object that a file has just come to, held; what never was scanned is put in turn.

    What is here already keeps its verdict: who brings it once more has it neither cleaner nor worse. Other files with
    content that was here before there was a scanner wait for the verdict too, and say so.
    """
    state = ScanState(stored.scan_state)
    if state is not ScanState.NOT_SCANNED:
        return state
    stored.scan_due_at = platform.clock.now()  # without a scanner too: who gets one has everything scanned
    if not platform.part(ScannerDoor).is_on:
        return state
    stored.scan_state = ScanState.PENDING
    stored.scan_attempts = 0
    await session.flush()
    await put_in_turn(session, stored.id)
    if stored.charged_as is not None:  # others have it
        await _decide(session, platform, stored, await repository.lock_files_of(session, stored.id), is_news=True)
    return ScanState.PENDING


async def put_in_turn(session: AsyncSession, object_id: UUID) -> None:
    """Have a worker scan an object."""
    await enqueue(session, SCAN, ScanObject(object_id=object_id), dedupe_key=f"{SCAN.name}:{object_id}")


# --- by a worker ---------------------------------------------------------------------------------------------------


async def look_at(platform: Platform, object_id: UUID) -> None:
    """Take an object's turn: ask the scanner and write down what it says, or put away what is infected. When the
    scanner or the store is away, it has another turn later.
    """
    door = platform.part(ScannerDoor)
    async with platform.database.transaction() as session:
        now = platform.clock.now()
        claimed = await repository.claim(session, object_id, now, now + TURN)
    if claimed is None:
        return
    try:
        if claimed.state == ScanState.INFECTED:
            await quarantine(platform, object_id, claimed.key)
            return
        if not door.is_on:
            await _go_without(platform, claimed)
            return
        digest = hashlib.sha256()
        async with aclosing(platform.part(BlobDoor).read(claimed.key, whole_bytes=claimed.size_bytes)) as pieces:
            verdict = await door.scan(_digested(pieces, digest.update), claimed.size_bytes)
        if verdict.outcome is Outcome.CLEAN and digest.digest() != claimed.sha256:
            raise BlobDamaged(claimed.key, claimed.size_bytes)  # it has called other bytes clean than came in
        await settle(platform, object_id, SCANNED[verdict.outcome], verdict.threat)
        if verdict.outcome is Outcome.INFECTED:
            await quarantine(platform, object_id, claimed.key)
    except (ScannerUnavailable, StorageUnavailable, BlobMissing) as error:
        _log.warning("scan_postponed", object_id=str(object_id), error=repr(error), attempts=claimed.attempts)
        if isinstance(error, BlobMissing) and await objects.doubt(platform, claimed.key):
            _log.error("stored_bytes_damaged", key=claimed.key, size_bytes=claimed.size_bytes)
        async with platform.database.transaction() as session:
            until = platform.clock.now() + next_try(claimed.attempts)
            await repository.postpone(session, object_id, until)


async def _digested(pieces: AsyncIterator[bytes], update: Callable[[bytes], None]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        await asyncio.to_thread(update, piece)
        yield piece


async def put_all_in_turn(platform: Platform) -> None:
    """Put in turn what waits for its first verdict, then what was here before there was a scanner, what is looked at
    again, and what is not in quarantine yet. Without a scanner what is here waits for one.
    """
    is_on = platform.part(ScannerDoor).is_on
    if is_on or platform.settings.clamd.serve_unscanned:
        await _put_due_in_turn(platform, is_waiting=True)
    if is_on:
        await _put_due_in_turn(platform, is_waiting=False)


async def _put_due_in_turn(platform: Platform, *, is_waiting: bool) -> None:
    """A few pages at a time: more would only lengthen the queue."""
    now = platform.clock.now()
    after: Due | None = None
    for _ in range(PAGES):
        async with platform.database.transaction() as session:
            found = await repository.due(session, now, after, AT_A_TIME, is_waiting=is_waiting)
            for one in found:
                await put_in_turn(session, one.object_id)
        if len(found) < AT_A_TIME:
            return
        after = found[-1]


async def _go_without(platform: Platform, claimed: Claimed) -> None:
    """What waited for a scanner that there is no more: it waits on, unless the operator has it served unscanned."""
    if platform.settings.clamd.serve_unscanned and claimed.state == ScanState.PENDING:
        await settle(platform, claimed.object_id, ScanState.NOT_SCANNED, None)


async def settle(platform: Platform, object_id: UUID, state: ScanState, threat: str | None) -> None:
    """Write down a verdict, and what it makes of all files with this content; of an infected one their owners and the
    workspace's admins are told. What was let go of meanwhile is passed by.
    """
    async with platform.database.transaction() as session:
        account = await repository.account_of(session, object_id)
        if account is None:
            return
        await quotas.hold(session, platform, account_at(*account))
        files = await repository.lock_files_of(session, object_id)
        stored = await repository.lock_object(session, object_id)
        if stored is None or stored.scan_state == ScanState.INFECTED:
            return  # what was infected once is not called clean by a scanner that has lost its signatures
        before = stored.scan_state
        _write(stored, state, threat, platform.clock.now())
        await _decide(session, platform, stored, files, is_news=stored.scan_state != before)
        if stored.scan_state == ScanState.INFECTED:
            keys = await repository.forget_renditions(session, object_id)
            await objects.doom(session, platform, keys, "its object is infected", account_id=stored.account_id)
            await tell(session, platform, stored)
    _log.info("scanned", object_id=str(object_id), state=state, threat=threat)


async def _decide(
    session: AsyncSession, platform: Platform, stored: StoredObject, files: Sequence[StoredFile], *, is_news: bool
) -> None:
    """What files with this content are by its verdict. One that has waited with newer bytes than it shows turns to
    them when they may leave; until then, and if they never may, it holds what it held.
    """
    status = objects.status_for(platform, ScanState(stored.scan_state))
    newest = await repository.newest_with(session, stored.id)
    counted: set[UUID] = set()
    for file in files:
        version = newest.get(file.id)
        is_awaited = version is not None and version.number > file.version_number
        is_held = file.object_id == stored.id and file.status in DECIDED_HERE and file.status != status
        if version is not None and is_awaited and status is UploadStatus.COMPLETED:
            counted |= {one for one in (file.object_id, stored.id) if one is not None}
            objects.turn_to(file, version, stored, status)
        elif is_held:
            file.status = status
        elif not (is_awaited and is_news):
            continue
        file.version += 1
        file.updated_at = platform.clock.now()
        await session.flush()
        await told(session, platform, file, "updated")
    await objects.recharge(session, platform, counted)


def _write(stored: StoredObject, state: ScanState, threat: str | None, now: datetime) -> None:
    stored.scan_attempts = 0
    stored.updated_at = now
    stored.scan_due_at = next_look(state, stored.created_at, now)
    if state is ScanState.TOO_LARGE and stored.scan_state == ScanState.CLEAN:
        return  # it was read once: that the limit is lower now takes nothing of it back
    stored.scan_state = state
    stored.threat = threat
    if state in (ScanState.CLEAN, ScanState.INFECTED):
        stored.scanned_at = now


def next_look(state: ScanState, arrived_at: datetime, now: datetime) -> datetime:
    """When an object is looked at again after a verdict."""
    if state is ScanState.CLEAN:
        least, most = RESCANNED_AFTER
        return now + min(most, max(least, now - arrived_at))
    if state is ScanState.TOO_LARGE:  # nothing is sent unless the limit is higher by then
        return now + ASKED_AGAIN_AFTER
    return now


def next_try(attempts: int) -> timedelta:
    """How long to wait after so many tries without a verdict."""
    doubled: int = 2 ** min(attempts - 1, DOUBLED_AT_MOST)
    return min(LONGEST_DELAY, FIRST_DELAY * doubled)


# --- what is infected ----------------------------------------------------------------------------------------------


async def quarantine(platform: Platform, object_id: UUID, key: str) -> None:
    """Move an infected object to where nothing is served from. The new key is on the list of the doomed until the
    object has it: whoever dies between leaves nothing that stays.
    """
    if key.startswith(QUARANTINE):
        await _end_of_quarantine(platform, object_id, key, key)
        return
    new_key = quarantine_key(platform.randomness.uuid())
    async with platform.database.transaction() as session:
        due_at = platform.clock.now() + QUARANTINED_WITHIN
        await objects.doom(session, platform, [new_key], "quarantine not completed", due_at=due_at)
    try:
        await platform.part(BlobDoor).copy(key, new_key)
    except BlobMissing:
        _log.warning("infected_object_missing", object_id=str(object_id))
        return
    await _end_of_quarantine(platform, object_id, key, new_key)


async def _end_of_quarantine(platform: Platform, object_id: UUID, key: str, new_key: str) -> None:
    async with platform.database.transaction() as session:
        account = await repository.account_of(session, object_id)
        if account is None:
            return
        await quotas.hold(session, platform, account_at(*account))
        stored = await repository.lock_object(session, object_id)
        if stored is None or stored.key != key:
            return
        if new_key != key:
            if not await repository.spare(session, new_key):
                return  # the copy has been swept away: the next turn makes another
            stored.key = new_key
            await objects.doom(session, platform, [key], "moved to quarantine", account_id=stored.account_id)
        stored.scan_due_at = None


async def tell(session: AsyncSession, platform: Platform, stored: StoredObject) -> None:
    """Owners hear which file it is; admins, who may not see it, only that there is one, and whose."""
    found = await repository.concerned(session, stored.id)
    threat = stored.threat or "Something harmful"
    for one in found:
        await _tell_owner(session, platform, one, stored, threat)
    owners = {one.user_id for one in found}
    workspaces = {one.workspace_id for one in found if one.workspace_id is not None}
    for workspace_id in sorted(workspaces):
        names = await repository.names(session, owners)
        await notifications.notify(
            session,
            platform,
            user_ids=set(await repository.admins(session, workspace_id)) - owners,
            category=Category.FILES,
            type="file.infected_in_workspace",
            dedup_key=f"infected:{stored.id}:{workspace_id}",
            title="A harmful file was found",
            body=f"{threat} was found in a file that {_listed(names)} uploaded. It is in quarantine: nobody can open"
            " it.",
            reason="You administer this workspace.",
            data={"objectId": str(stored.id), "threat": threat},
            workspace_id=workspace_id,
        )


async def _tell_owner(
    session: AsyncSession, platform: Platform, one: Concerned, stored: StoredObject, threat: str
) -> None:
    await notifications.notify(
        session,
        platform,
        user_ids=[one.user_id],
        category=Category.FILES,
        type="file.infected",
        dedup_key=f"infected:{stored.id}:{one.file_id}",
        title=f"Harmful file: {one.original_name}",
        body=f"{threat} was found in it. It is in quarantine: nobody can open it, you included. Delete it, and look"
        " after the device it came from.",
        reason="You uploaded this file.",
        data={"fileId": str(one.file_id), "threat": threat},
        link=f"/files/{one.file_id}",
        workspace_id=one.workspace_id,
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "somebody who has left"
