"""From what was sent to a filter: the text form, or the JSON form."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.filtering import values
from pm_api.domains.tasks.filtering.dates import base_named, read_date, relative
from pm_api.domains.tasks.filtering.terms import (
    FIELDS,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MAX_VALUES,
    And,
    Condition,
    Field,
    Filter,
    Kind,
    Me,
    Not,
    Op,
    Or,
    Value,
    field_named,
    together,
)

_TOKEN: Final = re.compile(
    r'(?P<quoted>"(?:[^"\\]|\\["\\])*")'
    r"|(?P<sign>[(),]|!=|<=|>=|=|<|>)"
    r"|(?P<moment>\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2}))"
    r"|(?P<offset>[+-]\s*\d{1,4}[hdwmHDWM]\b)"
    r"|(?P<word>-?[A-Za-z0-9_][A-Za-z0-9_.\-]*)",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"-?\d{1,30}(\.\d{1,20})?", re.ASCII)
_COMPARISONS: Final = {one.value: one for one in Op if not one.value[0].isalpha()}
A_FIELD: Final = "a field: " + ", ".join((*FIELDS, "fields.<key>"))
TOO_LONG: Final = f"at most {MAX_BYTES} bytes"
TOO_DEEP: Final = f"at most {MAX_DEPTH} levels"
TOO_MANY: Final = f"at most {MAX_NODES} parts"


def parse(sent: object) -> Filter:
    """A filter from its text form, its JSON form, or that as text; raises InvalidFilter."""
    if isinstance(sent, str):
        if len(sent.encode(errors="replace")) > MAX_BYTES:
            raise InvalidFilter(position=MAX_BYTES, expected=TOO_LONG)
        if not sent.lstrip().startswith("{"):
            return _bounded(_Text(sent).whole())
        try:
            sent = orjson.loads(sent)
        except orjson.JSONDecodeError as error:
            raise InvalidFilter(position=error.pos, expected="JSON") from None
    else:
        _check_size(sent)
    return _bounded(_from_json(sent, "", 1))


def _check_size(sent: object) -> None:
    try:
        size = len(orjson.dumps(sent))
    except orjson.JSONEncodeError:
        raise InvalidFilter(position="", expected="JSON") from None
    if size > MAX_BYTES:
        raise InvalidFilter(position="", expected=TOO_LONG)


def _bounded(node: Filter) -> Filter:
    if depth_of(node) > MAX_DEPTH:
        raise InvalidFilter(expected=TOO_DEEP)
    if count_of(node) > MAX_NODES:
        raise InvalidFilter(expected=TOO_MANY)
    return node


def depth_of(node: Filter) -> int:
    if isinstance(node, Condition):
        return 1
    parts = (node.part,) if isinstance(node, Not) else node.parts
    return 1 + max(depth_of(one) for one in parts)


def count_of(node: Filter) -> int:
    if isinstance(node, Condition):
        return 1
    parts = (node.part,) if isinstance(node, Not) else node.parts
    return 1 + sum(count_of(one) for one in parts)


# --- text ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int

    def says(self, *words: str) -> bool:
        return self.kind == "word" and self.text.casefold() in words

    def is_sign(self, sign: str) -> bool:
        return self.kind == "sign" and self.text == sign


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise InvalidFilter(position=at, expected="a word, an operator, or a text in double quotes")
        found.append(_Token(match.lastgroup or "", match.group(), at))
        at = match.end()
    found.append(_Token("end", "", len(text)))
    return found


class _Text:
    """Reads the tokens from left to right; `or` binds weakest, then `and`, then `not`."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0

    def whole(self) -> Filter:
        node = self._either(0)
        if self._here.kind != "end":
            raise self._wrong("`and`, `or` or the end")
        return node

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._here
        self._next += 1
        return token

    def _wrong(self, expected: str) -> InvalidFilter:
        return InvalidFilter(position=self._here.at, expected=expected)

    def _either(self, level: int) -> Filter:
        parts = [self._all(level)]
        while self._here.says("or"):
            self._take()
            parts.append(self._all(level))
        return together(Or, parts)

    def _all(self, level: int) -> Filter:
        parts = [self._one(level)]
        while self._here.says("and"):
            self._take()
            parts.append(self._one(level))
        return together(And, parts)

    def _one(self, level: int) -> Filter:
        if level > MAX_DEPTH:
            raise self._wrong(TOO_DEEP)
        if self._here.says("not"):
            self._take()
            return Not(self._one(level + 1))
        if not self._here.is_sign("("):
            return self._condition()
        self._take()
        node = self._either(level + 1)
        if not self._here.is_sign(")"):
            raise self._wrong("`and`, `or` or `)`")
        self._take()
        return node

    def _condition(self) -> Filter:
        field = field_named(self._here.text) if self._here.kind == "word" else None
        if field is None:
            raise self._wrong(A_FIELD)
        self._take()
        operator = self._here
        op, is_opposite = self._operator()
        if op not in field.ops:
            allowed = ", ".join(f"`{one}`" for one in Op if one in field.ops)
            raise InvalidFilter(position=operator.at, expected=f"an operator of {field.name}: {allowed}")
        if op in (Op.IS_NULL, Op.IS_NOT_NULL):
            return Condition(field, op)
        condition = Condition(field, op, self._list(field, op) if op is Op.IN else (self._value(field, op),))
        return Not(condition) if is_opposite else condition

    def _operator(self) -> tuple[Op, bool]:
        """And whether its opposite is meant: `not in`."""
        token = self._here
        if token.kind == "sign" and token.text in _COMPARISONS:
            self._take()
            return _COMPARISONS[token.text], False
        if token.says("in", "contains"):
            self._take()
            return Op(token.text.casefold()), False
        if token.says("not") and self._tokens[self._next + 1].says("in"):
            self._next += 2
            return Op.IN, True
        if not token.says("is"):
            raise self._wrong("an operator: " + ", ".join(f"`{one}`" for one in Op))
        self._take()
        is_opposite = self._here.says("not")
        if is_opposite:
            self._take()
        if not self._here.says("null", "empty"):
            raise self._wrong("`null` or `empty`")
        self._take()
        return (Op.IS_NOT_NULL if is_opposite else Op.IS_NULL), False

    def _list(self, field: Field, op: Op) -> tuple[Value, ...]:
        if not self._here.is_sign("("):
            raise self._wrong("`(`")
        found: list[Value] = []
        while not found or self._here.is_sign(","):
            self._take()
            if len(found) == MAX_VALUES:
                raise self._wrong(f"at most {MAX_VALUES} values")
            found.append(self._value(field, op))
        if not self._here.is_sign(")"):
            raise self._wrong("`,` or `)`")
        self._take()
        return tuple(found)

    def _value(self, field: Field, op: Op) -> Value:
        token = self._here
        value = self._read(field, token)
        if value is None or not values.suits(op, value):
            raise InvalidFilter(position=token.at, expected=_expected(field, op))
        return value

    def _read(self, field: Field, token: _Token) -> Value | None:
        if token.kind not in ("quoted", "word", "moment"):
            return None
        self._take()
        if token.kind == "quoted":
            return values.of_quoted(field, re.sub(r'\\(["\\])', r"\1", token.text[1:-1]))
        base = base_named(token.text) if field.kind in (Kind.DATE, Kind.CUSTOM) else None
        if base is not None and self._here.kind == "offset":
            offset = self._take().text
            return relative(base, offset[0], offset[1:-1].strip(), offset[-1])
        if field.kind in (Kind.NUMBER, Kind.CUSTOM) and _NUMBER.fullmatch(token.text):
            return values.of_number(field, Decimal(token.text))
        return values.of_word(field, token.text)


