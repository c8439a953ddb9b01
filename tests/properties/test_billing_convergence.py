"""Any order, any duplicates, any gap: Stripe's events about a subscription end in what the perfect stream ends in.

`PM_BILLING_SEED` repeats a run.
"""

import asyncio
import logging
import os
import random
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.past import Json
from tests.support.soak import SOAKING, rounds
from tests.support.streams import Rows, Spending, Telling, Theatre, differences
from tests.support.theatres import open_door, open_theatre

# In the short run one worker opens the theatre, and what perfect streams end in is played once.
pytestmark = [] if SOAKING else [pytest.mark.xdist_group("theatre")]

SEED: Final = "PM_BILLING_SEED"
SHARES: Final = rounds(short=1, long=2)
"""So many tests share the draws, so that as many workers do."""
SPENDING: Final = Spending(after=3, credits=450)
"""Most of the first month's credits, before any of that month's money goes back."""
LATENESS: Final = {"at once": 0, "soon": 2, "late": 8, "whenever": 30}
HEALED_EVERY: Final = (1, 3, 7, 30)
DIFFERENT_BALANCES: Final = 5
"""So many at least the life has to lead through."""


@dataclass(frozen=True)
class Stream:
    """What is told, in which order and when, of a life that is looked at when the step `end` is over."""

    end: int
    spending: Spending | None
    tellings: tuple[Telling, ...] = field(repr=False)
    notes: dict[str, int]


@dataclass(frozen=True)
class Stage:
    """The theatre, and what each perfect stream ended in."""

    theatre: Theatre
    runner: asyncio.Runner
    perfect: dict[bool, dict[int, Rows]] = field(default_factory=dict)
    """With credits spent and without: by the step that is over."""

    def play(self, stream: Stream) -> Rows:
        return self.runner.run(self.theatre.play(stream.tellings, stream.end, stream.spending))

    def expected(self, end: int, spending: Spending | None) -> Rows:
        spent = spending is not None
        if spent not in self.perfect:
            self.perfect[spent] = self.runner.run(self.theatre.play_perfect(spending))
        return self.perfect[spent][end]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Hypothesis is not asynchronous; the database is."""
    log = logging.getLogger("pm_api")  # thousands of disputes would be told of
    level = log.level
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        theatre = runner.run(stack.enter_async_context(open_theatre()))
        log.setLevel(logging.ERROR)
        yield Stage(theatre, runner)
        log.setLevel(level)
        runner.run(stack.aclose())


CREDITS_COME: Final = {
    "renewed, the payment failed": "recovered",
    "renewed at the lower price": "renewed at the lower price",
    "renewed once more": "renewed once more",
}
"""By the step that a period is over with, the one that the next credits come with."""


def told_by(theatre: Theatre, step: int) -> int:
    """The last step at which it must be told of, where credits are spent: before they are spent, and else before the
    credits after its period come. Those pay what is owed by then; what is heard of later waits for the next ones.
    """
    if step <= SPENDING.after:
        return SPENDING.after
    numbers = {one.name: one.number for one in theatre.past.steps}
    coming = (numbers[came] - 1 for over, came in CREDITS_COME.items() if step < numbers[over])
    return min(coming, default=theatre.last)


@st.composite
def streams(draw: st.DrawFn, theatre: Theatre) -> Stream:
    end = draw(st.integers(theatre.first, theatre.last).map(lambda back: theatre.last + theatre.first - back))
    spending = SPENDING if end > SPENDING.after and draw(st.booleans()) else None
    events = theatre.events_until(end)
    latest = LATENESS[draw(st.sampled_from(list(LATENESS)))]
    healed_every = draw(st.sampled_from(HEALED_EVERY))
    count = len(events)

    def each(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    delays = each(st.integers(0, latest)) if latest else [0] * count
    turns = each(st.integers(0, 99)) if draw(st.booleans()) else [0] * count
    lags = each(st.sampled_from((0, 0, 0, 1, 3))) if draw(st.booleans()) else [0] * count
    share_lost = draw(st.sampled_from((0, 1, 5, 9)))
    lost = [one < share_lost for one in each(st.integers(0, 9))] if share_lost else [False] * count
    again = draw(
        st.lists(
            st.tuples(st.integers(0, count - 1), st.integers(0, 30), st.integers(0, 99), st.sampled_from((0, 2))),
            max_size=12,
        )
    )

    def telling(number: int, delay: int, turn: int, lag: int) -> Telling:
        event = events[number]
        last = min(end, told_by(theatre, event.step)) if spending else end
        seen_at = min(event.step + delay, last)
        return Telling(min(seen_at + lag, last), turn, number, seen_at)

    told = []
    for number, event in enumerate(events):
        if lost[number]:
            # The healer reads the list of events now and then, and at last.
            told.append(telling(number, -(-event.step // healed_every) * healed_every - event.step, 100, 0))
        else:
            told.append(telling(number, delays[number], turns[number], lags[number]))
    told += [telling(*one) for one in again]
    notes = {
        "events": count,
        "lost and healed": sum(lost),
        "told again": len(again),
        "told late": sum(one.seen_at > events[one.event].step for one in told),
        "written from an old look": sum(one.written_at > one.seen_at for one in told),
    }
    return Stream(end, spending, tuple(told), notes)


def test_the_life_is_a_whole_one(stage: Stage) -> None:
    """What the draws below are about: enough events of enough kinds, all of them understood."""
    theatre = stage.theatre
    kinds = {event.type for event in theatre.events}
    assert len(theatre.events) >= 20
    assert kinds >= {
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.paid",
        "invoice.payment_failed",
        "charge.refunded",
        "charge.dispute.created",
        "charge.dispute.closed",
        "payment_method.attached",
        "payment_method.detached",
    }
    balances: set[str] = set()
    for end in range(theatre.first, theatre.last + 1):
        balances.add(str(stage.expected(end, None)["credits"]))
        if len(balances) == DIFFERENT_BALANCES:
            return
    raise AssertionError(f"the events hardly moved the credits: {balances}")


@pytest.mark.parametrize("share", range(SHARES))
def test_any_stream_ends_in_what_the_perfect_one_ends_in(
    stage: Stage, share: int, capsys: pytest.CaptureFixture[str]
) -> None:
    number = int(os.environ.get(SEED, secrets.randbits(32) if SOAKING else 4 + share))
    totals: dict[str, int] = {"streams": 0}

    @seed(number)
    @settings(
        max_examples=rounds(short=50, long=5000) // SHARES,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(streams(stage.theatre))
    def check(stream: Stream) -> None:
        totals["streams"] += 1
        for name, count in stream.notes.items():
            totals[name] = totals.get(name, 0) + count
        unlike = differences(stage.expected(stream.end, stream.spending), stage.play(stream))
        assert not unlike, "\n".join([*unlike, *told_of(stage.theatre, stream)])

    try:
        check()
    finally:
        with capsys.disabled():
            sys.stderr.write(f"\nconvergence {share}, {SEED}={number}: {totals}\n")


def told_of(theatre: Theatre, stream: Stream) -> list[str]:
    """The stream in words, for whoever has to understand a failure."""
    names = [step.name for step in theatre.past.steps]
    return [
        f"{one.written_at:2d} {names[one.written_at]}: {theatre.events[one.event].type}"
        f" of {theatre.events[one.event].object_id} (from step {theatre.events[one.event].step}"
        + (f", seen at {one.seen_at})" if one.seen_at != one.written_at else ")")
        for one in sorted(stream.tellings)
    ]


# --- the whole way ---------------------------------------------------------------------------------------------

HEALED_WITHIN: Final = timedelta(days=20)
"""Stripe's list goes back thirty days."""


