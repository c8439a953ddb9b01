"""What an example means to do, in plain figures ("capture 3 of the last open hold"), and the command that is for an
account as it stands.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from pm_api.domains.ai_credits.book import By, LotDraft, fingerprint
from pm_api.domains.ai_credits.commands import (
    Capture,
    ClawBack,
    Command,
    Demand,
    Extend,
    Grant,
    PlaceHold,
    Release,
    Reverse,
    Rollover,
    Spend,
    Transfer,
    Void,
)
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus, LotKind
from tests.properties.naive_ledger import NaiveAccount
from tests.properties.naive_parts import numbered

ANN, BOB, EVE = (UUID(int=0xA0 + number) for number in range(3))
PEOPLE: tuple[tuple[UUID | None, str | None], ...] = ((ANN, "MEMBER"), (BOB, "MEMBER"), (EVE, "ADMIN"), (None, None))
CHAT, TASKS = "CHAT_ASSISTANT", "TASK_GENERATION"
DAY: Final = 86_400
NEVER_MADE: Final = 10_000

Intent = dict[str, Any]

account_numbers = st.sampled_from([0, 0, 1, 2, 2, 2])
people = st.sampled_from([0, 0, 0, 1, 2, 3])
services = st.sampled_from([None, None, CHAT, TASKS])
amounts = st.integers(1, 12)
parts = st.one_of(st.none(), st.integers(1, 4), st.integers(1, 13))
indexes = st.integers(0, 7)
wrong = st.sampled_from([False] * 11 + [True])
"""Whether a command means something that was never made."""
by_service = st.sampled_from([False, False, True])
"""Whether it is the service's own command, under a system key."""
open_or_not = st.sampled_from([True, True, True, False])
lives = st.sampled_from([None, None, None, None, 0, 60, 900, 900, 3600, DAY, 7 * DAY, 365 * DAY])
lot_drafts = st.tuples(
    st.sampled_from([kind for kind in LotKind if kind is not LotKind.ROLLOVER] + 3 * [LotKind.PURCHASE]),
    *(st.integers(1, 30), lives, st.sampled_from([None, None, None, CHAT, TASKS])),
)


def intent(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Intent]:
    return st.fixed_dictionaries({"account": account_numbers, "who": people, **fields})


INTENTS: dict[str, st.SearchStrategy[Intent]] = {
    "spend": intent(amount=amounts, service=services),
    "place": intent(
        amount=amounts, service=services, ttl=st.sampled_from([60, 900, 4000, DAY, 2 * DAY]), guarded=by_service
    ),
    "capture": intent(
        hold=indexes, open=open_or_not, wrong=wrong, system=by_service, amount=parts, final=st.booleans()
    ),
    "release": intent(hold=indexes, open=open_or_not, wrong=wrong, system=by_service),
    "extend": intent(
        hold=indexes, open=open_or_not, wrong=wrong, system=by_service, ttl=st.sampled_from([1, 900, DAY, DAY])
    ),
    "grant": intent(lots=st.lists(lot_drafts, min_size=1, max_size=3)),
    "renew": intent(
        credits=st.integers(0, 15),
        kind=st.sampled_from([LotKind.SUBSCRIPTION_GRANT, LotKind.SUBSCRIPTION_GRANT, LotKind.FREE_TIER]),
        replaces=st.booleans(),
        rollover=st.sampled_from([None, 10, 50, 100]),
        days=st.sampled_from([1, 10, 30]),
        late=st.sampled_from([False, False, True]),
    ),
    "reverse": intent(line=indexes, undoable=st.sampled_from([True] * 5 + [False]), wrong=wrong, amount=parts),
    "void": intent(lot=st.one_of(st.none(), indexes), wrong=wrong, amount=amounts),
    "transfer": intent(amount=st.one_of(st.none(), amounts, amounts, amounts)),
    "claw_back": intent(
        demands=st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 30), st.sampled_from([0, 0, 1, 5])),
            min_size=1,
            max_size=3,
            unique_by=lambda demand: demand[0],
        ),
        wrong=wrong,
    ),
    "retry": intent(command=indexes, same=st.sampled_from([True, True, False])),
}
MORE_OFTEN = ("spend", "spend", "place", "place", "capture", "grant", "renew", "reverse", "retry", "claw_back")
any_intent = st.sampled_from([*INTENTS, *MORE_OFTEN]).flatmap(lambda name: st.tuples(st.just(name), INTENTS[name]))

COMMAND_TYPES: Final = (Spend, Grant, PlaceHold, Capture, Release, Extend, Reverse, Void, Transfer, ClawBack)
UNDOABLE: Final = frozenset({EntryType.USAGE, EntryType.TRANSFER_OUT})


