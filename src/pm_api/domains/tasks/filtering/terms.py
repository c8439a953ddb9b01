"""What a filter is made of: conditions on named fields, put together by and, or and not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

MAX_DEPTH: Final = 10
MAX_NODES: Final = 100
MAX_BYTES: Final = 4096
MAX_VALUES: Final = 100
CUSTOM: Final = "fields."
CUSTOM_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


class Op(StrEnum):
    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    IN = "in"
    CONTAINS = "contains"
    IS_NULL = "is null"
    IS_NOT_NULL = "is not null"


class Kind(StrEnum):
    """What a field's values are."""

    WORD = "one of a few words"
    TEXT = "a text"
    PERSON = "`me` or a person's id"
    LABEL = "a label's name or id"
    TASK = "a task's key or id"
    NUMBER = "a whole number"
    DATE = "a day, a time or a relative date"
    FLAG = "true or false"
    CUSTOM = "a text, a number, a day, true or false"


_PRESENCE: Final = frozenset({Op.IS_NULL, Op.IS_NOT_NULL})
_EQUALITY: Final = frozenset({Op.EQUAL, Op.UNEQUAL, Op.IN})
_ORDER: Final = frozenset({Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST})


@dataclass(frozen=True, slots=True)
class Field:
    """Something of a task that can be asked for, and how."""

    name: str
    kind: Kind
    ops: frozenset[Op]
    words: tuple[str, ...] = ()
    """In their order, smallest first; empty: any."""


CATEGORIES: Final = ("TODO", "IN_PROGRESS", "DONE", "CANCELED")
PRIORITIES: Final = ("NONE", "LOW", "MEDIUM", "HIGH", "URGENT")

_FIELDS: Final = (
    Field("status", Kind.WORD, _EQUALITY),
    Field("statusCategory", Kind.WORD, _EQUALITY, CATEGORIES),
    Field("priority", Kind.WORD, _EQUALITY | _ORDER, PRIORITIES),
    Field("assignee", Kind.PERSON, _EQUALITY | _PRESENCE),
    Field("label", Kind.LABEL, _EQUALITY | _PRESENCE),
    Field("creator", Kind.PERSON, _EQUALITY),
    Field("watcher", Kind.PERSON, _EQUALITY | _PRESENCE),
    Field("parent", Kind.TASK, _EQUALITY | _PRESENCE),
    Field("number", Kind.NUMBER, _EQUALITY | _ORDER),
    Field("title", Kind.TEXT, frozenset({Op.EQUAL, Op.UNEQUAL, Op.CONTAINS})),
    Field("text", Kind.TEXT, frozenset({Op.CONTAINS})),
    Field("start", Kind.DATE, _EQUALITY | _ORDER | _PRESENCE),
    Field("due", Kind.DATE, _EQUALITY | _ORDER | _PRESENCE),
    Field("created", Kind.DATE, _EQUALITY | _ORDER),
    Field("updated", Kind.DATE, _EQUALITY | _ORDER),
    Field("completed", Kind.DATE, _EQUALITY | _ORDER | _PRESENCE),
    Field("estimate", Kind.NUMBER, _EQUALITY | _ORDER | _PRESENCE),
    Field("isBlocked", Kind.FLAG, frozenset({Op.EQUAL, Op.UNEQUAL})),
)
FIELDS: Final = {one.name: one for one in _FIELDS}
_BY_FOLDED: Final = {one.name.casefold(): one for one in _FIELDS}
_CUSTOM_OPS: Final = _EQUALITY | _ORDER | _PRESENCE | {Op.CONTAINS}


def field_named(name: str) -> Field | None:
    """A field by its name, in any spelling of case; one of a project's own by `fields.` and its key, exactly."""
    if name[: len(CUSTOM)].casefold() == CUSTOM:
        key = name[len(CUSTOM) :]
        return Field(CUSTOM + key, Kind.CUSTOM, _CUSTOM_OPS) if CUSTOM_KEY.fullmatch(key) else None
    return _BY_FOLDED.get(name.casefold())


@dataclass(frozen=True, slots=True)
class Me:
    """Whoever asks."""


class Base(StrEnum):
    """Where a relative date begins to count, all of them in the zone of whoever asks."""

    NOW = "now"
    TODAY = "today"
    YESTERDAY = "yesterday"
    TOMORROW = "tomorrow"
    START_OF_WEEK = "startOfWeek"
    END_OF_WEEK = "endOfWeek"
    START_OF_MONTH = "startOfMonth"
    END_OF_MONTH = "endOfMonth"


class Unit(StrEnum):
    HOURS = "h"
    DAYS = "d"
    WEEKS = "w"
    MONTHS = "m"


@dataclass(frozen=True, slots=True)
class Relative:
    """A base and how far from it; hours make a time of it, as does `now`."""

    base: Base
    amount: int = 0
    unit: Unit = Unit.DAYS

    def __str__(self) -> str:
        if not self.amount:
            return self.base
        return f"{self.base} {'-' if self.amount < 0 else '+'} {abs(self.amount)}{self.unit}"


Value = str | bool | Decimal | date | datetime | Relative | Me


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `values` are none for a presence, several only for `in`."""

    field: Field
    op: Op
    values: tuple[Value, ...] = ()

    @property
    def value(self) -> Value:
        return self.values[0]


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Filter"


Filter = Condition | And | Or | Not


def together(kind: type[And] | type[Or], parts: list[Filter]) -> Filter:
    """One part is itself."""
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def conditions_of(node: Filter) -> Iterator[Condition]:
    """All comparisons in it."""
    if isinstance(node, Condition):
        yield node
    elif isinstance(node, Not):
        yield from conditions_of(node.part)
    else:
        for part in node.parts:
            yield from conditions_of(part)
