"""Reading credits: balance, overview, history. What may be spent is computed from the lots and the clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import (
    Lot,
)
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.enums import AccountKind, EntryType, LotKind, Service
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditEntry, CreditGrant, CreditPack
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
    PackSize,
)
from pm_api.domains.ai_credits.store import NO_SERVICE

REFERENCE_COST_USD: Final = 0.02
SOON: Final = timedelta(days=7)
OTHER: Final = "OTHER"
HISTORY: Final = "credits.history"


async def balance(session: AsyncSession, platform: Platform, scope: AccountScope) -> Balance:
    """Every figure of one account at this moment; an account nobody has used yet is all zeros."""
    now = platform.clock.now()
    account = await repository.account(session, scope)
    lots = await repository.current_lots(session, scope, now)
    live = [lot for lot in lots if lot.remaining > 0 and not _expired(lot, now)]
    live.sort(key=lambda lot: _as_engine(lot).order())
    available = sum(_available(lot, now) for lot in live)
    soon = [lot for lot in live if lot.expires_at is not None and lot.expires_at <= now + SOON]
    return Balance(
        account_id=repository.account_id_of(scope),
        account_kind=AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER,
        current=available,
        limit=sum(lot.amount for lot in lots if not _expired(lot, now)),
        reset_date=account.next_reset_at if account else None,
        held=sum(lot.held for lot in lots),
        debt=account.debt if account else 0,
        seq=account.seq if account else 0,
        expiring_soon=ExpiringSoon(
            amount=sum(_available(lot, now) for lot in soon),
            at=min((lot.expires_at for lot in soon if lot.expires_at), default=None),
        ),
        lots=[_read_lot(lot) for lot in live],
        identity=_identity(account, lots, now),
    )


async def overview(session: AsyncSession, platform: Platform, scope: AccountScope) -> CreditOverview:
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
                pack.name: PackSize(credits=pack.credits, price=pack.price_minor or 0, bonus=pack.bonus)
                for pack in packs
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
    scope: AccountScope,
    page: PageRequest,
    *,
    service: Service | None,
    type: EntryType | None,
    member_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
) -> History:
    """A page of the book, newest first. `since` is included, `until` is not. Raises InvalidCursor."""
    bound = {
        "account": repository.account_id_of(scope),
        "service": service,
        "type": type,
        "member": member_id,
        "from": since,
        "to": until,
    }
    key = platform.cursors.decode(page.cursor, of=HISTORY, **bound)
    filters: list[ColumnElement[bool]] = []
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


def offers(packs: Sequence[CreditPack]) -> list[Pack]:
    """Packs as they go out."""
    return [
        Pack(
            name=pack.name,
            version=pack.version,
            credits=pack.credits,
            bonus=pack.bonus,
            price=pack.price_minor or 0,
            currency=pack.currency,
            valid_until=pack.valid_until,
        )
        for pack in packs
    ]


def _identity(account: CreditAccount | None, lots: Sequence[CreditGrant], now: datetime) -> Identity:
    """What has run out but is not yet posted counts as expired already."""
    if account is None:
        return Identity(granted=0, available=0, scheduled=0, held=0, spent=0, expired=0, voided=0, transferred_out=0)
    unposted = sum(lot.remaining - lot.held for lot in lots if _expired(lot, now))
    return Identity(
        granted=account.granted,
        available=sum(_available(lot, now) for lot in lots),
        scheduled=sum(lot.remaining - lot.held for lot in lots if lot.effective_at > now),
        held=sum(lot.held for lot in lots),
        spent=account.spent,
        expired=account.expired + unposted,
        voided=account.voided,
        transferred_out=account.transferred_out,
    )


def _expired(lot: CreditGrant, now: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now


def _available(lot: CreditGrant, now: datetime) -> int:
    return 0 if lot.effective_at > now or _expired(lot, now) else lot.remaining - lot.held


def _as_engine(lot: CreditGrant) -> Lot:
    return Lot(
        id=lot.id,
        kind=LotKind(lot.kind),
        priority=lot.priority,
        amount=lot.amount,
        remaining=lot.remaining,
        held=lot.held,
        service=lot.service,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
    )


def _read_lot(lot: CreditGrant) -> LotRead:
    return LotRead(
        id=lot.id,
        kind=LotKind(lot.kind),
        amount=lot.amount,
        remaining=lot.remaining,
        held=lot.held,
        service=Service(lot.service) if lot.service else None,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
    )
