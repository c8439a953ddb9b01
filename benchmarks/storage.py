"""What a file costs beside a bare stream, and what memory it takes; part of `make bench`, or
`python -m benchmarks.storage`.

One API process over local disk, and one process with a bare Starlette application that computes the same digests and
writes the same bytes, or reads them. Both are sent the same file in turn, so that drift of the machine meets both
alike. Then one large file goes in and out, and the API's resident memory is watched meanwhile.
"""

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from tests.domains.storage.boxes import FORM_TYPE, UPLOADS, form
from tests.support import processes
from tests.support.plans import bought
from tests.support.settings import settings_for

from benchmarks import ground
from pm_api.bootstrap import build_platform, running
from pm_api.core import telemetry
from pm_api.core.settings_storage import S3Settings, StorageSettings
from pm_api.domains.storage.forms import FileForm
from pm_api.domains.storage.streaming import Digests, take
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType
from pm_api.integrations.blobs import BlobDoor

ABOUT: Final = """\
upload          POST /api/storage/uploads over local disk: form, quota, both digests, sniffing, the row
download        GET /api/storage/files/{id}/content
bare            Starlette: request.stream() into both digests and a file; FileResponse out of one
resident        how far the API's resident memory rose while one file went in and out; the promise is 64 MB"""
MEGABYTE: Final = 1 << 20
FILE_BYTES: Final = 256 * MEGABYTE
LARGE_BYTES: Final = 5 << 30
QUICK_FILE_BYTES: Final = 16 * MEGABYTE
QUICK_LARGE_BYTES: Final = 128 * MEGABYTE
ROUNDS: Final = 7
QUICK_ROUNDS: Final = 2
PROMISED_RATIO: Final = 0.7
PROMISED_BYTES: Final = 64 * MEGABYTE
BLOCK: Final = random.Random(1).randbytes(MEGABYTE)
PASSWORD: Final = "correct horse battery staple"


class Broken(Exception):
    """Something else came out than must; the figures would mean nothing."""


# --- the bare application -------------------------------------------------------------------------------------------


async def bare_upload(request: Request) -> Response:
    """As plain as it goes: each piece into both digests and the file, one after the other."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with (_folder() / "bare").open("wb") as file:
        async for piece in request.stream():
            md5.update(piece)
            sha256.update(piece)
            file.write(piece)
    return JSONResponse({"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}, status_code=201)


async def bare_download(_request: Request) -> Response:
    return FileResponse(_folder() / "bare")


def _folder() -> Path:
    return Path(os.environ["BENCH_FOLDER"])


def serve_bare(port: int) -> None:
    routes = [Route("/", bare_upload, methods=["POST"]), Route("/", bare_download, methods=["GET"])]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_config=None)


@contextmanager
def bare_server(folder: Path) -> Iterator[str]:
    port = processes.free_port()
    command = [sys.executable, "-m", "benchmarks.storage", "--bare", str(port)]
    with subprocess.Popen(command, env={**os.environ, "BENCH_FOLDER": str(folder)}) as process:
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"http://127.0.0.1:{port}/nothing", trust_env=False)
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.kill()


# --- a client that costs next to nothing ---------------------------------------------------------------------------


def send(url: str, size: int, headers: dict[str, str], *, as_form: bool) -> bytes:
    """A file of `size` bytes, the same block again and again."""
    parts = urlsplit(url)
    head, tail = b"", b""
    if as_form:
        whole = form(b"!", name="large.bin")
        head, tail = whole.split(b"!", 1)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    connection.putrequest("POST", parts.path)
    for name, value in {**headers, "Content-Length": str(size + len(head) + len(tail))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(head)
    for _ in range(size // len(BLOCK)):
        connection.send(BLOCK)
    connection.send(tail)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 201:
        raise Broken(f"{url}: {answer.status} {content[:300]!r}")
    return content


def fetch(url: str, size: int, headers: dict[str, str]) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    connection.request("GET", parts.path, headers=headers)
    answer = connection.getresponse()
    buffer, found = bytearray(MEGABYTE), 0
    while read := answer.readinto(buffer):
        found += read
    connection.close()
    if answer.status != 200 or found != size:
        raise Broken(f"{url}: {answer.status}, {found} of {size} bytes")


def megabytes_a_second(size: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return size / MEGABYTE / (time.perf_counter() - began)


# --- resident memory -----------------------------------------------------------------------------------------------


def resident_bytes(pid: int, name: str = "VmRSS") -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise Broken("Linux tells no resident memory here")


def rise_during(pid: int, work: Callable[[], object]) -> int:
    """How far the highest resident memory rose above what it was, the kernel's own high-water mark."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    before = resident_bytes(pid)
    work()
    return resident_bytes(pid, "VmHWM") - before


# --- where it goes -------------------------------------------------------------------------------------------------


