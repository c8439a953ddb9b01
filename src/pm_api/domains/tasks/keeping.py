"""What tasks do for the projects they are in: count, change columns, be copied, and end with them."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import contents, copying, progress
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.contents import Content
from pm_api.domains.projects.copying import Copy
from pm_api.domains.projects.enums import FieldKind, StatusCategory
from pm_api.domains.search import service as search
from pm_api.domains.search.enums import Kind
from pm_api.domains.tasks import ordering
from pm_api.domains.tasks.announcing import CREATED, ENTITY, UPDATED
from pm_api.domains.tasks.models import ChecklistItem, Task, TaskDependency
from pm_api.domains.tasks.repository import keeping as repository
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.domains.tasks.repository.keeping import COPIED, ROWS_AT_A_TIME

KIND: Final = "tasks"


async def move_out(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, leaves: str, to: str
) -> int:
    """All tasks of one status to the end of another, in their order, deleted ones too. The project is locked."""
    moving = await repository.standing_in(session, project_id, leaves)
    if not moving:
        return 0
    now = platform.clock.now()
    last = await rows.last_board_key(session, project_id, to)
    keys = ordering.spread(last, None, len(moving))
    await repository.restate(
        session,
        [
            {"id": one.task_id, "status": to, "board_key": key, "version": one.version + 1, "updated_at": now}
            for one, key in zip(moving, keys, strict=True)
        ],
    )
    category = await repository.category(session, project_id, to)
    is_done = category == StatusCategory.DONE
    await repository.settle_completion(session, project_id, to, is_done=is_done, now=now)
    for one in moving:
        if not one.is_deleted:
            _note(session, platform, scope, one.task_id, one.scope_id, UPDATED, one.version + 1)
    return len(moving)


def _note(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    task_id: UUID,
    scope_id: UUID,
    action: str,
    version: int,
) -> None:
    changes.record(
        session,
        platform,
        workspace_id=scope.workspace_id,
        entity=ENTITY,
        entity_id=task_id,
        action=action,
        version=version,
        scope_id=scope_id,
        actor_user_id=scope.user_id,
    )


async def erase(session: AsyncSession, _platform: Platform, project_id: UUID, most: int) -> int:
    """Some tasks of a project that is deleted for good, with all that hangs on them."""
    return len(await repository.erase_of_project(session, project_id, most))


# --- copies --------------------------------------------------------------------------------------------------------


async def copy(session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: Copy) -> int:
    """The living tasks in their order, with labels, checklists and what blocks what among them; new numbers from one
    on. Who is to do them, how they come again, and what was said of them stays behind.
    """
    count = await repository.count_living(session, wanted.source.id)
    if count == 0:
        return 0
    number = await projects.next_number(session, wanted.target.id, count)
    people = {one.key for one in await projects.fields_of(session, wanted.source.id) if one.kind == FieldKind.USER}
    copies: dict[UUID, UUID] = {}
    parents: dict[UUID, UUID] = {}
    after = 0
    while True:
        stretch = await repository.living(session, wanted.source.id, after=after, limit=ROWS_AT_A_TIME)
        if not stretch:
            break
        made = []
        for task in stretch:
            copies[task.id] = platform.randomness.uuid()
            if task.parent_id is not None:
                parents[task.id] = task.parent_id
            made.append(_copied(platform, scope, wanted, task, copies[task.id], number, people))
            number += 1
        await repository.insert_tasks(session, made)
        among = {one.id: copies[one.id] for one in stretch}
        await repository.copy_labels(session, wanted.target.workspace_id, among, wanted.label_ids)
        await _copy_checklists(session, platform, wanted, among)
        for row in made:
            await _publish(session, platform, scope, row)
        after = stretch[-1].number
    links = [{"id": copies[one], "parent_id": copies[parent]} for one, parent in parents.items() if parent in copies]
    await repository.set_parents(session, links)
    await _copy_dependencies(session, platform, scope, wanted, copies)
    return len(copies)


def _copied(
    platform: Platform,
    scope: WorkspaceScope,
    wanted: Copy,
    task: Task,
    task_id: UUID,
    number: int,
    people: set[str],
) -> dict[str, Any]:
    now = platform.clock.now()
    return {
        **{name: getattr(task, name) for name in COPIED},
        "id": task_id,
        "workspace_id": wanted.target.workspace_id,
        "scope_id": wanted.target.scope_id,
        "project_id": wanted.target.id,
        "number": number,
        "fields": {name: value for name, value in task.fields.items() if name not in people},
        "created_by_user_id": scope.user_id,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


async def _publish(session: AsyncSession, platform: Platform, scope: WorkspaceScope, row: dict[str, Any]) -> None:
    _note(session, platform, scope, row["id"], row["scope_id"], CREATED, 1)
    await search.put(
        session,
        kind=Kind.TASK,
        entity_id=row["id"],
        workspace_id=row["workspace_id"],
        scope_id=row["scope_id"],
        project_id=row["project_id"],
        number=row["number"],
        title=row["title"],
        body=row["description"],
        updated_at=row["updated_at"],
    )


async def _copy_checklists(session: AsyncSession, platform: Platform, wanted: Copy, among: dict[UUID, UUID]) -> None:
    for item in await repository.checklists(session, among.keys()):
        session.add(
            ChecklistItem(
                id=platform.randomness.uuid(),
                workspace_id=wanted.target.workspace_id,
                scope_id=wanted.target.scope_id,
                task_id=among[item.task_id],
                content=item.content,
                is_done=item.is_done,
                position=item.position,
            )
        )
    await session.flush()


async def _copy_dependencies(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: Copy, copies: dict[UUID, UUID]
) -> None:
    for one in await repository.dependencies_within(session, wanted.source.id):
        session.add(
            TaskDependency(
                id=platform.randomness.uuid(),
                workspace_id=wanted.target.workspace_id,
                scope_id=wanted.target.scope_id,
                task_id=copies[one.task_id],
                other_task_id=copies[one.other_task_id],
                kind=one.kind,
                created_by_user_id=scope.user_id,
                created_at=platform.clock.now(),
            )
        )
    await session.flush()


progress.register(KIND, repository.progress)
copying.register(KIND, copy)
contents.register(
    Content(
        KIND,
        erase=erase,
        count_in=repository.count_in_status,
        move_out=move_out,
        forget_field=repository.forget_field,
    )
)
