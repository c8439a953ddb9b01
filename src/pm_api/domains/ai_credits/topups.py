"""Auto top-up: what an account has bought for it when it runs low, and the rules of buying.

Settings are kept and shown here, and the rules are pure functions. Nothing is charged by this module: who charges
(billing) reserves the price by `topup_charges`, and writes down how it went with `change_state`. It also says, by
`rearm_by_new_card`, `with_payment_method` and `without_payment_method`, whether there is something to charge; until
then nothing is armed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.http import check_version
from pm_api.core.jobs import declare, enqueue
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import pools
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.errors import MonthlyCapTooLow, TopUpCurrencyDiffers
from pm_api.domains.ai_credits.models.topups import CreditAutoTopUp
from pm_api.domains.ai_credits.repository import ledger as accounts
from pm_api.domains.ai_credits.repository import pools as locks
from pm_api.domains.ai_credits.repository import topups as repository
from pm_api.domains.ai_credits.schemas.topups import AutoTopUpRead, AutoTopUpState, AutoTopUpWrite
from pm_api.identity import audit

BACKOFF: Final = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""How long to wait after the first, second, third declined payment in a row. The next one disarms."""
CARD_DECLINED: Final = "card_declined"
NO_PAYMENT_METHOD: Final = "NO_PAYMENT_METHOD"
OWES_CREDITS: Final = "OWES_CREDITS"
PAYMENT_DISPUTED: Final = "PAYMENT_DISPUTED"


class AccountLow(BaseModel):
    """An account whose top-up is to be looked at: it may have run low, or its settings have changed."""

    account_kind: AccountKind
    account_id: UUID


LOOK_AT_TOPUP: Final = declare("ai_credits.look_at_topup", AccountLow)


# --- the rules -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner wants, and what the pack costs in minor units of the cap's currency."""

    enabled: bool
    threshold: int
    monthly_cap_minor: int
    price_minor: int


@dataclass(frozen=True, slots=True)
class State:
    """How it has gone. `spent_minor` was spent in the UTC month that begins on `spent_month`."""

    payment_method_ready: bool = False
    failures: int = 0
    last_failure_at: datetime | None = None
    next_attempt_at: datetime | None = None
    disarmed_reason: str | None = None
    spent_month: date | None = None
    spent_minor: int = 0


def month_of(now: datetime) -> date:
    """The first day of the UTC month."""
    return now.astimezone(UTC).date().replace(day=1)


def spent_this_month(state: State, now: datetime) -> int:
    """What is paid or reserved. A month that began a moment ago by another process's clock has begun."""
    return state.spent_minor if state.spent_month is not None and state.spent_month >= month_of(now) else 0


def why_disarmed(state: State, debt: int = 0) -> str | None:
    """Why nothing may be bought however low the credits are; None while nothing stands against it. What is bought
    while credits are owed pays them off and is never there to be used: it would be bought again and again.
    """
    if state.disarmed_reason is not None:
        return state.disarmed_reason
    if not state.payment_method_ready:
        return NO_PAYMENT_METHOD
    return OWES_CREDITS if debt > 0 else None


def due(settings: Settings, state: State, available: int, now: datetime, debt: int = 0) -> bool:
    """Whether the pack is to be bought now: wanted, with something to charge, not stopped, nothing owed, below the
    threshold, not waiting after a declined payment, and within the month's cap with this purchase.
    """
    waiting = state.next_attempt_at is not None and now < state.next_attempt_at
    return (
        settings.enabled
        and why_disarmed(state, debt) is None
        and not waiting
        and available < settings.threshold
        and spent_this_month(state, now) + settings.price_minor <= settings.monthly_cap_minor
    )


def after_failure(state: State, now: datetime, reason: str = CARD_DECLINED) -> State:
    """A payment was declined: wait longer each time, and stop after the fourth in a row until there is a new card."""
    failures = state.failures + 1
    failed = replace(state, failures=failures, last_failure_at=now)
    if failures > len(BACKOFF):
        return replace(failed, next_attempt_at=None, disarmed_reason=reason)
    return replace(failed, next_attempt_at=now + BACKOFF[failures - 1])


def after_lost_dispute(state: State) -> State:
    """Whoever owns the card says it was not theirs to pay: it is not charged again, there has to be a new one."""
    return replace(state, next_attempt_at=None, disarmed_reason=PAYMENT_DISPUTED)


def month_to_count(state: State, now: datetime) -> date:
    """The month that a purchase made now counts in."""
    return max(month_of(now), state.spent_month or date.min)


def count(state: State, price_minor: int, month: date) -> State:
    """A price counts in its month before anything is charged: purchases on their way cannot pass the cap together.
    What counts in a month that is over limits nothing any more.
    """
    if state.spent_month is not None and state.spent_month > month:
        return state
    already = state.spent_minor if state.spent_month == month else 0
    return replace(state, spent_month=month, spent_minor=already + price_minor)


def uncount(state: State, price_minor: int, month: date) -> State:
    """Nothing was taken after all."""
    return replace(state, spent_minor=state.spent_minor - price_minor) if state.spent_month == month else state


