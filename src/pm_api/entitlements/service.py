"""Reading and writing what accounts have bought, and the one gate for seats."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signals
from pm_api.core.events import emit
from pm_api.core.platform import Platform
from pm_api.entitlements import repository, rules
from pm_api.entitlements.enums import AccountType, Metric, Plan, Source, Status
from pm_api.entitlements.errors import PlanLimitReached
from pm_api.entitlements.events import EntitlementChanged
from pm_api.entitlements.models import Entitlement, PlanTerms
from pm_api.entitlements.rules import Bought, Budget, Limits, Standing

CHANNEL: Final = "pm_entitlements"
PLANS_CHANNEL: Final = "pm_plans"
UPGRADE_PATH: Final = "/dashboard/billing"
LIMIT_OF: Final = {
    Metric.USERS: "max_users",
    Metric.STORAGE: "max_storage_bytes",
    Metric.API_CALLS: "max_api_calls",
    Metric.PROJECTS: "max_projects",
    Metric.API_KEYS: "max_api_keys",
}
"""Which of a plan's limits a metric is counted against."""

# --- reading ---------------------------------------------------------------------------------------------------


async def standing_of(session: AsyncSession, platform: Platform, kind: AccountType, account_id: UUID) -> Standing:
    """What an account has itself, by the clock: never what its owner's plan lends it."""
    row = await repository.entitlement(session, account_id)
    free = await repository.plan(session, Plan.FREE)
    return rules.standing(kind, account_id, row, free, platform.clock.now())


async def budget_of(session: AsyncSession, platform: Platform, workspace_id: UUID) -> Budget:
    """The limits a workspace lives under, and all workspaces that share them.

    A workspace with a live plan of its own shares with nobody; the others of one owner share that owner's limits.
    """
    standing = await _standing_over(session, platform, workspace_id)
    if standing.account_kind is AccountType.WORKSPACE:
        return Budget(standing, (workspace_id,))
    shared = await repository.shared_workspaces(session, standing.account_id, platform.clock.now())
    if workspace_id not in shared:
        shared.append(workspace_id)  # deleted, yet it is asked about
    return Budget(standing, tuple(shared))


async def budget_of_user(session: AsyncSession, platform: Platform, user_id: UUID) -> Budget:
    """A user's own limits, and their workspaces that live under them."""
    mine = await standing_of(session, platform, AccountType.USER, user_id)
    return Budget(mine, tuple(await repository.shared_workspaces(session, user_id, platform.clock.now())))


async def limits_of(session: AsyncSession, platform: Platform, kind: AccountType, account_id: UUID) -> Limits:
    """The limits in force for an account: for a workspace without a plan of its own its owner's."""
    if kind is AccountType.USER:
        return (await standing_of(session, platform, kind, account_id)).limits
    return (await _standing_over(session, platform, account_id)).limits


async def _standing_over(session: AsyncSession, platform: Platform, workspace_id: UUID) -> Standing:
    """What a workspace lives under: a live plan of its own, or else what its owner has."""
    owner_id, rows = await repository.entitlements_over(session, workspace_id)
    free, now = await repository.plan(session, Plan.FREE), platform.clock.now()
    own = rules.standing(AccountType.WORKSPACE, workspace_id, rows.get(workspace_id), free, now)
    if own.is_bought or owner_id is None:
        return own
    return rules.standing(AccountType.USER, owner_id, rows.get(owner_id), free, now)


async def terms_of(session: AsyncSession, plan: Plan) -> PlanTerms:
    """A plan as it is on offer now; raises LookupError."""
    return await repository.plan(session, plan)


async def put_plan_price(
    session: AsyncSession, platform: Platform, plan: Plan, *, price: tuple[int | None, int | None], currency: str
) -> None:
    """Offer a plan at another price (a month, a year; minor units): a new version of it, unless it costs that
    already. A year without a price costs ten months'. Who has the plan keeps it as it was. Raises LookupError.
    """
    terms = await repository.plan(session, plan)
    if (terms.price_minor, terms.yearly_price_minor, terms.currency) == (*price, currency):
        return
    await repository.insert_plan_version(
        session, terms, price=price, currency=currency, created_at=platform.clock.now()
    )
    await signals.publish(session, PLANS_CHANNEL, plan)


async def payer_of(session: AsyncSession, workspace_id: UUID) -> UUID | None:
    """The owner whose plan holds a workspace that has none of its own."""
    return await repository.owner_of(session, workspace_id)


