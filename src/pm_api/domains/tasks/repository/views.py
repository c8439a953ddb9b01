"""Queries of saved views."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.domains.tasks.models import SavedView
from pm_api.domains.tasks.repository.tasks import projects_seen
from pm_api.identity.models.people import Member
from pm_api.identity.repository.people import is_guest


def in_sight(scope: WorkspaceScope) -> ColumnElement[bool]:
    """One's own and shared ones: of the projects that are seen, and of the workspace for all but guests."""
    of_workspace = and_(
        SavedView.project_id.is_(None),
        or_(SavedView.owner_user_id == scope.user_id, not_(is_guest(scope.workspace_id, scope.user_id))),
    )
    return and_(
        SavedView.workspace_id == scope.workspace_id,
        or_(SavedView.owner_user_id == scope.user_id, SavedView.is_shared),
        or_(of_workspace, SavedView.project_id.in_(projects_seen(scope))),
    )


async def view(
    session: AsyncSession, scope: WorkspaceScope, view_id: UUID, *, lock: bool = False
) -> SavedView | None:
    if lock:
        await session.execute(select(SavedView.id).where(SavedView.id == view_id).with_for_update())
    return await session.scalar(
        select(SavedView).where(SavedView.id == view_id, in_sight(scope)).execution_options(populate_existing=True)
    )


async def view_of_any_workspace(session: AsyncSession, scope: AccountScope, view_id: UUID) -> SavedView | None:
    """For whoever lists over all of their workspaces: one of their own."""
    return await session.scalar(
        select(SavedView).where(
            SavedView.id == view_id,
            SavedView.owner_user_id == scope.user_id,
            or_(SavedView.project_id.is_(None), SavedView.project_id.in_(projects_seen(scope))),
        )
    )


async def views(
    session: AsyncSession, scope: WorkspaceScope, project_id: UUID | None, *, limit: int, after: UUID | None
) -> Sequence[SavedView]:
    """By id; of one project, or of the workspace and all its projects."""
    statement = select(SavedView).where(in_sight(scope)).order_by(SavedView.id).limit(limit)
    if project_id is not None:
        statement = statement.where(SavedView.project_id == project_id)
    if after is not None:
        statement = statement.where(SavedView.id > after)
    return (await session.scalars(statement)).all()


async def count_own(session: AsyncSession, scope: WorkspaceScope) -> int:
    """How many somebody has in a workspace. Their membership is held, so that two at once count in turn."""
    place = select(Member.id).where(Member.workspace_id == scope.workspace_id, Member.user_id == scope.user_id)
    await session.execute(place.with_for_update(key_share=True))
    own = select(func.count()).where(
        SavedView.workspace_id == scope.workspace_id, SavedView.owner_user_id == scope.user_id
    )
    return await session.scalar(own) or 0


async def drop(session: AsyncSession, view: SavedView) -> None:
    await session.delete(view)
    await session.flush()
