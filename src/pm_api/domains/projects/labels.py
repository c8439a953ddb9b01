"""The labels of a project. Members make them, who manages the project changes them."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import holding, rules
from pm_api.domains.projects.errors import LabelExists, TooManyLabels
from pm_api.domains.projects.models import Project, ProjectLabel
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository import workflow
from pm_api.domains.projects.schemas.projects import DEFAULT_COLOUR
from pm_api.domains.projects.schemas.workflow import LabelCreate, LabelRead, LabelsAnswer, LabelUpdate

LISTED: Final = "project-labels"
WRITE: Final = "task.write"


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, page: PageRequest
) -> LabelsAnswer:
    """A page of them by name; raises NotFound."""
    if await repository.project(session, scope, project_id) is None:
        raise NotFound
    key = platform.cursors.decode(page.cursor, of=LISTED, project=project_id)
    rows = await workflow.labels(session, project_id, after=key[0] if key else None, limit=page.limit + 1)
    shown = rows[: page.limit]
    following = (shown[-1].name,) if len(rows) > page.limit else None
    return LabelsAnswer(
        labels=[read(one) for one in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, project=project_id),
    )


async def get(session: AsyncSession, scope: WorkspaceScope, project_id: UUID, label_id: UUID) -> LabelRead:
    """One of them; raises NotFound."""
    if await repository.project(session, scope, project_id) is None:
        raise NotFound
    found = await workflow.label(session, project_id, label_id)
    if found is None:
        raise NotFound
    return read(found)


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, wanted: LabelCreate
) -> LabelRead:
    """A new one; raises NotFound, Forbidden, ProjectArchived, LabelExists or TooManyLabels."""
    project = await holding.hold(session, scope, project_id, permission=WRITE)
    if await workflow.labels_named(session, project_id, [wanted.name]):
        raise LabelExists
    if await workflow.count_labels(session, project_id) >= rules.MOST_LABELS:
        raise TooManyLabels
    return read(await _insert(session, platform, scope, project, wanted.name, wanted.colour))


async def ensure(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID, names: Collection[str]
) -> dict[str, ProjectLabel]:
    """The labels of these names, those that were missing made; by the name that was asked for. For imports. Raises
    NotFound, Forbidden, ProjectArchived or TooManyLabels.
    """
    project = await holding.hold(session, scope, project_id, permission=WRITE)
    found = await workflow.labels_named(session, project_id, names)
    missing = [one for one in dict.fromkeys(names) if one not in found]
    if missing and await workflow.count_labels(session, project_id) + len(missing) > rules.MOST_LABELS:
        raise TooManyLabels
    for name in missing:
        again = await workflow.labels_named(session, project_id, [name])  # two of the names may differ in case alone
        found |= again or {name: await _insert(session, platform, scope, project, name, DEFAULT_COLOUR)}
    return found


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    label_id: UUID,
    change: LabelUpdate,
    expected_version: int | None,
) -> LabelRead:
    """Change the fields sent; raises NotFound, Forbidden, ProjectArchived, PreconditionFailed or LabelExists."""
    label = await _held(session, scope, project_id, label_id)
    check_version(label.version, expected_version)
    sent = change.model_dump(exclude_unset=True)
    changed = {name: value for name, value in sent.items() if getattr(label, name) != value}
    if not changed:
        return read(label)
    if "name" in changed:
        others = await workflow.labels_named(session, project_id, [changed["name"]])
        if any(one.id != label.id for one in others.values()):
            raise LabelExists
    for name, value in changed.items():
        setattr(label, name, value)
    label.version += 1
    await session.flush()
    _tell(session, platform, scope, label, "updated")
    return read(label)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    label_id: UUID,
    expected_version: int | None,
) -> None:
    """Off every task, and gone. Raises NotFound, Forbidden, ProjectArchived or PreconditionFailed."""
    label = await _held(session, scope, project_id, label_id)
    check_version(label.version, expected_version)
    await session.delete(label)
    await session.flush()
    _tell(session, platform, scope, label, "deleted")


async def _held(session: AsyncSession, scope: WorkspaceScope, project_id: UUID, label_id: UUID) -> ProjectLabel:
    await holding.hold(session, scope, project_id)
    found = await workflow.label(session, project_id, label_id)
    if found is None:
        raise NotFound
    return found


async def _insert(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project: Project, name: str, colour: str
) -> ProjectLabel:
    made = ProjectLabel(
        id=platform.randomness.uuid(),
        workspace_id=project.workspace_id,
        scope_id=project.scope_id,
        project_id=project.id,
        name=name,
        colour=colour,
        version=1,
    )
    session.add(made)
    await session.flush()
    _tell(session, platform, scope, made, "created")
    return made


def _tell(session: AsyncSession, platform: Platform, scope: WorkspaceScope, label: ProjectLabel, action: str) -> None:
    changes.record(
        session,
        platform,
        workspace_id=label.workspace_id,
        scope_id=label.scope_id,
        entity="project_label",
        entity_id=label.id,
        action=action,
        version=label.version,
        actor_user_id=scope.user_id,
    )


def read(label: ProjectLabel) -> LabelRead:
    return LabelRead(
        id=label.id, project_id=label.project_id, name=label.name, colour=label.colour, version=label.version
    )
