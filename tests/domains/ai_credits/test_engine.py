"""The rules of the ledger, without a database."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import signature
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_api.domains.ai_credits import book, engine
from pm_api.domains.ai_credits.book import (
    AccountState,
    Applied,
    By,
    Lot,
    LotDraft,
    Outcome,
    Refusal,
    Refused,
)
from pm_api.domains.ai_credits.commands import Command, Grant, Spend
from pm_api.domains.ai_credits.enums import EntryType, LotKind

ACCOUNT = UUID(int=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BY = By("user", UUID(int=2), "request")


def ids() -> Callable[[], UUID]:
    numbers = count(1000)
    return lambda: UUID(int=next(numbers))


def lot(number: int, amount: int, kind: LotKind = LotKind.PURCHASE, **fields: object) -> Lot:
    values: dict[str, object] = {
        "id": UUID(int=number),
        "kind": kind,
        "priority": book.PRIORITY[kind],
        "amount": amount,
        "remaining": amount,
        "held": 0,
        "service": None,
        "effective_at": NOW - timedelta(days=1),
        "expires_at": None,
        **fields,
    }
    return Lot(**values)  # type: ignore[arg-type]  # the caller names real fields


def account(*lots: Lot) -> AccountState:
    total = sum(one.remaining for one in lots)
    return AccountState(ACCOUNT, balance=total, granted=total, lots=list(lots))


def spend(amount: int, key: str = "c:k", service: str | None = None) -> Spend:
    return Spend(ACCOUNT, key, b"f", BY, amount, "a spend", b"{}", service=service)


def grant(amount: int, kind: LotKind = LotKind.PURCHASE, key: str = "s:g", **fields: object) -> Grant:
    draft = LotDraft(kind, amount, "test", key, **fields)  # type: ignore[arg-type]
    return Grant(ACCOUNT, key, b"f", BY, (draft,), "a grant")


def run(state: AccountState, *commands: Command, now: datetime = NOW) -> Outcome:
    return engine.apply(state, commands, now, ids())


def taken(outcome: Outcome) -> list[tuple[int, int]]:
    """(lot number, credits taken) of the last entry, in order."""
    return [(move.lot_id.int, -move.amount) for move in outcome.entries[-1].allocations]


SOON, LATER = NOW + timedelta(days=2), NOW + timedelta(days=20)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            lot(2, 5, LotKind.GIFT, service="CHAT_ASSISTANT"), lot(1, 5, LotKind.FREE_TIER), id="service-limited"
        ),
        pytest.param(lot(2, 5, LotKind.FREE_TIER), lot(1, 5, LotKind.PURCHASE), id="priority"),
        pytest.param(lot(2, 5, expires_at=SOON), lot(1, 5, expires_at=LATER), id="earlier expiry"),
        pytest.param(lot(2, 5, expires_at=LATER), lot(1, 5), id="expiry before none"),
        pytest.param(
            lot(2, 5, expires_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)), lot(1, 5), id="9999 before none"
        ),
        pytest.param(
            lot(2, 5, LotKind.FREE_TIER, expires_at=SOON),
            lot(1, 5, LotKind.SUBSCRIPTION_GRANT, expires_at=SOON),
            id="promotional before paid",
        ),
        pytest.param(lot(2, 5, effective_at=NOW - timedelta(days=9)), lot(1, 5), id="older first"),
        pytest.param(lot(1, 5), lot(2, 5), id="id"),
    ],
)
def test_burn_down_order(first: Lot, second: Lot) -> None:
    for lots in ([first, second], [second, first]):
        outcome = run(account(*lots), spend(7, service="CHAT_ASSISTANT"))
        assert taken(outcome) == [(first.id.int, 5), (second.id.int, 2)]


def test_a_lot_for_one_service_pays_for_no_other() -> None:
    outcome = run(account(lot(1, 5, service="CHAT_ASSISTANT")), spend(1, service="TASK_GENERATION"))
    assert outcome.results == [Refused(Refusal.INSUFFICIENT_CREDITS, {"needed": 1, "available": 0}, "request")]


def test_a_spend_is_whole_or_not_at_all() -> None:
    outcome = run(account(lot(1, 2), lot(2, 2)), spend(5))
    assert outcome.results == [Refused(Refusal.INSUFFICIENT_CREDITS, {"needed": 5, "available": 4}, "request")]
    assert outcome.entries == []
    assert outcome.state.balance == 4


def test_held_and_future_credits_are_not_available() -> None:
    state = account(lot(1, 5, held=3), lot(2, 5, effective_at=NOW + timedelta(seconds=1)))
    assert state.available(NOW) == 2
    assert isinstance(run(state, spend(3)).results[0], Refused)
    assert isinstance(run(state, spend(7), now=NOW + timedelta(seconds=1)).results[0], Applied)


def test_expiry_is_exact_to_the_instant() -> None:
    state = account(lot(1, 5, expires_at=SOON))
    just_before = SOON - timedelta(microseconds=1)
    assert isinstance(run(state, spend(5), now=just_before).results[0], Applied)
    outcome = run(state, spend(5), now=SOON)
    assert isinstance(outcome.results[0], Refused)
    assert [(entry.type, entry.amount) for entry in outcome.entries] == [(EntryType.EXPIRY, -5)]
    assert outcome.entries[0].command_key == f"s:expire:{UUID(int=1)}"


def test_what_is_held_outlives_its_lot() -> None:
    outcome = run(account(lot(1, 5, held=2, expires_at=SOON)), now=SOON)
    assert outcome.state.lots[0].remaining == 2
    assert outcome.state.expired == 3


def test_a_grant_can_be_spent_by_the_next_command_of_the_batch() -> None:
    outcome = run(account(), grant(5), spend(5))
    assert [type(result) for result in outcome.results] == [Applied, Applied]
    assert outcome.state.balance == 0
    assert outcome.new_lots[0].lot.remaining == 0


def test_a_book_never_runs_backwards() -> None:
    """A host whose clock is behind still sees the grant that another host wrote a moment ago."""
    granted = run(account(), grant(5), now=SOON)
    granted.state.updated_at = granted.now
    outcome = engine.apply(granted.state, [spend(5)], NOW, ids())
    assert isinstance(outcome.results[0], Applied)
    assert outcome.entries[0].created_at == SOON


def test_a_plan_without_credits_begins_its_period_all_the_same() -> None:
    nothing = Grant(ACCOUNT, "s:plan", b"f", BY, (), "FREE", period=(NOW, LATER))
    outcome = run(account(), nothing)
    assert outcome.results == [Applied((), 0, 0, 0)]
    assert outcome.changed
    assert outcome.state.next_reset_at == LATER


def test_the_given_state_is_left_alone() -> None:
    state = account(lot(1, 9), lot(2, 9, expires_at=SOON))
    before = copy.deepcopy(state)
    run(state, spend(11), grant(3), now=SOON)
    assert state == before


def test_the_chain_covers_every_field() -> None:
    outcome = run(account(lot(1, 9)), spend(3, "c:1"), spend(3, "c:2"))
    first, second = outcome.entries
    changed: dict[str, object] = {
        "account_id": UUID(int=9),
        "seq": 3,
        "id": UUID(int=9),
        "type": EntryType.EXPIRY,
        "amount": -4,
        "balance_after": 4,
        "by": By("user", UUID(int=9), "request"),
        "service": "CHAT_ASSISTANT",
        "quantity": 2,
        "price_version": 2,
        "description": "another",
        "details": b'{"a":1}',
        "command_key": "c:3",
        "reverses_seq": 1,
        "created_at": NOW + timedelta(microseconds=1),
        "allocations": second.allocations[:-1],
        "made": (LotKind.GIFT, 1, None, NOW, None, None, None, "test", "ref"),
        "hold_id": UUID(int=8),
        "debt_after": 1,
    }
    fields = {name: getattr(second, name) for name in changed if name != "made"} | {"made": None}
    assert set(changed) == set(signature(engine.chain_hash).parameters) - {"previous"}
    assert engine.chain_hash(first.hash, **fields) == second.hash
    for name, value in changed.items():
        assert engine.chain_hash(first.hash, **{**fields, name: value}) != second.hash, name
    assert engine.chain_hash(b"", **fields) != second.hash


_KINDS = st.sampled_from(list(LotKind))
_COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.integers(1, 40)),
        st.tuples(st.just("grant"), st.integers(1, 40), _KINDS, st.one_of(st.none(), st.integers(1, 50))),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(_COMMANDS, st.integers(1, 7))
def test_every_credit_is_somewhere(steps: list[tuple[object, ...]], batch: int) -> None:
    """Whatever happens in whatever batches: identity, gapless chain, no lot below zero, allocations that add up."""
    state, now, new_id = AccountState(ACCOUNT), NOW, ids()
    entries: list[book.Entry] = []
    lots: dict[UUID, int] = {}
    waiting: list[Command] = []

    def flush() -> None:
        nonlocal state
        outcome = engine.apply(state, waiting, now, new_id)
        waiting.clear()
        state = outcome.state
        entries.extend(outcome.entries)
        for result in outcome.results:
            if isinstance(result, Refused):
                assert result.facts["available"] < result.facts["needed"]

    for number, step in enumerate(steps):
        if step[0] == "wait":
            flush()
            now += timedelta(hours=int(str(step[1])))
        elif step[0] == "spend":
            waiting.append(spend(int(str(step[1])), f"c:{number}"))
        else:
            expires = now + timedelta(hours=int(str(step[3]))) if step[3] is not None else None
            waiting.append(grant(int(str(step[1])), LotKind(str(step[2])), f"s:{number}", expires_at=expires))
        if len(waiting) >= batch:
            flush()
    flush()

    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    balance, previous = 0, b""
    for entry in entries:
        balance += entry.amount
        assert entry.balance_after == balance >= 0
        assert sum(move.amount for move in entry.allocations) == entry.amount
        for move in entry.allocations:
            lots[move.lot_id] = lots.get(move.lot_id, 0) + move.amount
            assert lots[move.lot_id] >= 0
        assert entry.hash != previous
        previous = entry.hash
    assert state.granted == state.balance + state.spent + state.expired
    assert {one.id: one.remaining for one in state.lots} == {key: left for key, left in lots.items() if left}
    assert all(0 <= one.held <= one.remaining <= one.amount for one in state.lots)
    assert state.available(now) == state.balance
