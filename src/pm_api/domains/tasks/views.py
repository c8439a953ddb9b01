"""Saved views: how somebody likes to look at tasks, kept under a name, for themselves or for others too."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.projects import service as projects
from pm_api.domains.tasks.errors.views import SavedViewNotFound, TooManySavedViews
from pm_api.domains.tasks.filtering import parse
from pm_api.domains.tasks.models import SavedView
from pm_api.domains.tasks.repository import views as repository
from pm_api.domains.tasks.rules import MANAGE, WRITE
from pm_api.domains.tasks.schemas.views import (
    SavedViewCreate,
    SavedViewRead,
    SavedViewUpdate,
    ShownQuery,
    ViewQuery,
)
from pm_api.identity.permissions import allows

MOST: Final = 200
ENTITY: Final = "saved_view"
LIST: Final = "saved-views"


async def query_of(session: AsyncSession, scope: AccountScope, view_id: UUID) -> ShownQuery:
    """What a view in the caller's sight shows; raises SavedViewNotFound."""
    if isinstance(scope, WorkspaceScope):
        found = await repository.view(session, scope, view_id)
    else:
        found = await repository.view_of_any_workspace(session, scope, view_id)
    if found is None:
        raise SavedViewNotFound
    return ShownQuery.model_validate(found.query)


async def list_of(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, project_id: UUID | None, page: PageRequest
) -> tuple[list[SavedViewRead], str | None]:
    """A page of those in sight, oldest first, and where the next one begins."""
    bound = {"workspace": scope.workspace_id, "project": project_id, "user": scope.user_id}
    key = platform.cursors.decode(page.cursor, of=LIST, **bound)
    after = UUID(key[0]) if key else None
    found = await repository.views(session, scope, project_id, limit=page.limit + 1, after=after)
    shown = found[: page.limit]
    following = [shown[-1].id] if len(found) > page.limit else None
    return [read(one, scope) for one in shown], platform.cursors.encode(following, of=LIST, **bound)


async def get(session: AsyncSession, scope: WorkspaceScope, view_id: UUID) -> SavedViewRead:
    """Raises SavedViewNotFound."""
    found = await repository.view(session, scope, view_id)
    if found is None:
        raise SavedViewNotFound
    return read(found, scope)


async def create(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, wanted: SavedViewCreate
) -> SavedViewRead:
    """A view of one's own. Sharing it takes the right to write. Raises NotFound, Forbidden, InvalidFilter,
    TooManySavedViews.
    """
    _check(scope, wanted.query, is_shared=wanted.is_shared)
    scope_id = None
    if wanted.project_id is not None:
        project = await projects.project(session, scope, wanted.project_id)
        if project is None:
            raise NotFound
        scope_id = project.scope_id
    if await repository.count_own(session, scope) >= MOST:
        raise TooManySavedViews
    now = platform.clock.now()
    made = SavedView(
        id=platform.randomness.uuid(),
        workspace_id=scope.workspace_id,
        scope_id=scope_id,
        project_id=wanted.project_id,
        owner_user_id=scope.user_id,
        name=wanted.name,
        is_shared=wanted.is_shared,
        query=stored(wanted.query),
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(made)
    await session.flush()
    _tell(session, platform, scope, made, "created")
    return read(made, scope)


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    view_id: UUID,
    change: SavedViewUpdate,
    expected_version: int | None,
) -> SavedViewRead:
    """Raises SavedViewNotFound, PreconditionFailed, Forbidden for somebody else's, InvalidFilter."""
    found = await _own(session, scope, view_id, expected_version)
    wanted = change.model_dump(exclude_unset=True)
    query = change.query if "query" in wanted else None
    _check(scope, query, is_shared=wanted.get("is_shared", False))
    was_shared = found.is_shared
    new: dict[str, Any] = {**wanted, **({"query": stored(query)} if query is not None else {})}
    differing = {name: value for name, value in new.items() if getattr(found, name) != value}
    if not differing:
        return read(found, scope)
    for name, value in differing.items():
        setattr(found, name, value)
    found.version += 1
    found.updated_at = platform.clock.now()
    await session.flush()
    _tell(session, platform, scope, found, "updated", was_shared=was_shared)
    return read(found, scope)


async def delete(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, view_id: UUID, expected_version: int | None
) -> None:
    """Raises SavedViewNotFound, PreconditionFailed, Forbidden for somebody else's."""
    found = await _own(session, scope, view_id, expected_version)
    await repository.drop(session, found)
    _tell(session, platform, scope, found, "deleted")


async def _own(
    session: AsyncSession, scope: WorkspaceScope, view_id: UUID, expected_version: int | None
) -> SavedView:
    found = await repository.view(session, scope, view_id, lock=True)
    if found is None:
        raise SavedViewNotFound
    if found.owner_user_id != scope.user_id and not allows(scope.role, MANAGE):
        raise Forbidden("This view is somebody else's.")
    check_version(found.version, expected_version)
    return found


def _check(scope: WorkspaceScope, query: ViewQuery | None, *, is_shared: bool) -> None:
    if is_shared and not allows(scope.role, WRITE):
        raise Forbidden("Your role here does not let you share views.")
    if query is not None and query.filter is not None:
        parse(query.filter)


def _tell(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    view: SavedView,
    action: str,
    *,
    was_shared: bool = False,
) -> None:
    """Others hear of shared ones alone."""
    shared = view.is_shared or was_shared
    changes.record(
        session,
        platform,
        workspace_id=view.workspace_id if shared else None,
        user_ids=() if shared else [view.owner_user_id],
        entity=ENTITY,
        entity_id=view.id,
        action=action,
        version=view.version,
        scope_id=view.scope_id,
        actor_user_id=scope.user_id,
    )


def stored(query: ViewQuery) -> dict[str, Any]:
    return query.model_dump(mode="json", by_alias=True)


def read(view: SavedView, scope: WorkspaceScope) -> SavedViewRead:
    return SavedViewRead(
        id=view.id,
        workspace_id=view.workspace_id,
        project_id=view.project_id,
        name=view.name,
        is_shared=view.is_shared,
        is_own=view.owner_user_id == scope.user_id,
        owner_user_id=view.owner_user_id,
        query=ShownQuery.model_validate(view.query),
        version=view.version,
        created_at=view.created_at,
        updated_at=view.updated_at,
    )
