"""What has arrived: the newest mails, in one SQLite file, never more than a bound."""

import email
import email.policy
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Final, Literal

MOST_MAILS: Final = 500
MOST_BYTES: Final = 50 * 1024 * 1024
PAGE_LENGTH: Final = 50

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at REAL NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    source BLOB NOT NULL
);
"""

FaultKind = Literal["transient", "permanent", "disconnect", "lose_answer"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Strikes the next `times` mails (to `recipient`, when one is named).

    transient answers 451, permanent 550, disconnect hangs up, lose_answer keeps the mail and then hangs up.
    """

    kind: FaultKind
    times: int
    recipient: str | None = None


class Faults:
    """One switch at a time."""

    def __init__(self) -> None:
        self._fault: Fault | None = None

    @property
    def current(self) -> Fault | None:
        return self._fault

    def set(self, fault: Fault | None) -> None:
        self._fault = fault

    def take(self, recipients: Sequence[str]) -> FaultKind | None:
        """What is to go wrong with a mail to these, counted off."""
        fault = self._fault
        if fault is None or fault.recipient not in {None, *recipients}:
            return None
        self._fault = Fault(fault.kind, fault.times - 1, fault.recipient) if fault.times > 1 else None
        return fault.kind


@dataclass(frozen=True, slots=True)
class Received:
    """One mail as it came in."""

    id: int
    received_at: datetime
    sender: str
    recipient: str
    subject: str
    source: bytes

    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.source, policy=email.policy.default)

    def part(self, subtype: str) -> str:
        """The text of its `plain` or `html` part; empty when it has none."""
        found = self.message().get_body((subtype,))
        if found is None:
            return ""
        try:
            return str(found.get_content())
        except LookupError:  # a charset nobody knows
            payload = found.get_payload(decode=True)
            return payload.decode("latin-1") if isinstance(payload, bytes) else ""


class Mailbox:
    """`path` may be `:memory:`. Used from one event loop."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def add(self, sender: str, recipient: str, source: bytes, received_at: float) -> None:
        """Keep a mail; the oldest go beyond the bounds."""
        parsed = email.message_from_bytes(source, policy=email.policy.default)
        try:
            subject = str(parsed["subject"] or "")
        except (ValueError, IndexError, AttributeError):
            # The library stumbles over some hostile headers; the source still shows them.
            subject = "(unreadable)"
        with self._database:
            self._database.execute(
                "INSERT INTO mails (received_at, sender, recipient, subject, source) VALUES (?, ?, ?, ?, ?)",
                (received_at, sender, recipient, subject, source),
            )
            self._database.execute(
                "DELETE FROM mails WHERE id <= (SELECT id FROM mails ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (MOST_MAILS,),
            )
            self._database.execute(
                "DELETE FROM mails WHERE id IN (SELECT id FROM (SELECT id, sum(length(source)) OVER"
                " (ORDER BY id DESC) AS total FROM mails) WHERE total > ?)",
                (MOST_BYTES,),
            )

    def find(self, mail_id: int) -> Received | None:
        row = self._database.execute(
            "SELECT id, received_at, sender, recipient, subject, source FROM mails WHERE id = ?", (mail_id,)
        ).fetchone()
        return None if row is None else _received(row)

    def page(self, *, to: str = "", before: int | None = None, limit: int = PAGE_LENGTH) -> list[Received]:
        """Newest first; `to` is a part of the recipient's address."""
        rows = self._database.execute(
            "SELECT id, received_at, sender, recipient, subject, source FROM mails"
            " WHERE (? = '' OR instr(lower(recipient), lower(?)) > 0) AND (? IS NULL OR id < ?)"
            " ORDER BY id DESC LIMIT ?",
            (to, to, before, before, limit),
        ).fetchall()
        return [_received(row) for row in rows]

    def clear(self) -> None:
        self._database.execute("DELETE FROM mails")


def _received(row: tuple[int, float, str, str, str, bytes]) -> Received:
    mail_id, received_at, sender, recipient, subject, source = row
    return Received(mail_id, datetime.fromtimestamp(received_at, UTC), sender, recipient, subject, source)
