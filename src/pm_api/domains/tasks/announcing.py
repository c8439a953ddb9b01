"""What follows every change of a task, in its transaction: the log, the feed, the event, search, who is told."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import acting
from pm_api.core.actor import WorkspaceScope
from pm_api.core.events import emit, event_id
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.search import service as search
from pm_api.domains.search.documents import Document
from pm_api.domains.search.enums import Kind
from pm_api.domains.tasks import activity, telling
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.events import TaskChanged
from pm_api.domains.tasks.models import Task

ENTITY: Final = "task"
CREATED, UPDATED, MOVED, DELETED, RESTORED = "created", "updated", "moved", "deleted", "restored"
FOUND_BY: Final = frozenset({"title", "description"})


async def announce(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    action: str,
    made: Sequence[FieldChange],
    *,
    assigned: Collection[UUID] = (),
    is_done: bool = False,
) -> None:
    """The task is written already, with its new version. `assigned` are those who were not its assignees before;
    `is_done` says that it has just been finished.
    """
    await _note(session, platform, scope, task, action, made)
    if action in (CREATED, RESTORED) or FOUND_BY & {one.field for one in made}:
        await search.put_all(session, [_document(task)])
    elif action == DELETED:
        await search.drop(session, kind=Kind.TASK, entity_ids=[task.id])
    await telling.told(session, platform, scope, task, action, assigned=assigned, is_done=is_done)


async def announce_new(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    made: Mapping[UUID, Sequence[FieldChange]],
    tasks: Sequence[Task],
    assigned: Mapping[UUID, Collection[UUID]],
) -> None:
    """The same of many tasks of one project that were made together; `made` and `assigned` are by task. Who watches
    them is written already.
    """
    for task in tasks:
        await _note(session, platform, scope, task, CREATED, made[task.id])
    await search.put_all(session, [_document(one) for one in tasks])
    await telling.told_of_new(session, platform, scope, tasks, assigned)


async def _note(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    action: str,
    made: Sequence[FieldChange],
) -> None:
    """In its log, in the feed, and to the floors above."""
    activity.record(session, platform, scope, task, action, made)
    changes.record(
        session,
        platform,
        workspace_id=task.workspace_id,
        entity=ENTITY,
        entity_id=task.id,
        action=action,
        version=task.version,
        scope_id=task.scope_id,
        actor_user_id=scope.user_id,
    )
    await emit(
        session,
        TaskChanged(
            id=event_id(platform.randomness),
            task_id=task.id,
            project_id=task.project_id,
            workspace_id=task.workspace_id,
            scope_id=task.scope_id,
            action=action,
            actor_user_id=scope.user_id,
            actor_key_id=acting.key_id(),
            fields=[one.field for one in made],
        ),
    )


def _document(task: Task) -> Document:
    return Document(
        kind=Kind.TASK,
        entity_id=task.id,
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        project_id=task.project_id,
        number=task.number,
        title=task.title,
        body=task.description,
        updated_at=task.updated_at,
    )
