"""The workflow of a project. It is changed under the project's lock, so that it keeps a beginning and an end."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound, ValidationFailed
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import contents, holding, rules
from pm_api.domains.projects.enums import StatusCategory
from pm_api.domains.projects.errors import (
    InvalidStatusOrder,
    LastStatusOfItsKind,
    StatusInUse,
    StatusKeyTaken,
    TooManyStatuses,
)
from pm_api.domains.projects.models import Project, ProjectStatus
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository import workflow
from pm_api.domains.projects.schemas.workflow import ProjectStatusCreate, ProjectStatusRead, ProjectStatusUpdate


async def list_of(session: AsyncSession, scope: WorkspaceScope, project_id: UUID) -> list[ProjectStatusRead]:
    """The whole workflow, in the order of the board; raises NotFound."""
    if await repository.project(session, scope, project_id) is None:
        raise NotFound
    return [read(one) for one in await workflow.statuses(session, project_id)]


async def get(session: AsyncSession, scope: WorkspaceScope, project_id: UUID, status_id: UUID) -> ProjectStatusRead:
    """One of them; raises NotFound."""
    for one in await list_of(session, scope, project_id):
        if one.id == status_id:
            return one
    raise NotFound


async def create(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    wanted: ProjectStatusCreate,
) -> ProjectStatusRead:
    """One more step, the last. Raises NotFound, Forbidden, ProjectArchived, TooManyStatuses or StatusKeyTaken."""
    project = await holding.hold(session, scope, project_id)
    present = await workflow.statuses(session, project_id)
    if len(present) >= rules.MOST_STATUSES:
        raise TooManyStatuses
    taken = {one.key for one in present}
    if wanted.key in taken:
        raise StatusKeyTaken
    made = ProjectStatus(
        id=platform.randomness.uuid(),
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        project_id=project.id,
        key=wanted.key or rules.word_key_of(wanted.name, taken),
        name=wanted.name,
        category=wanted.category,
        colour=wanted.colour,
        position=max((one.position for one in present), default=-1) + 1,
        version=1,
    )
    session.add(made)
    await session.flush()
    _tell(session, platform, scope, made, "created")
    return read(made)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    status_id: UUID,
    change: ProjectStatusUpdate,
    expected_version: int | None,
) -> ProjectStatusRead:
    """Change the fields sent. Raises NotFound, Forbidden, ProjectArchived, PreconditionFailed, LastStatusOfItsKind,
    or StatusInUse for another category while tasks stand there: it tells which of them are done.
    """
    _, present, status = await _held(session, scope, project_id, status_id)
    check_version(status.version, expected_version)
    sent = change.model_dump(exclude_unset=True)
    changed = {name: value for name, value in sent.items() if getattr(status, name) != value}
    if not changed:
        return read(status)
    if "category" in changed:
        _keep_both_ends(present, status)
        if await contents.count_in_status(session, project_id, status.key):
            raise StatusInUse("There are tasks in this status, so it keeps its category. Move them first.")
    for name, value in changed.items():
        setattr(status, name, value)
    status.version += 1
    await session.flush()
    _tell(session, platform, scope, status, "updated")
    return read(status)


async def order(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, keys: Sequence[str]
) -> list[ProjectStatusRead]:
    """The columns in another order. Raises NotFound, Forbidden, ProjectArchived or InvalidStatusOrder."""
    await holding.hold(session, scope, project_id)
    present = {one.key: one for one in await workflow.statuses(session, project_id)}
    if len(keys) != len(present) or set(keys) != set(present):
        raise InvalidStatusOrder
    for position, key in enumerate(keys):
        status = present[key]
        if status.position != position:
            status.position = position
            status.version += 1
            _tell(session, platform, scope, status, "updated")
    await session.flush()
    return [read(present[key]) for key in keys]


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    status_id: UUID,
    expected_version: int | None,
    *,
    move_to: str | None,
) -> None:
    """Take a step out of the workflow; its tasks go on in the status `move_to`. Raises NotFound, Forbidden,
    ProjectArchived, PreconditionFailed, LastStatusOfItsKind, StatusInUse or ValidationFailed.
    """
    project, present, status = await _held(session, scope, project_id, status_id)
    check_version(status.version, expected_version)
    _keep_both_ends(present, status)
    if move_to is not None and move_to not in {one.key for one in present if one is not status}:
        raise ValidationFailed(
            "moveTo is no other status of this project",
            details=[{"pointer": "/moveTo", "detail": "Must be the key of another status of the project"}],
        )
    # Whoever is just putting a task there is waited for, and who comes later finds the status gone.
    await workflow.lock_status(session, status.id)
    if await contents.count_in_status(session, project_id, status.key):
        if move_to is None:
            raise StatusInUse
        await contents.move_out(session, platform, scope, project.id, leaves=status.key, to=move_to)
    await session.delete(status)
    await session.flush()
    _tell(session, platform, scope, status, "deleted")


async def _held(
    session: AsyncSession, scope: WorkspaceScope, project_id: UUID, status_id: UUID
) -> tuple[Project, Sequence[ProjectStatus], ProjectStatus]:
    project = await holding.hold(session, scope, project_id)
    present = await workflow.statuses(session, project_id)
    for one in present:
        if one.id == status_id:
            return project, present, one
    raise NotFound


def _keep_both_ends(present: Sequence[ProjectStatus], leaving: ProjectStatus) -> None:
    """Raises LastStatusOfItsKind when its category would have no status any more, and has to have one."""
    if leaving.category in rules.KEPT_CATEGORIES and not any(
        one.category == leaving.category for one in present if one is not leaving
    ):
        raise LastStatusOfItsKind


def _tell(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, status: ProjectStatus, action: str
) -> None:
    changes.record(
        session,
        platform,
        workspace_id=status.workspace_id,
        scope_id=status.scope_id,
        entity="project_status",
        entity_id=status.id,
        action=action,
        version=status.version,
        actor_user_id=scope.user_id,
    )


def read(status: ProjectStatus) -> ProjectStatusRead:
    return ProjectStatusRead(
        id=status.id,
        project_id=status.project_id,
        key=status.key,
        name=status.name,
        category=StatusCategory(status.category),
        colour=status.colour,
        position=status.position,
        version=status.version,
    )
