"""Sweeps of the calendar."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.jobs import JobContext, periodic
from pm_api.core.platform import Platform
from pm_api.core.sweeping import sweep
from pm_api.domains.calendar import booking, departing, letters, reminding, retiming, settling
from pm_api.domains.calendar.repository import letters as letter_rows
from pm_api.domains.calendar.repository import reminders as reminder_rows
from pm_api.domains.calendar.repository import resources as resource_rows
from pm_api.outbox.service import composes

AT_A_TIME: Final = 200
RUNS: Final = 500
REMINDED_AT_A_TIME: Final = 100
LETTERS_AT_A_TIME: Final = 1000
LETTERS_KEPT: Final = timedelta(days=30)

assert departing, "what people leave behind is counted only when this module is loaded"

composes(letters.MAIL_KIND)(letters.compose)


@periodic("calendar.carry_on", "41 3 * * *")
async def carry_on(context: JobContext) -> None:
    """Know of series that go on for ever in which weeks they have something, two years ahead."""
    platform = context.platform
    for _ in range(RUNS):
        async with platform.database.transaction() as session:
            looked_at = await settling.carry_on(session, platform, AT_A_TIME)
        if looked_at < AT_A_TIME:
            return


@periodic("calendar.remind", "* * * * *")
async def remind(context: JobContext) -> None:
    """Tell people of what is about to begin, as they asked for it."""
    await sweep(context, reminder_rows.due, reminding.remind, at_a_time=REMINDED_AT_A_TIME)


@periodic("calendar.remind_again", "* * * * *")
async def remind_again(context: JobContext) -> None:
    """Tell them once more of what they put off."""
    await sweep(context, reminder_rows.due_snoozes, reminding.remind_again, at_a_time=REMINDED_AT_A_TIME)


@periodic("calendar.forget_letters", "29 * * * *")
async def forget_letters(context: JobContext) -> None:
    """What was mailed to addresses outside is forgotten after 30 days, but for the last one of an invitation that
    stands.
    """
    platform = context.platform
    before, gone = platform.clock.now() - LETTERS_KEPT, LETTERS_AT_A_TIME
    while gone == LETTERS_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await letter_rows.forget_old(session, before, limit=LETTERS_AT_A_TIME)


class Unbooked(NamedTuple):
    """A series whose rooms are not booked far enough ahead, in this workspace."""

    event_id: UUID
    account_id: UUID


async def _find_unbooked(
    session: AsyncSession, now: datetime, after: Unbooked | None, limit: int
) -> Sequence[Unbooked]:
    before = now + booking.AHEAD - booking.RENEWED_BEFORE
    place = after.event_id if after is not None else None
    return [Unbooked(*one) for one in await resource_rows.short_of_booking(session, before, place, limit)]


async def _book_on(session: AsyncSession, platform: Platform, found: Sequence[Unbooked]) -> None:
    for one in found:
        await booking.book_on(session, platform, one.event_id)


@periodic("calendar.book_on", "11 4 * * *")
async def book_on(context: JobContext) -> None:
    """Book the rooms of series that go on for ever two years ahead, each series in a transaction of its own."""
    await sweep(context, _find_unbooked, _book_on, at_a_time=AT_A_TIME, together=False)


@periodic("calendar.retime", "23 2 * * *")
async def retime(context: JobContext) -> None:
    """Work times out again that another release of the zone tables was asked for; an operator need not wait for it:
    `pm-api calendar retime`.
    """
    async for _ in retiming.retime(context.platform):
        pass
