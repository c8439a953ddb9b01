"""Keys of the installation: sealing (AES-256-GCM), signing (HMAC-SHA256) and derived key material.

`PM_SECRET_KEYS` lists root keys; the first one seals and signs, all of them still open and verify, so keys roll
without logging anyone out. Each use gets its own key by HKDF (RFC 5869) from a purpose label.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pm_api.core.settings import SecretKey

NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value was altered, or its key is no longer configured."""


class KeyRing:
    def __init__(self, keys: tuple[SecretKey, ...]) -> None:
        if not keys:
            raise ValueError("at least one secret key is needed")
        self._roots = {key.id: key.raw() for key in keys}
        self.primary_id = keys[0].id
        self._derived: dict[tuple[str, str], bytes] = {}

    def derive(self, key_id: str, purpose: str) -> bytes:
        """32 bytes for one purpose from one root key."""
        known = self._derived.get((key_id, purpose))
        if known is None:
            known = HKDF(hashes.SHA256(), 32, salt=None, info=f"pm_api:{purpose}".encode()).derive(
                self._roots[key_id]
            )
            self._derived[key_id, purpose] = known
        return known

    def key_ids(self) -> Iterator[str]:
        return iter(self._roots)

    def seal(self, purpose: str, plaintext: bytes, context: bytes = b"") -> bytes:
        """Encrypt and authenticate; `context` must be presented again to open, which binds a value to its row."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.derive(self.primary_id, purpose)).encrypt(nonce, plaintext, context)
        header = self.primary_id.encode()
        return bytes([len(header)]) + header + nonce + sealed

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> bytes:
        """The plaintext; raises SealBroken."""
        try:
            length = sealed[0]
            key_id = sealed[1 : 1 + length].decode()
            nonce = sealed[1 + length : 1 + length + NONCE_BYTES]
            cipher = AESGCM(self.derive(key_id, purpose))
            return cipher.decrypt(nonce, sealed[1 + length + NONCE_BYTES :], context)
        except (InvalidTag, KeyError, IndexError, ValueError) as error:
            raise SealBroken(purpose) from error

    def sign(self, purpose: str, message: bytes) -> bytes:
        return hmac.digest(self.derive(self.primary_id, purpose), message, "sha256")

    def verify(self, purpose: str, message: bytes, signature: bytes) -> bool:
        return any(
            hmac.compare_digest(hmac.digest(self.derive(key_id, purpose), message, "sha256"), signature)
            for key_id in self._roots
        )


def digest_token(token: str) -> bytes:
    """How opaque tokens rest in the database: they are random enough that a plain hash cannot be reversed."""
    return hashlib.sha256(token.encode()).digest()


def encode_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_url(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
