"""The base of everything on the wire: camelCase outside, snake_case inside, unknown request fields refused."""

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
)
from pydantic.alias_generators import to_camel

BARE_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)

TURNING: Final = frozenset("\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates of the bidirectional algorithm (UAX #9); the marks U+200E and U+200F stay."""
UNSEEN: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing."""


def storable(text: str) -> str:
    """Refuse what PostgreSQL cannot hold as text: NUL and lone surrogates."""
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text") from None
    return text


def storable_json(value: Any) -> Any:
    """The same rule for every text inside a JSON value; non-finite numbers and depth beyond 32 are refused too."""
    _check_json(value, depth=0)
    return value


def _check_json(value: Any, depth: int) -> None:
    if depth > 32:
        raise ValueError("must not be nested deeper than 32 levels")
    if isinstance(value, str):
        storable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    elif isinstance(value, int) and abs(value) >= 1 << 63:
        raise ValueError("integers must fit 64 bits")
    elif isinstance(value, dict):
        for key, item in value.items():
            storable(key)
            _check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth + 1)


def written(moment: datetime) -> str:
    """A time as every answer writes it: UTC with `Z`, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _written_out(moment: object) -> object:
    """Refuse what pydantic would take for seconds since 1970."""
    if isinstance(moment, datetime) or (isinstance(moment, str) and RFC_3339.fullmatch(moment)):
        return moment
    raise ValueError("must be an RFC 3339 time with its offset, such as 2026-01-31T09:30:00Z")


def _in_utc(moment: datetime) -> datetime:
    """The driver reads the last moment of the year 9999 back as infinity, which has no time zone."""
    if not 1 < moment.year < 9999:
        raise ValueError("must lie in the years 2 to 9998")
    return moment.astimezone(UTC)


def _written_as_date(value: object) -> object:
    """Refuse what pydantic would take for one: a number of seconds, a midnight without an offset."""
    if type(value) is date or (isinstance(value, str) and BARE_DATE.fullmatch(value)):
        return value
    raise ValueError("must be a date such as 2026-03-02")


def _near(day: date) -> date:
    """As for times: the midnight of any day has to be a moment, wherever that is."""
    if not 1 < day.year < 9999:
        raise ValueError("must lie in the years 2 to 9998")
    return day


def on_one_line(text: str) -> str:
    """Refuse what a name could break a line with, turn its surroundings around with, or not be seen by."""
    if any(unicodedata.category(one) in ("Cc", "Zl", "Zp") for one in text):
        raise ValueError("must not contain control characters or line breaks")
    if any(one in TURNING for one in text):
        raise ValueError("must not contain characters that change the direction of writing")
    if all(one in UNSEEN or unicodedata.category(one) in ("Cf", "Mn", "Me", "Zs") for one in text):
        raise ValueError("must contain something that can be seen")
    return text


Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    AfterValidator(storable),
    AfterValidator(on_one_line),
]
"""What something is called, on one line; add its `max_length`. For free text take `Text`."""
Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(_in_utc),
    PlainSerializer(written, return_type=str, when_used="json"),
    Field(description="RFC 3339; any offset is accepted, UTC with Z is returned."),
]
BareDate = Annotated[date, BeforeValidator(_written_as_date), AfterValidator(_near)]

_TIME: Final[TypeAdapter[datetime]] = TypeAdapter(Timestamp)
_DATE: Final[TypeAdapter[date]] = TypeAdapter(BareDate)


def _date_or_time(value: object) -> date:
    """Which of the two it is shows by how it is written; so one sentence says what is wrong with it."""
    if type(value) is date or (isinstance(value, str) and BARE_DATE.fullmatch(value)):
        return _DATE.validate_python(value)
    if isinstance(value, datetime) or (isinstance(value, str) and RFC_3339.fullmatch(value)):
        return _TIME.validate_python(value)
    raise ValueError("must be a date such as 2026-03-02, or an RFC 3339 time with its offset")


Moment = Annotated[datetime | date, PlainValidator(_date_or_time, json_schema_input_type=Timestamp | BareDate)]
"""A time, or a bare date. Only for requests."""


def either(one: Any, other: Any, *, is_one: Callable[[object], bool]) -> PlainValidator:
    """One of two shapes, told apart by how a value is written: what is wrong is said of that shape, in one sentence,
    and under the name the caller knows.
    """
    first, second = TypeAdapter[Any](one), TypeAdapter[Any](other)

    def read(value: object) -> Any:
        return (first if is_one(value) else second).validate_python(value)

    return PlainValidator(read, json_schema_input_type=one | other)


class ApiModel(BaseModel):
    """Answers."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        from_attributes=True,
        frozen=True,
    )


class ApiRequest(BaseModel):
    """Request bodies: a field we do not know is a typo the caller should see."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)
