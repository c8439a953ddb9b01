"""How commands ended: kept under their keys, and given again to every retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from pm_api.domains.ai_credits import book, sql
from pm_api.domains.ai_credits.book import Applied, By, Entry, HoldView, Refusal, Refused
from pm_api.domains.ai_credits.commands import Command
from pm_api.domains.ai_credits.enums import AccountKind, CommandStatus, EntryType
from pm_api.domains.ai_credits.lines import GRANTING
from pm_api.domains.ai_credits.store.loading import parsed


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


Key = tuple[UUID, str]
Ended = tuple[Order, Applied | Refused]
Kept = tuple[bytes, Answer]
"""The fingerprint a key was first used with, and how that command ended."""


async def claim_first(statements: sql.Statements, orders: Mapping[Key, Order], now: datetime) -> dict[Key, Kept]:
    """Claim every key; tell of the ones that were used before what for, and what they ended in."""
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
    answers = await _stored_answers(statements, stored)
    return {
        (row["account_id"], row["key"]): (bytes(row["fingerprint"]), answers[row["account_id"], row["key"]])
        for row in stored
    }


async def stored_answer(
    statements: sql.Statements, account_id: UUID, key: str, fingerprint: bytes | None = None
) -> Answer | None:
    """How a command ended, or None when its key was never used; with `fingerprint`, KeyReused when for another."""
    rows = await statements.fetch(sql.STORED, [account_id], [key])
    if fingerprint is not None and any(bytes(row["fingerprint"]) != fingerprint for row in rows):
        return Answer(KeyReused(), replayed=True)
    return next(iter((await _stored_answers(statements, rows)).values()), None)


async def _stored_answers(statements: sql.Statements, rows: Sequence[Mapping[str, Any]]) -> dict[Key, Answer]:
    answers: dict[Key, Answer] = {}
    wanted: list[tuple[UUID, int]] = []
    for row in rows:
        if row["status"] == CommandStatus.APPLIED:
            result = parsed(row["result"])
            wanted += [(row["account_id"], seq) for seq in range(result["seq"], result["seq"] + result["entries"])]
    entries = await read_entries(statements, wanted)
    for row in rows:
        key = (row["account_id"], row["key"])
        result = parsed(row["result"])
        if row["status"] == CommandStatus.APPLIED:
            answers[key] = Answer(_applied(row["account_id"], result, entries), replayed=True)
        else:
            reason, request_id = Refusal(result.pop("reason")), result.pop("request_id")
            answers[key] = Answer(Refused(reason, result, request_id), replayed=True)
    return answers


def _applied(account_id: UUID, result: Mapping[str, Any], entries: Mapping[tuple[UUID, int], Entry]) -> Applied:
    found = tuple(entries[account_id, seq] for seq in range(result["seq"], result["seq"] + result["entries"]))
    return Applied(found, result["available"], result["held"], result["debt"], _hold_view(result.get("hold")))


def _hold_view(kept: Sequence[Any] | None) -> HoldView | None:
    if kept is None:
        return None
    view = HoldView(*kept)
    return view._replace(
        id=UUID(kept[0]),
        expires_at=datetime.fromisoformat(view.expires_at),  # type: ignore[arg-type]  # as it is kept
        created_at=datetime.fromisoformat(view.created_at),  # type: ignore[arg-type]
    )


async def read_entries(
    statements: sql.Statements, wanted: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], Entry]:
    """Entries by (account, seq); with allocations only those that made a lot, so that retries too are told which."""
    if not wanted:
        return {}
    rows = await statements.fetch(
        sql.READ_ENTRIES, [account_id for account_id, _ in wanted], [seq for _, seq in wanted]
    )
    entries = {(row["account_id"], row["seq"]): entry_from(row) for row in rows}
    makers = [place for place, entry in entries.items() if entry.type in GRANTING]
    if makers:
        made = await statements.fetch(
            sql.READ_MADE_LOTS, [account_id for account_id, _ in makers], [seq for _, seq in makers]
        )
        for row in made:
            place = (row["account_id"], row["entry_seq"])
            move = book.Allocation(row["grant_id"], row["amount"])
            entries[place] = entries[place]._replace(allocations=(move,))
    return entries


def entry_from(row: Mapping[str, Any]) -> Entry:
    return Entry(
        account_id=row["account_id"],
        seq=row["seq"],
        id=row["id"],
        type=EntryType(row["type"]),
        amount=row["amount"],
        balance_after=row["balance_after"],
        by=By(row["actor_kind"], row["actor_user_id"], row["request_id"], row["actor_key_id"]),
        service=row["service"],
        quantity=row["quantity"],
        price_version=row["price_version"],
        description=row["description"],
        details=book.canonical_json(parsed(row["metadata"])),
        command_key=row["command_key"],
        reverses_seq=row["reverses_seq"],
        created_at=row["created_at"],
        allocations=(),
        hash=bytes(row["hash"]),
        hold_id=row["hold_id"],
        debt_after=row["debt_after"],
    )


def _stored_form(result: Applied | Refused) -> tuple[str, str]:
    if isinstance(result, Refused):
        kept = {"reason": result.reason, "request_id": result.request_id, **result.facts}
        return CommandStatus.REFUSED, orjson.dumps(kept).decode()
    hold = f',"hold":{orjson.dumps(tuple(result.hold), default=str).decode()}' if result.hold else ""
    return CommandStatus.APPLIED, (
        f'{{"seq":{result.entries[0].seq if result.entries else 0},"entries":{len(result.entries)},'
        f'"available":{result.available},"held":{result.held},"debt":{result.debt}{hold}}}'
    )


async def write_commands(
    statements: sql.Statements, ended: Sequence[Ended], now: datetime, *, optimistic: bool
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
