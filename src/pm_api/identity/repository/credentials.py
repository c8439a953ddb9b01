"""Queries of API keys and of the second factor."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.identity.models.credentials import ApiKey, RecoveryCode, SecondFactor
from pm_api.identity.models.people import User

USED_AT_EVERY: Final = timedelta(minutes=1)

# --- API keys --------------------------------------------------------------------------------------------------


def is_live_key(now: datetime) -> ColumnElement[bool]:
    return and_(ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))


def _of(scope: AccountScope) -> ColumnElement[bool]:
    return ApiKey.account_id == (scope.workspace_id if isinstance(scope, WorkspaceScope) else scope.user_id)


async def live_key_of_token(session: AsyncSession, token_hash: bytes, now: datetime) -> ApiKey | None:
    """The living key behind a token: what a guard needs."""
    return await session.scalar(select(ApiKey).where(ApiKey.token_hash == token_hash, is_live_key(now)))


async def live_key_by_id(session: AsyncSession, key_id: UUID, now: datetime) -> ApiKey | None:
    """For a guard too: a stream's ticket names the key it was given to."""
    return await session.scalar(select(ApiKey).where(ApiKey.id == key_id, is_live_key(now)))


async def live_keys_among(session: AsyncSession, key_ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Which of these keys are neither revoked nor expired."""
    if not key_ids:
        return set()
    return set(await session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), is_live_key(now))))


async def note_use(session: AsyncSession, key_id: UUID, now: datetime) -> None:
    """At most once a minute, whichever processes ask. It waits for nobody: a row that is locked is left as it is."""
    due = (
        select(ApiKey.id)
        .where(ApiKey.id == key_id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - USED_AT_EVERY))
        .with_for_update(skip_locked=True)
    )
    await session.execute(update(ApiKey).where(ApiKey.id == due.scalar_subquery()).values(last_used_at=now))


async def key_by_id(session: AsyncSession, scope: AccountScope, key_id: UUID) -> tuple[ApiKey, User] | None:
    """A key of the account and who made it, as committed now."""
    row = (
        await session.execute(
            select(ApiKey, User)
            .join(User, User.id == ApiKey.user_id)
            .where(ApiKey.id == key_id, _of(scope))
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def lock_key(session: AsyncSession, scope: AccountScope, key_id: UUID) -> tuple[ApiKey, User] | None:
    """The same, held to the end of the transaction."""
    await session.execute(select(ApiKey.id).where(ApiKey.id == key_id, _of(scope)).with_for_update())
    return await key_by_id(session, scope, key_id)


async def keys_of(
    session: AsyncSession, scope: AccountScope, *, live_at: datetime | None, limit: int, after: UUID | None
) -> Sequence[tuple[ApiKey, User]]:
    """A page of the account's keys by id, newest first; with `live_at` only those alive then."""
    statement = select(ApiKey, User).join(User, User.id == ApiKey.user_id).where(_of(scope))
    if live_at is not None:
        statement = statement.where(is_live_key(live_at))
    if after is not None:
        statement = statement.where(ApiKey.id < after)
    rows = await session.execute(statement.order_by(ApiKey.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def count_live_keys(session: AsyncSession, *, account_id: UUID, user_id: UUID, now: datetime) -> int:
    """Keys of one maker in one account."""
    found: int | None = await session.scalar(
        select(func.count())
        .select_from(ApiKey)
        .where(ApiKey.account_id == account_id, ApiKey.user_id == user_id, is_live_key(now))
    )
    return found or 0


async def revoke_keys(
    session: AsyncSession,
    *,
    now: datetime,
    reason: str,
    account_id: UUID | None = None,
    user_id: UUID | None = None,
) -> list[ApiKey]:
    """End the living keys of an account, of a maker, or of a maker in an account; locked in the order of ids."""
    asked: list[ColumnElement[bool]] = [ApiKey.revoked_at.is_(None)]
    if account_id is not None:
        asked.append(ApiKey.account_id == account_id)
    if user_id is not None:
        asked.append(ApiKey.user_id == user_id)
    if len(asked) == 1:
        raise ValueError("whose keys?")
    wanted = (await session.scalars(select(ApiKey.id).where(*asked).order_by(ApiKey.id).with_for_update())).all()
    if not wanted:
        return []
    rows = await session.scalars(
        update(ApiKey)
        .where(ApiKey.id.in_(wanted), ApiKey.revoked_at.is_(None))
        .values(revoked_at=now, revoked_reason=reason, updated_at=now, version=ApiKey.version + 1)
        .returning(ApiKey)
    )
    return sorted(rows, key=lambda one: one.id)


async def forget_key_names(session: AsyncSession, user_id: UUID, name: str) -> None:
    """A name may be a person's words; the rows stay, because the ledger and the audit name them."""
    await session.execute(update(ApiKey).where(ApiKey.user_id == user_id).values(name=name))


# --- second factor ---------------------------------------------------------------------------------------------


async def second_factor(session: AsyncSession, user_id: UUID) -> SecondFactor | None:
    return await session.scalar(
        select(SecondFactor).where(SecondFactor.user_id == user_id).execution_options(populate_existing=True)
    )


async def lock_second_factor(session: AsyncSession, user_id: UUID) -> SecondFactor | None:
    await session.execute(select(SecondFactor.user_id).where(SecondFactor.user_id == user_id).with_for_update())
    return await second_factor(session, user_id)


async def put_pending_factor(session: AsyncSession, user_id: UUID, sealed_secret: bytes, now: datetime) -> bool:
    """A new secret that is not asked for yet, in place of another that was not; False when one is asked for."""
    fresh = insert(SecondFactor).values(user_id=user_id, sealed_secret=sealed_secret, created_at=now)
    made = await session.scalar(
        fresh.on_conflict_do_update(
            index_elements=[SecondFactor.user_id],
            set_={"sealed_secret": fresh.excluded.sealed_secret, "created_at": now, "last_step": 0},
            where=SecondFactor.enabled_at.is_(None),
        ).returning(SecondFactor.user_id)
    )
    return made is not None


async def use_step(session: AsyncSession, user_id: UUID, step: int) -> bool:
    """Whether nobody has used this step or a later one: of two at once the second waits here and is told no."""
    used = await session.scalar(
        update(SecondFactor)
        .where(SecondFactor.user_id == user_id, SecondFactor.last_step < step)
        .values(last_step=step)
        .returning(SecondFactor.user_id)
    )
    return used is not None


async def use_recovery_code(session: AsyncSession, user_id: UUID, code_hash: bytes, now: datetime) -> bool:
    """Whether the code was there and unused: of two at once the second waits here and is told no."""
    used = await session.scalar(
        update(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == code_hash, RecoveryCode.used_at.is_(None))
        .values(used_at=now)
        .returning(RecoveryCode.user_id)
    )
    return used is not None


async def count_recovery_codes(session: AsyncSession, user_id: UUID) -> int:
    """Those that are left."""
    found: int | None = await session.scalar(
        select(func.count())
        .select_from(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    )
    return found or 0


async def replace_recovery_codes(
    session: AsyncSession, user_id: UUID, hashes: Collection[bytes], now: datetime
) -> None:
    """These instead of all there were."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    rows: list[dict[str, Any]] = [{"user_id": user_id, "code_hash": one, "created_at": now} for one in hashes]
    if rows:
        await session.execute(insert(RecoveryCode), rows)


async def delete_second_factor(session: AsyncSession, user_id: UUID) -> bool:
    """The secret and its recovery codes; whether there was one."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    gone = await session.scalar(
        delete(SecondFactor).where(SecondFactor.user_id == user_id).returning(SecondFactor.user_id)
    )
    return gone is not None
