"""Who is told of what happens to an event: members in the app, addresses outside by mail.

Nobody is told of what they did themselves, of what is over, or of what they may not see; an address is mailed again
only when what it was told is not true any more.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import bounds, zone_or_utc
from pm_api.core.schema import written
from pm_api.domains.calendar import letters, occasions
from pm_api.domains.calendar.enums import Response, Visibility
from pm_api.domains.calendar.mapping import Series
from pm_api.domains.calendar.models import CalendarAttendee, CalendarEvent
from pm_api.domains.calendar.repository import attendees as repository
from pm_api.domains.calendar.repository import events as rows_of_events
from pm_api.domains.calendar.schemas.attendees import RespondRequest
from pm_api.domains.calendar.standing import standing
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

Doer = WorkspaceScope | SystemScope
CREATED: Final = "created"
DELETED: Final = "deleted"
RESPONDED: Final = "responded"
INVITED: Final = "calendar.invited"
UNINVITED: Final = "calendar.uninvited"
MOVED: Final = "calendar.moved"
CANCELLED: Final = "calendar.cancelled"
ANSWERED: Final = "calendar.answered"
HANDED_OVER: Final = "calendar.handed_over"
_SAID: Final = {
    Response.ACCEPTED: "will come",
    Response.DECLINED: "will not come",
    Response.TENTATIVE: "may come",
    Response.PENDING: "took back their answer",
}
IS_INVITED: Final = "You are invited to this event."


async def told(
    session: AsyncSession,
    platform: Platform,
    scope: Doer,
    series: Series,
    action: str,
    *,
    moved: bool,
    at: datetime | None = None,
    before: Series | None = None,
) -> None:
    """Tell of an event that was written, once its version counts the write; of a deletion while its rows are there.
    `at`: it was about that occurrence alone.
    """
    event, now = series.event, platform.clock.now()
    if action == RESPONDED or is_over(series, now, before) or _is_past(series, at, now, before):
        return
    rows = (await repository.attendees_of(session, [event.id]))[event.id]
    rows = [row for row in rows if not _is_past(series, row.only_at, now, before)]
    answers = await repository.answers_of(session, [event.id])
    present = rows if at is None else [one.row for one in standing(rows, answers, at)]
    concerned = {row.user_id for row in present if row.user_id is not None and row.is_told}
    new = [row for row in rows if not row.is_told]
    is_gone = action == DELETED or (at is not None and not occasions.is_there(series, at))
    if is_gone:
        await _cancelled(session, platform, scope, series, concerned | {event.organizer_user_id}, at)
    elif moved and action != CREATED:
        await _moved(session, platform, scope, series, concerned | {event.organizer_user_id}, at, before)
    if action != DELETED and new:
        # A series that was split off goes on as the one they know.
        is_part = action == CREATED and event.previous_series_id is not None
        if not is_part or moved:
            await _invited(session, platform, scope, series, [row for row in new if row.user_id is not None])
        await repository.set_told(session, [row.id for row in new if row.user_id is not None])
    outside = [row for row in rows if row.email is not None]
    if outside and action == DELETED:
        await letters.cancel(session, platform, series, [one for one in outside if one.is_told], None)
    elif outside:
        excused = [(row_id, key) for (row_id, key), one in answers.items() if one.uninvited]
        if is_gone and at is not None and before is not None:
            await letters.cancel_one(session, platform, series, outside, excused, at, before)
        if await letters.request(session, platform, series, outside, excused):
            await repository.set_told(session, [row.id for row in new if row.email is not None])


async def uninvited(
    session: AsyncSession,
    platform: Platform,
    scope: Doer,
    event: CalendarEvent,
    gone: Sequence[CalendarAttendee],
    at: datetime | None,
) -> None:
    """Tell those who need not come any more, while their rows are there."""
    [series], now = await rows_of_events.with_overrides(session, [event]), platform.clock.now()
    known = [row for row in gone if row.is_told and not _is_past(series, at or row.only_at, now, None)]
    if not known or is_over(series, now, None):
        return
    # What becomes of it is not theirs to read now; that there is nothing to come to is.
    is_read = event.visibility == Visibility.DEFAULT
    title = occasions.shown(series, "title", at) if is_read else "An event"
    place = occasions.placement_at(series, at)
    await _notify(
        session,
        platform,
        scope,
        series,
        {row.user_id for row in known if row.user_id is not None},
        type=UNINVITED,
        key=f"{UNINVITED}:{event.id}:{event.version}",
        title=f"{title} goes on without you",
        body=occasions.when(place),
        reason="You were invited to this event.",
        at=at,
    )
    await letters.cancel(session, platform, series, [row for row in known if row.email is not None], at)


async def answered(
    session: AsyncSession,
    platform: Platform,
    event: CalendarEvent,
    row: CalendarAttendee,
    wanted: RespondRequest,
    at: datetime | None,
) -> None:
    """Tell the organizer what somebody answered."""
    if row.user_id == event.organizer_user_id:
        return
    [series] = await rows_of_events.with_overrides(session, [event])
    who = row.name or row.email or ""
    if row.user_id is not None:
        who = (await repository.people(session, [row.user_id]))[row.user_id].name
    at = at or row.only_at
    place = occasions.placement_at(series, at)
    lines = [occasions.when(place) if at is not None or not series.recurs else occasions.recurs(series) or ""]
    if wanted.proposed_start_time is not None and wanted.proposed_end_time is not None:
        lines.append(
            f"Proposed instead: {occasions.between(place, wanted.proposed_start_time, wanted.proposed_end_time)}"
        )
    if wanted.comment.strip():
        lines.append(wanted.comment)
    proposes_only = wanted.response is Response.PENDING and wanted.proposed_start_time is not None
    says = "proposes another time" if proposes_only else _SAID[wanted.response]
    await _notify(
        session,
        platform,
        None,
        series,
        {event.organizer_user_id},
        type=ANSWERED,
        key=f"{ANSWERED}:{row.id}:{event.version}",
        title=f"{who} {says}: {occasions.shown(series, 'title', at)}",
        body="\n".join(lines),
        reason="You organize this event.",
        at=at,
        actor_user_id=row.user_id,
    )


async def handed_over(session: AsyncSession, platform: Platform, scope: Doer, event: CalendarEvent) -> None:
    """Tell its new organizer."""
    [series] = await rows_of_events.with_overrides(session, [event])
    if is_over(series, platform.clock.now(), None):
        return
    await _notify(
        session,
        platform,
        scope,
        series,
        {event.organizer_user_id},
        type=HANDED_OVER,
        key=f"{HANDED_OVER}:{event.id}:{event.version}",
        title=f"You organize {event.title} now",
        body=_when(series),
        reason="The event was handed over to you.",
    )


def is_over(series: Series, now: datetime, before: Series | None) -> bool:
    """Whether all of it has passed, and had before."""
    ends = series.event.series_ends_at
    if ends is None or ends >= now:
        return False
    if before is None:
        return True
    ended = bounds(before.set).ends_at
    return ended is not None and ended < now


def _is_past(series: Series, at: datetime | None, now: datetime, before: Series | None) -> bool:
    """The same of one occurrence."""
    if at is None:
        return False
    utc = zone_or_utc(occasions.UTC_NAME)
    return all(occasions.placement_at(one, at).ends_at(utc) < now for one in (series, before) if one is not None)


async def _invited(
    session: AsyncSession, platform: Platform, scope: Doer, series: Series, new: Sequence[CalendarAttendee]
) -> None:
    """Each occasion apart: one may be invited to a single occurrence."""
    event = series.event
    actor = await _actor(session, scope)
    for at in sorted({row.only_at for row in new}, key=lambda one: (one is not None, one)):
        title = occasions.shown(series, "title", at)
        await _notify(
            session,
            platform,
            scope,
            series,
            {row.user_id for row in new if row.only_at == at and row.user_id is not None},
            type=INVITED,
            key=f"{INVITED}:{event.id}:{event.version}" + (f":{written(at)}" if at else ""),
            title=f"{actor} invited you: {title}" if actor else f"You are invited: {title}",
            body=_when(series, at),
            reason=IS_INVITED,
            at=at,
        )


async def _moved(
    session: AsyncSession,
    platform: Platform,
    scope: Doer,
    series: Series,
    receivers: Collection[UUID],
    at: datetime | None,
    before: Series | None,
) -> None:
    event = series.event
    actor = await _actor(session, scope)
    title = occasions.shown(series, "title", at)
    lines = [_when(series, at)]
    if before is not None and (was := _when(before, at)) != lines[0]:
        lines.append(f"Before: {was}")
    await _notify(
        session,
        platform,
        scope,
        series,
        receivers,
        type=MOVED,
        key=f"{MOVED}:{event.id}:{event.version}",
        title=f"{actor} moved {title}" if actor else f"{title} takes place at another time",
        body="\n".join(lines),
        reason=IS_INVITED,
        at=at,
    )


async def _cancelled(
    session: AsyncSession,
    platform: Platform,
    scope: Doer,
    series: Series,
    receivers: Collection[UUID],
    at: datetime | None,
) -> None:
    event = series.event
    actor = await _actor(session, scope)
    title = occasions.shown(series, "title", at)
    await _notify(
        session,
        platform,
        scope,
        series,
        receivers,
        type=CANCELLED,
        key=f"{CANCELLED}:{event.id}:{event.version}",
        title=f"{actor} cancelled {title}" if actor else f"{title} was cancelled",
        body=_when(series, at),
        reason="You were invited to this event.",
        at=at,
        links=False,
    )


def _when(series: Series, at: datetime | None = None) -> str:
    lines = [occasions.when(occasions.placement_at(series, at))]
    if at is None and series.recurs:
        lines.append(occasions.recurs(series) or "")
    if where := occasions.shown(series, "location", at):
        lines.append(where)
    return "\n".join(lines)


async def _actor(session: AsyncSession, scope: Doer) -> str:
    if not isinstance(scope, WorkspaceScope):
        return ""
    found = (await repository.people(session, [scope.user_id])).get(scope.user_id)
    return found.name if found is not None else ""


async def _notify(
    session: AsyncSession,
    platform: Platform,
    scope: Doer | None,
    series: Series,
    receivers: Collection[UUID],
    *,
    type: str,
    key: str,
    title: str,
    body: str,
    reason: str,
    at: datetime | None = None,
    actor_user_id: UUID | None = None,
    links: bool = True,
) -> None:
    event = series.event
    occurrence = occasions.id_of(series, at)
    await notifications.notify(
        session,
        platform,
        user_ids=receivers,
        category=Category.CALENDAR,
        type=type,
        dedup_key=key,
        title=title,
        body=body,
        reason=reason,
        data={"eventId": occurrence, "seriesId": str(event.id)},
        link=f"{occasions.PATH}{occurrence}" if links else occasions.PATH.rstrip("/"),
        workspace_id=event.workspace_id,
        scope_id=event.scope_id,
        actor_user_id=scope.user_id if isinstance(scope, WorkspaceScope) else actor_user_id,
    )
