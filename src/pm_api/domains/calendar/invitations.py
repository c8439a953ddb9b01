"""What whoever holds the link of an invitation sees, and answers, without an account.

Reading changes nothing, because mail programs open links by themselves.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope
from pm_api.core.crypto import encode_url
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Occurrence, Placement, parse_occurrence_id, upcoming, zone_or_utc
from pm_api.core.recurrence.errors import OccurrenceUnknown, RuleTooComplex
from pm_api.core.recurrence.zones import to_utc
from pm_api.domains.calendar import attending, links, occasions, settling, telling, writing
from pm_api.domains.calendar.enums import Response
from pm_api.domains.calendar.errors.attendees import AnswerOutdated, FormRefused, InvalidProposal, InvitationGone
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarAttendee
from pm_api.domains.calendar.repository import attendees as repository
from pm_api.domains.calendar.repository import events as rows_of_events
from pm_api.domains.calendar.schemas.attendees import RespondRequest
from pm_api.domains.calendar.standing import Standing, standing
from pm_api.identity.repository.people import workspace_by_id

CHOICES: Final = 12
MOST_FIELDS: Final = 10
MOST_BYTES: Final = 32_768
SERIES: Final = "series"
FIELDS: Final = frozenset({"response", "about", "comment", "proposedStart", "proposedEnd", "seen"})
BY_LINK: Final = SystemScope("somebody invited answers by the link in their mail")
FORM_TYPE: Final = "application/x-www-form-urlencoded"
LOCAL_FORMS: Final = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Choice:
    """One occurrence that can be answered for by itself."""

    name: str
    when: str
    response: Response


@dataclass(frozen=True, slots=True)
class View:
    """An invitation as its page shows it. `seen` stands for all that it says: an answer names it."""

    title: str
    when: str
    recurs: str | None
    where: str
    description: str
    organizer: str
    workspace: str
    email: str
    time_zone: str
    response: Response
    comment: str
    proposal: str
    choices: tuple[Choice, ...]
    seen: str
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What the form says. `about` is the series, or an occurrence's id. Without `is_answer` it proposes a time."""

    wanted: RespondRequest
    is_answer: bool
    about: datetime | None
    seen: str | None


async def view(platform: Platform, token: str) -> View:
    """The invitation as of now; raises InvitationGone."""
    attendee_id = links.read(platform, token)
    if attendee_id is None:
        raise InvitationGone
    async with platform.database.reading() as session:
        row = await repository.attendee(session, attendee_id)
        event = await repository.living_event(session, row.event_id) if row is not None else None
        if row is None or row.email is None or event is None:
            raise InvitationGone
        [series] = await rows_of_events.with_overrides(session, [event])
        return await _view(session, platform, series, row)


async def answer(platform: Platform, token: str, body: bytes) -> tuple[View, Response]:
    """Write down what the form says, and tell the organizer. Raises InvitationGone, FormRefused, InvalidProposal,
    AnswerOutdated when the event is another one than was seen, OccurrenceUnknown, ProjectArchived.
    """
    attendee_id = links.read(platform, token)
    if attendee_id is None:
        raise InvitationGone
    async with platform.database.transaction() as session:
        row = await repository.attendee(session, attendee_id)
        event = await repository.locked_event(session, row.event_id) if row is not None else None
        row = await repository.attendee(session, attendee_id)  # it may have gone while the lock was waited for
        if row is None or row.email is None or event is None:
            raise InvitationGone
        [series] = await rows_of_events.with_overrides(session, [event])
        said = _said(series, row, body)
        await writing.ensure_writable(session, event)
        shown = await _view(session, platform, series, row)
        if shown.is_closed or (said.seen is not None and said.seen != shown.seen):
            raise AnswerOutdated
        own = await _own(session, series, row, said.about)
        if own is None or (said.about is not None and not occasions.is_there(series, said.about)):
            raise OccurrenceUnknown
        wanted = _beside(own, said)
        if await attending.answer(session, platform, event, own, wanted, at=said.about):
            await settling.settle(
                session, platform, BY_LINK, event, action=telling.RESPONDED, moved=False, at=said.about
            )
        return await _view(session, platform, series, row), wanted.response


def _beside(own: Standing, said: Said) -> RespondRequest:
    """What was said, with what stands of before: a proposal without an answer leaves the answer, and the same answer
    once more leaves the proposal.
    """
    if not said.is_answer:
        beside = {"response": own.response, "comment": said.wanted.comment or own.comment}
        return said.wanted.model_copy(update=beside)
    if said.wanted.response != own.response or said.wanted.proposed_start_time is not None:
        return said.wanted
    kept = {"proposed_start_time": own.proposed_starts_at, "proposed_end_time": own.proposed_ends_at}
    return said.wanted.model_copy(update=kept)


