"""What of tasks is somebody's: those they are to do, handed over or nobody's when they leave, and what they made."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import Stretch, contributes, hands_out, keeps_back, wire_form
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.tasks.announcing import ENTITY, UPDATED
from pm_api.domains.tasks.models import SavedView, Task, TaskAssignee, TaskUndo, TaskWatcher
from pm_api.domains.tasks.repository import keeping as repository
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.identity.belongings import Belonging, Leaver, register

AT_A_TIME: Final = 200
INNER: Final = frozenset({"board_key", "due_by"})
"""Columns that tell nobody anything."""


async def _count(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_assigned(session, leaver.workspace_id, leaver.user_id)


async def _hand_over(session: AsyncSession, platform: Platform, leaver: Leaver, to_user_id: UUID) -> int:
    """Those that the heir sees are theirs to do now."""
    return await _pass_on(session, platform, leaver, to_user_id)


async def _settle(session: AsyncSession, platform: Platform, leaver: Leaver) -> None:
    """What nobody took over is nobody's, and the person watches nothing any more."""
    await _pass_on(session, platform, leaver, None)
    await repository.stop_watching(session, leaver.workspace_id, leaver.user_id)


async def _pass_on(session: AsyncSession, platform: Platform, leaver: Leaver, heir_id: UUID | None) -> int:
    """Under the workspace's lock; then all projects by id, so that no task changes meanwhile."""
    where = (session, leaver.workspace_id, leaver.user_id)
    await rows.lock_projects(session, await repository.projects_assigned_in(*where))
    now, passed, after = platform.clock.now(), 0, None
    sees: dict[UUID, bool] = {}
    while True:
        stretch = await repository.assigned(*where, after=after, limit=AT_A_TIME)
        for scope_id in {one.scope_id for one in stretch} - sees.keys():
            sees[scope_id] = heir_id is None or bool(await rows.who_sees(session, scope_id, [heir_id]))
        theirs = [one for one in stretch if sees[one.scope_id]]
        await repository.take_over(session, theirs, leaver.user_id, heir_id, now)
        for task in theirs:
            task.version += 1
            task.updated_at = now
            passed += task.deleted_at is None
            changes.record(
                session,
                platform,
                workspace_id=task.workspace_id,
                entity=ENTITY,
                entity_id=task.id,
                action=UPDATED,
                version=task.version,
                scope_id=task.scope_id,
                actor_user_id=leaver.actor.user_id,
            )
        await session.flush()
        if len(stretch) < AT_A_TIME:
            return passed
        after = stretch[-1].id


register(
    Belonging(
        kind="tasks",
        stays="They are assigned to nobody else, and stay where they are.",
        count=_count,
        hand_over=_hand_over,
        settle=_settle,
    )
)


@contributes("tasks/tasks.json", "Tasks you made and still see; of the others that you made them.", Task)
async def tasks_made(session: AsyncSession, person_id: UUID, after: Any, limit: int) -> Stretch:
    """What was made private without them since is not theirs to read any more: others wrote on."""
    made = await rows.made_by(session, person_id, after=after, limit=limit)
    seen = await rows.seen_among(session, person_id, [one.id for one in made])
    told = [
        wire_form(
            {column.key: getattr(one, column.key) for column in Task.__table__.columns if column.key not in INNER}
            if one.id in seen
            else {"id": one.id, "workspace_id": one.workspace_id, "created_at": one.created_at}
        )
        for one in made
    ]
    return Stretch(told, made[-1].id if len(made) == limit else None)


hands_out(TaskAssignee, "tasks/assigned.json", "Tasks that are assigned to you.")
hands_out(TaskWatcher, "tasks/watched.json", "Tasks you watch.")
hands_out(SavedView, "tasks/saved-views.json", "Views you saved.", of="owner_user_id")
keeps_back(TaskUndo, "what a change of the last minutes was made of; the tasks themselves say what it was")
