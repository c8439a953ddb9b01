"""Filters in SQL: every value is a bound parameter, and every condition is true or false, never null."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Numeric,
    SQLColumnExpression,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.actor import AccountScope
from pm_api.core.recurrence.zones import to_local
from pm_api.domains.projects.models import Project, ProjectLabel, ProjectStatus
from pm_api.domains.tasks.filtering import And, Condition, Filter, Kind, Me, Not, Op, Relative, resolve
from pm_api.domains.tasks.filtering.dates import start_of
from pm_api.domains.tasks.filtering.terms import CUSTOM, Value
from pm_api.domains.tasks.models import Task, TaskAssignee, TaskComment, TaskDependency, TaskLabel, TaskWatcher
from pm_api.domains.tasks.repository.tasks import projects_seen
from pm_api.identity.models.people import User

Comparison = Callable[[Any, Any], Any]

_COMPARED: Final[dict[Op, Comparison]] = {
    Op.EQUAL: operator.eq,
    Op.LESS: operator.lt,
    Op.AT_MOST: operator.le,
    Op.MORE: operator.gt,
    Op.AT_LEAST: operator.ge,
}
BYTE_ORDER: Final = "C"
OPEN: Final = ("TODO", "IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who filters, when, and in which zone their days begin."""

    scope: AccountScope
    now: datetime
    zone: ZoneInfo

    @property
    def user_id(self) -> UUID:
        return self.scope.user_id


async def zone_of(session: AsyncSession, user_id: UUID) -> str | None:
    return await session.scalar(select(User.time_zone).where(User.id == user_id))


def where(node: Filter, asker: Asker) -> ColumnElement[bool]:
    """A condition on `Task`; raises InvalidFilter for a date beyond the calendar."""
    if isinstance(node, Not):
        return not_(where(node.part, asker))
    if isinstance(node, Condition):
        return _condition(node, asker)
    parts = [where(one, asker) for one in node.parts]
    return and_(*parts) if isinstance(node, And) else or_(*parts)


def _condition(node: Condition, asker: Asker) -> ColumnElement[bool]:
    if node.op is Op.IS_NULL:
        return not_(_present(node))
    if node.op is Op.IS_NOT_NULL:
        return _present(node)
    if node.op is Op.IN:
        return or_(*(_compared(node, Op.EQUAL, one, asker) for one in node.values))
    if node.op is Op.UNEQUAL:
        return not_(_compared(node, Op.EQUAL, node.value, asker))
    return _compared(node, node.op, node.value, asker)


def _present(node: Condition) -> ColumnElement[bool]:
    name = node.field.name
    if name.startswith(CUSTOM):
        return func.coalesce(Task.fields[name.removeprefix(CUSTOM)].astext, "") != ""
    if name in _ROWS:
        return exists().where(_ROWS[name].task_id == Task.id)
    return or_(*(column.is_not(None) for column in _COLUMNS[name]))


def _compared(node: Condition, op: Op, value: Value, asker: Asker) -> ColumnElement[bool]:
    """One comparison with one value; false where there is nothing to compare."""
    name = node.field.name
    if node.field.kind in _BY_KIND:
        return _BY_KIND[node.field.kind](name, op, value, asker)
    if node.field.kind is Kind.WORD:
        return _word(node, op, str(value))
    return _related(name, asker.user_id if isinstance(value, Me) else str(value))


def _number(name: str, op: Op, value: Any, _asker: Asker) -> ColumnElement[bool]:
    return _sure(_COMPARED[op](_COLUMNS[name][0], int(value)))


def _flag(_name: str, _op: Op, value: Any, asker: Asker) -> ColumnElement[bool]:
    return _is_blocked(asker) if value else not_(_is_blocked(asker))


