"""Explaining one line of a book to a person: what moved, why in that order, at which price, by whom, and what of it
was undone since.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import ActorKind, CreditScope, WorkspaceScope
from pm_api.domains.ai_credits.book import Allocation, Entry, Lot
from pm_api.domains.ai_credits.engine import caps as rules
from pm_api.domains.ai_credits.enums import CapWindow, EntryType, HoldStatus, LotKind, Service
from pm_api.domains.ai_credits.errors import EntryNotFound
from pm_api.domains.ai_credits.lines import GRANTING
from pm_api.domains.ai_credits.models.ledger import CreditEntry, CreditGrant, CreditHold
from pm_api.domains.ai_credits.outcomes import read_entry
from pm_api.domains.ai_credits.reasons import day, in_turn
from pm_api.domains.ai_credits.repository import explaining as reads
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.repository import statements as lines
from pm_api.domains.ai_credits.schemas.explaining import (
    Change,
    ExplainedActor,
    ExplainedCap,
    ExplainedHold,
    ExplainedLot,
    ExplainedPrice,
    Explanation,
    LinkedEntry,
)
from pm_api.domains.ai_credits.sight import visible_lines
from pm_api.identity.repository import people as identity

COUNTED_BACK: Final = 20_000
"""Most lines that are added up to tell what a lot had left then."""
MOST_REVERSALS: Final = 50
_VERBS: Final[dict[str, str]] = {
    EntryType.USAGE: "spent {amount}",
    EntryType.EXPIRY: "wrote down that {amount} had run out",
    EntryType.VOID: "took {amount} out of circulation",
    EntryType.TRANSFER_OUT: "gave {amount} away",
    EntryType.TRANSFER_IN: "took back {amount} that had been given away",
    EntryType.CLAWBACK: "took back {amount} that were paid back to the buyer",
    EntryType.DEBT_PAYMENT: "paid off {amount} that were owed",
    EntryType.REVERSAL: "gave back {amount}",
}
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


async def explain(session: AsyncSession, scope: CreditScope, entry_id: UUID) -> Explanation:
    """Everything about one line of the scope's account; raises EntryNotFound, for a line out of sight too."""
    if not session.in_transaction():
        await repository.hold_snapshot(session)  # a spend meanwhile would be counted back from lots that miss it
    row = await reads.entry(session, scope, entry_id, visible_lines(scope))
    if row is None:
        raise EntryNotFound
    entry = await _with_allocations(session, row)
    before = await lines.line(session, row.account_id, row.seq - 1)
    undone = await lines.line(session, row.account_id, row.reverses_seq) if row.reverses_seq else None
    hold = await reads.hold(session, scope, row.hold_id) if row.hold_id else None
    actor = await _actor(session, scope, entry.by.kind, entry.by.user_id, entry.by.key_id)
    lots = await _lots(session, scope, entry)
    price = await _price(session, entry)
    placed = await _hold(session, scope, hold) if hold is not None else None
    caps = await _caps(session, scope, entry, hold)
    reversals = [_linked(one) for one in await reads.reversals(session, row, MOST_REVERSALS)]
    debt = Change(before=before.debt_after if before else 0, after=entry.debt_after)
    balance = Change(before=entry.balance_after - entry.amount, after=entry.balance_after)
    reverses = _linked(undone) if undone is not None else None
    sentences = [
        _what(entry, actor),
        *_how_much(entry, price, placed),
        *_from_where(entry, lots),
        *_limits(caps),
        *_undoing(reverses, reversals),
        *([f"The debt went from {debt.before} to {debt.after}."] if debt.before != debt.after else []),
        f"The balance went from {balance.before} to {balance.after}.",
    ]
    return Explanation(
        entry=read_entry(entry),
        text=" ".join(sentences),
        sentences=sentences,
        actor=actor,
        request_id=entry.by.request_id,
        lots=lots,
        price=price,
        hold=placed,
        caps=caps,
        reverses=reverses,
        reversals=reversals,
        debt=debt,
        balance=balance,
    )


# --- reading -----------------------------------------------------------------------------------------------------


async def _with_allocations(session: AsyncSession, row: CreditEntry) -> Entry:
    moves = await repository.allocations_between(session, row.account_id, row.seq, row.seq)
    return repository.stored_entry(row)._replace(
        allocations=tuple(Allocation(one.grant_id, one.amount) for one in moves)
    )


