"""Reading credits: balance, overview, history. What may be spent is computed from the lots and the clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import CreditScope, LeadScope, WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import PLAN_KINDS, Lot
from pm_api.domains.ai_credits.catalogue import Catalogue, Offer
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, LotKind, PackKind, Service
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditEntry, CreditGrant
from pm_api.domains.ai_credits.outcomes import read_entry
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.ledger import (
    Balance,
    CreditBalanceSummary,
    CreditOverview,
    CreditPricing,
    CreditUsage,
    ExpiringSoon,
    History,
    Identity,
    LotRead,
    Pack,
    PackLot,
    PackSize,
)
from pm_api.domains.ai_credits.sight import visible_lines
from pm_api.domains.ai_credits.store import NO_SERVICE

REFERENCE_COST_USD: Final = 0.02
SOON: Final = timedelta(days=7)
OTHER: Final = "OTHER"
HISTORY: Final = "credits.history"


async def lots_now(
    session: AsyncSession, scope: CreditScope, account: CreditAccount | None, now: datetime
) -> list[Lot]:
    """An account's lots as they are at this moment, in burn-down order: what rests in holds that have run out is free
    again. Those of this period's plan are here even when they are used up.
    """
    return (await _lots_and_payment(session, scope, account, now))[0]


async def _lots_and_payment(
    session: AsyncSession, scope: CreditScope, account: CreditAccount | None, now: datetime
) -> tuple[list[Lot], int]:
    """The lots, and how much of a debt they have paid since the last line was written."""
    if account is None:
        return [], 0
    freed = await repository.due_hold_parts(session, account.id, now) if account.open_holds else {}
    lots = [_as_engine(lot, freed.get(lot.id, 0)) for lot in await repository.current_lots(session, scope, now)]
    lots.sort(key=Lot.order)
    came = [(lot, freed[lot.id]) for lot in lots if lot.id in freed and not lot.is_expired(now)]
    return lots, _pay_debt(account.debt, came)


def _pay_debt(debt: int, freed: Sequence[tuple[Lot, int]]) -> int:
    """What comes back from holds that have run out pays what is owed, as the engine will write it down."""
    paid = 0
    for lot, part in freed:
        taken = min(debt - paid, part)
        lot.remaining -= taken
        lot.voided += taken
        paid += taken
    return paid


async def balance(session: AsyncSession, platform: Platform, scope: CreditScope) -> Balance:
    """Every figure of one account at this moment; an account nobody has used yet is all zeros."""
    if not session.in_transaction():
        await repository.hold_snapshot(session)  # a spend between two reads would leave credits nowhere
    now = platform.clock.now()
    account = await repository.account(session, scope)
    lots, paid = await _lots_and_payment(session, scope, account, now)
    live = [lot for lot in lots if lot.remaining > 0 and not (lot.is_expired(now) and lot.held == 0)]
    soon = [lot for lot in live if lot.expires_at is not None and now < lot.expires_at <= now + SOON]
    return Balance(
        account_id=repository.account_id_of(scope),
        account_kind=_kind(scope),
        current=sum(lot.available(now) for lot in live),
        limit=sum(lot.amount for lot in lots if _counts(lot, account, now)),
        reset_date=_reset_date(account, now),
        held=sum(lot.held for lot in lots),
        debt=account.debt - paid if account else 0,
        seq=account.seq if account else 0,
        expiring_soon=ExpiringSoon(
            amount=sum(lot.available(now) for lot in soon),
            at=min((lot.expires_at for lot in soon if lot.expires_at), default=None),
        ),
        lots=[_read_lot(lot, now) for lot in live],
        identity=_identity(account, lots, paid, now),
    )


def _reset_date(account: CreditAccount | None, now: datetime) -> datetime | None:
    """When the plan's credits are renewed. A pool whose period is over has nothing to come until somebody pays; a
    wallet has the free plan's at any moment.
    """
    if account is None or account.next_reset_at is None:
        return None
    is_over = account.next_reset_at <= now
    return None if is_over and account.user_id is None else account.next_reset_at


def _counts(lot: Lot, account: CreditAccount | None, now: datetime) -> bool:
    """Whether a lot is part of the limit: it has credits, or it is this period's grant and used up."""
    return not lot.is_expired(now) and (lot.remaining > 0 or is_of_this_period(lot, account))


def is_of_this_period(lot: Lot, account: CreditAccount | None) -> bool:
    """Whether a plan brought a lot for the period that runs: it ends with it, and no other plan ended it before."""
    return (
        account is not None
        and lot.kind in PLAN_KINDS
        and lot.expires_at == account.next_reset_at
        and not (lot.remaining == 0 and lot.expired > 0)
    )


def _kind(scope: CreditScope) -> AccountKind:
    if isinstance(scope, LeadScope):
        return AccountKind.LEAD
    return AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER


