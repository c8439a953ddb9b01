"""The sandbox's memory: objects and events, keys already used, deliveries, faults and the request log, in SQLite.

Calls are synchronous and short. They run on the event loop, one after the other, which is what makes each of
them atomic; `transaction` makes a group of them survive a crash whole or not at all.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pm_api.sandbox.stripe.objects.common import Json

REQUEST_LOG_LIMIT = 10_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    object TEXT NOT NULL,
    created INTEGER NOT NULL,
    parent TEXT,
    frozen INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_newest ON objects (object, created, sequence);
CREATE INDEX IF NOT EXISTS objects_parent ON objects (parent, sequence);
CREATE TABLE IF NOT EXISTS deliveries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    url TEXT NOT NULL,
    attempted_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event_id, sequence);
CREATE TABLE IF NOT EXISTS outbox (
    event_id TEXT PRIMARY KEY,
    attempts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER,
    body TEXT
);
CREATE TABLE IF NOT EXISTS faults (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    remaining INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS timers (
    object_id TEXT NOT NULL,
    action TEXT NOT NULL,
    at INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    clock TEXT NOT NULL,
    PRIMARY KEY (object_id, action)
);
CREATE INDEX IF NOT EXISTS timers_due ON timers (clock, at, rank);
CREATE TABLE IF NOT EXISTS settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
"""
TABLES = ("objects", "deliveries", "outbox", "idempotency_keys", "faults", "requests", "timers", "settings")
# A request that was under way when the process ended has no answer to remember.
FORGET_UNFINISHED = "DELETE FROM idempotency_keys WHERE status IS NULL"


@dataclass(frozen=True)
class Condition:
    """A piece of WHERE over `objects`, written in this package only, and the values it binds."""

    sql: str
    values: tuple[str | int | None, ...] = ()


@dataclass(frozen=True)
class Cursor:
    object_id: str
    forward: bool


@dataclass(frozen=True)
class Timer:
    """What becomes due for an object at a moment; of those due at one moment the lower rank goes first."""

    object_id: str
    action: str
    at: int
    rank: int


@dataclass(frozen=True)
class RememberedAnswer:
    endpoint: str
    fingerprint: str
    created: int
    request_id: str
    status: int | None
    body: str | None


@dataclass(frozen=True)
class Delivery:
    """One attempt to hand an event over; `status` is None when no answer came."""

    event_id: str
    url: str
    attempted_at: int
    duration_ms: int
    status: int | None
    error: str | None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def field_is(field: str, value: str | int | bool) -> Condition:
    """The object's (nested) field equals the value; `field` is a path such as `recurring.interval`."""
    return Condition("json_extract(body, ?) = ?", (f"$.{field}", value))


def delivered(wanted: bool) -> Condition:
    """Whether some attempt was answered 2xx. An event that nobody was ever told of counts as undelivered."""
    found = "EXISTS (SELECT 1 FROM deliveries WHERE event_id = objects.id AND status BETWEEN 200 AND 299)"
    return Condition(found if wanted else f"NOT {found}")


