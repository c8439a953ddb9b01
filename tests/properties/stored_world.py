"""The store on PostgreSQL, and what its tables say."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from pm_api.core.db import Database
from pm_api.domains.ai_credits import sql, store
from pm_api.domains.ai_credits.book import Allocation, By, Cap, Entry, LotFacts, canonical_json
from pm_api.domains.ai_credits.commands import Command
from pm_api.domains.ai_credits.enums import AccountKind, HoldStatus
from tests.properties.ledger_sights import (
    LOT_SUMS,
    TOTALS,
    Chain,
    Days,
    Names,
    Sight,
    lot_sight,
    made_facts,
    period_of,
)
from tests.properties.naive_parts import HoldSight, Line, LowBalance, NaiveAnswer

ACCOUNTS = "SELECT * FROM credit_accounts WHERE id = ANY($1::uuid[])"
LOTS = "SELECT * FROM credit_grants WHERE account_id = ANY($1::uuid[]) ORDER BY id"
HOLDS = """
SELECT h.*, (
    SELECT coalesce(json_object_agg(l.grant_id, l.amount), '{}') FROM credit_hold_lots l
    WHERE l.account_id = h.account_id AND l.hold_id = h.id
) AS parts
FROM credit_holds h WHERE h.account_id = ANY($1::uuid[]) ORDER BY h.id
"""
LINES = """
SELECT e.*, (
    SELECT coalesce(json_agg(json_build_array(a.grant_id, a.amount)), '[]') FROM credit_allocations a
    WHERE a.account_id = e.account_id AND a.entry_seq = e.seq
) AS moves
FROM credit_entries e JOIN unnest($1::uuid[], $2::bigint[]) AS known(account_id, seq)
    ON e.account_id = known.account_id AND e.seq > known.seq
