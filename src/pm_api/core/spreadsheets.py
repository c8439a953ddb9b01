"""Tables as CSV (RFC 4180) that a spreadsheet opens as text and never as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

CSV_MEDIA_TYPE: Final = "text/csv; charset=utf-8"
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_document(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Texts that a spreadsheet would take for a formula get a ' in front (OWASP, CSV injection). Null is empty."""
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return content.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
