"""The door to sign-in providers: OpenID Connect issuers, and GitHub, which speaks OAuth 2.0 without an ID token.

What comes out is a frozen `Identified`; no JSON of a provider and no object of the JOSE library passes this package.
Nothing here opens a database session, and nothing that has one open may call here.
"""

from pm_api.integrations.openid.door import Challenge, SignInDoor
from pm_api.integrations.openid.values import (
    Identified,
    ProviderRefused,
    SignInProviderUnavailable,
)

__all__ = [
    "Challenge",
    "Identified",
    "ProviderRefused",
    "SignInDoor",
    "SignInProviderUnavailable",
]
