"""Queries of identity."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.db import Base
from pm_api.identity.models.people import Member, RefreshToken, Scope, ScopeMember, User, UserSession, Workspace
from pm_api.identity.permissions import Role, standing_in_scope

# --- users -----------------------------------------------------------------------------------------------------


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    return await session.scalar(select(User).where(User.email == email))


async def user_by_id(session: AsyncSession, user_id: UUID) -> User | None:
    return await session.scalar(select(User).where(User.id == user_id))


async def avatars(session: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, str]:
    """Paths of the pictures of those of the people who have one."""
    rows = await session.execute(select(User.id, User.avatar).where(User.id.in_(user_ids), User.avatar.is_not(None)))
    return {user_id: avatar for user_id, avatar in rows if avatar is not None}


# --- sessions --------------------------------------------------------------------------------------------------


async def refresh_token(session: AsyncSession, token_hash: bytes) -> RefreshToken | None:
    """Locks the session row first, so that rotations and endings of one family queue up."""
    family = await session.scalar(select(RefreshToken.session_id).where(RefreshToken.token_hash == token_hash))
    if family is None:
        return None
    await session.execute(select(UserSession.id).where(UserSession.id == family).with_for_update())
    return await session.scalar(select(RefreshToken).where(RefreshToken.token_hash == token_hash))


async def known_tokens(session: AsyncSession, token_hashes: Sequence[bytes]) -> Sequence[RefreshToken]:
    rows = await session.scalars(select(RefreshToken).where(RefreshToken.token_hash.in_(token_hashes)))
    return rows.all()


async def session_by_id(session: AsyncSession, session_id: UUID) -> UserSession | None:
    return await session.scalar(select(UserSession).where(UserSession.id == session_id))


async def live_session_user(session: AsyncSession, session_id: UUID, now: datetime) -> tuple[UUID, bool] | None:
    """(user id, is admin) of a session that is neither ended nor expired."""
    row = (
        await session.execute(
            select(User.id, User.is_admin)
            .join(UserSession, UserSession.user_id == User.id)
            .where(
                UserSession.id == session_id,
                UserSession.revoked_at.is_(None),
                UserSession.expires_at > now,
                User.erased_at.is_(None),
            )
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def live_sessions(
    session: AsyncSession, user_id: UUID, now: datetime, *, limit: int, after: UUID | None
) -> Sequence[UserSession]:
    """A page of the user's live sessions by id, newest first."""
    statement = select(UserSession).where(
        UserSession.user_id == user_id, UserSession.revoked_at.is_(None), UserSession.expires_at > now
    )
    if after is not None:
        statement = statement.where(UserSession.id < after)
    rows = await session.scalars(statement.order_by(UserSession.id.desc()).limit(limit))
    return rows.all()


async def end_sessions(
    session: AsyncSession, *, now: datetime, reason: str, user_id: UUID, session_id: UUID | None = None
) -> list[UUID]:
    """Ends one live session of a user, or all; returns the ended ids."""
    statement = update(UserSession).where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
    if session_id is not None:
        statement = statement.where(UserSession.id == session_id)
    rows = await session.scalars(statement.values(revoked_at=now, revoked_reason=reason).returning(UserSession.id))
    return list(rows)


async def delete_dead_sessions(session: AsyncSession, before: datetime, limit: int) -> int:
    """Forget sessions that ended or expired before a moment; their tokens go with them."""
    dead = (
        select(UserSession.id)
        .where(or_(UserSession.expires_at < before, UserSession.revoked_at < before))
        .order_by(UserSession.id)
        .limit(limit)
    )
    rows = await session.scalars(delete(UserSession).where(UserSession.id.in_(dead)).returning(UserSession.id))
    return len(rows.all())


async def delete_expired_tokens(session: AsyncSession, before: datetime, limit: int) -> int:
    """Forget refresh tokens that expired before a moment, of living sessions too."""
    expired = select(RefreshToken.token_hash).where(RefreshToken.expires_at < before).limit(limit)
    rows = await session.scalars(
        delete(RefreshToken).where(RefreshToken.token_hash.in_(expired)).returning(RefreshToken.token_hash)
    )
    return len(rows.all())


