"""Deleting tasks for a while, and bringing them back: a task with all below it, together."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import Forbidden
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.search import service as search
from pm_api.domains.search.enums import Kind
from pm_api.domains.storage import places
from pm_api.domains.tasks import rules
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.announcing import DELETED, RESTORED, announce
from pm_api.domains.tasks.errors.tasks import TaskNotFound, TaskParentDeleted, TaskTreeTooLarge
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import keeping, trees

RESTORABLE_FOR: Final = timedelta(days=30)
MOST_AT_ONCE: Final = 1000
FILES_AT_A_TIME: Final = 500
NOT_YOURS: Final = "You may delete and restore tasks that you made; others only who manages tasks."


async def tree_of(session: AsyncSession, scope: WorkspaceScope, task: Task) -> Sequence[Task]:
    """A locked task with all below it, which its project's lock holds; raises Forbidden unless the caller may delete
    every one of them, ProjectArchived or TaskTreeTooLarge.
    """
    await projects.ensure_writable(session, task.project_id)
    below = await trees.below(session, task.id, MOST_AT_ONCE)
    if len(below) >= MOST_AT_ONCE:
        raise TaskTreeTooLarge
    tree = await trees.by_ids(session, [task.id, *(one for one, _ in below)])
    _check(scope, tree)
    return tree


async def delete(session: AsyncSession, platform: Platform, scope: WorkspaceScope, tree: Sequence[Task]) -> None:
    """Out of sight, to come back by one restoration."""
    now, together = platform.clock.now(), platform.randomness.uuid()
    for task in tree:
        task.deleted_at, task.deleted_with = now, together
        task.version += 1
        task.updated_at = now
    await session.flush()
    for task in tree:
        await announce(session, platform, scope, task, DELETED, [FieldChange("deletedAt", None, now)])


async def group_of(session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task) -> Sequence[Task]:
    """What was deleted together with a deleted, locked task; raises TaskNotFound when that is over 30 days ago,
    Forbidden, ProjectArchived, TaskParentDeleted, TaskTreeTooLarge.
    """
    await projects.ensure_writable(session, task.project_id)
    if task.deleted_at is None or platform.clock.now() - task.deleted_at > RESTORABLE_FOR:
        raise TaskNotFound
    if task.parent_id is not None and await trees.is_deleted(session, task.parent_id):
        raise TaskParentDeleted
    together = task.deleted_with
    group = await trees.deleted_together(session, together, MOST_AT_ONCE + 1) if together is not None else [task]
    if len(group) > MOST_AT_ONCE:
        raise TaskTreeTooLarge
    _check(scope, group)
    return group


async def restore(session: AsyncSession, platform: Platform, scope: WorkspaceScope, group: Sequence[Task]) -> None:
    """Back into sight, where they were."""
    now = platform.clock.now()
    for task in group:
        was, task.deleted_at, task.deleted_with = task.deleted_at, None, None
        task.version += 1
        task.updated_at = now
        await session.flush()
        await announce(session, platform, scope, task, RESTORED, [FieldChange("deletedAt", was, None)])


async def forget(session: AsyncSession, platform: Platform, limit: int) -> int:
    """Delete some tasks for good that nobody can restore any more, with all that hangs on them; returns how many."""
    before = platform.clock.now() - RESTORABLE_FOR
    going = await keeping.deleted_before(session, before, limit)
    files = FILES_AT_A_TIME
    while going and files == FILES_AT_A_TIME:
        files = await places.purge_of_tasks(session, platform, going, FILES_AT_A_TIME)
    gone = await keeping.erase_deleted(session, before, limit)
    await search.drop(session, kind=Kind.TASK, entity_ids=gone, with_children=True)
    return len(gone)


def _check(scope: WorkspaceScope, tasks: Sequence[Task]) -> None:
    if not all(rules.may_delete(scope.role, scope.user_id, one.created_by_user_id) for one in tasks):
        raise Forbidden(NOT_YOURS)
