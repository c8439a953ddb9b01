"""Whom bills concern."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.identity.models.people import Member, User, Workspace
from pm_api.identity.permissions import Role, allows

SEE_BILLS = tuple(role for role in Role if allows(role, "billing.read"))
MOST_TOLD = 1000


async def who_pays_for(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """The members of a workspace who may see its bills."""
    rows = await session.scalars(
        select(Member.user_id)
        .where(Member.workspace_id == workspace_id, Member.role.in_(SEE_BILLS))
        .order_by(Member.user_id)
        .limit(MOST_TOLD)
    )
    return list(rows)


async def workspace_name(session: AsyncSession, workspace_id: UUID) -> str:
    """Also of a deleted one."""
    return (await session.scalars(select(Workspace.name).where(Workspace.id == workspace_id))).one()


async def operators(session: AsyncSession) -> list[UUID]:
    """Users who are marked as administrators of this installation."""
    rows = await session.scalars(select(User.id).where(User.is_admin).order_by(User.id).limit(MOST_TOLD))
    return list(rows)
