"""What held or refunded credits must not outlive: a day, a plan, a purchase. The rules alone, without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from pm_api.domains.ai_credits import engine
from pm_api.domains.ai_credits.book import (
    MAX_LOTS_TO_GIVE_TO,
    AccountState,
    Applied,
    By,
    LotDraft,
    Outcome,
    PastEntry,
    Refusal,
    Refused,
)
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
)
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus, LotKind

ACCOUNT = UUID(int=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY = By("user", UUID(int=2), "request")
KEYS = count(1)
IDS = count(1000)
DAY_S = 86_400


class Account:
    """One account kept in memory between batches, as the store keeps it in tables."""

    def __init__(self) -> None:
        self.state = AccountState(ACCOUNT)
        self.now = NOW
        self.last: Outcome

    def run(self, command: Command) -> Applied | Refused:
        self.sweep(command)
        return self.last.results[-1]

    def sweep(self, *commands: Command) -> None:
        """Apply commands at this moment, and what is due with them."""
        asked = frozenset(lot.id for lot in self.state.lots)
        self.last = engine.apply(
            replace(self.state, asked_lots=asked), commands, self.now, lambda: UUID(int=next(IDS))
        )
        known = {lot.id: lot for lot in self.state.lots} | self.last.touched_lots
        known |= {one.lot.id: one.lot for one in self.last.new_lots}
        self.state = replace(self.last.state, lots=list(known.values()), past={}, updated_at=self.now)

    def bring(self, amount: int, kind: LotKind = LotKind.PURCHASE, **more: object) -> Applied | Refused:
        key = f"s:{next(KEYS)}"
        ends = more.pop("expires_at", None)
        draft = LotDraft(kind, amount, "test", key, expires_at=ends)  # type: ignore[arg-type]  # a moment or None
        return self.run(Grant(ACCOUNT, key, b"f", BY, (draft,), "a grant", **more))  # type: ignore[arg-type]

    def hold(self, amount: int, **more: object) -> UUID:
        fields = {"ttl_s": DAY_S, "description": "work", "details": b"{}", **more}
        placed = self.run(PlaceHold(ACCOUNT, key(), b"f", BY, amount, **fields))  # type: ignore[arg-type]
        assert isinstance(placed, Applied)
        assert placed.hold is not None
        return placed.hold.id

    def lines(self) -> list[tuple[EntryType, int]]:
        return [(EntryType(entry.type), entry.amount) for entry in self.last.entries]

    @property
    def available(self) -> int:
        return self.state.available(self.now)


def key() -> str:
    return f"c:{next(KEYS)}"


def release(hold_id: UUID) -> Release:
    return Release(ACCOUNT, key(), b"f", BY, hold_id)


def test_a_caller_cannot_resolve_the_hold_of_work_under_way() -> None:
    account = Account()
    account.bring(10)
    hold_id = account.hold(4, guarded=True)
    for command in (
        release(hold_id),
        Capture(ACCOUNT, key(), b"f", BY, hold_id, amount=1, final=True),
        Extend(ACCOUNT, key(), b"f", BY, hold_id, 60),
    ):
        assert account.run(command) == Refused(Refusal.HOLD_IN_USE, {}, "request")
    assert isinstance(account.run(Capture(ACCOUNT, "s:charge:1", b"f", BY, hold_id)), Applied)
    assert (account.available, account.state.spent) == (6, 4)


def test_a_hold_lives_a_day_however_often_it_is_extended() -> None:
    account = Account()
    account.bring(10)
    hold_id = account.hold(4, ttl_s=60)
    account.now += timedelta(seconds=59)
    for _ in range(3):
        extended = account.run(Extend(ACCOUNT, key(), b"f", BY, hold_id, DAY_S))
        assert isinstance(extended, Applied)
        assert extended.hold is not None
        assert extended.hold.expires_at == NOW + DAY
    account.now = NOW + DAY
    assert account.run(release(hold_id)) == Refused(Refusal.HOLD_EXPIRED, {}, "request")
    assert account.available == 10


def test_what_comes_back_from_a_hold_pays_what_is_owed() -> None:
    """Bought 100, all of it held, the purchase refunded: the hold's end must not make them spendable."""
    for ends in ("release", "final capture", "expiry"):
        account = Account()
        account.bring(100)
        bought = account.state.lots[0].source_ref
        hold_id = account.hold(100, ttl_s=60)
        account.run(ClawBack(ACCOUNT, key(), b"f", BY, "test", (Demand(bought, 100),), "refunded"))
        assert (account.state.debt, account.available) == (100, 0)
        if ends == "release":
            account.run(release(hold_id))
        elif ends == "final capture":
            account.run(Capture(ACCOUNT, key(), b"f", BY, hold_id, amount=30, final=True))
        else:
            account.now += timedelta(minutes=2)
            account.sweep()
        spent = 30 if ends == "final capture" else 0
        assert (account.available, account.state.debt, account.state.voided) == (0, spent, 100 - spent), ends
        assert account.lines()[-1] == (EntryType.DEBT_PAYMENT, spent - 100)
        assert account.state.holds == {} or account.state.holds[hold_id].status is not HoldStatus.OPEN


