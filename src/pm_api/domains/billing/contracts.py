"""Contracts: limits and credits that were agreed upon with an account, written by an operator.

The contract, its entitlement and its credits begin, change and end in one transaction. Locks: the workspace (or the
user), then the credit account, then the rows.
"""

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from dateutil.relativedelta import relativedelta
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, AdminScope, SystemScope
from pm_api.core.errors import ApiError
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.core.sweeping import is_nobodys_fault
from pm_api.domains.ai_credits import plans as plan_credits
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.errors import BalanceLimitExceeded
from pm_api.domains.ai_credits.plans import PlanPeriod
from pm_api.domains.billing import accounts, plans, subscriptions
from pm_api.domains.billing.accounts import Account
from pm_api.domains.billing.enums import ContractStatus
from pm_api.domains.billing.errors import (
    ContractBegun,
    ContractNotFound,
    InvalidContract,
    PlanNotForAccount,
    SubscriptionExists,
)
from pm_api.domains.billing.models.contracts import Contract
from pm_api.domains.billing.repository import contracts as repository
from pm_api.domains.billing.schemas.contracts import ContractLimits, ContractRead, ContractWrite
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import AccountType, Plan, Source
from pm_api.entitlements.models import PlanTerms
from pm_api.entitlements.rules import Bought, Limits, limits_in
from pm_api.identity import audit

_log = structlog.get_logger(__name__)

MAX_MONTHS: Final = 120
FARTHEST: Final = timedelta(days=3660)
SWEEP: Final = SystemScope("contracts begin and end")

FIELDS: Final = {
    "max_users": "max_users",
    "max_storage": "max_storage_bytes",
    "api_calls": "max_api_calls",
    "max_projects": "max_projects",
    "max_api_keys": "max_api_keys",
    "max_file_size": "max_file_bytes",
}
"""Limits as a contract names them, and as entitlements do."""


async def put(
    session: AsyncSession,
    platform: Platform,
    scope: AdminScope | SystemScope,
    account: tuple[AccountType, UUID],
    wanted: ContractWrite,
    expected_version: int | None,
) -> tuple[ContractRead, bool]:
    """Set an account's contract: a new one, or the one it has changed; (contract, whether it is new).

    A contract that has begun brings another number of credits from its next month on. Raises NotFound,
    PreconditionFailed, PlanNotForAccount, SubscriptionExists, ContractBegun, InvalidContract or BalanceLimitExceeded.
    """
    terms = await entitlements.terms_of(session, wanted.plan)
    if not plans.fits(terms, account[0]):
        raise PlanNotForAccount(plans.unfit(wanted.plan, account[0]))
    await accounts.lock(session, account)
    now = platform.clock.now()
    last = await _settled(session, platform, scope, account[1])
    current = last if last is not None and last.ended_at is None else None
    check_version(current.version if current else 0, expected_version)
    if await _is_subscribed(session, platform, account):
        raise SubscriptionExists
    _check(wanted, terms, now)
    if current is not None and current.begun_at is not None and current.starts_at != wanted.starts_at:
        raise ContractBegun
    contract = current or Contract(
        id=platform.randomness.uuid(),
        account_kind=account[0],
        account_id=account[1],
        version=last.version if last else 0,
        created_at=now,
    )
    await _write(session, platform, contract, wanted, terms)
    if current is None:
        session.add(contract)
    elif contract.begun_at is not None:
        await plan_credits.change_terms(session, platform, _period(contract))
    if contract.begun_at is None and contract.starts_at <= now:
        await _grant(session, platform, contract)
    await session.flush()
    await entitlements.write(session, platform, _bought(platform, contract))
    _record(session, platform, scope.actor, contract, "changed" if current else "set")
    return read(contract, now), current is None


async def get(
    session: AsyncSession, platform: Platform, scope: AdminScope, account: tuple[AccountType, UUID]
) -> ContractRead:
    """The contract that runs or is to begin; raises ContractNotFound."""
    now = platform.clock.now()
    found = await repository.latest(session, scope, account[1])
    if found is None or not _is_current(found, now) or found.account_kind != account[0]:
        raise ContractNotFound
    return read(found, now)


