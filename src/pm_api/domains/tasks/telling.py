"""Who is told of what happens to tasks, and who watches them from then on.

Nobody is told of what they did themselves or may not see (notifications see to both), and nobody twice of one thing:
who is named in a comment is told that, and not also that there is a comment.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.tasks.mentioning import as_read
from pm_api.domains.tasks.models import Task, TaskComment
from pm_api.domains.tasks.repository import telling as repository
from pm_api.domains.tasks.repository import ties

ASSIGNED: Final = "task.assigned"
DONE: Final = "task.done"
COMMENTED: Final = "task.commented"
MENTIONED: Final = "task.mentioned"
CREATED: Final = "created"
MOST_WATCHERS: Final = 200
TITLES_NAMED: Final = 3


async def told(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    action: str,
    *,
    assigned: Collection[UUID] = (),
    is_done: bool = False,
) -> None:
    """Tell of a task that was written, once its version counts the write: those it was assigned to by it, and its
    watchers when it has come to DONE by it. Who creates a task watches it, as does who it is assigned to.
    """
    await _watch(session, task, {*assigned, *([scope.user_id] if action == CREATED else ())})
    others = set(assigned) - {scope.user_id}
    if not others and not is_done:
        return
    key, actor = await repository.names_of(session, task, scope.user_id)
    if others:
        await _notify(
            session,
            platform,
            scope,
            task,
            others,
            type=ASSIGNED,
            dedup_key=f"{ASSIGNED}:{task.id}:{task.version}",
            title=f"{actor} assigned {key} to you",
            body=task.title,
            reason="The task was assigned to you.",
        )
    if is_done:
        await _notify(
            session,
            platform,
            scope,
            task,
            await _watching(session, task.id),
            type=DONE,
            dedup_key=f"{DONE}:{task.id}:{task.version}",
            title=f"{actor} finished {key}",
            body=task.title,
            reason="You watch this task.",
        )


async def told_of_new(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    tasks: Sequence[Task],
    assigned: Mapping[UUID, Collection[UUID]],
) -> None:
    """Tell of tasks of one project that were made together, in their order: each person once of all that they are to
    do of them, `assigned` by task.
    """
    theirs: dict[UUID, list[Task]] = defaultdict(list)
    for task in tasks:
        for user_id in assigned.get(task.id, ()):
            theirs[user_id].append(task)
    for user_id, found in sorted(theirs.items()):
        if user_id == scope.user_id:
            continue
        first = found[0]
        key, actor = await repository.names_of(session, first, scope.user_id)
        titles = [one.title for one in found[:TITLES_NAMED]]
        more = f" and {len(found) - len(titles)} more" if len(found) > len(titles) else ""
        await _notify(
            session,
            platform,
            scope,
            first,
            [user_id],
            type=ASSIGNED,
            dedup_key=f"{ASSIGNED}:{first.id}:{first.version}",
            title=f"{actor} assigned {key if len(found) == 1 else f'{len(found)} tasks'} to you",
            body=", ".join(titles) + more,
            reason="The task was assigned to you." if len(found) == 1 else "They were assigned to you.",
        )


async def told_of_comment(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    comment: TaskComment,
    mentioned: Collection[UUID],
    *,
    is_new: bool,
) -> None:
    """Tell those whom a comment names, and of a new one the other watchers; its author and they watch the task now.

    `mentioned` are people who see the task. One who was named before is not told again, however often it is edited.
    """
    watching = await _watching(session, task.id) if is_new else set()
    await _watch(session, task, {*mentioned, *([comment.author_user_id] if is_new else ())})
    named, others = set(mentioned) - {scope.user_id}, watching - set(mentioned) - {scope.user_id}
    if not named and not others:
        return
    key, actor = await repository.names_of(session, task, scope.user_id)
    for receivers, type, title, reason in (
        (named, MENTIONED, f"{actor} mentioned you in {key}", "You are named in a comment."),
        (others, COMMENTED, f"{actor} commented on {key}", "You watch this task."),
    ):
        await _notify(
            session,
            platform,
            scope,
            task,
            receivers,
            type=type,
            dedup_key=f"{type}:{comment.id}",
            title=title,
            body=as_read(comment.body),
            reason=reason,
            comment_id=comment.id,
        )


async def _watch(session: AsyncSession, task: Task, user_ids: set[UUID]) -> None:
    """As far as there is room; who finds none is told of this, and not of what follows."""
    if user_ids:
        room = MOST_WATCHERS - await ties.count_watchers(session, task.id)
        await ties.watch(session, task, sorted(user_ids)[: max(room, 0)])


async def _watching(session: AsyncSession, task_id: UUID) -> set[UUID]:
    return {user_id for user_id, _name in await ties.watchers(session, task_id)}


async def _notify(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task: Task,
    receivers: Collection[UUID],
    *,
    type: str,
    dedup_key: str,
    title: str,
    body: str,
    reason: str,
    comment_id: UUID | None = None,
) -> None:
    data: dict[str, Any] = {"taskId": str(task.id), "projectId": str(task.project_id)}
    link = f"/tasks/{task.id}"
    if comment_id is not None:
        data["commentId"] = str(comment_id)
        link = f"{link}?comment={comment_id}"
    everybody = sorted(set(receivers))
    for first in range(0, len(everybody), notifications.MOST_RECEIVERS):
        await notifications.notify(
            session,
            platform,
            user_ids=everybody[first : first + notifications.MOST_RECEIVERS],
            category=Category.TASKS,
            type=type,
            dedup_key=dedup_key,
            title=title,
            body=body,
            reason=reason,
            data=data,
            link=link,
            workspace_id=task.workspace_id,
            scope_id=task.scope_id,
            actor_user_id=scope.user_id,
        )
