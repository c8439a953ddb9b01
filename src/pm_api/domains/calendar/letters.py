"""Mails to addresses outside: an invitation, what has changed in it, and that it was taken back; each with an .ics
that calendar programs take in (RFC 5546, RFC 6047).

A letter is written in the transaction of what it tells of. Its link is worked out when it is sent, and rests nowhere.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.calendar import links, occasions
from pm_api.domains.calendar.enums import EventType, Response, ShowAs, Visibility
from pm_api.domains.calendar.ical.entries import Entry, Person
from pm_api.domains.calendar.ical.writing import calendar_of
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarAttendee, CalendarLetter
from pm_api.domains.calendar.repository import attendees as people
from pm_api.domains.calendar.repository import events as rows_of_events
from pm_api.domains.calendar.repository import letters as repository
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.identity.models.people import User
from pm_api.identity.repository.people import workspace_by_id
from pm_api.integrations.mail import Attachment, Recipient
from pm_api.outbox import service as outbox
from pm_api.outbox.letters import letter
from pm_api.outbox.service import Claim, Composed, NewMail, Unwanted

MAIL_KIND: Final = "calendar.letter"
TYPE: Final = "calendar.letter"
REQUEST: Final = "REQUEST"
CANCEL: Final = "CANCEL"
MOST_A_DAY: Final = 2000
"""Of one workspace: nobody floods other people's mailboxes with this."""
A_DAY: Final = timedelta(days=1)
MOST_CALENDAR_BYTES: Final = 80_000
"""It stands twice in a mail, in base64; longer ones are left to the page behind the link."""
SHOWN_OF_DESCRIPTION: Final = 1000
STOPPED: Final = "calendar.letters_stopped"
A_KIND: Final = {
    EventType.MEETING: "a meeting",
    EventType.CALL: "a call",
    EventType.DEADLINE: "a deadline",
    EventType.REMINDER: "a reminder",
}
FILE: Final = "invite.ics"


async def request(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    rows: Sequence[CalendarAttendee],
    excused: Sequence[tuple[UUID, datetime]],
    *,
    anew: bool = False,
) -> bool:
    """To each address whose last letter does not say any more how it is, with `anew` to all; `excused` are
    occurrences of the series that one of them need not come to. Who was never written to and knows of it all the same
    came with an import, and hears from elsewhere. False when nothing could be sent.
    """
    last = await repository.last_letters(session, [row.id for row in rows])
    wanted: list[tuple[CalendarAttendee, str, bytes, list[datetime]]] = []
    for row in rows:
        method, keys = REQUEST, sorted(key for row_id, key in excused if row_id == row.id)
        if row.only_at is not None and not occasions.is_there(series, row.only_at):
            method = CANCEL
        occasion = occasions.digest(series, row.only_at, keys)
        before = last.get(row.id)
        if before is None and row.is_told:
            continue
        if before == (method, occasion) and not anew:
            continue
        if method == CANCEL and (before is None or before[0] == CANCEL):
            continue
        wanted.append((row, method, occasion, keys))
    known = {row_id for row_id, one in last.items() if one[0] == REQUEST}
    return await _put(session, platform, series, wanted, known)


async def cancel_one(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    rows: Sequence[CalendarAttendee],
    excused: Sequence[tuple[UUID, datetime]],
    at: datetime,
    before: Series,
) -> None:
    """To those invited to a series of which one occurrence does not take place. A CANCEL with its RECURRENCE-ID is
    what every calendar program takes in, and asks nobody to answer for the series anew. Who has not been told how the
    series was before, or need not come to this one, is left to `request`.
    """
    last = await repository.last_letters(session, [row.id for row in rows])
    wanted: list[tuple[CalendarAttendee, str, bytes, list[datetime]]] = []
    for row in rows:
        keys = sorted(key for row_id, key in excused if row_id == row.id)
        was = occasions.digest(before, None, keys)
        if row.only_at is None and at not in keys and last.get(row.id) == (REQUEST, was):
            wanted.append((row, CANCEL, occasions.digest(series, None, keys), []))
    await _put(session, platform, series, wanted, set(), about_at=at)


async def cancel(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    rows: Sequence[CalendarAttendee],
    at: datetime | None,
) -> None:
    """To addresses whose invitation ends. Who need not come to one occurrence of a series learns that by a letter of
    how the series is for them now.
    """
    ending = [row for row in rows if at is None or row.only_at is not None]
    last = await repository.last_letters(session, [row.id for row in ending])
    wanted: list[tuple[CalendarAttendee, str, bytes, list[datetime]]] = [
        (row, CANCEL, occasions.digest(series, row.only_at, []), [])
        for row in ending
        if last.get(row.id, (CANCEL, b""))[0] != CANCEL
    ]
    await _put(session, platform, series, wanted, set())


