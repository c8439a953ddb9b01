"""Scanners: Debian's clamd with one signature of our own, and a double for what that cannot be made to do."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from pm_api.integrations.scanner import test_file

CLAMD: Final = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/usr/local/sbin")
EICAR: Final = test_file()
SIGNATURE: Final = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n"
START_TIMEOUT_S: Final = 60.0


class Manner(StrEnum):
    """How a double answers."""

    HONEST = "honest"
    SILENT = "silent"
    DEAF = "deaf"
    GARBAGE = "garbage"
    TOO_LARGE = "too large"
    EARLY = "early"
    HANGS_UP = "hangs up"


class ClamdDouble:
    """Speaks INSTREAM in whichever manner it is told."""

    def __init__(self) -> None:
        self.manner = Manner.HONEST
        self.seen: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._gone = asyncio.Event()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._gone.clear()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As if it had been killed: nobody listens there any more."""
        assert self._server is not None
        self._server.close()
        self._gone.set()
        for line in self._lines:
            line.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._lines.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"\0")
        if command == b"zVERSION\0":
            writer.write(b"ClamAV 1.4.6/0/never\0")
            return
        assert command == b"zINSTREAM\0", command
        if self.manner is Manner.DEAF:
            await self._gone.wait()
        content = bytearray()
        while size := int.from_bytes(await reader.readexactly(4), "big"):
            content += await reader.readexactly(size)
            if self.manner is Manner.TOO_LARGE:
                writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                await writer.drain()
                return
            if self.manner is Manner.EARLY:
                writer.write(b"stream: OK\0")
                await writer.drain()
            if self.manner is Manner.HANGS_UP:
                return
        self.seen.append(bytes(content))
        if self.manner is Manner.SILENT:
            await self._gone.wait()
        writer.write(self._verdict(content))
        await writer.drain()

    def _verdict(self, content: bytearray) -> bytes:
        if self.manner is Manner.GARBAGE:
            return b"stream: 0K\0"
        return b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content else b"stream: OK\0"


@asynccontextmanager
async def clamd_double() -> AsyncIterator[ClamdDouble]:
    double = ClamdDouble()
    await double.start()
    try:
        yield double
    finally:
        await double.stop()


@asynccontextmanager
async def real_clamd(**options: str) -> AsyncIterator[str]:
    """The address of a clamd that knows the EICAR file alone; its options as in clamd.conf."""
    assert CLAMD is not None
    with tempfile.TemporaryDirectory(prefix="pm-clamd-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "signatures").mkdir()
        (folder / "signatures" / "ours.hdb").write_text(SIGNATURE)
        socket = folder / "clamd.ctl"
        lines = {
            "DatabaseDirectory": folder / "signatures",
            "LocalSocket": socket,
            "TemporaryDirectory": folder,
            "Foreground": "yes",
            "MaxThreads": "4",
            **options,
        }
        (folder / "clamd.conf").write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        log = (folder / "clamd.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            CLAMD, "--config-file", str(folder / "clamd.conf"), stdout=log, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not socket.exists():
                    assert process.returncode is None, (folder / "clamd.log").read_text(errors="replace")
                    await asyncio.sleep(0.05)
            yield f"unix:{socket}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            log.close()
