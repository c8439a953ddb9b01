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
       period_started_at, next_reset_at, updated_at, alert_base, alerted_percent, capped, open_holds
FROM credit_accounts WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""
OPEN = """
INSERT INTO credit_accounts (id, user_id, workspace_id, lead_id, created_at, updated_at)
SELECT id, CASE WHEN kind = 'USER' THEN id END, CASE WHEN kind = 'WORKSPACE' THEN id END,
       CASE WHEN kind = 'LEAD' THEN id END, $3, $3
FROM unnest($1::uuid[], $2::text[]) AS missing(id, kind) ORDER BY id
ON CONFLICT DO NOTHING
"""
_LOT = """
    g.account_id, g.id, g.kind, g.priority, g.amount, g.remaining, g.held, g.service, g.effective_at, g.expires_at,
    g.spent, g.expired, g.voided, g.transferred_out, g.clawed_back, g.clawed_as_debt, g.clawed_elsewhere,
    g.source_type, g.source_ref
"""
LOTS = f"""
SELECT {_LOT} FROM credit_grants g WHERE g.account_id = ANY($1::uuid[]) AND g.remaining > 0
"""  # noqa: S608  a list of columns
LOTS_BY_ID = f"""
SELECT {_LOT} FROM credit_grants g
JOIN unnest($1::uuid[], $2::uuid[]) AS asked(account_id, id) USING (account_id, id)
"""  # noqa: S608
LOTS_BY_SOURCE = f"""
SELECT {_LOT} FROM credit_grants g
JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS asked(account_id, source_type, source_ref)
    USING (account_id, source_type, source_ref)
"""  # noqa: S608
LOTS_OF_ENDING_PERIOD = f"""
SELECT {_LOT} FROM credit_grants g JOIN credit_accounts a ON a.id = g.account_id
WHERE g.account_id = ANY($1::uuid[]) AND g.kind = 'SUBSCRIPTION_GRANT' AND g.effective_at >= a.period_started_at
  AND g.expires_at > a.period_started_at
"""  # noqa: S608
HOLDS = """
SELECT account_id, id, status, amount, captured, service, quantity, price_version, description, metadata AS details,
       actor_user_id, expires_at, created_at, guarded
FROM credit_holds JOIN (
    SELECT h.account_id, h.id FROM credit_holds h JOIN credit_accounts a ON a.id = h.account_id
    WHERE h.account_id = ANY($1::uuid[]) AND h.status = 'OPEN' AND h.expires_at <= greatest($2, a.updated_at)
    UNION
    SELECT h.account_id, h.id FROM credit_holds h WHERE h.account_id = ANY($3::uuid[]) AND h.status = 'OPEN'
    UNION
    SELECT * FROM unnest($4::uuid[], $5::uuid[])
) AS wanted(account_id, id) USING (account_id, id)
"""
HOLD_PARTS = """
SELECT account_id, hold_id, grant_id, amount
FROM credit_hold_lots JOIN unnest($1::uuid[], $2::uuid[]) AS asked(account_id, hold_id) USING (account_id, hold_id)
"""
PAST_LINES = """
SELECT e.account_id, e.seq, e.type, e.created_at, e.actor_user_id, e.service,
       coalesce(h.created_at, e.created_at) AS counted_at,
       CASE WHEN h.id IS NULL THEN e.actor_user_id ELSE h.actor_user_id END AS counted_user_id
FROM credit_entries e
JOIN unnest($1::uuid[], $2::bigint[]) AS asked(account_id, seq) USING (account_id, seq)
LEFT JOIN credit_holds h ON h.account_id = e.account_id AND h.id = e.hold_id
"""
TAKEN = """
SELECT account_id, entry_seq AS seq, grant_id, -amount AS amount
FROM credit_allocations
JOIN unnest($1::uuid[], $2::bigint[]) AS asked(account_id, entry_seq) USING (account_id, entry_seq)
"""
# One entry after the other: planned as one join, statistics from before an account's first reversal read them all.
GIVEN_BACK = """
SELECT asked.account_id, asked.seq, back.grant_id, back.amount
FROM unnest($1::uuid[], $2::bigint[]) AS asked(account_id, seq)
CROSS JOIN LATERAL (
    SELECT a.grant_id, sum(a.amount)::bigint AS amount
    FROM credit_entries e
    JOIN credit_allocations a ON a.account_id = e.account_id AND a.entry_seq = e.seq
    WHERE e.account_id = asked.account_id AND e.reverses_seq = asked.seq AND e.reverses_seq > 0
        AND e.type IN ('REVERSAL', 'TRANSFER_IN')
    GROUP BY a.grant_id
) AS back
"""
CAPS = """
SELECT account_id, subject, cap_window, amount FROM credit_caps WHERE account_id = ANY($1::uuid[])
"""
CAP_USAGE = """
SELECT account_id, subject, cap_window, starts_at, used
FROM credit_cap_usage
JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
     AS asked(account_id, subject, cap_window, starts_at) USING (account_id, subject, cap_window, starts_at)
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
    *("created_at", "hold_id", "debt_after", "actor_key_id"),
)
ALLOCATION_COLUMNS = ("account_id", "entry_seq", "grant_id", "amount")
LOT_COLUMNS = (
    *("account_id", "id", "kind", "priority", "amount", "remaining", "held", "spent", "expired", "voided"),
    *("transferred_out", "clawed_back", "clawed_as_debt", "clawed_elsewhere", "service", "cost_minor"),
    *("cost_currency", "source_type", "source_ref", "effective_at", "expires_at", "created_at"),
)
HOLD_COLUMNS = (
    *("account_id", "id", "status", "amount", "captured", "service", "quantity", "price_version", "description"),
    *("metadata", "actor_user_id", "expires_at", "created_at", "guarded"),
)
HOLD_PART_COLUMNS = ("account_id", "hold_id", "grant_id", "amount")
ALERT_COLUMNS = ("account_id", "kind", "reference", "details", "created_at")
MOVE_HOLDS = """
UPDATE credit_holds SET status = moved.status, captured = moved.captured, expires_at = moved.expires_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[])
     AS moved(account_id, id, status, captured, expires_at)
