"""Data that stood before lots told where their credits went."""

from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection, text

BEFORE_LOT_SUMS: Final = "0003"
PUT = (
    (
        "INSERT INTO credit_accounts (id, user_id, balance, granted, spent, created_at, updated_at)"
        " VALUES (:account, :account, 6, 10, 4, now(), now())"
    ),
    (
        "INSERT INTO credit_grants (account_id, id, kind, priority, amount, remaining, source_type, source_ref,"
        " effective_at, created_at) VALUES (:account, :lot, 'BONUS', 60, 10, 6, 't', 't', now(), now())"
    ),
    (
        "INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, description,"
        " metadata, command_key, request_id, created_at, hash) VALUES"
        " (:account, 1, gen_random_uuid(), 'BONUS', 10, 10, 'system', '', '{}', 'k', '', now(), ''),"
        " (:account, 2, gen_random_uuid(), 'USAGE', -4, 6, 'system', '', '{}', 'k', '', now(), '')"
    ),
    (
        "INSERT INTO credit_allocations (account_id, entry_seq, grant_id, amount)"
        " VALUES (:account, 1, :lot, 10), (:account, 2, :lot, -4)"
    ),
)


def put_a_lot(connection: Connection) -> None:
    """Ten credits, of which four were spent."""
    ids = {"account": uuid4(), "lot": uuid4()}
    connection.execute(text("SET LOCAL session_replication_role = replica"))  # the account's user is no matter
    for statement in PUT:
        connection.execute(text(statement), {key: one for key, one in ids.items() if f":{key}" in statement})
    connection.execute(text("SET LOCAL session_replication_role = origin"))


def lot_sums(connection: Connection) -> list[tuple[Any, ...]]:
    found = connection.execute(text("SELECT amount, remaining, spent, expired FROM credit_grants"))
    return [tuple(row) for row in found]
