"""What becomes of a project: its fields, the steps of its life, deletion and restoration."""

from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import ValidationFailed
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.projects import holding, making, rules
from pm_api.domains.projects.enums import ProjectRole, ProjectState
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.projects.models import Project
from pm_api.domains.projects.reading import read
from pm_api.domains.projects.schemas.projects import ProjectRead, ProjectUpdate
from pm_api.domains.search import service as search
from pm_api.entitlements import service as entitlements
from pm_api.identity.errors.people import InvalidTransition, RestoreExpired
from pm_api.identity.repository import circles

DONE: Final = {
    ProjectState.ACTIVE: "started",
    ProjectState.PAUSED: "stopped",
    ProjectState.COMPLETED: "completed",
    ProjectState.ARCHIVED: "archived",
}
"""What the feed calls each step."""


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    change: ProjectUpdate,
    expected_version: int | None,
) -> ProjectRead:
    """Change the fields sent; `status` does what its verb does. Raises NotFound, Forbidden, PreconditionFailed,
    InvalidTransition, ProjectArchived, ProjectKeyTaken or ValidationFailed.
    """
    sent = change.model_dump(exclude_unset=True)
    wanted_status, private = sent.pop("status", None), sent.pop("is_private", None)
    project = await holding.hold(
        session, scope, project_id, with_workspace="key" in sent or private is not None, archived=True
    )
    check_version(project.version, expected_version)
    was_open = bool(await circles.lock_circle(session, project.scope_id))
    changes = {name: value for name, value in sent.items() if getattr(project, name) != value}
    switches = private is not None and private == was_open
    step = ProjectState(wanted_status) if wanted_status not in (None, project.status) else None
    if step is not None and not rules.may_become(ProjectState(project.status), step):
        raise InvalidTransition(f"A project that is {project.status} cannot become {step}.")
    if project.archived_at is not None and (changes or switches):
        raise ProjectArchived
    if not (changes or switches or step):
        return await read(session, platform, scope, project_id)
    await _write(session, project, changes)
    if switches:
        await _switch(session, platform, scope, project, private=bool(private))
    if step is not None:
        _enter(project, platform, step)
    holding.touch(project, platform)
    await session.flush()
    fields = (*sorted(changes), *(("isPrivate",) if switches else ()))
    if fields:
        await holding.tell(session, platform, scope.actor, project, "updated", fields=fields)
    if step is not None:
        await holding.tell(session, platform, scope.actor, project, DONE[step], fields=("status",))
    return await read(session, platform, scope, project_id)


async def _write(session: AsyncSession, project: Project, changes: dict[str, Any]) -> None:
    _check_days(changes.get("starts_on", project.starts_on), changes.get("due_on", project.due_on))
    if "key" in changes:
        await making.free_key(session, project.workspace_id, project.name, changes["key"])
    for name, value in changes.items():
        setattr(project, name, value)


def _check_days(starts_on: date | None, due_on: date | None) -> None:
    if starts_on is not None and due_on is not None and due_on < starts_on:
        raise ValidationFailed(
            "dueOn lies before startsOn",
            details=[{"pointer": "/dueOn", "detail": "dueOn must not lie before startsOn"}],
        )


async def _switch(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project: Project, *, private: bool
) -> None:
    """Open to the workspace, or for its own alone: then whoever does it is in it, and somebody is its ADMIN."""
    await circles.set_open(session, project.scope_id, is_open=not private)
    if private:
        await circles.put_companion(session, project.scope_id, scope.user_id, ProjectRole.ADMIN, platform.clock.now())


def _enter(project: Project, platform: Platform, step: ProjectState) -> None:
    if step is ProjectState.ARCHIVED:
        project.archived_at, project.archived_from = platform.clock.now(), project.status
    if step is ProjectState.COMPLETED:
        project.completed_at = platform.clock.now()
    project.status = step


async def step(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    target: ProjectState,
    expected_version: int | None,
) -> ProjectRead:
    """Start, stop, complete or archive. Raises NotFound, Forbidden, PreconditionFailed or InvalidTransition."""
    project = await holding.hold(session, scope, project_id, archived=True)
    check_version(project.version, expected_version)
    if not rules.may_become(ProjectState(project.status), target):
        raise InvalidTransition(f"A project that is {project.status} cannot become {target}.")
    _enter(project, platform, target)
    holding.touch(project, platform)
    await session.flush()
    await holding.tell(session, platform, scope.actor, project, DONE[target], fields=("status",))
    return await read(session, platform, scope, project_id)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    expected_version: int | None,
) -> None:
    """Out of everybody's sight, with all that is in it; within 30 days it can be restored whole. Raises NotFound,
    Forbidden or PreconditionFailed.
    """
    project = await holding.hold(session, scope, project_id, archived=True)
    check_version(project.version, expected_version)
    project.deleted_at = platform.clock.now()
    holding.touch(project, platform)
    await session.flush()
    await holding.tell(session, platform, scope.actor, project, "deleted")


async def restore(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    expected_version: int | None,
) -> ProjectRead:
    """Take back a deletion, for 30 days and where the plan has room, or else an archiving. Raises NotFound,
    Forbidden, PreconditionFailed, InvalidTransition when there is neither, RestoreExpired or PlanLimitReached.
    """
    project = await holding.hold(session, scope, project_id, with_workspace=True, deleted=None, archived=True)
    check_version(project.version, expected_version)
    if project.deleted_at is not None:
        if platform.clock.now() - project.deleted_at > rules.RESTORABLE_FOR:
            raise RestoreExpired("The project was deleted more than 30 days ago and can no longer be restored.")
        await entitlements.ensure_project(session, platform, project.workspace_id)
        project.deleted_at = None
        await search.show_project(session, project.id)
        action = "restored"
    elif project.archived_at is not None:
        project.status = project.archived_from or ProjectState.PLANNED
        project.archived_at = project.archived_from = None
        action = "unarchived"
    else:
        raise InvalidTransition("The project is neither archived nor deleted.")
    holding.touch(project, platform)
    await session.flush()
    await holding.tell(session, platform, scope.actor, project, action)
    return await read(session, platform, scope, project_id)
