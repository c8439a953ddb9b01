"""Fields of a project's own."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound, ValidationFailed
from pm_api.core.http import check_version
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import contents, holding, rules
from pm_api.domains.projects.enums import FieldKind
from pm_api.domains.projects.errors import FieldKeyTaken, TooManyFields
from pm_api.domains.projects.models import ProjectField
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository import workflow
from pm_api.domains.projects.schemas.workflow import ProjectFieldCreate, ProjectFieldRead, ProjectFieldUpdate


async def list_of(session: AsyncSession, scope: WorkspaceScope, project_id: UUID) -> list[ProjectFieldRead]:
    """All of them, in their order; raises NotFound."""
    if await repository.project(session, scope, project_id) is None:
        raise NotFound
    return [read(one) for one in await workflow.fields(session, project_id)]


async def get(session: AsyncSession, scope: WorkspaceScope, project_id: UUID, field_id: UUID) -> ProjectFieldRead:
    """One of them; raises NotFound."""
    for one in await list_of(session, scope, project_id):
        if one.id == field_id:
            return one
    raise NotFound


async def create(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    wanted: ProjectFieldCreate,
) -> ProjectFieldRead:
    """One more; raises NotFound, Forbidden, ProjectArchived, TooManyFields or FieldKeyTaken."""
    project = await holding.hold(session, scope, project_id)
    present = await workflow.fields(session, project_id)
    if len(present) >= rules.MOST_FIELDS:
        raise TooManyFields
    taken = {one.key for one in present}
    if wanted.key in taken:
        raise FieldKeyTaken
    made = ProjectField(
        id=platform.randomness.uuid(),
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        project_id=project.id,
        key=wanted.key or rules.word_key_of(wanted.name, taken),
        name=wanted.name,
        kind=wanted.kind,
        options=list(wanted.options),
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
    field_id: UUID,
    change: ProjectFieldUpdate,
    expected_version: int | None,
) -> ProjectFieldRead:
    """Change the fields sent; raises NotFound, Forbidden, ProjectArchived, PreconditionFailed or ValidationFailed."""
    field = await _held(session, scope, project_id, field_id)
    check_version(field.version, expected_version)
    sent = change.model_dump(exclude_unset=True)
    changed = {name: value for name, value in sent.items() if getattr(field, name) != value}
    if not changed:
        return read(field)
    if "options" in changed and (field.kind == FieldKind.SELECT) != bool(changed["options"]):
        raise ValidationFailed(
            "options go with SELECT, and only with it",
            details=[{"pointer": "/options", "detail": "A SELECT has options, and nothing else does"}],
        )
    for name, value in changed.items():
        setattr(field, name, value)
    field.version += 1
    await session.flush()
    _tell(session, platform, scope, field, "updated")
    return read(field)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    field_id: UUID,
    expected_version: int | None,
) -> None:
    """Gone, with what tasks say in it: a later field of the same key begins empty. Raises NotFound, Forbidden,
    ProjectArchived or PreconditionFailed.
    """
    field = await _held(session, scope, project_id, field_id)
    check_version(field.version, expected_version)
    await contents.forget_field(session, project_id, field.key)
    await session.delete(field)
    await session.flush()
    _tell(session, platform, scope, field, "deleted")


async def _held(session: AsyncSession, scope: WorkspaceScope, project_id: UUID, field_id: UUID) -> ProjectField:
    await holding.hold(session, scope, project_id)
    found: Sequence[ProjectField] = await workflow.fields(session, project_id)
    for one in found:
        if one.id == field_id:
            return one
    raise NotFound


def _tell(session: AsyncSession, platform: Platform, scope: WorkspaceScope, field: ProjectField, action: str) -> None:
    changes.record(
        session,
        platform,
        workspace_id=field.workspace_id,
        scope_id=field.scope_id,
        entity="project_field",
        entity_id=field.id,
        action=action,
        version=field.version,
        actor_user_id=scope.user_id,
    )


def read(field: ProjectField) -> ProjectFieldRead:
    return ProjectFieldRead(
        id=field.id,
        project_id=field.project_id,
        key=field.key,
        name=field.name,
        kind=FieldKind(field.kind),
        options=list(field.options),
        position=field.position,
        version=field.version,
    )
