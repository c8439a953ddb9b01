"""Plans: their terms, who is on one, and which grants are due."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.models.catalogue import CreditPlan
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditGrant, CreditPlanGrant


class DueWallet(NamedTuple):
    """A wallet whose period has ended, in the order they are served: who has waited longest comes first."""

    next_reset_at: datetime
    account_id: UUID


class DueMonth(NamedTuple):
    """An account whose yearly plan has begun another month, in the order they are served."""

    next_grant_at: datetime
    account_id: UUID


async def plan_terms(session: AsyncSession, plan: str) -> CreditPlanGrant:
    """The newest terms of a plan; raises LookupError when the catalogue has none."""
    found = await session.scalar(
        select(CreditPlanGrant).where(CreditPlanGrant.plan == plan).order_by(CreditPlanGrant.version.desc()).limit(1)
    )
    if found is None:
        raise LookupError(f"the catalogue has no grant for the plan {plan}")
    return found


async def due_wallets(
    session: AsyncSession, now: datetime, after: DueWallet | None, limit: int
) -> Sequence[DueWallet]:
    """Wallets whose period has ended, as they look without a lock; the page after a place."""
    statement = select(CreditAccount.next_reset_at, CreditAccount.id).where(_is_due(now))
    if after is not None:
        statement = statement.where(tuple_(CreditAccount.next_reset_at, CreditAccount.id) > after)
    rows = await session.execute(statement.order_by(CreditAccount.next_reset_at, CreditAccount.id).limit(limit))
    return [DueWallet(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


async def lock_due_wallets(session: AsyncSession, account_ids: Collection[UUID], now: datetime) -> list[UUID]:
    """Those of the wallets that are due and that nobody else has locked, locked; what they are is read in the next
    statement.
    """
    rows = await session.scalars(
        select(CreditAccount.id)
        .where(CreditAccount.id.in_(account_ids), _is_due(now))
        .order_by(CreditAccount.id)
        .with_for_update(skip_locked=True)
    )
    return list(rows)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """A wallet whose period has ended. A paid plan fills its wallet until it is ended: a renewal may be told later
    than the period before it was over.
    """
    return and_(
        CreditAccount.next_reset_at <= now,
        CreditAccount.user_id.is_not(None),
        ~exists().where(CreditPlan.account_id == CreditAccount.id),
    )


async def wallets_on_the_free_plan(
    session: AsyncSession, account_ids: Sequence[UUID], now: datetime
) -> Sequence[CreditAccount]:
    rows = await session.scalars(
        select(CreditAccount)
        .where(
            CreditAccount.id.in_(account_ids),
            CreditAccount.next_reset_at <= now,
            ~exists().where(CreditPlan.account_id == CreditAccount.id),
        )
        .order_by(CreditAccount.id)
    )
    return rows.all()


async def wallets_leaving_a_plan(session: AsyncSession, account_ids: Sequence[UUID]) -> set[UUID]:
    """Those whose period is one that a paid plan has filled."""
    rows = await session.scalars(
        select(CreditGrant.account_id)
        .join(CreditAccount, CreditAccount.id == CreditGrant.account_id)
        .where(
            CreditGrant.account_id.in_(account_ids),
            CreditGrant.kind == LotKind.SUBSCRIPTION_GRANT,
            CreditGrant.expires_at == CreditAccount.next_reset_at,
        )
    )
    return set(rows)


async def lock_account(session: AsyncSession, account_id: UUID) -> None:
    await session.execute(select(CreditAccount.id).where(CreditAccount.id == account_id).with_for_update())


async def is_superseded(session: AsyncSession, account_id: UUID, starts_at: datetime) -> bool:
    """Whether the account is on a period that began later; asked under the account's lock."""
    await lock_account(session, account_id)
    found = await session.scalar(
        select(exists().where(CreditPlan.account_id == account_id, CreditPlan.starts_at > starts_at))
    )
    return bool(found)


async def has_no_further_months(session: AsyncSession, account_id: UUID, starts_at: datetime) -> bool:
    """Whether the account is on this period, and no month of it is to come; asked under the account's lock."""
    await lock_account(session, account_id)
    found = await session.scalar(
        select(
            exists().where(
                CreditPlan.account_id == account_id,
                CreditPlan.starts_at == starts_at,
                CreditPlan.next_grant_at.is_(None),
            )
        )
    )
    return bool(found)


async def account_kind(session: AsyncSession, account_id: UUID) -> AccountKind:
    workspace_id = await session.scalar(select(CreditAccount.workspace_id).where(CreditAccount.id == account_id))
    return AccountKind.WORKSPACE if workspace_id is not None else AccountKind.USER


async def keep_plan(session: AsyncSession, plan: CreditPlan) -> None:
    """The plan an account is on; an older period never replaces a newer one."""
    values = {
        "plan": plan.plan,
        "yearly": plan.yearly,
        "starts_at": plan.starts_at,
        "ends_at": plan.ends_at,
        "next_grant_at": plan.next_grant_at,
        "credits": plan.credits,
        "peak_credits": plan.peak_credits,
    }
    await session.execute(
        insert(CreditPlan)
        .values(account_id=plan.account_id, **values)
        .on_conflict_do_update(
            index_elements=[CreditPlan.account_id], set_=values, where=CreditPlan.starts_at < plan.starts_at
        )
    )


async def plan_of(session: AsyncSession, account_id: UUID) -> CreditPlan | None:
    """The paid plan that fills an account; asked under the account's lock, as committed now."""
    return await session.scalar(
        select(CreditPlan).where(CreditPlan.account_id == account_id).execution_options(populate_existing=True)
    )


async def change_terms(session: AsyncSession, plan: CreditPlan) -> None:
    """Other terms for a plan that has begun, if the account is still on it."""
    await session.execute(
        update(CreditPlan)
        .where(CreditPlan.account_id == plan.account_id, CreditPlan.starts_at == plan.starts_at)
        .values(plan=plan.plan, ends_at=plan.ends_at, next_grant_at=plan.next_grant_at, credits=plan.credits)
    )


async def drop_plan(session: AsyncSession, account_id: UUID) -> None:
    await session.execute(delete(CreditPlan).where(CreditPlan.account_id == account_id))


async def due_months(session: AsyncSession, now: datetime, after: DueMonth | None, limit: int) -> Sequence[DueMonth]:
    """Yearly plans of which a further month has begun, as they look without a lock; the page after a place."""
    statement = select(CreditPlan.next_grant_at, CreditPlan.account_id).where(CreditPlan.next_grant_at <= now)
    if after is not None:
        statement = statement.where(tuple_(CreditPlan.next_grant_at, CreditPlan.account_id) > after)
    rows = await session.execute(statement.order_by(CreditPlan.next_grant_at, CreditPlan.account_id).limit(limit))
    return [DueMonth(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


async def lock_due_months(
    session: AsyncSession, account_ids: Collection[UUID], now: datetime
) -> Sequence[CreditPlan]:
    """Those of the accounts' plans of which a further month has begun, their accounts locked before them; an account
    that somebody else has locked is left to them.
    """
    accounts = await session.scalars(
        select(CreditAccount.id)
        .where(
            CreditAccount.id.in_(account_ids),
            exists().where(CreditPlan.account_id == CreditAccount.id, CreditPlan.next_grant_at <= now),
        )
        .order_by(CreditAccount.id)
        .with_for_update(skip_locked=True)
    )
    rows = await session.scalars(
        select(CreditPlan)
        .where(CreditPlan.account_id.in_(list(accounts)), CreditPlan.next_grant_at <= now)
        .order_by(CreditPlan.account_id)
        .with_for_update()
    )
    return rows.all()
