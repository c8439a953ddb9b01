"""Queries of the projects themselves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.projects.enums import ProjectState
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import Member, Scope, ScopeMember, User, Workspace
from pm_api.identity.permissions import Role, standing_in_scope
from pm_api.identity.repository.people import visible_scope

ADMINISTRATORS = (Role.ADMIN, Role.OWNER)


@dataclass(frozen=True, slots=True)
class Seen:
    """A project as somebody sees it: who made it, whether it is open, and their role in it."""

    project: Project
    creator_name: str
    is_open: bool
    role: Role
    workspace_role: Role


class Expired(NamedTuple):
    """A deleted project, and when that was."""

    deleted_at: datetime
    project_id: UUID


def _in_sight(scope: WorkspaceScope) -> ColumnElement[bool]:
    return and_(Project.workspace_id == scope.workspace_id, visible_scope(Project.scope_id, scope.user_id))


async def project(
    session: AsyncSession,
    scope: WorkspaceScope,
    project_id: UUID,
    *,
    lock: bool = False,
    deleted: bool | None = False,
) -> Project | None:
    """One that the caller sees, as committed now; `deleted=None` takes both kinds."""
    if lock:
        # FOR NO KEY UPDATE: a stronger one would wait for every foreign key that is checked against the project.
        found = select(Project.id).where(Project.id == project_id, Project.workspace_id == scope.workspace_id)
        await session.execute(found.with_for_update(key_share=True))
    statement = select(Project).where(Project.id == project_id, _in_sight(scope))
    if deleted is not None:
        statement = statement.where(Project.deleted_at.is_not(None) if deleted else Project.deleted_at.is_(None))
    return await session.scalar(statement.execution_options(populate_existing=True))


_mine: Final = aliased(ScopeMember)
_member: Final = aliased(Member)


async def seen_by(
    session: AsyncSession,
    user_id: UUID,
    *,
    workspace_id: UUID | None = None,
    only: Collection[UUID] | None = None,
    status: ProjectState | None = None,
    archived: bool | None = None,
    deleted: bool | None = False,
    template: bool | None = None,
    name_part: str | None = None,
    after: UUID | None = None,
    limit: int | None = None,
) -> Sequence[Seen]:
    """Projects that somebody sees, newest first, in one workspace or in all of theirs. Deleted ones (`deleted`) are
    shown to those who may bring them back.
    """
    mine, member = _mine, _member
    statement = (
        select(Project, User.name, Scope.is_open, mine.user_id, mine.role, member.role)
        .join(Scope, Scope.id == Project.scope_id)
        .join(User, User.id == Project.created_by_user_id)
        .join(Workspace, Workspace.id == Project.workspace_id)
        .join(member, and_(member.workspace_id == Project.workspace_id, member.user_id == user_id))
        .outerjoin(mine, and_(mine.scope_id == Project.scope_id, mine.user_id == user_id))
        .where(
            Workspace.deleted_at.is_(None),
            or_(mine.user_id.is_not(None), and_(Scope.is_open, member.role != Role.GUEST)),
        )
        .order_by(Project.id.desc())
        .execution_options(populate_existing=True)
    )
    if workspace_id is not None:
        statement = statement.where(Project.workspace_id == workspace_id)
    if only is not None:
        statement = statement.where(Project.id.in_(only))
    if deleted is not None:
        statement = statement.where(Project.deleted_at.is_not(None) if deleted else Project.deleted_at.is_(None))
    if deleted:
        statement = statement.where(or_(member.role.in_(ADMINISTRATORS), mine.role == Role.ADMIN))
    if status is not None:
        statement = statement.where(Project.status == status)
    if archived is not None:
        statement = statement.where(Project.archived_at.is_not(None) if archived else Project.archived_at.is_(None))
    if template is not None:
        statement = statement.where(Project.is_template.is_(template))
    if name_part:
        statement = statement.where(
            or_(Project.name.icontains(name_part, autoescape=True), Project.key == name_part.upper())
        )
    if after is not None:
        statement = statement.where(Project.id < after)
    rows = await session.execute(statement.limit(limit))
    return [_seen(*row) for row in rows]


def _seen(
    project: Project, creator: str, is_open: bool, inside: UUID | None, own_role: str | None, workspace_role: str
) -> Seen:
    role = standing_in_scope(Role(workspace_role), is_open=is_open, is_member=inside is not None, own_role=own_role)
    assert role is not None, "only those in sight were read"
    return Seen(project, creator, is_open, role, Role(workspace_role))


async def role_in_workspace(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> Role | None:
    found = await session.scalar(
        select(Member.role).where(Member.workspace_id == workspace_id, Member.user_id == user_id)
    )
    return Role(found) if found is not None else None


async def keys_taken(session: AsyncSession, workspace_id: UUID, beginning: str) -> set[str]:
    """Keys of the workspace's projects, deleted ones too, that begin so."""
    rows = await session.scalars(
        select(Project.key).where(Project.workspace_id == workspace_id, Project.key.startswith(beginning))
    )
    return set(rows)


