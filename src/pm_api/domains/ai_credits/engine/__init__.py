"""The rules of the ledger as pure functions: no session, no clock, no I/O.

`apply(state, commands, now, new_id)` returns the new state, the entries to write and one result a command. Both doors
of the ledger run exactly this, and it can be property-tested without a database.

Burn-down order, total: service-limited lots first, then priority, earliest expiry (none last), promotional before
paid, effective_at, id.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pm_api.domains.ai_credits import commands as orders
from pm_api.domains.ai_credits.book import AccountState, Outcome, Result
from pm_api.domains.ai_credits.commands import Command
from pm_api.domains.ai_credits.engine import corrections, debits, grants, holds
from pm_api.domains.ai_credits.engine.chain import chain_hash
from pm_api.domains.ai_credits.engine.working import SYSTEM, Book

__all__ = ["SYSTEM", "apply", "chain_hash"]

_RULES: Final[Mapping[type, Callable[[Book, Any], Result]]] = {
    orders.Spend: debits.spend,
    orders.Transfer: debits.transfer,
    orders.Void: debits.void,
    orders.Grant: grants.grant,
    orders.PlaceHold: holds.place,
    orders.Capture: holds.capture,
    orders.Release: holds.release,
    orders.Extend: holds.extend,
    orders.Reverse: corrections.reverse,
    orders.ClawBack: corrections.claw_back,
}


def apply(state: AccountState, commands: Sequence[Command], now: datetime, new_id: Callable[[], UUID]) -> Outcome:
    """Run commands in order against one account. The given state is left as it was.

    A book never runs backwards: when its last line is later than `now` (another host's clock is ahead), that moment
    counts. Otherwise a spend could miss the grant that stands one line above it.
    """
    now = max(now, state.updated_at or now)
    book = Book(state, now, new_id)
    holds.expire_due(book)
    book.expire_due()
    results = [_RULES[type(command)](book, command) for command in commands]
    return book.outcome(results)
