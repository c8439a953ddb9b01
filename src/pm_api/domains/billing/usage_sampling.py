"""How much is used, written down day by day and once more before a period ends, so that its peaks are known."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, SystemScope, UserScope, WorkspaceScope
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform
from pm_api.core.sweeping import sweep
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.months import month_of
from pm_api.domains.billing.repository import usage_records as repository
from pm_api.domains.billing.repository.usage_records import Sampled
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType, Metric
from pm_api.identity.permissions import Role

SCOPE: Final = SystemScope("usage is counted day by day")
AT_A_TIME: Final = 200
ENDS_WITHIN: Final = timedelta(minutes=10)


async def sample_all(context: JobContext) -> None:
    """Everybody's usage of today."""
    for find in (_users, _workspaces):
        await sweep(context, find, sample, at_a_time=AT_A_TIME)


async def sample_ending(context: JobContext) -> None:
    """The usage of accounts whose period is about to end."""
    await sweep(context, _ending, sample, at_a_time=AT_A_TIME)


async def sample(session: AsyncSession, platform: Platform, found: Sequence[Sampled]) -> None:
    """What these accounts use now; of a day the most stays."""
    accounts = sorted({(one.account_id, one.kind) for one in found})
    rows = [row for account_id, kind in accounts for row in await _rows(session, platform, (kind, account_id))]
    await repository.keep_peak(session, SCOPE, rows)


async def _users(session: AsyncSession, _now: datetime, after: Sampled | None, limit: int) -> Sequence[Sampled]:
    return await repository.users(session, SCOPE, after, limit)


async def _workspaces(session: AsyncSession, _now: datetime, after: Sampled | None, limit: int) -> Sequence[Sampled]:
    return await repository.workspaces(session, SCOPE, after, limit)


async def _ending(session: AsyncSession, now: datetime, after: Sampled | None, limit: int) -> Sequence[Sampled]:
    return await repository.about_to_end(session, SCOPE, now, now + ENDS_WITHIN, after, limit)


async def _rows(session: AsyncSession, platform: Platform, account: Account) -> list[dict[str, Any]]:
    kind, account_id = account
    now = platform.clock.now()
    own = await entitlements.standing_of(session, platform, kind, account_id)
    if kind is AccountType.USER:
        budget = await entitlements.budget_of_user(session, platform, account_id)
    else:
        budget = await entitlements.budget_of(session, platform, account_id)
    month = month_of(own, now)
    credits = await plan_credits.usage_of(session, platform, _scope(account))
    used = {
        Metric.USERS: (await entitlements.users_in(session, budget), budget.limits.max_users),
        Metric.PROJECTS: (await entitlements.projects_in(session, budget), budget.limits.max_projects),
        Metric.AI_CREDITS: (credits.spent, own.max_ai_credits),
    }
    return [
        {
            "account_id": account_id,
            "period_start": month.start,
            "metric": metric,
            "day": now.astimezone(UTC).date(),
            "account_kind": kind,
            "plan": own.plan,
            "period_end": month.end,
            "used": figure,
            "usage_limit": limit,
            "sampled_at": now,
        }
        for metric, (figure, limit) in used.items()
    ]


def _scope(account: Account) -> AccountScope:
    """The ledger reads by a guard's scope; here nobody asks but the service itself."""
    kind, account_id = account
    if kind is AccountType.USER:
        return UserScope(SCOPE.actor, account_id)
    return WorkspaceScope(SCOPE.actor, account_id, account_id, Role.OWNER)
