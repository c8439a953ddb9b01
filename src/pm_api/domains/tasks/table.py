"""Tasks as a table: the columns of an export, and how cells become values and come back. Pure.

A spreadsheet would take a text that begins like a formula for one, so such a text is written with a ' in front (what
`core.spreadsheets` does); a text that begins with such quotes already gets one more, and reading takes one off. So
whatever was written comes back exactly.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from pm_api.core.spreadsheets import csv_document

COLUMNS: Final = (
    *("key", "parent", "title", "description", "status", "priority", "assignees", "labels"),
    *("startOn", "startAt", "dueOn", "dueAt", "timeZone", "estimateMinutes"),
    *("blocks", "relates", "duplicates", "fields", "checklist", "createdAt", "completedAt"),
)
MANY: Final = frozenset({"assignees", "labels", "blocks", "relates", "duplicates"})
AS_JSON: Final = frozenset({"fields", "checklist"})
TOLD_ONLY: Final = frozenset({"createdAt", "completedAt"})
"""Written for whoever reads the file; an import looks at them no more."""
MOST_ROWS: Final = 5000
MOST_BYTES: Final = 5 * 1024 * 1024
LONGEST_CELL: Final = 200_000
HEADER_LINE: Final = csv_document(COLUMNS, ())
_QUOTED: Final = re.compile(r"'+[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one cell."""

    column: str
    detail: str


@dataclass(slots=True)
class Row:
    """One row of a file, by the names of the columns; `number` is counted from 1."""

    number: int
    values: dict[str, Any]
    wrong: list[Wrong] = field(default_factory=list)


class Unreadable(ValueError):
    """The file as a whole is not what it should be; the text says why."""


# --- writing ---------------------------------------------------------------------------------------------------


def csv_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Without the header."""
    return csv_document(COLUMNS, [[_cell(name, row[name]) for name in COLUMNS] for row in rows]).removeprefix(
        HEADER_LINE
    )


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return ""
    if name in MANY:
        return _guarded(joined(value)) if value else ""
    if name in AS_JSON:
        return orjson.dumps(value).decode() if value else ""
    return _guarded(value) if isinstance(value, str) else value


def _guarded(text: str) -> str:
    return f"'{text}" if _QUOTED.match(text) else text


def joined(values: Sequence[str]) -> str:
    """Several in one cell: a row of CSV within the cell."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\r\n").writerow(values)
    return content.getvalue().removesuffix("\r\n")


# --- reading ---------------------------------------------------------------------------------------------------


def read_csv(content: bytes) -> list[Row]:
    """Rows by the names of the header, in any order; raises Unreadable."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("The file is not UTF-8.") from None
    if "\x00" in text:
        raise Unreadable("The file contains NUL characters.")
    try:
        lines = list(_lines(text))
    except csv.Error as error:
        raise Unreadable(f"The file is no CSV: {error}.") from None
    if not lines:
        raise Unreadable("The file is empty; its first row names the columns.")
    header = [name.strip() for name in lines[0]]
    _check_names(header)
    found = []
    for number, line in enumerate((one for one in lines[1:] if any(one)), start=1):
        if number > MOST_ROWS:
            raise Unreadable(f"The file has more than {MOST_ROWS} rows.")
        row = Row(number, {})
        found.append(row)
        if len(line) > len(header):
            row.wrong.append(Wrong("", f"has {len(line)} cells, and the header has {len(header)}"))
            continue
        for name, cell in zip(header, line, strict=False):
            _put(row, name, cell)
    return found


def _lines(text: str) -> Any:
    """RFC 4180; a quote that is never closed swallows no more than a cell may hold."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), strict=True)
    finally:
        csv.field_size_limit(before)


def _check_names(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise Unreadable(f"There is no column {unknown[0][:50]!r}; there are: {', '.join(COLUMNS)}.")
    if len(set(names)) < len(names):
        raise Unreadable("A column comes twice.")
    if "title" not in names:
        raise Unreadable("There is no column title.")


def _put(row: Row, name: str, cell: str) -> None:
    if cell == "" or name in TOLD_ONLY:
        return
    text = cell[1:] if _QUOTED.match(cell) else cell
    try:
        row.values[name] = _value(name, text)
    except ValueError as error:
        row.wrong.append(Wrong(name, str(error)))


def _value(name: str, text: str) -> Any:
    if name in MANY:
        return split(text)
    if name in AS_JSON:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise ValueError("is no JSON") from None
    if name == "estimateMinutes":
        if not (text.isascii() and text.isdecimal() and len(text) < 12):
            raise ValueError("is no whole number")
        return int(text)
    return text


def split(cell: str) -> list[str]:
    """The several of one cell; raises ValueError."""
    try:
        found = list(csv.reader(io.StringIO(cell, newline=""), strict=True))
    except csv.Error:
        raise ValueError("is no list separated by commas") from None
    if len(found) != 1:
        raise ValueError("is no list separated by commas")
    return [one.strip() for one in found[0] if one.strip()]


def read_json(content: bytes) -> list[Row]:
    """`{"tasks": [...]}` as an export writes it; raises Unreadable."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Unreadable("The file is no JSON.") from None
    if not isinstance(document, dict) or set(document) != {"tasks"} or not isinstance(document["tasks"], list):
        raise Unreadable('The file is not {"tasks": [...]}.')
    if len(document["tasks"]) > MOST_ROWS:
        raise Unreadable(f"The file has more than {MOST_ROWS} rows.")
    found = []
    for number, one in enumerate(document["tasks"], start=1):
        if not isinstance(one, dict):
            found.append(Row(number, {}, [Wrong("", "is no object")]))
            continue
        unknown = sorted(set(one) - set(COLUMNS))
        wrong = [Wrong(name[:50], "is no column") for name in unknown]
        values = {name: value for name, value in one.items() if name in COLUMNS and name not in TOLD_ONLY}
        row = Row(number, {name: value for name, value in values.items() if value is not None}, wrong)
        for name in sorted(MANY & set(row.values)):
            listed = row.values[name]
            if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
                row.wrong.append(Wrong(name, "is no list of texts"))
                del row.values[name]
            else:
                row.values[name] = [item.strip() for item in listed if item.strip()]
        found.append(row)
    return found
