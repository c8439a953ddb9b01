"""What of a calendar is somebody's: events they organize, which go to who comes to them, and what they are invited to
and reminded of, which ends.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.personal import Leaving, Stretch, contributes, ends, hands_out, wire_form
from pm_api.core.platform import Platform
from pm_api.domains.calendar import occasions, settling
from pm_api.domains.calendar.enums import Response, Visibility
from pm_api.domains.calendar.models import (
    CalendarAnswer,
    CalendarAttendee,
    CalendarEvent,
    CalendarReminder,
    CalendarSnooze,
)
from pm_api.domains.calendar.repository import attendees as people
from pm_api.domains.calendar.repository import departing as repository
from pm_api.domains.calendar.repository import events as rows_of_events
from pm_api.domains.calendar.repository import feeds as feed_rows
from pm_api.domains.calendar.repository import letters as letter_rows
from pm_api.domains.calendar.repository import reminders as reminder_rows
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.belongings import Belonging, Leaver, register

AT_A_TIME: Final = 200
FORGOTTEN_AT_A_TIME: Final = 500
HANDED_OVER: Final = "calendar.handed_over"
GONE: Final = SystemScope("who held a private event alone has left")
INNER: Final = frozenset({"reached_until", "span_days", "span_seconds", "counted_end"})
"""Columns that tell nobody anything."""


async def _count(session: AsyncSession, platform: Platform, leaver: Leaver) -> int:
    return await repository.count_organized(session, leaver.workspace_id, leaver.user_id, platform.clock.now())


async def _hand_over(session: AsyncSession, platform: Platform, leaver: Leaver, to_user_id: UUID) -> int:
    """Those that the heir sees, and may read, are theirs to organize now."""
    after, passed, holds = None, 0, {}
    while True:
        events = await _page(session, platform, leaver, after)
        attendees = await people.attendees_of(session, [one.id for one in events])
        for event in events:
            if event.scope_id not in holds:
                holds[event.scope_id] = await people.may_hold(session, event.scope_id, to_user_id)
            has_part = event.created_by_user_id == to_user_id or any(
                row.user_id == to_user_id for row in attendees[event.id]
            )
            if holds[event.scope_id] and (event.visibility == Visibility.DEFAULT or has_part):
                _pass_on(session, platform, leaver, event, to_user_id, attendees[event.id])
                passed += 1
        await session.flush()
        if len(events) < AT_A_TIME:
            break
        after = events[-1].id
    await _tell(session, platform, leaver, to_user_id, passed)
    return passed


async def _settle(session: AsyncSession, platform: Platform, leaver: Leaver) -> None:
    """What nobody took over goes to somebody who comes, else to whoever made it, else to an admin who sees it. What
    nobody else may read is deleted. Invitations and reminders of who leaves end.
    """
    after, received = None, dict[UUID, int]()
    admins = await repository.administrators(session, leaver.workspace_id)
    while True:
        events = await _page(session, platform, leaver, after)
        attendees = await people.attendees_of(session, [one.id for one in events])
        for event in events:
            heir = await _heir(session, leaver, event, attendees[event.id], admins)
            if heir is not None:
                _pass_on(session, platform, leaver, event, heir, attendees[event.id])
                received[heir] = received.get(heir, 0) + 1
            elif event.visibility != Visibility.DEFAULT:
                [series] = await rows_of_events.with_overrides(session, [event])
                await settling.end(session, platform, GONE, series)
        await session.flush()
        if len(events) < AT_A_TIME:
            break
        after = events[-1].id
    for heir, count in sorted(received.items()):
        await _tell(session, platform, leaver, heir, count)
    await _take_off(session, platform, leaver)
    await reminder_rows.forget_of(session, leaver.workspace_id, leaver.user_id)
    await feed_rows.remove_of(session, leaver.workspace_id, leaver.user_id)


async def _page(session: AsyncSession, platform: Platform, leaver: Leaver, after: UUID | None) -> list[CalendarEvent]:
    now = platform.clock.now()
    where = (session, leaver.workspace_id, leaver.user_id, now)
    return list(await repository.locked_organized(*where, after=after, limit=AT_A_TIME))


async def _heir(
    session: AsyncSession,
    leaver: Leaver,
    event: CalendarEvent,
    attendees: list[CalendarAttendee],
    admins: list[UUID],
) -> UUID | None:
    coming = sorted(
        (row for row in attendees if row.user_id is not None),
        key=lambda row: (row.only_at is not None, row.response != Response.ACCEPTED, row.is_optional, row.id),
    )
    candidates = [row.user_id for row in coming if row.user_id is not None and row.response != Response.DECLINED]
    candidates.append(event.created_by_user_id)
    if event.visibility == Visibility.DEFAULT:
        candidates += admins
    for one in dict.fromkeys(candidates):
        if one != leaver.user_id and await people.may_hold(session, event.scope_id, one):
            return one
    return None


def _pass_on(
    session: AsyncSession,
    platform: Platform,
    leaver: Leaver,
    event: CalendarEvent,
    heir: UUID,
    attendees: list[CalendarAttendee],
) -> None:
    """The heir organizes it, and so comes."""
    event.organizer_user_id = heir
    for row in attendees:
        if row.user_id == heir and row.only_at is None:
            row.response = Response.ACCEPTED
    _changed(session, platform, event, leaver.actor.user_id)


def _changed(session: AsyncSession, platform: Platform, event: CalendarEvent, actor_user_id: UUID | None) -> None:
    event.version += 1
    event.updated_at = platform.clock.now()
    settling.note(session, platform, event, settling.UPDATED, event.scope_id, actor_user_id)


async def _take_off(session: AsyncSession, platform: Platform, leaver: Leaver) -> None:
    after, now = None, platform.clock.now()
    where = (session, leaver.workspace_id, leaver.user_id, now)
    while True:
        events = await repository.locked_attended(*where, after=after, limit=AT_A_TIME)
        await repository.take_off(session, [one.id for one in events], leaver.user_id)
        for event in events:
            _changed(session, platform, event, leaver.actor.user_id)
        await session.flush()
        if len(events) < AT_A_TIME:
            return
        after = events[-1].id


async def _tell(session: AsyncSession, platform: Platform, leaver: Leaver, heir: UUID, count: int) -> None:
    if not count:
        return
    found = await people.people(session, [leaver.user_id])
    name = found[leaver.user_id].name if leaver.user_id in found else "Somebody"
    await notifications.notify(
        session,
        platform,
        user_ids=[heir],
        category=Category.CALENDAR,
        type=HANDED_OVER,
        dedup_key=f"{HANDED_OVER}:{leaver.user_id}:{platform.randomness.uuid()}",
        title="You organize an event now" if count == 1 else f"You organize {count:,} more events now",
        body=f"{name} has left the workspace and organized {'it' if count == 1 else 'them'} before.",
        reason="Events of who leaves go to others who have a part in them.",
        data={"count": count},
        link=occasions.PATH.removesuffix("/events/"),
        workspace_id=leaver.workspace_id,
        actor_user_id=leaver.actor.user_id,
    )


register(
    Belonging(
        kind="calendar_events",
        stays="They go to somebody who comes to them, to whoever made them, or to an admin.",
        count=_count,
        hand_over=_hand_over,
        settle=_settle,
    )
)


@ends("calendar", order=35, again=True)
async def forget_their_address(platform: Platform, leaving: Leaving) -> None:
    """Invitations to addresses of whoever is gone lead nowhere, in whose calendar they ever are."""
    gone = AT_A_TIME
    while gone == AT_A_TIME:
        async with platform.database.transaction() as session:
            events = await repository.locked_inviting(session, leaving.addresses, limit=AT_A_TIME)
            await repository.forget_addresses(session, [one.id for one in events], leaving.addresses)
            for event in events:  # whoever follows the calendar forgets them too
                _changed(session, platform, event, None)
            gone = len(events)
    gone = FORGOTTEN_AT_A_TIME
    while gone == FORGOTTEN_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await letter_rows.forget_addresses(session, leaving.addresses, limit=FORGOTTEN_AT_A_TIME)


# --- what is handed to a person ------------------------------------------------------------------------------------


@contributes("calendar/events.json", "Events you made or organize and still see; of the others that.", CalendarEvent)
async def events_made(session: AsyncSession, person_id: UUID, after: Any, limit: int) -> Stretch:
    """What they see no more is not theirs to read: others wrote on."""
    rows = await repository.events_of(session, person_id, after=after, limit=limit)
    seen = await reminder_rows.who_sees_which(session, {(one.id, person_id) for one in rows})
    told = [
        wire_form(
            {one.key: getattr(row, one.key) for one in CalendarEvent.__table__.columns if one.key not in INNER}
            if (row.id, person_id) in seen
            else {"id": row.id, "workspace_id": row.workspace_id, "created_at": row.created_at}
        )
        for row in rows
    ]
    return Stretch(told, rows[-1].id if len(rows) == limit else None)


@contributes("calendar/answers.json", "What you answered for single occurrences of series.", CalendarAnswer)
async def answers_given(session: AsyncSession, person_id: UUID, after: Any, limit: int) -> Stretch:
    rows = await repository.answers_of(session, person_id, after=after, limit=limit)
    told = [wire_form({one.key: getattr(row, one.key) for one in CalendarAnswer.__table__.columns}) for row in rows]
    return Stretch(told, (rows[-1].attendee_id, rows[-1].original_at) if len(rows) == limit else None)


hands_out(CalendarAttendee, "calendar/invitations.json", "Events you are invited to, and what you answered.")
hands_out(CalendarReminder, "calendar/reminders.json", "When you want to be reminded.")
hands_out(CalendarSnooze, "calendar/snoozes.json", "Reminders you put off.")
