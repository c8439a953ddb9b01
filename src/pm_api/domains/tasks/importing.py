"""Tasks out of a file into one project: looked at as a whole, then made as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound, ValidationFailed
from pm_api.core.platform import Platform
from pm_api.core.schema import storable
from pm_api.domains.projects import labels as project_labels
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.models import ProjectField, ProjectLabel
from pm_api.domains.projects.schemas.workflow import ShortName
from pm_api.domains.tasks import dependencies, rules, table, undoing
from pm_api.domains.tasks.batching import NewTask, create_all
from pm_api.domains.tasks.errors.interchange import InvalidImport
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import ChecklistItem, Task
from pm_api.domains.tasks.repository import dependencies as dependency_rows
from pm_api.domains.tasks.repository import interchange as repository
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.domains.tasks.schemas.checklists import CONTENT_LENGTH, MOST_ITEMS
from pm_api.domains.tasks.schemas.dependencies import DependencyCreate
from pm_api.domains.tasks.schemas.interchange import CellShown, ImportReport, ImportRow
from pm_api.domains.tasks.schemas.tasks import MOST_ON_A_TASK, TaskCreate
from pm_api.domains.tasks.table import Row, Unreadable, Wrong

DEEPEST: Final = 9
LABEL_NAME: Final = TypeAdapter[str](ShortName)
MOST_TOLD: Final = 100
IMPORTED: Final = "imported"
LINKS: Final = {"blocks": "BLOCKS", "relates": "RELATES", "duplicates": "DUPLICATES"}
WRITTEN: Final = (
    *("title", "description", "status", "priority", "startOn", "startAt", "dueOn", "dueAt", "timeZone"),
    *("estimateMinutes", "fields"),
)


@dataclass
class _File:
    """What was read, and what of the project it is looked at against."""

    project_id: UUID
    rows: list[Row]
    by_key: dict[str, Row] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    labels: dict[str, ProjectLabel] = field(default_factory=dict)
    fields: Sequence[ProjectField] = ()
    people: dict[str, UUID] = field(default_factory=dict)
    named: dict[int, dict[str, UUID]] = field(default_factory=dict)
    wanted: dict[int, TaskCreate] = field(default_factory=dict)
    scope_id: UUID | None = None


async def run(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    content: bytes,
    *,
    is_csv: bool,
    dry_run: bool,
    creates_labels: bool,
) -> tuple[ImportReport, UUID | None]:
    """Make a task of every row, or none; with `dry_run` only tell. Returns what takes the tasks back, too. Raises
    NotFound, ProjectArchived, TooManyLabels, InvalidImport, DependencyCycle, DependencyExists and
    TooManyDependencies.
    """
    try:
        read = table.read_csv(content) if is_csv else table.read_json(content)
    except Unreadable as error:
        raise InvalidImport(str(error)) from None
    file = _File(project_id, read)
    await projects.ensure_writable(session, project_id)
    await _look_up(session, scope, file)
    missing = _missing_labels(file)
    for row in file.rows:
        _check(file, row, creates_labels=creates_labels)
    await _check_named(session, file)
    order = _in_order(file)
    wrong = [row for row in file.rows if row.wrong]
    if wrong and not dry_run:
        raise _refusal(wrong)
    new_labels = sorted(missing) if creates_labels else []
    if dry_run:
        return _report(file, {}, new_labels, dry_run=True), None
    if any(name in row.values for row in file.rows for name in LINKS):
        await dependency_rows.hold(session, scope.workspace_id)
    if new_labels:
        made_labels = await project_labels.ensure(session, platform, scope, project_id, new_labels)
        file.labels |= {one.name.casefold(): one for one in made_labels.values()}
    made = await _make(session, platform, scope, file, order)
    await _link(session, platform, scope, file, made)
    token = None
    if made:
        before = [undoing.absent(task.id) for task in made.values()]
        token = await undoing.remember(session, platform, scope, IMPORTED, before)
    return _report(file, made, new_labels, dry_run=False), token


# --- looking ---------------------------------------------------------------------------------------------------


async def _look_up(session: AsyncSession, scope: WorkspaceScope, file: _File) -> None:
    project = await projects.project(session, scope, file.project_id)
    if project is None:
        raise NotFound
    file.scope_id = project.scope_id
    for status in await projects.statuses_of(session, file.project_id):
        file.statuses.setdefault(status.name.casefold(), status.key)
        file.statuses[status.key.casefold()] = status.key
    file.labels = {one.name.casefold(): one for one in await projects.labels_of(session, file.project_id)}
    file.fields = await projects.fields_of(session, file.project_id)
    named = {one.casefold() for row in file.rows for one in row.values.get("assignees", ())}
    people = await repository.members_by_address(session, scope.workspace_id, named) if named else {}
    seeing = await rows.who_sees(session, project.scope_id, people.values()) if people else set()
    file.people = {email: user_id for email, user_id in people.items() if user_id in seeing}
    for row in file.rows:
        key = row.values.get("key")
        if key is None:
            continue
        if not isinstance(key, str) or not 0 < len(key) <= 100:
            row.wrong.append(Wrong("key", "is no text of 1 to 100 characters"))
        elif key in file.by_key:
            row.wrong.append(Wrong("key", "comes twice"))
        else:
            file.by_key[key] = row


def _missing_labels(file: _File) -> set[str]:
    named = {one for row in file.rows for one in row.values.get("labels", ())}
    first: dict[str, str] = {}
    for one in sorted(named):
        first.setdefault(one.casefold(), one)
    return {name for folded, name in first.items() if folded not in file.labels}


def _check(file: _File, row: Row, *, creates_labels: bool) -> None:
    """Note what is wrong with a row, and keep what it says if nothing is."""
    values = {name: row.values[name] for name in WRITTEN if name in row.values}
    status = values.get("status")
    if isinstance(status, str):
        if status.casefold() in file.statuses:
            values["status"] = file.statuses[status.casefold()]
        else:
            row.wrong.append(Wrong("status", "is no status of the project"))
            del values["status"]
    if isinstance(values.get("priority"), str):
        values["priority"] = values["priority"].upper()
    try:
        file.wanted[row.number] = TaskCreate.model_validate({**values, "projectId": str(file.project_id)})
    except ValidationError as error:
        for one in error.errors():
            place = str(one["loc"][0]) if one["loc"] else ""
            row.wrong.append(Wrong(place, one["msg"].removeprefix("Value error, ")))
    _check_people_and_labels(file, row, creates_labels=creates_labels)
    _check_links(file, row)
    _check_checklist(row)
    wanted = file.wanted.get(row.number)
    if wanted is None:
        return
    try:
        rules.check_times(wanted.start_on, wanted.start_at, wanted.due_on, wanted.due_at)
        _, file.named[row.number] = rules.merged_fields({}, wanted.fields, file.fields)
    except ValidationFailed as error:
        for told in error.details or ():
            row.wrong.append(Wrong(told["pointer"].lstrip("/"), told["detail"]))


async def _check_named(session: AsyncSession, file: _File) -> None:
    """Whoever stands in a field of the project's own sees the project."""
    people = {user_id for named in file.named.values() for user_id in named.values()}
    assert file.scope_id is not None, "the project was looked up"
    blind = people - await rows.who_sees(session, file.scope_id, people) if people else set[UUID]()
    for row in file.rows:
        for key, user_id in file.named.get(row.number, {}).items():
            if user_id in blind:
                row.wrong.append(Wrong(f"fields/{key}", "is nobody who sees the project"))