def after_success(state: State) -> State:
    """A payment went through: earlier declines no longer count."""
    return replace(state, failures=0, next_attempt_at=None)


def rearm_by_new_card(state: State) -> State:
    """A card that was never tried: what the old one did is forgotten, what was spent is not."""
    return replace(state, payment_method_ready=True, failures=0, next_attempt_at=None, disarmed_reason=None)


def with_payment_method(state: State) -> State:
    """There is something to charge, though nothing new: what it did before still counts."""
    return replace(state, payment_method_ready=True)


def without_payment_method(state: State) -> State:
    """The last payment method was removed, or may no longer be charged."""
    return replace(state, payment_method_ready=False)


# --- settings --------------------------------------------------------------------------------------------------


async def read(session: AsyncSession, platform: Platform, scope: AccountScope) -> AutoTopUpRead:
    """An account's settings and how it has gone."""
    account_id = accounts.account_id_of(scope)
    account = await accounts.account(session, scope)
    row = await repository.settings_of(session, account_id)
    return _read(account_id, row, platform.clock.now(), account.debt if account else 0)


async def put(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    wanted: AutoTopUpWrite,
    expected_version: int | None,
) -> AutoTopUpRead:
    """Set everything anew. What is disarmed stays so: only a payment method, or a new card after declines, arms it.

    Raises UnknownPackName, OfferExpired, TopUpCurrencyDiffers, MonthlyCapTooLow, PreconditionFailed.
    """
    # Before the first statement of the session: the catalogue may read over a connection of its own.
    pack = (await platform.part(Catalogue).offer(wanted.pack)).pack
    if wanted.currency != pack.currency:
        raise TopUpCurrencyDiffers(details=[{"pointer": "/currency", "detail": f"{pack.name} costs {pack.currency}"}])
    if wanted.monthly_cap < (pack.price_minor or 0):
        detail = f"{pack.name} costs {pack.price_minor}"
        raise MonthlyCapTooLow(details=[{"pointer": "/monthlyCap", "detail": detail}])
    account = await pools.lock(session, platform, scope)
    row = await repository.settings_of(session, account.id)
    check_version(row.version if row else 0, pools.version_in(expected_version))
    now = platform.clock.now()
    if row is None:
        row = CreditAutoTopUp(
            account_id=account.id,
            version=0,
            payment_method_ready=False,
            failures=0,
            spent_minor=0,
            created_at=now,
        )
        session.add(row)
    row.enabled = wanted.enabled
    row.threshold = wanted.threshold
    row.pack = pack.name
    row.monthly_cap_minor = wanted.monthly_cap
    row.currency = wanted.currency
    row.version += 1
    row.updated_at = now
    audit.record(
        session,
        platform,
        scope.actor,
        "credits.auto_topup_changed",
        subject=("credit_account", account.id),
        workspace_id=scope.workspace_id if isinstance(scope, WorkspaceScope) else None,
        **wanted.model_dump(),
    )
    await session.flush()
    # Who keeps the payment methods says whether there is one, and buys at once for an account that is low already.
    kind = AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER
    await enqueue(session, LOOK_AT_TOPUP, AccountLow(account_kind=kind, account_id=account.id))
    return _read(account.id, row, now, account.debt)


async def change_state(
    session: AsyncSession, platform: Platform, account_id: UUID, change: Callable[[State], State]
) -> State | None:
    """Write down how it went, by one of the rules above, under the account's lock; None for an account without
    settings.
    """
    await locks.lock_account(session, account_id)
    row = await repository.settings_of(session, account_id)
    if row is None:
        return None
    before = state_of(row)
    changed = change(before)
    if changed == before:
        return changed
    row.payment_method_ready = changed.payment_method_ready
    row.failures = changed.failures
    row.last_failure_at = changed.last_failure_at
    row.next_attempt_at = changed.next_attempt_at
    row.disarmed_reason = changed.disarmed_reason
    row.spent_month = changed.spent_month
    row.spent_minor = changed.spent_minor
    row.updated_at = platform.clock.now()
    return changed


def state_of(row: CreditAutoTopUp) -> State:
    return State(
        payment_method_ready=row.payment_method_ready,
        failures=row.failures,
        last_failure_at=row.last_failure_at,
        next_attempt_at=row.next_attempt_at,
        disarmed_reason=row.disarmed_reason,
        spent_month=row.spent_month,
        spent_minor=row.spent_minor,
    )


def _read(account_id: UUID, row: CreditAutoTopUp | None, now: datetime, debt: int) -> AutoTopUpRead:
    state = state_of(row) if row else State()
    return AutoTopUpRead(
        account_id=account_id,
        enabled=row.enabled if row else False,
        threshold=row.threshold if row else None,
        pack=row.pack if row else None,
        monthly_cap=row.monthly_cap_minor if row else None,
        currency=row.currency if row else None,
        state=AutoTopUpState(
            armed=row is not None and row.enabled and why_disarmed(state, debt) is None,
            failures=state.failures,
            last_failure_at=state.last_failure_at,
            next_attempt_at=state.next_attempt_at,
            spent_this_month=spent_this_month(state, now),
            disarmed_reason=why_disarmed(state, debt),
        ),
        version=row.version if row else 0,
    )