async def end(
    session: AsyncSession,
    platform: Platform,
    scope: AdminScope,
    account: tuple[AccountType, UUID],
    expected_version: int | None,
) -> None:
    """End a contract now: the limits are the free plan's from here on, the credits stay until they expire.

    Raises ContractNotFound or PreconditionFailed.
    """
    await accounts.lock(session, account)
    found = await _settled(session, platform, scope, account[1])
    if found is None or found.ended_at is not None:
        raise ContractNotFound
    check_version(found.version, expected_version)
    await _end(session, platform, scope.actor, found)


async def close(session: AsyncSession, platform: Platform, account: tuple[AccountType, UUID]) -> None:
    """End the contract of an account that is gone, if it has one. Raises NotFound for an account that never was."""
    await accounts.lock(session, account, gone_too=True)
    found = await _settled(session, platform, SWEEP, account[1])
    if found is not None and found.ended_at is None:
        await _end(session, platform, SWEEP.actor, found)


async def settle_due(platform: Platform, limit: int) -> None:
    """Grant the first credits of contracts that have begun, and put away those that are over, `limit` at a time.

    Each stands alone: what cannot be settled is logged, tried again next time, and keeps nobody else waiting.
    """
    after: UUID | None = None
    while True:
        async with platform.database.reading() as session:
            due = await repository.due(session, SWEEP, platform.clock.now(), limit, after)
        for one in due:
            try:
                await _settle(platform, (AccountType(one.account_kind), one.account_id))
            except ApiError as refused:
                _log.warning("contract_not_settled", contract_id=str(one.id), code=refused.code)
            except Exception as failure:
                if is_nobodys_fault(failure):
                    raise
                _log.exception("contract_not_settled", contract_id=str(one.id))
        if len(due) < limit:
            return
        after = due[-1].id


async def _settle(platform: Platform, account: tuple[AccountType, UUID]) -> None:
    async with platform.database.transaction() as session:
        await accounts.lock(session, account, gone_too=True)
        found = await _settled(session, platform, SWEEP, account[1])
        if found is None or found.ended_at is not None or found.begun_at is not None:
            return
        if found.starts_at <= platform.clock.now():
            await _grant(session, platform, found)
            _record(session, platform, SWEEP.actor, found, "begun")
            await entitlements.announce(session, platform, found.account_id)


async def _is_subscribed(session: AsyncSession, platform: Platform, account: Account) -> bool:
    """Also when the subscription gives nothing yet or no more, or is just being begun at Stripe."""
    if (await entitlements.standing_of(session, platform, *account)).source is Source.SUBSCRIPTION:
        return True
    if await subscriptions.live_of(session, account) is not None:
        return True
    return await subscriptions.is_in_the_making(session, account)


def read(contract: Contract, now: datetime) -> ContractRead:
    return ContractRead(
        id=contract.id,
        account_type=AccountType(contract.account_kind),
        account_id=contract.account_id,
        plan=Plan(contract.plan),
        plan_version=contract.plan_version,
        limits=plans.read_limits(Limits(**contract.limits)),
        credits=contract.credits,
        price=contract.price_minor,
        currency=contract.currency,
        starts_at=contract.starts_at,
        ends_at=contract.ends_at,
        status=ContractStatus.ACTIVE if contract.starts_at <= now else ContractStatus.SCHEDULED,
        created_at=contract.created_at,
        updated_at=contract.updated_at,
        version=contract.version,
    )


async def _settled(
    session: AsyncSession, platform: Platform, scope: AdminScope | SystemScope, account_id: UUID
) -> Contract | None:
    """The newest contract under the account's lock; one whose time is over is ended by the way."""
    found = await repository.latest(session, scope, account_id)
    if found is not None and found.ended_at is None and not _is_current(found, platform.clock.now()):
        await _end(session, platform, SWEEP.actor, found)
    return found


async def _write(
    session: AsyncSession, platform: Platform, contract: Contract, wanted: ContractWrite, terms: PlanTerms
) -> None:
    credits = wanted.credits
    if credits is None:
        credits = (await plan_credits.credits_by_plan(session))[wanted.plan]
    contract.plan, contract.plan_version = wanted.plan, terms.version
    contract.limits = asdict(_limits(terms, wanted.limits))
    contract.credits = credits
    contract.price_minor, contract.currency = wanted.price, wanted.currency
    contract.starts_at, contract.ends_at = wanted.starts_at, wanted.ends_at
    contract.version += 1
    contract.updated_at = platform.clock.now()


