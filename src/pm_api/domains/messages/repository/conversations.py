"""Queries of conversations. Every read is of what the caller sees: by its scope, and while its project is there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.models import Conversation, ConversationReader
from pm_api.domains.messages.repository.unread import is_muted_at, read_number, something_unread, unread_after
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Member, Scope, ScopeMember, User
from pm_api.identity.permissions import Role
from pm_api.identity.repository.people import scopes_seen, visible_scope


@dataclass(frozen=True, slots=True)
class Standing:
    """A conversation as one person has it: with whom, how far it was read, what came since."""

    conversation: Conversation
    other_id: UUID | None
    other_name: str | None
    read_number: int
    unread: int
    is_muted: bool
    muted_until: datetime | None


def of_living_project() -> ColumnElement[bool]:
    """A deleted project takes its channels out of sight."""
    deleted = exists().where(Project.id == Conversation.project_id, Project.deleted_at.is_not(None))
    return or_(Conversation.project_id.is_(None), ~deleted)


# --- one of them -----------------------------------------------------------------------------------------------


async def conversation(session: AsyncSession, scope: WorkspaceScope, conversation_id: UUID) -> Conversation | None:
    """One that the caller sees, as committed now."""
    return await session.scalar(
        select(Conversation)
        .where(
            Conversation.id == conversation_id,
            Conversation.workspace_id == scope.workspace_id,
            visible_scope(Conversation.scope_id, scope.user_id),
            of_living_project(),
        )
        .execution_options(populate_existing=True)
    )


async def lock(session: AsyncSession, scope: WorkspaceScope, conversation_id: UUID) -> Conversation | None:
    """The same under its lock, read in a statement after it. FOR NO KEY UPDATE: messages that refer to it are not
    kept waiting longer than for the next number.
    """
    await session.execute(
        select(Conversation.id).where(Conversation.id == conversation_id).with_for_update(key_share=True)
    )
    return await conversation(session, scope, conversation_id)


async def insert_direct(session: AsyncSession, values: dict[str, Any]) -> bool:
    """Whether these two had none."""
    row = insert(Conversation).values(values)
    made = await session.scalar(
        row.on_conflict_do_nothing(index_elements=["workspace_id", "first_user_id", "second_user_id"]).returning(
            Conversation.id
        )
    )
    return made is not None


async def direct_between(
    session: AsyncSession, workspace_id: UUID, first_user_id: UUID, second_user_id: UUID
) -> Conversation | None:
    return await session.scalar(
        select(Conversation).where(
            Conversation.workspace_id == workspace_id,
            Conversation.first_user_id == first_user_id,
            Conversation.second_user_id == second_user_id,
        )
    )


async def count_channels(session: AsyncSession, workspace_id: UUID, project_id: UUID | None) -> int:
    """Of a project, or of the workspace without one."""
    of_it = Conversation.project_id == project_id if project_id is not None else Conversation.project_id.is_(None)
    statement = select(func.count()).where(
        Conversation.workspace_id == workspace_id, Conversation.kind == ConversationKind.CHANNEL, of_it
    )
    return (await session.scalar(statement)) or 0


# --- many of them ----------------------------------------------------------------------------------------------


async def standings(
    session: AsyncSession,
    scope: WorkspaceScope,
    now: datetime,
    *,
    only: UUID | None = None,
    kind: ConversationKind | None = None,
    project_id: UUID | None = None,
    archived: bool | None = None,
    with_unread: bool = False,
    after: tuple[datetime, UUID] | None = None,
    limit: int | None = None,
) -> Sequence[Standing]:
    """What the caller sees, the last active first, with what is unread in each: in one query, however many."""
    statement = _standings(scope, now).where(Conversation.workspace_id == scope.workspace_id, of_living_project())
    if only is not None:
        statement = statement.where(Conversation.id == only, visible_scope(Conversation.scope_id, scope.user_id))
    else:
        statement = statement.where(Conversation.scope_id.in_(scopes_seen(scope.workspace_id, scope.user_id)))
    if kind is not None:
        statement = statement.where(Conversation.kind == kind)
    if project_id is not None:
        statement = statement.where(Conversation.project_id == project_id)
    if archived is not None:
        since = Conversation.archived_at
        statement = statement.where(since.is_not(None) if archived else since.is_(None))
    if with_unread:
        statement = statement.where(something_unread(scope.user_id))
    if after is not None:
        statement = statement.where(tuple_(Conversation.active_at, Conversation.id) < after)
    rows = await session.execute(
        statement.order_by(Conversation.active_at.desc(), Conversation.id.desc()).limit(limit)
    )
    return [Standing(*row) for row in rows]


_other: Final = aliased(User)


def _standings(
    scope: WorkspaceScope, now: datetime
) -> Select[Conversation, UUID, str, int, int, bool, datetime | None]:
    other = _other
    is_other = or_(
        and_(other.id == Conversation.first_user_id, other.id != scope.user_id),
        and_(other.id == Conversation.second_user_id, other.id != scope.user_id),
    )
    mine = and_(ConversationReader.conversation_id == Conversation.id, ConversationReader.user_id == scope.user_id)
    return (
        select(
            Conversation,
            other.id,
            other.name,
            read_number(),
            unread_after(scope.user_id),
            is_muted_at(now),
            ConversationReader.muted_until,
        )
        .outerjoin(ConversationReader, mine)
        .outerjoin(other, is_other)
        .execution_options(populate_existing=True)
    )


# --- who may be in one -----------------------------------------------------------------------------------------


async def members_among(session: AsyncSession, workspace_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of these people who belong to the workspace."""
    rows = await session.scalars(
        select(Member.user_id).where(Member.workspace_id == workspace_id, Member.user_id.in_(user_ids))
    )
    return set(rows)


