"""When people are told of what is about to begin.

Each reminder knows when it is due next; a sweep looks for that. It is told and moved on in one transaction, under a
key that names occurrence and start, so it is told once, whatever dies and however many look.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.core.recurrence import Occurrence, upcoming, zone_or_utc
from pm_api.core.recurrence.errors import RuleTooComplex
from pm_api.core.recurrence.zones import to_local
from pm_api.core.schema import written
from pm_api.domains.calendar import occasions, permitting
from pm_api.domains.calendar.enums import Channel, Response
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarAttendee, CalendarReminder, CalendarSnooze
from pm_api.domains.calendar.repository import attendees as people
from pm_api.domains.calendar.repository import events as rows_of_events
from pm_api.domains.calendar.repository import reminders as repository
from pm_api.domains.calendar.repository.reminders import DueReminder
from pm_api.domains.calendar.schemas.events import ReminderWrite
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.models.people import User

TYPE: Final = "calendar.reminder"
LATE: Final = timedelta(hours=1)
"""So long after its end an occurrence may still be told of: then it is history, and no reminder."""
MOST_CAUGHT_UP: Final = 50

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which occurrences somebody means to come to: all `but` these, or `only` these."""

    but: frozenset[datetime] = frozenset()
    only: frozenset[datetime] | None = None


def wish_of(user_id: UUID, attendees: Iterable[CalendarAttendee], answers: people.Answers) -> Wish:
    """Who is not invited, and looks on, means all."""
    rows = [row for row in attendees if row.user_id == user_id]
    if not rows:
        return Wish()
    said = {
        key: not one.uninvited and one.response != Response.DECLINED
        for row in rows
        for (row_id, key), one in answers.items()
        if row_id == row.id
    }
    said |= {row.only_at: row.response != Response.DECLINED for row in rows if row.only_at is not None}
    whole = next((row for row in rows if row.only_at is None), None)
    if whole is None or whole.response == Response.DECLINED:
        return Wish(only=frozenset(key for key, comes in said.items() if comes))
    return Wish(but=frozenset(key for key, comes in said.items() if not comes))


def narrowed(wish: Wish, only_at: datetime | None, apart: frozenset[datetime]) -> Wish:
    """What of it one reminder is for: a single occurrence, or all but those that are set apart."""
    if only_at is not None:
        comes = only_at not in wish.but if wish.only is None else only_at in wish.only
        return Wish(only=frozenset([only_at] if comes else []))
    return Wish(but=wish.but | apart) if wish.only is None else Wish(only=wish.only - apart)


def next_one(
    series: Series,
    wish: Wish,
    since: datetime,
    *,
    viewer: str,
    after: tuple[datetime, datetime] | None = None,
) -> Occurrence | None:
    """The first occurrence that starts at `since` or later, and in order (start, original start) after another, among
    those somebody means to come to. Pure.
    """

    def counts(one: Occurrence) -> bool:
        return one.starts_at >= since and (after is None or (one.starts_at, one.key) > after)

    try:
        if wish.only is not None:
            found = [occasions.occurrence(series, key, viewer) for key in wish.only]
            return min(
                (one for one in found if one is not None and counts(one)),
                key=lambda one: (one.starts_at, one.key),
                default=None,
            )
        enough = 1 + len(wish.but) + (0 if after is None else 1 + len(series.overrides))
        ahead = upcoming(series.set, since, enough, viewer=viewer)
    except RuleTooComplex:
        _log.warning("reminders_not_found", event_id=str(series.id))
        return None
    return next((one for one in ahead if one.key not in wish.but and counts(one)), None)


# --- writing -------------------------------------------------------------------------------------------------------


