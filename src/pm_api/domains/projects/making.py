"""New projects: from nothing, and as copies of others. Both count against the plan, under the workspace's lock."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.projects import copying, holding, rules
from pm_api.domains.projects.copying import Copy
from pm_api.domains.projects.enums import ProjectRole, ProjectState
from pm_api.domains.projects.errors import ProjectKeyTaken
from pm_api.domains.projects.models import Project, ProjectField, ProjectLabel, ProjectStatus
from pm_api.domains.projects.reading import read
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository import workflow
from pm_api.domains.projects.rules import Step
from pm_api.domains.projects.schemas.projects import ProjectCopy, ProjectCreate, ProjectRead
from pm_api.entitlements import service as entitlements
from pm_api.identity.errors.people import role_lacks
from pm_api.identity.permissions import allows
from pm_api.identity.repository import circles


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: ProjectCreate
) -> ProjectRead:
    """A new project with the common workflow; the caller is in it as ADMIN. Raises WorkspaceNotFound, Forbidden,
    PlanLimitReached or ProjectKeyTaken.
    """
    await _make_room(session, platform, scope)
    project = await _insert(
        session, platform, scope, name=wanted.name, wanted_key=wanted.key, is_private=wanted.is_private
    )
    for name in ("description", "colour", "icon", "is_template", "enforce_blocked", "starts_on", "due_on"):
        setattr(project, name, getattr(wanted, name))
    for position, step in enumerate(rules.DEFAULT_WORKFLOW):
        session.add(_status(platform, project, step, position))
    await session.flush()
    await holding.tell(session, platform, scope.actor, project, "created")
    return await read(session, platform, scope, project.id)


async def copy(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, wanted: ProjectCopy
) -> tuple[ProjectRead, int]:
    """A project like another that the caller sees: its workflow, labels and fields, and with `includeTasks` what the
    higher slices have in it; returns how much that was. Raises NotFound, WorkspaceNotFound, Forbidden,
    PlanLimitReached or ProjectKeyTaken.
    """
    await _make_room(session, platform, scope)
    source = await repository.project(session, scope, project_id, lock=True)
    if source is None:
        raise NotFound
    is_private = wanted.is_private
    if is_private is None:
        is_private = not await circles.lock_circle(session, source.scope_id)
    project = await _insert(session, platform, scope, name=wanted.name, wanted_key=wanted.key, is_private=is_private)
    for name in ("description", "colour", "icon", "enforce_blocked"):
        setattr(project, name, getattr(source, name))
    project.is_template = wanted.is_template
    label_ids = await _copy_workflow(session, platform, source, project)
    await session.flush()
    copied = 0
    if wanted.include_tasks:
        copied = await copying.copy_contents(session, platform, scope, Copy(source, project, label_ids))
    await holding.tell(session, platform, scope.actor, project, "created")
    return await read(session, platform, scope, project.id), copied


async def _make_room(session: AsyncSession, platform: Platform, scope: WorkspaceScope) -> None:
    role = await holding.hold_workspace(session, scope)
    if not allows(role, holding.CREATE):
        raise role_lacks(role, holding.CREATE)
    await entitlements.ensure_project(session, platform, scope.workspace_id)


async def _insert(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    *,
    name: str,
    wanted_key: str | None,
    is_private: bool,
) -> Project:
    """The project in a circle of its own, with its maker in it. The workspace's lock is held."""
    now, scope_id = platform.clock.now(), platform.randomness.uuid()
    key = await free_key(session, scope.workspace_id, name, wanted_key)
    await circles.insert_circle(session, scope_id, scope.workspace_id, is_open=not is_private)
    project = Project(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        scope_id=scope_id,
        key=key,
        name=name,
        description="",
        status=ProjectState.PLANNED,
        colour="",
        icon="",
        created_by_user_id=scope.user_id,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(project)
    await circles.put_companion(session, scope_id, scope.user_id, ProjectRole.ADMIN, now)
    return project


async def free_key(session: AsyncSession, workspace_id: UUID, name: str, wanted: str | None) -> str:
    """The key that was asked for, or one made from the name. The workspace's lock is held: whoever names a key takes
    it. Raises ProjectKeyTaken.
    """
    if wanted is not None:
        if await repository.is_key_taken(session, workspace_id, wanted):
            raise ProjectKeyTaken
        return wanted
    base = rules.key_of(name)
    return rules.free_key(base, await repository.keys_taken(session, workspace_id, base[:2]))


async def _copy_workflow(
    session: AsyncSession, platform: Platform, source: Project, target: Project
) -> dict[UUID, UUID]:
    """Statuses, labels and fields; returns which label has become which."""
    for status in await workflow.statuses(session, source.id):
        session.add(
            ProjectStatus(**_of(target, platform), **_like(status, "key", "name", "category", "colour", "position"))
        )
    label_ids = {}
    for label in await workflow.labels(session, source.id):
        made = ProjectLabel(**_of(target, platform), **_like(label, "name", "colour"))
        session.add(made)
        label_ids[label.id] = made.id
    for field in await workflow.fields(session, source.id):
        session.add(
            ProjectField(**_of(target, platform), **_like(field, "key", "name", "kind", "options", "position"))
        )
    return label_ids


def _status(platform: Platform, project: Project, step: Step, position: int) -> ProjectStatus:
    return ProjectStatus(
        **_of(project, platform),
        key=step.key,
        name=step.name,
        category=step.category,
        colour=step.colour,
        position=position,
    )


def _of(project: Project, platform: Platform) -> dict[str, object]:
    """What every row of a project's own carries."""
    return {
        "id": platform.randomness.uuid(),
        "workspace_id": project.workspace_id,
        "scope_id": project.scope_id,
        "project_id": project.id,
        "version": 1,
    }


def _like(row: object, *names: str) -> dict[str, object]:
    return {name: getattr(row, name) for name in names}
