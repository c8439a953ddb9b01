"""Loading: accounts under lock, and what their commands need to see. Each statement serves the whole batch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from pm_api.domains.ai_credits import book, sql
from pm_api.domains.ai_credits.book import AccountState, Cap, Counter, Hold, Lot, PastEntry
from pm_api.domains.ai_credits.commands import (
    Capture,
    ClawBack,
    Command,
    Extend,
    Grant,
    PlaceHold,
    Release,
    Reverse,
    Spend,
    Void,
)
from pm_api.domains.ai_credits.engine import caps
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow, EntryType, HoldStatus, LotKind

CountedCommand = Spend | PlaceHold


async def lock(
    statements: sql.Statements,
    kinds: Mapping[UUID, AccountKind],
    sweep: Iterable[UUID],
    clock: Callable[[], datetime],
) -> dict[UUID, AccountState]:
    """The accounts' rows, locked in id order; those of `kinds` that are missing are opened."""
    wanted = sorted(kinds.keys() | set(sweep))
    rows = await statements.fetch(sql.LOCK, wanted)
    missing = sorted(kinds.keys() - {row["id"] for row in rows})
    if missing:
        await statements.execute(sql.OPEN, missing, [str(kinds[one]) for one in missing], clock())
        rows = [*rows, *await statements.fetch(sql.LOCK, missing)]
    return {row["id"]: AccountState(**{**row, "id": plain(row["id"])}) for row in rows}


async def load(
    statements: sql.Statements,
    states: Mapping[UUID, AccountState],
    commands: Sequence[Command],
    now: datetime,
) -> None:
    """Fill the locked accounts with what the rules will look at."""
    _add_lots(states, await statements.fetch(sql.LOTS, list(states)))
    special = [command for command in commands if not isinstance(command, Spend)]
    if special:
        await _load_past(statements, states, special)
        await _load_asked_lots(statements, states, special)
    if special or any(state.open_holds for state in states.values()):
        await _load_holds(statements, states, special, now)
    capped = [one for one in commands if isinstance(one, CountedCommand) and states[one.account_id].capped]
    if capped:
        await _load_caps(statements, states, capped, now)


def _add_lots(states: Mapping[UUID, AccountState], rows: Iterable[Mapping[str, Any]], *, asked: bool = False) -> None:
    for row in rows:
        values = dict(row)
        state = states[values.pop("account_id")]
        lot = Lot(**{**values, "id": plain(values["id"]), "kind": LotKind(values["kind"])})
        if asked:
            state.asked_lots |= {lot.id}
            if any(one.id == lot.id for one in state.lots):
                continue
        state.lots.append(lot)


async def _load_asked_lots(
    statements: sql.Statements, states: Mapping[UUID, AccountState], commands: Sequence[Command]
) -> None:
    """Lots that commands name, empty or not."""
    named = [(one.account_id, one.lot_id) for one in commands if isinstance(one, Void) and one.lot_id is not None]
    named += [
        (state.id, lot_id) for state in states.values() for past in state.past.values() for lot_id in past.taken
    ]
    if named:
        _add_lots(states, await statements.fetch(sql.LOTS_BY_ID, *_unzip(named)), asked=True)
    sources = [
        (one.account_id, one.source_type, demand.source_ref)
        for one in commands
        if isinstance(one, ClawBack)
        for demand in one.demands
    ]
    if sources:
        rows = await statements.fetch(
            sql.LOTS_BY_SOURCE,
            [account_id for account_id, _, _ in sources],
            [source_type for _, source_type, _ in sources],
            [source_ref for _, _, source_ref in sources],
        )
        _add_lots(states, rows, asked=True)
    renewed = [one.account_id for one in commands if isinstance(one, Grant) and one.rollover is not None]
    if renewed:
        rows = await statements.fetch(sql.LOTS_OF_ENDING_PERIOD, renewed)
        _add_lots(states, rows, asked=True)


