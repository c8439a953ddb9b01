"""What single properties of an event say: its name among calendars, its texts, how long it lasts, who somebody is."""

import hashlib
from datetime import timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from pm_api.core.recurrence import Span, zone
from pm_api.core.schema import TURNING, on_one_line
from pm_api.domains.calendar.enums import Response, ShowAs, Visibility
from pm_api.domains.calendar.ical.drafts import Item, Point
from pm_api.domains.calendar.ical.entries import Person
from pm_api.domains.calendar.ical.lines import Component, Property, plain
from pm_api.domains.calendar.ical.times import NotThat
from pm_api.identity.schemas.people import normalised_email

MOST_OF_A_UID: Final = 255
NO_TITLE: Final = "(No title)"
_LENGTHS: Final = {"title": 500, "description": 20_000, "location": 1000}
_RESPONSES: Final = {
    "ACCEPTED": Response.ACCEPTED,
    "DECLINED": Response.DECLINED,
    "TENTATIVE": Response.TENTATIVE,
}
_BUSY: Final = {"FREE": ShowAs.FREE, "TENTATIVE": ShowAs.TENTATIVE, "OOF": ShowAs.OOO, "BUSY": ShowAs.BUSY}
_CLASSES: Final = {"PUBLIC": Visibility.DEFAULT, "CONFIDENTIAL": Visibility.CONFIDENTIAL}


def span_between(start: Point, end: Point) -> Span:
    if (start.zone is None) != (end.zone is None):
        raise NotThat("one of DTSTART and DTEND is a day, the other a time")
    if start.zone is None:
        days = (end.wall - start.wall).days
        if days < 0:
            raise NotThat("its DTEND is before its DTSTART")
        return Span(days=max(days, 1))
    same = end.zone == start.zone
    span = Span.between(start.wall, end.wall, zone(start.zone)) if same else Span(exact=end.instant - start.instant)
    if span.exact < timedelta():
        raise NotThat("its DTEND is before its DTSTART")
    return span


def span_lasting(start: Point, span: Span) -> Span:
    if start.zone is not None:
        return span
    whole, rest = divmod(span.exact, timedelta(days=1))
    if rest:
        raise NotThat("it takes whole days, but its DURATION does not")
    return Span(days=max(span.days + whole, 1))


def uid_of(event: Component) -> str:
    """What names it among calendars; made of what it says where it has none, so that twice the same is once."""
    uid = plain(event.text("UID")).replace("\n", " ").strip()
    if uid and len(uid) <= MOST_OF_A_UID:
        return uid
    said = uid or "\n".join(
        f"{one.name}:{one.value}"
        for name in sorted(event.properties)
        if name not in ("DTSTAMP", "LAST-MODIFIED", "CREATED", "SEQUENCE", "RECURRENCE-ID")
        for one in event.all(name)
    )
    return f"{hashlib.sha256(said.encode()).hexdigest()[:40]}@pm_api"


def rule_of(found: Property) -> str:
    """Without the blanks and the last semicolon that some programs write."""
    return "".join(found.value.split()).strip(";")


def sequence_of(text: str) -> int:
    stripped = text.strip()
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) < 9 else 0


def title_of(event: Component, notes: list[str]) -> str:
    text = one_line(event.text("SUMMARY"))
    try:
        on_one_line(text)
    except ValueError:
        text = ""
    return cut("title", text, notes) or NO_TITLE


def one_line(text: str) -> str:
    return "".join(one for one in " ".join(plain(text).split()) if one not in TURNING).strip()


def cut(name: str, text: str, notes: list[str]) -> str:
    most = _LENGTHS[name]
    if len(text) <= most:
        return text
    notes.append(f"Its {name} is longer than {most:,} characters and was cut.")
    return text[:most].rstrip()


def visibility_of(event: Component) -> Visibility:
    """What is not known is private (§3.8.1.3)."""
    said = event.text("CLASS").strip().upper()
    return _CLASSES.get(said, Visibility.PRIVATE) if said else Visibility.DEFAULT


def show_as_of(event: Component) -> ShowAs:
    said = event.text("X-MICROSOFT-CDO-BUSYSTATUS").strip().upper()
    if said in _BUSY:
        return _BUSY[said]
    if event.text("TRANSP").strip().upper() == "TRANSPARENT":
        return ShowAs.FREE
    return ShowAs.TENTATIVE if event.text("STATUS").strip().upper() == "TENTATIVE" else ShowAs.BUSY


def person_of(found: Property) -> Person | None:
    scheme, _, rest = found.value.strip().partition(":")
    address = rest if scheme.lower() == "mailto" else found.parameter("EMAIL") or found.value
    email = _email(address.strip()[:400])
    if email is None:
        return None
    return Person(
        email,
        one_line(found.parameter("CN"))[:200],
        _RESPONSES.get(found.parameter("PARTSTAT").upper(), Response.PENDING),
        found.parameter("ROLE").upper() in ("OPT-PARTICIPANT", "NON-PARTICIPANT"),
    )


@lru_cache(maxsize=4096)
def _email(address: str) -> str | None:
    try:
        return normalised_email(unquote(address))
    except ValueError:
        return None


def note(item: Item, text: str) -> None:
    if text and text not in item.notes and len(item.notes) < 10:
        item.notes.append(text)
