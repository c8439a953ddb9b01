"""A person's password and address: proved, forgotten, changed."""

from typing import Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.errors import TooManyRequests
from pm_api.core.events import emit, event_id
from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.identity import api_keys, confirmation, email_tokens, second_factor, security, sessions, users
from pm_api.identity.devices import Device
from pm_api.identity.email_tokens import Purpose
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.errors.people import EmailTaken
from pm_api.identity.errors.sign_in import EmailAlreadyVerified, InvalidLink, NoPassword, WrongPassword
from pm_api.identity.events import UserChanged
from pm_api.identity.models.people import User
from pm_api.identity.models.sign_in import EmailToken
from pm_api.identity.passwords import Passwords
from pm_api.identity.repository import people as repository
from pm_api.identity.repository import sign_in as sign_ins

RETRY_AFTER_S: Final = 3600


class Forgotten(BaseModel):
    """Whose password was forgotten; of an address without an account somebody who does not exist, so that the time of
    the answer tells nothing. The address is read when the job runs: one that is held does not keep it.
    """

    user_id: UUID


FORGOT_PASSWORD: Final = declare("identity.forgot_password", Forgotten)


# --- the address -----------------------------------------------------------------------------------------------


async def resend_verification(session: AsyncSession, platform: Platform, user_id: UUID) -> None:
    """Raises EmailAlreadyVerified, and TooManyRequests after five within an hour."""
    user = await repository.user_by_id(session, user_id)
    assert user is not None, "the guard has found their session"
    if user.email_verified_at is not None:
        raise EmailAlreadyVerified
    if not await email_tokens.send(session, platform, user, Purpose.VERIFY):
        raise _too_many()


async def verify_email(platform: Platform, token: str, device: Device) -> User:
    """Take an address for proved: that of a registration, or a new one, to which the account moves with it.

    Raises InvalidLink, and EmailTaken when another account got the new address meanwhile.
    """
    async with platform.database.transaction() as session:
        row, user = await _redeemed(session, platform, token, Purpose.VERIFY, Purpose.CHANGE_EMAIL)
        if (row.previous_email or row.email) != user.email:
            raise InvalidLink
        if row.purpose == Purpose.CHANGE_EMAIL:
            left = user.email
            if not await _moved(session, platform, user, row.email):
                raise EmailTaken
            await email_tokens.void(session, platform, user.id, Purpose.VERIFY, Purpose.RESET)
            await email_tokens.tell_old_address(session, platform, row)
            await security.record(
                session,
                platform,
                user_id=user.id,
                kind=SecurityEventKind.EMAIL_CHANGED,
                device=device,
                details={"newEmail": row.email, "previousEmail": left},
            )
        else:
            await prove_address(session, platform, user, device)
        return user


async def prove_address(session: AsyncSession, platform: Platform, user: User, device: Device | None = None) -> None:
    """Take the address of an account for proved, where it is not yet: something that was mailed there has come back.
    The link that was to prove it is void.
    """
    if user.email_verified_at is not None:
        return
    await _mark_verified(session, platform, user)
    await email_tokens.void(session, platform, user.id, Purpose.VERIFY)
    await security.record(session, platform, user_id=user.id, kind=SecurityEventKind.EMAIL_VERIFIED, device=device)


async def request_email_change(
    platform: Platform, scope: UserScope, email: str, password: str | None, device: Device
) -> None:
    """Mail a link to the new address; nothing changes before it is opened. The present address is told too.

    Raises ConfirmationRequired, EmailTaken and TooManyRequests.
    """
    await confirmation.confirm(platform, scope, password)
    async with platform.database.transaction() as session:
        user = await sign_ins.lock_user(session, scope.user_id)
        assert user is not None, "the guard has found their session"
        if await repository.user_by_email(session, email) is not None:
            raise EmailTaken
        if not await email_tokens.send(session, platform, user, Purpose.CHANGE_EMAIL, email=email):
            raise _too_many()
        await security.record(
            session,
            platform,
            user_id=user.id,
            kind=SecurityEventKind.EMAIL_CHANGE_REQUESTED,
            device=device,
            session_id=scope.actor.session_id,
            details={"newEmail": email},
        )


# --- the password ----------------------------------------------------------------------------------------------


async def forgot_password(platform: Platform, email: str) -> None:
    """Ask for a link. The same is done for every address: one job is put, whoever it belongs to."""
    async with platform.database.transaction() as session:
        user_id = await sign_ins.holder_of(session, email, otherwise=platform.randomness.uuid())
        await enqueue(session, FORGOT_PASSWORD, Forgotten(user_id=user_id))


