"""The history as a file: read stretch by stretch, each on a short reading of its own, so that nothing is held while
the client is slow and a book of any length takes the same memory.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement

from pm_api.core.actor import CreditScope
from pm_api.core.platform import Platform
from pm_api.core.spreadsheets import csv_document
from pm_api.domains.ai_credits.enums import EntryType, Service
from pm_api.domains.ai_credits.models.ledger import CreditEntry
from pm_api.domains.ai_credits.outcomes import read_entry
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.schemas.insight import ExportFormat
from pm_api.domains.ai_credits.schemas.ledger import CreditEntryRead
from pm_api.domains.ai_credits.sight import visible_lines

STRETCH: Final = 500
HEADER: Final = (
    *("seq", "id", "createdAt", "type", "amount", "balanceAfter", "service", "quantity", "priceVersion"),
    *("description", "metadata", "actorUserId", "holdId", "reversesSeq", "debtAfter"),
)
HEADER_LINE: Final = csv_document(HEADER, ())


@dataclass(frozen=True, slots=True)
class Filters:
    """The same as those of the history: `since` is included, `until` is not."""

    service: Service | None = None
    type: EntryType | None = None
    member_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, scope: CreditScope) -> list[ColumnElement[bool]]:
        """With what the caller may see of the book; raises Forbidden for another member's lines."""
        found = visible_lines(scope, self.member_id)
        if self.service is not None:
            found.append(CreditEntry.service == self.service)
        if self.type is not None:
            found.append(CreditEntry.type == self.type)
        if self.member_id is not None:
            found.append(CreditEntry.actor_user_id == self.member_id)
        if self.since is not None:
            found.append(CreditEntry.created_at >= self.since)
        if self.until is not None:
            found.append(CreditEntry.created_at < self.until)
        return found


async def export(
    platform: Platform, scope: CreditScope, filters: Filters, format: ExportFormat
) -> AsyncIterator[bytes]:
    """The file, newest line first. The first stretch is read before this returns, so that what fails then is told."""
    first = await _stretch(platform, scope, filters, None)
    return _written(platform, scope, filters, format, first)


async def _written(
    platform: Platform,
    scope: CreditScope,
    filters: Filters,
    format: ExportFormat,
    rows: Sequence[CreditEntryRead],
) -> AsyncIterator[bytes]:
    as_csv = format is ExportFormat.CSV
    yield HEADER_LINE.encode() if as_csv else b'{"entries":['
    begun = False
    while rows:
        if as_csv:
            yield _lines(rows)
        else:
            yield (b"," if begun else b"") + b",".join(row.model_dump_json().encode() for row in rows)
        begun = True
        rows = await _stretch(platform, scope, filters, rows[-1].seq) if len(rows) == STRETCH else ()
    if not as_csv:
        yield b"]}"


async def _stretch(
    platform: Platform, scope: CreditScope, filters: Filters, before_seq: int | None
) -> list[CreditEntryRead]:
    async with platform.database.reading() as session:
        rows = await repository.entries(
            session, scope, limit=STRETCH, before_seq=before_seq, filters=filters.conditions(scope)
        )
        return [read_entry(repository.stored_entry(row)) for row in rows]


def _lines(rows: Sequence[CreditEntryRead]) -> bytes:
    """Without the header, which stands above the first of them only."""
    return csv_document(HEADER, [_cells(row) for row in rows]).removeprefix(HEADER_LINE).encode()


def _cells(row: CreditEntryRead) -> tuple[object, ...]:
    form = row.model_dump(mode="json")
    return tuple(orjson.dumps(form[name]).decode() if name == "metadata" else form[name] for name in HEADER)
