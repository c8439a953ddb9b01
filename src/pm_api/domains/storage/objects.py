"""What lies in the store, once per account and content, and what it is counted under.

Each transaction here holds the account's counters before the objects, so of two uploads of the same content the one
that comes second finds what the first has made.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.storage import quotas
from pm_api.domains.storage.accounts import Account, account_at
from pm_api.domains.storage.enums import CHARGED_AS, Charge, FileType, ScanState, UploadStatus
from pm_api.domains.storage.measuring import looked_at
from pm_api.domains.storage.models import FileVersion, StoredFile, StoredObject
from pm_api.domains.storage.repository import objects as repository
from pm_api.domains.storage.rules import THUMBNAILED
from pm_api.domains.storage.streaming import Received

ORDER: Final = {charge: place for place, charge in enumerate(Charge)}
"""From the best use to the least: live files, old versions, the trash."""

LOST: Final = "its bytes were lost"
LOST_KEPT: Final = timedelta(days=30)
"""So long what is left of lost bytes stays in the store, for whoever can make something of it."""


async def take_in(
    session: AsyncSession, platform: Platform, account: Account, received: Received, media_type: str
) -> StoredObject:
    """The object of what was received, held: the one that has the same content, or a new one under the received key.
    A double's key is doomed, unless what it doubles has lost its bytes: then it stands in for them. The new one is
    counted under nothing until `recharge`.
    """
    await quotas.hold(session, platform, account)
    now = platform.clock.now()
    # What its first and last bytes claim; what they do not tell is measured with its first small picture.
    is_picture = media_type in THUMBNAILED
    measured = looked_at(received.head, received.tail, received.size_bytes) if is_picture else None
    width, height = measured or (None, None)
    made = await repository.insert_object(
        session,
        {
            "id": platform.randomness.uuid(),
            "account_kind": account.kind,
            "account_id": account.id,
            "key": received.key,
            "size_bytes": received.size_bytes,
            "sha256": received.sha256,
            "md5": received.md5,
            "media_type": media_type,
            "width": width,
            "height": height,
            "scan_state": ScanState.NOT_SCANNED,
            "created_at": now,
            "updated_at": now,
        },
    )
    if made is not None:
        return made
    there = await repository.lock_content(session, account.id, received.sha256)
    assert there is not None, "objects are removed under the counters that are held here"
    if there.key == received.key:
        return there
    if there.doubted_at is not None and there.scan_state != ScanState.INFECTED:
        await doom_remains(session, platform, there.key, account.id)
        there.key, there.doubted_at, there.updated_at = received.key, None, now
        if there.scan_state == ScanState.PENDING:
            there.scan_due_at = now  # it was put off while there was nothing to look at
    else:
        await doom(session, platform, [received.key], "the same content is there", account_id=account.id)
    return there


async def doom_remains(session: AsyncSession, platform: Platform, key: str, account_id: UUID) -> None:
    """What the store may still have of lost bytes goes, after a while."""
    due_at = platform.clock.now() + LOST_KEPT
    await doom(session, platform, [key], LOST, account_id=account_id, due_at=due_at)


async def forget_remains(session: AsyncSession, platform: Platform, account_id: UUID) -> None:
    """It goes now: the account has ended."""
    await repository.hasten(session, account_id, LOST, platform.clock.now())


async def doubt(platform: Platform, key: str) -> bool:
    """The store has not got an object's bytes, or not all of them: whoever brings them again mends it. False where
    they went since nobody refers to them any more. It opens a transaction of its own.
    """
    async with platform.database.transaction() as session:
        return await repository.doubt(session, key, platform.clock.now())


async def is_kept(session: AsyncSession, key: str) -> bool:
    """Whether an object's bytes lie under this key. The account's counters are held."""
    return await repository.key_in_use(session, key)


async def recharge(session: AsyncSession, platform: Platform, object_ids: Collection[UUID]) -> None:
    """Count objects anew by who refers to them now; one that nothing refers to any more goes.

    Call it after every change of what a file or version refers to, of a file's type and of its being in the trash, in
    the same transaction. Who holds a file's row has held the account's counters before (`quotas.hold`).
    """
    if not object_ids:
        return
    await session.flush()
    for kind, account_id in await repository.accounts_of(session, object_ids):
        await quotas.hold(session, platform, account_at(kind, account_id))
    held = await repository.lock_objects(session, object_ids)
    best: dict[UUID, Charge] = {}
    for use in await repository.uses_of(session, object_ids):
        charge = charge_of(use)
        if use.object_id not in best or ORDER[charge] < ORDER[best[use.object_id]]:
            best[use.object_id] = charge
    now = platform.clock.now()
    moves: dict[Account, defaultdict[Charge, int]] = {}
    for one in held:
        charge_now = best.get(one.id)
        if one.charged_as == charge_now:
            continue
        deltas = moves.setdefault(account_at(one.account_kind, one.account_id), defaultdict(int))
        if one.charged_as is not None:
            deltas[Charge(one.charged_as)] -= one.size_bytes
        if charge_now is not None:
            deltas[charge_now] += one.size_bytes
        one.charged_as = charge_now
        one.updated_at = now
    for account in sorted(moves, key=lambda one: one.id):
        await quotas.move(session, platform, account, moves[account])
    await _let_go(session, platform, [one for one in held if one.id not in best])


def charge_of(use: repository.Use) -> Charge:
    """What one use of an object would be counted under."""
    if use.is_trashed:
        return Charge.TRASH
    return Charge.OLD_VERSIONS if use.is_old else CHARGED_AS[FileType(use.file_type)]


def status_for(platform: Platform, state: ScanState) -> UploadStatus:
    """What a file is whose current object is in this state. Nothing but CLEAN is clean: what the scanner does not
    take waits, unless the operator serves such files, which then are not called scanned.
    """
    clamd = platform.settings.clamd
    if state is ScanState.INFECTED:
        return UploadStatus.VIRUS_DETECTED
    if state in (ScanState.CLEAN, ScanState.NOT_SCANNED):
        return UploadStatus.COMPLETED
    is_left = state is ScanState.TOO_LARGE or not clamd.url
    return UploadStatus.COMPLETED if is_left and clamd.serve_unscanned else UploadStatus.VIRUS_SCAN_PENDING


async def next_number(session: AsyncSession, file: StoredFile) -> int:
    """The number of a held file's next version. None is given twice, not even when its version has gone."""
    last = await repository.last_number(session, file.id)  # of files from before it was kept
    file.last_version_number = max(file.last_version_number, file.version_number, last) + 1
    return file.last_version_number