async def _load_past(
    statements: sql.Statements, states: Mapping[UUID, AccountState], commands: Sequence[Command]
) -> None:
    asked = list({(one.account_id, one.entry_seq): None for one in commands if isinstance(one, Reverse)})
    if not asked:
        return
    accounts, lines = [account_id for account_id, _ in asked], [seq for _, seq in asked]
    for row in await statements.fetch(sql.PAST_LINES, accounts, lines):
        values = dict(row)
        state = states[values.pop("account_id")]
        values["type"] = EntryType(values["type"])
        state.past[row["seq"]] = PastEntry(**values, taken={}, given_back={})
    for row in await statements.fetch(sql.TAKEN, accounts, lines):
        states[row["account_id"]].past[row["seq"]].taken[plain(row["grant_id"])] = row["amount"]
    for row in await statements.fetch(sql.GIVEN_BACK, accounts, lines):
        states[row["account_id"]].past[row["seq"]].given_back[plain(row["grant_id"])] = row["amount"]


async def _load_holds(
    statements: sql.Statements, states: Mapping[UUID, AccountState], commands: Sequence[Command], now: datetime
) -> None:
    """Holds that are due, holds that commands name, and every open one where credits that come may move them."""
    holding = [state.id for state in states.values() if state.open_holds]
    named = [(one.account_id, one.hold_id) for one in commands if isinstance(one, Capture | Release | Extend)]
    if not holding and not named:
        return
    brought = {one.account_id for one in commands if isinstance(one, Grant | Reverse)}
    moving = [account_id for account_id in holding if account_id in brought]
    rows = await statements.fetch(sql.HOLDS, holding, now, moving, *_unzip(named))
    found = []
    for row in rows:
        values = dict(row)
        state = states[values.pop("account_id")]
        values["id"] = plain(values["id"])
        values["status"] = HoldStatus(values["status"])
        values["details"] = book.canonical_json(parsed(values["details"]))
        state.holds[values["id"]] = Hold(**values)
        found.append((state.id, values["id"]))
    if found:
        for row in await statements.fetch(sql.HOLD_PARTS, *_unzip(found)):
            hold = states[row["account_id"]].holds[row["hold_id"]]
            hold.parts[plain(row["grant_id"])] = row["amount"]


async def _load_caps(
    statements: sql.Statements, states: Mapping[UUID, AccountState], commands: Sequence[CountedCommand], now: datetime
) -> None:
    accounts = list({command.account_id: None for command in commands})
    for row in await statements.fetch(sql.CAPS, accounts):
        cap = Cap(row["subject"], CapWindow(row["cap_window"]), row["amount"])
        states[row["account_id"]].caps.append(cap)
    asked: dict[tuple[UUID, Counter], None] = {}
    for command in commands:
        state = states[command.account_id]
        for subject in caps.counted_subjects(command.by.user_id, command.service):
            for kind in CapWindow:
                starts_at, _ = caps.window(state, kind, max(now, state.updated_at or now))
                asked[state.id, Counter(subject, kind, starts_at)] = None
    rows = await statements.fetch(
        sql.CAP_USAGE,
        [account_id for account_id, _ in asked],
        [counter.subject for _, counter in asked],
        [str(counter.window) for _, counter in asked],
        [counter.starts_at for _, counter in asked],
    )
    for row in rows:
        counter = Counter(row["subject"], CapWindow(row["cap_window"]), row["starts_at"])
        states[row["account_id"]].used[counter] = row["used"]


def _unzip(pairs: Sequence[tuple[UUID, UUID]]) -> tuple[list[UUID], list[UUID]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def plain(identifier: UUID) -> UUID:
    """The driver has a UUID type of its own, which the hash's serializer only takes on a slow path."""
    return UUID(int=identifier.int)


def parsed(value: Any) -> dict[str, Any]:
    """The writer's connection gives JSON as text, a session gives it parsed."""
    content: dict[str, Any] = orjson.loads(value) if isinstance(value, str | bytes) else dict(value)
    return content
