"""Between the engine and the tables: lock, load, run, write, with one bulk statement per table.

Works over any connection that can run SQL: the writer's own, or a caller's session. The account rows are locked in id
order; what they protect is read in the statements after.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from pm_api.core.signals import MAX_PAYLOAD_BYTES
from pm_api.domains.ai_credits import book, engine, sql
from pm_api.domains.ai_credits.book import (
    AccountState,
    Applied,
    By,
    Command,
    Entry,
    Lot,
    Outcome,
    Refusal,
    Refused,
)
from pm_api.domains.ai_credits.enums import AccountKind, CommandStatus, EntryType, LotKind

BALANCE_CHANNEL: Final = "pm_balance"


class KeyConflict(Exception):
    """Some keys of the batch were used before: run it again, asking for them first."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key belongs to another command of the same caller."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended; `replayed` when it had ended so before."""

    result: Applied | Refused | KeyReused
    replayed: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A command and whose account it is for: an account is opened when it is first needed."""

    kind: AccountKind
    command: Command


NO_SERVICE: Final = ""
NOBODY: Final = UUID(int=0)

_Key = tuple[UUID, str]
_Ended = tuple[Order, Applied | Refused]


async def run(
    statements: sql.Statements,
    orders: Sequence[Order],
    clock: Callable[[], datetime],
    new_id: Callable[[], UUID],
    *,
    optimistic: bool,
    sweep: Iterable[UUID] = (),
) -> list[Answer]:
    """Apply commands in the transaction behind `statements`, and post what has run out on the `sweep` accounts.

    Optimistic: keys are claimed together with their results, in one insert; raises KeyConflict when one of them was
    used before, and the caller must roll back. Otherwise keys are claimed first and settled after.
    """
    first: dict[_Key, Order] = {}
    for order in orders:
        first.setdefault((order.command.account_id, order.command.key), order)
    states = await _lock_and_load(statements, first.values(), sweep, clock)
    # Only now: while a lock was waited for, somebody else's grant may have come.
    now = clock()
    replayed: dict[_Key, Answer] = {}
    if not optimistic:
        replayed = await _claim_first(statements, first, now)
    by_account: dict[UUID, list[Order]] = {account_id: [] for account_id in states}
    for key, order in first.items():
        if key not in replayed:
            by_account[key[0]].append(order)
    outcomes: list[Outcome] = []
    ended: list[_Ended] = []
    for account_id, fresh in by_account.items():
        outcome = engine.apply(states[account_id], [order.command for order in fresh], now, new_id)
        outcomes.append(outcome)
        ended += zip(fresh, outcome.results, strict=True)
    await _write_commands(statements, ended, now, optimistic=optimistic)
    await _write(statements, [outcome for outcome in outcomes if outcome.changed])
    answers = {id(order): Answer(result, replayed=False) for order, result in ended}
    if len(answers) == len(orders):
        return [answers[id(order)] for order in orders]
    results = {(order.command.account_id, order.command.key): result for order, result in ended}
    return [
        answers.pop(id(order)) if id(order) in answers else _repeated(order, first, results, replayed)
        for order in orders
    ]


def _repeated(
    order: Order,
    first: Mapping[_Key, Order],
    results: Mapping[_Key, Applied | Refused],
    replayed: Mapping[_Key, Answer],
) -> Answer:
    """The answer to a key that another order of this batch, or of an earlier one, has claimed."""
    key = (order.command.account_id, order.command.key)
    if order.command.fingerprint != first[key].command.fingerprint:
        return Answer(KeyReused(), replayed=True)
    return replayed.get(key) or Answer(results[key], replayed=True)


async def _lock_and_load(
    statements: sql.Statements, orders: Iterable[Order], sweep: Iterable[UUID], clock: Callable[[], datetime]
) -> dict[UUID, AccountState]:
    kinds = {order.command.account_id: order.kind for order in orders}
    wanted = sorted(kinds.keys() | set(sweep))
    rows = await statements.fetch(sql.LOCK, wanted)
    missing = sorted(kinds.keys() - {row["id"] for row in rows})
    if missing:
        await statements.execute(sql.OPEN, missing, [str(kinds[one]) for one in missing], clock())
        rows = [*rows, *await statements.fetch(sql.LOCK, missing)]
    states = {row["id"]: AccountState(**{**row, "id": _plain(row["id"])}) for row in rows}
    for row in await statements.fetch(sql.LOTS, wanted):
        values = dict(row)
        account_id = values.pop("account_id")
        values["id"] = _plain(values["id"])
        values["kind"] = LotKind(values["kind"])
        if account_id in states:
            states[account_id].lots.append(Lot(**values))
    return states