def turn_to(file: StoredFile, version: FileVersion, stored: StoredObject, status: UploadStatus) -> None:
    """The file holds this version from now on. Whoever calls holds both, counts the objects anew and tells of it."""
    file.object_id = stored.id
    file.version_number = version.number
    file.size_bytes = stored.size_bytes
    file.declared_type = version.declared_type
    file.media_type = version.media_type or stored.media_type
    file.status = status


async def _let_go(session: AsyncSession, platform: Platform, unused: Collection[StoredObject]) -> None:
    if not unused:
        return
    await session.flush()
    ids = [one.id for one in unused]
    renditions = await repository.rendition_keys(session, ids)
    for one in unused:
        await doom(session, platform, [one.key], "nothing refers to it", account_id=one.account_id)
        session.expunge(one)
    await doom(session, platform, renditions, "its object is gone")
    await repository.remove_objects(session, ids)


async def doom(
    session: AsyncSession,
    platform: Platform,
    keys: Collection[str],
    reason: str,
    *,
    account_id: UUID | None = None,
    multipart_id: str | None = None,
    due_at: datetime | None = None,
) -> None:
    """Have bytes removed from the store after this transaction; at once, unless it is said when."""
    now = platform.clock.now()
    await repository.doom(
        session,
        [repository.doomed(key, reason, due_at or now, now, account_id, multipart_id) for key in keys],
    )