async def put(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    user_id: UUID,
    reminders: Sequence[ReminderWrite] | None,
    *,
    only_at: datetime | None = None,
) -> list[CalendarReminder]:
    """One person's own for an event from now on, the earliest first. By mail is in the app too, so of both at one
    time the former is kept. With `only_at` for that occurrence alone, in place of those for all: no reminders are
    none for it, and None is those for all again. The event's row is held.
    """
    wanted: dict[int | None, Channel | None] = {}
    for one in reminders or ():
        if wanted.get(one.minutes_before) is not Channel.MAIL:
            wanted[one.minutes_before] = one.channel
    if only_at is not None and reminders is not None and not wanted:
        wanted[None] = None
    kept, of_all = [], []
    for row in await repository.locked_of_event(session, series.id, user_id):
        if row.only_at != only_at:
            if row.only_at is None:
                of_all.append(row)
        elif row.minutes_before in wanted and wanted[row.minutes_before] == row.channel:
            del wanted[row.minutes_before]
            kept.append(row)
        else:
            await session.delete(row)
    await session.flush()
    made = [
        CalendarReminder(
            id=platform.randomness.uuid(),
            workspace_id=series.event.workspace_id,
            event_id=series.id,
            user_id=user_id,
            only_at=only_at,
            minutes_before=minutes,
            channel=channel,
        )
        for minutes, channel in wanted.items()
    ]
    session.add_all(made)
    await session.flush()
    await _schedule(session, platform, series, [*made, *of_all])
    await session.flush()
    shown = of_all if reminders is None else [row for row in (*kept, *made) if row.minutes_before is not None]
    return sorted(shown, key=lambda row: -(row.minutes_before or 0))


async def reschedule(session: AsyncSession, platform: Platform, series: Series) -> None:
    """When everybody's reminders of an event are due next, after it was written. What was due and is not told yet
    stays due, unless it was moved or cancelled.
    """
    rows = await repository.locked_of_event(session, series.id)
    await _schedule(session, platform, series, rows)
    await session.flush()


async def _schedule(
    session: AsyncSession, platform: Platform, series: Series, rows: Sequence[CalendarReminder]
) -> None:
    if not rows:
        return
    now = platform.clock.now()
    users = await people.people(session, {row.user_id for row in rows})
    attendees = (await people.attendees_of(session, [series.id]))[series.id]
    answers = await people.answers_of(session, [series.id])
    wishes = {user_id: wish_of(user_id, attendees, answers) for user_id in users}
    apart = await repository.set_apart(session, [series.id], list(users))
    for row in rows:
        if row.minutes_before is None:
            continue
        wish = narrowed(wishes[row.user_id], row.only_at, apart.get((series.id, row.user_id), frozenset()))
        since = row.next_at if row.next_at is not None and row.next_at < now else now
        ahead = timedelta(minutes=row.minutes_before)
        found = next_one(series, wish, since + ahead, viewer=users[row.user_id].time_zone)
        _point(row, found)


def _point(row: CalendarReminder, to: Occurrence | None) -> None:
    row.next_at = to.starts_at - timedelta(minutes=row.minutes_before or 0) if to is not None else None
    row.next_original_at = to.key if to is not None else None


# --- telling -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Around:
    series: Mapping[UUID, Series]
    users: Mapping[UUID, User]
    attendees: Mapping[UUID, Sequence[CalendarAttendee]]
    answers: people.Answers
    apart: Mapping[tuple[UUID, UUID], frozenset[datetime]]
    seen: Collection[tuple[UUID, UUID]]

    def is_told(self, event_id: UUID, user_id: UUID) -> bool:
        """Whether somebody may be told of an event: they see it, and more of it than Busy."""
        invited = any(row.user_id == user_id for row in self.attendees[event_id])
        event = self.series[event_id].event
        return (event_id, user_id) in self.seen and not permitting.is_masked(event, user_id, invited=invited)

    def wish(self, row: CalendarReminder) -> Wish:
        whole = wish_of(row.user_id, self.attendees[row.event_id], self.answers)
        return narrowed(whole, row.only_at, self.apart.get((row.event_id, row.user_id), frozenset()))


async def _around(session: AsyncSession, rows: Sequence[CalendarReminder | CalendarSnooze]) -> _Around:
    event_ids = {row.event_id for row in rows}
    found = await rows_of_events.with_overrides(session, await repository.events(session, event_ids))
    return _Around(
        series={one.id: one for one in found},
        users=await people.people(session, {row.user_id for row in rows}),
        attendees=await people.attendees_of(session, event_ids),
        answers=await people.answers_of(session, event_ids),
        apart=await repository.set_apart(session, event_ids, {row.user_id for row in rows}),
        seen=await repository.who_sees_which(session, {(row.event_id, row.user_id) for row in rows}),
    )


