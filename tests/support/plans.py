"""Plans for tests that are about something else than plans."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType, Plan, Source
from pm_api.entitlements.rules import Bought, limits_in

LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
FAR_AWAY: Final = datetime(2090, 1, 1, tzinfo=UTC)


async def bought(
    session: AsyncSession,
    platform: Platform,
    account_id: UUID,
    plan: Plan = Plan.TEAM_PREMIUM,
    *,
    kind: AccountType = AccountType.WORKSPACE,
    limits: dict[str, int | None] | None = None,
    **fields: Any,
) -> Bought:
    """What billing would write for an account that has a plan."""
    terms = await entitlements.terms_of(session, plan)
    return Bought(
        **{
            "account_kind": kind,
            "account_id": account_id,
            "plan": plan,
            "plan_version": terms.version,
            "limits": replace(limits_in(terms), **(limits or {})),
            "max_ai_credits": None,
            "period_start": LONG_AGO,
            "period_end": FAR_AWAY,
            "source": Source.SUBSCRIPTION,
            "source_id": account_id,
            "as_of": platform.clock.wall(),
            **fields,
        }
    )


async def have_room(session: AsyncSession, platform: Platform, workspace_id: UUID) -> None:
    """A workspace that holds any number of people, unless it has got a plan already."""
    standing = await entitlements.standing_of(session, platform, AccountType.WORKSPACE, workspace_id)
    if not standing.is_bought:
        await entitlements.write(session, platform, await bought(session, platform, workspace_id))
