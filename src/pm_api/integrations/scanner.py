"""The door to clamd: bytes in over INSTREAM, a verdict out. Whatever is not plainly "OK" is not clean.

A clamd that is down, slow, cut off or does not make sense is `ScannerUnavailable`: nothing was learned, ask again.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pm_api.core.settings_scanner import ClamdSettings, address_of

PIECE_BYTES: Final = 64 * 1024
ANSWER_BYTES: Final = 4096
AT_ONCE: Final = 4
THREAT_LENGTH: Final = 200
FOUND: Final = re.compile(r"stream: (?P<threat>.+?)(\([0-9a-f]{32}:\d+\))? FOUND")
OVER_LIMITS: Final = "Heuristics.Limits.Exceeded"
"""Told as a finding where clamd is set to `AlertExceedsMax yes`: it stopped before the end."""

# Standard of the trade, harmless, and found by every scanner: https://www.eicar.org
_HALVES: Final = (rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")


def test_file() -> bytes:
    """The EICAR file, put together here alone, so that no scanner takes this module for it."""
    return b"".join(_HALVES)


class Outcome(StrEnum):
    CLEAN = "CLEAN"
    INFECTED = "INFECTED"
    TOO_LARGE = "TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What clamd said; `threat` names what it found."""

    outcome: Outcome
    threat: str | None = None


class ScannerUnavailable(Exception):
    """No verdict; `reason` says in a word or two why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ScannerDoor:
    """Streams bytes to clamd, a few at a time, and never takes silence for an answer."""

    def __init__(self, settings: ClamdSettings) -> None:
        self._settings = settings
        self._address = address_of(settings.url) if settings.url else None
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def is_on(self) -> bool:
        return self._address is not None

    @property
    def max_bytes(self) -> int:
        return self._settings.max_bytes

    async def scan(self, pieces: AsyncIterator[bytes], size_bytes: int) -> Verdict:
        """What clamd says of these bytes; raises ScannerUnavailable, and what reading them raises. What is larger
        than clamd looks at is not sent: it would answer OK for what it has not read.
        """
        if size_bytes > self._settings.max_bytes:
            return Verdict(Outcome.TOO_LARGE)
        async with self._turns:
            return await self._converse(pieces)

    async def probe(self) -> str:
        """Whether it finds the harmless test file, and what it is; raises ScannerUnavailable."""

        async def pieces() -> AsyncIterator[bytes]:
            yield test_file()

        if (await self._converse(pieces())).outcome is not Outcome.INFECTED:
            raise ScannerUnavailable("it does not find the EICAR test file: its signatures are missing")
        return (await self._ask(b"zVERSION\0")).split("/")[0] + " finds the test file"

    async def _converse(self, pieces: AsyncIterator[bytes]) -> Verdict:
        """INSTREAM. clamd may refuse and hang up before the end; an answer that finds nothing counts only when it has
        read everything.
        """
        async with self._line() as line:
            await line.send(b"zINSTREAM\0")
            async for piece in pieces:
                for start in range(0, len(piece), PIECE_BYTES):
                    part = piece[start : start + PIECE_BYTES]
                    await line.send(len(part).to_bytes(4, "big") + part)
                if line.has_ended():
                    break
            is_early = line.has_ended()
            await line.send(bytes(4))
            verdict = read_verdict(await line.answer())
        if is_early and verdict.outcome is Outcome.CLEAN:
            raise ScannerUnavailable("it answered before it had read everything")
        return verdict

    async def _ask(self, command: bytes) -> str:
        async with self._line() as line:
            await line.send(command)
            return await line.answer()

    @asynccontextmanager
    async def _line(self) -> AsyncIterator["_Line"]:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                opened = await self._connect()
        except TimeoutError:
            raise ScannerUnavailable("no connection in time") from None
        except OSError:
            raise ScannerUnavailable("no connection") from None
        with opened:
            yield _Line(opened, self._settings.timeout_s)

    async def _connect(self) -> socket.socket:
        address, loop = self._address, asyncio.get_running_loop()
        if address is None:
            raise ScannerUnavailable("PM_CLAMD_URL is not set")
        if isinstance(address, str):
            return await _connected(socket.AF_UNIX, address)
        places = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
        for family, _, _, _, place in places[:-1]:
            with contextlib.suppress(OSError):
                return await _connected(family, place)
        return await _connected(places[-1][0], places[-1][4])


async def _connected(family: int, place: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(opened, place)
    except BaseException:
        opened.close()
        raise
    return opened


class _Line:
    """A socket by itself, not a stream: clamd answers and hangs up on what is too large while we still send, and a
    stream that cannot be written any more drops what has come in.
    """

    def __init__(self, opened: socket.socket, timeout_s: float) -> None:
        self._socket = opened
        self._timeout_s = timeout_s
        self._said = b""
        self._is_cut = False

    def has_ended(self) -> bool:
        """Whether it has answered already, or hung up."""
        if not self._is_cut and b"\0" not in self._said:
            try:
                self._hear(self._socket.recv(ANSWER_BYTES))
            except BlockingIOError:
                return False
            except OSError:
                self._is_cut = True
        return self._is_cut or b"\0" in self._said

    async def send(self, data: bytes) -> None:
        """Nothing more is sent once it has ended; raises ScannerUnavailable for one that reads no more."""
        if self.has_ended():
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except TimeoutError:
            raise ScannerUnavailable("it takes no more bytes") from None
        except OSError:  # what it said before is still to be heard
            return

    async def answer(self) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                while b"\0" not in self._said and not self._is_cut:
                    self._hear(await asyncio.get_running_loop().sock_recv(self._socket, ANSWER_BYTES))
        except TimeoutError:
            raise ScannerUnavailable("no answer in time") from None
        except OSError:
            raise ScannerUnavailable("the connection broke off") from None
        if b"\0" not in self._said:
            raise ScannerUnavailable("it hung up without an answer")
        return self._said.partition(b"\0")[0].decode("utf-8", "replace").strip()

    def _hear(self, said: bytes) -> None:
        self._said += said
        self._is_cut = not said or len(self._said) > ANSWER_BYTES


def read_verdict(answer: str) -> Verdict:
    """What an answer to INSTREAM means; raises ScannerUnavailable for one that is none."""
    if answer == "stream: OK":
        return Verdict(Outcome.CLEAN)
    found = FOUND.fullmatch(answer)
    if found is not None:
        threat = found["threat"]
        if threat.startswith(OVER_LIMITS):
            return Verdict(Outcome.TOO_LARGE)
        return Verdict(Outcome.INFECTED, threat[:THREAT_LENGTH])
    if answer.startswith("INSTREAM size limit exceeded"):
        return Verdict(Outcome.TOO_LARGE)
    raise ScannerUnavailable(f"it answered {answer[:THREAT_LENGTH]!r}")
