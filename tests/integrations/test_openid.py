"""What the door to sign-in providers believes, and what it does not."""

import base64
import hmac
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pm_api.integrations.openid import Challenge, Identified, ProviderRefused, SignInDoor, SignInProviderUnavailable
from tests.support.clock import MovableClock
from tests.support.providers import Github, LyingIssuer, github, lying_issuer, new_key, query_of
from tests.support.settings import settings_for

BACK = "http://test.local/api/auth/oauth/acme/callback"
CHALLENGE = Challenge(state="s" * 43, nonce="n" * 43, verifier="v" * 43)


@pytest.fixture
async def issuer() -> AsyncIterator[LyingIssuer]:
    async with lying_issuer() as found:
        found.nonce = CHALLENGE.nonce
        yield found


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def door(issuer: LyingIssuer, clock: MovableClock) -> SignInDoor:
    settings = settings_for("postgresql://nowhere/none", oidc={"providers": [issuer.settings("acme")]})
    return SignInDoor(settings, clock)


async def identify(door: SignInDoor, issuer: str | None = None) -> Identified:
    return await door.identify("acme", code="code", redirect_uri=BACK, challenge=CHALLENGE, issuer=issuer)


async def test_an_honest_issuer_is_believed(door: SignInDoor, issuer: LyingIssuer) -> None:
    found = await identify(door)
    assert found == Identified("acme", "somebody", "somebody@example.com", email_is_verified=True, name="")
    assert await identify(door, issuer.address) == found
    assert issuer.asked == ["configuration", "token", "keys", "token"], "what it says of itself is kept"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "another-app"}, "another application"),
        ({"aud": None}, "another application"),
        ({"aud": ["another-app", "pm-api-tests"]}, "another application"),
        ({"aud": ["another-app", "pm-api-tests"], "azp": "another-app"}, "another application"),
        ({"azp": "another-app"}, "another application"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "issued and expires"),
        ({"exp": "tomorrow"}, "issued and expires"),
        ({"iat": 4_000_000_000}, "of the future"),
        ({"iat": None}, "issued and expires"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"nonce": 5}, "another sign-in"),
        ({"sub": None}, "no subject"),
        ({"sub": ""}, "no subject"),
        ({"sub": 7}, "no subject"),
        ({"sub": "x" * 256}, "no subject"),
        ({"sub": "with a \x00 in it"}, "no subject"),
    ],
)
async def test_a_claim_that_is_wrong_is_refused(
    door: SignInDoor, issuer: LyingIssuer, claims: dict[str, Any], reason: str
) -> None:
    issuer.claims = claims
    with pytest.raises(ProviderRefused, match=reason):
        await identify(door)


async def test_two_audiences_are_fine_when_the_token_was_given_to_us(door: SignInDoor, issuer: LyingIssuer) -> None:
    issuer.claims = {"aud": ["another-app", "pm-api-tests"], "azp": "pm-api-tests"}
    assert (await identify(door)).subject == "somebody"


async def test_a_token_of_a_minute_ago_is_fine_and_an_older_one_is_not(
    door: SignInDoor, issuer: LyingIssuer, clock: MovableClock
) -> None:
    clock.advance(seconds=355)
    assert (await identify(door)).subject == "somebody"
    clock.advance(seconds=10)
    with pytest.raises(ProviderRefused, match="expired"):
        await identify(door)


async def test_a_key_nobody_published_signs_nothing(door: SignInDoor, issuer: LyingIssuer) -> None:
    issuer.published = [issuer.key]
    issuer.key = new_key("one")  # the same name, another key
    with pytest.raises(ProviderRefused, match="signature"):
        await identify(door)
    issuer.key = new_key("nobody's")
    with pytest.raises(ProviderRefused, match="no single key"):
        await identify(door)


async def test_a_new_key_is_fetched_though_not_at_every_strange_name(
    door: SignInDoor, issuer: LyingIssuer, clock: MovableClock
) -> None:
    await identify(door)
    issuer.key = new_key("two")
    with pytest.raises(ProviderRefused, match="no single key"):
        await identify(door)
    assert issuer.asked.count("keys") == 1, "they were fetched a moment ago"
    clock.advance(seconds=61)
    assert (await identify(door)).subject == "somebody"
    assert issuer.asked.count("keys") == 2


