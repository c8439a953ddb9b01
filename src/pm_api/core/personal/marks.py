"""The marks of personal columns, and what is done by them alone."""

import json
import re
from collections.abc import Collection, Sequence
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
    """Take words out of texts, as whole words and in any spelling of case; returns how many columns were changed. Of
    JSON only the texts in it: somebody may be called `1`, or `null`.
    """
    if not words:
        return 0
    pattern = _pattern(words)
    changed = 0
    texts = [table.c[name] for name in columns if not isinstance(table.c[name].type, JSON)]
    if texts:
        result = await session.execute(
            update(table)
            .where(within, or_(*(one.op("~*")(pattern) for one in texts)))
            .values({one.name: func.regexp_replace(one, pattern, DELETED_USER, "gi") for one in texts})
        )
        changed += _touched(result)
    for name in columns:
        if isinstance(table.c[name].type, JSON):
            page: _Page | None = _Page()
            while page is not None:
                counted, page = await _strike_page(session, table.c[name], within, words, page)
                changed += counted
    return changed


async def strike_by_pages(
    platform: Platform, table: Table, name: str, within: ColumnElement[bool], words: Sequence[str]
) -> int:
    """The same of one JSON column, some rows a transaction: for tables so long that nobody may wait for all of it.
    Cut off anywhere it is run again, and goes over what is done without a change.
    """
    changed, page = 0, _Page() if words else None
    while page is not None:
        async with platform.database.transaction() as session:
            counted, page = await _strike_page(session, table.c[name], within, words, page)
        changed += counted
    return changed


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a stretch of a table begins: after the row of this key."""

    after: tuple[Any, ...] | None = None


async def _strike_page(
    session: AsyncSession, column: Column[Any], within: ColumnElement[bool], words: Sequence[str], page: _Page
) -> tuple[int, _Page | None]:
    """How many were changed, and the next stretch: the database finds where a word may stand, and nobody but us knows
    what is a text there.
    """
    table, changed, pattern = column.table, 0, re.compile(_pattern(words), re.IGNORECASE)
    key = list(table.primary_key.columns)
    written = (json.dumps(one, ensure_ascii=False)[1:-1] for one in words)
    may_name_them = or_(*(cast(column, Text).icontains(one, autoescape=True) for one in written))
    statement = select(*key, column).where(within, may_name_them).order_by(*key).limit(ROWS_AT_A_TIME)
    if page.after is not None:
        statement = statement.where(tuple_(*key) > page.after)
    found = (await session.execute(statement.with_for_update(of=table))).all()
    for *place, content in found:
        struck = _struck(content, pattern)
        if struck != content:
            await session.execute(update(table).where(tuple_(*key) == tuple(place)).values({column.name: struck}))
            changed += 1
    return changed, _Page(tuple(found[-1][:-1])) if len(found) == ROWS_AT_A_TIME else None


def _pattern(words: Sequence[str]) -> str:
    """Longer words first, for one may stand inside another."""
    spelled = "|".join(re.sub(r"([^\w\s])", r"\\\1", one) for one in sorted(words, key=len, reverse=True))
    return rf"(?<!\w)(?:{spelled})(?!\w)"


def _struck(content: Any, pattern: re.Pattern[str]) -> Any:
    """Names of fields are ours and stay."""
    if isinstance(content, str):
        return pattern.sub(DELETED_USER, content)
    if isinstance(content, list):
        return [_struck(one, pattern) for one in content]
    if isinstance(content, dict):
        return {name: _struck(one, pattern) for name, one in content.items()}
    return content