async def is_key_taken(session: AsyncSession, workspace_id: UUID, key: str) -> bool:
    found = exists().where(Project.workspace_id == workspace_id, Project.key == key)
    return bool(await session.scalar(select(found)))


async def take_numbers(session: AsyncSession, project_id: UUID, count: int) -> int | None:
    """The last of so many task numbers; None when the project takes no tasks now."""
    taken: int | None = await session.scalar(
        update(Project)
        .where(Project.id == project_id, Project.deleted_at.is_(None), Project.archived_at.is_(None))
        .values(last_task_number=Project.last_task_number + count)
        .returning(Project.last_task_number)
        .execution_options(synchronize_session=False)
    )
    return taken


async def is_archived(session: AsyncSession, project_id: UUID) -> bool | None:
    """None when there is no such project, or it is deleted."""
    found: bool | None = await session.scalar(
        select(Project.archived_at.is_not(None)).where(Project.id == project_id, Project.deleted_at.is_(None))
    )
    return found


async def archived_among(session: AsyncSession, project_ids: Collection[UUID]) -> set[UUID]:
    rows = select(Project.id).where(Project.id.in_(project_ids), Project.archived_at.is_not(None))
    return set(await session.scalars(rows))


async def count_living(session: AsyncSession, workspace_ids: Collection[UUID]) -> int:
    found: int | None = await session.scalar(
        select(func.count()).where(Project.workspace_id.in_(workspace_ids), Project.deleted_at.is_(None))
    )
    return found or 0


async def without_an_admin(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, *, private_alone: bool = False
) -> Sequence[Project]:
    """Projects of which somebody is the only ADMIN, deleted ones too, by id."""
    theirs, others = aliased(ScopeMember), aliased(ScopeMember)
    statement = (
        select(Project)
        .join(theirs, theirs.scope_id == Project.scope_id)
        .where(
            Project.workspace_id == workspace_id,
            theirs.user_id == user_id,
            theirs.role == Role.ADMIN,
            ~exists().where(
                others.scope_id == Project.scope_id, others.user_id != user_id, others.role == Role.ADMIN
            ),
        )
        .order_by(Project.id)
    )
    if private_alone:
        statement = statement.join(Scope, Scope.id == Project.scope_id).where(~Scope.is_open)
    return (await session.scalars(statement)).all()


async def lock_projects(session: AsyncSession, project_ids: Collection[UUID]) -> None:
    """One by one in the order of their ids."""
    ids = select(Project.id).where(Project.id.in_(project_ids)).order_by(Project.id)
    await session.execute(ids.with_for_update(key_share=True))


async def first_owner(session: AsyncSession, workspace_id: UUID, *, but: UUID) -> UUID | None:
    """Who of the others in a workspace stands highest, and has been there longest."""
    rank = case({Role.OWNER: 0, Role.ADMIN: 1}, value=Member.role, else_=2)
    found: UUID | None = await session.scalar(
        select(Member.user_id)
        .where(Member.workspace_id == workspace_id, Member.user_id != but, Member.role.in_(ADMINISTRATORS))
        .order_by(rank, Member.joined_at, Member.id)
        .limit(1)
    )
    return found


async def expired(
    session: AsyncSession, deleted_before: datetime, after: Expired | None, limit: int
) -> list[Expired]:
    """Projects nobody can restore any more, those deleted longest ago first; the page after a place."""
    statement = select(Project.deleted_at, Project.id).where(
        Project.deleted_at.is_not(None), Project.deleted_at < deleted_before
    )
    if after is not None:
        statement = statement.where(tuple_(Project.deleted_at, Project.id) > after)
    rows = await session.execute(statement.order_by(Project.deleted_at, Project.id).limit(limit))
    return [Expired(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


async def joined_by(
    session: AsyncSession, user_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[tuple[Project, str | None]]:
    """Projects somebody was put into, deleted ones too, with their role there; by id."""
    statement = (
        select(Project, ScopeMember.role)
        .join(ScopeMember, and_(ScopeMember.scope_id == Project.scope_id, ScopeMember.user_id == user_id))
        .order_by(Project.id)
    )
    if after is not None:
        statement = statement.where(Project.id > after)
    rows = await session.execute(statement.limit(limit))
    return [(row[0], row[1]) for row in rows]


async def drop(session: AsyncSession, project: Project) -> None:
    """The row with its statuses, labels and fields, and then its circle."""
    scope_id = project.scope_id
    await session.execute(delete(Project).where(Project.id == project.id))
    await session.execute(delete(Scope).where(Scope.id == scope_id))


async def by_id(session: AsyncSession, project_id: UUID) -> Project | None:
    """Whatever its state, and whoever asks: for jobs."""
    return await session.scalar(
        select(Project).where(Project.id == project_id).execution_options(populate_existing=True)
    )
