"""Auto top-up as billing works it: which accounts are low, and a price reserved before it is charged.

The reservation counts towards the month's cap in the transaction that writes the intent, under the account's lock:
however many ask at once, one buys, and the cap is never passed. Locks: the workspace, then the credit account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import enqueue
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import topups
from pm_api.domains.ai_credits.catalogue import Catalogue, Offer
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.errors import OfferExpired, UnknownPackName
from pm_api.domains.ai_credits.models.topups import CreditAutoTopUp
from pm_api.domains.ai_credits.repository import alerts as figures
from pm_api.domains.ai_credits.repository import pools as pool_rows
from pm_api.domains.ai_credits.repository import topups as repository
from pm_api.domains.ai_credits.repository.alerts import Standing
from pm_api.domains.ai_credits.topups import LOOK_AT_TOPUP, AccountLow
from pm_api.identity.repository import people as identity

AT_A_TIME: Final = 500


class Why(StrEnum):
    """Why nothing is bought."""

    NOT_WANTED = "NOT_WANTED"
    NOT_LOW = "NOT_LOW"
    WAITING = "WAITING"
    CAP_REACHED = "CAP_REACHED"
    NOT_ON_OFFER = "NOT_ON_OFFER"
    NOTHING_TO_CHARGE = "NOTHING_TO_CHARGE"


class NotDue(Exception):
    """Nothing is to be bought now; nothing was reserved."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Reserved:
    """What is to be charged, pinned: the version of the pack and its price; the month whose cap it counts towards."""

    pack: str
    pack_version: int
    amount_minor: int
    currency: str
    month: date


async def offer_wanted(platform: Platform, account_id: UUID) -> Offer:
    """The pack an account's settings name, as it is on offer now; raises NotDue."""
    async with platform.database.reading() as session:
        row = await repository.settings_of(session, account_id)
    if row is None or not row.enabled:
        raise NotDue(Why.NOT_WANTED)
    try:
        offer = await platform.part(Catalogue).offer(row.pack)
    except (UnknownPackName, OfferExpired):
        raise NotDue(Why.NOT_ON_OFFER) from None
    if offer.pack.currency != row.currency or not offer.pack.price_minor:
        raise NotDue(Why.NOT_ON_OFFER)
    return offer


async def reserve(
    session: AsyncSession, platform: Platform, kind: AccountKind, account_id: UUID, offer: Offer
) -> Reserved:
    """Count the pack's price towards the month's cap, if it is to be bought now; raises NotDue.

    Leaves the account locked: what the caller writes beside it is seen by whoever asks next.
    """
    if kind is AccountKind.WORKSPACE:
        workspace = await identity.lock_workspace(session, account_id)
        if workspace is None or workspace.deleted_at is not None:
            raise NotDue(Why.NOT_WANTED)
    await pool_rows.lock_account(session, account_id)
    row = await repository.settings_of(session, account_id)
    now, pack = platform.clock.now(), offer.pack
    if row is None or row.pack != pack.name or row.currency != pack.currency or not pack.price_minor:
        raise NotDue(Why.NOT_WANTED)
    _check(row, pack.price_minor, (await figures.standings(session, [account_id], now))[account_id], now)
    month = topups.month_to_count(topups.state_of(row), now)
    await topups.change_state(
        session, platform, account_id, lambda state: topups.count(state, pack.price_minor or 0, month)
    )
    return Reserved(pack.name, pack.version, pack.price_minor, pack.currency, month)


def _check(row: CreditAutoTopUp, price_minor: int, standing: Standing, now: datetime) -> None:
    """`topups.due`, with the reason why not."""
    settings = topups.Settings(row.enabled, row.threshold, row.monthly_cap_minor, price_minor)
    state = topups.state_of(row)
    if topups.due(settings, state, standing.available, now, standing.debt):
        return
    if not row.enabled or topups.why_disarmed(state, standing.debt) is not None:
        raise NotDue(Why.NOT_WANTED)
    if standing.available >= row.threshold:
        raise NotDue(Why.NOT_LOW)
    waiting = state.next_attempt_at is not None and now < state.next_attempt_at
    raise NotDue(Why.WAITING if waiting else Why.CAP_REACHED)


async def look_at_low(
    session: AsyncSession, platform: Platform, *, after: UUID | None = None, among: Sequence[UUID] | None = None
) -> UUID | None:
    """Have a job look at each armed account that is below its threshold, of a page or of these; returns where the
    next page begins.
    """
    now = platform.clock.now()
    rows = await repository.armed(session, now, after=after, limit=AT_A_TIME, among=among)
    if not rows:
        return None
    accounts = await figures.standings(session, [row.account_id for row in rows], now)
    for row in rows:
        account = accounts[row.account_id]
        if account.available < row.threshold and not account.debt:
            kind = AccountKind.USER if account.user_id is not None else AccountKind.WORKSPACE
            low = AccountLow(account_kind=kind, account_id=row.account_id)
            await enqueue(session, LOOK_AT_TOPUP, low, dedupe_key=f"topup:{row.account_id}")
    return rows[-1].account_id if len(rows) == AT_A_TIME else None


async def who_decides(session: AsyncSession, kind: AccountKind, account_id: UUID) -> list[UUID]:
    """Whom an account's purchases are told to: its user, or who manages its workspace's credits."""
    return [account_id] if kind is AccountKind.USER else await pool_rows.managers(session, account_id)
