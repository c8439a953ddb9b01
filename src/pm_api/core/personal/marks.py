"""The marks of personal columns, and what is done by them alone."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    CursorResult,
    LargeBinary,
    Result,
    Table,
    Text,
    Update,
    and_,
    cast,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import PERSONAL, PERSONAL_BECOMES, PERSONAL_OF, Base
from pm_api.core.personal.going import DELETED_USER, Leaving
from pm_api.core.platform import Platform

DELETED: Final = "deleted"
ERASED: Final = "erased"
USER: Final = "user_id"
OF_ACCOUNTS: Final = frozenset({"account_id", "workspace_id"})
ROWS_AT_A_TIME: Final = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """What becomes of a column when its person goes. `by_slice`: a slice sees to it, not the marks' own loop."""

    column: Column[Any]
    end: str
    of: str
    becomes: str | None
    by_slice: bool


def marks_of(table: Table) -> list[Mark]:
    """The table's personal columns. A mark may be a bare text that begins with the word for its end."""
    found = []
    for column in table.columns:
        how = column.info.get(PERSONAL)
        if how is not None:
            word = re.match(r"\w*", how)
            found.append(
                Mark(
                    column=column,
                    end=word.group() if word else "",
                    of=column.info.get(PERSONAL_OF, USER),
                    becomes=column.info.get(PERSONAL_BECOMES),
                    by_slice=":" in how,
                )
            )
    return found


async def erase_marked(platform: Platform, leaving: Leaving) -> None:
    """Delete and erase by the marks, some rows a transaction, until nothing is left of what is theirs and of the
    workspaces that went with them.
    """
    for table in reversed(Base.metadata.sorted_tables):
        marks = [one for one in marks_of(table) if not one.by_slice and one.of in table.columns]
        for owner in sorted({one.of for one in marks if one.end == DELETED}):
            await _all(platform, _deletion(table, _is_theirs(table.c[owner], leaving)))
        for owner in sorted({one.of for one in marks if one.end == ERASED}):
            columns = [one for one in marks if one.end == ERASED and one.of == owner]
            await _all(platform, _erasure(table, _is_theirs(table.c[owner], leaving), columns))


def _is_theirs(owner: Column[Any], leaving: Leaving) -> ColumnElement[bool]:
    return owner.in_(leaving.account_ids) if owner.name in OF_ACCOUNTS else owner == leaving.user_id


async def _all(platform: Platform, statement: Any) -> None:
    """Until it finds nothing more."""
    touched = ROWS_AT_A_TIME
    while touched == ROWS_AT_A_TIME:
        async with platform.database.transaction() as session:
            touched = _touched(await session.execute(statement))


def _touched(result: Result[Any]) -> int:
    assert isinstance(result, CursorResult), "what writes has counted"
    return result.rowcount


def _some(table: Table, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    key = list(table.primary_key.columns)
    return tuple_(*key).in_(select(*key).where(condition).limit(ROWS_AT_A_TIME))


def _deletion(table: Table, condition: ColumnElement[bool]) -> Any:
    return delete(table).where(_some(table, condition))


def _erasure(table: Table, condition: ColumnElement[bool], marks: Sequence[Mark]) -> Update:
    values = {one.column.name: _nothing(one) for one in marks}
    is_left = or_(*(cast(one.column, Text).is_distinct_from(cast(values[one.column.name], Text)) for one in marks))
    return update(table).where(_some(table, and_(condition, is_left))).values(values)


def _nothing(mark: Mark) -> Any:
    """What an erased value becomes: what the mark says, null, or as little as the column takes."""
    column = mark.column
    if mark.becomes is not None:
        return literal(mark.becomes)
    if column.nullable:
        return null()
    if isinstance(column.type, LargeBinary):
        return literal(b"", LargeBinary)
    if isinstance(column.type, JSON):
        return cast(literal("{}", Text), column.type)
    return literal("")


async def strike(
    session: AsyncSession, table: Table, columns: Collection[str], within: ColumnElement[bool], words: Sequence[str]
) -> int:
    """Take words out of texts, as whole words and in any spelling of case; returns how many rows were changed."""
    if not words:
        return 0
    values = {name: _without(table.c[name], words) for name in columns}
    names_them = or_(
        *(cast(table.c[name], Text).op("~*")(one) for name in columns for one in _patterns(table, name, words))
    )
    result = await session.execute(update(table).where(within, names_them).values(values))
    return _touched(result)


def _without(column: Column[Any], words: Sequence[str]) -> ColumnElement[Any]:
    text: ColumnElement[Any] = cast(column, Text)
    for pattern in _spelled(words, in_json=isinstance(column.type, JSON)):
        text = func.regexp_replace(text, pattern, DELETED_USER, "gi")
    return cast(text, JSONB if isinstance(column.type, JSONB) else column.type)


def _patterns(table: Table, name: str, words: Sequence[str]) -> Iterator[str]:
    return _spelled(words, in_json=isinstance(table.c[name].type, JSON))


def _spelled(words: Sequence[str], *, in_json: bool) -> Iterator[str]:
    """Regular expressions of the database's kind; longer words first, for one may stand inside another."""
    for word in sorted(words, key=len, reverse=True):
        written = json.dumps(word, ensure_ascii=False)[1:-1] if in_json else word
        escaped = re.sub(r"([^\w\s])", r"\\\1", written)
        yield rf"(?<!\w){escaped}(?!\w)"