WHERE credit_holds.account_id = moved.account_id AND credit_holds.id = moved.id
"""
DROP_HOLD_PARTS = """
DELETE FROM credit_hold_lots USING unnest($1::uuid[], $2::uuid[]) AS moved(account_id, hold_id)
WHERE credit_hold_lots.account_id = moved.account_id AND credit_hold_lots.hold_id = moved.hold_id
"""
COUNT = """
INSERT INTO credit_cap_usage (account_id, subject, cap_window, starts_at, used)
SELECT account_id, subject, cap_window, starts_at, greatest(0, moved + coalesce(used, 0))
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[])
     AS counted(account_id, subject, cap_window, starts_at, moved)
LEFT JOIN credit_cap_usage USING (account_id, subject, cap_window, starts_at)
ON CONFLICT (account_id, subject, cap_window, starts_at) DO UPDATE SET used = excluded.used
"""
MOVE = """
WITH lots AS (
    UPDATE credit_grants
    SET remaining = m.remaining, held = m.held, spent = m.spent, expired = m.expired, voided = m.voided,
        transferred_out = m.transferred_out, clawed_back = m.clawed_back, clawed_as_debt = m.clawed_as_debt,
        clawed_elsewhere = m.clawed_elsewhere
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
         AS m(account_id, id, remaining, held, spent, expired, voided, transferred_out, clawed_back, clawed_as_debt,
              clawed_elsewhere)
    WHERE credit_grants.account_id = m.account_id AND credit_grants.id = m.id
), accounts AS (
    UPDATE credit_accounts
    SET seq = n.seq, balance = n.balance, held = n.held, debt = n.debt, granted = n.granted, spent = n.spent,
        expired = n.expired, voided = n.voided, transferred_out = n.transferred_out, last_hash = n.last_hash,
        period_started_at = n.period_started_at, next_reset_at = n.next_reset_at, updated_at = n.updated_at,
        alert_base = n.alert_base, alerted_percent = n.alerted_percent, open_holds = n.open_holds
    FROM unnest($12::uuid[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],
                $19::bigint[], $20::bigint[], $21::bigint[], $22::bytea[], $23::timestamptz[], $24::timestamptz[],
                $25::timestamptz[], $26::bigint[], $27::smallint[], $28::integer[])
         AS n(id, seq, balance, held, debt, granted, spent, expired, voided, transferred_out, last_hash,
              period_started_at, next_reset_at, updated_at, alert_base, alerted_percent, open_holds)
    WHERE credit_accounts.id = n.id
), usage AS (
    INSERT INTO credit_usage_days AS d (account_id, day, service, actor_user_id, credits, entries, refunded)
    SELECT * FROM unnest($29::uuid[], $30::date[], $31::text[], $32::uuid[], $33::bigint[], $34::bigint[],
                         $35::bigint[])
    ON CONFLICT (account_id, day, service, actor_user_id)
    DO UPDATE SET credits = d.credits + excluded.credits, entries = d.entries + excluded.entries,
                  refunded = d.refunded + excluded.refunded
)
SELECT pg_notify($36, payload) FROM unnest($37::text[]) AS payload
"""
READ_ENTRIES = """
SELECT account_id, seq, id, type, amount, balance_after, actor_kind, actor_user_id, request_id, service, quantity,
       price_version, description, metadata, command_key, reverses_seq, hash, created_at, hold_id, debt_after,
       actor_key_id
FROM credit_entries JOIN unnest($1::uuid[], $2::bigint[]) AS asked(account_id, seq) USING (account_id, seq)
"""
READ_MADE_LOTS = """
SELECT account_id, entry_seq, grant_id, amount
FROM credit_allocations JOIN unnest($1::uuid[], $2::bigint[]) AS asked(account_id, entry_seq)
     USING (account_id, entry_seq)
"""
