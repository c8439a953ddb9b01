"""The real clamd, with one signature of our own: what is infected is found in whichever way it comes in.

`make test-clamd` installs Debian's clamav-daemon and runs this; where there is none, it is skipped.
"""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text, update

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.core.settings_scanner import ClamdSettings
from pm_api.domains.storage.models import StoredObject
from pm_api.integrations.blobs import BlobDoor
from pm_api.integrations.scanner import Outcome, ScannerDoor
from tests.conftest import Person, open_platform
from tests.domains.storage.boxes import Json, uploaded
from tests.domains.storage.scanned import content, notices, object_of, read, scan
from tests.domains.storage.test_presigned import begun, completed, put
from tests.support import stores
from tests.support.clamds import CLAMD, EICAR, real_clamd
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

pytestmark = [
    pytest.mark.skipif(CLAMD is None, reason="clamd is not here: `make test-clamd` installs it and runs this"),
    pytest.mark.xdist_group("clamd"),
]
LARGEST = 200_000
Way = Callable[[Person, bytes], Awaitable[Json]]


@pytest.fixture(scope="module")
async def clamd() -> AsyncIterator[str]:
    async with real_clamd(StreamMaxLength="1M", MaxFileSize="1M", MaxScanSize="1M", AlertExceedsMax="yes") as url:
        yield url


@pytest.fixture(scope="module")
async def platform(worker_database: str, clamd: str) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        settings = settings_for(worker_database, s3=stores.s3_settings(), clamd={"url": clamd, "max_bytes": LARGEST})
        yield await stack.enter_async_context(open_platform(settings, MovableClock()))


@pytest.fixture(scope="module")
def app(platform: Platform) -> FastAPI:
    return create_app(platform.settings, platform)


@pytest.fixture(autouse=True)
async def nothing_else_to_do(platform: Platform) -> None:
    async with platform.database.transaction() as session:
        await session.execute(update(StoredObject).values(scan_due_at=None))
        await session.execute(text("DELETE FROM pgqueuer WHERE entrypoint = 'storage.scan'"))


async def by_form(person: Person, sent: bytes) -> Json:
    return await uploaded(person, sent)


async def by_tus(person: Person, sent: bytes) -> Json:
    name = base64.b64encode(b"by-tus.txt").decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(sent)), "Upload-Metadata": f"filename {name}"}
    made = await person.client.post("/api/storage/tus", headers=headers)
    assert made.status_code == 201, made.text
    address = httpx.URL(made.headers["Location"]).path
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }
    sent_all = await person.client.patch(address, headers=headers, content=sent)
    assert sent_all.status_code == 204, sent_all.text
    upload_id = address.rsplit("/", 1)[1]
    found = (await person.client.get(f"/api/storage/uploads/{upload_id}")).json()["upload"]
    assert found["state"] == "COMPLETED", found
    file: Json = found["file"]
    return file


async def presigned(person: Person, sent: bytes) -> Json:
    made = await begun(person, sent)
    async with httpx.AsyncClient(trust_env=False, verify=False) as store:
        await put(store, made["presigned"]["put"], sent)
    file: Json = (await completed(person, made))["file"]
    return file


@pytest.mark.parametrize("way", [by_form, by_tus, presigned])
async def test_what_is_infected_is_found_in_every_way_in(platform: Platform, person: Person, way: Way) -> None:
    file = await way(person, EICAR)
    assert (file["uploadStatus"], file["scanned"]) == ("VIRUS_SCAN_PENDING", False)
    await scan(platform)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"], now["scanned"]) == ("VIRUS_DETECTED", "INFECTED", False)
    assert (await content(person, file)).status_code != 200
    stored = await object_of(platform, file)
    assert stored.threat is not None
    assert "Eicar" in stored.threat
    assert stored.key.startswith("quarantine/")
    assert await platform.part(BlobDoor).head(stored.key) is not None
    assert len(await notices(person, "file.infected")) == 1


@pytest.mark.parametrize("way", [by_form, by_tus, presigned])
async def test_what_is_harmless_is_clean(platform: Platform, person: Person, way: Way) -> None:
    sent = b"harmless " + uuid4().bytes
    file = await way(person, sent)
    await scan(platform)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"], now["scanned"]) == ("COMPLETED", "CLEAN", True)
    assert (await content(person, file)).content == sent


async def test_beyond_our_limit_nothing_is_sent_and_nothing_is_clean(platform: Platform, person: Person) -> None:
    file = await uploaded(person, uuid4().bytes * (LARGEST // 16 + 1))
    await scan(platform)
    now = await read(person, file)
    assert (now["uploadStatus"], now["scanState"], now["scanned"]) == ("VIRUS_SCAN_PENDING", "TOO_LARGE", False)


@pytest.mark.parametrize("size", [1_100_000, 3_000_000, 20_000_000])
async def test_beyond_its_own_limit_it_says_so_and_that_is_not_clean(clamd: str, size: int) -> None:
    """An operator who has told us a larger limit than clamd has."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 1 << 20):
            yield b"x" * min(1 << 20, size - start)

    door = ScannerDoor(ClamdSettings(url=clamd, max_bytes=1 << 30))
    assert (await door.scan(pieces(), size)).outcome is Outcome.TOO_LARGE


async def test_the_doctors_probe(clamd: str) -> None:
    said = await ScannerDoor(ClamdSettings(url=clamd)).probe()
    assert said.startswith("ClamAV ")
    assert said.endswith("finds the test file")