async def users_in(session: AsyncSession, budget: Budget) -> int:
    """People in a budget's workspaces, each once and viewers included; a user alone is one."""
    if not budget.workspace_ids:
        return 1
    return await repository.count_users(session, budget.workspace_ids)


async def users_before(session: AsyncSession, budget: Budget, moment: datetime) -> int:
    """Of the people in a budget's workspaces, how many had joined before a moment."""
    if not budget.workspace_ids:
        return 1
    return await repository.count_users_before(session, budget.workspace_ids, moment)


async def projects_in(session: AsyncSession, budget: Budget, *, before: datetime | None = None) -> int:
    """Projects of a budget's workspaces, without the deleted; with `before` those of them made before a moment."""
    return await repository.count_projects(session, budget.workspace_ids, before=before)


# --- the gate --------------------------------------------------------------------------------------------------


async def ensure_seat(session: AsyncSession, platform: Platform, workspace_id: UUID, user_id: UUID) -> None:
    """Room for one more person; raises PlanLimitReached. Who is in one of the budget's workspaces takes no new seat.

    The caller holds the workspace's lock and adds the person in this transaction.
    """
    budget = await _locked_budget(session, platform, workspace_id)
    limit = budget.limits.max_users
    if limit is None or await repository.is_among(session, budget.workspace_ids, user_id):
        return
    used = await repository.count_users(session, budget.workspace_ids)
    if used >= limit:
        plans = await repository.plans(session)
        raise limit_reached(platform, budget.standing, Metric.USERS, limit=limit, used=used, plans=plans)


async def ensure_people_fit(session: AsyncSession, platform: Platform, workspace_id: UUID) -> None:
    """Room for a workspace's people under the plan of whoever pays for it now; raises PlanLimitReached.

    For a workspace that changes hands. The caller holds its lock and has written the new owner.
    """
    budget = await _locked_budget(session, platform, workspace_id)
    limit = budget.limits.max_users
    if limit is None:
        return
    used = await repository.count_users(session, budget.workspace_ids)
    others = [one for one in budget.workspace_ids if one != workspace_id]
    if used > limit and used > await repository.count_users(session, others):
        plans = await repository.plans(session)
        raise limit_reached(platform, budget.standing, Metric.USERS, limit=limit, used=used, needed=used, plans=plans)


async def ensure_api_key(
    session: AsyncSession, platform: Platform, *, workspace_id: UUID | None, user_id: UUID
) -> None:
    """Room for one more API key of a workspace, or of the user's own; raises PlanLimitReached. A plan that a user
    shares out counts the keys of their workspaces and their own together.

    The caller holds the workspace's lock and adds the key in this transaction.
    """
    if workspace_id is not None:
        budget = await _locked_budget(session, platform, workspace_id)
    else:
        await repository.lock_user(session, user_id)
        budget = await budget_of_user(session, platform, user_id)
    limit = budget.limits.max_api_keys
    if limit is None:
        return
    accounts = {*budget.workspace_ids, budget.standing.account_id}
    used = await repository.count_api_keys(session, accounts, platform.clock.wall())
    if used >= limit:
        plans = await repository.plans(session)
        raise limit_reached(platform, budget.standing, Metric.API_KEYS, limit=limit, used=used, plans=plans)


async def ensure_project(session: AsyncSession, platform: Platform, workspace_id: UUID) -> None:
    """Room for one more project; raises PlanLimitReached. All workspaces that share a plan count together, and all
    that is not deleted counts: templates and archived projects too.

    The caller holds the workspace's lock and adds the project in this transaction.
    """
    budget = await _locked_budget(session, platform, workspace_id)
    limit = budget.limits.max_projects
    if limit is None:
        return
    used = await repository.count_projects(session, budget.workspace_ids)
    if used >= limit:
        plans = await repository.plans(session)
        raise limit_reached(platform, budget.standing, Metric.PROJECTS, limit=limit, used=used, plans=plans)


async def lock_user(session: AsyncSession, user_id: UUID) -> bool:
    """Hold a user's budget, so that nothing is added to it meanwhile; False when there is no such user."""
    return await repository.lock_user(session, user_id)


