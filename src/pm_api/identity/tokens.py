"""Access tokens (RFC 7519 JWT, EdDSA) and refresh tokens (opaque, rotated).

Signing keys derive from `PM_SECRET_KEYS`: put a new key in front and old tokens stay valid until they run out.
"""

import copy
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry

from pm_api.core.clock import Clock
from pm_api.core.crypto import KeyRing, encode_url

ACCESS_LIFETIME: Final = timedelta(minutes=15)
REFRESH_LIFETIME: Final = timedelta(days=30)
REUSE_GRACE: Final = timedelta(seconds=30)
AUDIENCE: Final = "pm_api"
LEAD_AUDIENCE: Final = "pm_api:lead"
LEAD_LIFETIME: Final = timedelta(days=30)
SIGNING: Final = "access-token"
REFRESH: Final = "refresh-token"
ALGORITHM: Final = "EdDSA"


# RFC 9864 renames this algorithm to Ed25519, and the library warns at each use of the old name; the old name is
# the one that clients' libraries know today.
_ALGORITHM = copy.copy(JWSRegistry.algorithms[ALGORITHM])
_ALGORITHM.security_warning = None


class _Registry(JWSRegistry):
    algorithms = {ALGORITHM: _ALGORITHM}  # noqa: RUF012  the library's own declaration form


class InvalidAccessToken(Exception):
    """The token is malformed, forged, expired or meant for somebody else."""


@dataclass(frozen=True, slots=True)
class Claims:
    user_id: UUID
    session_id: UUID
    expires_at: float


class AccessTokens:
    def __init__(self, keys: KeyRing, clock: Clock, issuer: str) -> None:
        self._clock = clock
        self._issuer = issuer
        self._signing_id = keys.primary_id
        self._keys = {key_id: _signing_key(keys, key_id) for key_id in keys.key_ids()}
        self._set = KeySet(list(self._keys.values()))
        self._registry = _Registry(algorithms=[ALGORITHM])

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        now = int(self._clock.wall().timestamp())
        return self._sign(
            {
                "iss": self._issuer,
                "aud": AUDIENCE,
                "sub": str(user_id),
                "sid": str(session_id),
                "iat": now,
                "exp": now + int(ACCESS_LIFETIME.total_seconds()),
            }
        )

    def issue_for_lead(self, lead_id: UUID) -> str:
        """A token for a visitor without an account. Its audience is another, so nothing takes it for a person's."""
        now = int(self._clock.wall().timestamp())
        return self._sign(
            {
                "iss": self._issuer,
                "aud": LEAD_AUDIENCE,
                "sub": str(lead_id),
                "iat": now,
                "exp": now + int(LEAD_LIFETIME.total_seconds()),
            }
        )

    def _sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": ALGORITHM, "kid": self._signing_id, "typ": "JWT"}
        return jwt.encode(header, claims, self._keys[self._signing_id], registry=self._registry)

    def verify(self, token: str) -> Claims:
        """Raises InvalidAccessToken."""
        claims, expires_at = self._opened(token, AUDIENCE)
        try:
            return Claims(UUID(claims["sub"]), UUID(claims["sid"]), expires_at)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidAccessToken from error

    def verify_lead(self, token: str) -> UUID:
        """The id of the lead a token was given to; raises InvalidAccessToken."""
        claims, _ = self._opened(token, LEAD_AUDIENCE)
        try:
            return UUID(claims["sub"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidAccessToken from error

    def _opened(self, token: str, audience: str) -> tuple[dict[str, Any], float]:
        """(claims, when it runs out) of a token of ours that is still good for this audience."""
        try:
            claims = jwt.decode(token, self._set, registry=self._registry).claims
            expires_at = float(claims["exp"])
            good = (
                claims["iss"] == self._issuer
                and claims["aud"] == audience
                and expires_at > self._clock.wall().timestamp()
            )
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidAccessToken from error
        if not good:
            raise InvalidAccessToken
        return claims, expires_at

    def public_keys(self) -> list[dict[str, Any]]:
        """The JWKS (RFC 7517 §5)."""
        return [dict(key.as_dict(private=False)) for key in self._keys.values()]


def _signing_key(keys: KeyRing, key_id: str) -> OKPKey:
    private = Ed25519PrivateKey.from_private_bytes(keys.derive(key_id, SIGNING))
    return OKPKey.import_key(private, {"kid": key_id, "use": "sig", "alg": ALGORITHM})


def successor(keys: KeyRing, token: str) -> str:
    """The one token that follows `token`. It is derived, so two tabs that refresh at once get the same one from
    any process, and nothing that opens a session is stored.
    """
    return successors(keys, token)[0]


def successors(keys: KeyRing, token: str) -> list[str]:
    """What the successor is under each configured key: a token rotated before a key roll was derived by the old."""
    return [
        encode_url(hmac.digest(keys.derive(key_id, REFRESH), token.encode(), "sha256")) for key_id in keys.key_ids()
    ]


def refresh_expiry(now: datetime) -> datetime:
    return now + REFRESH_LIFETIME