class Maker:
    """Makes the commands of one example, each under a key of its own."""

    def __init__(self) -> None:
        self.numbers: Iterator[int] = count(1)

    def head(self, kind: str, account_id: UUID, who: int, *, system: bool = False) -> dict[str, Any]:
        """What every command starts with."""
        number = next(self.numbers)
        user_id, _ = PEOPLE[who]
        by = By("user" if user_id else "api_key", user_id, f"request-{number}")
        return {
            "account_id": account_id,
            "key": f"{'s' if system else 'c'}:{kind}:{number}",
            "fingerprint": fingerprint(kind, number),
            "by": by,
        }

    def command(self, name: str, intent: Intent, account_id: UUID, account: NaiveAccount, now: datetime) -> Command:
        head = self.head(name, account_id, intent["who"], system=intent.get("system", False))
        make: Callable[[dict[str, Any], Intent, NaiveAccount, datetime], Command] = getattr(self, f"_{name}")
        return make(head, intent, account, now)

    @staticmethod
    def _spend(head: dict[str, Any], intent: Intent, *_: object) -> Spend:
        service, role = intent["service"], PEOPLE[intent["who"]][1]
        return Spend(
            **head,
            amount=intent["amount"],
            description="A spend",
            details=b'{"for":"work"}',
            service=service,
            quantity=2 if service else None,
            price_version=1 if service else None,
            role=role,
        )

    @staticmethod
    def _place(head: dict[str, Any], intent: Intent, *_: object) -> PlaceHold:
        service, role = intent["service"], PEOPLE[intent["who"]][1]
        return PlaceHold(
            **head,
            amount=intent["amount"],
            ttl_s=intent["ttl"],
            description="A hold",
            details=b'{"for":"later"}',
            service=service,
            quantity=1 if service else None,
            price_version=2 if service else None,
            role=role,
            guarded=intent["guarded"],
        )

    @staticmethod
    def _capture(head: dict[str, Any], intent: Intent, account: NaiveAccount, _: datetime) -> Capture:
        final = intent["final"]
        return Capture(
            **head,
            hold_id=_hold(account, intent),
            amount=intent["amount"],
            final=final,
            description="All done" if final else None,
            details=b'{"tokens":7}' if final else None,
        )

    @staticmethod
    def _release(head: dict[str, Any], intent: Intent, account: NaiveAccount, _: datetime) -> Release:
        return Release(**head, hold_id=_hold(account, intent))

    @staticmethod
    def _extend(head: dict[str, Any], intent: Intent, account: NaiveAccount, _: datetime) -> Extend:
        return Extend(**head, hold_id=_hold(account, intent), ttl_s=intent["ttl"])

    def _grant(self, head: dict[str, Any], intent: Intent, _: NaiveAccount, now: datetime) -> Grant:
        drafts = [
            LotDraft(
                kind=kind,
                amount=amount,
                source_type="test",
                source_ref=f"lot:{next(self.numbers)}",
                expires_at=None if life_s is None else now + timedelta(seconds=life_s),
                service=service,
                cost_minor=199 if kind is LotKind.PURCHASE else None,
                cost_currency="usd" if kind is LotKind.PURCHASE else None,
            )
            for kind, amount, life_s, service in intent["lots"]
        ]
        return Grant(**head, lots=tuple(drafts), description="A grant", details=b'{"why":"test"}')

    def _renew(self, head: dict[str, Any], intent: Intent, account: NaiveAccount, now: datetime) -> Grant:
        """Periods never go back, not even when a host's clock is behind. One told late follows the last."""
        starts_at = max(now, account.changed_at or now)
        if intent["late"] and account.period is not None:
            starts_at = min(starts_at, account.period[1])
        ends_at = starts_at + timedelta(days=intent["days"])
        percent, credits = intent["rollover"], intent["credits"]
        draft = LotDraft(intent["kind"], credits, "test", f"plan:{next(self.numbers)}", expires_at=ends_at)
        return Grant(
            **head,
            lots=(draft,) if credits else (),
            description="A new period",
            period=(starts_at, ends_at),
            replaces_plan=intent["replaces"],
            rollover=None if percent is None else Rollover(percent, starts_at + timedelta(days=60)),
        )

    @staticmethod
    def _reverse(head: dict[str, Any], intent: Intent, account: NaiveAccount, _: datetime) -> Reverse:
        lines = [line.seq for line in account.lines if (line.type in UNDOABLE) == intent["undoable"]]
        seq = _pick(lines, intent["line"], intent["wrong"])
        return Reverse(
            **head, entry_seq=seq, description="A refund", amount=intent["amount"], details=b'{"why":"poor"}'
        )

    @staticmethod
    def _void(head: dict[str, Any], intent: Intent, account: NaiveAccount, _: datetime) -> Void:
        if intent["lot"] is None:
            return Void(**head, description="A correction", amount=intent["amount"])
        number = _pick([lot.number for lot in account.lots], intent["lot"], intent["wrong"])
        return Void(**head, description="A correction", lot_id=numbered(number))

    @staticmethod
    def _transfer(head: dict[str, Any], intent: Intent, *_: object) -> Transfer:
        return Transfer(**head, amount=intent["amount"], description="Moved on")

    @staticmethod
    def _claw_back(head: dict[str, Any], intent: Intent, account: NaiveAccount, _: datetime) -> ClawBack:
        """Each lot at most once: that is what a claw-back promises."""
        references = [lot.source_ref for lot in account.lots if lot.source_type == "test"]
        demands = {}
        for index, total, elsewhere in intent["demands"]:
            reference = references[-1 - index % len(references)] if references else "never made"
            demands[reference] = Demand(reference, total, elsewhere)
        if intent["wrong"]:
            demands["never made"] = Demand("never made", 1)
        return ClawBack(
            **head,
            source_type="test",
            demands=tuple(demands.values()),
            description="The payment was refunded",
            details=b'{"charge":"ch_1"}',
        )


def _pick(numbers: list[int], index: int, wrong: bool) -> int:
    return NEVER_MADE if wrong or not numbers else numbers[-1 - index % len(numbers)]


def _hold(account: NaiveAccount, intent: Intent) -> UUID:
    meant = [hold.number for hold in account.holds if (hold.status is HoldStatus.OPEN) == intent["open"]]
    return numbered(_pick(meant or [hold.number for hold in account.holds], intent["hold"], intent["wrong"]))