# --- workspaces and members ------------------------------------------------------------------------------------


def _living_membership(user_id: UUID) -> Select[Workspace, Member]:
    return select(Workspace, Member).join(
        Member, and_(Member.workspace_id == Workspace.id, Member.user_id == user_id)
    )


async def membership(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> tuple[Workspace, Member] | None:
    """The workspace and the user's place in it, deleted workspaces included."""
    row = (await session.execute(_living_membership(user_id).where(Workspace.id == workspace_id))).one_or_none()
    return (row[0], row[1]) if row else None


async def role_in(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> tuple[str, datetime | None] | None:
    """(role, deleted at) of a member: what a guard needs."""
    row = (
        await session.execute(
            select(Member.role, Workspace.deleted_at)
            .join(Workspace, Workspace.id == Member.workspace_id)
            .where(Member.workspace_id == workspace_id, Member.user_id == user_id)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def workspaces_of(
    session: AsyncSession,
    user_id: UUID,
    *,
    limit: int,
    after: UUID | None = None,
    archived: bool | None = None,
    deleted: bool = False,
) -> Sequence[tuple[Workspace, Member]]:
    """A page of the user's workspaces by id, newest first."""
    statement = _living_membership(user_id)
    statement = statement.where(Workspace.deleted_at.is_not(None) if deleted else Workspace.deleted_at.is_(None))
    if archived is not None:
        statement = statement.where(
            Workspace.archived_at.is_not(None) if archived else Workspace.archived_at.is_(None)
        )
    if after is not None:
        statement = statement.where(Workspace.id < after)
    rows = await session.execute(statement.order_by(Workspace.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def workspace_by_id(session: AsyncSession, workspace_id: UUID) -> Workspace | None:
    return await session.scalar(select(Workspace).where(Workspace.id == workspace_id))


async def workspace_by_slug(session: AsyncSession, slug: str) -> Workspace | None:
    """Deleted ones included: they keep their slug."""
    return await session.scalar(select(Workspace).where(Workspace.slug == slug))


async def lock_workspace(session: AsyncSession, workspace_id: UUID) -> Workspace | None:
    """First in the order of locks. FOR NO KEY UPDATE: a stronger one would wait for every foreign key on the
    workspace that another transaction is checking, such as an account's that is being opened.
    """
    await session.execute(select(Workspace.id).where(Workspace.id == workspace_id).with_for_update(key_share=True))
    return await session.scalar(
        select(Workspace).where(Workspace.id == workspace_id).execution_options(populate_existing=True)
    )


async def count_owners(session: AsyncSession, workspace_id: UUID) -> int:
    return (
        await session.scalar(
            select(func.count())
            .select_from(Member)
            .where(Member.workspace_id == workspace_id, Member.role == "OWNER")
        )
    ) or 0


async def member_by_user(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> Member | None:
    """A member as committed now: what a service reads under the workspace's lock."""
    return await session.scalar(
        select(Member)
        .where(Member.workspace_id == workspace_id, Member.user_id == user_id)
        .execution_options(populate_existing=True)
    )


async def member_by_id(session: AsyncSession, workspace_id: UUID, member_id: UUID) -> tuple[Member, User] | None:
    row = (
        await session.execute(
            select(Member, User)
            .join(User, User.id == Member.user_id)
            .where(Member.id == member_id, Member.workspace_id == workspace_id)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def members_of(
    session: AsyncSession,
    workspace_id: UUID,
    *,
    limit: int,
    after: UUID | None,
    prefix: str | None,
    role: str | None,
) -> Sequence[tuple[Member, User]]:
    """A page of members by id; `prefix` matches name or address from the start."""
    statement = select(Member, User).join(User, User.id == Member.user_id).where(Member.workspace_id == workspace_id)
    if prefix:
        pattern = prefix.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        statement = statement.where(or_(func.lower(User.name).like(pattern), User.email.like(pattern)))
    if role:
        statement = statement.where(Member.role == role)
    if after is not None:
        statement = statement.where(Member.id > after)
    rows = await session.execute(statement.order_by(Member.id).limit(limit))
    return [(row[0], row[1]) for row in rows]


# --- sight -----------------------------------------------------------------------------------------------------

# Aliases, correlated of all that surrounds them, however deep: a query may have these tables itself. They are made
# once: SQLAlchemy copies every column of a table for each.
_inside: Final = aliased(ScopeMember)
_circle: Final = aliased(Scope)
_fellow: Final = aliased(Member)


def visible_scope(
    column: SQLColumnExpression[UUID | None] | SQLColumnExpression[UUID], user_id: UUID | SQLColumnExpression[UUID]
) -> ColumnElement[bool]:
    """The one predicate of sight: rows without a scope are for all members, an open scope's for all but guests, the
    others for the scope's own.
    """
    return or_(
        column.is_(None),
        exists().where(_inside.scope_id == column, _inside.user_id == user_id).correlate_except(_inside),
        exists()
        .where(_circle.id == column, _circle.is_open, _fellow.workspace_id == _circle.workspace_id)
        .where(_fellow.user_id == user_id, _fellow.role != Role.GUEST)
        .correlate_except(_circle, _fellow),
    )


def scopes_seen(workspace_id: UUID, user_id: UUID) -> Select[UUID]:
    """The ids of a workspace's scopes that somebody sees: for lists over many rows, which ask it once."""
    return select(Scope.id).where(Scope.workspace_id == workspace_id, visible_scope(Scope.id, user_id))


def is_guest(workspace_id: UUID, user_id: UUID | SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """Whether somebody is a member of single projects alone, who sees what is in scopes of theirs alone."""
    return (
        exists()
        .where(_fellow.workspace_id == workspace_id, _fellow.user_id == user_id, _fellow.role == Role.GUEST)
        .correlate_except(_fellow)
    )


async def leave_scopes(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    """Take a person out of every smaller circle of a workspace."""
    circles = select(Scope.id).where(Scope.workspace_id == workspace_id)
    await session.execute(
        delete(ScopeMember).where(ScopeMember.user_id == user_id, ScopeMember.scope_id.in_(circles))
    )


async def owner_of_row(session: AsyncSession, table_name: str, row_id: UUID) -> tuple[UUID, UUID | None] | None:
    """(workspace id, scope id) of a row in any table that carries a workspace: what a guard needs."""
    table = Base.metadata.tables[table_name]
    workspace = table.c.id if table_name == "workspaces" else table.c.workspace_id
    scope = table.c.get("scope_id")
    columns = [workspace] if scope is None else [workspace, scope]
    row = (await session.execute(select(*columns).where(table.c.id == row_id))).one_or_none()
    if row is None:
        return None
    return row[0], (row[1] if scope is not None else None)


async def account_of_row(session: AsyncSession, table_name: str, row_id: UUID) -> UUID | None:
    """The account (a user's or a workspace's id) of a row in any table that carries one: what a guard needs."""
    table = Base.metadata.tables[table_name]
    found: UUID | None = await session.scalar(select(table.c.account_id).where(table.c.id == row_id))
    return found


async def is_live_lead(session: AsyncSession, lead_id: UUID, now: datetime) -> bool:
    """Whether a visitor's time is not over and they have not become a user: what a guard needs."""
    table = Base.metadata.tables["leads"]
    found = select(table.c.id).where(table.c.id == lead_id, table.c.converted_at.is_(None), table.c.expires_at > now)
    return await session.scalar(found) is not None


async def role_in_scope(session: AsyncSession, scope_id: UUID, user_id: UUID, role: str) -> Role | None:
    """What a member of the workspace is within a scope, None when they do not see it; `role` is the workspace's."""
    row = (
        await session.execute(
            select(Scope.is_open, ScopeMember.user_id, ScopeMember.role)
            .outerjoin(ScopeMember, and_(ScopeMember.scope_id == Scope.id, ScopeMember.user_id == user_id))
            .where(Scope.id == scope_id)
        )
    ).one_or_none()
    if row is None:
        return None
    is_open, member, own_role = row
    return standing_in_scope(Role(role), is_open=is_open, is_member=member is not None, own_role=own_role)