async def _grant(session: AsyncSession, platform: Platform, contract: Contract) -> None:
    """The credits of the month that runs; the others come by the ledger's own sweep. Raises BalanceLimitExceeded."""
    try:
        await plan_credits.grant_period(session, platform, _period(contract))
    except plan_credits.PlanCreditsRefused as refused:
        raise BalanceLimitExceeded from refused
    contract.begun_at = platform.clock.now()


async def _end(session: AsyncSession, platform: Platform, actor: Actor, contract: Contract) -> None:
    contract.ended_at = contract.updated_at = platform.clock.now()
    contract.version += 1
    if contract.begun_at is not None:
        await plan_credits.end_plan(session, contract.account_id)
    await entitlements.end(
        session,
        platform,
        contract.account_id,
        source=Source.CONTRACT,
        source_id=contract.id,
        as_of=platform.clock.wall(),
    )
    _record(session, platform, actor, contract, "ended")


def _is_current(contract: Contract, now: datetime) -> bool:
    return contract.ended_at is None and contract.ends_at > now


def _period(contract: Contract) -> PlanPeriod:
    return PlanPeriod(
        AccountKind(contract.account_kind),
        contract.account_id,
        contract.plan,
        contract.starts_at,
        contract.ends_at,
        yearly=True,
        credits=contract.credits,
    )


def _bought(platform: Platform, contract: Contract) -> Bought:
    return Bought(
        account_kind=AccountType(contract.account_kind),
        account_id=contract.account_id,
        plan=Plan(contract.plan),
        plan_version=contract.plan_version,
        limits=Limits(**contract.limits),
        max_ai_credits=contract.credits,
        period_start=contract.starts_at,
        period_end=contract.ends_at,
        ends_at=contract.ends_at,
        source=Source.CONTRACT,
        source_id=contract.id,
        as_of=platform.clock.wall(),
    )


def _limits(terms: PlanTerms, wanted: ContractLimits) -> Limits:
    """The plan's, with what the contract names in their place."""
    return replace(limits_in(terms), **{FIELDS[name]: getattr(wanted, name) for name in wanted.model_fields_set})


def _check(wanted: ContractWrite, terms: PlanTerms, now: datetime) -> None:
    """Raises InvalidContract, naming every field that does not fit."""
    wrong = []
    if abs(wanted.starts_at - now) > FARTHEST:
        wrong.append(("/startsAt", "Lies more than ten years away"))
    elif not 1 <= months_between(wanted.starts_at, wanted.ends_at) <= MAX_MONTHS:
        wrong.append(("/endsAt", f"Is not a whole number of months after startsAt, from 1 to {MAX_MONTHS}"))
    elif wanted.ends_at <= now:
        wrong.append(("/endsAt", "Lies in the past"))
    named = {ContractLimits.model_fields[name].alias or name for name in wanted.limits.model_fields_set}
    left_to_it = [name for name in terms.by_contract if name != "price"]
    wrong += [
        (f"/limits/{name}", f"{terms.plan} leaves this to the contract") for name in left_to_it if name not in named
    ]
    if wrong:
        details = [{"pointer": pointer, "detail": detail} for pointer, detail in wrong]
        raise InvalidContract(f"{wrong[0][0]}: {wrong[0][1]}", details=details)


def months_between(starts_at: datetime, ends_at: datetime) -> int:
    """How many calendar months lie between; 0 when it is no whole number of them."""
    if ends_at <= starts_at or ends_at - starts_at > 2 * FARTHEST:
        return 0
    passed = relativedelta(ends_at, starts_at)
    about = passed.years * 12 + passed.months
    return next((one for one in (about, about + 1) if starts_at + relativedelta(months=one) == ends_at), 0)


def _record(session: AsyncSession, platform: Platform, actor: Actor, contract: Contract, action: str) -> None:
    is_workspace = contract.account_kind == AccountType.WORKSPACE
    audit.record(
        session,
        platform,
        actor,
        f"contract.{action}",
        subject=(contract.account_kind.lower(), contract.account_id),
        workspace_id=contract.account_id if is_workspace else None,
        contract_id=str(contract.id),
        version=contract.version,
        plan=contract.plan,
        limits=contract.limits,
        credits=contract.credits,
        price=contract.price_minor,
        currency=contract.currency,
        starts_at=contract.starts_at.isoformat(),
        ends_at=contract.ends_at.isoformat(),
    )
