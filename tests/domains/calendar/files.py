"""Calendar files: sent, fetched, and read by programs that are not ours."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import httpx
from dateutil.rrule import rruleset, rrulestr
from icalendar import Calendar

from tests.conftest import Person
from tests.domains.calendar.diaries import Diary, Json

IMPORT = "/api/calendar/events/import"
EXPORT = "/api/calendar/events/export.ics"
FEEDS = "/api/calendar/feeds"
CALENDAR = "text/calendar"
LONG = timedelta(days=36_500)


class Shown(NamedTuple):
    """One occurrence as somebody is shown it, in UTC."""

    start: datetime
    end: datetime
    title: str


def file_of(*events: str, before: str = "", method: str = "") -> bytes:
    """A calendar of VEVENTs, each given by its lines."""
    told = f"METHOD:{method}\n" if method else ""
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//tests//EN\n{told}{before}"
    text += "".join(f"BEGIN:VEVENT\nDTSTAMP:20260101T000000Z\n{one.strip()}\nEND:VEVENT\n" for one in events)
    return f"{text}END:VCALENDAR\n".replace("\n", "\r\n").encode()


async def send(diary: Diary, content: bytes, by: Person | None = None, **query: Any) -> httpx.Response:
    asked = {"workspaceId": diary.id, **{name: str(value) for name, value in query.items()}}
    headers = {"Content-Type": CALENDAR}
    return await (by or diary.owner).client.post(IMPORT, params=asked, content=content, headers=headers)


async def taken_in(diary: Diary, content: bytes, by: Person | None = None, **query: Any) -> Json:
    answer = await send(diary, content, by, **query)
    assert answer.status_code == 200, answer.text
    report: Json = answer.json()["report"]
    return report


async def exported(diary: Diary, by: Person | None = None, **query: Any) -> bytes:
    answer = await (by or diary.owner).client.get(EXPORT, params={"workspaceId": diary.id, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    return answer.content


async def file_of_event(diary: Diary, event_id: str, by: Person | None = None) -> bytes:
    answer = await (by or diary.owner).client.get(f"/api/calendar/events/{event_id}.ics")
    assert answer.status_code == 200, answer.text
    return answer.content


async def feed_of(diary: Diary, by: Person | None = None, **fields: Any) -> Json:
    answer = await (by or diary.owner).client.post(FEEDS, json={"workspaceId": diary.id, **fields})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return {**made, "path": httpx.URL(made["url"]).path}


def parts_of(content: bytes | str, name: str = "VEVENT") -> list[Any]:
    """Components as icalendar reads them; what they hold has many types."""
    return list(Calendar.from_ical(content).walk(name))


def as_shown(events: Iterable[Json]) -> list[Shown]:
    """What our range query says."""
    return sorted(
        Shown(datetime.fromisoformat(one["startTime"]), datetime.fromisoformat(one["endTime"]), one["title"])
        for one in events
    )


def expanded(content: bytes, start: datetime, end: datetime) -> list[Shown]:
    """What a program makes of a calendar that knows icalendar and dateutil alone: rules by wall time, then each
    occurrence where its zone puts it; all-day ones at UTC.
    """
    events = parts_of(content, "VEVENT")
    masters = [one for one in events if "RECURRENCE-ID" not in one]
    moved = {(str(one["UID"]), _instant(one["RECURRENCE-ID"].dt)): one for one in events if "RECURRENCE-ID" in one}
    found: list[Shown] = []
    for master in masters:
        first = master["DTSTART"].dt
        lasts = _lasting(master)
        for wall in _walls(master, first, end):
            begin = wall if isinstance(first, datetime) else wall.date()
            key = _instant(begin)
            if (str(master["UID"]), key) not in moved:
                found.append(Shown(key, key + lasts, str(master["SUMMARY"])))
    for one in moved.values():
        if str(one.get("STATUS", "")) != "CANCELLED":
            key = _instant(one["DTSTART"].dt)
            found.append(Shown(key, key + _lasting(one), str(one["SUMMARY"])))
    return sorted(
        one
        for one in found
        if (one.start < end and one.end > start) or (one.start == one.end and start <= one.start < end)
    )


def _walls(master: Any, first: date, end: datetime) -> list[Any]:
    place = first.tzinfo if isinstance(first, datetime) else None
    wall = first.replace(tzinfo=None) if isinstance(first, datetime) else datetime.combine(first, datetime.min.time())

    def local(moment: date) -> datetime:
        if not isinstance(moment, datetime):
            return datetime.combine(moment, datetime.min.time())
        return moment.astimezone(place).replace(tzinfo=None) if moment.tzinfo and place else moment

    walls: Any = rruleset()
    walls.rdate(wall)
    if "RRULE" in master:
        text = master["RRULE"].to_ical().decode()
        parts = dict(one.split("=") for one in text.split(";"))
        if "UNTIL" in parts and parts["UNTIL"].endswith("Z") and place is not None:
            until = datetime.strptime(parts["UNTIL"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            parts["UNTIL"] = until.astimezone(place).strftime("%Y%m%dT%H%M%S")
        walls.rrule(rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=wall))
    for name, add in (("RDATE", walls.rdate), ("EXDATE", walls.exdate)):
        listed = master.get(name, [])
        for dates in listed if isinstance(listed, list) else [listed]:
            for one in dates.dts:
                add(local(one.dt))
    until = end.replace(tzinfo=None) + timedelta(days=2)
    return [one.replace(tzinfo=place) if place else one for one in walls.between(wall - LONG, until, inc=True)]


def _instant(moment: date) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, datetime.min.time(), UTC)
    return moment.astimezone(UTC)


def _lasting(one: Any) -> timedelta:
    if "DURATION" in one:
        lasts: timedelta = one["DURATION"].dt
        return lasts
    if "DTEND" in one:
        return _instant(one["DTEND"].dt) - _instant(one["DTSTART"].dt)
    return timedelta() if isinstance(one["DTSTART"].dt, datetime) else timedelta(days=1)
