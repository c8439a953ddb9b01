"""Moving a task to another place of its board. Whoever moves holds the project, so moves come one after the other."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks import ordering, rules
from pm_api.domains.tasks.announcing import MOVED
from pm_api.domains.tasks.errors.tasks import TaskNeighbourElsewhere
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository import columns
from pm_api.domains.tasks.repository import tasks as repository
from pm_api.domains.tasks.repository.columns import Spot
from pm_api.domains.tasks.schemas.tasks import TaskMove
from pm_api.domains.tasks.writing import apply

FIRST_STRETCH: Final = 32
GROWS_BY: Final = 8


async def move(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, task: Task, wanted: TaskMove
) -> bool:
    """Put a locked task before or after another, or at the end of a column; returns whether it was elsewhere.

    Raises TaskNeighbourElsewhere when the other one is not in the column that is named, and what `apply` raises.
    """
    if wanted.before is not None and wanted.after is not None:
        raise rules.refused("/before", "Not together with after")
    neighbour = await _neighbour(session, scope, task, wanted)
    status_key = wanted.status or (neighbour.status if neighbour is not None else task.status)
    if neighbour is not None and neighbour.status != status_key:
        raise TaskNeighbourElsewhere
    beside = Spot(neighbour.board_key, neighbour.id) if neighbour is not None else None
    if status_key == task.status and await _stands_there(session, task, beside, is_before=wanted.before is not None):
        return False
    key = await _key(session, task, status_key, beside, is_before=wanted.before is not None)
    return bool(await apply(session, platform, scope, task, {"status": status_key, "board_key": key}, action=MOVED))


async def _neighbour(session: AsyncSession, scope: WorkspaceScope, task: Task, wanted: TaskMove) -> Task | None:
    reference = wanted.before or wanted.after
    if reference is None:
        return None
    found = await repository.resolve(session, scope, reference)
    neighbour = await repository.task(session, scope, found) if found is not None else None
    pointer = "/before" if wanted.before is not None else "/after"
    if neighbour is None:
        raise rules.refused(pointer, "Is no task that you see")
    if neighbour.id == task.id:
        raise rules.refused(pointer, "Is the task itself")
    if neighbour.project_id != task.project_id:
        raise TaskNeighbourElsewhere
    return neighbour


async def _stands_there(session: AsyncSession, task: Task, beside: Spot | None, *, is_before: bool) -> bool:
    own = Spot(task.board_key, task.id)
    around = columns.spots_after if is_before or beside is None else columns.spots_before
    found = await around(session, task.project_id, task.status, own, 1)
    return found[:1] == [beside] if beside is not None else not found


async def _key(session: AsyncSession, task: Task, status_key: str, beside: Spot | None, *, is_before: bool) -> str:
    """A key for the place, which is made room for when there is none left."""
    low, high = await _gap(session, task, status_key, beside, is_before=is_before)
    if _has_room(low, high):
        return ordering.between(low and low.board_key, high and high.board_key)
    around = low or high
    assert around is not None, "an empty column has room"
    await make_room(session, task.project_id, status_key, around, but=task.id)
    if beside is not None:
        beside = Spot(await columns.key_of(session, beside.task_id), beside.task_id)
    low, high = await _gap(session, task, status_key, beside, is_before=is_before)
    return ordering.between(low and low.board_key, high and high.board_key)


async def _gap(
    session: AsyncSession, task: Task, status_key: str, beside: Spot | None, *, is_before: bool
) -> tuple[Spot | None, Spot | None]:
    """What it will stand between; the task itself does not count."""
    where = (session, task.project_id, status_key)
    if beside is None:
        return await columns.last_spot(*where, but=task.id), None
    if is_before:
        found = await columns.spots_before(*where, beside, 1, but=task.id)
        return (found[0] if found else None), beside
    found = await columns.spots_after(*where, beside, 1, but=task.id)
    return beside, (found[0] if found else None)


def _has_room(low: Spot | None, high: Spot | None) -> bool:
    if low is not None and high is not None and low.board_key >= high.board_key:
        return False  # written at the same moment, before either saw the other
    return len(ordering.between(low and low.board_key, high and high.board_key)) <= ordering.LONGEST


async def make_room(
    session: AsyncSession, project_id: UUID, status_key: str, around: Spot, *, but: UUID | None = None
) -> None:
    """Write a stretch of a column anew with short keys: a small one first, a larger one while there is no room, and
    the whole column in the end, where there always is.
    """
    size = FIRST_STRETCH
    while True:
        before = await columns.spots_before(session, project_id, status_key, around, size + 1, but=but)
        after = await columns.spots_after(session, project_id, status_key, around, size + 1, but=but)
        low = before[0] if len(before) > size else None
        high = after[-1] if len(after) > size else None
        stretch = [*(before[1:] if low else before), around, *(after[:-1] if high else after)]
        keys = _spread(low, high, len(stretch))
        if keys is not None:
            await columns.rewrite(session, {one.task_id: key for one, key in zip(stretch, keys, strict=True)})
            return
        size *= GROWS_BY


def _spread(low: Spot | None, high: Spot | None, count: int) -> list[str] | None:
    """Keys for a stretch; None when they would not be short. A whole column begins anew."""
    if low is None and high is None:
        return ordering.spread(None, None, count)
    if low is not None and high is not None and low.board_key >= high.board_key:
        return None
    keys = ordering.spread(low and low.board_key, high and high.board_key, count)
    return keys if max(map(len, keys)) <= ordering.ROOMY else None
