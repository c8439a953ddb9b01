"""Uploads by tuspy, tus-js-client and Uppy over a line that breaks, to two processes: every byte arrives.

tuspy with a few megabytes in every run; all three with a gigabyte each in `make test-tus`, which fetches them.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
from tusclient.client import TusClient

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.storage import joining
from pm_api.domains.storage.leases import Leases
from pm_api.entitlements import service as entitlements
from tests.conftest import Person, open_platform, register
from tests.identity.teams import make_workspace
from tests.storage_clients.relay import Relay, relaying
from tests.support import processes
from tests.support.clock import MovableClock
from tests.support.plans import bought
from tests.support.queue import work_off
from tests.support.server import serve
from tests.support.settings import settings_for

NODE: Final = os.environ.get("PM_TUS_CLIENTS", "")
"""Folder into which `make test-tus` has installed the clients of npm."""
LARGE_BYTES: Final = int(os.environ.get("PM_TUS_BYTES", "1000000000"))
SMALL_BYTES: Final = 24_000_000
PATIENCE_S: Final = 1800.0
RETRIES: Final = 60


@dataclass
class Given:
    """What a client is given."""

    relay: Relay
    person: Person
    workspace_id: str

    @property
    def endpoint(self) -> str:
        return f"{self.relay.url}/api/storage/tus"


Client = Callable[[Given, Path], Awaitable[str]]


async def by_tuspy(given: Given, path: Path, chunk_bytes: int = 32_000_000) -> str:
    client = TusClient(given.endpoint, headers={"Authorization": f"Bearer {given.person.access_token}"})
    with path.open("rb") as source:
        uploader = client.uploader(
            file_stream=source,
            chunk_size=chunk_bytes,
            metadata={"filename": "by-tuspy.bin", "workspaceId": given.workspace_id},
            retries=RETRIES,
            retry_delay=0,
        )
        await asyncio.to_thread(uploader.upload)
    return str(uploader.url)


async def by_node(name: str, given: Given, path: Path) -> str:
    script = Path(NODE) / "upload.mjs"
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        name,
        given.endpoint,
        str(path),
        given.workspace_id,
        env={"PATH": os.environ["PATH"], "PM_TOKEN": given.person.access_token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()[-3000:]
    return said.decode().strip()


async def by_tus_js_client(given: Given, path: Path) -> str:
    return await by_node("tus-js-client", given, path)


async def by_uppy(given: Given, path: Path) -> str:
    return await by_node("uppy", given, path)


def a_file(folder: Path, name: str, size: int) -> tuple[Path, str]:
    """Bytes like no other file's, and their SHA-256."""
    source, digest = random.Random(name), hashlib.sha256()
    path = folder / name
    with path.open("wb") as target:
        left = size
        while left:
            piece = source.randbytes(min(left, 4_000_000))
            target.write(piece)
            digest.update(piece)
            left -= len(piece)
    return path, digest.hexdigest()


async def a_roomy_place(platform: Platform, person: Person) -> str:
    workspace_id: str = (await make_workspace(person))["id"]
    async with platform.database.transaction() as session:
        unlimited: dict[str, int | None] = {"max_storage_bytes": None, "max_file_bytes": None}
        await entitlements.write(
            session, platform, await bought(session, platform, UUID(workspace_id), limits=unlimited)
        )
    return workspace_id


async def told_of(person: Person, base: str, address: str) -> dict[str, Any]:
    """The upload, asked of a server itself."""
    async with httpx.AsyncClient(base_url=base, trust_env=False, verify=False, timeout=60) as caller:
        answer = await caller.get(
            f"/api/storage/uploads/{address.rsplit('/', 1)[-1]}",
            headers={"Authorization": f"Bearer {person.access_token}"},
        )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["upload"]
    return found


async def joined(person: Person, base: str, address: str) -> dict[str, Any]:
    """The upload once the worker has joined it."""
    while True:
        upload = await told_of(person, base, address)
        if upload["state"] != "FINISHING":
            return upload
        await asyncio.sleep(0.5)


def arrived(relay: Relay, cuts: int) -> None:
    assert relay.cuts >= cuts, "the line was to break"
    assert relay.statuses[204] > 0
    assert relay.statuses[423] == 0, "nobody waits for a dead connection"
    assert {status for status in relay.statuses if status >= 500} == set()


async def test_tuspy_over_a_line_that_breaks(
    fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "AT_ONCE_BYTES", 1 << 20)
    path, sha256 = a_file(tmp_path, "small", SMALL_BYTES)
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as one, open_platform(settings, MovableClock()) as other:
        apps = [create_app(settings, platform, connect=False) for platform in (one, other)]
        person = await register(apps[0])
        workspace_id = await a_roomy_place(one, person)
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(serve(app)) for app in apps]
            async with relaying(urls, least=300_000, most=6_000_000) as relay:
                given = Given(relay, person, workspace_id)
                address = await by_tuspy(given, path, chunk_bytes=9_000_000)
            for platform in (one, other):
                platform.part(Leases).end_all()
            assert await work_off(one, "storage.join") == 1
            upload = await told_of(person, urls[1], address)
        await person.client.aclose()
    assert (upload["state"], upload["receipt"]["sha256"]) == ("COMPLETED", sha256)
    arrived(relay, cuts=3)


@asynccontextmanager
async def two_processes(database_url: str) -> AsyncIterator[list[str]]:
    """Two API processes and a worker."""
    async with (
        processes.api(database_url) as one,
        processes.api(database_url) as other,
        processes.worker(database_url),
    ):
        yield [one.url, other.url]


@pytest.mark.kill
@pytest.mark.skipif(not NODE, reason="`make test-tus` fetches the clients")
async def test_three_clients_at_once_with_a_gigabyte_each(fresh_database: str, tmp_path: Path) -> None:
    clients: dict[str, Client] = {"tuspy": by_tuspy, "tus-js-client": by_tus_js_client, "uppy": by_uppy}
    files = {name: await asyncio.to_thread(a_file, tmp_path, name, LARGE_BYTES) for name in clients}
    settings = settings_for(fresh_database)
    async with open_platform(settings, MovableClock()) as platform, two_processes(fresh_database) as urls:
        person = await register(create_app(settings, platform, connect=False))
        workspace_id = await a_roomy_place(platform, person)
        most = max(LARGE_BYTES // 8, 2_000_000)
        async with relaying(urls, least=200_000, most=most) as relay, asyncio.timeout(PATIENCE_S):
            given = Given(relay, person, workspace_id)
            uploads = [client(given, files[name][0]) for name, client in clients.items()]
            addresses = dict(zip(clients, await asyncio.gather(*uploads), strict=True))
            for name, address in addresses.items():
                upload = await joined(person, urls[1], address)
                assert upload["state"] == "COMPLETED", (name, upload)
                assert upload["receipt"]["sha256"] == files[name][1], name
                assert upload["file"]["originalName"] == f"by-{name}.bin"
        await person.client.aclose()
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\n{relay.cuts} breaks; answers {dict(sorted(relay.statuses.items()))}\n")
    arrived(relay, cuts=6)