def _expected(field: Field, op: Op) -> str:
    return values.expected_of(field) if op is not Op.CONTAINS else "a text of 1 to 200 characters in double quotes"


# --- JSON ------------------------------------------------------------------------------------------------------

A_NODE: Final = "an object with `and`, `or`, `not`, or `field`, `op` and `value`"


def _from_json(node: object, at: str, level: int) -> Filter:
    if level > MAX_DEPTH:
        raise InvalidFilter(position=at, expected=TOO_DEEP)
    if not isinstance(node, Mapping):
        raise InvalidFilter(position=at, expected=A_NODE)
    keys = set(node)
    if keys in ({"and"}, {"or"}):
        (name,) = keys
        parts = node[name]
        if not isinstance(parts, list) or not 0 < len(parts) <= MAX_NODES:
            raise InvalidFilter(position=f"{at}/{name}", expected=f"a list of 1 to {MAX_NODES} filters")
        inner = [_from_json(one, f"{at}/{name}/{place}", level + 1) for place, one in enumerate(parts)]
        return together(And if name == "and" else Or, inner)
    if keys == {"not"}:
        return Not(_from_json(node["not"], f"{at}/not", level + 1))
    if not {"field", "op"} <= keys <= {"field", "op", "value"}:
        raise InvalidFilter(position=at, expected=A_NODE)
    return _json_condition(node, at)


