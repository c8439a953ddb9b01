"""Files of tasks and projects: who may put some there, and what becomes of them when their place goes.

Whoever writes tasks somewhere and may write files there attaches; taking off is the uploader's, or whoever's who
manages files there. A copy of a task or a project has none of its files.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.projects import contents
from pm_api.domains.projects import service as projects
from pm_api.domains.projects.contents import Content
from pm_api.domains.storage import destinations, places
from pm_api.domains.storage import service as storage
from pm_api.domains.storage.destinations import Destination, Passage
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.files import FileNotFound
from pm_api.domains.storage.errors.places import NotAPlaceForFiles, PlaceNotFound
from pm_api.domains.storage.schemas.files import FileRead
from pm_api.domains.tasks import activity, touching
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.repository import attaching as repository
from pm_api.domains.tasks.repository import tasks as rows
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.permissions import allows
from pm_api.identity.repository import circles

WRITE: Final = "file.write"
FIELD: Final = "attachment"


async def attach(session: AsyncSession, platform: Platform, at: TaskScope, file_id: UUID) -> FileRead:
    """Put a file on a task; one that is there stays. Raises TaskNotFound, ProjectArchived, Forbidden,
    TooManyFilesHere, and what `storage.claim` refuses.
    """
    task = await touching.to_add(session, at)
    place = await check_task(session, platform, at.scope, task_id=task.id, project_id=None)
    return await storage.claim(session, platform, at.scope, file_id, place)


async def attachments(session: AsyncSession, platform: Platform, at: TaskScope) -> list[FileRead]:
    """What is attached to a task, oldest first; raises TaskNotFound."""
    task = await touching.read(session, at)
    return (await storage.files_of_tasks(session, platform, at.scope, [task.id])).get(task.id, [])


async def detach(session: AsyncSession, platform: Platform, at: TaskScope, file_id: UUID) -> None:
    """Take a file off its task, into the trash. Raises TaskNotFound, ProjectArchived, FileNotFound, and what
    `storage.trash_one` refuses.
    """
    task = await touching.to_add(session, at)
    if not await storage.is_on_task(session, at.scope, task.id, file_id):
        raise FileNotFound
    await storage.trash_one(session, platform, at.scope, file_id)


async def note(session: AsyncSession, platform: Platform, passage: Passage) -> None:
    """A task's history tells of its attachments, whichever way they came or went."""
    task = await repository.task_with(session, passage.task_id) if passage.task_id is not None else None
    if task is None:
        return
    form = {"id": str(passage.file_id), "name": passage.original_name}
    action = "attachment_added" if passage.has_come else "attachment_removed"
    change = FieldChange(FIELD, None, form) if passage.has_come else FieldChange(FIELD, form, None)
    activity.record_of(session, platform, task, action, [change], actor_user_id=passage.actor_user_id)


# --- places --------------------------------------------------------------------------------------------------------


async def check_task(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, task_id: UUID | None, project_id: UUID | None
) -> Destination:
    """A task of a living project that takes changes."""
    del platform
    if task_id is None:
        raise NotAPlaceForFiles("A TASK_ATTACHMENT needs a taskId.")
    task = await rows.task(session, scope, task_id) if isinstance(scope, WorkspaceScope) else None
    if task is None or project_id not in (None, task.project_id):
        raise PlaceNotFound
    await _ensure_may_write(session, scope, task.scope_id)
    await projects.ensure_writable(session, task.project_id)
    return Destination(task.scope_id, task.id, task.project_id)


async def ensure_open(session: AsyncSession, place: Destination) -> None:
    """Raises ProjectArchived. A task stays in its project, which its files name with it."""
    if place.project_id is not None:
        await projects.ensure_writable(session, place.project_id)


async def closed(session: AsyncSession, places: Collection[Destination]) -> set[Destination]:
    """Those in archived projects."""
    archived = await projects.archived_among(
        session, {one.project_id for one in places if one.project_id is not None}
    )
    return {one for one in places if one.project_id in archived}


async def check_project(
    session: AsyncSession, platform: Platform, scope: AccountScope, *, task_id: UUID | None, project_id: UUID | None
) -> Destination:
    """A living project that takes changes."""
    del platform
    if project_id is None or task_id is not None:
        raise NotAPlaceForFiles("A PROJECT_ASSET needs a projectId, and no taskId.")
    scope_id = await repository.scope_of_project(session, scope, project_id)
    if scope_id is None:
        raise PlaceNotFound
    await _ensure_may_write(session, scope, scope_id)
    await projects.ensure_writable(session, project_id)
    return Destination(scope_id, None, project_id)


async def _ensure_may_write(session: AsyncSession, scope: AccountScope, scope_id: UUID) -> None:
    """By the role there: it may be less, or more, than the one in the workspace. Raises PlaceNotFound, Forbidden."""
    role = (await circles.roles_in_scopes(session, scope.user_id, {scope_id})).get(scope_id)
    if role is None:
        raise PlaceNotFound
    if not allows(role, WRITE):
        raise role_lacks(role, WRITE)


# --- ends ----------------------------------------------------------------------------------------------------------


async def erase(session: AsyncSession, platform: Platform, project_id: UUID, most: int) -> int:
    """Some files of a project that goes for good, and of its tasks."""
    scope_id = await repository.scope_of_any_project(session, project_id)
    return await places.purge_of_scope(session, platform, scope_id, most) if scope_id is not None else 0


destinations.register(FileType.TASK_ATTACHMENT, check_task, listener=note, gate=ensure_open, look=closed)
destinations.register(FileType.PROJECT_ASSET, check_project, gate=ensure_open, look=closed)
# Before the tasks, and in transactions of their own: counters are held before the rows they count.
contents.register(Content("files", erase=erase, order=-1))