async def _put(
    session: AsyncSession,
    platform: Platform,
    series: Series,
    wanted: Sequence[tuple[CalendarAttendee, str, bytes, list[datetime]]],
    known: set[UUID],
    *,
    about_at: datetime | None = None,
) -> bool:
    if not wanted:
        return True
    event, now = series.event, platform.clock.now()
    written = await repository.count_since(session, event.workspace_id, now - A_DAY)
    if written + len(wanted) > MOST_A_DAY:
        await _stopped(session, platform, series)
        return False
    organizer = (await people.people(session, [event.organizer_user_id]))[event.organizer_user_id]
    workspace = await workspace_by_id(session, event.workspace_id)
    made = []
    for row, method, occasion, keys in wanted:
        at = about_at or row.only_at
        words = {
            "event": occasions.shown(series, "title", at),
            "type": occasions.shown(series, "type", at),
            "description": occasions.shown(series, "description", at)[:SHOWN_OF_DESCRIPTION],
            "when": occasions.when(occasions.placement_at(series, at)),
            "recurs": occasions.recurs(series) if at is None else None,
            "where": occasions.shown(series, "location", at),
            "organizer": organizer.name,
            "workspace": workspace.name if workspace is not None else "",
            "isUpdate": row.id in known,
        }
        entry = _entry(series, row, organizer, keys, now, is_cancelled=method == CANCEL, only_at=at)
        made.append(
            CalendarLetter(
                id=platform.randomness.uuid(),
                workspace_id=event.workspace_id,
                attendee_id=row.id,
                email=row.email or "",
                method=method,
                about_at=about_at,
                occasion=occasion,
                words=words,
                calendar=calendar_of([entry], method=method),
                created_at=now,
            )
        )
    session.add_all(made)
    await session.flush()
    mails = [NewMail(MAIL_KIND, one.id, None, is_urgent=False) for one in made]
    await outbox.put(session, platform, mails)
    return True


def _entry(
    series: Series,
    row: CalendarAttendee,
    organizer: User,
    excused: Sequence[datetime],
    now: datetime,
    *,
    is_cancelled: bool,
    only_at: datetime | None,
) -> Entry:
    """For the eyes of one address: of the others who come it says nothing."""
    event, placement = series.event, series.set.placement
    gone = tuple(placement.wall(key) for key in excused)
    return Entry(
        uid=event.uid,
        set=replace(series.set, exdates=(*series.set.exdates, *gone)) if gone else series.set,
        title=event.title,
        stamped_at=now,
        created_at=event.created_at,
        sequence=event.sequence,
        description=event.description,
        location=event.location,
        type=EventType(event.type),
        visibility=Visibility(event.visibility),
        show_as=ShowAs(event.show_as),
        organizer=Person(organizer.email, organizer.name),
        people=[Person(row.email or "", row.name, Response(row.response), row.is_optional)],
        sequences_at={one.original_at: one.sequence for one in series.overrides},
        is_cancelled=is_cancelled,
        only_at=only_at,
    )


async def _stopped(session: AsyncSession, platform: Platform, series: Series) -> None:
    event = series.event
    await notifications.notify(
        session,
        platform,
        user_ids=[event.organizer_user_id],
        category=Category.CALENDAR,
        type=STOPPED,
        dedup_key=f"{STOPPED}:{event.id}:{event.version}",
        title=f"Nobody outside was told of {event.title}",
        body=f"A workspace sends {MOST_A_DAY:,} invitations to addresses outside within 24 hours, and has sent them. "
        "Change the event tomorrow, or tell those outside yourself.",
        reason="You organize this event.",
        workspace_id=event.workspace_id,
        scope_id=event.scope_id,
    )


# --- sending -------------------------------------------------------------------------------------------------------


async def compose(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """As it was written; not sent any more once something newer was, or the invitation has ended."""
    row = await repository.letter(session, claimed.subject_id)
    if row is None:
        return Unwanted("forgotten")
    if not await repository.is_last(session, row):
        return Unwanted("replaced")
    if row.about_at is not None and await _takes_place(session, row.attendee_id, row.about_at):
        return Unwanted("replaced")
    link = None
    if row.method == REQUEST:
        if await people.attendee(session, row.attendee_id) is None:
            return Unwanted("uninvited")
        link = links.address_of(platform, row.attendee_id)
    calendar = None
    if len(row.calendar) <= MOST_CALENDAR_BYTES:
        calendar = Attachment(FILE, row.calendar, method=row.method)
    words = row.words
    return Composed(
        Recipient(row.email),
        letter(
            platform,
            type=TYPE,
            title=_title(row),
            body=_body(row),
            reason=f"{words['organizer']} entered this address to invite you, in the workspace {words['workspace']}.",
            link=link,
            action="Answer the invitation",
            data={
                "eventWhen": words["when"],
                "eventRecurs": words["recurs"] or "",
                "eventWhere": words["where"],
                "eventOrganizer": words["organizer"],
            },
        ),
        attachment=calendar,
    )


async def _takes_place(session: AsyncSession, attendee_id: UUID, at: datetime) -> bool:
    """Whether an occurrence that was taken out is back."""
    row = await people.attendee(session, attendee_id)
    event = await people.living_event(session, row.event_id) if row is not None else None
    if event is None:
        return False
    [series] = await rows_of_events.with_overrides(session, [event])
    return occasions.is_there(series, at)


def _title(row: CalendarLetter) -> str:
    name = row.words["event"]
    if row.about_at is not None:
        return f"Cancelled: {name}, {row.words['when']}"
    if row.method == CANCEL:
        return f"Cancelled: {name}"
    return f"Changed: {name}" if row.words["isUpdate"] else f"Invitation: {name}"


def _body(row: CalendarLetter) -> str:
    words = row.words
    if row.about_at is not None:
        return f"{words['when']}: this one does not take place. All others of the series stand as they were."
    if row.method == CANCEL:
        return "It does not take place for you: it was cancelled, or goes on without you."
    kind = A_KIND[EventType(words["type"])]
    first = f"{words['organizer']} invites you to {kind}."
    if words["isUpdate"]:
        first = "Something has changed in this invitation. Please look whether your answer still holds."
    return f"{first}\n{words['description']}".strip()
