"""What may stand behind an operator, field by field: texts become values, or are refused."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from pm_api.core.schema import storable
from pm_api.domains.tasks.filtering.dates import A_DATE, read_date
from pm_api.domains.tasks.filtering.terms import Field, Kind, Me, Op, Relative, Value

MAX_TEXT: Final = 200
MAX_WHOLE: Final = 2**53
MAX_DIGITS: Final = 15
"""As many as every reader of JSON keeps."""
Read = Callable[[str], Value | None]


def expected_of(field: Field) -> str:
    """In words, for whoever wrote something else."""
    if field.words:
        return "one of " + ", ".join(field.words)
    return A_DATE if field.kind is Kind.DATE else field.kind.value


def of_word(field: Field, text: str) -> Value | None:
    """A value that stands without quotes; None when it is none of this field."""
    readers: dict[Kind, Read] = {
        Kind.WORD: lambda word: _word(field, word),
        Kind.PERSON: _person,
        Kind.DATE: read_date,
        Kind.FLAG: _flag,
        Kind.NUMBER: _whole,
        Kind.CUSTOM: _custom,
        Kind.LABEL: _text,
        Kind.TASK: _task,
        Kind.TEXT: _text,
    }
    return readers[field.kind](text)


def of_quoted(field: Field, text: str) -> Value | None:
    """A value in quotes, or a text of JSON."""
    return _text(text) if field.kind is Kind.CUSTOM else of_word(field, text)


def of_number(field: Field, number: Decimal) -> Value | None:
    if field.kind is Kind.NUMBER:
        return number if number == number.to_integral_value() and abs(number) <= MAX_WHOLE else None
    if field.kind is not Kind.CUSTOM or not number.is_finite():
        return None
    return number if len(number.as_tuple().digits) <= MAX_DIGITS and abs(number.adjusted()) <= MAX_DIGITS else None


def suits(op: Op, value: Value) -> bool:
    """What contains something contains a text, and true is not greater than false."""
    if op is Op.CONTAINS:
        return isinstance(value, str)
    return op in (Op.EQUAL, Op.UNEQUAL, Op.IN) or not isinstance(value, bool | Me)


def _text(text: str) -> str | None:
    try:
        return storable(text) if 0 < len(text) <= MAX_TEXT else None
    except ValueError:
        return None


def _word(field: Field, text: str) -> str | None:
    word = text.upper()
    if field.words:
        return word if word in field.words else None
    return _text(word)


def _person(text: str) -> Value | None:
    return Me() if text.casefold() == "me" else _id(text)


def _id(text: str) -> str | None:
    try:
        return str(UUID(text)) if len(text) == len("00000000-0000-0000-0000-000000000000") else None
    except ValueError:
        return None


def _task(text: str) -> str | None:
    key, separator, number = text.partition("-")
    if separator and key.isascii() and key.isalnum() and number.isascii() and number.isdecimal() and len(number) < 16:
        return f"{key.upper()}-{int(number)}" if len(key) <= 10 else None
    return _id(text)


def _flag(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.casefold())


def _whole(text: str) -> Decimal | None:
    digits = text.removeprefix("-")
    return Decimal(text) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else None


def _custom(text: str) -> Value | None:
    flag = _flag(text)
    if flag is not None:
        return flag
    if text.casefold() == "me":
        return Me()
    return read_date(text) or _text(text)


def is_date(value: Value) -> bool:
    return isinstance(value, date | datetime | Relative)