def _json_condition(node: Mapping[str, Any], at: str) -> Filter:
    field = field_named(node["field"]) if isinstance(node["field"], str) else None
    if field is None:
        raise InvalidFilter(position=f"{at}/field", expected=A_FIELD)
    op = _json_op(node["op"])
    if op is None or op not in field.ops:
        allowed = ", ".join(f"`{one}`" for one in Op if one in field.ops)
        raise InvalidFilter(position=f"{at}/op", expected=f"an operator of {field.name}: {allowed}")
    if op in (Op.IS_NULL, Op.IS_NOT_NULL):
        if node.get("value") is not None:
            raise InvalidFilter(position=f"{at}/value", expected="no value")
        return Condition(field, op)
    sent = node.get("value")
    if op is not Op.IN:
        return Condition(field, op, (_json_value(field, op, sent, f"{at}/value"),))
    if not isinstance(sent, Sequence) or isinstance(sent, str) or not 0 < len(sent) <= MAX_VALUES:
        raise InvalidFilter(position=f"{at}/value", expected=f"a list of 1 to {MAX_VALUES} values")
    found = [_json_value(field, op, one, f"{at}/value/{place}") for place, one in enumerate(sent)]
    return Condition(field, op, tuple(found))


def _json_op(sent: object) -> Op | None:
    if not isinstance(sent, str):
        return None
    folded = " ".join(sent.casefold().split()).replace("empty", "null")
    return next((one for one in Op if one == folded), None)


def _json_value(field: Field, op: Op, sent: object, at: str) -> Value:
    value = _read_json(field, sent)
    if value is None or not values.suits(op, value):
        raise InvalidFilter(position=at, expected=_expected(field, op))
    return value


def _read_json(field: Field, sent: object) -> Value | None:
    if isinstance(sent, bool):
        return sent if field.kind in (Kind.FLAG, Kind.CUSTOM) else None
    if isinstance(sent, int | float):
        try:
            return values.of_number(field, Decimal(str(sent)))
        except InvalidOperation:
            return None
    if isinstance(sent, str):
        return values.of_quoted(field, sent)
    return _said(sent) if field.kind is Kind.CUSTOM and isinstance(sent, Mapping) else None


def _said(sent: Mapping[str, Any]) -> Value | None:
    """Of a project's own fields a text is a text; anything else is said: {"date": "today + 7d"}, {"user": "me"}."""
    if set(sent) == {"date"} and isinstance(sent["date"], str):
        return read_date(sent["date"])
    return Me() if dict(sent) == {"user": "me"} else None