async def _own(session: AsyncSession, series: Series, row: CalendarAttendee, at: datetime | None) -> Standing | None:
    answers = await repository.answers_of(session, [series.id], [] if at is None else [at])
    return next(iter(standing([row], answers, at if at is not None else row.only_at)), None)


async def _view(session: AsyncSession, platform: Platform, series: Series, row: CalendarAttendee) -> View:
    event, at, now = series.event, row.only_at, platform.clock.now()
    own = await _own(session, series, row, at)
    people = await repository.people(session, [event.organizer_user_id])
    workspace = await workspace_by_id(session, event.workspace_id)
    answers = await repository.answers_of(session, [event.id])
    excused = sorted(key for (row_id, key), one in answers.items() if row_id == row.id and one.uninvited)
    place = occasions.placement_at(series, at)
    gone = at is not None and not occasions.is_there(series, at)
    ends = place.ends_at(zone_or_utc(place.zone)) if at is not None else event.series_ends_at
    choices: list[Choice] = []
    if at is None and series.recurs:
        for one in _coming(series, now):
            mine = next(iter(standing([row], answers, one.key)), None)
            if mine is not None:
                choices.append(Choice(one.id(series.id), occasions.when(one.placement), mine.response))
    return View(
        title=occasions.shown(series, "title", at),
        when=occasions.when(place),
        recurs=occasions.recurs(series) if at is None else None,
        where=occasions.shown(series, "location", at),
        description=occasions.shown(series, "description", at),
        organizer=people[event.organizer_user_id].name if event.organizer_user_id in people else "",
        workspace=workspace.name if workspace is not None else "",
        email=row.email or "",
        time_zone=occasions.UTC_NAME if place.all_day else place.zone,
        response=own.response if own is not None else Response.PENDING,
        comment=own.comment if own is not None else "",
        proposal=_proposal(place, own),
        choices=tuple(choices),
        seen=encode_url(occasions.digest(series, at, excused)),
        is_closed=gone or own is None or (ends is not None and ends < now),
    )


def _proposal(place: Placement, own: Standing | None) -> str:
    if own is None or own.proposed_starts_at is None or own.proposed_ends_at is None:
        return ""
    return occasions.between(place, own.proposed_starts_at, own.proposed_ends_at)


def _coming(series: Series, now: datetime) -> list[Occurrence]:
    """Those that are not over yet: what goes on now too."""
    try:
        return upcoming(series.set, now - series.set.placement.span.longest, CHOICES)
    except RuleTooComplex:
        return []


# --- the form ------------------------------------------------------------------------------------------------------


def _said(series: Series, row: CalendarAttendee, body: bytes) -> Said:
    """What was sent, by the wall clock of the event. Raises FormRefused."""
    if len(body) > MOST_BYTES:
        raise FormRefused
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise FormRefused from None
    fields = {name: value.replace("\r\n", "\n").strip() for name, value in pairs}
    if fields.keys() - FIELDS:  # what would be dropped without a word
        raise FormRefused
    place = occasions.placement_at(series, row.only_at)
    start, end = (_local(fields.get(name, ""), place.zone) for name in ("proposedStart", "proposedEnd"))
    if start is not None and end is None:
        end = start + _length(series, row.only_at)
    response = fields.get("response", "")
    if end is not None and not response and start is None:
        raise InvalidProposal
    try:
        wanted = RespondRequest.model_validate(
            {
                "response": response or (Response.PENDING if start is not None else ""),
                "comment": fields.get("comment", ""),
                "proposedStartTime": start,
                "proposedEndTime": end,
            }
        )
    except ValidationError:
        raise FormRefused from None
    return Said(wanted, bool(response), _about(series, row, fields.get("about", SERIES)), fields.get("seen"))


def _about(series: Series, row: CalendarAttendee, name: str) -> datetime | None:
    if row.only_at is not None:
        return row.only_at
    if name == SERIES:
        return None
    try:
        event_id, at = parse_occurrence_id(name)
    except OccurrenceUnknown:
        raise FormRefused from None
    if event_id != series.id or not series.recurs:
        raise FormRefused
    return at


def _length(series: Series, at: datetime | None) -> timedelta:
    place = occasions.placement_at(series, at)
    utc = zone_or_utc(occasions.UTC_NAME)
    return place.ends_at(utc) - place.starts_at(utc)


def _local(text: str, zone_name: str) -> datetime | None:
    """A time as forms write it; empty is none. Raises FormRefused."""
    if not text:
        return None
    for form in LOCAL_FORMS:
        try:
            wall = datetime.strptime(text, form)  # noqa: DTZ007  # wall time
        except ValueError:
            continue
        if not 1900 <= wall.year < 3000:
            break
        return to_utc(wall, zone_or_utc(zone_name))
    raise FormRefused