async def test_without_a_name_the_only_key_is_meant(door: SignInDoor, issuer: LyingIssuer) -> None:
    issuer.header = {"kid": None}
    assert (await identify(door)).subject == "somebody"
    issuer.published = [issuer.key, new_key("two")]
    second = SignInDoor(
        settings_for("postgresql://nowhere/none", oidc={"providers": [issuer.settings("acme")]}), MovableClock()
    )
    with pytest.raises(ProviderRefused, match="no single key"):
        await identify(second)


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims)]
    return f"{parts[0]}.{parts[1]}."


async def test_nobody_signs_with_nothing_or_with_the_public_key(door: SignInDoor, issuer: LyingIssuer) -> None:
    right = issuer.id_token()
    head, body, _ = right.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    # The libraries refuse to sign so; an attacker's does not.
    with_public_key = unsigned(claims, {"alg": "HS256", "kid": "one"}).removesuffix(".")
    mac = hmac.digest(issuer.key.as_pem(private=False), with_public_key.encode(), "sha256")
    forged = [
        unsigned(claims, {"alg": "none", "kid": "one"}),
        unsigned(claims, {"alg": "None"}),
        unsigned(claims, {"kid": "one"}),
        f"{with_public_key}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        f"{head}.{body}.",
        f"{head}.{body}.{'A' * 342}",
        right + "x",
        "nonsense",
        "",
        "a.b.c",
    ]
    for token in forged:
        issuer.answer = {"id_token": token}
        with pytest.raises(ProviderRefused, match="ID token"):
            await identify(door)


@pytest.mark.parametrize("answer", [{"id_token": None}, {"id_token": 5}, {"id_token": ["x"]}])
async def test_without_an_id_token_nobody_is_known(
    door: SignInDoor, issuer: LyingIssuer, answer: dict[str, Any]
) -> None:
    issuer.answer = answer
    with pytest.raises(ProviderRefused, match="no ID token"):
        await identify(door)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
async def test_an_issuer_that_calls_itself_otherwise_is_not_asked(
    door: SignInDoor, issuer: LyingIssuer, metadata: dict[str, Any]
) -> None:
    issuer.metadata = metadata
    with pytest.raises(SignInProviderUnavailable):
        await door.authorization_url("acme", BACK, CHALLENGE)
    with pytest.raises(ProviderRefused):
        await identify(door)
    assert "token" not in issuer.asked, "the code went nowhere"


async def test_an_answer_of_another_issuer_is_refused_before_the_code_leaves(
    door: SignInDoor, issuer: LyingIssuer
) -> None:
    """RFC 9207: somebody mixes up two providers."""
    with pytest.raises(ProviderRefused, match="another issuer"):
        await identify(door, "https://evil.example")
    issuer.metadata = {"authorization_response_iss_parameter_supported": True}
    other = SignInDoor(
        settings_for("postgresql://nowhere/none", oidc={"providers": [issuer.settings("acme")]}), MovableClock()
    )
    with pytest.raises(ProviderRefused, match="another issuer"):
        await identify(other)
    assert "token" not in issuer.asked


async def test_an_address_may_stand_in_userinfo(door: SignInDoor, issuer: LyingIssuer) -> None:
    issuer.claims = {"email": None, "email_verified": None}
    issuer.userinfo = {"sub": "somebody", "email": "there@example.com", "email_verified": "true", "name": "Ann"}
    assert await identify(door) == Identified(
        "acme", "somebody", "there@example.com", email_is_verified=True, name="Ann"
    )
    issuer.userinfo["sub"] = "somebody else"
    with pytest.raises(ProviderRefused, match="somebody else"):
        await identify(door)


@pytest.mark.parametrize("verified", [False, None, "yes", 1, "false", {}])
async def test_only_a_plain_yes_verifies(door: SignInDoor, issuer: LyingIssuer, verified: object) -> None:
    issuer.claims = {"email_verified": verified}
    assert (await identify(door)).email_is_verified is False


