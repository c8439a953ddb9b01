"""The load generator: a process of its own, so that it does not share an interpreter with what it measures.

Plain HTTP/1.1 over keep-alive connections, one request in flight on each. The next request leaves when the answer is
there, so figures are those of a closed loop.
"""

import asyncio
import contextlib
import gc
import itertools
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self, cast

import uvloop

from benchmarks.ground import ROOT, Caller, ProcessEnded, read_callers

SPEND: Final = "spend"
BATCH: Final = "batch"
HOLD: Final = "hold"
ITEMS: Final = 100
"""Spends in one request of a batch."""
BODY: Final = b'{"service":"TASK_GENERATION","description":"Task list for launch"}'
_POOL_BODY: Final = b'{"service":"TASK_GENERATION","description":"Task list for launch","workspaceId":"%s"}'
_ITEM: Final = '{"service":"TASK_GENERATION","description":"Task list for launch","idempotencyKey":"item-%016d-%d"}'
_HOLD_ID: Final = b'"hold":{"id":"'
MAX_LINE_BYTES: Final = 1 << 20
DRAIN_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Task:
    """One run: who calls what, over how many connections, for how long. `members` call for their pool."""

    port: int
    path: str
    everybody: bool
    sessions_cached: bool
    connections: int
    warm_up_s: float
    measured_s: float
    work: str = SPEND
    members: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted are pieces of work: spends (a batch is many), pairs of hold and capture. `answered` counts all,
    those of the warm-up too.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    answered: int


class UnexpectedAnswer(Exception):
    """Something else than 200."""


class Run:
    """What the connections of one run share: what they ask, and what came of it."""

    def __init__(self, heads: Iterator[bytes], keys: Iterator[int], began: float, task: Task, pool: str) -> None:
        self._heads = heads
        self._keys = keys
        self._line = f"POST {task.path} HTTP/1.1\r\n".encode()
        self._body = _POOL_BODY % pool.encode() if task.members else BODY
        self._work = task.work
        self._measured_from = began + task.warm_up_s
        self._ends = self._measured_from + task.measured_s
        self.pieces = ITEMS if task.work == BATCH else 1
        self.latencies: list[float] = []
        self.answered = 0

    def first(self) -> bytes:
        """The request a piece of work begins with."""
        if self._work == BATCH:
            number = next(self._keys)
            items = ",".join([_ITEM % (number, place) for place in range(ITEMS)])
            body = f'{{"items":[{items}]}}'.encode()
            return b"%s%sContent-Length: %d\r\n\r\n%s" % (self._line, next(self._heads), len(body), body)
        return self._request(self._line, self._body)

    def then(self, answer: bytes) -> bytes | None:
        """The request that follows this answer in the same piece of work, if one does; raises UnexpectedAnswer."""
        if self._work == BATCH and answer.count(b'"status":200') != ITEMS:
            raise UnexpectedAnswer(answer.decode(errors="replace"))
        place = answer.find(_HOLD_ID) if self._work == HOLD else -1
        if place < 0 or b'"entry"' in answer:
            return None
        begins = place + len(_HOLD_ID)
        line = b"POST /api/credits/holds/%s/capture HTTP/1.1\r\n" % answer[begins : begins + 36]
        return self._request(line, b"{}")

    def _request(self, line: bytes, body: bytes) -> bytes:
        return b"%s%sContent-Length: %d\r\nIdempotency-Key: bench-%016d\r\n\r\n%s" % (
            line,
            next(self._heads),
            len(body),
            next(self._keys),
            body,
        )

    def record(self, sent: float, now: float) -> bool:
        """Count a piece of work; False when the connection has nothing more to do."""
        self.answered += self.pieces
        if self._measured_from <= now < self._ends:
            self.latencies.append(now - sent)
        return now < self._ends

    def figures(self, task: Task) -> Figures:
        ordered = sorted(self.latencies)
        if not ordered:
            raise UnexpectedAnswer("nothing was answered in the measured time")
        return Figures(
            per_s=len(ordered) * self.pieces / task.measured_s,
            p50_ms=ordered[len(ordered) // 2] * 1000,
            p99_ms=ordered[len(ordered) * 99 // 100] * 1000,
            answered=self.answered,
        )


class Connection(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._run.first()
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = head.find(b"content-length: ")
        end = head.find(b"\r\n", length)
        if len(body) < int(head[length + 16 : end if end > 0 else len(head)]):
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 20"):
            self._end(UnexpectedAnswer(self._received.decode(errors="replace")))
            return
        self._received = b""
        try:
            following = self._run.then(body)
        except UnexpectedAnswer as error:
            self._end(error)
            return
        if following is not None:
            assert self._transport is not None
            self._transport.write(following)
        elif self._run.record(self._sent, now):
            self._send()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or UnexpectedAnswer("the server closed the connection"))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def _head(caller: Caller) -> bytes:
    return (f"Host: 127.0.0.1\r\nAuthorization: Bearer {caller.token}\r\nContent-Type: application/json\r\n").encode()


class Generator:
    """Lives through all runs: the next caller and the next key go on where the run before stopped."""

    def __init__(self, callers: str) -> None:
        known = read_callers(callers)
        hot, *many = [_head(one) for one in known.people]
        self._members = itertools.cycle(many[: known.members])
        random.shuffle(many)
        self._one = itertools.repeat(hot)
        self._all = itertools.cycle(many)
        self._pool = known.pool
        self._keys = itertools.count(1)

    async def run(self, task: Task) -> Figures:
        loop = asyncio.get_running_loop()
        if task.everybody or task.members:
            await self._set_sessions(task)
        heads = self._members if task.members else self._all if task.everybody else self._one
        run = Run(heads, self._keys, time.perf_counter(), task, self._pool)
        connections = [
            (await loop.create_connection(lambda: Connection(run), "127.0.0.1", task.port))[1]
            for _ in range(task.connections)
        ]
        allowed_s = task.warm_up_s + task.measured_s + DRAIN_TIMEOUT_S
        await asyncio.wait_for(asyncio.gather(*[one.done for one in connections]), allowed_s)
        return run.figures(task)

    @staticmethod
    async def _set_sessions(task: Task) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", task.port)
        path = f"/bench/sessions?cached={str(task.sessions_cached).lower()}"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise UnexpectedAnswer(answer.decode(errors="replace"))


class LoadProcess:
    """The generator's process, seen from outside: one line of JSON in, one line out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def start(cls, callers: Path) -> AsyncIterator[Self]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.load",
            str(callers),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def run(self, task: Task) -> Figures:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        answer = await self._process.stdout.readline()
        if not answer:
            raise ProcessEnded("the load generator ended; what it said stands above")
        return Figures(**json.loads(answer))


async def serve(callers: str) -> None:
    """Do the tasks that come in as lines, until there are no more."""
    generator = Generator(callers)
    gc.collect()
    gc.freeze()
    gc.disable()  # a pause here would be counted as the server's
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        figures = await generator.run(Task(**json.loads(line)))
        print(json.dumps(asdict(figures)), flush=True)
        gc.collect()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
