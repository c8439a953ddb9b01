"""What a person's account as a whole can do."""

from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import flows
from pm_api.core.actor import AccountScope
from pm_api.core.errors import NotFound
from pm_api.core.idempotency import stored_answer
from pm_api.core.platform import Platform
from pm_api.domains.account.schemas.registration import IdempotencyOutcome, Registration
from pm_api.domains.ai_credits import gifts, leads, plans
from pm_api.domains.ai_credits.service import LEDGER_OPERATIONS, stored_outcome
from pm_api.domains.team import invitations
from pm_api.identity import email_tokens, sessions, users
from pm_api.identity.devices import Device
from pm_api.identity.email_tokens import Purpose
from pm_api.identity.models.people import User
from pm_api.identity.sessions import Grant
from pm_api.identity.users import DEFAULT_LOCALE, DEFAULT_TIME_ZONE


async def register(platform: Platform, wanted: Registration, device: Device) -> Grant:
    """A new user, signed in, with a wallet; all in one transaction. Raises WeakPassword or EmailTaken."""
    password_hash = await users.hash_password(platform, wanted.password, email=wanted.email, name=wanted.name)
    async with platform.database.transaction() as session:
        user = await _open(
            session,
            platform,
            email=wanted.email,
            name=wanted.name,
            password_hash=password_hash,
            locale=wanted.locale,
            time_zone=wanted.time_zone,
        )
        if wanted.lead_token is not None:
            await leads.hand_over(session, platform, wanted.lead_token, user.id)
        if wanted.invitation_token is not None:
            await invitations.accept_for(session, platform, user, wanted.invitation_token)
        if user.email_verified_at is None:
            await email_tokens.send(session, platform, user, Purpose.VERIFY)
        return await sessions.open_session(session, platform, user, device)


async def create_person(platform: Platform, *, email: str, password: str, name: str) -> UUID:
    """A new user with a wallet and a proved address, not signed in: demo data and the command line. Raises as
    `register` does.
    """
    password_hash = await users.hash_password(platform, password, email=email, name=name)
    async with platform.database.transaction() as session:
        user = await _open(session, platform, email=email, name=name, password_hash=password_hash)
        user.email_verified_at = platform.clock.now()
        return user.id


async def open_verified(
    session: AsyncSession,
    platform: Platform,
    *,
    email: str,
    name: str,
    lead_token: str | None,
    invitation_token: str | None,
) -> User:
    """A new user with a wallet and without a password, whose address a sign-in provider vouches for; raises
    EmailTaken.
    """
    user = await _open(session, platform, email=email, name=name, password_hash=None)
    user.email_verified_at = platform.clock.now()
    await session.flush()
    if lead_token is not None:
        await leads.hand_over(session, platform, lead_token, user.id)
    if invitation_token is not None:
        await invitations.accept_for(session, platform, user, invitation_token)
    return user


async def _open(
    session: AsyncSession,
    platform: Platform,
    *,
    email: str,
    name: str,
    password_hash: str | None,
    locale: str = DEFAULT_LOCALE,
    time_zone: str = DEFAULT_TIME_ZONE,
) -> User:
    user = await users.create(
        session, platform, email=email, name=name, password_hash=password_hash, locale=locale, time_zone=time_zone
    )
    await plans.open_user_account(session, platform, user.id)
    return user


async def idempotency_outcome(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, route: str, key: str
) -> IdempotencyOutcome:
    """How the caller's request under a key ended; raises NotFound while nothing is known of it."""
    if route in gifts.OPERATIONS:
        found = await gifts.stored_outcome(session, platform, scope, operation=route, key=key)
    elif route in LEDGER_OPERATIONS:
        found = await stored_outcome(session, platform, scope, operation=route, key=key)
    else:
        caller = scope.actor.key
        answer = await stored_answer(session, platform, caller=caller, route=route, key=key)
        if answer is None:
            answer = await flows.stored_answer(session, platform, caller=caller, route=route, key=key)
        found = (answer.status_code, bytes(answer.body)) if answer is not None else None
    if found is None:
        raise NotFound("No answer is stored for this key on this route.")
    status_code, body = found
    return IdempotencyOutcome(
        key=key, route=route, status_code=status_code, body=orjson.loads(body) if body else None
    )
