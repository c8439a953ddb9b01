"""Pure rules of projects: keys made from names, which step leads where, and the workflow a new project has."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pm_api.domains.projects.enums import ProjectState, StatusCategory

RESTORABLE_FOR: Final = timedelta(days=30)

KEY_LENGTH: Final = 10
KEY_PATTERN: Final = r"^[A-Z][A-Z0-9]{1,9}$"
FALLBACK_KEY: Final = "PRJ"
INITIALS: Final = 4
LETTERS: Final = 3

WORD_KEY_PATTERN: Final = r"^[A-Z][A-Z0-9_]{0,39}$"
"""Keys of statuses and fields."""
WORD_KEY_LENGTH: Final = 40

MOST_STATUSES: Final = 50
MOST_LABELS: Final = 500
MOST_FIELDS: Final = 50
MOST_OPTIONS: Final = 100

KEPT_CATEGORIES: Final = frozenset({StatusCategory.TODO, StatusCategory.DONE})
"""Of each a workflow keeps at least one status: what is new needs a place, and so does what is finished."""


@dataclass(frozen=True, slots=True)
class Step:
    """One column of a workflow."""

    key: str
    name: str
    category: StatusCategory
    colour: str


DEFAULT_WORKFLOW: Final = (
    Step("TODO", "To do", StatusCategory.TODO, "#64748b"),
    Step("IN_PROGRESS", "In progress", StatusCategory.IN_PROGRESS, "#3b82f6"),
    Step("IN_REVIEW", "In review", StatusCategory.IN_PROGRESS, "#a855f7"),
    Step("DONE", "Done", StatusCategory.DONE, "#22c55e"),
    Step("CANCELED", "Canceled", StatusCategory.CANCELED, "#94a3b8"),
)

VERBS: Final = {
    ProjectState.ACTIVE: frozenset({ProjectState.PLANNED, ProjectState.PAUSED}),
    ProjectState.PAUSED: frozenset({ProjectState.ACTIVE}),
    ProjectState.COMPLETED: frozenset({ProjectState.PLANNED, ProjectState.ACTIVE, ProjectState.PAUSED}),
    ProjectState.ARCHIVED: frozenset(
        {ProjectState.PLANNED, ProjectState.ACTIVE, ProjectState.PAUSED, ProjectState.COMPLETED}
    ),
}
"""Where a project may go, and from where: start, stop, complete, archive. Restoring alone leads out of ARCHIVED."""


def may_become(present: ProjectState, wanted: ProjectState) -> bool:
    return present in VERBS.get(wanted, frozenset())


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().upper()


def key_of(name: str) -> str:
    """Two to four letters: the initials of several words, the beginning of one."""
    words = re.findall(r"[A-Z0-9]+", _plain(name))
    while words and not words[0][0].isalpha():
        words[0] = words[0].lstrip("0123456789")
        if not words[0]:
            words.pop(0)
    if not words:
        return FALLBACK_KEY
    key = "".join(one[0] for one in words[:INITIALS]) if len(words) > 1 else words[0][:LETTERS]
    return key if len(key) > 1 else FALLBACK_KEY


def free_key(base: str, taken: Collection[str]) -> str:
    """The base itself, or the base with the lowest number that nobody has."""
    number, key = 1, base
    while key in taken:
        number += 1
        key = f"{base[: KEY_LENGTH - len(str(number))]}{number}"
    return key


def word_key_of(name: str, taken: Collection[str]) -> str:
    """The key of a status or field made from its name: IN_REVIEW of "In review"."""
    base = re.sub(r"[^A-Z0-9]+", "_", _plain(name)).strip("_")
    if not base or not base[0].isalpha():
        base = f"X_{base}".rstrip("_")
    base = base[:WORD_KEY_LENGTH].rstrip("_")
    number, key = 1, base
    while key in taken:
        number += 1
        key = f"{base[: WORD_KEY_LENGTH - len(str(number)) - 1]}_{number}"
    return key
