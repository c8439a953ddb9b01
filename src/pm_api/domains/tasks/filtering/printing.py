"""From a filter back to what a person may write: reading it again gives the same."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pm_api.core.schema import written
from pm_api.domains.tasks.filtering.terms import (
    And,
    Condition,
    Filter,
    Kind,
    Me,
    Not,
    Op,
    Or,
    Relative,
    Value,
)


def printed(node: Filter) -> str:
    """The text form, with no more parentheses than are needed to keep what stands together together."""
    if isinstance(node, Condition):
        return _condition(node)
    if isinstance(node, Not):
        return f"not {_within(node.part, And, Or)}"
    if isinstance(node, And):
        return " and ".join(_within(one, And, Or) for one in node.parts)
    return " or ".join(_within(one, Or) for one in node.parts)


def _within(node: Filter, *kinds: type[And] | type[Or]) -> str:
    return f"({printed(node)})" if isinstance(node, kinds) else printed(node)


def _condition(node: Condition) -> str:
    head = f"{node.field.name} {node.op}"
    if not node.values:
        return head
    if node.op is Op.IN:
        return f"{head} ({', '.join(_value(node.field.kind, one) for one in node.values)})"
    return f"{head} {_value(node.field.kind, node.value)}"


def _value(kind: Kind, value: Value) -> str:
    if isinstance(value, str):
        if kind in (Kind.PERSON, Kind.TASK):
            return value
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _bare(value)


def _bare(value: bool | Decimal | date | datetime | Relative | Me) -> str:
    if isinstance(value, Me):
        return "me"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return _moment(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _moment(value: datetime) -> str:
    return written(value) if value.microsecond % 1000 == 0 else value.isoformat().replace("+00:00", "Z")


def json_form(node: Filter) -> dict[str, Any]:
    """The JSON form."""
    if isinstance(node, Not):
        return {"not": json_form(node.part)}
    if isinstance(node, And | Or):
        return {"and" if isinstance(node, And) else "or": [json_form(one) for one in node.parts]}
    form: dict[str, Any] = {"field": node.field.name, "op": str(node.op)}
    if node.op is Op.IN:
        return {**form, "value": [_json_value(node.field.kind, one) for one in node.values]}
    return {**form, "value": _json_value(node.field.kind, node.value)} if node.values else form


def _json_value(kind: Kind, value: Value) -> Any:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    text = _bare(value)
    if kind is Kind.CUSTOM:
        return {"user": text} if isinstance(value, Me) else {"date": text}
    return text
