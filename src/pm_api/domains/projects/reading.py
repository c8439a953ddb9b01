"""Projects as callers see them: a fixed number of queries, however many there are."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.projects import rules
from pm_api.domains.projects.enums import Action, ProjectState
from pm_api.domains.projects.progress import Progress, progress_of
from pm_api.domains.projects.repository import projects as repository
from pm_api.domains.projects.repository.projects import Seen
from pm_api.domains.projects.schemas.projects import ProgressRead, ProjectCreator, ProjectRead, ProjectsAnswer
from pm_api.identity import pictures
from pm_api.identity.permissions import allows
from pm_api.identity.repository import circles

LISTED = "projects"


async def list_of(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    page: PageRequest,
    *,
    status: ProjectState | None = None,
    archived: bool | None = None,
    deleted: bool = False,
    template: bool | None = None,
    name_part: str | None = None,
) -> ProjectsAnswer:
    """A page of the projects the caller sees, newest first: of one workspace, or (with their own scope) of all they
    belong to. Deleted ones are for those who may restore them.
    """
    workspace_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else None
    filters = {
        "user": scope.user_id,
        "workspace": workspace_id,
        "status": status,
        "archived": archived,
        "deleted": deleted,
        "template": template,
        "q": name_part,
    }
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.seen_by(
        session,
        scope.user_id,
        workspace_id=workspace_id,
        status=status,
        archived=archived,
        deleted=deleted,
        template=template,
        name_part=name_part,
        after=UUID(key[0]) if key else None,
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    following = (shown[-1].project.id,) if len(rows) > page.limit else None
    return ProjectsAnswer(
        projects=await reads(session, platform, shown),
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def read(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    project_id: UUID,
    *,
    deleted: bool | None = False,
) -> ProjectRead:
    """One project as the caller sees it; raises NotFound."""
    seen = await repository.seen_by(
        session, scope.user_id, workspace_id=scope.workspace_id, only=[project_id], deleted=deleted
    )
    if not seen:
        raise NotFound
    [found] = await reads(session, platform, seen)
    return found


async def reads(session: AsyncSession, platform: Platform, seen: Sequence[Seen]) -> list[ProjectRead]:
    """What was read, with how far each is and how many are in it."""
    if not seen:
        return []
    progress = await progress_of(session, [one.project.id for one in seen])
    members = await circles.count_companions(session, [one.project.scope_id for one in seen])
    found = [_read(one, progress[one.project.id], members.get(one.project.scope_id, 0)) for one in seen]
    await pictures.put_in(session, platform, [one.created_by for one in found])
    return found


def _read(seen: Seen, progress: Progress, member_count: int) -> ProjectRead:
    project = seen.project
    return ProjectRead(
        id=project.id,
        workspace_id=project.workspace_id,
        key=project.key,
        name=project.name,
        description=project.description,
        status=ProjectState(project.status),
        colour=project.colour,
        icon=project.icon,
        is_private=not seen.is_open,
        is_template=project.is_template,
        enforce_blocked=project.enforce_blocked,
        starts_on=project.starts_on,
        due_on=project.due_on,
        progress=ProgressRead(total=progress.total, done=progress.done, percent=progress.percent),
        role=seen.role,
        member_count=member_count,
        created_by=ProjectCreator(id=project.created_by_user_id, name=seen.creator_name),
        completed_at=project.completed_at,
        archived_at=project.archived_at,
        deleted_at=project.deleted_at,
        allowed_actions=actions_of(seen),
        version=project.version,
        created_at=project.created_at,
        updated_at=project.updated_at,
    )


def actions_of(seen: Seen) -> list[Action]:
    """What somebody may do with a project as it stands now, by their role in it and in the workspace."""
    project = seen.project
    manages = allows(seen.role, "project.manage")
    if project.deleted_at is not None:
        return [Action.RESTORE] if manages else []
    copies = [Action.COPY] if allows(seen.workspace_role, "project.create") else []
    if project.archived_at is not None:
        return [Action.RESTORE, Action.DELETE, *copies] if manages else copies
    writes = [Action.CREATE_TASK] if allows(seen.role, "task.write") else []
    if not manages:
        return [*writes, *copies]
    steps = [action for target, action in _STEPS.items() if rules.may_become(ProjectState(project.status), target)]
    return [Action.UPDATE, *steps, Action.DELETE, Action.MANAGE_MEMBERS, *writes, *copies]


_STEPS = {
    ProjectState.ACTIVE: Action.START,
    ProjectState.PAUSED: Action.STOP,
    ProjectState.COMPLETED: Action.COMPLETE,
    ProjectState.ARCHIVED: Action.ARCHIVE,
}
