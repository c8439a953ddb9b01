"""Queries of scopes: the circles within a workspace, and who is in them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.identity.models.people import Member, Scope, ScopeMember, User
from pm_api.identity.permissions import Role, standing_in_scope


@dataclass(frozen=True, slots=True)
class Companion:
    """Somebody in a circle, with the role they have there (None: the workspace's) and in the workspace."""

    user: User
    role: str | None
    workspace_role: str
    added_at: datetime | None
    version: int


async def insert_circle(session: AsyncSession, scope_id: UUID, workspace_id: UUID, *, is_open: bool) -> None:
    await session.execute(insert(Scope).values(id=scope_id, workspace_id=workspace_id, is_open=is_open))


async def lock_circle(session: AsyncSession, scope_id: UUID) -> bool | None:
    """Hold a circle, so that nobody comes or goes meanwhile; whether it is open, None when there is none."""
    return await session.scalar(select(Scope.is_open).where(Scope.id == scope_id).with_for_update(key_share=True))


async def set_open(session: AsyncSession, scope_id: UUID, *, is_open: bool) -> None:
    await session.execute(update(Scope).where(Scope.id == scope_id).values(is_open=is_open))


async def put_companion(
    session: AsyncSession, scope_id: UUID, user_id: UUID, role: str | None, added_at: datetime
) -> None:
    """Into the circle, or to another role in it."""
    row = insert(ScopeMember).values(scope_id=scope_id, user_id=user_id, role=role, added_at=added_at)
    await session.execute(
        row.on_conflict_do_update(
            index_elements=["scope_id", "user_id"],
            set_={"role": row.excluded.role, "version": ScopeMember.version + 1},
        )
    )


async def drop_companion(session: AsyncSession, scope_id: UUID, user_id: UUID) -> bool:
    """Whether they were in it."""
    gone = delete(ScopeMember).where(ScopeMember.scope_id == scope_id, ScopeMember.user_id == user_id)
    return await session.scalar(gone.returning(ScopeMember.user_id)) is not None


async def companions(
    session: AsyncSession,
    scope_id: UUID,
    *,
    limit: int | None = None,
    after: UUID | None = None,
    only: Collection[UUID] | None = None,
) -> Sequence[Companion]:
    """Who is in a circle, by user id; those alone who are members of its workspace."""
    statement = (
        select(User, ScopeMember.role, Member.role, ScopeMember.added_at, ScopeMember.version)
        .join(ScopeMember, ScopeMember.user_id == User.id)
        .join(Scope, Scope.id == ScopeMember.scope_id)
        .join(Member, (Member.workspace_id == Scope.workspace_id) & (Member.user_id == User.id))
        .where(ScopeMember.scope_id == scope_id)
        .order_by(User.id)
    )
    if after is not None:
        statement = statement.where(User.id > after)
    if only is not None:
        statement = statement.where(User.id.in_(only))
    rows = await session.execute(statement.limit(limit))
    return [Companion(*row) for row in rows]


async def count_companions(session: AsyncSession, scope_ids: Collection[UUID]) -> dict[UUID, int]:
    rows = await session.execute(
        select(ScopeMember.scope_id, func.count())
        .where(ScopeMember.scope_id.in_(scope_ids))
        .group_by(ScopeMember.scope_id)
    )
    return {row[0]: row[1] for row in rows}


async def count_in_role(session: AsyncSession, scope_id: UUID, role: str, *, but: UUID) -> int:
    """How many others have a role in a circle."""
    found: int | None = await session.scalar(
        select(func.count()).where(
            ScopeMember.scope_id == scope_id, ScopeMember.role == role, ScopeMember.user_id != but
        )
    )
    return found or 0


async def own_roles(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> set[Role]:
    """What somebody was made in circles of a workspace, wherever that is."""
    rows = await session.scalars(
        select(ScopeMember.role)
        .join(Scope, Scope.id == ScopeMember.scope_id)
        .where(Scope.workspace_id == workspace_id, ScopeMember.user_id == user_id, ScopeMember.role.is_not(None))
        .distinct()
    )
    return {Role(one) for one in rows if one is not None}


async def roles_in_scopes(session: AsyncSession, user_id: UUID, scope_ids: Collection[UUID]) -> dict[UUID, Role]:
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
