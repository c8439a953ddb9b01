"""Signing in through another provider: attempts bound to the browser that began them, and whom an identity signs in.

An identity is known by the provider's subject. A new one joins the account whose address it proves, if that account
has proved the address too; nobody gets into an account by an address alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.crypto import digest_token
from pm_api.core.platform import Platform
from pm_api.identity import security
from pm_api.identity.devices import Device
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.errors.sign_in import (
    AccountEmailUnverified,
    LastSignInMethod,
    ProviderAlreadyLinked,
    ProviderEmailUnverified,
    ProviderLinkedElsewhere,
    SignInStateInvalid,
    UnknownProvider,
    VerifyEmailFirst,
)
from pm_api.identity.models.people import User
from pm_api.identity.models.sign_in import OauthAttempt
from pm_api.identity.repository import people as repository
from pm_api.identity.repository import sign_in as sign_ins
from pm_api.identity.schemas.people import normalised_email
from pm_api.integrations.openid import Challenge, Identified

LIVES: Final = timedelta(minutes=10)
SEALED_FOR: Final = "oauth-attempt"
MOST_CODES: Final = 5


@dataclass(frozen=True, slots=True)
class Began:
    """What is remembered of a sign-in between leaving for the provider and coming back."""

    challenge: Challenge
    return_to: str
    lead_token: str | None = None
    invitation_token: str | None = None
    links_user_id: UUID | None = None
    links_session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in whose first factor was right, and that waits for the second."""

    attempt_id: UUID
    user_id: UUID
    identified: Identified


def new_challenge(platform: Platform) -> Challenge:
    randomness = platform.randomness
    return Challenge(state=randomness.token(), nonce=randomness.token(), verifier=randomness.token())


# --- attempts --------------------------------------------------------------------------------------------------


def begin(session: AsyncSession, platform: Platform, provider: str, began: Began, browser_token: str) -> None:
    """Remember it, for ten minutes and this browser."""
    content = {
        "nonce": began.challenge.nonce,
        "verifier": began.challenge.verifier,
        "return_to": began.return_to,
        "lead_token": began.lead_token,
        "invitation_token": began.invitation_token,
    }
    _insert(
        session,
        platform,
        provider=provider,
        stage="STARTED",
        secret=began.challenge.state,
        browser_token=browser_token,
        content=content,
        user_id=began.links_user_id,
        session_id=began.links_session_id,
    )


async def take(session: AsyncSession, platform: Platform, provider: str, state: str, browser_token: str) -> Began:
    """What was begun under this state in this browser; from now on it is gone. Raises SignInStateInvalid."""
    row = await sign_ins.take_attempt(
        session, provider=provider, secret_hash=digest_token(state), browser_hash=digest_token(browser_token)
    )
    if row is None or row.expires_at <= platform.clock.wall():
        raise SignInStateInvalid
    content = _opened(platform, row)
    return Began(
        Challenge(state=state, nonce=content["nonce"], verifier=content["verifier"]),
        content["return_to"],
        content["lead_token"],
        content["invitation_token"],
        row.user_id,
        row.session_id,
    )


def await_second_factor(
    session: AsyncSession, platform: Platform, user_id: UUID, identified: Identified, browser_token: str
) -> str:
    """Keep the sign-in for ten minutes; returns the secret that continues it with a code."""
    secret = platform.randomness.token()
    content = {
        "subject": identified.subject,
        "email": identified.email,
        "email_is_verified": identified.email_is_verified,
        "name": identified.name,
    }
    _insert(
        session,
        platform,
        provider=identified.provider,
        stage="SECOND_FACTOR",
        secret=secret,
        browser_token=browser_token,
        content=content,
        user_id=user_id,
    )
    return secret


async def count_code(session: AsyncSession, platform: Platform, secret: str) -> Waiting:
    """The waiting sign-in, for one of its five codes; to be committed whatever becomes of the code.

    Raises SignInStateInvalid.
    """
    row = await sign_ins.try_second_factor(
        session, secret_hash=digest_token(secret), now=platform.clock.wall(), most=MOST_CODES
    )
    if row is None or row.user_id is None:
        raise SignInStateInvalid
    content = _opened(platform, row)
    return Waiting(row.id, row.user_id, Identified(provider=row.provider, **content))


async def end_waiting(session: AsyncSession, waiting: Waiting) -> None:
    """Raises SignInStateInvalid when another request has ended it first."""
    if not await sign_ins.end_attempt(session, waiting.attempt_id):
        raise SignInStateInvalid