def test_the_whole_way_through_inbox_worker_and_healer(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Signed bodies at the door, jobs that ask a real Stripe of that moment, and for what was lost the healer."""
    number = int(os.environ.get(SEED, secrets.randbits(32) if SOAKING else 11))
    die, counts = random.Random(number), Counter[str]()
    try:
        for _ in range(rounds(short=1, long=100)):
            end = die.randint(stage.theatre.first + 2, stage.theatre.last)
            expected = stage.expected(end, None)
            stage.runner.run(_the_whole_way(stage.theatre, end, expected, die, counts))
    finally:
        with capsys.disabled():
            sys.stderr.write(f"\nthe whole way, {SEED}={number}: {dict(counts)}\n")


async def _the_whole_way(
    theatre: Theatre, end: int, expected: Rows, die: random.Random, counts: Counter[str]
) -> None:
    async with open_door(theatre, counts) as door:
        steps = theatre.past.steps[theatre.first : end + 1]
        coming: dict[int, list[Json]] = {step.number: [] for step in steps}
        for step in steps:
            for event in step.events:
                for told in _copies(die, event):
                    coming[min(end, step.number + die.choice((0, 0, 0, 1, 4)))].append(told)
        healed_at = steps[0].moment
        for step in steps:
            await door.stand_at(step.number)
            die.shuffle(coming[step.number])
            for event in coming[step.number]:
                await door.deliver(event)
            if die.random() < 0.2 or step.number == end or step.moment - healed_at > HEALED_WITHIN:
                await door.heal()
                healed_at = step.moment
            await door.drain()
        counts["streams"] += 1
        counts["events"] += sum(len(step.events) for step in steps)
        assert await door.query("SELECT * FROM inbox_events WHERE status NOT IN ('HANDLED', 'IGNORED')") == []
        unlike = differences(expected, await door.look())
        assert not unlike, "\n".join([f"the end: {end} {steps[-1].name}", *unlike])


def _copies(die: random.Random, event: Json) -> list[Json]:
    """Lost, told once, told again, or told under another id: Stripe does so when an endpoint is set up twice."""
    fate = die.random()
    if fate < 0.25:
        return []
    if fate < 0.7:
        return [event]
    return [event, event] if fate < 0.85 else [event, event | {"id": f"{event['id']}other"}]
