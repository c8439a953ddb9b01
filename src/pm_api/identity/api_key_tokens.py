"""How an API key is written: `pm_live_`, thirty random letters and digits, and six that are their checksum.

Whoever looks through repositories for leaked keys knows one by its beginning, and a mistyped one is refused without
asking the database.
"""

import zlib
from typing import Final

from pm_api.core.crypto import decode_url
from pm_api.core.ids import Randomness

PREFIX: Final = "pm_live_"
RANDOM_LENGTH: Final = 30  # 178 bits
CHECKSUM_LENGTH: Final = 6  # 62^6 > 2^32
HINT_LENGTH: Final = 4

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_token(randomness: Randomness) -> str:
    # 256 bits are so many more than are taken that no letter is likelier than another.
    number = int.from_bytes(decode_url(randomness.token(32)))
    body = PREFIX + _base62(number % 62**RANDOM_LENGTH, RANDOM_LENGTH)
    return body + _checksum(body)


def looks_like_a_key(token: str) -> bool:
    return token.startswith(PREFIX)


def is_well_formed(token: str) -> bool:
    """Whether the length and the checksum are right."""
    body, checksum = token[:-CHECKSUM_LENGTH], token[-CHECKSUM_LENGTH:]
    return len(token) == len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH and _checksum(body) == checksum


def hint_of(token: str) -> str:
    """Enough of a key to tell it from others, and far too little to guess it."""
    return token[: len(PREFIX) + HINT_LENGTH]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
