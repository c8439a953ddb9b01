"""Plans on offer, as people see them."""

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.billing.schemas.plans import PlanLimits, PlanRead
from pm_api.entitlements.cache import Entitlements
from pm_api.entitlements.enums import AccountType, Plan, Support
from pm_api.entitlements.models import PlanTerms
from pm_api.entitlements.rules import Limits

MONTHS_PAID_OF_A_YEAR = 10


async def on_offer(platform: Platform) -> list[PlanRead]:
    """All plans, smallest first, from this process's caches."""
    credits = await platform.part(Catalogue).plan_credits()
    return [read_plan(one, credits.get(one.plan, 0)) for one in await platform.part(Entitlements).plans()]


async def offered(platform: Platform, plan: Plan) -> PlanRead:
    """One of them."""
    return next(one for one in await on_offer(platform) if one.plan == plan)


def fits(plan: PlanTerms, account_type: AccountType) -> bool:
    """Whether an account of this kind may have the plan beside the free one, which nobody needs to get."""
    return plan.plan != Plan.FREE and plan.account_kind in (None, account_type)


def unfit(plan: Plan, account_type: AccountType) -> str:
    """Why an account of this kind cannot have the plan, in words for whoever asked for it."""
    if plan is Plan.FREE:
        return "The free plan is not bought: it is what an account has without any other. Cancel to go back to it."
    if account_type is AccountType.WORKSPACE:
        return f"{plan} belongs to a person, not to a workspace. Leave workspaceId out to buy it for yourself."
    return f"{plan} belongs to a workspace, not to a person. Name the workspace with workspaceId."


def read_limits(limits: Limits) -> PlanLimits:
    return PlanLimits(
        max_users=limits.max_users,
        max_storage=limits.max_storage_bytes,
        api_calls=limits.max_api_calls,
        max_projects=limits.max_projects,
        max_api_keys=limits.max_api_keys,
        max_file_size=limits.max_file_bytes,
    )


def read_plan(terms: PlanTerms, credits: int) -> PlanRead:
    price, yearly_price = terms.price_minor, terms.yearly_price_minor
    if yearly_price is None and price is not None:
        yearly_price = price * MONTHS_PAID_OF_A_YEAR
    return PlanRead(
        plan=Plan(terms.plan),
        version=terms.version,
        name=terms.name,
        account_type=AccountType(terms.account_kind) if terms.account_kind else None,
        price=price,
        yearly_price=yearly_price,
        currency=terms.currency,
        max_users=terms.max_users,
        max_storage=terms.max_storage_bytes,
        ai_credits=credits,
        api_calls=terms.max_api_calls,
        max_projects=terms.max_projects,
        max_api_keys=terms.max_api_keys,
        max_file_size=terms.max_file_bytes,
        support=Support(terms.support) if terms.support else None,
        features=list(terms.features),
        by_contract=list(terms.by_contract),
    )
