"""Writing: what a batch did, one bulk statement a table, inside the transaction that holds the accounts' locks."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

import orjson
from pydantic import BaseModel

from pm_api.core.jobs import declare, enqueue_over
from pm_api.core.signals import MAX_PAYLOAD_BYTES
from pm_api.domains.ai_credits import sql
from pm_api.domains.ai_credits.book import Entry, Hold, Lot, Outcome
from pm_api.domains.ai_credits.enums import AlertKind, EntryType

BALANCE_CHANNEL: Final = "pm_balance"
NO_SERVICE: Final = ""
NOBODY: Final = UUID(int=0)


class AlertsWritten(BaseModel):
    """Nothing to say: who wakes up looks for what waits."""


DELIVER_ALERTS: Final = declare("ai_credits.deliver_alerts", AlertsWritten)


async def write(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    """Lots before the holds and lines that speak of them; figures last."""
    if not outcomes:
        return
    await _write_new_lots(statements, outcomes)
    entries = [entry for outcome in outcomes for entry in outcome.entries]
    if entries:
        await statements.append("credit_entries", sql.ENTRY_COLUMNS, [_entry_row(entry) for entry in entries])
    allocations = [(one.account_id, one.seq, move.lot_id, move.amount) for one in entries for move in one.allocations]
    if allocations:
        await statements.append("credit_allocations", sql.ALLOCATION_COLUMNS, allocations)
    await _write_holds(statements, outcomes)
    await _write_counters(statements, outcomes)
    await _write_alerts(statements, outcomes)
    await _write_figures(statements, outcomes, entries)


def _entry_row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.account_id,
        entry.seq,
        entry.id,
        entry.type,
        entry.amount,
        entry.balance_after,
        entry.by.kind,
        entry.by.user_id,
        entry.by.request_id,
        entry.service,
        entry.quantity,
        entry.price_version,
        entry.description,
        entry.details.decode(),
        entry.command_key,
        entry.reverses_seq,
        entry.hash,
        entry.created_at,
        entry.hold_id,
        entry.debt_after,
        entry.by.key_id,
    )


async def _write_new_lots(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    rows = [
        (
            outcome.state.id,
            one.lot.id,
            one.lot.kind,
            one.lot.priority,
            one.lot.amount,
            *_sums(one.lot),
            one.lot.service,
            one.draft.cost_minor,
            one.draft.cost_currency,
            one.draft.source_type,
            one.draft.source_ref,
            one.lot.effective_at,
            one.lot.expires_at,
            one.lot.effective_at,
        )
        for outcome in outcomes
        for one in outcome.new_lots
    ]
    if rows:
        await statements.append("credit_grants", sql.LOT_COLUMNS, rows)


def _sums(lot: Lot) -> tuple[int, ...]:
    """The columns of a lot that change."""
    return (
        lot.remaining,
        lot.held,
        lot.spent,
        lot.expired,
        lot.voided,
        lot.transferred_out,
        lot.clawed_back,
        lot.clawed_as_debt,
        lot.clawed_elsewhere,
    )


async def _write_holds(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    touched = [(outcome.state.id, hold) for outcome in outcomes for hold in outcome.touched_holds.values()]
    if not touched:
        return
    new = {hold_id for outcome in outcomes for hold_id in outcome.new_holds}
    made = [(account_id, hold) for account_id, hold in touched if hold.id in new]
    if made:
        await statements.append("credit_holds", sql.HOLD_COLUMNS, [_hold_row(*one) for one in made])
    known = [(account_id, hold) for account_id, hold in touched if hold.id not in new]
    if known:
        accounts, ids = [account_id for account_id, _ in known], [hold.id for _, hold in known]
        await statements.execute(
            sql.MOVE_HOLDS,
            accounts,
            ids,
            [hold.status for _, hold in known],
            [hold.captured for _, hold in known],
            [hold.expires_at for _, hold in known],
        )
        await statements.execute(sql.DROP_HOLD_PARTS, accounts, ids)
    parts = [
        (account_id, hold.id, lot_id, amount) for account_id, hold in touched for lot_id, amount in hold.parts.items()
    ]
    if parts:
        await statements.append("credit_hold_lots", sql.HOLD_PART_COLUMNS, parts)


def _hold_row(account_id: UUID, hold: Hold) -> tuple[object, ...]:
    return (
        account_id,
        hold.id,
        hold.status,
        hold.amount,
        hold.captured,
        hold.service,
        hold.quantity,
        hold.price_version,
        hold.description,
        hold.details.decode(),
        hold.actor_user_id,
        hold.expires_at,
        hold.created_at,
        hold.guarded,
    )


async def _write_counters(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    moved = sorted((outcome.state.id, counter, by) for outcome in outcomes for counter, by in outcome.used.items())
    if moved:
        await statements.execute(
            sql.COUNT,
            [account_id for account_id, _, _ in moved],
            [counter.subject for _, counter, _ in moved],
            [str(counter.window) for _, counter, _ in moved],
            [counter.starts_at for _, counter, _ in moved],
            [by for _, _, by in moved],
        )


async def _write_alerts(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    """With one job for the whole commit that delivers them at once.

    Without a dedupe key: a key also stands for a job that runs and has read its rows, and for one that runs before
    this commits, and either would swallow this wake-up. A job that finds nothing waiting costs one look.
    """
    rows = [
        (
            outcome.state.id,
            str(AlertKind.LOW_BALANCE),
            str(alert.seq),
            orjson.dumps({"percent": alert.percent, "available": alert.available, "base": alert.base}).decode(),
            outcome.now,
        )
        for outcome in outcomes
        for alert in outcome.alerts
    ]
    if rows:
        await statements.append("credit_alerts", sql.ALERT_COLUMNS, rows)
        await enqueue_over(statements, DELIVER_ALERTS, AlertsWritten())


async def _write_figures(statements: sql.Statements, outcomes: Sequence[Outcome], entries: Sequence[Entry]) -> None:
    """What a batch changes in place: lots, accounts, the day's sums; and who listens is told."""
    made = {one.lot.id for outcome in outcomes for one in outcome.new_lots}
    moved = [
        (outcome.state.id, lot) for outcome in outcomes for lot in outcome.touched_lots.values() if lot.id not in made
    ]
    sums = [_sums(lot) for _, lot in moved]
    states = [outcome.state for outcome in outcomes]
    usage = _day_sums(outcomes, entries)
    await statements.fetch(
        sql.MOVE,
        [account_id for account_id, _ in moved],
        [lot.id for _, lot in moved],
        *([one[column] for one in sums] for column in range(9)),
        [one.id for one in states],
        [one.seq for one in states],
        [one.balance for one in states],
        [one.held for one in states],
        [one.debt for one in states],
        [one.granted for one in states],
        [one.spent for one in states],
        [one.expired for one in states],
        [one.voided for one in states],
        [one.transferred_out for one in states],
        [one.last_hash for one in states],
        [one.period_started_at for one in states],
        [one.next_reset_at for one in states],
        [outcome.now for outcome in outcomes],
        [one.alert_base for one in states],
        [one.alerted_percent for one in states],
        [one.open_holds for one in states],
        [key[0] for key, _ in usage],
        [key[1] for key, _ in usage],
        [key[2] for key, _ in usage],
        [key[3] for key, _ in usage],
        *([one[column] for _, one in usage] for column in range(3)),
        BALANCE_CHANNEL,
        balance_payloads(outcomes),
    )


