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
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.identity import devices, second_factor, security
from pm_api.identity.devices import Device
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.errors.people import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from pm_api.identity.guards import SessionCache
from pm_api.identity.models.people import RefreshToken, User, UserSession
from pm_api.identity.passwords import Passwords
from pm_api.identity.repository import people as repository
from pm_api.identity.repository import sign_in as sign_ins
from pm_api.identity.schemas.people import SessionRead, SessionsAnswer
from pm_api.identity.tokens import REUSE_GRACE, refresh_expiry, successor, successors

SESSION_ENDED_CHANNEL: Final = "pm_session_ended"
DEAD_SESSIONS_KEPT: Final = timedelta(days=30)
LISTED: Final = "sessions"
BY_PASSWORD: Final = "password"  # noqa: S105  the name of a method


@dataclass(frozen=True, slots=True)
class Grant:
    """A live session and the refresh token that continues it."""

    user: User
    session_id: UUID
    refresh_token: str


@dataclass(frozen=True, slots=True)
class _Proven:
    """Whose password was right, by which hash, and what that is to become where the settings have risen."""

    user_id: UUID
    password_hash: str
    renewed_hash: str | None


async def sign_in(
    platform: Platform, email: str, password: str, device: Device, totp_code: str | None = None
) -> Grant:
    """Check the password and the second factor, then open a session; raises InvalidCredentials, TotpRequired,
    TotpInvalid or SecondFactorLocked.

    The hash is computed between two transactions. One that was changed in between lets nobody in, and ends no session
    that is opened after it: so it is looked at again under the person's lock.
    """
    proven = await _prove(platform, email, password)
    await second_factor.count_guess(platform, proven.user_id, totp_code, device)
    for is_last in (False, True):
        async with platform.database.transaction() as session:
            user = await sign_ins.lock_user(session, proven.user_id)
            if user is not None and user.password_hash == proven.password_hash:
                user.password_hash = proven.renewed_hash or user.password_hash
                await second_factor.check(session, platform, user, totp_code)
                return await open_session(session, platform, user, device)
        if not is_last:  # changed, or hashed anew by another sign-in
            proven = await _prove(platform, email, password)
    raise InvalidCredentials


async def _prove(platform: Platform, email: str, password: str) -> _Proven:
    """Raises InvalidCredentials in the same time whether the user exists or not. No connection is held while the hash
    is computed.
    """
    async with platform.database.reading() as session:
        user = await repository.user_by_email(session, email)
    right, renewed = await platform.part(Passwords).verify(password, user.password_hash if user else None)
    if user is None or user.password_hash is None or not right:
        raise InvalidCredentials
    return _Proven(user.id, user.password_hash, renewed)


async def refresh(platform: Platform, token: str, device: Device | None = None) -> Grant:
    """Exchange a refresh token in a transaction of its own; raises InvalidRefreshToken or RefreshTokenReused."""
    async with platform.database.transaction() as session:
        outcome = await rotate(session, platform, token, device)
    if isinstance(outcome, RefreshTokenReused):
        raise outcome
    return outcome


async def open_session(
    session: AsyncSession, platform: Platform, user: User, device: Device, *, method: str = BY_PASSWORD
) -> Grant:
    """A new family with its first refresh token. The person is told when they never signed in on this device."""
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
    is_known = await devices.recognise(session, platform, user.id, device)
    await security.record(
        session,
        platform,
        user_id=user.id,
        kind=SecurityEventKind.SIGNED_IN if is_known else SecurityEventKind.SIGNED_IN_NEW_DEVICE,
        device=device,
        session_id=row.id,
        details={"method": method},
    )
    return Grant(user, row.id, token)


async def rotate(
    session: AsyncSession, platform: Platform, token: str, device: Device | None = None
) -> Grant | RefreshTokenReused:
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
        # Who showed it may be the thief or the person themselves: nobody can tell, so the person is told.
        await security.record(
            session,
            platform,
            user_id=user.id,
            kind=SecurityEventKind.REFRESH_TOKEN_REUSED,
            device=device,
            session_id=family.id,
        )
        return RefreshTokenReused()
    else:
        next_token = await _newest(session, platform, token)
    return Grant(user, family.id, next_token)


async def end(
    session: AsyncSession, platform: Platform, *, user_id: UUID, reason: str, session_id: UUID | None = None
) -> list[UUID]:
    """End one session of a user, or all; every process forgets them on commit."""
    ended = await repository.end_sessions(
        session, now=platform.clock.wall(), reason=reason, user_id=user_id, session_id=session_id
    )
    await _forget_everywhere(session, platform, ended)
    return ended


async def end_others(
    session: AsyncSession, platform: Platform, *, user_id: UUID, keep: UUID | None, reason: str
) -> None:
    """End every session of a user but the one that asks."""
    ended = await sign_ins.end_other_sessions(
        session, now=platform.clock.wall(), reason=reason, user_id=user_id, keep=keep
    )
    await _forget_everywhere(session, platform, ended)


async def _forget_everywhere(session: AsyncSession, platform: Platform, ended: list[UUID]) -> None:
    for identifier in ended:
        # Here already, because this process may serve the next request before its own signal comes back.
        platform.part(SessionCache).drop_session(str(identifier))
        await signals.publish(session, SESSION_ENDED_CHANNEL, str(identifier))


async def end_one(session: AsyncSession, platform: Platform, *, user_id: UUID, session_id: UUID) -> None:
    """End one live session of a user; raises NotFound, for somebody else's too."""
    if not await end(session, platform, user_id=user_id, session_id=session_id, reason="ended by its user"):
        raise NotFound("You have no live session with this id.")


async def list_live(
    session: AsyncSession, platform: Platform, user_id: UUID, current: UUID | None, page: PageRequest
) -> SessionsAnswer:
    """A page of the user's live sessions, newest first; `current` is the one that asks."""
    key = platform.cursors.decode(page.cursor, of=LISTED, user=user_id)
    rows = await repository.live_sessions(
        session, user_id, platform.clock.wall(), limit=page.limit + 1, after=UUID(key[0]) if key else None
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return SessionsAnswer(
        sessions=[_read(row, current) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, user=user_id),
    )


def _read(row: UserSession, current: UUID | None) -> SessionRead:
    return SessionRead(
        id=row.id,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        user_agent=row.user_agent,
        address=row.address,
        current=row.id == current,
    )


async def _newest(session: AsyncSession, platform: Platform, token: str) -> str:
    """The living end of a rotated token's chain: in the grace a third rotation may have happened already."""
    while True:
        options = {digest_token(one): one for one in successors(platform.keys, token)}
        known = await repository.known_tokens(session, list(options))
        if not known:
            raise InvalidRefreshToken
        token = options[known[0].token_hash]
        if known[0].rotated_at is None:
            return token


async def _store_token(session: AsyncSession, platform: Platform, session_id: UUID, token: str) -> None:
    now = platform.clock.wall()
    await session.execute(
        insert(RefreshToken)
        .values(token_hash=digest_token(token), session_id=session_id, created_at=now, expires_at=refresh_expiry(now))
        .on_conflict_do_nothing()
    )
