"""Passwords: Argon2id off the event loop, equal time for known and unknown users, common passwords refused."""

import asyncio
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from pm_api.identity.errors.people import WeakPassword

MINIMUM_LENGTH: Final = 10
MAXIMUM_LENGTH: Final = 200
CONCURRENT_HASHES: Final = 2

_COMMON: Final = frozenset(FREQUENCY_LISTS["passwords"])


class Passwords:
    """m = 19456 KiB, t = 2, p = 1 (OWASP). Each hash holds 19 MiB, so only a few run at a time."""

    def __init__(self, *, memory_kib: int = 19456, iterations: int = 2) -> None:
        self._hasher = PasswordHash((Argon2Hasher(memory_cost=memory_kib, time_cost=iterations, parallelism=1),))
        self._decoy = self._hasher.hash("a password nobody has")
        self._gate = asyncio.Semaphore(CONCURRENT_HASHES)

    async def hash(self, password: str) -> str:
        async with self._gate:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, known_hash: str | None) -> tuple[bool, str | None]:
        """(right, new hash when the settings have risen). An unknown user costs the same time."""
        async with self._gate:
            right, updated = await asyncio.to_thread(
                self._hasher.verify_and_update, password, known_hash or self._decoy
            )
        return right and known_hash is not None, updated if known_hash is not None else None


def refuse_weak(password: str, *, email: str, name: str) -> None:
    """Raises WeakPassword."""
    lowered = password.lower()
    if len(password) < MINIMUM_LENGTH:
        raise WeakPassword(f"A password has at least {MINIMUM_LENGTH} characters.")
    if lowered in _COMMON or len(set(lowered)) < 4 or lowered in (email.lower(), name.lower()):
        raise WeakPassword
