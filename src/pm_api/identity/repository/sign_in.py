"""Queries of signing in: external identities, attempts, links sent by mail, security events, devices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, delete, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from pm_api.identity.models.people import User, UserSession
from pm_api.identity.models.sign_in import EmailToken, ExternalIdentity, KnownDevice, OauthAttempt, SecurityEvent

# --- users -----------------------------------------------------------------------------------------------------


async def lock_user(session: AsyncSession, user_id: UUID) -> User | None:
    """As committed now. FOR NO KEY UPDATE: a stronger lock would wait for every row that is being hung on them."""
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    return await session.scalar(select(User).where(User.id == user_id).execution_options(populate_existing=True))


async def end_other_sessions(
    session: AsyncSession, *, now: datetime, reason: str, user_id: UUID, keep: UUID | None
) -> list[UUID]:
    """Ends the live sessions of a user, all but one; returns the ended ids."""
    statement = update(UserSession).where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
    if keep is not None:
        statement = statement.where(UserSession.id != keep)
    rows = await session.scalars(statement.values(revoked_at=now, revoked_reason=reason).returning(UserSession.id))
    return list(rows)


async def holder_of(session: AsyncSession, email: str, otherwise: UUID) -> UUID:
    """The id of the account with this address, `otherwise` where there is none: one statement and one row for both,
    so that nobody learns from the time it takes which it was.
    """
    found = select(User.id).where(User.email == email).scalar_subquery()
    held: UUID | None = await session.scalar(select(func.coalesce(found, literal(otherwise, Uuid()))))
    assert held is not None
    return held


# --- identities at other providers -------------------------------------------------------------------------------


async def external_identity(session: AsyncSession, provider: str, subject: str) -> ExternalIdentity | None:
    return await session.scalar(
        select(ExternalIdentity).where(ExternalIdentity.provider == provider, ExternalIdentity.subject == subject)
    )


async def external_identities(session: AsyncSession, user_id: UUID) -> Sequence[ExternalIdentity]:
    """All of a person's, as committed now: one for each provider of the settings at most."""
    rows = await session.scalars(
        select(ExternalIdentity)
        .where(ExternalIdentity.user_id == user_id)
        .order_by(ExternalIdentity.provider)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def insert_identity(session: AsyncSession, values: dict[str, Any]) -> ExternalIdentity | None:
    """None when the subject, or the user's place for this provider, is taken."""
    return await session.scalar(
        insert(ExternalIdentity).values(**values).on_conflict_do_nothing().returning(ExternalIdentity)
    )


async def delete_identity(session: AsyncSession, identity_id: UUID) -> None:
    await session.execute(delete(ExternalIdentity).where(ExternalIdentity.id == identity_id))


# --- attempts --------------------------------------------------------------------------------------------------


async def take_attempt(
    session: AsyncSession, *, provider: str, secret_hash: bytes, browser_hash: bytes
) -> OauthAttempt | None:
    """The attempt this browser began, which is gone with that; another browser cannot use it up."""
    return await session.scalar(
        delete(OauthAttempt)
        .where(
            OauthAttempt.secret_hash == secret_hash,
            OauthAttempt.browser_hash == browser_hash,
            OauthAttempt.provider == provider,
            OauthAttempt.stage == "STARTED",
        )
        .returning(OauthAttempt)
    )


async def try_second_factor(
    session: AsyncSession, *, secret_hash: bytes, now: datetime, most: int
) -> OauthAttempt | None:
    """Count one more code sent for a waiting sign-in; None when there is none, or it had its codes."""
    return await session.scalar(
        update(OauthAttempt)
        .where(
            OauthAttempt.secret_hash == secret_hash,
            OauthAttempt.stage == "SECOND_FACTOR",
            OauthAttempt.expires_at > now,
            OauthAttempt.tries < most,
        )
        .values(tries=OauthAttempt.tries + 1)
        .returning(OauthAttempt)
    )


async def end_attempt(session: AsyncSession, attempt_id: UUID) -> bool:
    """False when somebody else has ended it."""
    gone = await session.scalars(delete(OauthAttempt).where(OauthAttempt.id == attempt_id).returning(OauthAttempt.id))
    return gone.first() is not None


# --- links sent by mail ------------------------------------------------------------------------------------------


async def email_token(session: AsyncSession, token_id: UUID) -> tuple[EmailToken, User] | None:
    row = (
        await session.execute(
            select(EmailToken, User).join(User, User.id == EmailToken.user_id).where(EmailToken.id == token_id)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def live_email_token(
    session: AsyncSession, token_hash: bytes, purposes: Sequence[str], now: datetime
) -> tuple[EmailToken, User] | None:
    """Without using it up."""
    row = (
        await session.execute(
            select(EmailToken, User)
            .join(User, User.id == EmailToken.user_id)
            .where(
                EmailToken.token_hash == token_hash,
                EmailToken.purpose.in_(purposes),
                EmailToken.used_at.is_(None),
                EmailToken.expires_at > now,
            )
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def use_email_token(
    session: AsyncSession, token_hash: bytes, purposes: Sequence[str], now: datetime
) -> EmailToken | None:
    """Of two who show it at once, one gets it."""
    return await session.scalar(
        update(EmailToken)
        .where(
            EmailToken.token_hash == token_hash,
            EmailToken.purpose.in_(purposes),
            EmailToken.used_at.is_(None),
            EmailToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(EmailToken)
    )


async def void_email_tokens(session: AsyncSession, user_id: UUID, purposes: Sequence[str], now: datetime) -> None:
    """Whatever was sent before is good no more."""
    await session.execute(
        update(EmailToken)
        .where(EmailToken.user_id == user_id, EmailToken.purpose.in_(purposes), EmailToken.used_at.is_(None))
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )


async def count_email_tokens(session: AsyncSession, user_id: UUID, purpose: str, since: datetime) -> int:
    found = select(func.count()).where(
        EmailToken.user_id == user_id, EmailToken.purpose == purpose, EmailToken.created_at > since
    )
    return await session.scalar(found) or 0


# --- security events -----------------------------------------------------------------------------------------------


async def security_event(session: AsyncSession, event_id: UUID) -> SecurityEvent | None:
    return await session.scalar(select(SecurityEvent).where(SecurityEvent.id == event_id))


async def recent_security_events(session: AsyncSession, user_id: UUID, *, limit: int) -> Sequence[SecurityEvent]:
    rows = await session.scalars(
        select(SecurityEvent).where(SecurityEvent.user_id == user_id).order_by(SecurityEvent.id.desc()).limit(limit)
    )
    return rows.all()


async def happened_since(session: AsyncSession, user_id: UUID, kind: str, since: datetime) -> bool:
    found = await session.scalar(
        select(SecurityEvent.id)
        .where(SecurityEvent.user_id == user_id, SecurityEvent.kind == kind, SecurityEvent.created_at > since)
        .limit(1)
    )
    return found is not None


# --- devices ---------------------------------------------------------------------------------------------------


async def known_devices(session: AsyncSession, user_id: UUID, marks: Sequence[bytes]) -> tuple[bool, bool]:
    """(one of the marks is known, any device of this person is)."""
    theirs = exists().where(KnownDevice.user_id == user_id)
    row = (await session.execute(select(theirs.where(KnownDevice.mark.in_(marks)), theirs))).one()
    return row[0], row[1]


async def remember_devices(
    session: AsyncSession, user_id: UUID, marks: Sequence[bytes], now: datetime, *, most: int
) -> None:
    """`marks` are sorted: two sign-ins at once lock them in one order. Beyond `most`, those go that were not seen for
    longest.
    """
    adding = insert(KnownDevice).values(
        [{"user_id": user_id, "mark": mark, "created_at": now, "last_seen_at": now} for mark in marks]
    )
    await session.execute(
        adding.on_conflict_do_update(
            index_elements=[KnownDevice.user_id, KnownDevice.mark],
            set_={"last_seen_at": adding.excluded.last_seen_at},
        )
    )
    known = select(KnownDevice.mark).where(KnownDevice.user_id == user_id)
    kept = known.order_by(KnownDevice.last_seen_at.desc(), KnownDevice.mark).limit(most)
    surplus = known.where(KnownDevice.mark.not_in(kept)).with_for_update(skip_locked=True)
    await session.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id, KnownDevice.mark.in_(surplus)))


# --- housekeeping ----------------------------------------------------------------------------------------------


async def delete_attempts(session: AsyncSession, before: datetime, limit: int) -> int:
    return await _delete_old(session, OauthAttempt.id, OauthAttempt.expires_at, before, limit)


async def delete_email_tokens(session: AsyncSession, before: datetime, limit: int) -> int:
    return await _delete_old(session, EmailToken.id, EmailToken.expires_at, before, limit)


async def delete_security_events(session: AsyncSession, before: datetime, limit: int) -> int:
    return await _delete_old(session, SecurityEvent.id, SecurityEvent.created_at, before, limit)


async def delete_devices(session: AsyncSession, before: datetime, limit: int) -> int:
    return await _delete_old(session, KnownDevice.mark, KnownDevice.last_seen_at, before, limit)


async def _delete_old(
    session: AsyncSession,
    key: InstrumentedAttribute[Any],
    moment: InstrumentedAttribute[datetime],
    before: datetime,
    limit: int,
) -> int:
    old = select(key).where(moment < before).order_by(moment).limit(limit)
    gone = await session.scalars(delete(key.class_).where(key.in_(old), moment < before).returning(key))
    return len(gone.all())
