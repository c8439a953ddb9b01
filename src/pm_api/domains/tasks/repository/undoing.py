"""Queries of taking back: what tasks are now in a form that can be kept, and the records themselves."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import ProjectField, ProjectLabel, ProjectStatus
from pm_api.domains.tasks.models import Task, TaskActivity, TaskAssignee, TaskComment, TaskLabel, TaskUndo, TimeEntry
from pm_api.domains.tasks.repository.trees import DEEPEST
from pm_api.identity.models.people import User

COLUMNS: Final = (
    *("title", "description", "status", "priority", "board_key", "start_on", "start_at", "due_on", "due_at"),
    *("time_zone", "estimate_minutes", "parent_id", "depth", "fields", "recurrence", "completed_at"),
    *("deleted_at", "deleted_with"),
)
"""What a person can change of a task's row."""
DAYS: Final = frozenset({"start_on", "due_on"})
MOMENTS: Final = frozenset({"start_at", "due_at", "completed_at", "deleted_at"})
IDS: Final = frozenset({"parent_id", "deleted_with"})
LABELS, ASSIGNEES, SUCCESSOR = "labels", "assignees", "successor"


def _kept(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def column_value(name: str, kept: Any) -> Any:
    """What a column takes, of what was kept of it."""
    if kept is None:
        return None
    if name in DAYS:
        return date.fromisoformat(kept)
    if name in MOMENTS:
        return datetime.fromisoformat(kept)
    return UUID(kept) if name in IDS else kept


async def states(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, tuple[int, dict[str, Any]]]:
    """Of each task its version, and all that a person can change of it, in JSON. Four queries, however many."""
    columns = [getattr(Task, name) for name in COLUMNS]
    rows = await session.execute(select(Task.id, Task.version, *columns).where(Task.id.in_(task_ids)))
    found: dict[UUID, tuple[int, dict[str, Any]]] = {}
    for task_id, version, *values in rows:
        state = {name: _kept(value) for name, value in zip(COLUMNS, values, strict=True)}
        found[task_id] = (version, {**state, LABELS: [], ASSIGNEES: [], SUCCESSOR: None})
    labels = select(TaskLabel.task_id, TaskLabel.label_id).where(TaskLabel.task_id.in_(task_ids))
    for task_id, label_id in await session.execute(labels.order_by(TaskLabel.label_id)):
        found[task_id][1][LABELS].append(str(label_id))
    people = select(TaskAssignee.task_id, TaskAssignee.user_id).where(TaskAssignee.task_id.in_(task_ids))
    for task_id, user_id in await session.execute(people.order_by(TaskAssignee.user_id)):
        found[task_id][1][ASSIGNEES].append(str(user_id))
    following = select(Task.previous_task_id, Task.id).where(Task.previous_task_id.in_(task_ids))
    for before_id, successor_id in await session.execute(following):
        assert before_id is not None, "it was asked for"
        found[before_id][1][SUCCESSOR] = str(successor_id)
    return found


async def scopes_of(session: AsyncSession, task_ids: Collection[UUID]) -> set[UUID]:
    return set(await session.scalars(select(Task.scope_id).where(Task.id.in_(task_ids))))


async def activity_ids(session: AsyncSession, task_ids: Collection[UUID], since: datetime) -> dict[UUID, list[str]]:
    """What the log says of tasks since a moment, by task."""
    rows = await session.execute(
        select(TaskActivity.task_id, TaskActivity.id).where(
            TaskActivity.task_id.in_(task_ids), TaskActivity.created_at >= since
        )
    )
    found: dict[UUID, list[str]] = {}
    for task_id, activity_id in rows:
        found.setdefault(task_id, []).append(str(activity_id))
    return found


async def put(session: AsyncSession, undo: TaskUndo) -> None:
    session.add(undo)
    await session.flush()


async def lock_undo(session: AsyncSession, undo_id: UUID, user_id: UUID, now: datetime) -> TaskUndo | None:
    """A record of this person that is neither used nor over; the second of two waits, and finds it used."""
    await session.execute(select(TaskUndo.id).where(TaskUndo.id == undo_id).with_for_update())
    return await session.scalar(
        select(TaskUndo)
        .where(
            TaskUndo.id == undo_id,
            TaskUndo.user_id == user_id,
            TaskUndo.used_at.is_(None),
            TaskUndo.expires_at > now,
        )
        .execution_options(populate_existing=True)
    )


async def forget_expired(session: AsyncSession, before: datetime, limit: int) -> int:
    """Take away records that are over; returns how many went."""
    over = (
        select(TaskUndo.id)
        .where(TaskUndo.expires_at <= before)
        .order_by(TaskUndo.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(delete(TaskUndo).where(TaskUndo.id.in_(over)).returning(TaskUndo.id))
    return len(gone.all())


async def last_changes(
    session: AsyncSession, task_ids: Collection[UUID], since: datetime, limit: int
) -> Sequence[tuple[TaskActivity, str | None]]:
    """What was done to tasks since a moment, with the name of who did it; newest first."""
    rows = await session.execute(
        select(TaskActivity, User.name)
        .outerjoin(User, User.id == TaskActivity.actor_user_id)
        .where(TaskActivity.task_id.in_(task_ids), TaskActivity.created_at >= since)
        .order_by(TaskActivity.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def write_back(session: AsyncSession, task: Task, state: Mapping[str, Any], now: datetime) -> None:
    """Put kept values into a locked task's row, its labels and its people."""
    for name, kept in state.items():
        if name in COLUMNS:
            setattr(task, name, column_value(name, kept))
    if LABELS in state:
        wanted = [UUID(one) for one in state[LABELS]]
        await session.execute(
            delete(TaskLabel).where(TaskLabel.task_id == task.id, TaskLabel.label_id.not_in(wanted))
        )
        if wanted:
            rows = [{"task_id": task.id, "label_id": one, "workspace_id": task.workspace_id} for one in wanted]
            await session.execute(insert(TaskLabel).values(rows).on_conflict_do_nothing())
    if ASSIGNEES in state:
        people = [UUID(one) for one in state[ASSIGNEES]]
        await session.execute(
            delete(TaskAssignee).where(TaskAssignee.task_id == task.id, TaskAssignee.user_id.not_in(people))
        )
        if people:
            inside = {"task_id": task.id, "workspace_id": task.workspace_id, "assigned_at": now}
            assigned = [{**inside, "user_id": one} for one in people]
            await session.execute(insert(TaskAssignee).values(assigned).on_conflict_do_nothing())
    await session.flush()


async def known_labels(session: AsyncSession, label_ids: Collection[UUID]) -> set[UUID]:
    """Those that are still there, held so that none goes while it is put back."""
    rows = select(ProjectLabel.id).where(ProjectLabel.id.in_(label_ids)).order_by(ProjectLabel.id)
    return set(await session.scalars(rows.with_for_update(read=True, key_share=True)))


async def known_statuses(session: AsyncSession, project_ids: Collection[UUID]) -> set[tuple[UUID, str]]:
    found = select(ProjectStatus.project_id, ProjectStatus.key).where(ProjectStatus.project_id.in_(project_ids))
    return {(row[0], row[1]) for row in await session.execute(found)}


async def known_fields(session: AsyncSession, project_ids: Collection[UUID]) -> set[tuple[UUID, str]]:
    found = select(ProjectField.project_id, ProjectField.key).where(ProjectField.project_id.in_(project_ids))
    return {(row[0], row[1]) for row in await session.execute(found)}


async def others_on(session: AsyncSession, task_ids: Collection[UUID], user_id: UUID) -> list[tuple[UUID, str, int]]:
    """What others than this person said of tasks and worked on them: (task, what, how many)."""
    found: list[tuple[UUID, str, int]] = []
    for name, table, whose in (
        ("comments", TaskComment, TaskComment.author_user_id),
        ("timeEntries", TimeEntry, TimeEntry.user_id),
    ):
        statement = select(table.task_id, func.count()).where(table.task_id.in_(task_ids), whose != user_id)
        if table is TaskComment:
            statement = statement.where(TaskComment.deleted_at.is_(None))
        rows = await session.execute(statement.group_by(table.task_id))
        found += [(row[0], name, row[1]) for row in rows]
    return found


async def let_go(session: AsyncSession, successor: Task) -> None:
    """A task that was made because another was done is made again when that is done again."""
    successor.previous_task_id = None
    await session.flush()


async def settle_depths(session: AsyncSession, task_id: UUID, depth: int) -> int:
    """Count the depth of a subtree anew; returns the deepest it would have, and writes nothing that does not fit."""
    tree = select(Task.id, literal(depth).label("depth")).where(Task.id == task_id).cte(recursive=True)
    below = select(Task.id, tree.c.depth + 1).join(tree, Task.parent_id == tree.c.id)
    tree = tree.union_all(below.where(tree.c.depth <= DEEPEST))
    deepest = await session.scalar(select(func.max(tree.c.depth))) or 0
    if deepest <= DEEPEST:
        await session.execute(
            update(Task)
            .where(Task.id == tree.c.id, Task.depth != tree.c.depth)
            .values(depth=tree.c.depth)
            .execution_options(synchronize_session=False)
        )
    return deepest
