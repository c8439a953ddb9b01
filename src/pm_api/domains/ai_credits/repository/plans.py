"""Plans: their terms, who is on one, and which grants are due."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.models.catalogue import CreditPlan
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditGrant, CreditPlanGrant


async def plan_terms(session: AsyncSession, plan: str) -> CreditPlanGrant:
    """The newest terms of a plan; raises LookupError when the catalogue has none."""
    found = await session.scalar(
        select(CreditPlanGrant).where(CreditPlanGrant.plan == plan).order_by(CreditPlanGrant.version.desc()).limit(1)
    )
    if found is None:
        raise LookupError(f"the catalogue has no grant for the plan {plan}")
    return found


async def lock_due_wallets(session: AsyncSession, now: datetime, limit: int) -> list[UUID]:
    """Wallets whose period has ended, locked; what they are is read in the next statement. A paid plan fills its
    wallet until it is ended: a renewal may be told later than the period before it was over.
    """
    rows = await session.scalars(
        select(CreditAccount.id)
        .where(
            CreditAccount.next_reset_at <= now,
            CreditAccount.user_id.is_not(None),
            ~exists().where(CreditPlan.account_id == CreditAccount.id),
        )
        .order_by(CreditAccount.next_reset_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(rows)


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


async def lock_due_months(session: AsyncSession, now: datetime, limit: int) -> Sequence[CreditPlan]:
    """Yearly plans of which a further month has begun, their accounts locked before them."""
    accounts = await session.scalars(
        select(CreditAccount.id)
        .where(exists().where(CreditPlan.account_id == CreditAccount.id, CreditPlan.next_grant_at <= now))
        .order_by(CreditAccount.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await session.scalars(
        select(CreditPlan)
        .where(CreditPlan.account_id.in_(list(accounts)), CreditPlan.next_grant_at <= now)
        .order_by(CreditPlan.account_id)
        .with_for_update()
    )
    return rows.all()
