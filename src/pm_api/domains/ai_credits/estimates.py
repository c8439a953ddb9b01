"""What something would cost, who would pay, and what would stand in its way. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pm_api.core.actor import CreditScope
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import ledger, sql
from pm_api.domains.ai_credits.book import MAX_AMOUNT, AccountState, By, Lot, Refused
from pm_api.domains.ai_credits.catalogue import Catalogue
from pm_api.domains.ai_credits.commands import Spend
from pm_api.domains.ai_credits.engine import caps, holds
from pm_api.domains.ai_credits.engine.debits import for_service
from pm_api.domains.ai_credits.engine.working import Book
from pm_api.domains.ai_credits.enums import LotKind, Service
from pm_api.domains.ai_credits.errors import AmountTooLarge
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.estimates import (
    BindingCap,
    Estimate,
    EstimatedItem,
    EstimatedLot,
    EstimateItem,
    EstimateRequest,
)
from pm_api.domains.ai_credits.service import role_of
from pm_api.domains.ai_credits.store import loading


async def estimate(platform: Platform, scope: CreditScope, request: EstimateRequest) -> Estimate:
    """What the items would cost one after the other at this moment. Raises UnknownService, AmountTooLarge."""
    if request.items is not None:
        wanted: Sequence[EstimateItem] = request.items
    else:
        assert request.service is not None
        wanted = [EstimateItem(service=request.service, quantity=request.quantity)]
    items = [await _priced(platform, one.service, one.quantity or 1) for one in wanted]
    by = ledger.by(scope.actor)
    state, now = await _state(platform, scope, items, by)
    plan = _plan(platform, state, now, items, by, role_of(scope))
    total = sum(one.cost for one in items)
    return Estimate(
        items=items,
        total=total,
        available=plan.available,
        enough=plan.missing == 0 and plan.cap is None,
        shortfall=plan.missing,
        lots=[
            EstimatedLot(lot_id=lot.id, kind=LotKind(lot.kind), amount=paid, expires_at=lot.expires_at)
            for lot, paid in plan.paying
        ],
        cap=plan.cap,
    )


async def _priced(platform: Platform, service: Service, quantity: int) -> EstimatedItem:
    price = await platform.part(Catalogue).price_of(service)
    cost = price.cost * quantity
    if cost > MAX_AMOUNT:
        raise AmountTooLarge
    return EstimatedItem(
        service=service, quantity=quantity, unit_cost=price.cost, cost=cost, price_version=price.version
    )


async def _state(
    platform: Platform, scope: CreditScope, items: Sequence[EstimatedItem], by: By
) -> tuple[AccountState, datetime]:
    """The account as a spend of these would find it, read in one moment and without its lock."""
    account_id = repository.account_id_of(scope)
    now = platform.clock.now()
    async with platform.database.reading() as session:
        await repository.hold_snapshot(session)
        row = await repository.account(session, scope)
        if row is None:
            return AccountState(account_id), now
        state = AccountState(
            account_id,
            period_started_at=row.period_started_at,
            next_reset_at=row.next_reset_at,
            updated_at=row.updated_at,
            capped=row.capped,
            held=row.held,
            open_holds=row.open_holds,
        )
        asked = [
            Spend(account_id, "", b"", by, one.cost, "", b"", one.service, one.quantity, one.price_version)
            for one in items
        ]
        await loading.load(sql.SessionStatements(session), {account_id: state}, asked, now)
    return state, max(now, row.updated_at)


@dataclass(frozen=True, slots=True)
class _Plan:
    available: int
    missing: int
    paying: list[tuple[Lot, int]]
    cap: BindingCap | None


def _plan(
    platform: Platform, state: AccountState, now: datetime, items: Sequence[EstimatedItem], by: By, role: str | None
) -> _Plan:
    """The spends' own rules on a working copy that nobody keeps: what one item takes is gone for the next."""
    book = Book(state, now, platform.randomness.uuid)
    holds.expire_due(book)
    available = book.available()
    paid: dict[UUID, int] = {}
    missing = 0
    cap: BindingCap | None = None
    for item in items:
        refused = caps.binding(book, by=by, role=role, service=item.service, amount=item.cost)
        cap = cap or _binding(refused)
        caps.count(book, user_id=by.user_id, service=item.service, amount=item.cost, moment=now)
        shares, lacking = book.shares(item.cost, for_service(book.state.lots, item.service))
        missing += lacking
        for lot, part in shares:
            lot.held += part
            paid[lot.id] = paid.get(lot.id, 0) + part
    return _Plan(available, missing, [(lot, paid[lot.id]) for lot in book.state.lots if lot.id in paid], cap)


def _binding(refused: Refused | None) -> BindingCap | None:
    if refused is None:
        return None
    facts = refused.facts
    return BindingCap(
        subject=facts["subject"],
        window=facts["window"],
        limit=facts["limit"],
        used=facts["used"],
        resets_at=facts["resetsAt"],
    )
