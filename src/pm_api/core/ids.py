"""Identifiers and randomness, injected so that a test can make them repeatable."""

import os
import secrets
import time
import uuid
from typing import Protocol


class Randomness(Protocol):
    def uuid(self) -> uuid.UUID:
        """A UUIDv7 (RFC 9562 §5.7): sorted by time, so keyset paging by id is paging by creation."""
        ...

    def token(self, entropy_bytes: int = 32) -> str:
        """An unguessable URL-safe text."""
        ...

    def uniform(self) -> float:
        """A number in [0, 1): jitter."""
        ...


class SystemRandomness:
    """UUIDv7 with a 12-bit counter inside the millisecond, so ids of one process never run backwards."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._counter = 0

    def uuid(self) -> uuid.UUID:
        milliseconds = time.time_ns() // 1_000_000
        if milliseconds > self._last_ms:
            self._last_ms = milliseconds
            self._counter = int.from_bytes(os.urandom(2), "big") & 0x3FF
        else:
            self._counter += 1
            if self._counter > 0xFFF:
                self._last_ms += 1
                self._counter = 0
        tail = int.from_bytes(os.urandom(8), "big") & 0x3FFFFFFFFFFFFFFF
        value = (self._last_ms << 80) | (0x7 << 76) | (self._counter << 64) | (0b10 << 62) | tail
        return uuid.UUID(int=value)

    def token(self, entropy_bytes: int = 32) -> str:
        return secrets.token_urlsafe(entropy_bytes)

    def uniform(self) -> float:
        return secrets.randbelow(1 << 53) / (1 << 53)
