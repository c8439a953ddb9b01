"""What somebody does to one task, over a route: looked at under the lock, done, and kept so that it can be undone."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks import moving, removing, rules, undoing
from pm_api.domains.tasks.announcing import CREATED, DELETED, MOVED, RESTORED, UPDATED
from pm_api.domains.tasks.errors.tasks import TaskNotFound, TooManyWatchers
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.reading import reads
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.repository import ties
from pm_api.domains.tasks.schemas.tasks import (
    LabelDelta,
    PeopleDelta,
    PersonShown,
    TaskCreate,
    TaskMove,
    TaskRead,
    TaskReplace,
)
from pm_api.domains.tasks.service import ensure_may_edit
from pm_api.domains.tasks.writing import apply, create
from pm_api.identity import pictures

MOST_WATCHERS: Final = 200


class Done(NamedTuple):
    """The task as it is now, and what takes the change back; None when nothing changed."""

    task: TaskRead
    undo_token: UUID | None


async def make(session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: TaskCreate) -> Done:
    """A new task; raises what `writing.create` raises."""
    task = await create(session, platform, scope, wanted.project_id, wanted)
    token = await undoing.remember(session, platform, scope, CREATED, [undoing.absent(task.id)])
    return Done(await _read(session, platform, scope, task), token)


async def get(session: AsyncSession, platform: Platform, at: TaskScope) -> TaskRead:
    """One task in sight; raises TaskNotFound."""
    task = await repository.task(session, at.scope, at.task_id)
    if task is None:
        raise TaskNotFound
    return await _read(session, platform, at.scope, task)


async def update(
    session: AsyncSession, platform: Platform, at: TaskScope, change: Mapping[str, Any], expected_version: int | None
) -> Done:
    """Write the fields that are named; raises TaskNotFound, PreconditionFailed, Forbidden, or what `apply` raises."""

    async def write(task: Task) -> bool:
        return bool(await apply(session, platform, at.scope, task, change))

    return await _edit(session, platform, at, UPDATED, write, expected_version)


async def replace(
    session: AsyncSession, platform: Platform, at: TaskScope, wanted: TaskReplace, expected_version: int | None
) -> Done:
    """Write all fields: what is not named becomes empty, except the status. Raises the same."""

    async def write(task: Task) -> bool:
        change = {name: getattr(wanted, name) for name in TaskReplace.model_fields}
        if wanted.status is None:
            del change["status"]
        change["fields"] = {**dict.fromkeys(task.fields), **wanted.fields}
        return bool(await apply(session, platform, at.scope, task, change))

    return await _edit(session, platform, at, UPDATED, write, expected_version)


async def move(
    session: AsyncSession, platform: Platform, at: TaskScope, wanted: TaskMove, expected_version: int | None
) -> Done:
    """To another place of the board; raises the same, and TaskNeighbourElsewhere."""

    async def write(task: Task) -> bool:
        return await moving.move(session, platform, at.scope, task, wanted)

    return await _edit(session, platform, at, MOVED, write, expected_version)


async def change_labels(session: AsyncSession, platform: Platform, at: TaskScope, delta: LabelDelta) -> Done:
    """Some come, some go. Under the lock, so that of two at once neither loses what the other did."""

    async def write(task: Task) -> bool:
        wanted = (await ties.label_ids(session, task.id) | set(delta.add)) - set(delta.remove)
        return bool(await apply(session, platform, at.scope, task, {"label_ids": wanted}))

    return await _edit(session, platform, at, UPDATED, write, None)


async def change_assignees(session: AsyncSession, platform: Platform, at: TaskScope, delta: PeopleDelta) -> Done:
    """The same with people."""

    async def write(task: Task) -> bool:
        wanted = (await ties.assignee_ids(session, task.id) | set(delta.add)) - set(delta.remove)
        return bool(await apply(session, platform, at.scope, task, {"assignee_ids": wanted}))

    return await _edit(session, platform, at, UPDATED, write, None)


async def delete(
    session: AsyncSession, platform: Platform, at: TaskScope, expected_version: int | None
) -> tuple[int, UUID]:
    """With all below it; returns how many, and what takes it back. Raises TaskNotFound, PreconditionFailed,
    Forbidden, ProjectArchived or TaskTreeTooLarge.
    """
    task = await _locked(session, at, expected_version)
    tree = await removing.tree_of(session, at.scope, task)
    before = await undoing.snapshots(session, [one.id for one in tree])
    await removing.delete(session, platform, at.scope, tree)
    return len(tree), await undoing.remember(session, platform, at.scope, DELETED, before)


async def restore(session: AsyncSession, platform: Platform, at: TaskScope, expected_version: int | None) -> Done:
    """With all that was deleted together with it; raises TaskNotFound, PreconditionFailed, Forbidden,
    ProjectArchived, TaskParentDeleted or TaskTreeTooLarge.
    """
    task = await _locked(session, at, expected_version, deleted=True)
    group = await removing.group_of(session, platform, at.scope, task)
    before = await undoing.snapshots(session, [one.id for one in group])
    await removing.restore(session, platform, at.scope, group)
    token = await undoing.remember(session, platform, at.scope, RESTORED, before)
    return Done(await _read(session, platform, at.scope, task), token)


# --- watchers ------------------------------------------------------------------------------------------------------


async def watchers(session: AsyncSession, platform: Platform, at: TaskScope) -> list[PersonShown]:
    """Who is told of what happens to it, by name."""
    found = [PersonShown(id=user_id, name=name) for user_id, name in await ties.watchers(session, at.task_id)]
    await pictures.put_in(session, platform, found)
    return found


async def change_watchers(
    session: AsyncSession, platform: Platform, at: TaskScope, delta: PeopleDelta
) -> list[PersonShown]:
    """Everybody who sees the task may watch it or stop to; for others, whoever may edit it. A task's version does not
    count its watchers. Raises TaskNotFound, Forbidden, TooManyWatchers, or ValidationFailed for who does not see it.
    """
    task = await _locked(session, at, None)
    if {*delta.add, *delta.remove} - {at.scope.user_id}:
        ensure_may_edit(at.scope, task, await ties.assignee_ids(session, task.id))
    if delta.add and await repository.who_sees(session, task.scope_id, delta.add) != set(delta.add):
        raise rules.refused("/add", "Names somebody who does not see the project")
    await ties.watch(session, task, set(delta.add) - set(delta.remove))
    await ties.unwatch(session, task.id, delta.remove)
    if delta.add and await ties.count_watchers(session, task.id) > MOST_WATCHERS:
        raise TooManyWatchers
    return await watchers(session, platform, at)


# --- each of them --------------------------------------------------------------------------------------------------


async def _locked(
    session: AsyncSession, at: TaskScope, expected_version: int | None, *, deleted: bool = False
) -> Task:
    task = await repository.task(session, at.scope, at.task_id, lock=True, deleted=deleted)
    if task is None:
        raise TaskNotFound
    check_version(task.version, expected_version)
    return task


async def _edit(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    action: str,
    write: Callable[[Task], Awaitable[bool]],
    expected_version: int | None,
) -> Done:
    task = await _locked(session, at, expected_version)
    ensure_may_edit(at.scope, task, await ties.assignee_ids(session, task.id))
    await projects.ensure_writable(session, task.project_id)
    before = await undoing.snapshots(session, [task.id])
    changed = await write(task)
    token = await undoing.remember(session, platform, at.scope, action, before) if changed else None
    return Done(await _read(session, platform, at.scope, task), token)


async def _read(session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task) -> TaskRead:
    return (await reads(session, platform, scope, [task]))[0]
