"""Content lines of iCalendar (RFC 5545 §3.1, §3.3.11; RFC 6868) and the tree that BEGIN and END make of them.

Whatever text holds, it stays inside its value: nobody writes a property, or a line, into somebody else's calendar by
a title. And nothing is understood here but the form, so that reading costs what a file is long.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from icalendar.parser import Contentline, Contentlines

LINE_END: Final = "\r\n"
MOST_OCTETS: Final = 75
MOST_LINES: Final = 200_000
DEEPEST: Final = 8
MOST_OF_A_NAME: Final = 64
MOST_OF_A_LINE: Final = 200_000
"""With parameters: they are taken apart letter by letter."""
UNDERSTOOD: Final = frozenset(
    {
        *("BEGIN", "END", "METHOD", "NAME", "X-WR-CALNAME", "X-WR-TIMEZONE"),
        *("UID", "SEQUENCE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE"),
        *("SUMMARY", "DESCRIPTION", "LOCATION", "STATUS", "TRANSP", "CLASS", "ORGANIZER", "ATTENDEE"),
        *("X-MICROSOFT-CDO-BUSYSTATUS", "X-PM-TYPE"),
        *("ACTION", "TRIGGER", "REPEAT"),
        *("TZID", "TZOFFSETFROM", "TZOFFSETTO", "X-LIC-LOCATION"),
    }
)
_NAME: Final = re.compile(r"[ \t]*([A-Za-z0-9-]+)[ \t]*[;:]", re.ASCII)
_ESCAPES: Final = {"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"}
_ESCAPED: Final = re.compile(r"\\([\\;,nN:\"])")
_IN_A_PARAMETER: Final = {"^": "^^", "\n": "^n", '"': "^'"}
_FROM_A_PARAMETER: Final = re.compile(r"\^([\^n'])")
_OF_AN_ADDRESS: Final = "@!#$&'*+/=?^_`{|}~-."


class Unreadable(ValueError):
    """It is no calendar, or too much of one; says why."""


# --- writing ----------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """The same in characters that a line may hold: line ends as \\n, and of the controls only the tab."""
    ends = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    if ends.isprintable():
        return ends
    return "".join(one for one in ends if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cs"))


def escaped(text: str) -> str:
    """A value of type TEXT."""
    return "".join(_ESCAPES.get(one, one) for one in plain(text))


def parameter(text: str) -> str:
    """The value of a parameter, quoted where it has to be."""
    inside = "".join(_IN_A_PARAMETER.get(one, one) for one in plain(text))
    return f'"{inside}"' if any(one in ":;, " for one in inside) else inside


def mail_address(address: str) -> str:
    """A calendar address of somebody who has e-mail."""
    return f"mailto:{quote(plain(address), safe=_OF_AN_ADDRESS)}"


def line(name: str, value: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """One property, folded; `value` is written as it is."""
    named = "".join(f";{one}={parameter(content)}" for one, content in parameters)
    return folded(f"{name}{named}:{value}")


def folded(content: str) -> str:
    """No line is longer than 75 octets, and none breaks within a character."""
    if len(content) <= MOST_OCTETS and content.isascii():
        return content + LINE_END
    parts: list[str] = []
    begin, octets = 0, 0
    for at, one in enumerate(content):
        size = len(one.encode())
        if octets + size > MOST_OCTETS:
            parts.append(content[begin:at])
            begin, octets = at, 1  # the space that says it goes on
        octets += size
    parts.append(content[begin:])
    return (LINE_END + " ").join(parts) + LINE_END


# --- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property:
    """One line; `value` is as it was written."""

    name: str
    value: str
    parameters: Mapping[str, str]

    @property
    def text(self) -> str:
        """Of type TEXT."""
        return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], self.value)

    def parameter(self, name: str) -> str:
        return self.parameters.get(name, "")


@dataclass(slots=True)
class Component:
    """What stands between BEGIN and END. `broken` holds lines that are none."""

    name: str
    properties: dict[str, list[Property]] = field(default_factory=dict)
    children: list["Component"] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[Property]:
        return self.properties.get(name, [])

    def first(self, name: str) -> Property | None:
        found = self.properties.get(name)
        return found[0] if found else None

    def text(self, name: str) -> str:
        """Of the first such property; empty without one."""
        found = self.first(name)
        return found.text if found is not None else ""

    def named(self, name: str) -> Iterator["Component"]:
        return (one for one in self.children if one.name == name)


def parsed(content: bytes) -> list[Component]:
    """The outermost components of a file. Raises Unreadable for what is no iCalendar at all."""
    top = Component("")
    open_ones = [top]
    lines: list[Contentline] = Contentlines.from_ical(_decoded(content))  # type: ignore[no-untyped-call]
    if len(lines) > MOST_LINES:
        raise Unreadable(f"It has more than {MOST_LINES:,} lines.")
    for one in lines:
        if one.strip():
            _take(open_ones, one)
    if not top.children:
        raise Unreadable("It holds no calendar: nothing in it begins with BEGIN:VCALENDAR.")
    return top.children


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unreadable("It is written in UTF-16; a calendar is UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # what old programs wrote; every octet is a letter there
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _take(open_ones: list[Component], written: Contentline) -> None:
    read = _property(written)
    inside = open_ones[-1]
    if read is None:
        if len(inside.broken) < 10:
            inside.broken.append(plain(written[:80]))
        return
    if read.name == "BEGIN":
        if len(open_ones) > DEEPEST:
            raise Unreadable(f"Its components lie deeper than {DEEPEST} levels.")
        begun = Component(read.value.strip().upper()[:MOST_OF_A_NAME])
        inside.children.append(begun)
        open_ones.append(begun)
    elif read.name == "END":
        ended = read.value.strip().upper()[:MOST_OF_A_NAME]
        if any(one.name == ended for one in open_ones[1:]):  # one that was not closed ends with what it stands in
            while open_ones.pop().name != ended:
                pass
    elif read.name:
        inside.properties.setdefault(read.name, []).append(read)


def _property(written: Contentline) -> Property | None:
    """None for a line that is none. Of what nobody here asks for, such as files of megabytes, nothing is kept."""
    named = _NAME.match(written)
    if named is None:
        return None
    if named[1].upper() not in UNDERSTOOD:
        return Property("", "", {})
    head, colon, value = written.partition(":")
    if colon and ";" not in head:
        return Property(named[1].upper(), value, {})
    if len(written) > MOST_OF_A_LINE:
        return None
    try:
        name, parameters, value = written.raw_parts()
    except (ValueError, AssertionError, IndexError):
        return None
    kept = {str(key).upper(): _one(content) for key, content in parameters.items()}
    return Property(name.upper(), value, kept)


def _one(content: object) -> str:
    """The first of several values, as people mean it: programs write some parameters twice."""
    text = content[0] if isinstance(content, list) and content else content
    return _FROM_A_PARAMETER.sub(lambda found: {"^": "^", "n": "\n", "'": '"'}[found[1]], str(text))
