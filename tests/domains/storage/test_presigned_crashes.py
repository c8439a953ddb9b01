"""An API process dies at a random moment of uploads that go straight to S3. Whoever was told that an upload is
complete has it; what was only begun is completed or given back; the bucket holds what rows name, and nothing else.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from sqlalchemy import func, select

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.storage import reconciling, recounting
from pm_api.domains.storage.enums import SessionState, UploadStatus
from pm_api.domains.storage.models import FileVersion, StorageUsage, StoredFile, StoredObject, UploadSession
from pm_api.integrations.blobs import BlobDoor
from pm_api.integrations.blobs.presigning import Presigner
from tests.conftest import PASSWORD, open_platform
from tests.support import soak, stores
from tests.support.clock import MovableClock
from tests.support.processes import api
from tests.support.queue import work_off
from tests.support.settings import settings_for

ROUNDS = soak.rounds(5, 100)
AT_ONCE = 6
SEED = 7000
SIZES = (0, 10, 300_000, 3_000_000)
PREFIX = "ours"
PRESIGNED = "/api/storage/uploads/presigned"
SLOWER = 1.05
SWEEPS = ("storage.expire_uploads", "storage.take_away", "storage.clear_unfinished")


@dataclass
class Sender:
    """Somebody who puts files into the store, and keeps what they were promised."""

    token: str
    chance: random.Random
    promised: dict[str, str] = field(default_factory=dict)
    """SHA-256 by upload, of what was answered to be complete."""
    sent: int = 0
    takes_s: float = 0.0
    """How long a round takes when nothing happens to it."""

    async def send(self, url: str) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        same = self.chance.randbytes(self.chance.choice(SIZES))
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False, verify=False) as client,
            httpx.AsyncClient(timeout=60, trust_env=False, verify=False) as store,
        ):
            await asyncio.gather(
                *(
                    self._one(client, store, same if number < 2 else self._fresh(), is_said=bool(number % 2))
                    for number in range(AT_ONCE)
                )
            )

    def _fresh(self) -> bytes:
        return self.chance.randbytes(self.chance.choice(SIZES))

    async def _one(
        self, client: httpx.AsyncClient, store: httpx.AsyncClient, content: bytes, *, is_said: bool
    ) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self.sent += 1
        with contextlib.suppress(httpx.TransportError):
            body = {"originalName": "plan.bin", "fileSize": len(content), **({"sha256": digest} if is_said else {})}
            begun = await client.post(PRESIGNED, json=body)
            assert begun.status_code == 201, begun.text
            put = begun.json()["presigned"]["put"]
            answer = await store.put(put["url"], headers=put["headers"], content=content)
            assert answer.status_code == 200, answer.text
            upload_id = begun.json()["upload"]["id"]
            said = {"etag": answer.headers["etag"]}
            done = await client.post(f"/api/storage/uploads/{upload_id}/complete", json=said)
            assert done.status_code == 200, done.text
            assert done.json()["upload"]["state"] == "COMPLETED"
            self.promised[upload_id] = digest


async def registered(url: str) -> str:
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        body = {"email": "sender@example.com", "password": PASSWORD, "name": "Sender"}
        answer = await client.post("/api/auth/register", json=body, timeout=60)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["accessToken"]
        return token


async def round_of_deaths(database: str, bucket: str, sender: Sender | None, seed: int) -> Sender:
    chance = random.Random(seed)
    async with api(database, **stores.s3_environment(bucket, prefix=PREFIX)) as process:
        if sender is None:
            sender = Sender(await registered(process.url), chance)
            began = time.perf_counter()
            await sender.send(process.url)
            sender.takes_s = time.perf_counter() - began
        sender.chance = chance
        began = time.perf_counter()
        sending = asyncio.create_task(sender.send(process.url))
        await asyncio.wait([sending], timeout=chance.uniform(0.1, 1) * sender.takes_s)
        # The machine is busy at one time and idle at another: what is done before its death was measured too long.
        sender.takes_s = time.perf_counter() - began if sending.done() else sender.takes_s * SLOWER
        process.kill()
        await sending
    return sender


async def is_whole(platform: Platform, sender: Sender) -> None:
    door = platform.part(BlobDoor)
    there = {one.key: one.size_bytes async for one in door.list("")}
    async with platform.database.reading() as session:
        known = {one.key: one for one in await session.scalars(select(StoredObject))}
        uploads = {str(one.id): one for one in await session.scalars(select(UploadSession))}
        statuses = {*await session.scalars(select(StoredFile.status))}
        brought = await session.execute(
            select(FileVersion.id, StoredObject.sha256).join(StoredObject, StoredObject.id == FileVersion.object_id)
        )
        digests = {str(upload_id): digest.hex() for upload_id, digest in brought}
        usage = await session.scalar(select(StorageUsage))
        stored = await session.scalar(select(func.sum(StoredObject.size_bytes)))
    assert there == {key: one.size_bytes for key, one in known.items()}
    for key, one in known.items():
        content = b"".join([piece async for piece in door.read(key)])
        assert hashlib.sha256(content).digest() == one.sha256
    assert {one.state for one in uploads.values()} <= {SessionState.COMPLETED, SessionState.EXPIRED}
    assert statuses <= {UploadStatus.COMPLETED, UploadStatus.FAILED}
    assert sender.promised.items() <= digests.items(), "what was answered to be complete is there"
    assert usage is not None
    assert (usage.total_used, usage.reserved) == (int(stored or 0), 0)
    assert [one async for one in recounting.recount(platform)] == []
    assert [one async for one in platform.part(Presigner).open_multiparts()] == []


async def test_a_death_at_any_moment_leaves_rows_and_bucket_whole(fresh_database: str) -> None:
    bucket, sender = stores.new_bucket(), None
    for number in range(ROUNDS):
        sender = await round_of_deaths(fresh_database, bucket, sender, SEED + number)
    assert sender is not None
    assert 0 < len(sender.promised) < sender.sent, "some must have been cut off, or this has shown nothing"

    clock = MovableClock()
    settings = settings_for(fresh_database, s3=stores.s3_settings(bucket, prefix=PREFIX))
    async with open_platform(settings, clock) as platform:
        async with platform.database.reading() as session:
            begun = select(UploadSession.id).where(UploadSession.state == SessionState.FINISHING)
            in_hand = {str(one) for one in await session.scalars(begun)}
        clock.advance(minutes=16)
        await run_sweep(platform, PERIODICS["storage.complete_presigned_uploads"])
        await work_off(platform, "storage.")
        async with platform.database.reading() as session:
            after = {str(one.id): (one.state, one.failure) for one in await session.scalars(select(UploadSession))}
        left = [after[one] for one in in_hand if after[one][0] != SessionState.COMPLETED]
        assert left == [], "what was to be completed is"
        for _ in range(3):
            clock.advance(hours=30)
            for sweep in SWEEPS:
                await run_sweep(platform, PERIODICS[sweep])
        report = await reconciling.reconcile(platform, heal=True, older_than=timedelta(0))
        assert (report.missing, report.damaged) == (0, 0), report.told()
        assert report.orphans == 0, f"every key is in the database before its bytes are in the store: {report.told()}"
        await is_whole(platform, sender)
