"""The one place that makes tasks and writes their fields, whoever asks: a route, a bulk edit, an import, a move.

Whoever writes holds the task's project first (`repository.tasks.locked`, or `projects.next_number` for a new one):
what a change is checked against does not move before it is written.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.projects.models import Project, ProjectStatus
from pm_api.domains.tasks import finishing, ordering, rules
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.announcing import CREATED, UPDATED, announce
from pm_api.domains.tasks.enums import Priority
from pm_api.domains.tasks.errors.tasks import TaskBlocked, TaskParentCycle, TaskTooDeep
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.repository import ties, trees
from pm_api.domains.tasks.schemas.tasks import MOST_ON_A_TASK, TaskCreate

PLAIN: Final = ("title", "description", "estimate_minutes", "time_zone", "recurrence")
TIMES: Final = ("start_on", "start_at", "due_on", "due_at")
KNOWN: Final = frozenset(
    {*PLAIN, *TIMES, "status", "priority", "parent_id", "fields", "assignee_ids", "label_ids", "board_key"}
)
BLOCKED_FROM: Final = frozenset({StatusCategory.IN_PROGRESS, StatusCategory.DONE})
BLOCKERS_NAMED: Final = 20
ASSIGNEES, LABELS = "assigneeIds", "labelIds"
POSITION: Final = "position"


async def create(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    wanted: TaskCreate,
    *,
    recurrence: dict[str, Any] | None = None,
    previous_task_id: UUID | None = None,
) -> Task:
    """A new task at the end of its column, with the project's next number.

    Raises ProjectNotFound, ProjectArchived, TaskTooDeep, and ValidationFailed for what does not fit the project.
    """
    number = await projects.next_number(session, project_id)
    project = await _project(session, scope, project_id)
    rules.check_times(wanted.start_on, wanted.start_at, wanted.due_on, wanted.due_at)
    status = await _status(session, project, wanted.status)
    depth = 0
    parent_id: UUID | None = None
    if wanted.parent_id is not None:
        parent = await _parent(session, scope, project_id, wanted.parent_id)
        parent_id, depth = parent.id, parent.depth + 1
        if depth > trees.DEEPEST:
            raise TaskTooDeep
    fields = await _fields(session, project, {}, wanted.fields)
    assignees, labels = set(wanted.assignee_ids), set(wanted.label_ids)
    await _check_people(session, project.scope_id, assignees)
    await _check_labels(session, project_id, labels)
    task = new_task(
        platform,
        scope,
        project,
        wanted,
        number=number,
        status=status,
        board_key=await end_of_column(session, project_id, status.key),
        parent_id=parent_id,
        depth=depth,
        fields=fields,
        recurrence=recurrence,
        previous_task_id=previous_task_id,
    )
    session.add(task)
    await session.flush()
    await ties.assign(session, task, assignees, task.created_at)
    await ties.put_labels(session, task, labels)
    await announce(session, platform, scope, task, CREATED, begun(task, assignees), assigned=assignees)
    return task


def new_task(
    platform: Platform,
    scope: WorkspaceScope,
    project: Project,
    wanted: TaskCreate,
    *,
    number: int,
    status: ProjectStatus,
    board_key: str,
    parent_id: UUID | None,
    depth: int,
    fields: dict[str, Any],
    recurrence: dict[str, Any] | None = None,
    previous_task_id: UUID | None = None,
) -> Task:
    """The row of what was looked at already."""
    now = platform.clock.now()
    return Task(
        id=platform.randomness.uuid(),
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        project_id=project.id,
        number=number,
        title=wanted.title,
        description=wanted.description,
        status=status.key,
        priority=wanted.priority.number,
        board_key=board_key,
        start_on=wanted.start_on,
        start_at=wanted.start_at,
        due_on=wanted.due_on,
        due_at=wanted.due_at,
        time_zone=wanted.time_zone,
        estimate_minutes=wanted.estimate_minutes,
        parent_id=parent_id,
        depth=depth,
        fields=fields,
        recurrence=recurrence,
        previous_task_id=previous_task_id,
        created_by_user_id=scope.user_id,
        completed_at=rules.completed_at(status.category, None, now),
        deleted_at=None,
        deleted_with=None,
        version=1,
        created_at=now,
        updated_at=now,
    )


def begun(task: Task, assignees: Collection[UUID]) -> list[FieldChange]:
    """What the log says of a new one."""
    made = [FieldChange("title", None, task.title), FieldChange("status", None, task.status)]
    return [*made, FieldChange(ASSIGNEES, [], sorted(assignees))] if assignees else made


async def apply(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    update: Mapping[str, Any],
    *,
    action: str = UPDATED,
) -> list[FieldChange]:
    """Write fields of a locked task, by their Python names, and all that follows from it; returns what changed.

    `assignee_ids`, `label_ids` are whole sets, `fields` those to change, `parent_id` an id or a key. Without a change
    nothing is written. Raises ProjectArchived, TaskBlocked, TaskParentCycle, TaskTooDeep and ValidationFailed.
    """
    unknown = set(update) - KNOWN
    if unknown:
        raise ValueError(f"no fields of a task: {sorted(unknown)}")
    project = await _project(session, scope, task.project_id)
    wanted = rules.with_partners_cleared(update)
    made: list[FieldChange] = []
    before = task.completed_at
    _write_plain(task, wanted, made)
    if "fields" in wanted:
        values = await _fields(session, project, task.fields, wanted["fields"] or {})
        _set(task, "fields", values, made)
    if "parent_id" in wanted:
        await _put_below(session, scope, task, wanted["parent_id"], made)
    if "status" in wanted and wanted["status"] != task.status:
        await _to_status(session, platform, scope, project, task, wanted, made)
    if "board_key" in wanted and wanted["board_key"] != task.board_key:
        task.board_key = wanted["board_key"]
        made.append(FieldChange(POSITION, None, None))
    if "assignee_ids" in wanted:
        await _set_assignees(session, platform, task, set(wanted["assignee_ids"] or ()), made)
    if "label_ids" in wanted:
        await _set_labels(session, task, set(wanted["label_ids"] or ()), made)
    if not made:
        return []
    task.version += 1
    task.updated_at = platform.clock.now()
    await session.flush()
    assigned = {one for change in made if change.field == ASSIGNEES for one in set(change.new) - set(change.old)}
    is_done = before is None and task.completed_at is not None
    await announce(session, platform, scope, task, action, made, assigned=assigned, is_done=is_done)
    if is_done:
        await finishing.finished(session, platform, scope, task)
    return made


async def end_of_column(session: AsyncSession, project_id: UUID, status_key: str) -> str:
    """A key after all others of a column."""
    return ordering.between(await repository.last_board_key(session, project_id, status_key), None)


async def _project(session: AsyncSession, scope: WorkspaceScope, project_id: UUID) -> Project:
    """The task's project, which is held by now; raises NotFound or ProjectArchived."""
    project = await projects.project(session, scope, project_id)
    if project is None:
        raise NotFound
    if project.archived_at is not None:
        raise ProjectArchived
    return project