async def mail_reset_link(platform: Platform, user_id: UUID) -> None:
    """The rest of it, by job: nothing for who does not exist, or is gone since."""
    async with platform.database.transaction() as session:
        user = await sign_ins.lock_user(session, user_id)
        if user is not None and user.erased_at is None:
            await email_tokens.send(session, platform, user, Purpose.RESET)


async def reset_password(platform: Platform, token: str, password: str, device: Device) -> None:
    """Set a password by a link, which proves the address too; every session ends. Raises InvalidLink, WeakPassword.

    Of an account whose address nobody had proved, whatever else opens it goes: who made it need not be who reads its
    mail.
    """
    async with platform.database.reading() as session:
        _, seen = await email_tokens.look_up(session, platform, token, Purpose.RESET)
    password_hash = await users.hash_password(platform, password, email=seen.email, name=seen.name)
    async with platform.database.transaction() as session:
        row, user = await _redeemed(session, platform, token, Purpose.RESET)
        if user.email != row.email:
            raise InvalidLink
        user.password_hash = password_hash
        if user.email_verified_at is None:
            await second_factor.forget(session, user.id)
            actor = Actor(ActorKind.SYSTEM)
            await api_keys.end_of_user(session, platform, actor, user.id, reason="account changed hands")
            await _mark_verified(session, platform, user)
        await email_tokens.void(session, platform, user.id, *Purpose)
        await sessions.end(session, platform, user_id=user.id, reason="password reset")
        await security.record(
            session, platform, user_id=user.id, kind=SecurityEventKind.PASSWORD_RESET, device=device
        )


async def change_password(platform: Platform, scope: UserScope, old: str, new: str, device: Device) -> None:
    """Another password; all other sessions end, and links that were mailed before are void: whoever had the old one
    may have asked for them, a move to their own address among them.

    Raises WrongPassword, NoPassword, WeakPassword.
    """
    async with platform.database.reading() as session:
        seen = await repository.user_by_id(session, scope.user_id)
    assert seen is not None, "the guard has found their session"
    if seen.password_hash is None:
        raise NoPassword
    right, _ = await platform.part(Passwords).verify(old, seen.password_hash)
    if not right:
        raise WrongPassword
    password_hash = await users.hash_password(platform, new, email=seen.email, name=seen.name)
    async with platform.database.transaction() as session:
        user = await sign_ins.lock_user(session, scope.user_id)
        if user is None or user.password_hash != seen.password_hash:  # changed, or hashed anew, in the meantime
            raise WrongPassword
        user.password_hash = password_hash
        await email_tokens.void(session, platform, user.id, Purpose.RESET, Purpose.CHANGE_EMAIL)
        await sessions.end_others(
            session, platform, user_id=user.id, keep=scope.actor.session_id, reason="password changed"
        )
        await security.record(
            session,
            platform,
            user_id=user.id,
            kind=SecurityEventKind.PASSWORD_CHANGED,
            device=device,
            session_id=scope.actor.session_id,
        )


async def _moved(session: AsyncSession, platform: Platform, user: User, email: str) -> bool:
    """False when another account has the address."""
    try:
        async with session.begin_nested():
            user.email = email
            await _mark_verified(session, platform, user)
            await session.flush()
    except IntegrityError:
        return False
    return True


async def _redeemed(
    session: AsyncSession, platform: Platform, token: str, *purposes: Purpose
) -> tuple[EmailToken, User]:
    """The link, used up, and its person, locked: first of all, as whoever sends another link does."""
    _, owner = await email_tokens.look_up(session, platform, token, *purposes)
    user = await sign_ins.lock_user(session, owner.id)
    row = await email_tokens.redeem(session, platform, token, *purposes)
    if user is None:
        raise InvalidLink
    return row, user


async def _mark_verified(session: AsyncSession, platform: Platform, user: User) -> None:
    user.email_verified_at = platform.clock.now()
    users.touch(user, platform.clock.now())
    changed = UserChanged(id=event_id(platform.randomness), user_id=user.id, version=user.version)
    await emit(session, changed)


def _too_many() -> TooManyRequests:
    detail = "Several links were mailed within the last hour. Look for the newest, or ask again later."
    return TooManyRequests(detail, headers={"Retry-After": str(RETRY_AFTER_S)})