async def seers_among(
    session: AsyncSession, workspace_id: UUID, scope_id: UUID, user_ids: Collection[UUID]
) -> set[UUID]:
    """Those of these people who see a scope of the workspace."""
    rows = await session.scalars(
        select(Member.user_id)
        .join(Scope, and_(Scope.id == scope_id, Scope.workspace_id == Member.workspace_id))
        .where(
            Member.workspace_id == workspace_id,
            Member.user_id.in_(user_ids),
            visible_scope(Scope.id, Member.user_id),
        )
    )
    return set(rows)


async def share_a_project(session: AsyncSession, workspace_id: UUID, one_id: UUID, other_id: UUID) -> bool:
    """Whether there is a project that both see."""
    shared = exists().where(
        Project.workspace_id == workspace_id,
        Project.deleted_at.is_(None),
        visible_scope(Project.scope_id, one_id),
        visible_scope(Project.scope_id, other_id),
        exists().where(Member.workspace_id == workspace_id, Member.user_id == other_id),
    )
    return bool(await session.scalar(select(shared)))


async def is_guest_here(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> bool:
    found = exists().where(Member.workspace_id == workspace_id, Member.user_id == user_id, Member.role == Role.GUEST)
    return bool(await session.scalar(select(found)))


async def groups_without_an_admin(session: AsyncSession, workspace_id: UUID, *, limit: int) -> Sequence[Conversation]:
    """Groups that people are in and nobody manages, locked in the order of their ids. It waits for whoever holds one:
    most often somebody is only speaking there. Whether still nobody manages it is asked after that.
    """
    inside, manager = aliased(ScopeMember), aliased(ScopeMember)
    rows = await session.scalars(
        select(Conversation)
        .where(
            Conversation.workspace_id == workspace_id,
            Conversation.kind == ConversationKind.GROUP,
            exists().where(inside.scope_id == Conversation.scope_id),
            ~exists().where(manager.scope_id == Conversation.scope_id, manager.role == Role.ADMIN),
        )
        .order_by(Conversation.id)
        .limit(limit)
        .with_for_update(of=Conversation, key_share=True)
    )
    return rows.all()


async def longest_in(session: AsyncSession, scope_id: UUID) -> UUID | None:
    """Who has been in a circle for the longest time, of those who are members of its workspace."""
    return await session.scalar(
        select(ScopeMember.user_id)
        .join(Scope, Scope.id == ScopeMember.scope_id)
        .join(Member, and_(Member.workspace_id == Scope.workspace_id, Member.user_id == ScopeMember.user_id))
        .where(ScopeMember.scope_id == scope_id)
        .order_by(ScopeMember.added_at, ScopeMember.user_id)
        .limit(1)
    )


async def has_an_admin(session: AsyncSession, scope_id: UUID) -> bool:
    found = exists().where(ScopeMember.scope_id == scope_id, ScopeMember.role == Role.ADMIN)
    return bool(await session.scalar(select(found)))
