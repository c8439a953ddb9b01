"""Signing in, registering and linking through another provider, step by step.

A visit at a provider is two requests of the browser. Each goes: what is needed from the database, committed; the
provider, with nothing held; the rest, committed. A process that dies in between costs the person a new beginning and
nothing else: what was begun is used up before the provider is asked.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.errors import ApiError
from pm_api.core.origins import origin_of
from pm_api.core.platform import Platform
from pm_api.domains.account import service
from pm_api.identity import confirmation, external, second_factor, sessions
from pm_api.identity.devices import Device
from pm_api.identity.errors.credentials import TotpRequired
from pm_api.identity.errors.people import EmailTaken
from pm_api.identity.errors.sign_in import (
    SignInRefused,
    SignInReturnNotAllowed,
    SignInStateInvalid,
    UnknownProvider,
)
from pm_api.identity.external import Began
from pm_api.identity.models.people import User
from pm_api.identity.repository import people as repository
from pm_api.identity.schemas.sign_in import OauthLinkStart, OauthOutcome
from pm_api.identity.sessions import Grant
from pm_api.integrations.openid import Identified, ProviderRefused, SignInDoor

HOME: Final = "/dashboard"
SIGN_IN_PAGE: Final = "/login"
SECOND_FACTOR_PAGE: Final = "/login/second-factor"
# A path of the app: two slashes, or a slash and a backslash, begin the address of another host.
_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Returned:
    """What the browser brought back from the provider."""

    state: str
    code: str | None
    error: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended. `grant` when somebody is signed in; `second_factor` continues with a code; `refusal` says why
    not, once it is known where the person wanted to go.
    """

    return_to: str
    outcome: OauthOutcome | None = None
    grant: Grant | None = None
    second_factor: str | None = None
    refusal: ApiError | None = None
    was_linking: bool = False


def return_address(platform: Platform, wanted: str | None) -> str:
    """Where a person may be led afterwards; raises SignInReturnNotAllowed."""
    site = platform.settings.site_url.rstrip("/")
    if wanted is None:
        return f"{site}{HOME}"
    if _PATH.fullmatch(wanted):
        return f"{site}{wanted}"
    origin = origin_of(wanted)
    if origin is None or origin not in {origin_of(one) for one in platform.settings.return_origins}:
        detail = "Leads to no origin that is allowed"
        raise SignInReturnNotAllowed(details=[{"pointer": "/returnTo", "detail": detail}])
    return wanted


def with_query(address: str, **values: str) -> str:
    """The address with more in its query, before a fragment if it has one."""
    if not values:
        return address
    address, hash_sign, fragment = address.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(values)}{hash_sign}{fragment}"


def app_page(platform: Platform, path: str, **values: str) -> str:
    """A page of the single-page app."""
    return with_query(f"{platform.settings.site_url.rstrip('/')}{path}", **values)


def callback_address(platform: Platform, provider: str) -> str:
    """What to register at the provider."""
    return f"{platform.settings.public_url.rstrip('/')}/api/auth/oauth/{provider}/callback"


async def start(
    platform: Platform,
    provider: str,
    browser_token: str,
    *,
    return_to: str | None,
    lead_token: str | None = None,
    invitation_token: str | None = None,
    links: UserScope | None = None,
) -> str:
    """Where to lead the browser that holds `browser_token`; with `links` the provider is linked to that person.

    Raises UnknownProvider, SignInReturnNotAllowed and SignInProviderUnavailable.
    """
    door = platform.part(SignInDoor)
    if not door.knows(provider):
        raise UnknownProvider
    began = Began(
        external.new_challenge(platform),
        return_address(platform, return_to),
        lead_token,
        invitation_token,
        links.user_id if links else None,
        links.actor.session_id if links else None,
    )
    address = await door.authorization_url(provider, callback_address(platform, provider), began.challenge)
    async with platform.database.transaction() as session:
        external.begin(session, platform, provider, began, browser_token)
    return address


