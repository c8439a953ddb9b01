"""Caps of a pool: how much a member, each person of a role, or a service may use in a day or a period."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from pm_api.domains.ai_credits.book import AccountState, By, Cap, Counter, Refusal, Refused
from pm_api.domains.ai_credits.engine.working import Book
from pm_api.domains.ai_credits.enums import CapWindow

DAY: Final = timedelta(days=1)


def window(state: AccountState, kind: CapWindow, moment: datetime) -> tuple[datetime, datetime]:
    """[start, end) of the window a moment lies in: the UTC day, or the plan's period; the UTC month without one."""
    today = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind is CapWindow.DAY:
        return today, today + DAY
    started, ends = state.period_started_at, state.next_reset_at
    if started is not None and ends is not None and started <= moment < ends:
        return started, ends
    first = today.replace(day=1)
    return first, (first + 32 * DAY).replace(day=1)


def member(user_id: UUID) -> str:
    return f"member:{user_id}"


def service_subject(service: str) -> str:
    return f"service:{service}"


def counted_subjects(user_id: UUID | None, service: str | None) -> list[str]:
    """Whose counters a spend moves: a role has none, its cap is held against each person's."""
    return ([member(user_id)] if user_id else []) + ([service_subject(service)] if service else [])


def binding(book: Book, *, by: By, role: str | None, service: str | None, amount: int) -> Refused | None:
    """The cap with the least left, when one of those that apply leaves less than `amount`."""
    state = book.state
    if not state.capped:
        return None
    tightest: tuple[int, Cap, int, datetime] | None = None
    for cap in sorted(_applying(state, by.user_id, role, service)):
        starts_at, ends_at = window(state, cap.window, book.now)
        counted = member(by.user_id) if cap.subject.startswith("role:") and by.user_id else cap.subject
        used = state.used.get(Counter(counted, cap.window, starts_at), 0)
        left = cap.limit - used
        if left < amount and (tightest is None or left < tightest[0]):
            tightest = (left, cap, used, ends_at)
    if tightest is None:
        return None
    _, cap, used, ends_at = tightest
    return Refused(
        Refusal.SPENDING_CAP_REACHED,
        {
            "subject": cap.subject,
            "window": str(cap.window),
            "limit": cap.limit,
            "used": used,
            "resetsAt": ends_at.isoformat(),
        },
        by.request_id,
    )


def _applying(state: AccountState, user_id: UUID | None, role: str | None, service: str | None) -> list[Cap]:
    own = member(user_id) if user_id else None
    own_windows = {cap.window for cap in state.caps if cap.subject == own}
    of_role = f"role:{role}" if role and user_id else None
    of_service = service_subject(service) if service else None
    return [
        cap
        for cap in state.caps
        if cap.subject in (own, of_service) or (cap.subject == of_role and cap.window not in own_windows)
    ]


def count(book: Book, *, user_id: UUID | None, service: str | None, amount: int, moment: datetime) -> None:
    """Add to (or with a negative amount take from) the counters of the present windows, if `moment` lies in them:
    what happened in a window that is over changes nothing any more.
    """
    if not book.state.capped:
        return
    for kind in CapWindow:
        starts_at, ends_at = window(book.state, kind, book.now)
        if not starts_at <= moment < ends_at:
            continue
        for subject in counted_subjects(user_id, service):
            counter = Counter(subject, kind, starts_at)
            book.state.used[counter] = book.state.used.get(counter, 0) + amount
            book.counted[counter] = book.counted.get(counter, 0) + amount
