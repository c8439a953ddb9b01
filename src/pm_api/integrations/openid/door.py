"""The providers of the settings, asked one way: where to send a person, and who they turn out to be.

What an issuer publishes about itself (OpenID Connect Discovery 1.0) and its keys are kept for an hour; an unknown key
id asks for the keys again at once, though not more often than once a minute.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode, urlsplit

from pm_api.core.clock import Clock
from pm_api.core.crypto import encode_url
from pm_api.core.schema import storable
from pm_api.core.settings import LOCAL_HOSTS, Settings
from pm_api.core.settings_sign_in import GithubSettings, OidcProvider
from pm_api.integrations.openid import id_tokens
from pm_api.integrations.openid.values import Identified, ProviderRefused, SignInProviderUnavailable
from pm_api.integrations.openid.wire import Wire

KEPT: Final = timedelta(hours=1)
KEYS_AT_MOST_EVERY: Final = timedelta(minutes=1)
SUBJECT_LENGTH: Final = 255
NAME_LENGTH: Final = 100
EMAIL_LENGTH: Final = 320
GOOGLE: Final = "google"
GITHUB: Final = "github"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What binds a sign-in at a provider to its beginning here. All three are unguessable; `verifier` has 43 to 128
    characters (RFC 7636 §4.1).
    """

    state: str
    nonce: str
    verifier: str

    @property
    def code_challenge(self) -> str:
        return encode_url(hashlib.sha256(self.verifier.encode()).digest())


class Provider(Protocol):
    title: str

    async def probe(self) -> None: ...

    async def authorization_url(self, redirect_uri: str, challenge: Challenge) -> str: ...

    async def identify(
        self, *, code: str, redirect_uri: str, challenge: Challenge, issuer: str | None
    ) -> Identified: ...


class SignInDoor:
    def __init__(self, settings: Settings, clock: Clock) -> None:
        wire = Wire()
        self._providers: dict[str, Provider] = {}
        if settings.google.client_id:
            google = OidcProvider(
                name=GOOGLE,
                title="Google",
                issuer=settings.google.issuer,
                client_id=settings.google.client_id,
                client_secret=settings.google.client_secret,
            )
            self._providers[GOOGLE] = Issuer(google, wire, clock)
        if settings.github.client_id:
            self._providers[GITHUB] = Github(settings.github, wire)
        for one in settings.oidc.providers:
            self._providers[one.name] = Issuer(one, wire, clock)

    def titles(self) -> dict[str, str]:
        """What each provider is called, by its name in addresses."""
        return {name: one.title for name, one in self._providers.items()}

    def knows(self, provider: str) -> bool:
        return provider in self._providers

    async def probe(self, provider: str) -> None:
        """Ask it for what it says of itself; raises ProviderRefused and SignInProviderUnavailable."""
        await self._providers[provider].probe()

    async def authorization_url(self, provider: str, redirect_uri: str, challenge: Challenge) -> str:
        """Where to send a person; raises SignInProviderUnavailable."""
        try:
            return await self._providers[provider].authorization_url(redirect_uri, challenge)
        except ProviderRefused as error:  # what it says of itself is wrong, and nothing the person can mend
            raise SignInProviderUnavailable from error

    async def identify(
        self, provider: str, *, code: str, redirect_uri: str, challenge: Challenge, issuer: str | None = None
    ) -> Identified:
        """Who came back with this code; `issuer` is the `iss` beside it, if there was one (RFC 9207).

        Raises ProviderRefused and SignInProviderUnavailable.
        """
        return await self._providers[provider].identify(
            code=code, redirect_uri=redirect_uri, challenge=challenge, issuer=issuer
        )


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorization: str
    token: str
    keys: str
    userinfo: str | None
    secret_in_body: bool
    names_itself: bool


