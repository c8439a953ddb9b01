"""Rows and store compared, both ways: bytes that no row accounts for, and rows whose bytes are not there.

Every key is in the database before its bytes are in the store, and bytes go after their rows. So what lies there
without a row was left by somebody who died, or belongs to somebody else; and a row without bytes is a loss.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from pm_api.core import telemetry
from pm_api.core.platform import Platform
from pm_api.domains.storage import keys as names
from pm_api.domains.storage import losses, objects, quotas
from pm_api.domains.storage.accounts import account_at
from pm_api.domains.storage.repository import reconciling as repository
from pm_api.domains.storage.repository.reconciling import KnownObject, lose
from pm_api.domains.storage.streaming import look_through
from pm_api.domains.storage.telling import told, told_as_gone
from pm_api.integrations.blobs import BlobDoor, BlobHead, BlobMissing

UNTOUCHED_FOR: Final = timedelta(days=1)
"""Younger bytes are left alone, whatever the rows say."""
KEYS_AT_A_TIME: Final = 500
OBJECTS_AT_A_TIME: Final = 200
TRUSTED_AT_A_TIME: Final = 10_000
READ_AT_A_TIME_BYTES: Final = 1 << 40
ASKED_AT_ONCE: Final = 16
EXAMPLES: Final = 1000
"""So many of each kind are named; all are counted."""

_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CHUNK: Final = re.compile(rf"{names.CHUNKS}({_ID})/[0-9]+-[0-9]+")
_OURS: Final = re.compile(
    rf"(?:user|workspace)/{_ID}/[a-z-]+/{_ID}|{names.INCOMING}{_ID}|{names.QUARANTINE}{_ID}|{_CHUNK.pattern}"
)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Report:
    """What a comparison has found. `orphans` lie in the store and no row accounts for them; `strange` look like
    nothing of ours and are never touched; `missing` are rows without bytes, `damaged` those with another number of
    bytes than they say.
    """

    stored: int = 0
    rows: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    strange: int = 0
    missing: int = 0
    damaged: int = 0
    healed: int = 0
    left: int = 0
    """What stays as it was, because nobody asked for healing, or since it was not safe or too much at once."""
    lines: list[str] = field(default_factory=list)
    _told: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not (self.orphans or self.missing or self.damaged)

    @property
    def is_of_another_store(self) -> bool:
        """Nothing that the rows speak of is there: rather a wrong address than a loss."""
        return self.rows > 1 and self.missing == self.rows

    def note(self, kind: str, text: str) -> None:
        self._told[kind] = self._told.get(kind, 0) + 1
        if self._told[kind] <= EXAMPLES:
            self.lines.append(f"{kind}: {text}")

    def told(self) -> list[str]:
        """What the operator reads."""
        summary = (
            f"{self.stored} objects in the store, {self.rows} in the database: {self.orphans} orphans"
            f" ({self.orphan_bytes} bytes), {self.missing} missing, {self.damaged} damaged, {self.strange} strange."
        )
        if self.healed:
            summary += f" {self.healed} healed."
        if self.healed and self.left:
            summary += f" {self.left} are left for another run."
        return [*self.lines, summary]


async def reconcile(platform: Platform, *, heal: bool = False, older_than: timedelta = UNTOUCHED_FOR) -> Report:
    """Compare, and with `heal` mend what can be: orphans are doomed, files that have lost their bytes, or some of
    them, say so, and whom it concerns is told. Safe to stop, to run again, and to run while people work. Raises
    StorageUnavailable.
    """
    report = Report()
    await _from_the_store(platform, report, heal=heal, older_than=older_than)
    lost = await _from_the_rows(platform, report)
    report.left = report.missing + report.damaged + (0 if heal else report.orphans)
    if heal and lost and not report.is_of_another_store:
        for one in lost:
            report.healed += await _give_up(platform, one)
        report.left -= len(lost)
    if lost and report.is_of_another_store:
        report.lines.append("none of the objects is there: is this the right store? nothing was given up")
    telemetry.STORAGE_ORPHANS.set(report.orphans)
    telemetry.STORAGE_MISSING.set(report.missing + report.damaged)
    if not report.is_clean:
        _log.error(
            "storage_differs",
            orphans=report.orphans,
            missing=report.missing,
            damaged=report.damaged,
            healed=report.healed,
        )
    return report


# --- from the store to the rows ------------------------------------------------------------------------------------


async def _from_the_store(platform: Platform, report: Report, *, heal: bool, older_than: timedelta) -> None:
    youngest = platform.clock.wall() - older_than
    page: list[BlobHead] = []
    async for found in platform.part(BlobDoor).list(""):
        report.stored += 1
        page.append(found)
        if len(page) == KEYS_AT_A_TIME:
            await _settle(platform, report, page, heal=heal, youngest=youngest)
            page = []
    if page:
        await _settle(platform, report, page, heal=heal, youngest=youngest)


async def _settle(
    platform: Platform, report: Report, page: Sequence[BlobHead], *, heal: bool, youngest: datetime
) -> None:
    ours = [one for one in page if _OURS.fullmatch(one.key)]
    for one in page:
        if not _OURS.fullmatch(one.key):
            report.strange += 1
            report.note("strange", one.key)
    orphans = [one for one in await _without_row(platform, ours) if one.modified_at <= youngest]
    for one in orphans:
        report.orphans += 1
        report.orphan_bytes += one.size_bytes
        report.note("orphan", f"{one.key} ({one.size_bytes} bytes)")
    if heal and orphans:
        async with platform.database.transaction() as session:
            await objects.doom(session, platform, [one.key for one in orphans], "no row accounts for it")
        report.healed += len(orphans)


async def _without_row(platform: Platform, page: Sequence[BlobHead]) -> list[BlobHead]:
    uploads = {one.key: UUID(found[1]) for one in page if (found := _CHUNK.fullmatch(one.key))}
    folders = {names.chunk_prefix(one) for one in uploads.values()}
    async with platform.database.reading() as session:
        known, under_way = await repository.known_keys(
            session, [one.key for one in page], set(uploads.values()), folders
        )
    return [
        one
        for one in page
        if one.key not in known
        and uploads.get(one.key) not in under_way
        and not (one.key in uploads and names.chunk_prefix(uploads[one.key]) in known)
    ]


# --- from the rows to the store ------------------------------------------------------------------------------------


async def _from_the_rows(platform: Platform, report: Report) -> list[KnownObject]:
    """Those whose bytes are not there, or not as many as there should be. A row is asked for again after the store
    has said so: what was removed meanwhile is no loss.
    """
    turns = asyncio.Semaphore(ASKED_AT_ONCE)
    lost: list[KnownObject] = []
    after: UUID | None = None
    while True:
        async with platform.database.reading() as session:
            found = await repository.objects_after(session, after, limit=OBJECTS_AT_A_TIME)
        report.rows += len(found)
        heads = await asyncio.gather(*(_head(platform, turns, one.key) for one in found))
        for one, head in zip(found, heads, strict=True):
            is_as_long = head is not None and head.size_bytes == one.size_bytes
            if is_as_long and (one.doubted_at is None or await _is_whole(platform, one)):
                continue
            async with platform.database.reading() as session:
                if not await repository.is_still_there(session, one):
                    continue
            if head is None:
                report.missing += 1
                report.note("missing", f"{one.key} ({one.size_bytes} bytes)")
            else:
                report.damaged += 1
                what = "other bytes" if is_as_long else f"{head.size_bytes} bytes"
                report.note("damaged", f"{one.key} has {what}, not the {one.size_bytes} that came in")
            if len(lost) < EXAMPLES:
                lost.append(one)
        if len(found) < OBJECTS_AT_A_TIME:
            return lost
        after = found[-1].id


async def trust_again(platform: Platform) -> None:
    """Objects that somebody was refused and that are whole now, byte for byte: their disk has come back. As many as
    one run has time for, whichever they are: what stays damaged, or cannot be read, must not keep the others from
    their turn for ever. Raises StorageUnavailable.
    """
    async with platform.database.reading() as session:
        found = await repository.some_doubted(session, limit=TRUSTED_AT_A_TIME)
    read_bytes = 0
    for one in found:
        if read_bytes >= READ_AT_A_TIME_BYTES:
            return
        read_bytes += one.size_bytes
        if await _is_whole(platform, one):
            async with platform.database.transaction() as session:
                await repository.trust(session, one)


async def _is_whole(platform: Platform, known: KnownObject) -> bool:
    """Whether the bytes are those that came in. All of them are read."""
    try:
        async with aclosing(platform.part(BlobDoor).read(known.key, whole_bytes=known.size_bytes)) as pieces:
            read = await look_through(pieces, known.key, most_bytes=None)
    except BlobMissing:
        return False
    return read.sha256 == known.sha256


async def _head(platform: Platform, turns: asyncio.Semaphore, key: str) -> BlobHead | None:
    async with turns:
        return await platform.part(BlobDoor).head(key)


async def _give_up(platform: Platform, known: KnownObject) -> int:
    """The files that held lost bytes are FAILED, versions that did are gone; what they took up is given back. What is
    left of the bytes stays for a while.
    """
    async with platform.database.transaction() as session:
        await quotas.hold(session, platform, account_at(known.account_kind, known.account_id))
        files = await repository.files_on(session, known.id)
        if not await repository.is_still_there(session, known):
            return 0
        now = platform.clock.now()
        await losses.tell(session, platform, known.id, files)
        await objects.doom_remains(session, platform, known.key, known.account_id)
        for version in await repository.versions_on(session, known.id):
            await session.delete(version)
        for file in files:
            if file.object_id == known.id:
                told_as_gone(session, platform, file, file.scope_id, None)
                lose(file, now)
                await told(session, platform, file, "updated")
        await objects.recharge(session, platform, [known.id])
    return 1
