"""The credit ledger against a second, naive one: random commands, equal results and equal books after each step."""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from pm_api.core.db import Database
from pm_api.domains.ai_credits.book import By, LotDraft, Refusal
from pm_api.domains.ai_credits.commands import Command, Grant, PlaceHold, Release, Void
from pm_api.domains.ai_credits.enums import EntryType, LotKind
from tests.properties.ledger_intents import COMMAND_TYPES, Intent
from tests.properties.ledger_machine import LedgerMachine, Tally
from tests.properties.naive_parts import (
    BALANCE_LIMIT,
    LOTS_BEFORE_GIFTS_END,
    OPEN_HOLDS_LIMIT,
    Done,
    OtherContent,
    TurnedDown,
    numbered,
)
from tests.properties.stored_world import Bench
from tests.support.soak import SOAKING, rounds

SEED = "PM_LEDGER_SEED"
STEPS = 50
EVENTS = (
    "CLAWBACK of 0 credits",
    "REVERSAL of 0 credits",
    "alerts at 10 %",
    "alerts at 20 %",
    "alerts at 5 %",
    "alerts after a CLAWBACK",
    "alerts after a TRANSFER_OUT",
    "alerts after a USAGE",
    "alerts after a VOID",
    "captures of no whole units",
    "debts paid by a Capture",
    "debts paid by a Release",
    "debts paid by a hold that ran out",
    "gifts",
    "guarded holds resolved or extended by the service",
    "holds already longer than a day in all",
    "holds extended to a day in all",
    "holds moved to another lot",
    "keys with other content",
    "lots of a period told late, kept out of a rollover",
    "plan lots left by holds",
    "plan lots kept by holds after their end",
    "refund lots of a service",
    "VOIDs made good by a new lot",
    "replays",
    "steps with a hold captured in part",
    "steps with a lot that is over but for a hold",
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Hypothesis is not asynchronous; the database is."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as running:
        yield running


@pytest.fixture
def bench(fresh_database: str, runner: asyncio.Runner) -> Iterator[Bench]:
    numbers = count(1 << 100)
    database = Database(fresh_database, pool_size=1, pool_overflow=0)
    connection = runner.run(database.dedicated_connection())
    runner.run(connection.execute("SET synchronous_commit = off"))
    yield Bench(connection, database, lambda: UUID(int=next(numbers)))
    runner.run(connection.close())
    runner.run(database.close())


def play(
    machine: Callable[[], LedgerMachine],
    tally: Tally,
    capsys: pytest.CaptureFixture[str],
    *,
    examples: int,
    runs: int,
    usual_seed: int,
) -> None:
    """The same examples every time in `make test`, new ones in `make soak`, where a test is many runs: hypothesis
    remembers all it tried within one. The seed that is told is that of the last run.
    """
    number = int(os.environ.get(SEED, secrets.randbits(32) if SOAKING else usual_seed))
    try:
        for run in range(runs):
            number += run > 0
            run_state_machine_as_test(
                seed(number)(machine),  # type: ignore[arg-type]  # whatever makes a machine will do
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    print_blob=True,
                    report_multiple_bugs=False,
                    phases=(Phase.generate, Phase.shrink),
                    suppress_health_check=list(HealthCheck),
                ),
            )
    finally:
        with capsys.disabled():
            sys.stderr.write(f"\n{os.environ['PYTEST_CURRENT_TEST']}, {SEED}={number}\n{tally}\n")


