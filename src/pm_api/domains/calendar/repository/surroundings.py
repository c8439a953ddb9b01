"""Queries of what is shown with events: a fixed number, however many events."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Member, Scope, ScopeMember, User
from pm_api.identity.permissions import Role, standing_in_scope


async def names(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, str]:
    rows = await session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {row[0]: row[1] for row in rows}


async def time_zone_of(session: AsyncSession, user_id: UUID) -> str:
    """That of their settings."""
    found: str = (await session.execute(select(User.time_zone).where(User.id == user_id))).scalar_one()
    return found


async def projects(session: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, Project]:
    if not project_ids:
        return {}
    rows = await session.scalars(
        select(Project).where(Project.id.in_(project_ids)).execution_options(populate_existing=True)
    )
    return {one.id: one for one in rows}


async def roles(session: AsyncSession, user_id: UUID, scope_ids: Collection[UUID]) -> dict[UUID, Role]:
    """What somebody is within each of these scopes; those they do not see are left out."""
    rows = await session.execute(
        select(Scope.id, Scope.is_open, ScopeMember.user_id, ScopeMember.role, Member.role)
        .join(Member, and_(Member.workspace_id == Scope.workspace_id, Member.user_id == user_id))
        .outerjoin(ScopeMember, and_(ScopeMember.scope_id == Scope.id, ScopeMember.user_id == user_id))
        .where(Scope.id.in_(scope_ids))
    )
    found = {}
    for scope_id, is_open, inside, own_role, role in rows:
        standing = standing_in_scope(Role(role), is_open=is_open, is_member=inside is not None, own_role=own_role)
        if standing is not None:
            found[scope_id] = standing
    return found
