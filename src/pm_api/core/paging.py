"""Keyset paging. A cursor is the sort key of the last row, signed and bound to the list and its filters.

No OFFSET: a page costs the same however deep it is, and rows inserted meanwhile shift nothing.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Query

from pm_api.core.crypto import KeyRing, decode_url, encode_url
from pm_api.core.errors import Unprocessable

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
SIGNATURE_BYTES = 12

Row = TypeVar("Row")


class InvalidCursor(Unprocessable):
    """The cursor was altered, or belongs to another list or to other filters.

    Start again without a cursor; send `nextCursor` back exactly as you got it, with the same filters.
    """

    code = "invalid_cursor"


@dataclass(frozen=True, slots=True)
class PageRequest:
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: Sequence[Row]
    next_key: tuple[Any, ...] | None


async def page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows of one page.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1024, description="`nextCursor` of the page before.")] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


class Cursors:
    """Writes and reads cursors with the installation's keys."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def encode(self, key: Sequence[Any] | None, *, of: str, **filters: object) -> str | None:
        """The text of `nextCursor` after a row with this sort key; None when there is no next page."""
        if key is None:
            return None
        payload = orjson.dumps([_plain(part) for part in key])
        return encode_url(self._signature(payload, of, filters) + payload)

    def decode(self, cursor: str | None, *, of: str, **filters: object) -> list[Any] | None:
        """The sort key inside; raises InvalidCursor."""
        if cursor is None:
            return None
        try:
            raw = decode_url(cursor)
        except ValueError:
            raise InvalidCursor from None
        signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        expected = (self._keys.derive(key_id, "cursor") for key_id in self._keys.key_ids())
        if not any(hmac.compare_digest(_sign(key, payload, of, filters), signature) for key in expected):
            raise InvalidCursor
        decoded: list[Any] = orjson.loads(payload)
        return decoded

    def _signature(self, payload: bytes, of: str, filters: dict[str, object]) -> bytes:
        return _sign(self._keys.derive(self._keys.primary_id, "cursor"), payload, of, filters)


def _sign(key: bytes, payload: bytes, of: str, filters: dict[str, object]) -> bytes:
    bound = orjson.dumps([of, {name: _plain(value) for name, value in filters.items()}], option=orjson.OPT_SORT_KEYS)
    mac = hashlib.blake2b(key=key, digest_size=SIGNATURE_BYTES)
    mac.update(len(bound).to_bytes(4, "big") + bound + payload)
    return mac.digest()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value