def _sure(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Nothing to compare is false, also for whoever negates it."""
    return func.coalesce(condition, false())


def _word(node: Condition, op: Op, word: str) -> ColumnElement[bool]:
    if node.field.name == "priority":
        return _sure(_COMPARED[op](Task.priority, node.field.words.index(word)))
    if node.field.name == "status":
        return Task.status == word
    return _stands_in([word])


def _stands_in(categories: Sequence[str]) -> ColumnElement[bool]:
    return _in_categories(Task, categories)


def _in_categories(task: Any, categories: Sequence[str]) -> ColumnElement[bool]:
    step = aliased(ProjectStatus)
    return (
        exists()
        .where(step.project_id == task.project_id, step.key == task.status, step.category.in_(categories))
        .correlate_except(step)
    )


def _text(name: str, op: Op, value: Any, _asker: Asker) -> ColumnElement[bool]:
    if op is Op.EQUAL:
        return Task.title == str(value)
    sought = func.lower(literal(value))
    columns = (Task.title,) if name == "title" else (Task.title, Task.description)
    said = [_said(sought)] if name == "text" else []
    return or_(*(func.strpos(func.lower(column), sought) > 0 for column in columns), *said)


def _said(sought: ColumnElement[str]) -> ColumnElement[bool]:
    """In a comment; one that was deleted says nothing any more."""
    comment = aliased(TaskComment)
    return (
        exists()
        .where(comment.task_id == Task.id, func.strpos(func.lower(comment.body), sought) > 0)
        .correlate_except(comment)
    )


def _is_blocked(asker: Asker) -> ColumnElement[bool]:
    """By a task in sight that is neither done, canceled nor deleted."""
    blocker, link = aliased(Task), aliased(TaskDependency)
    return (
        exists()
        .where(link.other_task_id == Task.id, link.kind == "BLOCKS", blocker.id == link.task_id)
        .where(blocker.deleted_at.is_(None), _in_categories(blocker, OPEN))
        .where(blocker.project_id.in_(projects_seen(asker.scope)))
        .correlate_except(blocker, link)
    )


def _related(name: str, value: str | UUID) -> ColumnElement[bool]:
    if name == "label":
        return _labelled(str(value))
    if name == "parent":
        return _below(str(value))
    person = UUID(str(value))
    if name == "creator":
        return Task.created_by_user_id == person
    table = TaskAssignee if name == "assignee" else TaskWatcher
    return exists().where(table.task_id == Task.id, table.user_id == person)


def _labelled(value: str) -> ColumnElement[bool]:
    label, link = aliased(ProjectLabel), aliased(TaskLabel)
    named = func.lower(label.name) == func.lower(literal(value))
    found = exists().where(link.task_id == Task.id, label.id == link.label_id).correlate_except(label, link)
    try:
        return found.where(or_(named, label.id == UUID(value)))
    except ValueError:
        return found.where(named)


def _below(value: str) -> ColumnElement[bool]:
    key, _, number = value.partition("-")
    if number.isdecimal():
        parent, project = aliased(Task), aliased(Project)
        return (
            exists()
            .where(parent.id == Task.parent_id, project.id == parent.project_id)
            .where(project.key == key, parent.number == int(number))
            .correlate_except(parent, project)
        )
    return _sure(Task.parent_id == UUID(value))


# --- dates -----------------------------------------------------------------------------------------------------


def _dated(name: str, op: Op, value: Any, asker: Asker) -> ColumnElement[bool]:
    wanted = resolve(value, asker.now, asker.zone)
    moment, *days = _COLUMNS[name]
    # A day is compared with the day that a moment lies in.
    other = to_local(wanted, asker.zone).date() if isinstance(wanted, datetime) else wanted
    return or_(_sure(_of_moment(moment, op, wanted, asker.zone)), *(_sure(_COMPARED[op](day, other)) for day in days))


def _of_moment(
    column: SQLColumnExpression[Any], op: Op, value: date | datetime, zone: ZoneInfo
) -> ColumnElement[bool]:
    """A moment against a day lies before it, in it or after it."""
    if isinstance(value, datetime):
        return _COMPARED[op](column, value)  # type: ignore[no-any-return]  # a column compares to a condition
    begins, ends = start_of(value, zone), start_of(value + timedelta(days=1), zone)
    found: dict[Op, ColumnElement[bool]] = {
        Op.EQUAL: and_(column >= begins, column < ends),
        Op.LESS: column < begins,
        Op.AT_MOST: column < ends,
        Op.MORE: column >= ends,
        Op.AT_LEAST: column >= begins,
    }
    return found[op]


# --- a project's own fields ------------------------------------------------------------------------------------


def _custom(name: str, op: Op, value: Value, asker: Asker) -> ColumnElement[bool]:
    """Values of another kind than the one asked for are not equal, smaller or greater."""
    key = name.removeprefix(CUSTOM)
    inside = Task.fields[key].astext
    if op is Op.CONTAINS:
        return _of_type(key, "string", func.strpos(func.lower(inside), func.lower(literal(str(value)))) > 0)
    if isinstance(value, bool):
        return _of_type(key, "boolean", cast(inside, Boolean).is_(value))
    if isinstance(value, Decimal):
        return _of_type(key, "number", _COMPARED[op](cast(inside, Numeric), value))
    text = func.coalesce(inside, "").collate(BYTE_ORDER)
    return _of_type(key, "string", _COMPARED[op](text, _as_text(value, asker)))


def _as_text(value: str | date | datetime | Relative | Me, asker: Asker) -> str:
    if isinstance(value, Me):
        return str(asker.user_id)
    if isinstance(value, str):
        return value
    found = resolve(value, asker.now, asker.zone)
    return (to_local(found, asker.zone).date() if isinstance(found, datetime) else found).isoformat()


def _of_type(key: str, kind: str, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Looked at only when it is of this kind: a text is not read as a number."""
    return case((func.jsonb_typeof(Task.fields[key]) == kind, condition), else_=false())


_ROWS: Final[dict[str, type[TaskAssignee] | type[TaskWatcher] | type[TaskLabel]]] = {
    "assignee": TaskAssignee,
    "watcher": TaskWatcher,
    "label": TaskLabel,
}
_COLUMNS: Final[dict[str, tuple[SQLColumnExpression[Any], ...]]] = {
    "number": (Task.number,),
    "estimate": (Task.estimate_minutes,),
    "parent": (Task.parent_id,),
    "start": (Task.start_at, Task.start_on),
    "due": (Task.due_at, Task.due_on),
    "created": (Task.created_at,),
    "updated": (Task.updated_at,),
    "completed": (Task.completed_at,),
}
_BY_KIND: Final[dict[Kind, Callable[[str, Op, Any, Asker], ColumnElement[bool]]]] = {
    Kind.DATE: _dated,
    Kind.CUSTOM: _custom,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.FLAG: _flag,
}