async def _claim_first(statements: sql.Statements, orders: Mapping[_Key, Order], now: datetime) -> dict[_Key, Answer]:
    """Claim every key; answer the ones that were used before with what they ended in."""
    keys = list(orders)
    claimed = {
        (row["account_id"], row["key"])
        for row in await statements.fetch(
            sql.CLAIM,
            [account_id for account_id, _ in keys],
            [key for _, key in keys],
            [orders[key].command.fingerprint for key in keys],
            [CommandStatus.REFUSED] * len(keys),
            ["{}"] * len(keys),
            now,
        )
    }
    known = [key for key in keys if key not in claimed]
    if not known:
        return {}
    stored = await statements.fetch(sql.STORED, [account_id for account_id, _ in known], [key for _, key in known])
    return await _known_answers(statements, stored, orders)


async def stored_answer(statements: sql.Statements, account_id: UUID, key: str) -> Answer | None:
    """How a command ended, or None when its key was never used."""
    rows = await statements.fetch(sql.STORED, [account_id], [key])
    return next(iter((await _stored_answers(statements, rows)).values()), None)


async def _known_answers(
    statements: sql.Statements, rows: Sequence[Mapping[str, Any]], orders: Mapping[_Key, Order]
) -> dict[_Key, Answer]:
    """The same commands get their first answer; other content under a known key is told so."""
    same = {
        (row["account_id"], row["key"]): bytes(row["fingerprint"])
        == orders[row["account_id"], row["key"]].command.fingerprint
        for row in rows
    }
    answers = await _stored_answers(statements, [row for row in rows if same[row["account_id"], row["key"]]])
    reused = {key: Answer(KeyReused(), replayed=True) for key, is_same in same.items() if not is_same}
    return answers | reused


async def _stored_answers(statements: sql.Statements, rows: Sequence[Mapping[str, Any]]) -> dict[_Key, Answer]:
    answers: dict[_Key, Answer] = {}
    wanted: list[tuple[UUID, int]] = []
    for row in rows:
        if row["status"] == CommandStatus.APPLIED:
            result = _json(row["result"])
            wanted += [(row["account_id"], seq) for seq in range(result["seq"], result["seq"] + result["entries"])]
    entries = await read_entries(statements, wanted)
    for row in rows:
        key = (row["account_id"], row["key"])
        result = _json(row["result"])
        if row["status"] == CommandStatus.APPLIED:
            answers[key] = Answer(_applied(row["account_id"], result, entries), replayed=True)
        else:
            reason, request_id = Refusal(result.pop("reason")), result.pop("request_id")
            answers[key] = Answer(Refused(reason, result, request_id), replayed=True)
    return answers


def _applied(account_id: UUID, result: Mapping[str, Any], entries: Mapping[tuple[UUID, int], Entry]) -> Applied:
    found = tuple(entries[account_id, seq] for seq in range(result["seq"], result["seq"] + result["entries"]))
    return Applied(found, result["available"], result["held"], result["debt"])


async def read_entries(
    statements: sql.Statements, wanted: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], Entry]:
    """Entries by (account, seq), without their allocations."""
    if not wanted:
        return {}
    rows = await statements.fetch(
        sql.READ_ENTRIES, [account_id for account_id, _ in wanted], [seq for _, seq in wanted]
    )
    return {(row["account_id"], row["seq"]): entry_from(row) for row in rows}


def entry_from(row: Mapping[str, Any]) -> Entry:
    return Entry(
        account_id=row["account_id"],
        seq=row["seq"],
        id=row["id"],
        type=EntryType(row["type"]),
        amount=row["amount"],
        balance_after=row["balance_after"],
        by=By(row["actor_kind"], row["actor_user_id"], row["request_id"]),
        service=row["service"],
        quantity=row["quantity"],
        price_version=row["price_version"],
        description=row["description"],
        details=book.canonical_json(_json(row["metadata"])),
        command_key=row["command_key"],
        reverses_seq=row["reverses_seq"],
        created_at=row["created_at"],
        allocations=(),
        hash=bytes(row["hash"]),
    )


def _plain(identifier: UUID) -> UUID:
    """The driver has a UUID type of its own, which the hash's serializer only takes on a slow path."""
    return UUID(int=identifier.int)


def _json(value: Any) -> dict[str, Any]:
    """The writer's connection gives JSON as text, a session gives it parsed."""
    parsed: dict[str, Any] = orjson.loads(value) if isinstance(value, str | bytes) else dict(value)
    return parsed


