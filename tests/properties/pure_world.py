"""The pure engine with its accounts in memory, in the place of the store."""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from pm_api.domains.ai_credits import engine, store
from pm_api.domains.ai_credits.book import AccountState, Applied, Cap, Entry, Hold, Lot, LotFacts, PastEntry, Refused
from pm_api.domains.ai_credits.book import Counter as CapCounter
from pm_api.domains.ai_credits.commands import Command, Reverse
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus
from tests.properties.ledger_sights import TOTALS, Chain, Names, Sight, lot_sight, made_facts, period_of
from tests.properties.naive_parts import LowBalance, NaiveAnswer


@dataclass
class _InMemory:
    """What the tables would hold of one account."""

    state: AccountState
    lots: dict[UUID, Lot] = field(default_factory=dict)
    facts: dict[UUID, LotFacts] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    caps: list[Cap] = field(default_factory=list)
    used: Counter[CapCounter] = field(default_factory=Counter)
    low_balances: list[LowBalance] = field(default_factory=list)
    answers: dict[str, tuple[bytes, Applied | Refused]] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    chain: Chain = field(default_factory=Chain)

    def past(self, seq: int) -> PastEntry | None:
        found = [entry for entry in self.entries if entry.seq == seq]
        if not found:
            return None
        [entry] = found
        hold = self.holds[entry.hold_id] if entry.hold_id else None
        given_back: Counter[UUID] = Counter()
        for other in self.entries:
            if other.reverses_seq == seq and other.type in {EntryType.REVERSAL, EntryType.TRANSFER_IN}:
                given_back.update({move.lot_id: move.amount for move in other.allocations})
        return PastEntry(
            seq=seq,
            type=EntryType(entry.type),
            created_at=entry.created_at,
            actor_user_id=entry.by.user_id,
            counted_at=hold.created_at if hold else entry.created_at,
            counted_user_id=hold.actor_user_id if hold else entry.by.user_id,
            service=entry.service,
            taken={move.lot_id: -move.amount for move in entry.allocations},
            given_back=dict(given_back),
        )


class PureWorld:
    """The engine alone. Loads everything there is of an account, and keeps what comes out."""

    def __init__(self, account_ids: Iterable[UUID]) -> None:
        self.accounts = {account_id: _InMemory(AccountState(account_id)) for account_id in account_ids}
        self._numbers = count(1 << 64)

    def _new_id(self) -> UUID:
        return UUID(int=next(self._numbers))

    def set_caps(self, account_id: UUID, caps: Sequence[Cap]) -> None:
        self.accounts[account_id].caps = list(caps)

    def run(self, commands: Sequence[Command], now: datetime, sweep: Iterable[UUID] = ()) -> list[NaiveAnswer]:
        asked: dict[UUID, list[Command]] = {account_id: [] for account_id in sweep}
        for command in commands:
            kept = asked.setdefault(command.account_id, [])
            known = self.accounts[command.account_id].answers.keys() | {one.key for one in kept}
            if command.key not in known:
                kept.append(command)
        fresh = {(account_id, command.key) for account_id, kept in asked.items() for command in kept}
        for account_id, kept in asked.items():
            self._apply(self.accounts[account_id], kept, now)
        answers = []
        for command in commands:
            account = self.accounts[command.account_id]
            fingerprint, result = account.answers[command.key]
            same = fingerprint == command.fingerprint
            replayed = (command.account_id, command.key) not in fresh
            fresh.discard((command.account_id, command.key))
            answers.append(NaiveAnswer(account.names.result(result if same else store.KeyReused()), replayed))
        return answers

    def _apply(self, account: _InMemory, commands: Sequence[Command], now: datetime) -> None:
        state = account.state
        if state.updated_at is None:
            state.updated_at = now
        state.lots = list(account.lots.values())
        state.asked_lots = frozenset(account.lots)
        state.holds = dict(account.holds)
        state.caps, state.capped = list(account.caps), bool(account.caps)
        state.used = dict(account.used)
        lines = {command.entry_seq for command in commands if isinstance(command, Reverse)}
        state.past = {seq: past for seq in lines if (past := account.past(seq))}
        before = copy.deepcopy(state)
        outcome = engine.apply(state, [account.names.command(one) for one in commands], now, self._new_id)
        assert state == before, "the given state is left as it was"
        for command, result in zip(commands, outcome.results, strict=True):
            account.answers[command.key] = (command.fingerprint, result)
        assert outcome.changed or not (outcome.entries or outcome.touched_holds or outcome.touched_lots)
        if not outcome.changed:
            return
        account.state = outcome.state
        account.state.updated_at = outcome.now
        for made in outcome.new_lots:
            account.lots[made.lot.id] = made.lot
            account.facts[made.lot.id] = _facts(made.lot, made.draft.cost_minor, made.draft.cost_currency)
        account.lots |= outcome.touched_lots
        account.holds |= outcome.touched_holds
        account.used.update(outcome.used)
        account.used = +account.used  # as the table keeps them: never below zero
        account.low_balances += [LowBalance(*alert) for alert in outcome.alerts]
        account.names.learn(account.lots, account.holds)
        for entry in outcome.entries:
            account.chain.add(entry, made_facts(entry, account.facts))
        assert account.state.last_hash == account.chain.last
        account.entries += outcome.entries

    def sight(self, account_id: UUID, known_lines: int) -> Sight:
        account = self.accounts[account_id]
        state, names = account.state, account.names
        return Sight(
            totals={name: getattr(state, name) for name in TOTALS},
            seq=state.seq,
            debt=state.debt,
            period=period_of(state.period_started_at, state.next_reset_at),
            changed_at=state.updated_at,
            alerting=(state.alert_base, state.alerted_percent),
            open_holds=state.open_holds,
            lots=[lot_sight(number, _values(account.lots[id])) for id, number in names.lots.items()],
            holds=[names.hold(account.holds[id]) for id in names.holds],
            parts={
                names.holds[hold.id]: {names.lots[lot_id]: credits for lot_id, credits in hold.parts.items()}
                for hold in account.holds.values()
                if hold.status is HoldStatus.OPEN
            },
            used={(one.subject, str(one.window), one.starts_at): used for one, used in account.used.items() if used},
            low_balances=list(account.low_balances),
            new_lines=[names.line(entry) for entry in account.entries[known_lines:]],
        )


def _values(lot: Lot) -> dict[str, Any]:
    return {one.name: getattr(lot, one.name) for one in fields(lot)}


def _facts(lot: Lot, cost_minor: int | None, cost_currency: str | None) -> LotFacts:
    return (
        *(lot.kind, lot.amount, lot.service, lot.effective_at, lot.expires_at),
        *(cost_minor, cost_currency, lot.source_type, lot.source_ref),
    )
