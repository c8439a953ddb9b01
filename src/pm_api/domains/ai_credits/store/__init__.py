"""Between the engine and the tables: lock, load, run, write, with one bulk statement per table.

Works over any connection that can run SQL: the writer's own, or a caller's session. The account rows are locked in id
order; what they protect is read in the statements after.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pm_api.domains.ai_credits import engine, sql
from pm_api.domains.ai_credits.book import Applied, Outcome, Refused
from pm_api.domains.ai_credits.store import loading, writing
from pm_api.domains.ai_credits.store.answers import (
    Answer,
    Ended,
    Kept,
    Key,
    KeyConflict,
    KeyReused,
    Order,
    claim_first,
    stored_answer,
    write_commands,
)
from pm_api.domains.ai_credits.store.writing import (
    BALANCE_CHANNEL,
    DELIVER_ALERTS,
    NO_SERVICE,
    NOBODY,
    AlertsWritten,
    UsageKey,
    usage_key,
)

__all__ = [
    "BALANCE_CHANNEL",
    "DELIVER_ALERTS",
    "NOBODY",
    "NO_SERVICE",
    "AlertsWritten",
    "Answer",
    "KeyConflict",
    "KeyReused",
    "Order",
    "UsageKey",
    "run",
    "stored_answer",
    "usage_key",
]


async def run(
    statements: sql.Statements,
    orders: Sequence[Order],
    clock: Callable[[], datetime],
    new_id: Callable[[], UUID],
    *,
    optimistic: bool,
    sweep: Iterable[UUID] = (),
) -> list[Answer]:
    """Apply commands in the transaction behind `statements`, and post what has run out on the `sweep` accounts.

    Optimistic: keys are claimed together with their results, in one insert; raises KeyConflict when one of them was
    used before, and the caller must roll back. Otherwise keys are claimed first and settled after.
    """
    first: dict[Key, Order] = {}
    for order in orders:
        first.setdefault((order.command.account_id, order.command.key), order)
    kinds = {order.command.account_id: order.kind for order in first.values()}
    states = await loading.lock(statements, kinds, sweep, clock)
    # Only now: while a lock was waited for, somebody else's grant may have come.
    now = clock()
    await loading.load(statements, states, [order.command for order in first.values()], now)
    replayed: dict[Key, Kept] = {}
    if not optimistic:
        replayed = await claim_first(statements, first, now)
    by_account: dict[UUID, list[Order]] = {account_id: [] for account_id in states}
    for key, order in first.items():
        if key not in replayed:
            by_account[key[0]].append(order)
    outcomes: list[Outcome] = []
    ended: list[Ended] = []
    for account_id, fresh in by_account.items():
        outcome = engine.apply(states[account_id], [order.command for order in fresh], now, new_id)
        outcomes.append(outcome)
        ended += zip(fresh, outcome.results, strict=True)
    await write_commands(statements, ended, now, optimistic=optimistic)
    await writing.write(statements, [outcome for outcome in outcomes if outcome.changed])
    fresh_answers = {id(order): Answer(result, replayed=False) for order, result in ended}
    if len(fresh_answers) == len(orders):
        return [fresh_answers[id(order)] for order in orders]
    results = {(order.command.account_id, order.command.key): result for order, result in ended}
    return [
        fresh_answers.pop(id(order)) if id(order) in fresh_answers else _repeated(order, first, results, replayed)
        for order in orders
    ]


def _repeated(
    order: Order,
    first: Mapping[Key, Order],
    results: Mapping[Key, Applied | Refused],
    replayed: Mapping[Key, Kept],
) -> Answer:
    """The answer to a key that another order of this batch, or of an earlier one, has claimed."""
    key = (order.command.account_id, order.command.key)
    if key in replayed:
        fingerprint, answer = replayed[key]
    else:
        fingerprint, answer = first[key].command.fingerprint, Answer(results[key], replayed=True)
    return answer if order.command.fingerprint == fingerprint else Answer(KeyReused(), replayed=True)