async def test_where_people_are_sent_keeps_the_query_there_is(door: SignInDoor, issuer: LyingIssuer) -> None:
    issuer.metadata = {"authorization_endpoint": f"{issuer.address}/authorize?tenant=7"}
    address = await door.authorization_url("acme", BACK, CHALLENGE)
    assert query_of(address)["tenant"] == "7"
    assert query_of(address)["redirect_uri"] == BACK
    assert CHALLENGE.verifier not in address


async def test_an_issuer_that_is_away_or_endless_is_unavailable_or_refused() -> None:
    away = {"name": "acme", "issuer": "http://127.0.0.1:9", "clientId": "x", "clientSecret": "y"}
    settings = settings_for("postgresql://nowhere/none", oidc={"providers": [away]})
    with pytest.raises(SignInProviderUnavailable):
        await identify(SignInDoor(settings, MovableClock()))


async def test_google_is_an_issuer_like_any_other(issuer: LyingIssuer) -> None:
    google = {"client_id": "pm-api-tests", "client_secret": "x", "issuer": issuer.address}
    door = SignInDoor(settings_for("postgresql://nowhere/none", google=google), MovableClock())
    assert door.titles() == {"google": "Google"}
    found = await door.identify("google", code="code", redirect_uri=BACK, challenge=CHALLENGE)
    assert (found.provider, found.subject) == ("google", "somebody")
    assert SignInDoor(settings_for("postgresql://nowhere/none"), MovableClock()).titles() == {}


# --- GitHub ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def hub() -> AsyncIterator[Github]:
    async with github() as found:
        yield found


def hub_door(hub: Github) -> SignInDoor:
    return SignInDoor(settings_for("postgresql://nowhere/none", github=hub.settings()), MovableClock())


async def at_github(hub: Github, challenge: Challenge = CHALLENGE, issuer: str | None = None) -> Identified:
    """There and back."""
    door = hub_door(hub)
    address = await door.authorization_url("github", BACK, CHALLENGE)
    code = f"code-of-{len(hub.challenges)}"
    hub.challenges[code] = query_of(address)["code_challenge"]
    return await door.identify("github", code=code, redirect_uri=BACK, challenge=challenge, issuer=issuer)


async def test_github_tells_who_it_is_by_its_api(hub: Github) -> None:
    email = hub.becomes(name="Octo Cat")
    found = await at_github(hub)
    assert found == Identified("github", str(hub.user["id"]), email, email_is_verified=True, name="Octo Cat")
    hub.becomes(name=None)
    assert re.fullmatch(r"octo\d+", (await at_github(hub)).name)


async def test_of_github_s_addresses_the_primary_one_counts_if_it_is_verified(hub: Github) -> None:
    primary = hub.becomes(verified=False)
    found = await at_github(hub)
    assert (found.email, found.email_is_verified) == (primary, False)
    hub.emails.append({"email": "second@example.com", "verified": True, "primary": False})
    found = await at_github(hub)
    assert (found.email, found.email_is_verified) == ("second@example.com", True)
    hub.emails = []
    found = await at_github(hub)
    assert (found.email, found.email_is_verified) == (None, False)


async def test_github_holds_us_to_the_verifier(hub: Github) -> None:
    hub.becomes()
    other = Challenge(state=CHALLENGE.state, nonce=CHALLENGE.nonce, verifier="w" * 43)
    with pytest.raises(ProviderRefused):
        await at_github(hub, other)
    with pytest.raises(ProviderRefused, match="another issuer"):
        await at_github(hub, issuer="https://evil.example/")
    assert (await at_github(hub, issuer=f"{hub.address}/login/oauth")).provider == "github"


@pytest.mark.parametrize("user", [{}, {"id": "seven"}, {"id": None, "login": "octo"}])
async def test_a_github_without_a_number_is_nobody(hub: Github, user: dict[str, Any]) -> None:
    hub.user = user
    with pytest.raises(ProviderRefused):
        await at_github(hub)
