"""ID tokens (OpenID Connect Core 1.0 §3.1.3.7): signed by the issuer, meant for us, for this sign-in, and now.

Pure: no clock, no network.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from pm_api.integrations.openid.values import ProviderRefused

LEEWAY_S: Final = 60
# Public keys alone: with HS256 anybody who reads the issuer's public key could sign.
ALGORITHMS: Final = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
    "Ed25519": "OKP",
}
_REGISTRY: Final = JWSRegistry(algorithms=list(ALGORITHMS))


class UnknownKey(ProviderRefused):
    """The token names a key that is not among those we know: the issuer may have rolled its keys."""


def verify(
    id_token: str, keys: list[Mapping[str, Any]], *, issuer: str, client_id: str, nonce: str, now: datetime
) -> dict[str, Any]:
    """The claims; raises ProviderRefused, and UnknownKey when newer keys of the issuer may help."""
    try:
        header = jws.extract_compact(id_token.encode()).headers()
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ProviderRefused("the ID token is malformed") from error
    key = _key_for(header, keys)
    try:
        claims = jwt.decode(id_token, JWKRegistry.import_key(dict(key)), registry=_REGISTRY).claims
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ProviderRefused("the ID token's signature is wrong") from error
    _check(claims, issuer=issuer, client_id=client_id, nonce=nonce, now=now)
    return claims


def _key_for(header: Mapping[str, Any], keys: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The key the header names; without a name the only one that can be meant."""
    algorithm, key_id = header.get("alg"), header.get("kid")
    kind = ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else None
    if kind is None:
        raise ProviderRefused("the ID token is signed by an algorithm that is not accepted")
    fitting = [
        one
        for one in keys
        if one.get("kty") == kind and one.get("use", "sig") == "sig" and one.get("alg", algorithm) == algorithm
    ]
    if key_id is not None:
        fitting = [one for one in fitting if one.get("kid") == key_id]
    if len(fitting) != 1:
        raise UnknownKey("no single key of the issuer fits the ID token")
    return fitting[0]


def _check(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: datetime) -> None:
    if claims.get("iss") != issuer:
        raise ProviderRefused("the ID token is another issuer's")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise ProviderRefused("the ID token is meant for another application")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != client_id:
        raise ProviderRefused("the ID token was given to another application")
    seconds = now.timestamp()
    expires, issued = _number(claims.get("exp")), _number(claims.get("iat"))
    if expires is None or issued is None:
        raise ProviderRefused("the ID token does not say when it was issued and expires")
    if expires + LEEWAY_S <= seconds:
        raise ProviderRefused("the ID token has expired")
    if issued - LEEWAY_S > seconds:
        raise ProviderRefused("the ID token is of the future")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise ProviderRefused("the ID token belongs to another sign-in")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
