"""Rules of dependencies: which task waits for which, and that none waits for itself."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.tasks import activity, rules, touching
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.errors.planning import (
    DependencyCycle,
    DependencyExists,
    DependencyNotFound,
    DependencyOnItself,
    TooManyDependencies,
)
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import Task, TaskDependency
from pm_api.domains.tasks.repository import dependencies as repository
from pm_api.domains.tasks.repository import tasks
from pm_api.domains.tasks.repository.dependencies import Link
from pm_api.domains.tasks.schemas.dependencies import (
    DependenciesAnswer,
    DependencyCreate,
    DependencyKind,
    DependencyRead,
    LinkedTask,
    NewDependencyKind,
)
from pm_api.domains.tasks.schemas.tasks import PersonShown
from pm_api.identity import pictures
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.permissions import allows
from pm_api.identity.repository import circles

ENTITY: Final = "task_dependency"
MOST_OF_A_TASK: Final = 100
MOST_LINKS: Final = 10_000
SEEN_FROM_THE_OTHER: Final = {
    DependencyKind.BLOCKS: DependencyKind.BLOCKED_BY,
    DependencyKind.RELATES: DependencyKind.RELATES,
    DependencyKind.DUPLICATES: DependencyKind.DUPLICATED_BY,
}
FIELDS: Final = {
    DependencyKind.BLOCKS: "blocks",
    DependencyKind.BLOCKED_BY: "blockedBy",
    DependencyKind.RELATES: "relates",
    DependencyKind.DUPLICATES: "duplicates",
    DependencyKind.DUPLICATED_BY: "duplicatedBy",
}


async def create(
    session: AsyncSession, platform: Platform, at: TaskScope, wanted: DependencyCreate
) -> DependencyRead:
    """Link a task to another that the caller sees.

    Raises TaskNotFound, ProjectArchived, Forbidden, DependencyOnItself, DependencyExists, TooManyDependencies, and
    DependencyCycle for a task that would wait for itself.
    """
    await repository.hold(session, at.scope.workspace_id)
    other_id = await tasks.resolve(session, at.scope, wanted.other_task_id)
    if other_id is None:
        raise TaskNotFound
    if other_id == at.task_id:
        raise DependencyOnItself
    task = await touching.to_edit(session, at)
    held = {one.id: one for one in await tasks.locked(session, at.scope, [at.task_id, other_id])}
    if len(held) < 2:
        raise TaskNotFound
    other = held[other_id]
    await projects.ensure_writable(session, other.project_id)
    await _ensure_writes_there(session, at, other)
    first, second = (other, task) if wanted.kind is NewDependencyKind.BLOCKED_BY else (task, other)
    kind = DependencyKind.BLOCKS if wanted.kind is NewDependencyKind.BLOCKED_BY else DependencyKind(wanted.kind)
    await _ensure_new(session, at, first, second, kind)
    made = TaskDependency(
        id=platform.randomness.uuid(),
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        task_id=first.id,
        other_task_id=second.id,
        kind=kind,
        created_by_user_id=at.scope.user_id,
        created_at=platform.clock.now(),
    )
    await repository.put(session, made)
    await _told(session, platform, at, made, held, is_new=True)
    return await get(session, platform, at, made.id)


async def list_of(session: AsyncSession, platform: Platform, at: TaskScope, page: PageRequest) -> DependenciesAnswer:
    """A page, oldest first, in both directions."""
    key = platform.cursors.decode(page.cursor, of="task_dependencies", task=at.task_id)
    rows = await repository.page(
        session, at.scope, at.task_id, after=UUID(key[0]) if key else None, limit=page.limit + 1
    )
    shown = rows[: page.limit]
    following = (shown[-1].dependency.id,) if len(rows) > page.limit else None
    dependencies = [_read(one, at.task_id) for one in shown]
    await pictures.put_in(session, platform, [one.created_by for one in dependencies])
    return DependenciesAnswer(
        dependencies=dependencies,
        next_cursor=platform.cursors.encode(following, of="task_dependencies", task=at.task_id),
    )


async def get(session: AsyncSession, platform: Platform, at: TaskScope, dependency_id: UUID) -> DependencyRead:
    """Raises DependencyNotFound."""
    found = await repository.link(session, at.scope, at.task_id, dependency_id)
    if found is None:
        raise DependencyNotFound
    read = _read(found, at.task_id)
    await pictures.put_in(session, platform, [read.created_by])
    return read


async def delete(session: AsyncSession, platform: Platform, at: TaskScope, dependency_id: UUID) -> None:
    """From either of the two tasks; raises TaskNotFound, ProjectArchived, Forbidden and DependencyNotFound."""
    await repository.hold(session, at.scope.workspace_id)
    task = await touching.to_edit(session, at)
    found = await repository.link(session, at.scope, task.id, dependency_id)
    if found is None or not await repository.remove(session, dependency_id):
        raise DependencyNotFound
    both = {task.id: task, found.task.id: found.task}
    await _told(session, platform, at, found.dependency, both, is_new=False)


async def _ensure_writes_there(session: AsyncSession, at: TaskScope, other: Task) -> None:
    """A link changes the other task too: it may wait from then on, and its log says so. Raises Forbidden."""
    if other.scope_id == at.scope_id:
        return
    role = (await circles.roles_in_scopes(session, at.scope.user_id, [other.scope_id])).get(other.scope_id)
    if role is None:
        raise TaskNotFound
    if not allows(role, rules.WRITE):
        raise role_lacks(role, rules.WRITE)


async def _ensure_new(session: AsyncSession, at: TaskScope, first: Task, second: Task, kind: DependencyKind) -> None:
    both_ways = kind is not DependencyKind.BLOCKS  # the other way round that one is a circle, and told as one
    if await repository.exists_already(session, first.id, second.id, kind, both_ways=both_ways):
        raise DependencyExists
    for one in (first, second):
        if await repository.count_of(session, one.id) >= MOST_OF_A_TASK:
            raise TooManyDependencies
    if kind is DependencyKind.BLOCKS:
        links = await repository.blocked_from(session, at.scope.workspace_id, second.id, MOST_LINKS + 1)
        if len(links) > MOST_LINKS:
            raise TooManyDependencies
        way = way_back(links, second.id, first.id)
        if way:
            path = [first.id, *way]
            keys = await repository.keys_of(session, at.scope, path)
            shown = " → ".join(keys.get(one, "…") for one in path)
            raise DependencyCycle(f"They would wait for each other: {shown}.", path=[keys.get(one) for one in path])


def way_back(links: Sequence[tuple[UUID, UUID]], start: UUID, goal: UUID) -> list[UUID]:
    """A shortest way along links from one task to another, both told; empty when there is none. Pure."""
    onward: dict[UUID, list[UUID]] = {}
    for one, following in links:
        onward.setdefault(one, []).append(following)
    came_from: dict[UUID, UUID | None] = {start: None}
    row = [start]
    while row and goal not in came_from:
        further = []
        for one in row:
            for following in onward.get(one, ()):
                if following not in came_from:
                    came_from[following] = one
                    further.append(following)
        row = further
    way: list[UUID] = []
    place: UUID | None = goal if goal in came_from else None
    while place is not None:
        way.append(place)
        place = came_from[place]
    return way[::-1]


async def _told(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    made: TaskDependency,
    both: dict[UUID, Task],
    *,
    is_new: bool,
) -> None:
    """In the logs of both tasks, and to those who see either."""
    kind = DependencyKind(made.kind)
    told: set[UUID] = set()
    for one, other, seen_as in (
        (both[made.task_id], both[made.other_task_id], kind),
        (both[made.other_task_id], both[made.task_id], SEEN_FROM_THE_OTHER[kind]),
    ):
        old, new = (None, other.id) if is_new else (other.id, None)
        action = "dependency_added" if is_new else "dependency_removed"
        activity.record(session, platform, at.scope, one, action, [FieldChange(FIELDS[seen_as], old, new)])
        if one.scope_id not in told:
            told.add(one.scope_id)
            done = ("created", 1) if is_new else ("deleted", 2)
            touching.changed(session, platform, at.scope, one, ENTITY, made.id, *done)


def _read(link: Link, task_id: UUID) -> DependencyRead:
    kind = DependencyKind(link.dependency.kind)
    if link.dependency.task_id != task_id:
        kind = SEEN_FROM_THE_OTHER[kind]
    return DependencyRead(
        id=link.dependency.id,
        kind=kind,
        task=LinkedTask(
            id=link.task.id,
            key=f"{link.project_key}-{link.task.number}",
            project_id=link.task.project_id,
            title=link.task.title,
            status=link.task.status,
            status_category=StatusCategory(link.status_category),
        ),
        created_by=PersonShown(id=link.dependency.created_by_user_id, name=link.creator_name),
        created_at=link.dependency.created_at,
    )
