"""`multipart/form-data` (RFC 7578) read as it comes: small fields, then one file, of which no more than a piece is in
memory at a time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from pm_api.domains.storage.errors.uploads import (
    MalformedMultipart,
    MultipartExpected,
    UploadInterrupted,
    UploadTimedOut,
)
from pm_api.domains.storage.leases import Patience

MOST_FIELDS: Final = 20
MOST_BEFORE_FILE_BYTES: Final = 64 << 10
"""Fields and headers together: what a body may have beside its file."""
LONGEST_BOUNDARY: Final = 70
FILE: Final = "file"


async def as_it_comes(stream: AsyncIterator[bytes], patience: Patience) -> AsyncGenerator[bytes, None]:
    """A request's body, given up when nothing of it comes for so long, or not all of it in a day: neither a silent
    line nor one of a byte a minute must keep what was promised to it. Raises UploadTimedOut and UploadInterrupted.
    """
    loop = asyncio.get_running_loop()
    is_over_at = loop.time() + patience.body_s
    while True:
        try:
            async with asyncio.timeout_at(min(loop.time() + patience.stall_s, is_over_at)):
                piece = await anext(stream, None)
        except TimeoutError:
            raise UploadTimedOut(headers={"Connection": "close"}) from None
        except ClientDisconnect:
            raise UploadInterrupted from None
        if piece is None:
            return
        yield piece


@dataclass(slots=True)
class Part:
    """The headers of the part that holds the file."""

    file_name: str
    declared_type: str | None


@dataclass(slots=True)
class _Events:
    """What the parser has found and nobody has taken yet."""

    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    headers: dict[str, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""
    fed_bytes: int = 0
    file_starts_at: int | None = None


class FileForm:
    """A form being read. `fields` and `part` are known after `begin`; `file` then gives the bytes. The file is in the
    part of that name, or in any.
    """

    def __init__(self, content_type: str, stream: AsyncIterator[bytes], *, part_named: str | None = FILE) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= LONGEST_BOUNDARY:
            raise MultipartExpected
        self._boundary = boundary
        self._stream = stream
        self._part_named = part_named
        self._events = _Events()
        self._pending: deque[dict[str, bytes]] = deque()
        self._field = ""
        self._value = b""
        self._field_bytes = 0
        self._is_file = False
        self._parser = self._made(boundary)
        self.fields: dict[str, str] = {}
        self.part: Part | None = None
        self._is_over = False

    async def begin(self) -> Part:
        """Read up to the file's first byte; raises MalformedMultipart and UploadInterrupted, and
        whatever the stream raises.
        """
        while self.part is None:
            await self._more()
            self._read_fields()
            known = self._field_bytes if self.part is not None else self._events.fed_bytes
            if known > MOST_BEFORE_FILE_BYTES:
                raise MalformedMultipart(
                    f"The file begins within the first {MOST_BEFORE_FILE_BYTES} bytes, behind the other fields."
                )
        while not self._events.waiting and not self._is_over:
            await self._more()
        return self.part

    def left_bytes(self, content_length: int | None) -> int | None:
        """How many bytes the file has if it is the last part, as clients write it; None when nothing was announced.
        Known after `begin`, and right but for clients that write more, or less, behind the last part.
        """
        starts_at = self._events.file_starts_at
        if starts_at is None:
            return 0
        if content_length is None:
            return None
        return max(0, content_length - starts_at - len(b"\r\n--" + self._boundary + b"--\r\n"))

    async def file(self) -> AsyncGenerator[bytes, None]:
        """The file's bytes; raises MalformedMultipart and UploadInterrupted."""
        is_file = True
        while True:
            while self._events.waiting:
                event, data = self._events.waiting.popleft()
                if event == "data" and is_file:
                    yield data
                elif event == "end_part":
                    is_file = False
                elif event == "headers":
                    raise MalformedMultipart("The file is the last part of the form.")
            if self._is_over:
                return
            await self._more()

    async def _more(self) -> None:
        """Feed the parser one piece; the end of the body must be the end of the form."""
        if self._is_over:
            raise MalformedMultipart(f"The form has no part named {FILE!r} with a file name.")
        piece = await anext(self._stream, None)
        if piece is None:
            raise UploadInterrupted("The body ended before the form did.")
        if not piece:
            return
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise MalformedMultipart(f"The form is broken near byte {self._events.fed_bytes}.") from error
        self._events.fed_bytes += len(piece)

    def _read_fields(self) -> None:
        """Take what was found so far, up to the headers of the file."""
        waiting = self._events.waiting
        while waiting and self.part is None:
            event, data = waiting.popleft()
            if event == "headers":
                self._begin_part()
            elif event == "data":
                self._value += data
                self._field_bytes += len(data)
            elif event == "end_part":
                self._end_field()

    def _begin_part(self) -> None:
        headers = self._pending.popleft()
        _, options = parse_options_header(headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            if self._part_named not in (None, name):
                raise MalformedMultipart(f"The file is sent in a part named {self._part_named!r}, not {name!r}.")
            declared = headers.get("content-type")
            self.part = Part(
                options[b"filename"].decode("utf-8", "replace"),
                declared.decode("latin-1")[:255] if declared else None,
            )
            return
        if not name or name in self.fields or len(self.fields) >= MOST_FIELDS:
            raise MalformedMultipart("A field has no name, is there twice, or there are too many.")
        self._field = name

    def _end_field(self) -> None:
        self.fields[self._field] = self._value.decode("utf-8", "replace")
        self._value = b""

    # --- the parser's side ----------------------------------------------------------------------------------------

    def _made(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": lambda: self._events.waiting.append(("end_part", b"")),
                "on_end": self._on_end,
            },
        )

    def _on_part_begin(self) -> None:
        self._events.headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._events.name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._events.value += data[start:end]

    def _on_header_end(self) -> None:
        found = self._events
        found.headers[found.name.decode("latin-1").lower()] = found.value
        found.name = found.value = b""

    def _on_headers_finished(self) -> None:
        self._pending.append(self._events.headers)
        self._events.waiting.append(("headers", b""))
        self._is_file = b"filename" in parse_options_header(self._events.headers.get("content-disposition", b""))[1]

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file and self._events.file_starts_at is None:
            self._events.file_starts_at = self._events.fed_bytes + start
        self._events.waiting.append(("data", data[start:end]))

    def _on_end(self) -> None:
        self._is_over = True
