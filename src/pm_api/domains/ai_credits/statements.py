"""Monthly statements: a month of one book with its opening and closing figures, signed, checkable by anybody offline.

What is signed is proved first: a statement of a book that does not add up is refused, never signed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import signing
from pm_api.core.actor import CreditScope, LeadScope, WorkspaceScope
from pm_api.core.crypto import KeyRing, encode_url
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import statement_form
from pm_api.domains.ai_credits.book import Allocation, Entry, LotFacts
from pm_api.domains.ai_credits.enums import AccountKind
from pm_api.domains.ai_credits.errors import InvalidMonth, StatementNotFound, StatementUnprovable
from pm_api.domains.ai_credits.lines import GRANTING, Position, follow
from pm_api.domains.ai_credits.models.ledger import CreditAccount, CreditEntry
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.repository import proofs
from pm_api.domains.ai_credits.repository import statements as reads

STRETCH: Final = 2000
GRACE: Final = timedelta(minutes=5)
"""A spend of the month's last moment may commit a little later, on a host whose clock is a little behind."""


@dataclass(frozen=True, slots=True)
class Document:
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part is made of, read and not yet proved."""

    head: dict[str, Any]
    opening: Position
    entries: Sequence[Entry]
    made: Mapping[int, LotFacts]


async def statement(session: AsyncSession, platform: Platform, scope: CreditScope, month: str, part: int) -> Document:
    """One part of a month's statement. Once the month is over it is the same to the byte, until the key is changed.

    Raises InvalidMonth, StatementNotFound, StatementUnprovable.
    """
    try:
        begins, ends = statement_form.month_bounds(month)
    except ValueError:
        raise InvalidMonth from None
    now = platform.clock.now()
    account = await repository.account(session, scope)
    if account is None or account.created_at >= ends or begins > now:
        raise StatementNotFound(f"There is nothing to state for {month}.")
    first = await reads.first_line_since(session, account.id, account.seq, begins)
    end = await reads.first_line_since(session, account.id, account.seq, ends)
    parts = max(1, -(-(end - first) // statement_form.LINES_A_PART))
    if part > parts:
        raise StatementNotFound(f"The statement for {month} has {parts} part{'s' if parts > 1 else ''}.")
    start = first + (part - 1) * statement_form.LINES_A_PART
    head = {
        "format": statement_form.FORMAT,
        "issuer": platform.settings.public_url,
        "account": {"id": str(account.id), "kind": str(_kind(scope))},
        "month": month,
        "from": statement_form.time_form(begins),
        "to": statement_form.time_form(ends),
        "part": part,
        "parts": parts,
        **_state(now, ends),
    }
    stop = min(end, start + statement_form.LINES_A_PART)
    read = await _read(session, account, head, start, stop)
    # Ten thousand hashes take a moment, which the other requests must not wait for.
    content = await asyncio.to_thread(_signed, platform.keys, read)
    return Document(f"credits-{month}-part-{part:04}.json", content)


def _state(now: datetime, ends: datetime) -> dict[str, Any]:
    final = now >= ends + GRACE
    return {"final": final, "asOf": statement_form.time_form(ends if final else now)}


def _kind(scope: CreditScope) -> AccountKind:
    if isinstance(scope, LeadScope):
        return AccountKind.LEAD
    return AccountKind.WORKSPACE if isinstance(scope, WorkspaceScope) else AccountKind.USER


async def _read(session: AsyncSession, account: CreditAccount, head: dict[str, Any], start: int, stop: int) -> _Part:
    """Lines `start` up to and without `stop`, with what they moved and the lots they made."""
    before = await reads.line(session, account.id, start - 1)
    opening = Position()
    if before is not None:
        opening = Position(before.seq, before.balance_after, before.debt_after, bytes(before.hash))
    entries: list[Entry] = []
    while start < stop:
        rows = await repository.entries_after(session, account.id, start - 1, min(STRETCH, stop - start))
        if not rows:
            break
        moves: defaultdict[int, list[Allocation]] = defaultdict(list)
        for one in await repository.allocations_between(session, account.id, rows[0].seq, rows[-1].seq):
            moves[one.entry_seq].append(Allocation(one.grant_id, one.amount))
        entries += [_entry(row, moves[row.seq]) for row in rows]
        start = rows[-1].seq + 1
    makers = {
        entry.seq: entry.allocations[0].lot_id
        for entry in entries
        if entry.type in GRANTING and len(entry.allocations) == 1
    }
    lots = {lot.id: proofs.lot_facts(lot) for lot in await reads.lots(session, account.id, set(makers.values()))}
    return _Part(head, opening, entries, {seq: lots[lot_id] for seq, lot_id in makers.items() if lot_id in lots})


def _entry(row: CreditEntry, moves: Sequence[Allocation]) -> Entry:
    return repository.stored_entry(row)._replace(allocations=tuple(moves))


def _signed(keys: KeyRing, part: _Part) -> bytes:
    """Prove the part as its reader will, then sign it."""
    position = part.opening
    for entry in part.entries:
        position, problems = follow(position, entry, part.made.get(entry.seq))
        if problems:
            raise StatementUnprovable(f"This account's book does not add up: {problems[0]}.")
    content = {
        **part.head,
        "opening": statement_form.position_form(part.opening),
        "lines": [statement_form.line_form(entry, part.made.get(entry.seq)) for entry in part.entries],
        "closing": statement_form.position_form(position),
        "totals": statement_form.totals_form(part.entries),
    }
    signature = signing.sign(keys, signing.CREDIT_STATEMENT, statement_form.canonical(content))
    return statement_form.canonical(
        {
            "statement": content,
            "signature": {
                "alg": signing.ALGORITHM,
                "kid": signature.key_id,
                "value": encode_url(signature.value),
            },
        }
    )
