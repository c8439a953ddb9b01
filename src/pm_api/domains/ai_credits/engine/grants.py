"""What brings credits: grants of every kind, plan periods, rollover."""

from collections.abc import Sequence
from datetime import datetime

from pm_api.domains.ai_credits.book import (
    MAX_LOTS_TO_GIVE_TO,
    PLAN_KINDS,
    UNALERTED,
    Entry,
    Lot,
    LotDraft,
    Refusal,
    Refused,
    Result,
)
from pm_api.domains.ai_credits.commands import Grant, Rollover
from pm_api.domains.ai_credits.engine import holds
from pm_api.domains.ai_credits.engine.working import MAX_BALANCE, Book
from pm_api.domains.ai_credits.enums import LotKind


def grant(book: Book, command: Grant) -> Result:
    total = sum(draft.amount for draft in command.lots)
    if book.state.balance + total > MAX_BALANCE:
        return Refused(Refusal.BALANCE_LIMIT_EXCEEDED, {"limit": MAX_BALANCE}, command.by.request_id)
    if any(draft.kind is LotKind.GIFT for draft in command.lots) and _crowded(book):
        return Refused(Refusal.TOO_MANY_LOTS, {"limit": MAX_LOTS_TO_GIVE_TO}, command.by.request_id)
    book.changed = True
    entries: list[Entry] = []
    ended = [lot for lot in book.state.lots if lot.kind in PLAN_KINDS] if command.replaces_plan else []
    entries += _end_plan(book, ended)
    drafts = list(command.lots)
    if command.rollover is not None:
        carried = _carried(book, command.rollover)
        if carried:
            drafts.insert(0, _rollover_draft(command, command.rollover, carried))
    for draft in drafts:
        text = "Credits carried over" if draft.kind is LotKind.ROLLOVER else command.description
        entries.append(book.make_lot(draft, command=command, description=text))
    made = [one.lot for one in book.new_lots[len(book.new_lots) - len(drafts) :]] if drafts else []
    if command.period is not None:
        book.state.period_started_at, book.state.next_reset_at = command.period
    entries += book.pay_debt([(lot, lot.amount) for lot in made], by=command.by, key=command.key)
    entries += holds.leave(book, ended, [lot for lot in made if lot.kind in PLAN_KINDS])
    holds.move_to(book, made)
    book.forget_empty()
    if drafts:
        book.state.alert_base = book.available()
        book.state.alerted_percent = UNALERTED
    return book.applied(entries)


def _crowded(book: Book) -> bool:
    return sum(lot.remaining > 0 for lot in book.state.lots) >= MAX_LOTS_TO_GIVE_TO


def _end_plan(book: Book, lots: Sequence[Lot]) -> list[Entry]:
    """A plan's credits are replaced by the next plan's, never added to."""
    return [book.expire(lot, usable) for lot in lots if (usable := lot.available(book.now)) > 0]


def _carried(book: Book, rollover: Rollover) -> int:
    """What the ended period leaves: its unused plan credits, at most a share of what it granted."""
    started_at = book.state.period_started_at
    ended = [
        lot
        for lot in book.state.lots
        if lot.kind is LotKind.SUBSCRIPTION_GRANT and started_at is not None and _belongs(lot, started_at)
    ]
    leftover = sum(lot.expired for lot in ended)
    return min(leftover, sum(lot.amount for lot in ended) * rollover.max_percent // 100)


def _belongs(lot: Lot, started_at: datetime) -> bool:
    """To the period that began then: a late lot of the one before has an earlier end."""
    return lot.effective_at >= started_at and lot.expires_at is not None and lot.expires_at > started_at


def _rollover_draft(command: Grant, rollover: Rollover, amount: int) -> LotDraft:
    return LotDraft(
        kind=LotKind.ROLLOVER,
        amount=amount,
        source_type="rollover",
        source_ref=command.key,
        expires_at=rollover.expires_at,
    )