async def _actor(
    session: AsyncSession, scope: CreditScope, kind: str, user_id: UUID | None, key_id: UUID | None = None
) -> ExplainedActor:
    if user_id is None:
        called = {ActorKind.SYSTEM: "The system", ActorKind.ADMIN_KEY: "An operator"}.get(
            ActorKind(kind), "A visitor"
        )
        return ExplainedActor(kind=kind, user_id=None, name=called)
    belongs = user_id == repository.account_id_of(scope)
    if isinstance(scope, WorkspaceScope):
        belongs = await identity.role_in(session, scope.workspace_id, user_id) is not None
    user = await identity.user_by_id(session, user_id) if belongs else None
    name = user.name if user else "Somebody outside the account"
    return ExplainedActor(kind=kind, user_id=user_id, api_key_id=key_id, name=name)


async def _lots(session: AsyncSession, scope: CreditScope, entry: Entry) -> list[ExplainedLot]:
    moved = {one.lot_id: one.amount for one in entry.allocations}
    rows = {row.id: row for row in await lines.lots(session, entry.account_id, set(moved))}
    left = await _left_after(session, scope, entry, rows)
    return [
        ExplainedLot(
            place=place,
            lot_id=lot.id,
            kind=lot.kind,
            service=Service(lot.service) if lot.service else None,
            effective_at=lot.effective_at,
            expires_at=lot.expires_at,
            amount=moved[lot.id],
            left_after=left.get(lot.id),
            because=because,
        )
        for place, (lot, because) in enumerate(in_turn(entry, [_as_engine(row) for row in rows.values()]), start=1)
    ]


async def _left_after(
    session: AsyncSession, scope: CreditScope, entry: Entry, lots: Mapping[UUID, CreditGrant]
) -> dict[UUID, int]:
    """Counted back from what the lots have now, or forward from the book's beginning, whichever is nearer."""
    account = await repository.account(session, scope)
    if account is None or not lots:
        return {}
    if account.seq - entry.seq <= min(entry.seq, COUNTED_BACK):
        later = await reads.moved_between(session, account.id, set(lots), entry.seq + 1, account.seq)
        return {lot_id: lot.remaining - later.get(lot_id, 0) for lot_id, lot in lots.items()}
    if entry.seq <= COUNTED_BACK:
        return await reads.moved_between(session, account.id, set(lots), 1, entry.seq)
    return {}


async def _price(session: AsyncSession, entry: Entry) -> ExplainedPrice | None:
    if entry.type != EntryType.USAGE or entry.service is None or entry.price_version is None:
        return None
    if entry.hold_id is not None and entry.quantity is None:
        return None  # a part of a hold that is no whole units: its hold says what it was a part of
    rule = await reads.price_rule(session, entry.service, entry.price_version)
    if rule is None:
        return None
    quantity = entry.quantity or 1
    return ExplainedPrice(
        service=Service(entry.service),
        version=rule.version,
        unit_cost=rule.cost,
        quantity=quantity,
        total=rule.cost * quantity,
    )


async def _hold(session: AsyncSession, scope: CreditScope, hold: CreditHold) -> ExplainedHold:
    kind = ActorKind.USER if hold.actor_user_id else ActorKind.SYSTEM
    return ExplainedHold(
        id=hold.id,
        status=HoldStatus(hold.status),
        amount=hold.amount,
        captured=hold.captured,
        placed_by=await _actor(session, scope, kind, hold.actor_user_id),
        placed_at=hold.created_at,
    )


async def _caps(
    session: AsyncSession, scope: CreditScope, entry: Entry, hold: CreditHold | None
) -> list[ExplainedCap]:
    """The same choice as the engine's: a role's cap counts where a person has none of their own."""
    if entry.type != EntryType.USAGE or not isinstance(scope, WorkspaceScope):
        return []
    spender = hold.actor_user_id if hold is not None else entry.by.user_id
    place = await identity.role_in(session, scope.workspace_id, spender) if spender else None
    subjects = {*rules.counted_subjects(spender, entry.service), *({f"role:{place[0]}"} if place else ())}
    found = await reads.caps(session, scope, subjects)
    own = {cap.cap_window for cap in found if spender and cap.subject == rules.member(spender)}
    return [
        ExplainedCap(subject=cap.subject, window=CapWindow(cap.cap_window), limit=cap.amount)
        for cap in found
        if not (cap.subject.startswith("role:") and cap.cap_window in own)
    ]


