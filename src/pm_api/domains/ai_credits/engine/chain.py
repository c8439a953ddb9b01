"""The hash chain of a book: each line's hash covers the line and the hash before it."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson

from pm_api.domains.ai_credits.book import Allocation, By, LotFacts


def chain_hash(
    previous: bytes,
    *,
    account_id: UUID,
    seq: int,
    id: UUID,
    type: str,
    amount: int,
    balance_after: int,
    by: By,
    service: str | None,
    quantity: int | None,
    price_version: int | None,
    description: str,
    details: bytes,
    command_key: str,
    reverses_seq: int | None,
    created_at: datetime,
    allocations: Sequence[Allocation],
    made: LotFacts | None,
    hold_id: UUID | None,
    debt_after: int,
) -> bytes:
    """SHA-256 over the hash before, the entry, its allocations and the facts of the lot it made; `details` is
    canonical JSON already.
    """
    line: list[object] = [
        account_id,
        seq,
        id,
        type,
        amount,
        balance_after,
        by.kind,
        by.user_id,
        by.request_id,
        service,
        quantity,
        price_version,
        description,
        orjson.Fragment(details),
        command_key,
        reverses_seq,
        created_at,
        [[one.lot_id, one.amount] for one in sorted(allocations, key=_by_lot)],
        made,
    ]
    if hold_id is not None or debt_after:
        # Lines older than holds and debts were hashed without them, and stay as they are.
        line += [hold_id, debt_after]
    if by.key_id is not None:
        line.append({"apiKeyId": by.key_id})  # by name: without one a line is hashed as before there were keys
    return hashlib.sha256(previous + orjson.dumps(line, default=str)).digest()  # the driver's own UUID type


def _by_lot(allocation: Allocation) -> UUID:
    """The table keeps no order among an entry's allocations, so the hash must not depend on one."""
    return allocation.lot_id
