"""Random commands for three accounts (two wallets and a pool with caps) at once against the naive ledger, the pure
engine and the store on PostgreSQL; after every step all three have to look the same.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pm_api.domains.ai_credits.book import Cap, LotDraft
from pm_api.domains.ai_credits.commands import ClawBack, Command, Demand, Grant, PlaceHold, Transfer
from pm_api.domains.ai_credits.enums import AccountKind, CapWindow, LotKind
from tests.properties.ledger_intents import (
    ANN,
    BOB,
    CHAT,
    DAY,
    TASKS,
    Intent,
    Maker,
    account_numbers,
    amounts,
    any_intent,
    lot_drafts,
    people,
)
from tests.properties.ledger_sights import naive_days, naive_sight, same_answer, same_sight
from tests.properties.naive_ledger import NaiveAccount, NaiveLedger
from tests.properties.naive_parts import BALANCE_LIMIT, Done, NaiveAnswer, OtherContent, TurnedDown
from tests.properties.pure_world import PureWorld
from tests.properties.stored_world import Bench, StoredWorld

START: Final = datetime(2026, 1, 30, 21, 0, tzinfo=UTC)
"""Shortly before the ends of a day and of a month."""

some_intents = st.lists(any_intent, min_size=2, max_size=8)
subjects = [f"member:{ANN}", f"member:{BOB}", "role:MEMBER", "role:MEMBER", "role:ADMIN"]
caps = st.lists(
    st.tuples(
        st.sampled_from([*subjects, f"service:{CHAT}", f"service:{TASKS}"]),
        st.sampled_from(CapWindow),
        st.sampled_from([None, 0, 3, 5, 8, 12, 20, 40]),
    ),
    min_size=1,
    max_size=5,
)
STEPS: dict[str, tuple[int, st.SearchStrategy[dict[str, Any]]]] = {
    "one": (10, st.fixed_dictionaries({"intent": any_intent})),
    "batch": (6, st.fixed_dictionaries({"intents": some_intents})),
    "batch_of_a_host_behind": (
        2,
        st.fixed_dictionaries({"intents": some_intents, "seconds": st.sampled_from([0.000001, 3600, DAY])}),
    ),
    "gift": (
        1,
        st.fixed_dictionaries(
            {"sender": account_numbers, "receiver": account_numbers, "amount": amounts, "who": people}
        ),
    ),
    "to_the_limit": (
        1,
        st.fixed_dictionaries({"account": account_numbers, "over": st.sampled_from([0, 1, 1])}),
    ),
    "owe": (
        2,
        st.fixed_dictionaries(
            {
                "account": account_numbers,
                "who": people,
                "amount": amounts,
                "life": st.sampled_from([None, None, 60]),
                "ttl": st.sampled_from([60, 900]),
                "end": st.sampled_from([None, "release", "capture"]),
            }
        ),
    ),
    "catch_up": (
        1,
        st.fixed_dictionaries(
            {
                "account": account_numbers,
                "days": st.integers(3, 5),
                "credits": st.lists(st.integers(1, 15), min_size=3, max_size=3),
                "percent": st.sampled_from([50, 100]),
            }
        ),
    ),
    "leave_a_plan": (
        1,
        st.fixed_dictionaries(
            {
                "account": account_numbers,
                "credits": st.integers(1, 12),
                "amount": amounts,
                "service": st.sampled_from([None, CHAT]),
                "later": st.sampled_from([0, 60, DAY]),
                "ttl": st.sampled_from([4000, DAY + 3600]),
                "next": st.integers(0, 15),
            }
        ),
    ),
    "refund_late": (
        1,
        st.fixed_dictionaries(
            {
                "account": account_numbers,
                "amount": amounts,
                "service": st.sampled_from([None, CHAT, TASKS]),
                "mistake": st.sampled_from([10, 200]),
            }
        ),
    ),
    "cap": (2, st.fixed_dictionaries({"account": st.sampled_from([0, 2, 2, 2]), "caps": caps})),
    "wait": (
        1,
        st.fixed_dictionaries({"seconds": st.sampled_from([0.000001, 1, 60, 900, 3600, 20_000, DAY, 11 * DAY])}),
    ),
    "wait_for_an_end": (
        3,
        st.fixed_dictionaries(
            {"index": st.integers(0, 5), "microseconds": st.integers(-1, 1), "sweep": st.booleans()}
        ),
    ),
}
"""The steps of an example, how often each is to come, and what it is asked to do."""
steps = st.sampled_from([name for name, (weight, _) in STEPS.items() for _ in range(weight)]).flatmap(
    lambda name: st.tuples(st.just(name), STEPS[name][1])
)


@dataclass
class Tally:
    """What was tried in a whole run, for the record."""

    steps: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    applied: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        rows = []
        for name, counts in vars(self).items():
            each = ", ".join(f"{what} {often:,}" for what, often in sorted(counts.items()) if often)
            rows.append(f"  {name}: {each}; in all {sum(counts.values()):,}")
        return "\n".join(rows)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self, bench: Bench | None, runner: asyncio.Runner, tally: Tally, ids: Callable[[], UUID]) -> None:
        super().__init__()
        self.tally = tally
        self.now = START
        self.accounts = [ids() for _ in range(3)]
        kinds = [AccountKind.USER, AccountKind.USER, AccountKind.WORKSPACE]
        self.kinds = dict(zip(self.accounts, kinds, strict=True))
        self.naive = NaiveLedger(self.accounts)
        self.pure = PureWorld(self.accounts)
        self.bench, self.runner = bench, runner
        self.stored: StoredWorld | None = None
        self.sent: list[Command] = []
        self.maker = Maker()
        self.seen_lines = dict.fromkeys(self.accounts, 0)

    @initialize(
        session=st.sampled_from([False, False, False, True]), lots=st.lists(lot_drafts, min_size=2, max_size=6)
    )
    def begin(self, session: bool, lots: Sequence[Any] = ()) -> None:
        if self.bench is not None:
            self.stored = StoredWorld(self.bench, self.kinds, session=session)
            self.runner.run(self.stored.open(self.now))
            self.tally.events["examples by session" if session else "examples by connection"] += 1
        for number in range(3) if lots else ():
            plan = {
                "credits": 10,
                "kind": LotKind.SUBSCRIPTION_GRANT,
                "replaces": True,
                "rollover": 50,
                "days": 1,
                "late": False,
            }
            base: Intent = {"account": number, "who": 0}
            self.give("begin", [("renew", base | plan), ("grant", base | {"lots": lots})])

    @rule(step=steps)
    def step(self, step: tuple[str, dict[str, Any]]) -> None:
        """One rule for everything: of many, each example would leave out a random half."""
        name, arguments = step
        getattr(self, name)(**arguments)

    def one(self, intent: tuple[str, Intent]) -> None:
        self.give(intent[0], [intent])

    def batch(self, intents: list[tuple[str, Intent]]) -> None:
        self.give("batch", intents)

    def batch_of_a_host_behind(self, intents: list[tuple[str, Intent]], seconds: float) -> None:
        now = self.now
        self.now -= timedelta(seconds=seconds)
        self.give("batch of a host behind", intents)
        self.now = now

    def gift(self, sender: int, receiver: int, amount: int, who: int) -> None:
        """Out of one account; into another for twelve months once that went well."""
        transfer = Transfer(
            **self.maker.head("gift", self.accounts[sender], who), amount=amount, description="A gift"
        )
        [given] = self.run("gift", [transfer])
        if isinstance(given.result, Done):
            draft = LotDraft(LotKind.GIFT, amount, "gift", transfer.key, expires_at=self.now + timedelta(days=365))
            head = self.maker.head("gift", self.accounts[receiver], who)
            self.run("gift", [Grant(**head, lots=(draft,), description="A gift")])
            self.tally.events["gifts"] += 1

    def to_the_limit(self, account: int, over: int) -> None:
        """As many credits as an account can hold, or one more; what came goes again."""
        account_id = self.accounts[account]
        amount = BALANCE_LIMIT - self.naive.accounts[account_id].remaining() + over
        heads = [self.maker.head("limit", account_id, 0) for _ in range(3)]
        all_there_can_be = LotDraft(LotKind.PURCHASE, amount, "limit", heads[0]["key"])
        one_more = LotDraft(LotKind.PURCHASE, 1, "limit", heads[1]["key"])
        demands = (Demand(all_there_can_be.source_ref, amount),)
        commands: list[Command] = [
            Grant(**heads[0], lots=(all_there_can_be,), description="All there can be"),
            Grant(**heads[1], lots=(one_more,), description="One more"),
            ClawBack(**heads[2], source_type="limit", demands=demands, description="And back"),
        ]
        self.run("to the limit", commands)

    def owe(self, account: int, who: int, amount: int, life: int | None, ttl: int, end: str | None) -> None:
        """A lot is demanded back while a hold has it; the hold is resolved then, or left to the clock."""
        account_id = self.accounts[account]
        heads = [self.maker.head("owe", account_id, who) for _ in range(3)]
        draft = LotDraft(
            LotKind.LEAD,
            amount,
            "test",
            heads[0]["key"],
            expires_at=None if life is None else self.now + timedelta(seconds=life),
        )
        ttl = max(ttl, life or 0)
        commands: list[Command] = [
            Grant(**heads[0], lots=(draft,), description="A grant"),
            PlaceHold(**heads[1], amount=amount, ttl_s=ttl, description="A hold", details=b"{}", guarded=who == 1),
            ClawBack(
                **heads[2],
                source_type="test",
                demands=(Demand(draft.source_ref, amount),),
                description="The payment was refunded",
            ),
        ]
        self.run("owe", commands)
        last: Intent = {"account": account, "who": who, "hold": 0, "open": True, "wrong": False, "system": True}
        if end is not None:
            self.give("owe", [(end, last | {"amount": 1, "final": True})])

    def catch_up(self, account: int, days: int, credits: list[int], percent: int) -> None:
        """Nobody told of several periods for days; then all are told at once."""
        self.now += timedelta(days=days)
        for one in credits:
            plan = {"credits": one, "kind": LotKind.SUBSCRIPTION_GRANT, "replaces": True, "days": 1, "late": True}
            self.give("catch up", [("renew", {"account": account, "who": 0, "rollover": percent, **plan})])

    def leave_a_plan(
        self, account: int, credits: int, amount: int, service: str | None, later: int, ttl: int, next: int
    ) -> None:
        """A hold lies on a plan's credits when the next plan takes its place, on the plan's last moment or before."""
        base: Intent = {"account": account, "who": 0}
        plan = base | {
            "kind": LotKind.SUBSCRIPTION_GRANT,
            "days": 1,
            "late": False,
            "replaces": True,
            "rollover": None,
        }
        hold = base | {"amount": amount, "service": service, "ttl": ttl, "guarded": True}
        more = base | {"hold": 0, "open": True, "wrong": False, "system": True, "ttl": DAY}
        self.give("a plan", [("renew", plan | {"credits": credits}), ("place", hold)])
        self.now += timedelta(seconds=later)
        self.give("leave a plan", [("renew", plan | {"credits": next}), ("extend", more)])

    def refund_late(self, account: int, amount: int, service: str | None, mistake: int) -> None:
        """What was spent of a lot comes back when the lot has run out. Then a lot comes that nobody wanted."""
        base: Intent = {"account": account, "who": 0, "wrong": False}
        short = ("grant", base | {"lots": [(LotKind.LEAD, amount, 60, service)]})
        self.give("spend", [short, ("spend", base | {"amount": amount, "service": service})])
        self.now += timedelta(seconds=60)
        self.give("refund late", [("reverse", base | {"line": 0, "undoable": True, "amount": None})])
        wrong = ("grant", base | {"lots": [(LotKind.PURCHASE, mistake, None, None)]})
        self.give("a mistake", [wrong])
        self.give("a mistake", [("void", base | {"lot": 0})])

    def cap(self, account: int, caps: list[tuple[str, CapWindow, int | None]]) -> None:
        account_id = self.accounts[account]
        naive = self.naive.accounts[account_id]
        if naive.changed_at is None:
            return  # it is not open yet
        for subject, window, limit in caps:
            naive.caps = [one for one in naive.caps if (one.subject, one.window) != (subject, window)]
            if limit is not None:
                naive.caps.append(Cap(subject, window, limit))
        self.pure.set_caps(account_id, naive.caps)
        if self.stored is not None:
            self.runner.run(self.stored.set_caps(account_id, naive.caps, self.now))
        self.tally.steps["cap"] += 1

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.tally.steps["wait"] += 1

    def wait_for_an_end(self, index: int, microseconds: int, sweep: bool) -> None:
        """To where a lot, a hold, a period, a day or a month ends, or the least moment beside it."""
        ends = set()
        for account in self.naive.accounts.values():
            ends |= {lot.expires_at for lot in account.lots if lot.expires_at and lot.count("free", "held")}
            ends |= {hold.expires_at for hold in account.open_holds()}
            ends |= {end for _, end in account.windows(self.now).values()}
        later = sorted(end for end in ends if end > self.now)
        self.now = max(self.now, later[index % len(later)] + timedelta(microseconds=microseconds))
        self.tally.steps["wait for an end"] += 1
        if sweep:
            self.sweep()

    def sweep(self) -> None:
        opened = [one for one in self.accounts if self.naive.accounts[one].changed_at is not None]
        self.run("sweep", [], sweep=opened)

    def give(self, step: str, intents: Sequence[tuple[str, Intent]]) -> None:
        commands: list[Command] = []
        for name, intent in intents:
            command = self._command(name, intent, commands)
            if command is not None:
                commands.append(command)
        self.run(step, commands)

    def _command(self, name: str, intent: Intent, batch: Sequence[Command]) -> Command | None:
        if name != "retry":
            account_id = self.accounts[intent["account"]]
            holding = [one for one, account in self.naive.accounts.items() if account.open_holds()]
            if name in {"capture", "release", "extend"} and holding:
                account_id = holding[intent["account"] % len(holding)]
            return self.maker.command(name, intent, account_id, self.naive.accounts[account_id], self.now)
        known = [*self.sent, *batch]
        if not known:
            return None
        command = known[-1 - intent["command"] % len(known)]
        other: Command = replace(command, fingerprint=b"something else")
        return command if intent["same"] else other

    def run(self, step: str, commands: Sequence[Command], sweep: Sequence[UUID] = ()) -> list[NaiveAnswer]:
        """One step in all three, and whether they came out the same."""
        resting = self._resting_on()
        expected = self.naive.run(commands, self.now, sweep)
        self._count(step, commands, expected, resting)
        worlds = [("engine", self.pure.run(commands, self.now, sweep))]
        if self.stored is not None:
            worlds.append(("store", self.runner.run(self.stored.run(commands, self.now, sweep))))
        for world, answers in worlds:
            for command, wanted, got in zip(commands, expected, answers, strict=True):
                same_answer(world, command, wanted, got)
        for account_id, account in self.naive.accounts.items():
            if account.changed_at is not None:
                self._compare(account_id, account)
        self.sent += [one for one, answer in zip(commands, expected, strict=True) if not answer.replayed]
        return expected

    def _resting_on(self) -> dict[tuple[UUID, int], set[int]]:
        """The lots each open hold rests on."""
        return {
            (account_id, hold.number): {lot.number for lot, _ in account.parts(hold)}
            for account_id, account in self.naive.accounts.items()
            for hold in account.open_holds()
        }

    def _compare(self, account_id: UUID, account: NaiveAccount) -> None:
        known = self.seen_lines[account_id]
        wanted = naive_sight(account, known)
        same_sight("engine", wanted, self.pure.sight(account_id, known))
        if self.stored is not None:
            sight = self.stored.sight(account_id, known)
            assert sight is not None, "the store never opened the account"
            same_sight("store", wanted, sight)
            assert self.stored.days[account_id] == naive_days(account)
        self.seen_lines[account_id] = len(account.lines)
        for line in account.lines[known:]:
            self.tally.lines[str(line.type)] += 1
            self.tally.events[f"{line.type} of 0 credits"] += line.amount == 0

    def _count(
        self,
        step: str,
        commands: Sequence[Command],
        answers: Sequence[NaiveAnswer],
        resting: dict[tuple[UUID, int], set[int]],
    ) -> None:
        tally = self.tally
        tally.steps[step] += 1
        for command, answer in zip(commands, answers, strict=True):
            name = type(command).__name__
            tally.commands[name] += 1
            if isinstance(answer.result, OtherContent):
                tally.events["keys with other content"] += 1
            elif answer.replayed:
                tally.events["replays"] += 1
            elif isinstance(answer.result, TurnedDown):
                tally.refused[str(answer.result.reason)] += 1
            else:
                tally.applied[name] += 1
        for hold, lots in self._resting_on().items():
            tally.events["holds moved to another lot"] += hold in resting and not lots <= resting[hold]
        for account in self.naive.accounts.values():
            over = [lot.number for lot in account.lots if lot.is_over(account.now) and lot.count("held")]
            tally.events["steps with a lot that is over but for a hold"] += bool(over)
            partly = [hold.number for hold in account.open_holds() if hold.captured]
            tally.events["steps with a hold captured in part"] += bool(partly)

    def teardown(self) -> None:
        self.tally.events["examples"] += 1
        for account in self.naive.accounts.values():
            self.tally.events.update(account.events)
        if self.stored is not None:
            self.tally.events["key conflicts"] += self.stored.conflicts
