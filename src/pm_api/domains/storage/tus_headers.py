"""The headers of tus 1.0.0 as they are read and written. Pure.

https://tus.io/protocols/resumable-upload
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final, Protocol

VERSION: Final = "1.0.0"
EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "termination",
)
CONTENT_TYPE: Final = "application/offset+octet-stream"
MOST_METADATA: Final = 8192
"""Characters of `Upload-Metadata`: more than names and ids need, less than a server takes in a header."""
HIGHEST: Final = 2**62
"""Above any length: what a number in a header may be at most."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_KEY: Final = re.compile(r"[!-+\--~]{1,255}")  # printable ASCII but space and comma


class Digest(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


def _of(name: str) -> Callable[[], Digest]:
    return lambda: hashlib.new(name, usedforsecurity=False)


ALGORITHMS: Final[Mapping[str, Callable[[], Digest]]] = {
    "sha1": _of("sha1"),
    "sha256": _of("sha256"),
    "md5": _of("md5"),
}
"""What `Upload-Checksum` may name."""


class Unreadable(Exception):
    """A header says what the protocol does not allow; the text tells a person."""


class UnknownAlgorithm(Exception):
    """`Upload-Checksum` names an algorithm that is not known."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request are said to be."""

    algorithm: str
    digest: bytes


def read_number(name: str, raw: str) -> int:
    """A length or an offset: a non-negative integer."""
    if _NUMBER.fullmatch(raw.strip()) is None or int(raw) > HIGHEST:
        raise Unreadable(f"{name} is a non-negative integer.")
    return int(raw)


def read_metadata(raw: str) -> dict[str, bytes]:
    """`Upload-Metadata`: keys with values in Base64, none twice. A header that is there and empty says nothing."""
    found: dict[str, bytes] = {}
    if len(raw) > MOST_METADATA:
        raise Unreadable(f"Upload-Metadata is longer than {MOST_METADATA} characters.")
    for pair in raw.split(",") if raw.strip() else ():
        key, _, value = pair.strip(" ").partition(" ")
        if _KEY.fullmatch(key) is None:
            raise Unreadable("Upload-Metadata has a key that is empty or no printable ASCII.")
        if key in found:
            raise Unreadable(f"Upload-Metadata names {key} twice.")
        try:
            found[key] = base64.b64decode(value.encode("ascii"), validate=True)
        except (binascii.Error, ValueError):
            raise Unreadable(f"The value of {key} in Upload-Metadata is not Base64.") from None
    return found


def metadata_texts(raw: str) -> dict[str, str]:
    """The same, of those values that are text in UTF-8."""
    found = {}
    for key, value in read_metadata(raw).items():
        try:
            found[key] = value.decode()
        except UnicodeDecodeError:
            continue
    return found


def read_checksum(raw: str) -> Checksum:
    """`Upload-Checksum`: an algorithm and what it makes of this request's bytes, in Base64."""
    algorithm, _, value = raw.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise UnknownAlgorithm
    try:
        digest = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("Upload-Checksum is an algorithm, a space and a checksum in Base64.") from None
    if len(digest) != len(ALGORITHMS[algorithm]().digest()):
        raise Unreadable(f"Upload-Checksum is not as long as {algorithm} is.")
    return Checksum(algorithm, digest)


def read_lengths(upload_length: str | None, defer_length: str | None) -> int | None:
    """How long a new upload is, or None when that is told later: it is said one way or the other."""
    if (upload_length is None) == (defer_length is None):
        raise Unreadable("Send either Upload-Length or Upload-Defer-Length: 1.")
    if upload_length is not None:
        return read_number("Upload-Length", upload_length)
    if defer_length != "1":
        raise Unreadable("Upload-Defer-Length is 1 or is left out.")
    return None


def written_time(moment: datetime) -> str:
    """As RFC 9110 §5.6.7 writes times."""
    return format_datetime(moment.replace(microsecond=0), usegmt=True)