def test_held_plan_credits_are_replaced_like_the_rest() -> None:
    account = Account()
    period = (NOW - DAY, NOW + 29 * DAY)
    account.bring(500, LotKind.SUBSCRIPTION_GRANT, expires_at=period[1], period=period, replaces_plan=True)
    hold_id = account.hold(300)
    account.bring(1000, LotKind.SUBSCRIPTION_GRANT, expires_at=NOW + 30 * DAY, replaces_plan=True)
    assert account.available == 700
    account.run(release(hold_id))
    assert (account.available, account.state.expired) == (1000, 500)


def test_what_is_held_when_a_plan_ends_stays_with_its_hold() -> None:
    """500 of a plan, 300 held over its end: the next 1000 are all there, and the hold is paid by what it had."""
    account = Account()
    ends = NOW + DAY / 2
    account.bring(500, LotKind.SUBSCRIPTION_GRANT, expires_at=ends, period=(NOW, ends), replaces_plan=True)
    hold_id = account.hold(300)
    account.now = ends
    following = (ends, ends + 30 * DAY)
    account.bring(1000, LotKind.SUBSCRIPTION_GRANT, expires_at=following[1], period=following, replaces_plan=True)
    assert (account.available, account.state.held, account.state.expired) == (1000, 300, 200)
    account.run(Capture(ACCOUNT, key(), b"f", BY, hold_id, amount=250, final=True))
    assert account.lines() == [(EntryType.USAGE, -250), (EntryType.EXPIRY, -50)]
    assert (account.available, account.state.spent) == (1000, 250)


def test_a_hold_moves_to_credits_that_a_refund_brings() -> None:
    """A refund makes a lot of 30 days: a hold on what was bought, which never ends, leaves it for that."""
    account = Account()
    account.bring(10, LotKind.LEAD, expires_at=NOW + DAY)
    [short] = account.state.lots
    account.run(Spend(ACCOUNT, key(), b"f", BY, 10, "work", b"{}"))
    [spent] = account.last.entries
    account.now = NOW + DAY
    account.bring(20)
    hold_id = account.hold(15)
    past = PastEntry(spent.seq, EntryType.USAGE, NOW, None, NOW, None, None, taken={short.id: 10}, given_back={})
    account.state.past = {spent.seq: past}
    account.run(Reverse(ACCOUNT, key(), b"f", BY, spent.seq, "sorry"))
    kinds = {lot.id: lot.kind for lot in account.state.lots}
    parts = {kinds[lot_id]: part for lot_id, part in account.state.holds[hold_id].parts.items()}
    assert parts == {LotKind.REFUND: 10, LotKind.PURCHASE: 5}
    assert account.available == 15


def test_what_was_made_good_does_not_roll_over_as_well() -> None:
    """100 plan credits, 60 spent and refunded after the period ended: 60 come as a REFUND lot, 40 roll over."""
    account = Account()
    ends = NOW + DAY
    account.bring(100, LotKind.SUBSCRIPTION_GRANT, expires_at=ends, period=(NOW, ends))
    account.run(Spend(ACCOUNT, key(), b"f", BY, 60, "work", b"{}"))
    [spent] = account.last.entries
    lot = account.state.lots[0]
    account.now = ends
    account.state.past = {
        spent.seq: PastEntry(
            spent.seq, EntryType.USAGE, NOW, None, NOW, None, None, taken={lot.id: 60}, given_back={}
        )
    }
    account.run(Reverse(ACCOUNT, key(), b"f", BY, spent.seq, "sorry"))
    assert account.lines() == [
        (EntryType.EXPIRY, -40),
        (EntryType.REVERSAL, 60),
        (EntryType.VOID, -60),
        (EntryType.REFUND, 60),
    ]
    terms = Rollover(100, ends + 60 * DAY)
    period = (ends, ends + 30 * DAY)
    account.bring(100, LotKind.SUBSCRIPTION_GRANT, expires_at=period[1], period=period, rollover=terms)
    assert [line for line in account.lines() if line[0] is EntryType.ROLLOVER] == [(EntryType.ROLLOVER, 40)]
    assert account.available == 60 + 40 + 100


def test_others_cannot_fill_an_account_with_lots() -> None:
    account = Account()
    drafts = tuple(LotDraft(LotKind.BONUS, 1, "test", f"many:{one}") for one in range(MAX_LOTS_TO_GIVE_TO))
    account.run(Grant(ACCOUNT, "s:many", b"f", BY, drafts, "many"))
    assert account.bring(1, LotKind.GIFT) == Refused(Refusal.TOO_MANY_LOTS, {"limit": MAX_LOTS_TO_GIVE_TO}, "request")
    assert isinstance(account.bring(1, LotKind.PURCHASE), Applied)


def test_giving_away_warns_as_spending_does() -> None:
    account = Account()
    account.bring(100)
    account.run(Transfer(ACCOUNT, key(), b"f", BY, 96, "a gift"))
    assert [(alert.percent, alert.available) for alert in account.last.alerts] == [(5, 4)]