async def start_to_link(
    platform: Platform, scope: UserScope, provider: str, browser_token: str, wanted: OauthLinkStart
) -> str:
    """The same for another way into an account that is open: it outlives the password, so it takes a proof that it is
    its person who asks. Raises ConfirmationRequired too.
    """
    await confirmation.confirm(platform, scope, wanted.password)
    return await start(platform, provider, browser_token, return_to=wanted.return_to, links=scope)


async def finish(
    platform: Platform, provider: str, returned: Returned, browser_token: str | None, device: Device
) -> Finished:
    """Sign in, register or link whoever came back. Raises UnknownProvider and SignInStateInvalid; what is refused
    later is told with the address to go back to.
    """
    if not platform.part(SignInDoor).knows(provider):
        raise UnknownProvider
    if browser_token is None:
        raise SignInStateInvalid
    async with platform.database.transaction() as session:
        began = await external.take(session, platform, provider, returned.state, browser_token)
    try:
        identified = await _identify(platform, provider, returned, began)
        if began.links_user_id is not None:
            return await _link(platform, began, identified, device)
        try:
            return await _sign_in(platform, began, identified, browser_token, device)
        except EmailTaken:  # registered by another request since we looked
            return await _sign_in(platform, began, identified, browser_token, device)
    except ApiError as refusal:
        return Finished(began.return_to, refusal=refusal, was_linking=began.links_user_id is not None)


async def finish_with_code(platform: Platform, secret: str, code: str, device: Device) -> Grant:
    """Sign in who was sent back for the second factor; raises SignInStateInvalid, TotpInvalid, SecondFactorLocked."""
    async with platform.database.transaction() as session:
        waiting = await external.count_code(session, platform, secret)
    await second_factor.count_guess(platform, waiting.user_id, code, device)
    async with platform.database.transaction() as session:
        await external.end_waiting(session, waiting)
        user = await repository.user_by_id(session, waiting.user_id)
        if user is None:
            raise SignInStateInvalid
        await second_factor.check(session, platform, user, code)
        return await _enter(session, platform, user, waiting.identified, device)


async def _identify(platform: Platform, provider: str, returned: Returned, began: Began) -> Identified:
    if returned.error is not None or not returned.code:
        raise SignInRefused("The provider did not confirm who you are, or you did not allow it.")
    try:
        return await platform.part(SignInDoor).identify(
            provider,
            code=returned.code,
            redirect_uri=callback_address(platform, provider),
            challenge=began.challenge,
            issuer=returned.issuer,
        )
    except ProviderRefused as error:
        _log.warning("sign_in_refused", provider=provider, reason=str(error))
        raise SignInRefused from error


async def _link(platform: Platform, began: Began, identified: Identified, device: Device) -> Finished:
    async with platform.database.transaction() as session:
        user = await external.check_linking_session(session, platform, began)
        await external.link(session, platform, user, identified, device)
    return Finished(began.return_to, OauthOutcome.LINKED)


async def _sign_in(
    platform: Platform, began: Began, identified: Identified, browser_token: str, device: Device
) -> Finished:
    async with platform.database.transaction() as session:
        user = await external.owner_of(session, identified)
        if user is None:
            email = external.proved_address(identified)
            name = identified.name or email.partition("@")[0]
            user = await service.open_verified(
                session,
                platform,
                email=email,
                name=name,
                lead_token=began.lead_token,
                invitation_token=began.invitation_token,
            )
        try:
            await second_factor.check(session, platform, user, None)
        except TotpRequired:
            secret = external.await_second_factor(session, platform, user.id, identified, browser_token)
            return Finished(began.return_to, OauthOutcome.SECOND_FACTOR_REQUIRED, second_factor=secret)
        grant = await _enter(session, platform, user, identified, device)
    return Finished(began.return_to, OauthOutcome.SIGNED_IN, grant)


async def _enter(
    session: AsyncSession, platform: Platform, user: User, identified: Identified, device: Device
) -> Grant:
    await external.enter(session, platform, user, identified, device)
    return await sessions.open_session(session, platform, user, device, method=identified.provider)