async def pieces(size: int) -> AsyncIterator[bytes]:
    """As a server hands a body on: 64 kilobytes at a time."""
    view = [BLOCK[at : at + 65_536] for at in range(0, len(BLOCK), 65_536)]
    for _ in range(size // len(BLOCK)):
        for one in view:
            yield one


async def alone(size: int, folder: Path) -> dict[str, float]:
    """Each step by itself, in this process, in megabytes a second."""

    async def digest() -> None:
        digests = Digests()
        for _ in range(size // (4 * MEGABYTE)):
            await digests.update(BLOCK * 4)

    async def parse() -> None:
        head, tail = form(b"!").split(b"!", 1)

        async def body() -> AsyncIterator[bytes]:
            yield head
            async for one in pieces(size):
                yield one
            yield tail

        read = FileForm(FORM_TYPE["Content-Type"], body())
        await read.begin()
        async for _ in read.file():
            pass

    async def write() -> None:
        door = BlobDoor(StorageSettings(), S3Settings(), folder)
        async with door.writer("bench/alone") as writing:
            for _ in range(size // (4 * MEGABYTE)):
                await writing.write(BLOCK * 4)
            await writing.finish()
        await door.delete("bench/alone")

    async def whole() -> None:
        door = BlobDoor(StorageSettings(), S3Settings(), folder)
        await take(door, "bench/alone", pieces(size), most_bytes=None)
        await door.delete("bench/alone")

    found = {}
    for name, work in (("digests", digest), ("form", parse), ("store", write), ("all three", whole)):
        began = time.perf_counter()
        await work()
        found[name] = size / MEGABYTE / (time.perf_counter() - began)
    return found


# --- the run -------------------------------------------------------------------------------------------------------


async def ready_person(database_url: str, url: str) -> dict[str, str]:
    """Somebody with room without end."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        body = {"email": "bench@example.com", "password": PASSWORD, "name": "Bench"}
        answer = await client.post("/api/auth/register", json=body)
        if answer.status_code != 201:
            raise Broken(answer.text[:300])
        made: dict[str, Any] = answer.json()
    platform = build_platform(settings_for(database_url))
    async with running(platform), platform.database.transaction() as session:
        limits: dict[str, int | None] = {"max_storage_bytes": None, "max_file_bytes": None}
        plan = await bought(session, platform, UUID(made["user"]["id"]), kind=AccountType.USER, limits=limits)
        await entitlements.write(session, platform, plan)
    return {"Authorization": f"Bearer {made['accessToken']}"}


def keep_one(folder: Path) -> None:
    """The same content again is stored once, and its double taken away later by a sweep: here at once."""
    found = sorted(
        (one for one in (folder / "files").rglob("*") if one.is_file()), key=lambda one: one.stat().st_mtime
    )
    for one in found[1:]:
        one.unlink()


async def measure(database_url: str, folder: Path, *, quick: bool) -> int:
    size = QUICK_FILE_BYTES if quick else FILE_BYTES
    large = QUICK_LARGE_BYTES if quick else LARGE_BYTES
    settings = {"PM_DATA_DIR": str(folder), "PM_LOG_LEVEL": "ERROR", **ground.LIMITS}
    async with processes.api(database_url, **settings) as server:
        with bare_server(folder) as bare:
            headers = await ready_person(database_url, server.url)
            upload_url = f"{server.url}{UPLOADS}"

            def upload(count: int = size) -> str:
                answer: dict[str, Any] = httpx.Response(
                    200, content=send(upload_url, count, {**headers, **FORM_TYPE}, as_form=True)
                ).json()
                if answer["receipt"]["fileSize"] != count:
                    raise Broken(str(answer))
                return f"{server.url}/api/storage/files/{answer['file']['id']}/content"

            address = upload()
            works: dict[str, Callable[[], object]] = {
                "upload": upload,
                "upload, bare": lambda: send(bare, size, {}, as_form=False),
                "download": lambda: fetch(address, size, headers),
                "download, bare": lambda: fetch(bare, size, {}),
            }
            found: dict[str, list[float]] = {name: [] for name in works}
            for turn in range((QUICK_ROUNDS if quick else ROUNDS) + 1):
                for name, work in works.items():
                    speed = await asyncio.to_thread(megabytes_a_second, size, work)
                    if turn:
                        found[name].append(speed)
                    keep_one(folder)
            steps = await alone(size, folder / "alone")
        pid = server.handle.pid
        addresses: list[str] = []
        rose_in = await asyncio.to_thread(rise_during, pid, lambda: addresses.append(upload(large)))
        rose_out = await asyncio.to_thread(rise_during, pid, lambda: fetch(addresses[0], large, headers))
    return told(
        {name: median(speeds) for name, speeds in found.items()}, steps, [rose_in, rose_out], large, quick=quick
    )


def told(speeds: dict[str, float], steps: dict[str, float], in_out: list[int], large: int, *, quick: bool) -> int:
    print(f"\n{ABOUT}\n\n{'median, MB/s':<16}{'API':>10}{'bare':>10}{'ratio':>10}")
    kept = True
    for name in ("upload", "download"):
        ratio = speeds[name] / speeds[f"{name}, bare"]
        kept = kept and ratio >= PROMISED_RATIO
        print(f"{name:<16}{speeds[name]:>10.0f}{speeds[f'{name}, bare']:>10.0f}{ratio:>9.2f}x")
    print("\nsteps of an upload by themselves, without HTTP, MB/s: ", end="")
    print(", ".join(f"{name} {speed:.0f}" for name, speed in steps.items()))
    for name, rise in zip(("in", "out"), in_out, strict=True):
        kept = kept and rise <= PROMISED_BYTES
        print(f"{large / (1 << 30):.2f} GB {name}: resident memory rose by {rise / MEGABYTE:.1f} MB")
    print("within what was promised" if kept else "NOT within what was promised")
    return 0 if kept or quick else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: too small for a figure")
    parser.add_argument("--bare", type=int, metavar="PORT", help="serve the bare application (started by the run)")
    chosen = parser.parse_args()
    if chosen.bare:
        serve_bare(chosen.bare)
        return 0
    telemetry.configure_logging(level="WARNING", as_json=False)
    folder = Path(tempfile.mkdtemp(prefix="pm-bench-storage-"))
    try:
        with ground.database_server() as server:
            return uvloop.run(measure(server.url, folder, quick=chosen.quick))
    except (Broken, TimeoutError, asyncio.CancelledError) as error:
        print(f"the benchmark broke: {error!r}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