def _check_people_and_labels(file: _File, row: Row, *, creates_labels: bool) -> None:
    for one in row.values.get("assignees", ()):
        if one.casefold() not in file.people:
            row.wrong.append(Wrong("assignees", f"{one[:100]} is the address of nobody who sees the project"))
    for one in row.values.get("labels", ()):
        if one.casefold() in file.labels:
            continue
        if not _is_label_name(one):
            row.wrong.append(Wrong("labels", "a label has 1 to 60 characters on one line"))
        elif not creates_labels:
            row.wrong.append(Wrong("labels", f"{one} is no label of the project; createLabels=true makes it"))
    for name in ("assignees", "labels"):
        if len(row.values.get(name, ())) > MOST_ON_A_TASK:
            row.wrong.append(Wrong(name, f"a task has at most {MOST_ON_A_TASK}"))


def _check_links(file: _File, row: Row) -> None:
    for name in LINKS:
        for one in row.values.get(name, ()):
            if one not in file.by_key:
                row.wrong.append(Wrong(name, f"{one[:100]} is no key of this file"))
            elif file.by_key[one] is row:
                row.wrong.append(Wrong(name, "is the task itself"))


def _check_checklist(row: Row) -> None:
    sent = row.values.get("checklist", [])
    fits = isinstance(sent, list) and len(sent) <= MOST_ITEMS
    if not fits or not all(_is_item(one) for one in sent):
        shape = '[{"content": "…", "isDone": false}]'
        row.wrong.append(Wrong("checklist", f"is no list such as {shape} of at most {MOST_ITEMS}"))


def _is_item(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and set(one) <= {"content", "isDone"}
        and isinstance(one.get("content"), str)
        and 0 < len(one["content"].strip()) <= CONTENT_LENGTH
        and _is_storable(one["content"])
        and isinstance(one.get("isDone", False), bool)
    )


