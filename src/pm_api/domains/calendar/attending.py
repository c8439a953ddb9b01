"""Who is invited, and what they answer. The event's row is held while anything of this is written."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.calendar import permitting, telling
from pm_api.domains.calendar.enums import Response
from pm_api.domains.calendar.errors.attendees import (
    AlreadyInvitedToEvent,
    AttendeeCannotSee,
    AttendeeNotFound,
    InvalidProposal,
    MayNotInvite,
    NotInvited,
    OrganizerCannotSee,
    TooManyAttendees,
)
from pm_api.domains.calendar.models import CalendarAttendee, CalendarEvent
from pm_api.domains.calendar.repository import attendees as repository
from pm_api.domains.calendar.schemas.attendees import RespondRequest
from pm_api.domains.calendar.schemas.events import MOST_ATTENDEES, AttendeeWrite
from pm_api.domains.calendar.standing import Standing, of_person, standing

MOST_ROWS: Final = 1000
"""With all who are invited to single occurrences alone."""
FARTHEST_PROPOSAL: Final = timedelta(days=36_525)


# --- who is invited ------------------------------------------------------------------------------------------------


async def invite(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    *,
    members: Collection[UUID] | None = None,
    addresses: Sequence[AttendeeWrite] | None = None,
    only_at: datetime | None = None,
) -> bool:
    """These and nobody else are invited from now on: to all of it, or with `only_at` to that occurrence. None leaves
    those of its kind as they are. An address of a member who sees the event is that member. Returns whether anybody
    came or went; raises AttendeeCannotSee, TooManyAttendees. The caller settles the event.
    """
    rows = (await repository.attendees_of(session, [event.id]))[event.id]
    answers = await repository.answers_of(session, [event.id], None if only_at is None else [only_at])
    now_invited = [one.row for one in standing(rows, answers, only_at)]
    by_email = await repository.members_by_email(session, event.scope_id, [one.email for one in addresses or ()])
    wanted_users: dict[UUID, AttendeeWrite | None] = dict.fromkeys(members or ())
    wanted_emails: dict[str, AttendeeWrite] = {}
    for one in addresses or ():
        if one.email in by_email:
            wanted_users[by_email[one.email]] = one
        else:
            wanted_emails[one.email] = one
    known = {row.user_id for row in rows}
    await _ensure_see(session, event, [one for one in wanted_users if one not in known])
    gone = [
        row
        for row in now_invited
        if (row.user_id is not None and members is not None and row.user_id not in wanted_users)
        or (row.email is not None and addresses is not None and row.email not in wanted_emails)
    ]
    staying = [row for row in now_invited if row not in gone]
    changed = bool(gone)
    for row in staying:
        said = wanted_users.get(row.user_id) if row.user_id is not None else wanted_emails.get(row.email or "")
        if said is not None and (row.is_optional, row.name or said.name) != (said.optional, said.name or row.name):
            row.is_optional, row.name, changed = said.optional, said.name or row.name, True
    there_users, there_emails = {row.user_id for row in staying}, {row.email for row in staying}
    new: list[tuple[UUID | None, str | None, AttendeeWrite | None]] = [
        *((user_id, None, said) for user_id, said in wanted_users.items() if user_id not in there_users),
        *((None, email, said) for email, said in wanted_emails.items() if email not in there_emails),
    ]
    if len(staying) + len(new) > MOST_ATTENDEES or len(rows) - len(gone) + len(new) > MOST_ROWS:
        raise TooManyAttendees
    await _uninvite(session, platform, scope, event, gone, only_at)
    for user_id, email, said in new:
        _add(session, platform, event, rows, only_at, user_id=user_id, email=email, said=said)
        changed = True
    if only_at is not None:
        await _bring_back(session, event, rows, only_at, new)
    await session.flush()
    return changed


async def add_one(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    *,
    user_id: UUID | None,
    said: AttendeeWrite | None,
    optional: bool,
    at: datetime | None,
) -> None:
    """One more, by somebody who may invite. Raises MayNotInvite, AttendeeCannotSee, AlreadyInvitedToEvent,
    TooManyAttendees. The caller settles the event.
    """
    rows = (await repository.attendees_of(session, [event.id]))[event.id]
    answers = await repository.answers_of(session, [event.id], None if at is None else [at])
    present = standing(rows, answers, at)
    ensure_may_invite(scope, event, present)
    if said is not None:
        user_id = (await repository.members_by_email(session, event.scope_id, [said.email])).get(said.email, user_id)
    email = said.email if said is not None and user_id is None else None
    if any((one.row.user_id, one.row.email) == (user_id, email) for one in present):
        raise AlreadyInvitedToEvent
    if user_id is not None and user_id not in {row.user_id for row in rows}:
        await _ensure_see(session, event, [user_id])
    if len(present) >= MOST_ATTENDEES or len(rows) >= MOST_ROWS:
        raise TooManyAttendees
    _add(session, platform, event, rows, at, user_id=user_id, email=email, said=said, optional=optional)
    if at is not None:
        await _bring_back(session, event, rows, at, [(user_id, email, said)])
    await session.flush()


async def remove_one(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    attendee_id: UUID,
    *,
    at: datetime | None,
) -> None:
    """One less: oneself, or anybody for who may edit the event. Raises AttendeeNotFound, MayNotInvite. The caller
    settles the event.
    """
    rows = (await repository.attendees_of(session, [event.id]))[event.id]
    answers = await repository.answers_of(session, [event.id], None if at is None else [at])
    present = standing(rows, answers, at)
    everybody = [one.row for one in present] + ([row for row in rows if row.only_at] if at is None else [])
    found = next((row for row in everybody if row.id == attendee_id), None)
    if found is None:
        raise AttendeeNotFound
    invited = any(row.user_id == scope.user_id for row in rows)
    if found.user_id != scope.user_id and not permitting.may_edit(event, scope.user_id, scope.role, invited=invited):
        raise MayNotInvite
    await _uninvite(session, platform, scope, event, [found], at)
    await session.flush()


def ensure_may_invite(scope: WorkspaceScope, event: CalendarEvent, invited: Sequence[Standing]) -> None:
    """Raises MayNotInvite."""
    is_guest = of_person(invited, scope.user_id) is not None
    if permitting.may_edit(event, scope.user_id, scope.role, invited=is_guest):
        return
    if not (event.guests_can_invite and is_guest and permitting.may_write(scope.role)):
        raise MayNotInvite


async def hand_over(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, event: CalendarEvent, user_id: UUID
) -> None:
    """Another member is its organizer from now on, and comes if they are invited. Raises OrganizerCannotSee. The
    caller has ensured that this one may edit it, and settles the event.
    """
    if user_id == event.organizer_user_id:
        return
    if not await repository.may_hold(session, event.scope_id, user_id):
        raise OrganizerCannotSee
    event.organizer_user_id = user_id
    for row in await repository.of_series(session, event.id, user_id):
        _say(row, platform, RespondRequest(response=Response.ACCEPTED))
    await telling.handed_over(session, platform, scope, event)


async def _ensure_see(session: AsyncSession, event: CalendarEvent, user_ids: Collection[UUID]) -> None:
    seeing = await repository.who_sees(session, event.scope_id, user_ids)
    unseeing = [one for one in user_ids if one not in seeing]
    if unseeing:
        raise AttendeeCannotSee(
            details=[{"pointer": "/attendeeIds", "detail": f"{one} does not see it"} for one in unseeing]
        )


def _add(
    session: AsyncSession,
    platform: Platform,
    event: CalendarEvent,
    rows: Sequence[CalendarAttendee],
    only_at: datetime | None,
    *,
    user_id: UUID | None,
    email: str | None,
    said: AttendeeWrite | None,
    optional: bool = False,
) -> None:
    """A row of their own, unless to an occurrence of a series that they are invited to anyway."""
    if only_at is not None and _of_whole(rows, user_id, email) is not None:
        return
    is_organizer = user_id is not None and user_id == event.organizer_user_id
    session.add(
        CalendarAttendee(
            id=platform.randomness.uuid(),
            workspace_id=event.workspace_id,
            event_id=event.id,
            user_id=user_id,
            email=email,
            name=said.name if said is not None and email is not None else "",
            only_at=only_at,
            is_optional=said.optional if said is not None else optional,
            response=Response.ACCEPTED if is_organizer else Response.PENDING,
            responded_at=platform.clock.now() if is_organizer else None,
            is_told=is_organizer,
        )
    )


def _of_whole(rows: Sequence[CalendarAttendee], user_id: UUID | None, email: str | None) -> CalendarAttendee | None:
    return next((row for row in rows if row.only_at is None and (row.user_id, row.email) == (user_id, email)), None)


async def _bring_back(
    session: AsyncSession,
    event: CalendarEvent,
    rows: Sequence[CalendarAttendee],
    at: datetime,
    new: Sequence[tuple[UUID | None, str | None, AttendeeWrite | None]],
) -> None:
    """Who is invited to the series, and did not need to come to this occurrence, comes again."""
    back = [found for user_id, email, _ in new if (found := _of_whole(rows, user_id, email)) is not None]
    await repository.put_answers(session, [_unanswered(event, row, at) for row in back])


async def _uninvite(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    gone: Sequence[CalendarAttendee],
    at: datetime | None,
) -> None:
    """Their rows go; of one occurrence of a series they are invited to, that they need not come."""
    if not gone:
        return
    await telling.uninvited(session, platform, scope, event, gone, at)
    excused = [row for row in gone if at is not None and row.only_at is None]
    await repository.put_answers(session, [_unanswered(event, row, at, uninvited=True) for row in excused if at])
    await repository.remove(session, [row.id for row in gone if row not in excused])


def _unanswered(
    event: CalendarEvent, row: CalendarAttendee, at: datetime, *, uninvited: bool = False
) -> dict[str, Any]:
    return {
        "attendee_id": row.id,
        "original_at": at,
        "event_id": event.id,
        "workspace_id": event.workspace_id,
        "response": Response.PENDING.value,
        "comment": "",
        "proposed_starts_at": None,
        "proposed_ends_at": None,
        "uninvited": uninvited,
        "responded_at": None,
    }


# --- what they answer ----------------------------------------------------------------------------------------------


async def respond(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    event: CalendarEvent,
    wanted: RespondRequest,
    *,
    at: datetime | None,
) -> bool:
    """The caller's own answer, for all of it or for one occurrence; one for all of it takes the place of those they
    gave before. Returns whether it is another than before. Raises NotInvited, InvalidProposal. The caller settles the
    event.
    """
    rows = await repository.of_series(session, event.id, scope.user_id)
    answers = await repository.answers_of(session, [event.id], [] if at is None else [at])
    own = of_person(standing(rows, answers, at), scope.user_id)
    if own is None:
        raise NotInvited
    return await answer(session, platform, event, own, wanted, at=at)


async def answer(
    session: AsyncSession,
    platform: Platform,
    event: CalendarEvent,
    own: Standing,
    wanted: RespondRequest,
    *,
    at: datetime | None,
) -> bool:
    """Write down what somebody said, and tell the organizer. Raises InvalidProposal."""
    _check_proposal(platform, wanted)
    row = own.row
    said = (wanted.response, wanted.comment, wanted.proposed_start_time, wanted.proposed_end_time)
    before = (own.response, own.comment, own.proposed_starts_at, own.proposed_ends_at)
    of_whole = at is None or row.only_at is not None
    elsewhere = await repository.answers_by(session, row.id) if at is None else []
    if said == before and not elsewhere:
        return False
    if of_whole:
        _say(row, platform, wanted)
        await repository.drop_answers(session, elsewhere)
    elif at is not None:
        spoken = {
            **_unanswered(event, row, at),
            "response": wanted.response.value,
            "comment": wanted.comment,
            "proposed_starts_at": wanted.proposed_start_time,
            "proposed_ends_at": wanted.proposed_end_time,
            "responded_at": platform.clock.now(),
        }
        await repository.put_answers(session, [spoken])
    await session.flush()
    await telling.answered(session, platform, event, row, wanted, at)
    return True


def _say(row: CalendarAttendee, platform: Platform, wanted: RespondRequest) -> None:
    row.response, row.comment = wanted.response, wanted.comment
    row.proposed_starts_at, row.proposed_ends_at = wanted.proposed_start_time, wanted.proposed_end_time
    row.responded_at = platform.clock.now()


def _check_proposal(platform: Platform, wanted: RespondRequest) -> None:
    start, end = wanted.proposed_start_time, wanted.proposed_end_time
    if start is None and end is None:
        return
    now = platform.clock.now()
    if start is None or (end is not None and abs(start - now) > FARTHEST_PROPOSAL):
        raise _no_proposal("/proposedStartTime")
    if end is None or end < start or abs(end - now) > FARTHEST_PROPOSAL:
        raise _no_proposal("/proposedEndTime")


def _no_proposal(pointer: str) -> InvalidProposal:
    refusal = InvalidProposal()
    refusal.details = [{"pointer": pointer, "detail": refusal.detail}]
    return refusal


async def reset_answers(
    session: AsyncSession, event: CalendarEvent, *, at: datetime | None = None, keep: Collection[UUID] = ()
) -> None:
    """The time is another one: all but the organizer, and the people in `keep`, are asked again; with `at` for that
    occurrence alone.
    """
    staying = {event.organizer_user_id, *keep}
    rows = (await repository.attendees_of(session, [event.id]))[event.id]
    asked = [row for row in rows if row.user_id not in staying]
    if at is None:
        for row in asked:
            _ask_again(row)
        await repository.forget_answers(session, event.id, but=[row.id for row in rows if row not in asked])
    else:
        answers = await repository.answers_of(session, [event.id], [at])
        present = [one for one in standing(asked, answers, at) if one.response is not Response.PENDING]
        for one in present:
            if one.row.only_at is not None:
                _ask_again(one.row)
        again = [_unanswered(event, one.row, at) for one in present if one.row.only_at is None]
        await repository.put_answers(session, again)
    await session.flush()


def _ask_again(row: CalendarAttendee) -> None:
    row.response, row.comment, row.responded_at = Response.PENDING, "", None
    row.proposed_starts_at = row.proposed_ends_at = None
