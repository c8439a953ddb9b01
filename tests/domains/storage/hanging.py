"""A connection that begins to send a piece and then does whatever a broken line does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.conftest import Person

PATIENCE_S = 20.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Hanging:
    """A PATCH that is not over yet. Its holder has the upload: the server has begun to read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def drop(self) -> None:
        """The line breaks, and the server is told."""
        self._writer.transport.abort()

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE_S):
            status, headers = await self._head()
            length = int(headers.get("content-length", "0"))
            return Answer(status, headers, await self._reader.readexactly(length))

    async def begins(self) -> None:
        """The server says that it reads."""
        async with asyncio.timeout(PATIENCE_S):
            status, _ = await self._head()
        assert status == 100, status

    async def _head(self) -> tuple[int, dict[str, str]]:
        raw = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw.strip().split("\r\n")
        pairs = (one.split(":", 1) for one in lines)
        return int(first.split(" ")[1]), {name.lower(): value.strip() for name, value in pairs}


@asynccontextmanager
async def hanging(
    base: str, person: Person, address: str, offset: int, announced: int, **headers: str
) -> AsyncIterator[Hanging]:
    """Begin a PATCH of so many bytes at a server, and send none of them yet."""
    place = urlsplit(base)
    assert place.hostname is not None
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    said = {
        "Host": place.netloc,
        "Authorization": f"Bearer {person.access_token}",
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Content-Length": str(announced),
        "Expect": "100-continue",
        **headers,
    }
    lines = [f"PATCH {address} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    connection = Hanging(reader, writer)
    try:
        await connection.send("\r\n".join(lines).encode())
        await connection.begins()
        yield connection
    finally:
        writer.transport.abort()