async def overview(session: AsyncSession, platform: Platform, scope: CreditScope) -> CreditOverview:
    """What the credits page shows: balance, this month's usage, prices."""
    figures = await balance(session, platform, scope)
    today = platform.clock.now().date()
    used = await repository.usage_by_service(session, scope, today.replace(day=1), today)
    packs = await platform.part(Catalogue).packs()
    return CreditOverview(
        balance=CreditBalanceSummary(current=figures.current, limit=figures.limit, reset_date=figures.reset_date),
        usage=CreditUsage(
            this_month=sum(used.values()),
            breakdown={OTHER if service == NO_SERVICE else service: total for service, total in used.items()},
        ),
        pricing=CreditPricing(
            credit_cost=REFERENCE_COST_USD,
            currency="USD",
            pack_sizes={
                name: PackSize(credits=pack.credits, price=pack.price_minor or 0, bonus=pack.bonus)
                for name, pack in ((offer.pack.name, offer.pack) for offer in packs)
            },
        ),
        lots=figures.lots,
        held=figures.held,
        debt=figures.debt,
        expiring_soon=figures.expiring_soon,
        identity=figures.identity,
    )


async def history(
    session: AsyncSession,
    platform: Platform,
    scope: CreditScope,
    page: PageRequest,
    *,
    service: Service | None,
    type: EntryType | None,
    member_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
) -> History:
    """A page of the book, newest first: of a pool what the caller may see. `since` is included, `until` is not.

    Raises InvalidCursor, Forbidden.
    """
    filters = visible_lines(scope, member_id)
    bound = {
        "account": repository.account_id_of(scope),
        "service": service,
        "type": type,
        "member": member_id,
        "from": since,
        "to": until,
    }
    key = platform.cursors.decode(page.cursor, of=HISTORY, **bound)
    if service is not None:
        filters.append(CreditEntry.service == service)
    if type is not None:
        filters.append(CreditEntry.type == type)
    if member_id is not None:
        filters.append(CreditEntry.actor_user_id == member_id)
    if since is not None:
        filters.append(CreditEntry.created_at >= since)
    if until is not None:
        filters.append(CreditEntry.created_at < until)
    rows = await repository.entries(
        session, scope, limit=page.limit + 1, before_seq=key[0] if key else None, filters=filters
    )
    shown = rows[: page.limit]
    following = (shown[-1].seq,) if len(rows) > page.limit else None
    return History(
        entries=[read_entry(repository.stored_entry(row)) for row in shown],
        next_cursor=platform.cursors.encode(following, of=HISTORY, **bound),
    )


def offers(packs: Sequence[Offer]) -> list[Pack]:
    """Packs and bundles as they go out."""
    return [
        Pack(
            name=offer.pack.name,
            kind=PackKind.BUNDLE if offer.lots else PackKind.PACK,
            version=offer.pack.version,
            credits=offer.pack.credits,
            bonus=offer.pack.bonus,
            price=offer.pack.price_minor or 0,
            currency=offer.pack.currency,
            valid_until=offer.pack.valid_until,
            lots=[
                PackLot(credits=lot.credits, service=Service(lot.service) if lot.service else None)
                for lot in offer.lots
            ],
        )
        for offer in packs
    ]


def _identity(account: CreditAccount | None, lots: Sequence[Lot], paid: int, now: datetime) -> Identity:
    """What has run out but is not yet posted counts as expired already."""
    if account is None:
        return Identity(granted=0, available=0, scheduled=0, held=0, spent=0, expired=0, voided=0, transferred_out=0)
    unposted = sum(lot.remaining - lot.held for lot in lots if lot.is_expired(now))
    return Identity(
        granted=account.granted,
        available=sum(lot.available(now) for lot in lots),
        scheduled=sum(lot.remaining - lot.held for lot in lots if lot.effective_at > now),
        held=sum(lot.held for lot in lots),
        spent=account.spent,
        expired=account.expired + unposted,
        voided=account.voided + paid,
        transferred_out=account.transferred_out,
    )


def _as_engine(lot: CreditGrant, freed: int) -> Lot:
    return Lot(
        id=lot.id,
        kind=LotKind(lot.kind),
        priority=lot.priority,
        amount=lot.amount,
        remaining=lot.remaining,
        held=lot.held - freed,
        service=lot.service,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
        spent=lot.spent,
        expired=lot.expired,
        voided=lot.voided,
        transferred_out=lot.transferred_out,
        clawed_back=lot.clawed_back,
        source_type=lot.source_type,
        source_ref=lot.source_ref,
    )


def _read_lot(lot: Lot, now: datetime) -> LotRead:
    """A lot as it is at this moment: what has run out is expired, whether or not it has been written down."""
    gone = lot.remaining - lot.held if lot.is_expired(now) else 0
    return LotRead(
        id=lot.id,
        kind=lot.kind,
        amount=lot.amount,
        remaining=lot.remaining - gone,
        held=lot.held,
        spent=lot.spent,
        expired=lot.expired + gone,
        voided=lot.voided,
        transferred_out=lot.transferred_out,
        service=Service(lot.service) if lot.service else None,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
    )