async def _status(session: AsyncSession, project: Project, key: str | None) -> ProjectStatus:
    if key is None:
        statuses = await projects.statuses_of(session, project.id)
        return next(one for one in statuses if one.category == StatusCategory.TODO)
    found = await repository.status(session, project.id, key)
    if found is None:
        raise rules.refused("/status", "The project has no such status")
    return found


# --- one field after the other -------------------------------------------------------------------------------------


def _set(task: Task, name: str, value: Any, made: list[FieldChange]) -> None:
    old = getattr(task, name)
    if old != value:
        setattr(task, name, value)
        made.append(FieldChange(to_camel(name), old, value))


def _write_plain(task: Task, wanted: Mapping[str, Any], made: list[FieldChange]) -> None:
    rules.check_times(*(wanted[name] if name in wanted else getattr(task, name) for name in TIMES))
    for name in (*PLAIN, *TIMES):
        if name in wanted:
            empty = "" if name == "description" else None
            _set(task, name, wanted[name] if wanted[name] is not None else empty, made)
    if "priority" in wanted:
        old, new = Priority.of(task.priority), Priority(wanted["priority"] or Priority.NONE)
        if new is not old:
            task.priority = new.number
            made.append(FieldChange("priority", old, new))


async def _fields(
    session: AsyncSession, project: Project, present: Mapping[str, Any], sent: Mapping[str, Any]
) -> dict[str, Any]:
    if not sent:
        return dict(present)
    values, people = rules.merged_fields(present, sent, await projects.fields_of(session, project.id))
    seeing = await repository.who_sees(session, project.scope_id, people.values()) if people else set()
    for key, user_id in people.items():
        if user_id not in seeing:
            raise rules.refused(f"/fields/{key}", "Is nobody who sees the project")
    return values


