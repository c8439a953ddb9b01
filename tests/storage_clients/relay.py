"""A line that breaks at random, between clients and several servers.

Each connection goes to the next server and carries so many bytes of its client, then it breaks: for the client
always, for the server only sometimes. Else the server's end stays open and silent, as when a cable is pulled.
"""

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

PIECE_BYTES: Final = 64 << 10
SEEN: Final = 0.5
"""How often the server is told that its client has gone."""
STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n(?=[^\r\n:]+:|\r\n)")


class Relay:
    """`least` and `most` are the bytes a connection carries before it breaks."""

    def __init__(self, servers: Sequence[str], *, least: int, most: int, seed: int) -> None:
        self._places = [urlsplit(one) for one in servers]
        self._limits = (least, most)
        self._random = random.Random(seed)
        self._opened = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.statuses: Counter[int] = Counter()
        self.cuts = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        place = self._places[self._opened % len(self._places)]
        self._opened += 1
        assert place.hostname is not None
        up_reader, up_writer = await asyncio.open_connection(place.hostname, place.port)
        self._writers |= {writer, up_writer}
        down = asyncio.create_task(self._down(up_reader, writer))
        if not await self._up(reader, up_writer):
            up_writer.close()
        else:
            self.cuts += 1
            writer.transport.abort()
            if self._random.random() < SEEN:
                up_writer.close()
        await down
        writer.close()
        up_writer.close()
        self._writers -= {writer, up_writer}

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Carry what the client sends; whether the line broke."""
        left = self._random.randint(*self._limits)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(min(PIECE_BYTES, left)):
                writer.write(data)
                await writer.drain()
                left -= len(data)
                if left <= 0:
                    return True
        return False

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(PIECE_BYTES):
                self.statuses.update(int(found) for found in STATUS.findall(data))
                writer.write(data)
                await writer.drain()
        writer.close()

    async def stop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def relaying(servers: Sequence[str], *, least: int, most: int, seed: int = 1) -> AsyncIterator[Relay]:
    relay = Relay(servers, least=least, most=most, seed=seed)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
        await relay.stop()