async def remind(session: AsyncSession, platform: Platform, found: Sequence[DueReminder]) -> None:
    """Tell what is due of these, and find out when each is due next."""
    now = platform.clock.now()
    rows = await repository.lock_due(session, [one.id for one in found], now)
    if not rows:
        return
    around = await _around(session, rows)
    for row in rows:
        await _remind_one(session, platform, around, row, now)
    await session.flush()


async def _remind_one(
    session: AsyncSession, platform: Platform, around: _Around, row: CalendarReminder, now: datetime
) -> None:
    series, user = around.series[row.event_id], around.users[row.user_id]
    assert row.next_at is not None, "it is due"
    assert row.minutes_before is not None, "and so it is one"
    wish, ahead = around.wish(row), timedelta(minutes=row.minutes_before)
    since, after = _start_of_due(series, row, row.next_at + ahead, user), None
    for _ in range(MOST_CAUGHT_UP):
        one = next_one(series, wish, since, viewer=user.time_zone, after=after)
        if one is None or one.starts_at - ahead > now:
            break
        if one.ends_at + LATE > now and around.is_told(series.id, user.id):
            await _tell(
                session,
                platform,
                series,
                one,
                user,
                key=f"{TYPE}:{series.id}:{written(one.key)}:{written(one.starts_at)}:{row.minutes_before}",
                is_mailed=row.channel == Channel.MAIL,
            )
        since, after = one.starts_at, (one.starts_at, one.key)
    _point(row, one)


def _start_of_due(series: Series, row: CalendarReminder, planned: datetime, user: User) -> datetime:
    """When what is due begins: days begin sooner than was planned for somebody who is further east by now."""
    if row.next_original_at is None:
        return planned
    place = occasions.placement_at(series, row.next_original_at)
    return min(planned, place.starts_at(zone_or_utc(user.time_zone))) if place.all_day else planned


async def remind_again(session: AsyncSession, platform: Platform, found: Sequence[DueReminder]) -> None:
    """Tell what was put off until now; of what is not there any more nobody hears again."""
    rows = await repository.lock_due_snoozes(session, [one.id for one in found], platform.clock.now())
    if not rows:
        return
    around = await _around(session, rows)
    for row in rows:
        series, user = around.series[row.event_id], around.users[row.user_id]
        key = row.original_at or series.set.placement.key(series.set.placement.start)
        one = occasions.occurrence(series, key, user.time_zone)
        if one is not None and around.is_told(series.id, user.id):
            await _tell(
                session,
                platform,
                series,
                one,
                user,
                key=f"{TYPE}.again:{row.id}:{written(row.due_at)}",
                is_mailed=False,
            )
        await session.delete(row)
    await session.flush()


async def snooze(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    user_id: UUID,
    original_at: datetime | None,
    until: datetime,
) -> None:
    """Once more at that time; the last word counts. The event's row is held."""
    row = await repository.snooze_of(session, series.id, user_id, original_at)
    if row is None:
        session.add(
            CalendarSnooze(
                id=platform.randomness.uuid(),
                workspace_id=series.event.workspace_id,
                event_id=series.id,
                user_id=user_id,
                original_at=original_at,
                due_at=until,
            )
        )
    else:
        row.due_at = until
    await session.flush()


async def _tell(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    one: Occurrence,
    user: User,
    *,
    key: str,
    is_mailed: bool,
) -> None:
    event, at = series.event, one.key if series.recurs else None
    occurrence = occasions.id_of(series, at)
    start = to_local(one.starts_at, zone_or_utc(user.time_zone))
    begins = f"{start:%H:%M}" if not one.placement.all_day else occasions.day(start)
    lines = [occasions.when(one.placement, user.time_zone)]
    if where := occasions.shown(series, "location", at):
        lines.append(where)
    await notifications.notify(
        session,
        platform,
        user_ids=[user.id],
        category=Category.REMINDERS,
        type=TYPE,
        dedup_key=key,
        title=f"{occasions.shown(series, 'title', at)}, {begins}",
        body="\n".join(lines),
        reason="You asked to be reminded of this event.",
        data={
            "eventId": occurrence,
            "seriesId": str(event.id),
            "startTime": written(one.starts_at),
            "endTime": written(one.ends_at),
        },
        link=f"{occasions.PATH}{occurrence}",
        workspace_id=event.workspace_id,
        scope_id=event.scope_id,
        is_mailed=is_mailed,
    )