def _is_label_name(text: str) -> bool:
    try:
        return LABEL_NAME.validate_python(text) == text
    except ValidationError:
        return False


def _is_storable(text: str) -> bool:
    try:
        storable(text)
    except ValueError:
        return False
    return True


def _in_order(file: _File) -> list[Row]:
    """Parents before what is below them, otherwise as in the file; notes what goes round or too deep."""
    order: list[Row] = []
    depths: dict[int, int] = {}
    for row in file.rows:
        path: list[Row] = []
        on_path = set[int]()
        at: Row | None = row
        while at is not None and at.number not in depths:
            if at.number in on_path:
                row.wrong.append(Wrong("parent", "goes round in a circle"))
                break
            path.append(at)
            on_path.add(at.number)
            at = _parent(file, at)
        for one in reversed(path):
            above = _parent(file, one)
            depth = depths.get(above.number, -1) + 1 if above is not None else 0
            if depth > DEEPEST:
                one.wrong.append(Wrong("parent", "would lie deeper than ten levels"))
            depths[one.number] = depth
            order.append(one)
    return order


def _parent(file: _File, row: Row) -> Row | None:
    key = row.values.get("parent")
    if key is None:
        return None
    found = file.by_key.get(key) if isinstance(key, str) else None
    told = Wrong("parent", "is no key of this file")
    if found is None and told not in row.wrong:
        row.wrong.append(told)
    return found


# --- making ----------------------------------------------------------------------------------------------------


async def _make(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, file: _File, order: Sequence[Row]
) -> dict[int, Task]:
    places = {row.number: place for place, row in enumerate(order)}
    wanted: list[NewTask] = []
    for row in order:
        above = _parent(file, row)
        parent = places[above.number] if above is not None else None
        wanted.append(
            NewTask(
                file.wanted[row.number],
                frozenset(file.people[one.casefold()] for one in row.values.get("assignees", ())),
                frozenset(file.labels[one.casefold()].id for one in row.values.get("labels", ())),
                parent,
                wanted[parent].depth + 1 if parent is not None else 0,
            )
        )
    tasks = await create_all(session, platform, scope, file.project_id, wanted)
    made = {row.number: task for row, task in zip(order, tasks, strict=True)}
    for row in order:
        for position, item in enumerate(row.values.get("checklist", ())):
            session.add(_item(platform, made[row.number], item, position))
    await session.flush()
    return made


def _item(platform: Platform, task: Task, item: Mapping[str, Any], position: int) -> ChecklistItem:
    return ChecklistItem(
        id=platform.randomness.uuid(),
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        task_id=task.id,
        content=item["content"].strip(),
        is_done=item.get("isDone", False),
        position=position,
        version=1,
    )


async def _link(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, file: _File, made: Mapping[int, Task]
) -> None:
    for row in file.rows:
        task = made[row.number]
        at = TaskScope(scope, task.id, task.project_id, task.scope_id)
        for name, kind in LINKS.items():
            for key in dict.fromkeys(row.values.get(name, ())):
                other = made[file.by_key[key].number]
                wanted = DependencyCreate.model_validate({"otherTaskId": str(other.id), "kind": kind})
                await dependencies.create(session, platform, at, wanted)


def _report(file: _File, made: Mapping[int, Task], new_labels: Sequence[str], *, dry_run: bool) -> ImportReport:
    shown = []
    for row in file.rows:
        task = made.get(row.number)
        key = row.values.get("key")
        shown.append(
            ImportRow(
                row=row.number,
                key=key if isinstance(key, str) else None,
                task_id=task.id if task is not None else None,
                number=task.number if task is not None else None,
                errors=[CellShown(column=one.column, detail=one.detail) for one in row.wrong],
            )
        )
    failed = sum(bool(row.wrong) for row in file.rows)
    return ImportReport(
        rows=shown, created=len(made), failed=failed, labels_created=list(new_labels), dry_run=dry_run
    )


def _refusal(wrong: Sequence[Row]) -> InvalidImport:
    details = [
        {"pointer": f"/rows/{row.number}/{one.column}", "detail": one.detail} for row in wrong for one in row.wrong
    ]
    told = [
        {"row": row.number, "errors": [{"column": one.column, "detail": one.detail} for one in row.wrong]}
        for row in wrong[:MOST_TOLD]
    ]
    rest = "" if len(wrong) == 1 else f" and {len(wrong) - 1} more"
    return InvalidImport(f"Row {wrong[0].number}{rest} cannot be imported.", details=details[:MOST_TOLD], rows=told)