def _stored_form(result: Applied | Refused) -> tuple[str, str]:
    if isinstance(result, Refused):
        return CommandStatus.REFUSED, json.dumps(
            {"reason": result.reason, "request_id": result.request_id, **result.facts}
        )
    return CommandStatus.APPLIED, (
        f'{{"seq":{result.entries[0].seq if result.entries else 0},"entries":{len(result.entries)},'
        f'"available":{result.available},"held":{result.held},"debt":{result.debt}}}'
    )


async def _write_commands(
    statements: sql.Statements, ended: Sequence[_Ended], now: datetime, *, optimistic: bool
) -> None:
    if not ended:
        return
    forms = [_stored_form(result) for _, result in ended]
    accounts = [order.command.account_id for order, _ in ended]
    keys = [order.command.key for order, _ in ended]
    status = [form[0] for form in forms]
    stored = [form[1] for form in forms]
    if not optimistic:
        await statements.execute(sql.SETTLE, accounts, keys, status, stored)
        return
    fingerprints = [order.command.fingerprint for order, _ in ended]
    rows = list(zip(accounts, keys, fingerprints, status, stored, [now] * len(keys), strict=True))
    try:
        await statements.append("credit_commands", sql.COMMAND_COLUMNS, rows)
    except asyncpg.UniqueViolationError as error:
        raise KeyConflict from error


async def _write(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    await _write_new_lots(statements, outcomes)
    entries = [entry for outcome in outcomes for entry in outcome.entries]
    if entries:
        await statements.append("credit_entries", sql.ENTRY_COLUMNS, [_entry_row(entry) for entry in entries])
        await statements.append(
            "credit_allocations",
            sql.ALLOCATION_COLUMNS,
            [(one.account_id, one.seq, move.lot_id, move.amount) for one in entries for move in one.allocations],
        )
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
    )


async def _write_new_lots(statements: sql.Statements, outcomes: Sequence[Outcome]) -> None:
    made = [(outcome.state.id, one.lot, one.draft) for outcome in outcomes for one in outcome.new_lots]
    if not made:
        return
    await statements.execute(
        sql.NEW_LOTS,
        [account_id for account_id, _, _ in made],
        [lot.id for _, lot, _ in made],
        [lot.kind for _, lot, _ in made],
        [lot.priority for _, lot, _ in made],
        [lot.amount for _, lot, _ in made],
        [lot.remaining for _, lot, _ in made],
        [lot.held for _, lot, _ in made],
        [lot.service for _, lot, _ in made],
        [draft.cost_minor for _, _, draft in made],
        [draft.cost_currency for _, _, draft in made],
        [draft.source_type for _, _, draft in made],
        [draft.source_ref for _, _, draft in made],
        [lot.effective_at for _, lot, _ in made],
        [lot.expires_at for _, lot, _ in made],
    )


async def _write_figures(statements: sql.Statements, outcomes: Sequence[Outcome], entries: Sequence[Entry]) -> None:
    """What entries change: lots, accounts, the day's sums; and who listens is told."""
    made = {one.lot.id for outcome in outcomes for one in outcome.new_lots}
    moved = [
        (outcome.state.id, lot) for outcome in outcomes for lot in outcome.touched_lots.values() if lot.id not in made
    ]
    states = [outcome.state for outcome in outcomes]
    usage = _day_sums(entries)
    await statements.fetch(
        sql.MOVE,
        [account_id for account_id, _ in moved],
        [lot.id for _, lot in moved],
        [lot.remaining for _, lot in moved],
        [lot.held for _, lot in moved],
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
        [key[0] for key, _ in usage],
        [key[1] for key, _ in usage],
        [key[2] for key, _ in usage],
        [key[3] for key, _ in usage],
        [spent for _, (spent, _) in usage],
        [count for _, (_, count) in usage],
        BALANCE_CHANNEL,
        balance_payloads([outcome for outcome in outcomes if outcome.entries]),
    )


UsageKey = tuple[UUID, date, str, UUID]


def usage_key(entry: Entry) -> UsageKey:
    """The day sum an entry is added to: account, UTC day, service, person."""
    return (
        entry.account_id,
        entry.created_at.astimezone(UTC).date(),
        entry.service or NO_SERVICE,
        entry.by.user_id or NOBODY,
    )


def _day_sums(entries: Sequence[Entry]) -> list[tuple[UsageKey, tuple[int, int]]]:
    """The batch folded into the day's sums: what statistics read instead of entries."""
    sums: dict[UsageKey, tuple[int, int]] = {}
    for entry in entries:
        if entry.type == EntryType.USAGE:
            key = usage_key(entry)
            spent, count = sums.get(key, (0, 0))
            sums[key] = (spent - entry.amount, count + 1)
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
