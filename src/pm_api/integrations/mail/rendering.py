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
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from jinja2.exceptions import TemplateNotFound

from pm_api.core.money import money
from pm_api.integrations.mail.message import SUBJECT_LENGTH, one_line, without_turns

GENERAL: Final = "general"
REASON_LENGTH: Final = 300
FACT_LENGTH: Final = 120
ACTION_LENGTH: Final = 60
LETTERS: Final = 2
_FACTS: Final = (
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
)
"""Which figures of a notification's data a letter shows, in which order, and what it calls them."""
_MONEY: Final = frozenset({"amount", "amountRefunded", "price"})
_NAMES: Final = frozenset({"plan", "previousPlan", "pack", "billingInterval"})


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said. Links are absolute; `unsubscribe_url` and `settings_url` only where one may opt out."""

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


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str


def render(letter: Letter) -> Rendered:
    """Subject, text and HTML of a letter."""
    letter = replace(
        letter,
        title=one_line(letter.title, SUBJECT_LENGTH),
        body=without_turns(letter.body),
        reason=one_line(letter.reason, REASON_LENGTH),
        action=None if letter.action is None else one_line(letter.action, ACTION_LENGTH),
    )
    values = {
        "letter": letter,
        "facts": facts_of(letter),
        "paragraphs": [one.strip() for one in letter.body.splitlines() if one.strip()],
        "host": urlsplit(letter.site_url).hostname or letter.product,
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


def _shown(key: str, letter: Letter) -> str | None:
    value = letter.data.get(key)
    if key == "cardLast4":
        return f"•••• {value}" if isinstance(value, str) and value.isdecimal() else None
    if isinstance(value, int) and not isinstance(value, bool):
        currency = letter.data.get("currency")
        if key in _MONEY:
            return money(value, currency) if isinstance(currency, str) else None
        return f"{value:,}"
    if not isinstance(value, str) or key in _MONEY:
        return None
    if key in _NAMES:
        return one_line(_spoken(value), FACT_LENGTH)
    return day(value, letter.time_zone) if key.endswith(("At", "End")) else one_line(value, FACT_LENGTH)


def _spoken(name: str) -> str:
    """TEAM_STANDARD as people say it; XL stays as it is."""
    return " ".join(part if len(part) <= LETTERS else part.capitalize() for part in name.split("_"))


def day(moment: str, time_zone: str) -> str | None:
    """`21 November 2026`, where the reader lives; None when it is no time."""
    try:
        parsed = datetime.fromisoformat(moment)
        zone = ZoneInfo(time_zone)
    except ZoneInfoNotFoundError:
        zone = ZoneInfo("UTC")
    except ValueError:
        return None
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(zone)
    return f"{parsed.day} {parsed:%B %Y}"


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