class Store:
    """Opens (and creates) the file, or `:memory:`. One store belongs to one running application."""

    def __init__(self, path: str) -> None:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)
        self._connection.execute(FORGET_UNFINISHED)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Never hold it across an await: the next request would write into it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def reset(self) -> None:
        with self.transaction():
            for table in TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the tuple above

    # Objects

    def save(self, body: Json, *, parent: str | None = None, frozen: bool = False) -> Json:
        """Insert, or replace the body in place: an object keeps its rank in lists and its parent.

        A frozen object was put here as it is, and time does not change it.
        A body without `created` (a line item, a deleted object) ranks as it did before.
        """
        self._connection.execute(
            "INSERT INTO objects (id, object, created, parent, frozen, body) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET object = excluded.object, "
            "created = coalesce(nullif(excluded.created, 0), created), "
            "parent = coalesce(excluded.parent, parent), frozen = max(excluded.frozen, frozen), body = excluded.body",
            (body["id"], body["object"], int(body.get("created") or 0), parent, frozen, json.dumps(body)),
        )
        return body

    def find(self, object_id: str, object_name: str | None = None) -> Json | None:
        row = self._one(
            "SELECT body FROM objects WHERE id = ? AND object = coalesce(?, object)", (object_id, object_name)
        )
        return None if row is None else _decoded(row["body"])

    def is_frozen(self, object_id: str) -> bool:
        return self._one("SELECT 1 FROM objects WHERE id = ? AND frozen", (object_id,)) is not None

    def children(self, parent: str, object_name: str | None = None) -> list[Json]:
        """Those of one kind, or all, in the order in which they were added."""
        rows = self._all(
            "SELECT body FROM objects WHERE parent = ? AND object = coalesce(?, object) ORDER BY sequence",
            (parent, object_name),
        )
        return [_decoded(row["body"]) for row in rows]

    def delete_children(self, parent: str) -> None:
        self._connection.execute("DELETE FROM objects WHERE parent = ?", (parent,))

    def page(
        self,
        object_name: str,
        *,
        conditions: Sequence[Condition] = (),
        cursor: Cursor | None = None,
        limit: int = 10,
    ) -> tuple[list[Json], bool]:
        """Newest first, and whether there is more in the direction of the cursor. The cursor must exist."""
        pieces = [Condition("object = ?", (object_name,)), *conditions]
        forward = cursor is None or cursor.forward
        if cursor is not None:
            place = self._one("SELECT created, sequence FROM objects WHERE id = ?", (cursor.object_id,))
            assert place is not None
            comparison = "<" if forward else ">"
            pieces.append(Condition(f"(created, sequence) {comparison} (?, ?)", tuple(place)))
        where = " AND ".join(piece.sql for piece in pieces)
        values = [value for piece in pieces for value in piece.values]
        direction = "DESC" if forward else "ASC"
        rows = self._all(
            f"SELECT body FROM objects WHERE {where} "  # noqa: S608 - conditions are this package's own text
            f"ORDER BY created {direction}, sequence {direction} LIMIT ?",
            [*values, limit + 1],
        )
        bodies = [_decoded(row["body"]) for row in rows[:limit]]
        return (bodies if forward else bodies[::-1]), len(rows) > limit

    def all(self, object_name: str, conditions: Sequence[Condition] = ()) -> list[Json]:
        """Every object of a kind that meets the conditions, oldest first."""
        pieces = [Condition("object = ?", (object_name,)), *conditions]
        where = " AND ".join(piece.sql for piece in pieces)
        rows = self._all(
            f"SELECT body FROM objects WHERE {where} ORDER BY created, sequence",  # noqa: S608 - as in `page`
            [value for piece in pieces for value in piece.values],
        )
        return [_decoded(row["body"]) for row in rows]

    def remove(self, object_id: str) -> None:
        """The object, what hangs on it and its timers; it was never there."""
        self.delete_children(object_id)
        self._connection.execute("DELETE FROM objects WHERE id = ?", (object_id,))
        self._connection.execute("DELETE FROM timers WHERE object_id = ?", (object_id,))

    # Timers and settings

    def set_timers(self, object_id: str, clock: str | None, timers: Sequence[Timer]) -> None:
        """Exactly these timers for the object; `clock` is its test clock, None the world's own time."""
        self._connection.execute("DELETE FROM timers WHERE object_id = ?", (object_id,))
        self._connection.executemany(
            "INSERT INTO timers (object_id, action, at, rank, clock) VALUES (?, ?, ?, ?, ?)",
            [(object_id, timer.action, timer.at, timer.rank, clock or "") for timer in timers],
        )

    def next_timer(self, clock: str | None, until: int) -> Timer | None:
        row = self._one(
            "SELECT object_id, action, at, rank FROM timers WHERE clock = ? AND at <= ? "
            "ORDER BY at, rank, object_id, action LIMIT 1",
            (clock or "", until),
        )
        return None if row is None else Timer(*row)

    def drop_timer(self, timer: Timer) -> None:
        self._connection.execute(
            "DELETE FROM timers WHERE object_id = ? AND action = ?", (timer.object_id, timer.action)
        )

    def setting(self, name: str) -> str | None:
        row = self._one("SELECT value FROM settings WHERE name = ?", (name,))
        return None if row is None else str(row["value"])

    def set_setting(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    # Idempotency keys

    def remembered(self, key: str) -> RememberedAnswer | None:
        row = self._one(
            "SELECT endpoint, fingerprint, created, request_id, status, body FROM idempotency_keys WHERE key = ?",
            (key,),
        )
        return None if row is None else RememberedAnswer(*row)

    def claim_key(self, key: str, *, endpoint: str, fingerprint: str, created: int, request_id: str) -> None:
        self._connection.execute(
            "INSERT INTO idempotency_keys (key, endpoint, fingerprint, created, request_id) VALUES (?, ?, ?, ?, ?)",
            (key, endpoint, fingerprint, created, request_id),
        )

    def remember(self, key: str, *, status: int, body: str) -> None:
        self._connection.execute(
            "UPDATE idempotency_keys SET status = ?, body = ? WHERE key = ?", (status, body, key)
        )

    def forget_key(self, key: str) -> None:
        self._connection.execute("DELETE FROM idempotency_keys WHERE key = ?", (key,))

    def forget_keys_before(self, created: int) -> None:
        self._connection.execute("DELETE FROM idempotency_keys WHERE created < ?", (created,))

    # Deliveries

    def queue(self, event_id: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO outbox (event_id, attempts) VALUES (?, 0)", (event_id,))

    def queued(self) -> dict[str, int]:
        """Event ids still to be handed over, with the attempts made so far."""
        return {row["event_id"]: row["attempts"] for row in self._all("SELECT event_id, attempts FROM outbox")}

    def attempts_made(self, event_id: str) -> int | None:
        """None when the event is not owed."""
        row = self._one("SELECT attempts FROM outbox WHERE event_id = ?", (event_id,))
        return None if row is None else int(row["attempts"])

    def count_attempt(self, event_id: str) -> None:
        self._connection.execute("UPDATE outbox SET attempts = attempts + 1 WHERE event_id = ?", (event_id,))

    def dequeue(self, event_id: str) -> None:
        self._connection.execute("DELETE FROM outbox WHERE event_id = ?", (event_id,))

    def log_delivery(self, delivery: Delivery) -> None:
        self._connection.execute(
            "INSERT INTO deliveries (event_id, url, attempted_at, duration_ms, status, error) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                delivery.event_id,
                delivery.url,
                delivery.attempted_at,
                delivery.duration_ms,
                delivery.status,
                delivery.error,
            ),
        )

    def deliveries(self, event_id: str) -> list[Delivery]:
        rows = self._all(
            "SELECT event_id, url, attempted_at, duration_ms, status, error FROM deliveries "
            "WHERE event_id = ? ORDER BY sequence",
            (event_id,),
        )
        return [Delivery(*row) for row in rows]

    def is_delivered(self, event_id: str) -> bool:
        row = self._one(
            "SELECT 1 FROM deliveries WHERE event_id = ? AND status BETWEEN 200 AND 299 LIMIT 1", (event_id,)
        )
        return row is not None

    # Faults and the request log

    def add_fault(self, body: Json, *, times: int) -> None:
        self._connection.execute("INSERT INTO faults (remaining, body) VALUES (?, ?)", (times, json.dumps(body)))

    def faults(self) -> list[tuple[int, int, Json]]:
        """(sequence, remaining, switch), oldest first."""
        rows = self._all("SELECT sequence, remaining, body FROM faults WHERE remaining > 0 ORDER BY sequence")
        return [(row["sequence"], row["remaining"], _decoded(row["body"])) for row in rows]

    def use_fault(self, sequence: int) -> None:
        self._connection.execute("UPDATE faults SET remaining = remaining - 1 WHERE sequence = ?", (sequence,))

    def clear_faults(self) -> None:
        self._connection.execute("DELETE FROM faults")

    def log_request(self, body: Json) -> None:
        cursor = self._connection.execute("INSERT INTO requests (body) VALUES (?)", (json.dumps(body),))
        oldest_kept = (cursor.lastrowid or 0) - REQUEST_LOG_LIMIT
        self._connection.execute("DELETE FROM requests WHERE sequence <= ?", (oldest_kept,))

    def requests(self, limit: int) -> list[Json]:
        """The newest `limit` requests, oldest of them first."""
        rows = self._all("SELECT body FROM requests ORDER BY sequence DESC LIMIT ?", (limit,))
        return [_decoded(row["body"]) for row in reversed(rows)]

    def _one(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()


def _decoded(body: str) -> Json:
    decoded: Json = json.loads(body)
    return decoded
