"""An API process dies at a random moment of every way in through it, again and again. Afterwards there is no row
without its object, no object without its row, and the account counts what is there. The way past it, straight to S3,
is in test_presigned_crashes.py.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import func, select

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.storage import joining, reconciling, recounting
from pm_api.domains.storage.enums import SessionState, UploadStatus
from pm_api.domains.storage.models import (
    FileVersion,
    ObjectRendition,
    StorageUsage,
    StoredFile,
    StoredObject,
    UploadSession,
)
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.blobs import BlobDoor
from pm_api.integrations.blobs.presigning import Presigner
from tests.conftest import PASSWORD, open_platform
from tests.domains.storage.boxes import UPLOADS
from tests.domains.storage.tus_client import PIECE, VERSION, metadata
from tests.support import soak
from tests.support.clock import MovableClock
from tests.support.plans import bought
from tests.support.processes import api
from tests.support.queue import work_off
from tests.support.settings import settings_for

ROUNDS = soak.rounds(5, 100)
TUS = "/api/storage/tus"
SEED = 1000
SIZES = (10, 300_000, 3_000_000, 9_000_000)
SLOWER = 1.05
SWEEPS = ("storage.expire_uploads", "storage.take_away", "storage.clear_unfinished")


@dataclass
class Sender:
    """Somebody who uploads in every way, and keeps what they were promised."""

    token: str
    chance: random.Random
    promised: dict[str, str] = field(default_factory=dict)
    """SHA-256 by upload, of what was answered to be there."""
    file_ids: list[str] = field(default_factory=list)
    sent: int = 0
    takes_s: float = 0.0
    """How long a round takes when nothing happens to it."""

    async def send(self, url: str) -> None:
        """A round: everything at once, until it is done or the process is dead."""
        same = self.chance.randbytes(self.chance.choice(SIZES))
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=30, trust_env=False, verify=False
        ) as client:
            await asyncio.gather(
                self._in_one(client, self.chance.randbytes(self.chance.choice(SIZES))),
                self._in_one(client, same),
                self._in_one(client, same),
                self._as_version(client, self.chance.randbytes(self.chance.choice(SIZES))),
                self._resumable(client, self.chance.randbytes(self.chance.choice(SIZES))),
                self._resumable(client, same),
            )

    async def _in_one(self, client: httpx.AsyncClient, content: bytes, **query: str) -> None:
        self.sent += 1
        with contextlib.suppress(httpx.TransportError):
            answer = await client.post(UPLOADS, params=query, files={"file": ("plan.bin", content)})
            assert answer.status_code == 201, answer.text
            made: dict[str, Any] = answer.json()
            self.promised[made["receipt"]["uploadId"]] = hashlib.sha256(content).hexdigest()
            if not query:
                self.file_ids.append(made["file"]["id"])

    async def _as_version(self, client: httpx.AsyncClient, content: bytes) -> None:
        if self.file_ids:
            await self._in_one(client, content, fileId=self.chance.choice(self.file_ids))

    async def _resumable(self, client: httpx.AsyncClient, content: bytes) -> None:
        """In three pieces. It is promised once all of them were taken, though nobody has joined them yet."""
        self.sent += 1
        with contextlib.suppress(httpx.TransportError):
            said = {"Upload-Length": str(len(content)), "Upload-Metadata": metadata(filename="plan.bin")}
            begun = await client.post(TUS, headers={**VERSION, **said})
            assert begun.status_code == 201, begun.text
            address = begun.headers["Location"].removeprefix("http://test.local")
            third = len(content) // 3
            for start, end in ((0, third), (third, 2 * third), (2 * third, len(content))):
                piece = {**VERSION, **PIECE, "Upload-Offset": str(start)}
                answer = await client.patch(address, headers=piece, content=content[start:end])
                assert answer.status_code == 204, answer.text
            upload_id = address.rsplit("/", 1)[-1]
            self.promised[upload_id] = hashlib.sha256(content).hexdigest()


async def round_of_deaths(database_url: str, folder: Path, sender: Sender | None, seed: int) -> Sender:
    chance = random.Random(seed)
    async with api(database_url, PM_DATA_DIR=str(folder)) as process:
        if sender is None:
            sender = Sender(await registered(process.url, database_url), chance)
            began = time.perf_counter()
            await sender.send(process.url)
            sender.takes_s = time.perf_counter() - began
        sender.chance = chance
        began = time.perf_counter()
        sending = asyncio.create_task(sender.send(process.url))
        await asyncio.wait([sending], timeout=chance.uniform(0, sender.takes_s))
        # The machine is busy at one time and idle at another: what is done before its death was measured too long.
        sender.takes_s = time.perf_counter() - began if sending.done() else sender.takes_s * SLOWER
        process.kill()
        await sending
    return sender


async def registered(url: str, database_url: str) -> str:
    """Somebody with room for all that their uploads leave promised: it comes back by the sweeps at the end."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        body = {"email": "sender@example.com", "password": PASSWORD, "name": "Sender"}
        answer = await client.post("/api/auth/register", json=body, timeout=30)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
    async with (
        open_platform(settings_for(database_url), MovableClock()) as platform,
        platform.database.transaction() as session,
    ):
        limits: dict[str, int | None] = {"max_storage_bytes": None}
        plan = await bought(session, platform, UUID(made["user"]["id"]), kind=AccountType.USER, limits=limits)
        await entitlements.write(session, platform, plan)
    return str(made["accessToken"])