def limit_reached(
    platform: Platform,
    standing: Standing,
    metric: Metric,
    *,
    limit: int,
    used: int,
    needed: int | None = None,
    plans: Sequence[PlanTerms] = (),
) -> PlanLimitReached:
    """The refusal, with the figures, the smallest of the plans on offer that would hold what is needed (one more than
    is used, unless said otherwise), and where it is to be had.
    """
    names = {one.plan: one.name for one in plans}
    wider = rules.smallest_plan_for(plans, standing.account_kind, LIMIT_OF.get(metric), needed or used + 1)
    advice = f" {wider.name} would do." if wider is not None else ""
    return PlanLimitReached(
        f"The plan {names.get(standing.plan, standing.plan)} holds {limit} of {metric}; there are {used} already."
        + advice,
        metric=metric,
        limit=limit,
        used=used,
        plan=standing.plan,
        planName=names.get(standing.plan),
        upgradePlan=wider.plan if wider is not None else None,
        upgradePlanName=wider.name if wider is not None else None,
        upgradeUrl=platform.settings.site_url.rstrip("/") + UPGRADE_PATH,
    )


async def _locked_budget(session: AsyncSession, platform: Platform, workspace_id: UUID) -> Budget:
    """The budget of a workspace whose lock is held. One that several workspaces share has its own lock: theirs are
    not ours to take, and two of them may be filled at the same moment.
    """
    budget = await budget_of(session, platform, workspace_id)
    if budget.standing.account_kind is AccountType.WORKSPACE:
        return budget
    await repository.lock_user(session, budget.standing.account_id)
    return await budget_of(session, platform, workspace_id)


# --- writing ---------------------------------------------------------------------------------------------------


async def write(session: AsyncSession, platform: Platform, bought: Bought) -> bool:
    """What billing has found an account to have; returns whether it was news. Told by EntitlementChanged if so.

    Forward only: an older look at a subscription changes nothing, and what gives nothing now never takes the place of
    what another source has brought. Contracts are ours: they are written under the account's lock, so never stale.
    """
    values = _values(bought)
    if await repository.insert_entitlement(
        session, {**values, "as_of": bought.as_of, "updated_at": platform.clock.now()}
    ):
        await announce(session, platform, bought.account_id, gave=Plan.FREE)
        return True
    row = await repository.lock_entitlement(session, bought.account_id)
    assert row is not None, "an entitlement is never deleted"
    now = platform.clock.now()
    strange = (row.source, row.source_id) != (bought.source, bought.source_id)
    if _is_stale(row, bought.source, bought.as_of):
        return False
    if strange and (bought.status is Status.ENDED or (rules.is_live(row, now) and not rules.is_live(bought, now))):
        return False
    row.as_of = max(row.as_of, bought.as_of)
    if all(getattr(row, name) == value for name, value in values.items()):
        return False
    gave = _given(row, now)
    for name, value in values.items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = now
    await announce(session, platform, bought.account_id, gave=gave)
    return True


async def end(
    session: AsyncSession, platform: Platform, account_id: UUID, *, source: Source, source_id: UUID, as_of: datetime
) -> bool:
    """What a source has brought is over; returns whether that was news. Nothing happens if another brought it."""
    row = await repository.lock_entitlement(session, account_id)
    if row is None or (row.source, row.source_id) != (source, source_id):
        return False
    if row.status == Status.ENDED or _is_stale(row, source, as_of):
        return False
    gave = _given(row, platform.clock.now())
    row.status, row.as_of = Status.ENDED, max(row.as_of, as_of)
    row.version += 1
    row.updated_at = platform.clock.now()
    await announce(session, platform, account_id, gave=gave)
    return True


async def announce(session: AsyncSession, platform: Platform, account_id: UUID, *, gave: str | None = None) -> None:
    """Tell the floors above, and every process's cache, that an account has something else now; also when what was
    bought ahead has begun, though by the clock it has given its plan since its first moment. `gave`: the plan before.
    """
    row = await repository.entitlement(session, account_id)
    if row is None:
        return
    await signals.publish(session, CHANNEL, str(account_id))
    await emit(
        session,
        EntitlementChanged(
            id=platform.randomness.uuid(),
            account_kind=row.account_kind,
            account_id=account_id,
            plan=row.plan,
            status=row.status,
            version=row.version,
            gives=_given(row, platform.clock.now()) if gave is not None else None,
            gave=gave,
        ),
    )


def _given(row: Entitlement, now: datetime) -> str:
    """The plan a row gives once it has begun and until its end is written: what the audit log calls the plan, which
    no grace that runs out at night changes.
    """
    return Plan.FREE if row.status == Status.ENDED or row.period_start > now else row.plan


def _is_stale(row: Entitlement, source: Source, as_of: datetime) -> bool:
    return source is Source.SUBSCRIPTION and as_of < row.as_of


def _values(bought: Bought) -> dict[str, Any]:
    """The row's columns but for its bookkeeping."""
    values = {name: getattr(bought, name) for name in Bought.__dataclass_fields__ if name not in ("limits", "as_of")}
    return {**values, **asdict(bought.limits)}
