"""Rules of checklists: what hangs on a task in small, in an order of its own."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.tasks import activity, touching
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.errors.talk import ChecklistItemNotFound, InvalidChecklistOrder, TooManyChecklistItems
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.models import ChecklistItem, Task
from pm_api.domains.tasks.repository import checklists as repository
from pm_api.domains.tasks.schemas.checklists import (
    MOST_ITEMS,
    ChecklistAnswer,
    ChecklistItemCreate,
    ChecklistItemRead,
    ChecklistItemUpdate,
)

ENTITY: Final = "checklist_item"
FIELD: Final = "checklist"


async def add(
    session: AsyncSession, platform: Platform, at: TaskScope, wanted: ChecklistItemCreate
) -> ChecklistItemRead:
    """One more, at the end; raises TaskNotFound, ProjectArchived, Forbidden and TooManyChecklistItems."""
    task = await touching.to_edit(session, at)
    await repository.hold(session, task.id)
    count, last = await repository.length(session, task.id)
    if count >= MOST_ITEMS:
        raise TooManyChecklistItems
    item = ChecklistItem(
        id=platform.randomness.uuid(),
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        task_id=task.id,
        content=wanted.content,
        is_done=wanted.is_done,
        position=last + 1,
        version=1,
    )
    session.add(item)
    await session.flush()
    _told(session, platform, at, task, item, "created", FieldChange(FIELD, None, _form(item)))
    return _read(item)


async def list_of(session: AsyncSession, platform: Platform, at: TaskScope, page: PageRequest) -> ChecklistAnswer:
    """A page, in its order."""
    key = platform.cursors.decode(page.cursor, of="checklist", task=at.task_id)
    after = (int(key[0]), UUID(key[1])) if key else None
    rows = await repository.page(session, at.task_id, after=after, limit=page.limit + 1)
    shown = rows[: page.limit]
    following = (shown[-1].position, shown[-1].id) if len(rows) > page.limit else None
    return ChecklistAnswer(
        items=[_read(one) for one in shown],
        next_cursor=platform.cursors.encode(following, of="checklist", task=at.task_id),
    )


async def get(session: AsyncSession, at: TaskScope, item_id: UUID) -> ChecklistItemRead:
    """Raises ChecklistItemNotFound."""
    item = await repository.item(session, at.task_id, item_id)
    if item is None:
        raise ChecklistItemNotFound
    return _read(item)


async def update(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    item_id: UUID,
    wanted: ChecklistItemUpdate,
    expected_version: int | None,
) -> ChecklistItemRead:
    """Only what was sent: who ticks a thing off takes nobody's words back.

    Raises TaskNotFound, ProjectArchived, Forbidden, ChecklistItemNotFound and PreconditionFailed.
    """
    task, item = await _to_change(session, at, item_id, expected_version)
    before = _form(item)
    if wanted.content is not None:
        item.content = wanted.content
    if wanted.is_done is not None:
        item.is_done = wanted.is_done
    if _form(item) != before:
        item.version += 1
        await session.flush()
        _told(session, platform, at, task, item, "updated", FieldChange(FIELD, before, _form(item)))
    return _read(item)


async def remove(
    session: AsyncSession, platform: Platform, at: TaskScope, item_id: UUID, expected_version: int | None
) -> None:
    """Take it off the checklist; raises what `update` does."""
    task, item = await _to_change(session, at, item_id, expected_version)
    await session.delete(item)
    await session.flush()
    _told(session, platform, at, task, item, "deleted", FieldChange(FIELD, _form(item), None), later=1)


async def reorder(session: AsyncSession, platform: Platform, at: TaskScope, item_ids: list[UUID]) -> ChecklistAnswer:
    """The named ones first, the others after them as they stood. What somebody adds meanwhile comes last.

    Raises TaskNotFound, ProjectArchived, Forbidden and InvalidChecklistOrder.
    """
    task = await touching.to_edit(session, at)
    await repository.hold(session, task.id)
    items = {one.id: one for one in await repository.lock_all(session, task.id)}
    if len(set(item_ids)) < len(item_ids) or not set(item_ids) <= set(items):
        raise InvalidChecklistOrder
    stood = sorted(items.values(), key=lambda one: (one.position, one.id))
    named = set(item_ids)
    order = [*(items[one] for one in item_ids), *(one for one in stood if one.id not in named)]
    if order != stood:
        for position, item in enumerate(order):
            item.position = position
        await session.flush()
        touching.changed(session, platform, at.scope, task, "task", task.id, "checklist_reordered", task.version)
    return ChecklistAnswer(items=[_read(one) for one in order], next_cursor=None)


async def _to_change(
    session: AsyncSession, at: TaskScope, item_id: UUID, expected_version: int | None
) -> tuple[Task, ChecklistItem]:
    task = await touching.to_edit(session, at)
    item = await repository.lock(session, task.id, item_id)
    if item is None:
        raise ChecklistItemNotFound
    check_version(item.version, expected_version)
    return task, item


def _told(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    task: Task,
    item: ChecklistItem,
    action: str,
    change: FieldChange,
    later: int = 0,
) -> None:
    touching.changed(session, platform, at.scope, task, ENTITY, item.id, action, item.version + later)
    activity.record(session, platform, at.scope, task, f"checklist_item_{action}", [change])


def _form(item: ChecklistItem) -> dict[str, object]:
    return {"content": item.content, "isDone": item.is_done}


def _read(item: ChecklistItem) -> ChecklistItemRead:
    return ChecklistItemRead.model_validate(item)
