"""Pure rules of tasks: times, values of a project's own fields, who may do what."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from pm_api.core.errors import ValidationFailed
from pm_api.domains.projects.enums import FieldKind, StatusCategory
from pm_api.domains.tasks.enums import TaskAction
from pm_api.identity.permissions import allows

LONGEST_FIELD_TEXT: Final = 2000
LONGEST_NUMBER: Final = 1e15
WHOLE_DAY: Final = timedelta(days=1)
WRITE, MANAGE = "task.write", "task.manage"


class Defined(Protocol):
    """A field of a project's own."""

    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def options(self) -> list[Any]: ...


def refused(pointer: str, detail: str) -> ValidationFailed:
    """A value that is wrong, by the field of the request it stands in."""
    return ValidationFailed(f"{pointer.lstrip('/')}: {detail}", details=[{"pointer": pointer, "detail": detail}])


# --- times ---------------------------------------------------------------------------------------------------------


def check_times(
    start_on: date | None, start_at: datetime | None, due_on: date | None, due_at: datetime | None
) -> None:
    """Each a day or a moment, and no end before its beginning; raises ValidationFailed. A day is meant as its
    beginning for the start and as its end for what is due, and so never quarrels with a moment within it, whatever
    the zone.
    """
    if start_on is not None and start_at is not None:
        raise refused("/startOn", "Not together with startAt")
    if due_on is not None and due_at is not None:
        raise refused("/dueOn", "Not together with dueAt")
    pointer = "/dueOn" if due_on is not None else "/dueAt"
    if start_on is not None and due_on is not None:
        wrong = due_on < start_on
    elif start_at is not None and due_at is not None:
        wrong = due_at < start_at
    elif start_at is not None and due_on is not None:
        wrong = _midnight(due_on) + 2 * WHOLE_DAY < start_at
    elif start_on is not None and due_at is not None:
        wrong = due_at < _midnight(start_on) - WHOLE_DAY
    else:
        wrong = False
    if wrong:
        raise refused(pointer, "Lies before the start")


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def with_partners_cleared(update: Mapping[str, Any]) -> dict[str, Any]:
    """A day takes the place of the moment that stood there, and the other way round, unless both are sent."""
    complete = dict(update)
    for one, other in (("start_on", "start_at"), ("due_on", "due_at")):
        for sent, partner in ((one, other), (other, one)):
            if complete.get(sent) is not None and partner not in update:
                complete[partner] = None
    return complete


# --- fields of a project's own -------------------------------------------------------------------------------------


def merged_fields(
    present: Mapping[str, Any], sent: Mapping[str, Any], defined: Sequence[Defined]
) -> tuple[dict[str, Any], dict[str, UUID]]:
    """The values after a change, and by key the people that are named in what was sent, who must be looked up; raises
    ValidationFailed. Null clears a field.
    """
    kinds = {one.key: one for one in defined}
    values, people = dict(present), dict[str, UUID]()
    for key, value in sent.items():
        field = kinds.get(key)
        if field is None:
            raise refused(f"/fields/{key}", "The project has no such field")
        if value is None:
            values.pop(key, None)
            continue
        values[key] = _checked(field, value)
        if field.kind == FieldKind.USER:
            people[key] = UUID(values[key])
    return values, people


def _checked(field: Defined, value: Any) -> Any:
    pointer = f"/fields/{field.key}"
    if field.kind == FieldKind.NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refused(pointer, "Must be a number")
        if not math.isfinite(value) or abs(value) > LONGEST_NUMBER:
            raise refused(pointer, "Must not lie beyond 10^15")
        return value
    if not isinstance(value, str):
        raise refused(pointer, "Must be text")
    if field.kind == FieldKind.TEXT:
        if len(value) > LONGEST_FIELD_TEXT:
            raise refused(pointer, f"Has at most {LONGEST_FIELD_TEXT} characters")
        return value
    if field.kind == FieldKind.DATE:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise refused(pointer, "Must be a day such as 2026-01-31") from None
    if field.kind == FieldKind.SELECT:
        if value not in field.options:
            raise refused(pointer, "Is none of the field's options")
        return value
    try:
        return str(UUID(value))
    except ValueError:
        raise refused(pointer, "Must be a user's id") from None


# --- who may -------------------------------------------------------------------------------------------------------


def may_edit(role: str, user_id: UUID, creator_id: UUID, assignee_ids: Collection[UUID]) -> bool:
    """Whoever manages tasks may edit all; whoever writes, those they made or are to do."""
    if allows(role, MANAGE):
        return True
    return allows(role, WRITE) and (user_id == creator_id or user_id in assignee_ids)


def may_delete(role: str, user_id: UUID, creator_id: UUID) -> bool:
    """One's own, or with the right to manage."""
    return allows(role, MANAGE) or (allows(role, WRITE) and user_id == creator_id)


def actions(
    role: str | None,
    user_id: UUID,
    creator_id: UUID,
    assignee_ids: Collection[UUID],
    *,
    is_archived: bool,
    is_deleted: bool,
) -> list[TaskAction]:
    """What somebody may do with a task now; `role` is theirs in its project."""
    if role is None or is_archived:
        return []
    deletes = may_delete(role, user_id, creator_id)
    if is_deleted:
        return [TaskAction.RESTORE] if deletes else []
    found = []
    if may_edit(role, user_id, creator_id, assignee_ids):
        found += [TaskAction.UPDATE, TaskAction.MOVE]
    if allows(role, WRITE):
        found += [TaskAction.COMMENT, TaskAction.LOG_TIME]
    return [*found, TaskAction.DELETE] if deletes else found


def completed_at(category: str, present: datetime | None, now: datetime) -> datetime | None:
    """When it was done, kept while it stays done."""
    return (present or now) if category == StatusCategory.DONE else None
