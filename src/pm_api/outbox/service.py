"""Rules of the outbox: what is put in, who takes it out, and what becomes of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import declare, enqueue
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.integrations.mail import Attachment, Letter, Recipient
from pm_api.outbox import repository
from pm_api.outbox.enums import MailStatus
from pm_api.outbox.models import OutgoingMail

MOST_AT_ONCE: Final = 1000
KEPT_TRYING: Final = timedelta(days=2)
FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(hours=1)
# A sending is over by its own time limit; only a dead worker's claim lives to its end.
CLAIM_MARGIN: Final = timedelta(seconds=60)
A_DAY: Final = timedelta(hours=24)
KEPT: Final = timedelta(days=30)
LISTED: Final = "mails"
NOWHERE: Final = ".invalid"
"""RFC 2606: a domain that nobody has, under which whoever is gone keeps a row."""


class Waiting(BaseModel):
    """Something may wait: whichever job comes first sends for all."""


SEND_WAITING: Final = declare("outbox.send_waiting", Waiting)


@dataclass(frozen=True, slots=True)
class NewMail:
    """`subject_id` is the row it tells of, in the table of its kind. Urgent ones are not counted against a person's
    daily limit: what cannot be switched off, and what gathers several things.
    """

    kind: str
    subject_id: UUID
    user_id: UUID | None
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A mail in the hands of one worker."""

    mail_id: UUID
    claimed_by: UUID
    kind: str
    subject_id: UUID
    user_id: UUID | None
    is_urgent: bool
    attempts: int
    try_until: datetime


@dataclass(frozen=True, slots=True)
class Composed:
    """Whom it goes to and what it says. `unsubscribe_url` takes a POST."""

    to: Recipient
    letter: Letter
    unsubscribe_url: str | None = None
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class Unwanted:
    """It is not to be sent any more; the reason is a word for the operator."""

    reason: str


Compose = Callable[[AsyncSession, Platform, Claim], Awaitable[Composed | Unwanted]]
_KINDS: Final[dict[str, Compose]] = {}


def composes(kind: str) -> Callable[[Compose], Compose]:
    """Bind the function that says what mails of a kind are, at the moment they are sent. It only reads."""

    def register(compose: Compose) -> Compose:
        if kind in _KINDS:
            raise TypeError(f"two functions compose mails of the kind {kind!r}")
        _KINDS[kind] = compose
        return compose

    return register


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one sending. PENDING: it is tried again."""

    status: MailStatus
    reason: str | None = None
    server_is_gone: bool = False


async def put(session: AsyncSession, platform: Platform, mails: Sequence[NewMail]) -> int:
    """Mails to be sent once the caller's transaction is committed, each once for ever; returns how many are new.

    Nothing happens where no mail server is configured. Raises ValueError for over 1000 at once.
    """
    if len(mails) > MOST_AT_ONCE:
        raise ValueError(f"at most {MOST_AT_ONCE} mails at once, not {len(mails)}")
    if not mails or not platform.settings.sends_mail:
        return 0
    wall, now = platform.clock.wall(), platform.clock.now()
    made = await repository.insert_new(
        session,
        [
            {
                "id": platform.randomness.uuid(),
                "kind": one.kind,
                "subject_id": one.subject_id,
                "user_id": one.user_id,
                "is_urgent": one.is_urgent,
                "status": MailStatus.PENDING,
                "created_at": now,
                "due_at": wall,
                "try_until": wall + KEPT_TRYING,
            }
            for one in mails
        ],
    )
    if made:
        await enqueue(session, SEND_WAITING, Waiting())
    return made


async def claim(session: AsyncSession, platform: Platform) -> Claim | None:
    """Take the mail that is due longest; None when none is. Committed before anything is sent, so that no other
    worker sends it too.
    """
    wall = platform.clock.wall()
    row = await repository.lock_due(session, wall)
    if row is None:
        return None
    row.status = MailStatus.SENDING
    row.attempts += 1
    row.claimed_by = platform.randomness.uuid()
    row.claimed_until = wall + timedelta(seconds=platform.settings.smtp.timeout_s) + CLAIM_MARGIN
    return Claim(
        row.id, row.claimed_by, row.kind, row.subject_id, row.user_id, row.is_urgent, row.attempts, row.try_until
    )


async def compose(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """What the mail says as of now, or why it is not to be sent any more; raises KeyError for an unknown kind."""
    if claimed.user_id is not None and not claimed.is_urgent:
        limit = platform.settings.smtp.daily_limit
        since = platform.clock.wall() - A_DAY
        if await repository.sent_since(session, claimed.user_id, since, limit=limit) >= limit:
            return Unwanted("daily_limit")
    composed = await _KINDS[claimed.kind](session, platform, claimed)
    if isinstance(composed, Composed) and composed.to.email.endswith(NOWHERE):
        return Unwanted("gone")
    return composed


async def settle(session: AsyncSession, platform: Platform, claimed: Claim, outcome: Outcome) -> bool:
    """Write down what came of it; False when the claim had lapsed and another has the mail.

    What may be tried again is due after a growing while; two days after it was put it has failed.
    """
    wall = platform.clock.wall()
    values: dict[str, Any] = {"status": outcome.status, "outcome": outcome.reason, "finished_at": wall}
    if outcome.status is MailStatus.PENDING:
        if wall >= claimed.try_until:
            values["status"] = MailStatus.FAILED
        else:
            values |= {"finished_at": None, "due_at": wall + _delay(claimed.attempts, platform.randomness.uniform())}
    return await repository.settle(session, claimed.mail_id, claimed.claimed_by, values)


def _delay(attempts: int, jitter: float) -> timedelta:
    """Doubling, never under half the step."""
    step: timedelta = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempts - 1, 10))
    return step * (0.5 + jitter / 2)


async def forget_old(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Mails that came to an end over 30 days ago."""
    return await repository.delete_finished(session, platform.clock.wall() - KEPT, limit=limit)


async def list_of(
    session: AsyncSession, platform: Platform, page: PageRequest, *, status: MailStatus | None, user_id: UUID | None
) -> tuple[Sequence[OutgoingMail], str | None]:
    """A page for the operator, newest first, and the cursor of the next one."""
    filters = {"status": status, "user": user_id}
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.mails(
        session, status=status, user_id=user_id, limit=page.limit + 1, after=UUID(key[0]) if key else None
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return shown, platform.cursors.encode(following, of=LISTED, **filters)