class Issuer:
    """One OpenID Connect issuer."""

    def __init__(self, provider: OidcProvider, wire: Wire, clock: Clock) -> None:
        self.title = provider.title or provider.name.capitalize()
        self._provider = provider
        self._wire = wire
        self._clock = clock
        self._metadata: tuple[_Metadata, datetime] | None = None
        self._keys: tuple[list[Mapping[str, Any]], datetime] | None = None

    async def probe(self) -> None:
        await self._known_keys(await self._discovered(), KEPT)

    async def authorization_url(self, redirect_uri: str, challenge: Challenge) -> str:
        metadata = await self._discovered()
        return _with_query(
            metadata.authorization,
            {
                "response_type": "code",
                "client_id": self._provider.client_id,
                "redirect_uri": redirect_uri,
                "scope": self._provider.scope,
                "state": challenge.state,
                "nonce": challenge.nonce,
                "code_challenge": challenge.code_challenge,
                "code_challenge_method": "S256",
            },
        )

    async def identify(self, *, code: str, redirect_uri: str, challenge: Challenge, issuer: str | None) -> Identified:
        metadata = await self._discovered()
        if issuer != self._provider.issuer and (issuer is not None or metadata.names_itself):
            raise ProviderRefused("the answer comes from another issuer")
        tokens = await self._exchange(metadata, code, redirect_uri, challenge.verifier)
        claims = await self._verified(metadata, tokens.get("id_token"), challenge.nonce)
        if claims.get("email") is None and metadata.userinfo is not None:
            told = await self._wire.get(metadata.userinfo, _bearer(tokens))
            if not isinstance(told, dict) or told.get("sub") != claims.get("sub"):  # Core §5.3.2
                raise ProviderRefused("userinfo is about somebody else")
            claims = {**told, **claims}
        verified = claims.get("email_verified")
        return identified(
            self._provider.name,
            claims.get("sub"),
            claims.get("email"),
            is_verified=verified is True or verified == "true",  # some issuers write it as a text
            name=claims.get("name"),
        )

    async def _exchange(self, metadata: _Metadata, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        client_id, secret = self._provider.client_id, self._provider.client_secret.get_secret_value()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        if metadata.secret_in_body:
            form |= {"client_id": client_id, "client_secret": secret}
        else:
            headers["Authorization"] = basic(client_id, secret)
        answer = await self._wire.post(metadata.token, form, headers)
        if not isinstance(answer, dict):
            raise ProviderRefused("the token endpoint answered no object")
        return answer

    async def _verified(self, metadata: _Metadata, id_token: object, nonce: str) -> dict[str, Any]:
        if not isinstance(id_token, str):
            raise ProviderRefused("there is no ID token")
        wanted: dict[str, Any] = {
            "issuer": self._provider.issuer,
            "client_id": self._provider.client_id,
            "nonce": nonce,
            "now": self._clock.wall(),
        }
        try:
            return id_tokens.verify(id_token, await self._known_keys(metadata, KEPT), **wanted)
        except id_tokens.UnknownKey:
            keys = await self._known_keys(metadata, KEYS_AT_MOST_EVERY)
            return id_tokens.verify(id_token, keys, **wanted)

    async def _discovered(self) -> _Metadata:
        now = self._clock.wall()
        if self._metadata is None or not timedelta(0) <= now - self._metadata[1] < KEPT:
            issuer = self._provider.issuer
            told = await self._wire.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            self._metadata = (_read_metadata(told, issuer), now)
        return self._metadata[0]

    async def _known_keys(self, metadata: _Metadata, kept: timedelta) -> list[Mapping[str, Any]]:
        now = self._clock.wall()
        if self._keys is None or not timedelta(0) <= now - self._keys[1] < kept:
            told = await self._wire.get(metadata.keys)
            keys = told.get("keys") if isinstance(told, dict) else None
            if not isinstance(keys, list):
                raise ProviderRefused("the issuer publishes no keys")
            self._keys = ([one for one in keys if isinstance(one, dict)], now)
        return self._keys[0]


class Github:
    """GitHub: OAuth 2.0 with PKCE. Who somebody is, and which of their addresses are verified, its API tells."""

    title = "GitHub"

    def __init__(self, settings: GithubSettings, wire: Wire) -> None:
        self._settings = settings
        self._wire = wire

    async def probe(self) -> None:
        await self._wire.get(f"{self._settings.api_base.rstrip('/')}/")

    async def authorization_url(self, redirect_uri: str, challenge: Challenge) -> str:
        return _with_query(
            f"{self._settings.base.rstrip('/')}/login/oauth/authorize",
            {
                "client_id": self._settings.client_id,
                "redirect_uri": redirect_uri,
                "scope": "read:user user:email",
                "state": challenge.state,
                "code_challenge": challenge.code_challenge,
                "code_challenge_method": "S256",
            },
        )

    async def identify(self, *, code: str, redirect_uri: str, challenge: Challenge, issuer: str | None) -> Identified:
        if issuer is not None and not issuer.startswith(f"{self._settings.base.rstrip('/')}/"):
            raise ProviderRefused("the answer comes from another issuer")
        tokens = await self._wire.post(
            f"{self._settings.base.rstrip('/')}/login/oauth/access_token",
            {
                "client_id": self._settings.client_id,
                "client_secret": self._settings.client_secret.get_secret_value(),
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": challenge.verifier,
            },
        )
        if not isinstance(tokens, dict):
            raise ProviderRefused("the token endpoint answered no object")
        headers = {**_bearer(tokens), "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        api = self._settings.api_base.rstrip("/")
        user = await self._wire.get(f"{api}/user", headers)
        emails = await self._wire.get(f"{api}/user/emails", headers)
        if not isinstance(user, dict) or not isinstance(user.get("id"), int) or not isinstance(emails, list):
            raise ProviderRefused("GitHub does not say who it is")
        addresses = [one for one in emails if isinstance(one, dict) and isinstance(one.get("email"), str)]
        # The primary one if it is verified, else any that is, else one that proves nothing.
        addresses.sort(key=lambda one: (one.get("verified") is not True, one.get("primary") is not True))
        best = addresses[0] if addresses else {}
        return identified(
            GITHUB,
            str(user["id"]),
            best.get("email"),
            is_verified=best.get("verified") is True,
            name=user.get("name") or user.get("login"),
        )


def identified(provider: str, subject: object, email: object, *, is_verified: bool, name: object) -> Identified:
    """What a provider said, within the bounds of our tables; raises ProviderRefused without a usable subject."""
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH or _clean(subject) != subject:
        raise ProviderRefused("there is no subject")
    address = _clean(email)[: EMAIL_LENGTH + 1]
    return Identified(
        provider=provider,
        subject=subject,
        email=address if 0 < len(address) <= EMAIL_LENGTH else None,
        email_is_verified=is_verified and bool(address),
        name=_clean(name)[:NAME_LENGTH].strip(),
    )


def _clean(text: object) -> str:
    """Empty for what is no text, or none that can be stored."""
    if not isinstance(text, str):
        return ""
    try:
        return storable(text).strip()
    except ValueError:
        return ""


def basic(client_id: str, secret: str) -> str:
    """RFC 6749 §2.3.1: both are form-encoded before they are joined."""
    joined = f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()
    return f"Basic {_base64(joined)}"


def _base64(data: bytes) -> str:
    url_safe = encode_url(data).replace("-", "+").replace("_", "/")
    return url_safe + "=" * (-len(url_safe) % 4)


def _bearer(tokens: Mapping[str, Any]) -> dict[str, str]:
    token = tokens.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise ProviderRefused("there is no access token")
    return {"Authorization": f"Bearer {token}"}


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _read_metadata(told: object, issuer: str) -> _Metadata:
    """Raises ProviderRefused. The issuer must name itself exactly so, or anybody could speak for it (§4.3)."""
    if not isinstance(told, dict) or told.get("issuer") != issuer:
        raise ProviderRefused("the issuer calls itself by another name")
    local = urlsplit(issuer).hostname in LOCAL_HOSTS

    def address(name: str) -> str:
        found = told.get(name)
        if not isinstance(found, str) or not found.startswith(("https://", "http://") if local else "https://"):
            raise ProviderRefused(f"the issuer publishes no usable {name}")
        return found

    methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return _Metadata(
        authorization=address("authorization_endpoint"),
        token=address("token_endpoint"),
        keys=address("jwks_uri"),
        userinfo=address("userinfo_endpoint") if told.get("userinfo_endpoint") is not None else None,
        secret_in_body=isinstance(methods, list) and "client_secret_basic" not in methods,
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
    )
