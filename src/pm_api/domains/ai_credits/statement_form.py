"""The form of a statement, for its writer and its reader alike: pure, and the same on every machine.

A line says everything that its hash covers, times to the microsecond.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from pm_api.domains.ai_credits.book import Allocation, By, Entry, LotFacts, canonical_json
from pm_api.domains.ai_credits.lines import Position

FORMAT: Final = "pm_api credit statement 1"
LINES_A_PART: Final = 10_000
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_LONGEST_MONTH: Final = timedelta(days=32)
_LOT_FIELDS: Final = (
    *("kind", "amount", "service", "effectiveAt", "expiresAt"),
    *("costMinor", "costCurrency", "sourceType", "sourceRef"),
)
_LOT_TIMES: Final = ("effectiveAt", "expiresAt")


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """[from, to) of `yyyy-mm` in UTC; raises ValueError."""
    found = _MONTH.fullmatch(month)
    if found is None or not 1 < int(found[1]) < 9998:
        raise ValueError(month)
    begins = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    return begins, (begins + _LONGEST_MONTH).replace(day=1)


def canonical(document: Any) -> bytes:
    """The one spelling of a document, which is what is signed."""
    return canonical_json(document)


def position_form(position: Position) -> dict[str, Any]:
    return {
        "seq": position.seq,
        "balance": position.balance,
        "debt": position.debt,
        "hash": position.hash.hex(),
    }


def position_of(form: Mapping[str, Any]) -> Position:
    return Position(form["seq"], form["balance"], form["debt"], bytes.fromhex(form["hash"]))


def line_form(entry: Entry, made: LotFacts | None) -> dict[str, Any]:
    lot: dict[str, Any] | None = None
    if made is not None:
        lot = dict(zip(_LOT_FIELDS, made, strict=True))
        lot |= {name: _time_form(lot[name]) for name in _LOT_TIMES}
    return {
        "seq": entry.seq,
        "id": str(entry.id),
        "type": str(entry.type),
        "amount": entry.amount,
        "balanceAfter": entry.balance_after,
        "debtAfter": entry.debt_after,
        "actor": _actor_form(entry.by),
        "requestId": entry.by.request_id,
        "service": entry.service,
        "quantity": entry.quantity,
        "priceVersion": entry.price_version,
        "description": entry.description,
        "metadata": orjson.loads(entry.details),
        "commandKey": entry.command_key,
        "reversesSeq": entry.reverses_seq,
        "holdId": _text(entry.hold_id),
        "createdAt": _time_form(entry.created_at),
        "allocations": [
            {"lotId": str(one.lot_id), "amount": one.amount} for one in sorted(entry.allocations, key=_lot)
        ],
        "lot": lot,
        "hash": entry.hash.hex(),
    }


def line_of(account_id: UUID, form: Mapping[str, Any]) -> tuple[Entry, LotFacts | None]:
    """Raises KeyError, TypeError or ValueError when something is missing or not what it should be."""
    made: LotFacts | None = None
    if form["lot"] is not None:
        facts = {**form["lot"], **{name: _time_of(form["lot"][name]) for name in _LOT_TIMES}}
        made = tuple(facts[name] for name in _LOT_FIELDS)
    actor = form["actor"]
    entry = Entry(
        account_id=account_id,
        seq=form["seq"],
        id=UUID(form["id"]),
        type=form["type"],
        amount=form["amount"],
        balance_after=form["balanceAfter"],
        by=By(actor["kind"], _id_of(actor["userId"]), form["requestId"], _id_of(actor.get("apiKeyId"))),
        service=form["service"],
        quantity=form["quantity"],
        price_version=form["priceVersion"],
        description=form["description"],
        details=canonical_json(form["metadata"]),
        command_key=form["commandKey"],
        reverses_seq=form["reversesSeq"],
        created_at=datetime.fromisoformat(form["createdAt"]),
        allocations=tuple(Allocation(UUID(one["lotId"]), one["amount"]) for one in form["allocations"]),
        hash=bytes.fromhex(form["hash"]),
        hold_id=_id_of(form["holdId"]),
        debt_after=form["debtAfter"],
    )
    return entry, made


def totals_form(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Lines and credits by type."""
    totals: dict[str, dict[str, int]] = {}
    for entry in entries:
        total = totals.setdefault(str(entry.type), {"lines": 0, "amount": 0})
        total["lines"] += 1
        total["amount"] += entry.amount
    return totals


def time_form(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time_form(moment: datetime | None) -> str | None:
    return time_form(moment) if moment else None


def _time_of(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def _text(identifier: UUID | None) -> str | None:
    return str(identifier) if identifier else None


def _id_of(text: str | None) -> UUID | None:
    return UUID(text) if text is not None else None


def _actor_form(by: By) -> dict[str, str | None]:
    """The key stands there only when one was used: statements that were given out before read as they did."""
    key = {"apiKeyId": str(by.key_id)} if by.key_id is not None else {}
    return {"kind": by.kind, "userId": _text(by.user_id), **key}


def _lot(allocation: Allocation) -> UUID:
    return allocation.lot_id