def test_engine_store_and_naive_ledger_agree(
    bench: Bench, runner: asyncio.Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    play(
        lambda: LedgerMachine(bench, runner, tally, bench.ids),
        tally,
        capsys,
        examples=rounds(short=20, long=220),
        runs=rounds(short=1, long=10),
        usual_seed=3,
    )
    check_that_all_happened(tally, steps=rounds(short=1_000, long=100_000))


def test_engine_and_naive_ledger_agree(runner: asyncio.Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """The same without a database: more steps in the same time."""
    tally, numbers = Tally(), count(1)
    play(
        lambda: LedgerMachine(None, runner, tally, lambda: UUID(int=next(numbers))),
        tally,
        capsys,
        examples=rounds(short=20, long=300),
        runs=rounds(short=1, long=10),
        usual_seed=2,
    )
    check_that_all_happened(tally, steps=rounds(short=1_000, long=140_000))


def check_that_all_happened(tally: Tally, *, steps: int) -> None:
    """What never came up was not tested."""
    assert sum(tally.steps.values()) >= steps
    commands = {one.__name__ for one in COMMAND_TYPES}
    assert set(tally.commands) == commands
    assert set(tally.applied) == commands
    # A thousand open holds, and five hundred lots, are tests of their own.
    by_hand = {str(Refusal.TOO_MANY_HOLDS), str(Refusal.TOO_MANY_LOTS)}
    assert set(tally.refused) == {str(reason) for reason in Refusal} - by_hand
    assert set(tally.lines) == {str(type) for type in EntryType}
    never = [name for name in EVENTS if not tally.events[name]]
    assert not never


def test_the_hold_after_the_thousandth_is_refused(bench: Bench, runner: asyncio.Runner) -> None:
    machine = LedgerMachine(bench, runner, Tally(), bench.ids)
    machine.begin(session=False)
    account_id = machine.accounts[0]
    by = By("user", None, "request")
    lot = LotDraft(LotKind.PURCHASE, 3 * OPEN_HOLDS_LIMIT, "test", "many")

    def hold(number: int) -> PlaceHold:
        return PlaceHold(account_id, f"c:hold:{number}", b"hold", by, 1, 900, "A hold", b"{}")

    machine.run("grant", [Grant(account_id, "c:grant", b"grant", by, (lot,), "A grant")])
    machine.run("holds", [hold(number) for number in range(OPEN_HOLDS_LIMIT - 1)])
    last, over = machine.run("holds", [hold(OPEN_HOLDS_LIMIT), hold(OPEN_HOLDS_LIMIT + 1)])
    assert isinstance(last.result, Done)
    assert isinstance(over.result, TurnedDown)
    assert over.result.reason is Refusal.TOO_MANY_HOLDS
    released = Release(account_id, "c:release", b"release", by, numbered(7))
    _, again = machine.run("holds", [released, hold(OPEN_HOLDS_LIMIT + 2)])
    assert isinstance(again.result, Done)
    machine.wait(seconds=901)
    machine.sweep()
    assert machine.naive.accounts[account_id].open_holds() == []


def test_gifts_end_at_five_hundred_lots(bench: Bench, runner: asyncio.Runner) -> None:
    machine = LedgerMachine(bench, runner, Tally(), bench.ids)
    machine.begin(session=False)
    account_id = machine.accounts[0]
    by = By("user", None, "request")

    def grant(name: str, kind: LotKind, *amounts: int) -> Grant:
        lots = tuple(LotDraft(kind, amount, "test", f"{name}:{number}") for number, amount in enumerate(amounts))
        return Grant(account_id, f"c:{name}", name.encode(), by, lots, "A grant")

    def refusal(command: Command) -> Refusal | None:
        [answer] = machine.run("gifts", [command])
        return answer.result.reason if isinstance(answer.result, TurnedDown) else None

    # One lot is wholly under a hold: it counts. One is used up: it does not.
    assert refusal(grant("many", LotKind.BONUS, *[1] * LOTS_BEFORE_GIFTS_END)) is None
    assert refusal(PlaceHold(account_id, "c:hold", b"hold", by, 1, 900, "A hold", b"{}")) is None
    assert refusal(grant("held", LotKind.GIFT, 1)) is Refusal.TOO_MANY_LOTS
    assert refusal(Void(account_id, "c:void", b"void", by, "A correction", amount=1)) is None
    assert refusal(grant("the last two", LotKind.GIFT, 1, 1)) is None
    assert refusal(grant("one more", LotKind.GIFT, 1)) is Refusal.TOO_MANY_LOTS
    assert refusal(grant("far too much", LotKind.GIFT, BALANCE_LIMIT)) is Refusal.BALANCE_LIMIT_EXCEEDED
    assert refusal(grant("no gift", LotKind.REFERRAL, 1)) is None


def test_renewals_of_one_batch_carry_over_what_came_and_expired_in_it(bench: Bench, runner: asyncio.Runner) -> None:
    machine = LedgerMachine(bench, runner, Tally(), bench.ids)
    machine.begin(session=False)

    def renewal(credits: int, percent: int | None) -> tuple[str, Intent]:
        plan = {
            "credits": credits,
            "kind": LotKind.SUBSCRIPTION_GRANT,
            "replaces": percent is not None,
            "late": False,
        }
        return "renew", {"account": 2, "who": 0, "rollover": percent, "days": 10, **plan}

    machine.batch([renewal(10, None), renewal(8, None), renewal(11, 100), renewal(3, 50)])
    lines = machine.naive.accounts[machine.accounts[2]].lines
    assert [line.amount for line in lines if line.type is EntryType.ROLLOVER] == [18, 14]


def test_a_key_with_other_content_spoils_no_retry_beside_it(bench: Bench, runner: asyncio.Runner) -> None:
    machine = LedgerMachine(bench, runner, Tally(), bench.ids)
    machine.begin(session=False)
    account_id = machine.accounts[0]
    lot = LotDraft(LotKind.PURCHASE, 5, "test", "lot")
    grant = Grant(account_id, "c:grant", b"grant", By("user", None, "request"), (lot,), "A grant")
    machine.run("grant", [grant])
    other, retry = machine.run("retries", [replace(grant, fingerprint=b"another"), grant])
    assert isinstance(other.result, OtherContent)
    assert isinstance(retry.result, Done)
