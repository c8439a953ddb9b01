"""The ledger's statements, one bulk statement a table, and the connections they run on."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession


class Statements(Protocol):
    """A connection inside a transaction."""

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, Any]]: ...

    async def execute(self, sql: str, *arguments: object) -> None: ...

    async def append(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None: ...


class ConnectionStatements:
    """The writer's dedicated connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        return await self._connection.fetch(sql, *arguments)  # type: ignore[return-value]  # a Record is a mapping

    async def execute(self, sql: str, *arguments: object) -> None:
        await self._connection.execute(sql, *arguments)

    async def append(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """By COPY: half the work of an INSERT of the same rows, on both sides of the wire."""
        try:
            await self._connection.copy_records_to_table(table, records=rows, columns=columns)
        except (ValueError, OverflowError) as error:  # as the driver itself tells it for the arguments of a statement
            raise asyncpg.DataError(f"a row for {table} cannot be written: {error}") from error


class SessionStatements:
    """A caller's session: through SQLAlchemy's connection, so that its lazy BEGIN has happened."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        connection = await self._session.connection()
        result = await connection.exec_driver_sql(sql, arguments)
        return result.mappings().all()  # type: ignore[return-value]  # a RowMapping is a Mapping[str, Any]

    async def execute(self, sql: str, *arguments: object) -> None:
        connection = await self._session.connection()
        await connection.exec_driver_sql(sql, arguments)

    async def append(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """By INSERT: a COPY would go past SQLAlchemy, which then could not tell a lost connection from a good one."""
        names = ", ".join(columns)
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        connection = await self._session.connection()
        await connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({places})", list(rows))  # noqa: S608


LOCK = """
SELECT id, seq, balance, held, debt, granted, spent, expired, voided, transferred_out, last_hash,
       period_started_at, next_reset_at, updated_at
FROM credit_accounts WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""
OPEN = """
INSERT INTO credit_accounts (id, user_id, workspace_id, created_at, updated_at)
SELECT id, CASE WHEN kind = 'USER' THEN id END, CASE WHEN kind = 'WORKSPACE' THEN id END, $3, $3
FROM unnest($1::uuid[], $2::text[]) AS missing(id, kind) ORDER BY id
ON CONFLICT DO NOTHING
"""
LOTS = """
SELECT account_id, id, kind, priority, amount, remaining, held, service, effective_at, expires_at
FROM credit_grants WHERE account_id = ANY($1::uuid[]) AND remaining > 0
"""
CLAIM = """
INSERT INTO credit_commands (account_id, key, fingerprint, status, result, created_at)
SELECT account_id, key, fingerprint, status, result, $6
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::json[])
     AS claimed(account_id, key, fingerprint, status, result)
ON CONFLICT DO NOTHING RETURNING account_id, key
"""
SETTLE = """
UPDATE credit_commands SET status = settled.status, result = settled.result
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::json[]) AS settled(account_id, key, status, result)
WHERE credit_commands.account_id = settled.account_id AND credit_commands.key = settled.key
"""
STORED = """
SELECT account_id, key, fingerprint, status, result
FROM credit_commands JOIN unnest($1::uuid[], $2::text[]) AS asked(account_id, key) USING (account_id, key)
"""
COMMAND_COLUMNS = ("account_id", "key", "fingerprint", "status", "result", "created_at")
ENTRY_COLUMNS = (
    *("account_id", "seq", "id", "type", "amount", "balance_after", "actor_kind", "actor_user_id", "request_id"),
    *("service", "quantity", "price_version", "description", "metadata", "command_key", "reverses_seq", "hash"),
    "created_at",
)
ALLOCATION_COLUMNS = ("account_id", "entry_seq", "grant_id", "amount")
NEW_LOTS = """
INSERT INTO credit_grants (account_id, id, kind, priority, amount, remaining, held, service, cost_minor,
                           cost_currency, source_type, source_ref, effective_at, expires_at, created_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::bigint[], $6::bigint[],
                          $7::bigint[], $8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[],
                          $13::timestamptz[], $14::timestamptz[], $13::timestamptz[])
"""
MOVE = """
WITH lots AS (
    UPDATE credit_grants SET remaining = moved.remaining, held = moved.held
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS moved(account_id, id, remaining, held)
    WHERE credit_grants.account_id = moved.account_id AND credit_grants.id = moved.id
), accounts AS (
    UPDATE credit_accounts
    SET seq = n.seq, balance = n.balance, held = n.held, debt = n.debt, granted = n.granted, spent = n.spent,
        expired = n.expired, voided = n.voided, transferred_out = n.transferred_out, last_hash = n.last_hash,
        period_started_at = n.period_started_at, next_reset_at = n.next_reset_at, updated_at = n.updated_at
    FROM unnest($5::uuid[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
                $12::bigint[], $13::bigint[], $14::bigint[], $15::bytea[], $16::timestamptz[], $17::timestamptz[],
                $18::timestamptz[])
         AS n(id, seq, balance, held, debt, granted, spent, expired, voided, transferred_out, last_hash,
              period_started_at, next_reset_at, updated_at)
    WHERE credit_accounts.id = n.id
), usage AS (
    INSERT INTO credit_usage_days AS d (account_id, day, service, actor_user_id, credits, entries)
    SELECT * FROM unnest($19::uuid[], $20::date[], $21::text[], $22::uuid[], $23::bigint[], $24::bigint[])
    ON CONFLICT (account_id, day, service, actor_user_id)
    DO UPDATE SET credits = d.credits + excluded.credits, entries = d.entries + excluded.entries
)
SELECT pg_notify($25, payload) FROM unnest($26::text[]) AS payload
"""
READ_ENTRIES = """
SELECT account_id, seq, id, type, amount, balance_after, actor_kind, actor_user_id, request_id, service, quantity,
       price_version, description, metadata, command_key, reverses_seq, hash, created_at
FROM credit_entries JOIN unnest($1::uuid[], $2::bigint[]) AS asked(account_id, seq) USING (account_id, seq)
"""