async def _parent(session: AsyncSession, scope: WorkspaceScope, project_id: UUID, reference: UUID | str) -> Task:
    parent_id = reference if isinstance(reference, UUID) else await repository.resolve(session, scope, reference)
    parent = await repository.task(session, scope, parent_id) if parent_id is not None else None
    if parent is None or parent.project_id != project_id:
        raise rules.refused("/parentId", "Is no task of the same project")
    return parent


async def _put_below(
    session: AsyncSession, scope: WorkspaceScope, task: Task, reference: UUID | str | None, made: list[FieldChange]
) -> None:
    """The task with all below it. Trees of a project change under its lock, so no two moves make a ring together."""
    if reference is None:
        parent_id, depth = None, 0
    else:
        parent = await _parent(session, scope, task.project_id, reference)
        parent_id, depth = parent.id, parent.depth + 1
    if parent_id == task.parent_id:
        return
    if parent_id is not None:
        up = await trees.path_up(session, parent_id)
        keys = [key for _, key in up]
        above = [one for one, _ in up]
        if task.id in above:
            path = keys[: above.index(task.id) + 1]
            raise TaskParentCycle(path=[path[-1], *path])
    by = depth - task.depth
    if by > 0:
        deepest = await trees.deepest_below(session, task.id)
        if max(deepest or 0, task.depth) + by > trees.DEEPEST:
            raise TaskTooDeep
    if by:
        await trees.sink(session, task.id, by)
    task.depth = depth
    _set(task, "parent_id", parent_id, made)


async def _to_status(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project: Project,
    task: Task,
    wanted: Mapping[str, Any],
    made: list[FieldChange],
) -> None:
    status = await _status(session, project, wanted["status"])
    if project.enforce_blocked and status.category in BLOCKED_FROM:
        blockers = await ties.open_blockers(session, scope, task.id, BLOCKERS_NAMED)
        if blockers:
            named = [{"id": str(one.task_id), "key": one.key, "title": one.title} for one in blockers if one.is_seen]
            keys = ", ".join(one["key"] for one in named)
            raise TaskBlocked(f"Blocked by {keys}." if keys else None, blockedBy=named)
    if "board_key" not in wanted:
        task.board_key = await end_of_column(session, task.project_id, status.key)
    task.completed_at = rules.completed_at(status.category, task.completed_at, platform.clock.now())
    _set(task, "status", status.key, made)


# --- people and labels ---------------------------------------------------------------------------------------------


async def _check_people(session: AsyncSession, scope_id: UUID, user_ids: Collection[UUID]) -> None:
    if user_ids and await repository.who_sees(session, scope_id, user_ids) != set(user_ids):
        raise rules.refused("/assigneeIds", "Names somebody who does not see the project")


async def _check_labels(session: AsyncSession, project_id: UUID, ids: Collection[UUID]) -> None:
    if ids and await ties.known_labels(session, project_id, ids) != set(ids):
        raise rules.refused("/labelIds", "Names what is no label of the project")


async def _set_assignees(
    session: AsyncSession, platform: Platform, task: Task, wanted: set[UUID], made: list[FieldChange]
) -> None:
    present = await ties.assignee_ids(session, task.id)
    if wanted == present:
        return
    if len(wanted) > MOST_ON_A_TASK:
        raise rules.refused("/assigneeIds", f"A task has at most {MOST_ON_A_TASK} assignees")
    await _check_people(session, task.scope_id, wanted - present)
    await ties.unassign(session, task, present - wanted)
    await ties.assign(session, task, wanted - present, platform.clock.now())
    made.append(FieldChange(ASSIGNEES, sorted(present), sorted(wanted)))


async def _set_labels(session: AsyncSession, task: Task, wanted: set[UUID], made: list[FieldChange]) -> None:
    present = await ties.label_ids(session, task.id)
    if wanted == present:
        return
    if len(wanted) > MOST_ON_A_TASK:
        raise rules.refused("/labelIds", f"A task has at most {MOST_ON_A_TASK} labels")
    await _check_labels(session, task.project_id, wanted - present)
    await ties.drop_labels(session, task, present - wanted)
    await ties.put_labels(session, task, wanted - present)
    made.append(FieldChange(LABELS, sorted(present), sorted(wanted)))
