"""How a command ended, as its caller is told: the entry and the balance, or the typed refusal."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from pm_api.core.errors import ApiError
from pm_api.core.idempotency import IdempotencyKeyReused
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.ai_credits import errors
from pm_api.domains.ai_credits.book import Applied, Entry, HoldView, Refusal, Refused
from pm_api.domains.ai_credits.enums import EntryType, HoldStatus, Service
from pm_api.domains.ai_credits.lines import GRANTING
from pm_api.domains.ai_credits.schemas.holds import CaptureAnswer, HoldAnswer, HoldRead
from pm_api.domains.ai_credits.schemas.ledger import BalanceAfter, CreditEntryRead, EntryAnswer, GrantAnswer
from pm_api.domains.ai_credits.store import Answer, KeyReused

_ERRORS: Final[Mapping[Refusal, type[ApiError]]] = {
    Refusal.INSUFFICIENT_CREDITS: errors.InsufficientCredits,
    Refusal.BALANCE_LIMIT_EXCEEDED: errors.BalanceLimitExceeded,
    Refusal.SPENDING_CAP_REACHED: errors.SpendingCapReached,
    Refusal.HOLD_NOT_FOUND: errors.HoldNotFound,
    Refusal.HOLD_CAPTURED: errors.HoldAlreadyCaptured,
    Refusal.HOLD_RELEASED: errors.HoldAlreadyReleased,
    Refusal.HOLD_EXPIRED: errors.HoldExpired,
    Refusal.CAPTURE_EXCEEDS_HOLD: errors.CaptureExceedsHold,
    Refusal.TOO_MANY_HOLDS: errors.TooManyHolds,
    Refusal.ENTRY_NOT_FOUND: errors.EntryNotFound,
    Refusal.ENTRY_NOT_REVERSIBLE: errors.EntryNotReversible,
    Refusal.REVERSAL_EXCEEDS_ENTRY: errors.ReversalExceedsEntry,
    Refusal.LOT_NOT_FOUND: errors.LotNotFound,
    Refusal.LOT_EMPTY: errors.LotEmpty,
    Refusal.HOLD_IN_USE: errors.HoldInUse,
    Refusal.TOO_MANY_LOTS: errors.TooManyLots,
}


def settled(platform: Platform, answer: Answer) -> Applied:
    """What a command did; raises IdempotencyKeyReused, or the refusal it ended in (kept with its key)."""
    if isinstance(answer.result, KeyReused):
        raise IdempotencyKeyReused
    if isinstance(answer.result, Refused):
        headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        raise refusal(platform, answer.result, headers)
    return answer.result


def entry_answer(platform: Platform, answer: Answer) -> EntryAnswer:
    """The first line a command wrote, and the balance right after; raises as `settled`."""
    result = settled(platform, answer)
    return EntryAnswer(entry=read_entry(result.entries[0]), balance=balance_after(result))


def grant_answer(platform: Platform, answer: Answer) -> GrantAnswer:
    """The same of what may have brought credits, with the lots it made; raises as `settled`."""
    result = settled(platform, answer)
    lots = [one.allocations[0].lot_id for one in result.entries if one.type in GRANTING and one.allocations]
    return GrantAnswer(entry=read_entry(result.entries[0]), balance=balance_after(result), lots=lots)


def hold_answer(platform: Platform, answer: Answer) -> HoldAnswer:
    """A hold as its command left it, and the balance right after; raises as `settled`."""
    result = settled(platform, answer)
    return HoldAnswer(hold=read_hold(result), balance=balance_after(result))


def capture_answer(platform: Platform, answer: Answer) -> CaptureAnswer:
    """What was spent out of a hold; raises as `settled`."""
    result = settled(platform, answer)
    return CaptureAnswer(hold=read_hold(result), entry=read_entry(result.entries[0]), balance=balance_after(result))


def refusal(platform: Platform, refused: Refused, headers: Mapping[str, str]) -> ApiError:
    detail, facts = _told(platform, refused)
    return _ERRORS[refused.reason](detail, headers=dict(headers), instance=refused.request_id, **facts)


def _told(platform: Platform, refused: Refused) -> tuple[str | None, dict[str, Any]]:
    facts = refused.facts
    if refused.reason is Refusal.INSUFFICIENT_CREDITS:
        buy_url = f"{platform.settings.site_url.rstrip('/')}/credits"
        detail = f"This needs {facts['needed']} credits; {facts['available']} are available."
        return detail, {**facts, "buyUrl": buy_url}
    if refused.reason is Refusal.SPENDING_CAP_REACHED:
        resets_at = written(datetime.fromisoformat(facts["resetsAt"]))
        left = max(0, facts["limit"] - facts["used"])
        detail = f"{_whose(facts)} leaves {left}; it opens again at {resets_at}."
        return detail, {**facts, "resetsAt": resets_at}
    return None, facts


def _whose(facts: Mapping[str, Any]) -> str:
    """A cap in words; whoever is refused is the member, or has the role, that it is for."""
    kind, _, name = facts["subject"].partition(":")
    limit = f"limit of {facts['limit']} credits per {facts['window'].lower()}"
    if kind == "member":
        return f"Your {limit}"
    return f"The {limit} for everybody who is {name}" if kind == "role" else f"The {limit} for {name}"


def balance_after(result: Applied) -> BalanceAfter:
    return BalanceAfter(current=result.available, held=result.held, debt=result.debt)


def left_of(status: str, amount: int, captured: int) -> int:
    """What a hold still keeps aside."""
    return amount - captured if status == HoldStatus.OPEN else 0


def hold_version(status: str, captured: int, created_at: datetime, expires_at: datetime) -> int:
    """Counted from what a hold says: captures, extensions and its end each make it larger, and so does the moment at
    which its time has passed, which nobody writes.
    """
    lives_ms = (expires_at - created_at) // timedelta(milliseconds=1)
    return lives_ms + captured + (status != HoldStatus.OPEN)


def read_hold(result: Applied) -> HoldRead:
    """The hold that a command was about, as that command left it."""
    hold = result.hold
    assert isinstance(hold, HoldView)
    return HoldRead(
        id=hold.id,
        status=HoldStatus(hold.status),
        amount=hold.amount,
        captured=hold.captured,
        left=left_of(hold.status, hold.amount, hold.captured),
        service=Service(hold.service) if hold.service else None,
        description=hold.description,
        expires_at=hold.expires_at,
        created_at=hold.created_at,
        version=hold_version(hold.status, hold.captured, hold.created_at, hold.expires_at),
    )


def read_entry(entry: Entry) -> CreditEntryRead:
    """A line of the book as it goes out."""
    return CreditEntryRead(
        id=entry.id,
        account_id=entry.account_id,
        seq=entry.seq,
        type=EntryType(entry.type),
        amount=entry.amount,
        balance_after=entry.balance_after,
        service=Service(entry.service) if entry.service else None,
        quantity=entry.quantity,
        price_version=entry.price_version,
        description=entry.description,
        metadata=orjson.loads(entry.details),
        actor_user_id=entry.by.user_id,
        hold_id=entry.hold_id,
        reverses_seq=entry.reverses_seq,
        debt_after=entry.debt_after,
        created_at=entry.created_at,
    )