def _insert(
    session: AsyncSession,
    platform: Platform,
    *,
    provider: str,
    stage: str,
    secret: str,
    browser_token: str,
    content: dict[str, Any],
    user_id: UUID | None,
    session_id: UUID | None = None,
) -> None:
    now = platform.clock.wall()
    attempt_id = platform.randomness.uuid()
    session.add(
        OauthAttempt(
            id=attempt_id,
            user_id=user_id,
            session_id=session_id,
            provider=provider,
            stage=stage,
            secret_hash=digest_token(secret),
            browser_hash=digest_token(browser_token),
            sealed=platform.keys.seal(SEALED_FOR, orjson.dumps(content), attempt_id.bytes),
            created_at=now,
            expires_at=now + LIVES,
        )
    )


def _opened(platform: Platform, row: OauthAttempt) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(platform.keys.open(SEALED_FOR, row.sealed, row.id.bytes))
    return content


# --- whom an identity signs in -------------------------------------------------------------------------------------


async def owner_of(session: AsyncSession, identified: Identified) -> User | None:
    """The account this identity signs in, linked or to be linked by its address; None when there is none yet.

    Raises ProviderEmailUnverified and AccountEmailUnverified.
    """
    known = await sign_ins.external_identity(session, identified.provider, identified.subject)
    if known is not None:
        return await repository.user_by_id(session, known.user_id)
    email = proved_address(identified)
    user = await repository.user_by_email(session, email)
    if user is not None and user.email_verified_at is None:
        # Whoever registered it may be waiting for its owner to come this way.
        raise AccountEmailUnverified
    return user


def proved_address(identified: Identified) -> str:
    """The address the provider vouches for, as we spell it; raises ProviderEmailUnverified."""
    if identified.email is None or not identified.email_is_verified:
        raise ProviderEmailUnverified
    try:
        return normalised_email(identified.email)
    except ValueError:
        raise ProviderEmailUnverified from None


async def enter(
    session: AsyncSession, platform: Platform, user: User, identified: Identified, device: Device
) -> None:
    """Take note that the identity signs this person in, new or not. Looked at again under the person's lock: what was
    unlinked since they were found lets nobody in, and is not linked again by it.

    Raises SignInStateInvalid and what `link` raises.
    """
    await sign_ins.lock_user(session, user.id)
    owner = await owner_of(session, identified)
    if owner is None or owner.id != user.id:
        raise SignInStateInvalid
    await link(session, platform, user, identified, device)


async def link(session: AsyncSession, platform: Platform, user: User, identified: Identified, device: Device) -> None:
    """From now on the identity signs this person in; nothing new when it does already.

    Raises ProviderLinkedElsewhere, ProviderAlreadyLinked and VerifyEmailFirst.
    """
    locked = await sign_ins.lock_user(session, user.id)
    known = await sign_ins.external_identity(session, identified.provider, identified.subject)
    now = platform.clock.wall()
    if known is not None:
        if known.user_id != user.id:
            raise ProviderLinkedElsewhere
        known.last_used_at = now
        known.email = identified.email
        return
    if locked is None or locked.email_verified_at is None:
        # Else whoever registers with another's address keeps a door of their own for the day it is proved.
        raise VerifyEmailFirst
    made = await sign_ins.insert_identity(
        session,
        {
            "id": platform.randomness.uuid(),
            "user_id": user.id,
            "provider": identified.provider,
            "subject": identified.subject,
            "email": identified.email,
            "created_at": now,
            "last_used_at": now,
        },
    )
    if made is None:
        other = await sign_ins.external_identity(session, identified.provider, identified.subject)
        raise ProviderAlreadyLinked if other is None else ProviderLinkedElsewhere
    await security.record(
        session,
        platform,
        user_id=user.id,
        kind=SecurityEventKind.SIGN_IN_METHOD_LINKED,
        device=device,
        details={"method": identified.provider},
    )


async def check_linking_session(session: AsyncSession, platform: Platform, began: Began) -> User:
    """Who began to link, as long as the session they did it in lives; raises SignInStateInvalid."""
    assert began.links_user_id is not None
    alive = (
        await repository.live_session_user(session, began.links_session_id, platform.clock.wall())
        if began.links_session_id is not None
        else None
    )
    user = await repository.user_by_id(session, began.links_user_id)
    if alive is None or alive[0] != began.links_user_id or user is None:
        raise SignInStateInvalid
    return user


async def unlink(session: AsyncSession, platform: Platform, user_id: UUID, provider: str, device: Device) -> None:
    """The provider signs this person in no more; raises UnknownProvider and LastSignInMethod."""
    user = await sign_ins.lock_user(session, user_id)
    assert user is not None, "the guard has found their session"
    identities = await sign_ins.external_identities(session, user_id)
    found = next((one for one in identities if one.provider == provider), None)
    if found is None:
        raise UnknownProvider("You have not linked this provider.")
    if user.password_hash is None and len(identities) == 1:
        raise LastSignInMethod
    await sign_ins.delete_identity(session, found.id)
    await security.record(
        session,
        platform,
        user_id=user_id,
        kind=SecurityEventKind.SIGN_IN_METHOD_UNLINKED,
        device=device,
        details={"method": provider},
    )
