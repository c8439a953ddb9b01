"""Queries of what is shown with events: a fixed number, however many events."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import User


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