def _linked(row: CreditEntry) -> LinkedEntry:
    return LinkedEntry(
        id=row.id,
        seq=row.seq,
        type=EntryType(row.type),
        amount=row.amount,
        description=row.description,
        created_at=row.created_at,
    )


def _as_engine(row: CreditGrant) -> Lot:
    return Lot(
        id=row.id,
        kind=LotKind(row.kind),
        priority=row.priority,
        amount=row.amount,
        remaining=row.remaining,
        held=row.held,
        service=row.service,
        effective_at=row.effective_at,
        expires_at=row.expires_at,
    )


# --- telling -----------------------------------------------------------------------------------------------------


def _credits(amount: int) -> str:
    return f"{abs(amount)} credit{'' if abs(amount) == 1 else 's'}"


def _what(entry: Entry, actor: ExplainedActor) -> str:
    verb = "brought {amount}" if entry.type in GRANTING else _VERBS[entry.type]
    purpose = f" on {entry.service}" if entry.type == EntryType.USAGE and entry.service else ""
    what = verb.format(amount=_credits(entry.amount))
    means = ", with an API key," if actor.api_key_id is not None else ""
    return f"On {day(entry.created_at)}, {_lower(actor.name)}{means} {what}{purpose}: “{entry.description}”."


def _lower(text: str) -> str:
    """“The system” and the like, in the middle of a sentence."""
    return text[0].lower() + text[1:] if text.startswith(("The ", "An ", "A ", "Somebody ")) else text


def _how_much(entry: Entry, price: ExplainedPrice | None, hold: ExplainedHold | None) -> list[str]:
    told = []
    if price is not None:
        told.append(
            f"The price was {price.unit_cost} × {price.quantity} = {_credits(price.total)}"
            f" (version {price.version} of the price of {price.service})."
        )
    if hold is not None:
        told.append(
            f"{_credits(entry.amount)} of a hold of {hold.amount} were captured, which {_lower(hold.placed_by.name)}"
            f" had placed on {day(hold.placed_at)}."
        )
    return told


def _from_where(entry: Entry, lots: Sequence[ExplainedLot]) -> list[str]:
    if not lots:
        return ["No lot was moved: only the debt changed."] if entry.amount == 0 else []
    number = _NUMBERS[len(lots)] if len(lots) < len(_NUMBERS) else str(len(lots))
    verb = "went into" if entry.amount > 0 else "came from"
    parts = [f"{_of(lot)}, because {lot.because}" for lot in lots]
    if len(parts) == 1:
        return [f"They {verb} one lot: {parts[0]}."]
    turns = "; ".join(f"{lot.place}. {part}" for lot, part in zip(lots, parts, strict=True))
    return [f"They {verb} {number} lots, in this order: {turns}."]


def _of(lot: ExplainedLot) -> str:
    limit = f" for {lot.service} only" if lot.service else ""
    ends = f"run out on {day(lot.expires_at)}" if lot.expires_at else "never run out"
    left = "" if lot.left_after is None else f" ({lot.left_after or 'none'} left after)"
    return f"{abs(lot.amount)} {lot.kind} credit{'' if abs(lot.amount) == 1 else 's'}{limit}, which {ends}{left}"


def _limits(caps: Sequence[ExplainedCap]) -> list[str]:
    if not caps:
        return []
    told = ", ".join(f"{cap.limit} per {cap.window.lower()} for {cap.subject}" for cap in caps)
    return [f"The limits that apply, as they are set now (then they may have been others): {told}."]


def _undoing(reverses: LinkedEntry | None, reversals: Sequence[LinkedEntry]) -> list[str]:
    told = []
    if reverses is not None:
        told.append(
            f"It undoes line {reverses.seq} of {day(reverses.created_at)} ({_credits(reverses.amount)}:"
            f" “{reverses.description}”), or makes good for it."
        )
    back = [one for one in reversals if one.type in (EntryType.REVERSAL, EntryType.TRANSFER_IN)]
    told += [
        f"{_credits(one.amount)} of it came back on {day(one.created_at)} (line {one.seq}: “{one.description}”)."
        for one in back
    ]
    return told
