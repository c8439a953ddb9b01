"""Sign-in sessions and their refresh tokens.

A session is a family: each refresh replaces its token. Showing an old token within 30 s gives the same successor
(two tabs are one honest user); showing it later ends the family (somebody copied it).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signals
from pm_api.core.crypto import digest_token
from pm_api.core.platform import Platform
from pm_api.identity import repository
from pm_api.identity.errors import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from pm_api.identity.models import RefreshToken, User, UserSession
from pm_api.identity.passwords import Passwords
from pm_api.identity.tokens import REUSE_GRACE, refresh_expiry, successor

SESSION_ENDED_CHANNEL: Final = "pm_session_ended"
DEAD_SESSIONS_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Device:
    user_agent: str
    address: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A live session and the refresh token that continues it."""

    user: User
    session_id: UUID
    refresh_token: str


async def check_password(platform: Platform, email: str, password: str) -> UUID:
    """The user behind the credentials; raises InvalidCredentials in the same time whether the user exists or not.

    Runs between two transactions: no connection is held while the hash is computed.
    """
    passwords = platform.part(Passwords)
    async with platform.database.reading() as session:
        user = await repository.user_by_email(session, email)
    right, updated = await passwords.verify(password, user.password_hash if user else None)
    if user is None or not right:
        raise InvalidCredentials
    if updated is not None:
        async with platform.database.transaction() as session:
            current = await repository.user_by_id(session, user.id)
            if current is not None and current.password_hash == user.password_hash:
                current.password_hash = updated
    return user.id


async def open_session(session: AsyncSession, platform: Platform, user: User, device: Device) -> Grant:
    """A new family with its first refresh token."""
    now = platform.clock.wall()
    row = UserSession(
        id=platform.randomness.uuid(),
        user_id=user.id,
        created_at=now,
        last_used_at=now,
        expires_at=refresh_expiry(now),
        user_agent=device.user_agent[:400],
        address=device.address,
    )
    session.add(row)
    await session.flush()
    token = platform.randomness.token()
    await _store_token(session, platform, row.id, token)
    return Grant(user, row.id, token)


async def rotate(session: AsyncSession, platform: Platform, token: str) -> Grant | RefreshTokenReused:
    """Exchange a refresh token for its successor.

    Raises InvalidRefreshToken. A detected theft is *returned*, not raised, because ending the family must commit.
    """
    now = platform.clock.wall()
    row = await repository.refresh_token(session, digest_token(token))
    if row is None or row.expires_at <= now:
        raise InvalidRefreshToken
    family = await repository.session_by_id(session, row.session_id)
    if family is None or family.revoked_at is not None or family.expires_at <= now:
        raise InvalidRefreshToken
    user = await repository.user_by_id(session, family.user_id)
    assert user is not None
    next_token = successor(platform.keys, token)
    if row.rotated_at is None:
        row.rotated_at = now
        family.last_used_at = now
        family.expires_at = refresh_expiry(now)
        await _store_token(session, platform, family.id, next_token)
    elif now - row.rotated_at > REUSE_GRACE:
        await end(session, platform, user_id=user.id, session_id=family.id, reason="refresh token reused")
        return RefreshTokenReused()
    return Grant(user, family.id, next_token)


async def end(
    session: AsyncSession, platform: Platform, *, user_id: UUID, reason: str, session_id: UUID | None = None
) -> list[UUID]:
    """End one session of a user, or all; every process forgets them on commit."""
    ended = await repository.end_sessions(
        session, now=platform.clock.wall(), reason=reason, user_id=user_id, session_id=session_id
    )
    for identifier in ended:
        await signals.publish(session, SESSION_ENDED_CHANNEL, str(identifier))
    return ended


async def _store_token(session: AsyncSession, platform: Platform, session_id: UUID, token: str) -> None:
    now = platform.clock.wall()
    await session.execute(
        insert(RefreshToken)
        .values(token_hash=digest_token(token), session_id=session_id, created_at=now, expires_at=refresh_expiry(now))
        .on_conflict_do_nothing()
    )