async def rows(platform: Platform, *columns: Any) -> list[Any]:
    async with platform.database.reading() as session:
        return [*(await session.execute(select(*columns))).all()]


async def is_whole(platform: Platform, sender: Sender) -> None:
    """What must hold once the sweeps have run."""
    door = platform.part(BlobDoor)
    there = {one.key: one.size_bytes async for one in door.list("")}
    if door.root is not None:
        on_disk = {str(one.relative_to(door.root)) for one in door.root.rglob("*") if one.is_file()}
        assert on_disk == {*there}, "nothing half-written is left"
    else:
        assert [one async for one in platform.part(Presigner).open_multiparts()] == []
    known = dict([*await rows(platform, StoredObject.key, StoredObject.size_bytes)])
    known |= dict([*await rows(platform, ObjectRendition.key, ObjectRendition.size_bytes)])
    assert there == known, "no row without object, no object without row"
    for key, digest in await rows(platform, StoredObject.key, StoredObject.sha256):
        content = b"".join([piece async for piece in door.read(key)])
        assert hashlib.sha256(content).digest() == digest
    assert [one async for one in recounting.recount(platform)] == []
    [[total, reserved]] = await rows(platform, StorageUsage.total_used, StorageUsage.reserved)
    [[stored]] = await rows(platform, func.coalesce(func.sum(StoredObject.size_bytes), 0))
    assert (total, reserved) == (int(stored), 0)
    states = {state for (state,) in await rows(platform, UploadSession.state)}
    assert states <= {SessionState.COMPLETED, SessionState.EXPIRED, SessionState.FAILED}
    files = {status for (status,) in await rows(platform, StoredFile.status)}
    assert files <= {UploadStatus.COMPLETED, UploadStatus.FAILED}
    brought = {
        str(version_id): digest.hex()
        for version_id, digest in await rows(
            platform,
            FileVersion.id,
            select(StoredObject.sha256).where(StoredObject.id == FileVersion.object_id).scalar_subquery(),
        )
    }
    assert sender.promised.items() <= brought.items(), "what was answered to be there is there"


async def test_a_death_at_any_moment_leaves_rows_and_objects_whole(fresh_database: str, tmp_path: Path) -> None:
    sender: Sender | None = None
    for number in range(ROUNDS):
        sender = await round_of_deaths(fresh_database, tmp_path, sender, SEED + number)
    assert sender is not None
    assert 0 < len(sender.promised) < sender.sent, "some must have been cut off, or this has shown nothing"

    clock = MovableClock()
    async with open_platform(settings_for(fresh_database, data_dir=tmp_path), clock) as platform:
        clock.advance(seconds=joining.HOLD.total_seconds() + 1)  # whoever died while joining holds its upload as long
        await work_off(platform, "storage.")
        for _ in range(3):  # an upload ends, its key is due later, and what is left of a writer is old after a day
            clock.advance(hours=30)
            for sweep in SWEEPS:
                await run_sweep(platform, PERIODICS[sweep])
        report = await reconciling.reconcile(platform, heal=True, older_than=timedelta(0))
        assert (report.missing, report.damaged) == (0, 0), report.told()
        assert report.orphans == 0, f"every key is in the database before its bytes are in the store: {report.told()}"
        await is_whole(platform, sender)
