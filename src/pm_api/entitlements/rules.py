"""The rules, pure: what a row gives at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pm_api.entitlements.enums import AccountType, Plan, Source, Status
from pm_api.entitlements.models import Entitlement, PlanTerms

GRACE: Final = timedelta(days=7)
"""How long access stays after a payment has failed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan holds; None is unlimited. AI credits are the ledger's to guard, not a limit here."""

    max_users: int | None
    max_storage_bytes: int | None
    max_api_calls: int | None
    max_projects: int | None
    max_api_keys: int | None
    max_file_bytes: int | None


LIMITS: Final = tuple(field.name for field in fields(Limits))


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account may do at this moment. Without anything bought: the free plan, and no dates."""

    account_kind: AccountType
    account_id: UUID
    plan: Plan
    plan_version: int
    limits: Limits
    max_ai_credits: int | None = None
    status: Status = Status.ACTIVE
    period_start: datetime | None = None
    period_end: datetime | None = None
    grace_ends_at: datetime | None = None
    ends_at: datetime | None = None
    source: Source | None = None
    source_id: UUID | None = None
    version: int = 0

    @property
    def is_bought(self) -> bool:
        return self.source is not None


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits, and the workspaces that share them: the one with a plan of its own, or all of an owner's others."""

    standing: Standing
    workspace_ids: tuple[UUID, ...]

    @property
    def limits(self) -> Limits:
        return self.standing.limits


@dataclass(frozen=True, slots=True)
class Bought:
    """What billing has found an account to have. `as_of` is the wall time of the look at its source."""

    account_kind: AccountType
    account_id: UUID
    plan: Plan
    plan_version: int
    limits: Limits
    max_ai_credits: int | None
    period_start: datetime
    period_end: datetime
    source: Source
    source_id: UUID
    as_of: datetime
    status: Status = Status.ACTIVE
    grace_ends_at: datetime | None = None
    ends_at: datetime | None = None


def limits_in(row: PlanTerms | Entitlement) -> Limits:
    return Limits(**{name: getattr(row, name) for name in LIMITS})


def is_live(row: Entitlement | Bought, now: datetime) -> bool:
    """Whether a row, or what is to become one, gives its plan now: begun, not over, and not beyond its grace."""
    if row.status == Status.ENDED or row.period_start > now or (row.ends_at is not None and row.ends_at <= now):
        return False
    return row.status != Status.GRACE or (row.grace_ends_at is not None and row.grace_ends_at > now)


def smallest_plan_for(
    plans: Sequence[PlanTerms], account_kind: AccountType, limit_name: str | None, needed: int
) -> PlanTerms | None:
    """The first plan on offer, smallest first, that holds so many; None when none does. A workspace has no use for a
    person's plan; a person whose plan holds a workspace may as well buy that workspace one of its own.
    """
    if limit_name is None:
        return None
    for one in plans:
        if account_kind is AccountType.WORKSPACE and one.account_kind == AccountType.USER:
            continue
        limit: int | None = getattr(one, limit_name)
        if limit is None or limit >= needed:
            return one
    return None


def standing(
    account_kind: AccountType, account_id: UUID, row: Entitlement | None, free: PlanTerms, now: datetime
) -> Standing:
    """What an account may do now, by its row and the clock."""
    if row is None or not is_live(row, now):
        return Standing(account_kind, account_id, Plan.FREE, free.version, limits_in(free))
    return Standing(
        account_kind=account_kind,
        account_id=account_id,
        plan=Plan(row.plan),
        plan_version=row.plan_version,
        limits=limits_in(row),
        max_ai_credits=row.max_ai_credits,
        status=Status(row.status),
        period_start=row.period_start,
        period_end=row.period_end,
        grace_ends_at=row.grace_ends_at,
        ends_at=row.ends_at,
        source=Source(row.source),
        source_id=row.source_id,
        version=row.version,
    )
