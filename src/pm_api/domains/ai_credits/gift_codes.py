"""The texts of gift codes: 60 bits as twelve letters and digits, of which only keyed digests are stored.

A gift's codes are made from one random seed that rests sealed beside it, so that the answer that showed them can be
given again. When a root key is taken out of `PM_SECRET_KEYS`, codes made under it end with it.
"""

import hmac
from typing import Final
from uuid import UUID

from pm_api.core.crypto import KeyRing, SealBroken
from pm_api.core.ids import Randomness

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing that is taken for something else."""
LENGTH: Final = 12
GROUP: Final = 4
SEED_BYTES: Final = 32
SEED: Final = "gift-codes"
DIGEST: Final = "gift-code-digest"
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})


def new_seed(keys: KeyRing, randomness: Randomness, gift_id: UUID) -> bytes:
    """A seed for one gift, sealed."""
    return keys.seal(SEED, randomness.token(SEED_BYTES).encode(), gift_id.bytes)


def issue(keys: KeyRing, sealed_seed: bytes, gift_id: UUID, count: int) -> list[str]:
    """The codes of a gift, the same each time; none when the key they were made under is gone."""
    try:
        seed = keys.open(SEED, sealed_seed, gift_id.bytes)
    except SealBroken:
        return []
    return [_code(seed, number) for number in range(1, count + 1)]


def _code(seed: bytes, number: int) -> str:
    value = int.from_bytes(hmac.digest(seed, number.to_bytes(4, "big"), "sha256")[:8], "big")
    text = "".join(ALPHABET[(value >> 5 * place) & 31] for place in range(LENGTH))
    return "-".join(text[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def digest(keys: KeyRing, code: str) -> bytes:
    """How a new code rests in the database."""
    return keys.sign(DIGEST, code.translate(_READ_AS).encode())


def digests(keys: KeyRing, text: str) -> list[bytes]:
    """What a code that somebody typed may rest as, under each key; none when it cannot be one."""
    plain = text.upper().translate(_READ_AS)
    if len(plain) != LENGTH or not set(plain) <= set(ALPHABET):
        return []
    return [hmac.digest(keys.derive(key_id, DIGEST), plain.encode(), "sha256") for key_id in keys.key_ids()]