UsageKey = tuple[UUID, date, str, UUID]


def usage_key(entry: Entry) -> UsageKey:
    """The day sum an entry is added to: account, UTC day, service, person."""
    return _usage_day(entry.account_id, entry.created_at, entry.service, entry.by.user_id)


def _usage_day(account_id: UUID, moment: datetime, service: str | None, user_id: UUID | None) -> UsageKey:
    return (account_id, moment.astimezone(UTC).date(), service or NO_SERVICE, user_id or NOBODY)


def _day_sums(outcomes: Sequence[Outcome], entries: Sequence[Entry]) -> list[tuple[UsageKey, tuple[int, int, int]]]:
    """The batch folded into the day's sums (spent, spends, refunded): what statistics read instead of entries."""
    sums: dict[UsageKey, tuple[int, int, int]] = {}
    for entry in entries:
        if entry.type == EntryType.USAGE:
            key = usage_key(entry)
            spent, count, refunded = sums.get(key, (0, 0, 0))
            sums[key] = (spent - entry.amount, count + 1, refunded)
    for outcome in outcomes:
        for back in outcome.given_back:
            key = _usage_day(outcome.state.id, back.spent_at, back.service, back.actor_user_id)
            spent, count, refunded = sums.get(key, (0, 0, 0))
            sums[key] = (spent, count, refunded + back.amount)
    return sorted(sums.items())


def balance_payloads(outcomes: Sequence[Outcome]) -> list[str]:
    """`[[account, available, seq], …]` in as few notifications as fit; one per account and commit."""
    payloads: list[str] = []
    part: list[str] = []
    size = 2
    for outcome in outcomes:
        state = outcome.state
        item = f'["{state.id}",{state.available(outcome.now)},{state.seq}]'
        if part and size + len(item) + 1 > MAX_PAYLOAD_BYTES:
            payloads.append(f"[{','.join(part)}]")
            part, size = [], 2
        part.append(item)
        size += len(item) + 1
    if part:
        payloads.append(f"[{','.join(part)}]")
    return payloads
