"""What a person gets when they ask for their data: one JSON file a table or contributor, read in stretches."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, LargeBinary, Table, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import Base
from pm_api.core.platform import Platform
from pm_api.core.schema import written

OWNERS: Final = ("user_id", "account_id")
"""Columns that say whose a row is. A person's wallet and bills carry the person's own id."""
SECRET: Final = re.compile(r"hash|digest|sealed|secret|seed|fingerprint|token")


class Stretch(NamedTuple):
    """Some rows, and where the next ones begin; None: these were the last."""

    rows: Sequence[Mapping[str, Any]]
    after: Any | None


Read = Callable[[AsyncSession, UUID, Any, int], Awaitable[Stretch]]
"""(session, person, place after which to go on or None, most rows) -> Stretch."""


Also = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a row says in its columns -> what is told beside it."""


class Enclosed(NamedTuple):
    """A file of somebody's own, which goes into their export as it is. Of one that is gone by then nothing comes."""

    name: str
    size_bytes: int
    open: Callable[[], AsyncIterator[bytes]]


Enclose = Callable[[Platform, UUID], AsyncIterator[Enclosed]]
"""(platform, person) -> what is theirs; no session may be open while one is read."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export, and what a person is told of it."""

    name: str
    about: str
    read: Read


_FILES: Final[dict[str, ExportFile]] = {}
_SPOKEN_OF: Final[dict[str, str]] = {}
_ENCLOSED: Final[list[Enclose]] = []


def contributes(name: str, about: str, *tables: type[Base]) -> Callable[[Read], Read]:
    """Register a file; `tables` are those whose rows it tells."""

    def register(read: Read) -> Read:
        _add(ExportFile(name, about, read))
        for one in tables:
            _SPOKEN_OF[one.__tablename__] = f"in {name}"
        return read

    return register


def hands_out(
    model: type[Base],
    name: str,
    about: str,
    *,
    of: str | Sequence[str] = OWNERS,
    without: Collection[str] = (),
    also: Also | None = None,
) -> None:
    """Register a table as a file: the rows that carry the person in one of the columns `of`. Secrets stay back;
    `also` tells of a row what no column says.
    """
    table: Table = model.__table__  # type: ignore[assignment]  # a mapped class has a Table
    owners = [of] if isinstance(of, str) else [one for one in of if one in table.columns]
    _add(ExportFile(name, about, _reader(table, owners, without, also)))
    _SPOKEN_OF[table.name] = f"in {name}"


def encloses(find: Enclose) -> Enclose:
    """Register what finds somebody's own files."""
    _ENCLOSED.append(find)
    return find


async def enclosed(platform: Platform, person_id: UUID) -> AsyncIterator[Enclosed]:
    """All of them, whoever keeps them."""
    for find in _ENCLOSED:
        async for one in find(platform, person_id):
            yield one


def keeps_back(model: type[Base], reason: str) -> None:
    """A table with people in it of which nothing is handed out."""
    _SPOKEN_OF[model.__tablename__] = reason


def files() -> list[ExportFile]:
    """All of them by name. Tables with somebody's rows that nobody speaks of come as they are."""
    unspoken = [
        ExportFile(f"other/{name}.json", "As it is stored.", _reader(table, owners, ()))
        for name, table in Base.metadata.tables.items()
        if name not in _SPOKEN_OF and (owners := [one for one in OWNERS if one in table.columns])
    ]
    return sorted((*_FILES.values(), *unspoken), key=lambda one: one.name)


def _add(file: ExportFile) -> None:
    if file.name in _FILES:
        raise TypeError(f"two contributors claim the file {file.name!r}")
    _FILES[file.name] = file


def _reader(table: Table, owners: Sequence[str], without: Collection[str], also: Also | None = None) -> Read:
    shown = [
        column
        for column in table.columns
        if not isinstance(column.type, LargeBinary) and not SECRET.search(column.name) and column.name not in without
    ]
    key = list(table.primary_key.columns)

    async def read(session: AsyncSession, person_id: UUID, after: Any, limit: int) -> Stretch:
        condition: ColumnElement[bool] = or_(*(table.c[one] == person_id for one in owners))
        statement = select(*shown, *(column.label(f"key_{column.name}") for column in key)).where(condition)
        if after is not None:
            statement = statement.where(tuple_(*key) > after)
        found = (await session.execute(statement.order_by(*key).limit(limit))).all()
        told = [dict(zip((str(one.name) for one in shown), row, strict=False)) for row in found]
        rows = [wire_form({**one, **also(one)} if also is not None else one) for one in told]
        return Stretch(rows, tuple(found[-1][len(shown) :]) if len(found) == limit else None)

    return read


def wire_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Names and times as answers write them."""
    return {to_camel(name): written(one) if isinstance(one, datetime) else one for name, one in values.items()}
