"""Documents that outsiders can check: Ed25519 (RFC 8032) with keys derived from `PM_SECRET_KEYS`, one a purpose.

The public keys stand in `/.well-known/jwks.json` under `<purpose>:<key id>`, so none is mistaken for one that signs
access tokens. A document stays checkable as long as its root key is configured, or its public key was saved.
"""

from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pm_api.core.crypto import KeyRing, encode_url

ALGORITHM: Final = "EdDSA"
CREDIT_STATEMENT: Final = "credit-statement"
PURPOSES: Final = (CREDIT_STATEMENT,)


class Signature(NamedTuple):
    key_id: str
    value: bytes


def sign(keys: KeyRing, purpose: str, message: bytes) -> Signature:
    """With the first configured key."""
    return Signature(_public_id(purpose, keys.primary_id), _private(keys, keys.primary_id, purpose).sign(message))


def public_keys(keys: KeyRing) -> list[dict[str, Any]]:
    """Every key that signs a document, as JWK (RFC 7517, RFC 8037)."""
    return [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": encode_url(
                _private(keys, key_id, purpose).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            ),
            "kid": _public_id(purpose, key_id),
            "use": "sig",
            "alg": ALGORITHM,
        }
        for purpose in PURPOSES
        for key_id in keys.key_ids()
    ]


def _private(keys: KeyRing, key_id: str, purpose: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(keys.derive(key_id, purpose))


def _public_id(purpose: str, key_id: str) -> str:
    return f"{purpose}:{key_id}"