ORDER BY e.account_id, e.seq
"""
CAP_USAGE = "SELECT * FROM credit_cap_usage WHERE account_id = ANY($1::uuid[])"
ALERTS = "SELECT * FROM credit_alerts WHERE account_id = ANY($1::uuid[])"
DAYS = "SELECT * FROM credit_usage_days WHERE account_id = ANY($1::uuid[])"
USER = """
INSERT INTO users (id, email, name, is_admin, locale, time_zone, version, created_at, updated_at)
VALUES ($1, $3, 'Somebody', false, 'en', 'UTC', 1, $2, $2)
"""
WORKSPACE = """
INSERT INTO workspaces (id, name, slug, version, created_at, updated_at) VALUES ($1, 'Team', $3, 1, $2, $2)
"""


@dataclass
class Bench:
    """One database for all examples of a run: each takes accounts of its own."""

    connection: asyncpg.Connection
    database: Database
    ids: Callable[[], UUID]


class StoredWorld:
    """The store on PostgreSQL: through a connection of its own as the writer does, or through a session."""

    def __init__(self, bench: Bench, kinds: Mapping[UUID, AccountKind], *, session: bool) -> None:
        self._bench = bench
        self._kinds = kinds
        self._session = session
        self._names = {account_id: Names() for account_id in kinds}
        self._chains = {account_id: Chain() for account_id in kinds}
        self._lines: dict[UUID, list[Line]] = {account_id: [] for account_id in kinds}
        self._sights: dict[UUID, Sight] = {}
        self.days: dict[UUID, Days] = {}
        self.conflicts = 0

    async def open(self, now: datetime) -> None:
        for account_id, kind in self._kinds.items():
            statement = USER if kind is AccountKind.USER else WORKSPACE
            await self._bench.connection.execute(statement, account_id, now, str(account_id))

    async def set_caps(self, account_id: UUID, caps: Sequence[Cap], now: datetime) -> None:
        connection = self._bench.connection
        await connection.execute("DELETE FROM credit_caps WHERE account_id = $1", account_id)
        await connection.executemany(
            "INSERT INTO credit_caps (account_id, subject, cap_window, amount, version, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, 1, $5, $5)",
            [(account_id, cap.subject, str(cap.window), cap.limit, now) for cap in caps],
        )
        await connection.execute("UPDATE credit_accounts SET capped = $2 WHERE id = $1", account_id, bool(caps))

    async def run(self, commands: Sequence[Command], now: datetime, sweep: Iterable[UUID] = ()) -> list[NaiveAnswer]:
        orders = [
            store.Order(self._kinds[one.account_id], self._names[one.account_id].command(one)) for one in commands
        ]
        answers = await self._commit(orders, now, list(sweep))
        await self._look()
        return [
            NaiveAnswer(self._names[command.account_id].result(answer.result), answer.replayed)
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def _commit(self, orders: Sequence[store.Order], now: datetime, sweep: list[UUID]) -> list[store.Answer]:
        if self._session:
            async with self._bench.database.transaction() as session:
                return await self._apply(sql.SessionStatements(session), orders, now, sweep, optimistic=False)
        statements = sql.ConnectionStatements(self._bench.connection)
        with suppress(store.KeyConflict):
            async with self._bench.connection.transaction():
                return await self._apply(statements, orders, now, sweep, optimistic=True)
        self.conflicts += 1
        async with self._bench.connection.transaction():
            return await self._apply(statements, orders, now, sweep, optimistic=False)

    async def _apply(
        self,
        statements: sql.Statements,
        orders: Sequence[store.Order],
        now: datetime,
        sweep: list[UUID],
        *,
        optimistic: bool,
    ) -> list[store.Answer]:
        return await store.run(statements, orders, lambda: now, self._bench.ids, optimistic=optimistic, sweep=sweep)

    async def _look(self) -> None:
        """Read every table of the accounts, and prove what has to hold of their rows whatever the rules say."""
        fetch, wanted = self._bench.connection.fetch, list(self._kinds)
        accounts = {row["id"]: row for row in await fetch(ACCOUNTS, wanted)}
        lots, holds = await fetch(LOTS, wanted), await fetch(HOLDS, wanted)
        known = [len(self._lines[account_id]) for account_id in wanted]
        lines = await fetch(LINES, wanted, known)
        used, alerts, days = await fetch(CAP_USAGE, wanted), await fetch(ALERTS, wanted), await fetch(DAYS, wanted)
        self._sights.clear()
        for account_id, account in accounts.items():
            self._sights[account_id] = self._see(
                account, *(_of(account_id, rows) for rows in (lots, holds, lines, used, alerts))
            )
            self.days[account_id] = {
                (row["day"], row["service"], row["actor_user_id"]): (row["credits"], row["entries"], row["refunded"])
                for row in _of(account_id, days)
            }

    def _see(
        self,
        account: asyncpg.Record,
        lots: list[asyncpg.Record],
        holds: list[asyncpg.Record],
        lines: list[asyncpg.Record],
        used: list[asyncpg.Record],
        alerts: list[asyncpg.Record],
    ) -> Sight:
        names = self._names[account["id"]]
        names.learn((row["id"] for row in lots), (row["id"] for row in holds))
        facts = {row["id"]: _stored_facts(row) for row in lots}
        for row in lines:
            entry = _stored_entry(row)
            self._chains[account["id"]].add(entry, made_facts(entry, facts))
            self._lines[account["id"]].append(names.line(entry))
        parts = {row["id"]: {UUID(id): part for id, part in orjson.loads(row["parts"]).items()} for row in holds}
        check_rows(account, lots, holds, parts)
        assert account["last_hash"] == self._chains[account["id"]].last
        return Sight(
            totals={name: account[name] for name in TOTALS},
            seq=account["seq"],
            debt=account["debt"],
            period=period_of(account["period_started_at"], account["next_reset_at"]),
            changed_at=account["updated_at"],
            alerting=(account["alert_base"], account["alerted_percent"]),
            open_holds=account["open_holds"],
            lots=[lot_sight(names.lots[row["id"]], row) for row in lots],
            holds=[
                HoldSight(
                    *(names.holds[row["id"]], HoldStatus(row["status"]), row["amount"], row["captured"]),
                    *(row["service"], row["description"], row["expires_at"], row["created_at"]),
                )
                for row in holds
            ],
            parts={
                names.holds[row["id"]]: {names.lots[lot_id]: part for lot_id, part in parts[row["id"]].items()}
                for row in holds
                if row["status"] == HoldStatus.OPEN
            },
            used={(row["subject"], row["cap_window"], row["starts_at"]): row["used"] for row in used if row["used"]},
            low_balances=sorted((_low_balance(row) for row in alerts), key=lambda one: one.seq),
            new_lines=[],
        )

    def sight(self, account_id: UUID, known_lines: int) -> Sight | None:
        """None for an account that was never opened."""
        seen = self._sights.get(account_id)
        return seen._replace(new_lines=self._lines[account_id][known_lines:]) if seen else None


def _of(account_id: UUID, rows: Iterable[asyncpg.Record]) -> list[asyncpg.Record]:
    return [row for row in rows if row["account_id"] == account_id]


def _low_balance(row: asyncpg.Record) -> LowBalance:
    details = orjson.loads(row["details"])
    return LowBalance(details["percent"], details["available"], details["base"], int(row["reference"]))


def _stored_facts(row: asyncpg.Record) -> LotFacts:
    return (
        *(row["kind"], row["amount"], row["service"], row["effective_at"], row["expires_at"]),
        *(row["cost_minor"], row["cost_currency"], row["source_type"], row["source_ref"]),
    )


def _stored_entry(row: asyncpg.Record) -> Entry:
    return Entry(
        account_id=row["account_id"],
        seq=row["seq"],
        id=row["id"],
        type=row["type"],
        amount=row["amount"],
        balance_after=row["balance_after"],
        by=By(row["actor_kind"], row["actor_user_id"], row["request_id"]),
        service=row["service"],
        quantity=row["quantity"],
        price_version=row["price_version"],
        description=row["description"],
        details=canonical_json(orjson.loads(row["metadata"])),
        command_key=row["command_key"],
        reverses_seq=row["reverses_seq"],
        created_at=row["created_at"],
        allocations=tuple(Allocation(UUID(id), credits) for id, credits in orjson.loads(row["moves"])),
        hash=bytes(row["hash"]),
        hold_id=row["hold_id"],
        debt_after=row["debt_after"],
    )


def check_rows(
    account: asyncpg.Record,
    lots: Sequence[asyncpg.Record],
    holds: Sequence[asyncpg.Record],
    parts: Mapping[UUID, Mapping[UUID, int]],
) -> None:
    """Closed identities, nothing below zero, and what is held is what open holds have."""
    held: Counter[UUID] = Counter()
    for hold in holds:
        left = hold["amount"] - hold["captured"] if hold["status"] == HoldStatus.OPEN else 0
        assert sum(parts[hold["id"]].values()) == left, hold
        assert all(part > 0 for part in parts[hold["id"]].values()), hold
        held.update(parts[hold["id"]])
    gone = ("spent", "expired", "voided", "transferred_out")
    for lot in lots:
        assert lot["amount"] == lot["remaining"] + sum(lot[name] for name in gone), lot
        assert 0 <= lot["held"] <= lot["remaining"], lot
        assert lot["held"] == held[lot["id"]], lot
        assert all(lot[name] >= 0 for name in LOT_SUMS), lot
        assert lot["clawed_back"] >= lot["clawed_as_debt"] + lot["clawed_elsewhere"], lot
    assert account["granted"] == account["balance"] + sum(account[name] for name in gone), account
    assert account["granted"] == sum(lot["amount"] for lot in lots), account
    assert account["balance"] == sum(lot["remaining"] for lot in lots), account
    assert account["held"] == sum(held.values()), account
    assert account["open_holds"] == sum(hold["status"] == HoldStatus.OPEN for hold in holds), account
    assert account["debt"] >= 0, account
