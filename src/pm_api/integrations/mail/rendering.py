"""Words into letters: Jinja2 templates over one layout, HTML and text beside each other. Pure: same in, same out.

A letter is written by the template of its type, else by that of its family (`billing` for `billing.anything`), else
by the general one: title, body, button. What people wrote (names, notes) is escaped and keeps to its own paragraph.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from jinja2.exceptions import TemplateNotFound

from pm_api.core.money import money
from pm_api.core.recurrence import zone_or_utc
from pm_api.integrations.mail.message import SUBJECT_LENGTH, one_line, without_turns

GENERAL: Final = "general"
REASON_LENGTH: Final = 300
FACT_LENGTH: Final = 120
ITEM_LENGTH: Final = 160
ACTION_LENGTH: Final = 60
LETTERS: Final = 2
_FACTS: Final = (
    ("eventWhen", "When"),
    ("eventRecurs", "Recurs"),
    ("eventWhere", "Where"),
    ("eventOrganizer", "Organizer"),
    ("workspaceName", "Workspace"),
    ("previousPlan", "Plan before"),
    ("plan", "Plan"),
    ("billingInterval", "Billed"),
    ("pack", "Pack"),
    ("number", "Invoice"),
    ("credits", "Credits"),
    ("available", "Credits left"),
    ("base", "After the last grant"),
    ("amount", "Amount"),
    ("price", "Price from now on"),
    ("amountRefunded", "Refunded"),
    ("cardLast4", "Card"),
    ("paidAt", "Paid"),
    ("effectiveAt", "From"),
    ("dueAt", "Due"),
    ("nextPaymentAt", "Next payment"),
    ("trialEnd", "Trial ends"),
    ("endsAt", "Ends"),
    ("graceEndsAt", "Access until"),
    ("expiresAt", "Expires"),
    ("occurredAt", "When"),
    ("device", "Device"),
    ("ipAddress", "IP address"),
    ("signInMethod", "Signed in with"),
    ("newEmail", "New address"),
    ("deletesAt", "Deleted for good"),
)
"""Which figures of a notification's data a letter shows, in which order, and what it calls them."""
_MONEY: Final = frozenset({"amount", "amountRefunded", "price"})
_MOMENTS: Final = frozenset({"occurredAt", "deletesAt"})
"""Where the hour matters too."""
VALID_UNTIL: Final = "linkExpiresAt"
_NAMES: Final = frozenset({"plan", "previousPlan", "pack", "billingInterval"})


@dataclass(frozen=True, slots=True)
class SectionItem:
    """One of the things a letter gathers."""

    title: str
    text: str
    link: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Section:
    label: str
    items: tuple[SectionItem, ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said. Links are absolute; `unsubscribe_url` and `settings_url` only where one may opt out.

    A letter of several things has `sections`; `more` is how many there are beside them.
    """

    type: str
    title: str
    body: str
    reason: str
    product: str
    site_url: str
    name: str = ""
    link: str | None = None
    action: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = "UTC"
    settings_url: str | None = None
    unsubscribe_url: str | None = None
    sections: tuple[Section, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class ShownItem:
    title: str
    text: str
    link: str | None
    at: str


@dataclass(frozen=True, slots=True)
class ShownSection:
    label: str
    items: list[ShownItem]


def render(letter: Letter) -> Rendered:
    """Subject, text and HTML of a letter."""
    letter = replace(
        letter,
        title=one_line(letter.title, SUBJECT_LENGTH),
        body=without_turns(letter.body),
        reason=one_line(letter.reason, REASON_LENGTH),
        action=None if letter.action is None else one_line(letter.action, ACTION_LENGTH),
    )
    paragraphs = [one.strip() for one in letter.body.splitlines() if one.strip()]
    sections = _sections_of(letter)
    first = [item.title for section in sections for item in section.items]
    values = {
        "letter": letter,
        "facts": facts_of(letter),
        "paragraphs": paragraphs,
        # What a mailbox shows beside the subject.
        "preview": (paragraphs or first or [letter.reason])[0],
        "host": urlsplit(letter.site_url).hostname or letter.product,
        "valid_until": _valid_until(letter),
        "sender": _shown("senderName", letter),
        "sections": sections,
    }
    return Rendered(
        subject=letter.title,
        text=f"{_collapsed(_template(letter.type, 'txt').render(values))}\n",
        html=_template(letter.type, "html").render(values),
    )


def facts_of(letter: Letter) -> list[Fact]:
    """The figures people look for, each label once; what is missing, or not of its shape, is left out."""
    found: dict[str, str] = {}
    for key, label in _FACTS:
        shown = _shown(key, letter)
        if shown:
            found.setdefault(label, shown)
    return [Fact(label, value) for label, value in found.items()]


def _sections_of(letter: Letter) -> list[ShownSection]:
    zone = zone_or_utc(letter.time_zone)
    return [
        ShownSection(
            one_line(section.label, FACT_LENGTH),
            [
                ShownItem(
                    one_line(item.title, SUBJECT_LENGTH),
                    one_line(item.text, ITEM_LENGTH),
                    item.link,
                    _short_moment(item.at.astimezone(zone)),
                )
                for item in section.items
            ],
        )
        for section in letter.sections
    ]


def _short_moment(local: datetime) -> str:
    return f"{local:%a} {local.day} {local:%B, %H:%M}"


def _shown(key: str, letter: Letter) -> str | None:
    value = letter.data.get(key)
    if key == "cardLast4":
        return f"•••• {value}" if isinstance(value, str) and value.isdecimal() else None
    if isinstance(value, int) and not isinstance(value, bool):
        currency = letter.data.get("currency")
        if key in _MONEY:
            return money(value, currency) if isinstance(currency, str) else None
        return f"{value:,}"
    return _shown_words(key, value, letter.time_zone) if isinstance(value, str) and key not in _MONEY else None


def _shown_words(key: str, value: str, time_zone: str) -> str | None:
    if key in _MOMENTS:
        return moment(value, time_zone)
    if key.endswith(("At", "End")):
        return day(value, time_zone)
    return one_line(_spoken(value) if key in _NAMES else value, FACT_LENGTH)


def _valid_until(letter: Letter) -> str | None:
    value = letter.data.get(VALID_UNTIL)
    return moment(value, letter.time_zone) if isinstance(value, str) else None


def _spoken(name: str) -> str:
    """TEAM_STANDARD as people say it; XL stays as it is."""
    return " ".join(part if len(part) <= LETTERS else part.capitalize() for part in name.split("_"))


def day(written: str, time_zone: str) -> str | None:
    """`21 November 2026`, where the reader lives; None when it is no time."""
    local = _local(written, time_zone)
    return None if local is None else f"{local.day} {local:%B %Y}"


def moment(written: str, time_zone: str) -> str | None:
    """`21 November 2026, 14:05 (Europe/Berlin)`; None when it is no time."""
    local = _local(written, time_zone)
    return None if local is None else f"{local.day} {local:%B %Y, %H:%M} ({local.tzinfo or 'UTC'})"


def _local(written: str, time_zone: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(written)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is None else parsed.astimezone(zone_or_utc(time_zone))


def _collapsed(text: str) -> str:
    """No more than one empty line in a row: a template's conditions leave theirs behind."""
    lines: list[str] = []
    for line in (one.rstrip() for one in text.strip().splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines)


_templates: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(("html",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def _template(type: str, form: str) -> Template:
    for name in (type, type.partition(".")[0], GENERAL):
        try:
            return _templates.get_template(f"{name}.{form}")
        except TemplateNotFound:
            continue
    raise TemplateNotFound(f"{GENERAL}.{form}")
