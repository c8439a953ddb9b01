"""Queries of the team."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.actor import WorkspaceScope
from pm_api.domains.team.enums import InvitationStatus
from pm_api.domains.team.models import Invitation
from pm_api.identity.models.people import Member, User, Workspace

# Written out: a statement that is prepared for any status cannot use an index of one.
_PENDING = Invitation.status == literal_column("'PENDING'")


@dataclass(frozen=True, slots=True)
class Shown:
    """An invitation with the names that stand in its letter."""

    invitation: Invitation
    workspace: Workspace
    inviter_name: str


@dataclass(frozen=True, slots=True)
class InvitedPerson:
    """Somebody who is here already, and what stands in what they are told."""

    invitation_id: UUID
    letter_id: UUID
    user_id: UUID
    inviter_name: str
    workspace_name: str


async def by_token(session: AsyncSession, token_hash: bytes) -> Shown | None:
    return await _shown(session, Invitation.token_hash == token_hash)


async def by_letter(session: AsyncSession, letter_id: UUID) -> Shown | None:
    return await _shown(session, Invitation.letter_id == letter_id)


async def _shown(session: AsyncSession, condition: ColumnElement[bool]) -> Shown | None:
    row = (
        await session.execute(
            select(Invitation, Workspace, User.name)
            .join(Workspace, Workspace.id == Invitation.workspace_id)
            .join(User, User.id == Invitation.invited_by)
            .where(condition)
        )
    ).one_or_none()
    return Shown(row[0], row[1], row[2]) if row else None


async def invitation(
    session: AsyncSession, scope: WorkspaceScope, invitation_id: UUID
) -> tuple[Invitation, str] | None:
    """With the name of who invites, as committed now."""
    row = (
        await session.execute(
            select(Invitation, User.name)
            .join(User, User.id == Invitation.invited_by)
            .where(Invitation.id == invitation_id, Invitation.workspace_id == scope.workspace_id)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def locked(session: AsyncSession, invitation_id: UUID) -> Invitation | None:
    """As it is now. The workspace's lock is held, which all changes of its invitations take first."""
    await session.execute(select(Invitation.id).where(Invitation.id == invitation_id).with_for_update())
    return await session.scalar(
        select(Invitation).where(Invitation.id == invitation_id).execution_options(populate_existing=True)
    )


async def open_by_email(session: AsyncSession, workspace_id: UUID, emails: Collection[str]) -> dict[str, Invitation]:
    """Those that wait for an answer or have expired without one."""
    rows = await session.scalars(
        select(Invitation)
        .where(Invitation.workspace_id == workspace_id, Invitation.email.in_(emails), _PENDING)
        .execution_options(populate_existing=True)
    )
    return {row.email: row for row in rows}


async def count_open(session: AsyncSession, workspace_id: UUID, now: datetime) -> int:
    found = await session.scalar(
        select(func.count())
        .select_from(Invitation)
        .where(Invitation.workspace_id == workspace_id, _PENDING, Invitation.expires_at > now)
    )
    return found or 0


async def member_emails(session: AsyncSession, workspace_id: UUID, emails: Collection[str]) -> set[str]:
    """Of these addresses, those of members."""
    rows = await session.scalars(
        select(User.email)
        .join(Member, Member.user_id == User.id)
        .where(Member.workspace_id == workspace_id, User.email.in_(emails))
    )
    return set(rows)


def _stands(status: InvitationStatus, now: datetime) -> ColumnElement[bool]:
    if status is InvitationStatus.PENDING:
        return and_(_PENDING, Invitation.expires_at > now)
    if status is InvitationStatus.EXPIRED:
        return and_(_PENDING, Invitation.expires_at <= now)
    return Invitation.status == status


async def invitations_of(
    session: AsyncSession,
    scope: WorkspaceScope,
    now: datetime,
    *,
    status: InvitationStatus | None,
    prefix: str | None,
    role: str | None,
    limit: int,
    after: UUID | None,
) -> Sequence[tuple[Invitation, str]]:
    """A page of a workspace's invitations by id, newest first, with the names of who invited."""
    statement = (
        select(Invitation, User.name)
        .join(User, User.id == Invitation.invited_by)
        .where(Invitation.workspace_id == scope.workspace_id)
    )
    if status is not None:
        statement = statement.where(_stands(status, now))
    if prefix:
        statement = statement.where(Invitation.email.startswith(prefix.lower(), autoescape=True))
    if role is not None:
        statement = statement.where(Invitation.role == role)
    if after is not None:
        statement = statement.where(Invitation.id < after)
    rows = await session.execute(statement.order_by(Invitation.id.desc()).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def invited_people(session: AsyncSession, invitation_ids: Collection[UUID]) -> list[InvitedPerson]:
    """Of these invitations, those to whoever has an account with that address, and has proved it."""
    inviter = aliased(User)
    rows = await session.execute(
        select(Invitation.id, Invitation.letter_id, User.id, inviter.name, Workspace.name)
        .join(User, User.email == Invitation.email)
        .join(inviter, inviter.id == Invitation.invited_by)
        .join(Workspace, Workspace.id == Invitation.workspace_id)
        .where(Invitation.id.in_(invitation_ids), User.email_verified_at.is_not(None))
        .order_by(User.id)
    )
    return [InvitedPerson(*row) for row in rows]


# --- what people leave behind, and what is forgotten -----------------------------------------------------------


async def count_sent_by(session: AsyncSession, workspace_id: UUID, user_id: UUID, now: datetime) -> int:
    found = await session.scalar(
        select(func.count())
        .select_from(Invitation)
        .where(
            Invitation.workspace_id == workspace_id,
            Invitation.invited_by == user_id,
            _PENDING,
            Invitation.expires_at > now,
        )
    )
    return found or 0


async def reassign(
    session: AsyncSession, workspace_id: UUID, user_id: UUID, to_user_id: UUID, now: datetime
) -> list[Invitation]:
    """Those that wait go out under another's name from now on."""
    rows = await session.scalars(
        update(Invitation)
        .where(
            Invitation.workspace_id == workspace_id,
            Invitation.invited_by == user_id,
            _PENDING,
            Invitation.expires_at > now,
        )
        .values(invited_by=to_user_id, version=Invitation.version + 1, updated_at=now)
        .returning(Invitation)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def forget_old(session: AsyncSession, before: datetime, *, limit: int) -> int:
    """Invitations answered, withdrawn or run out before then; returns how many."""
    over = or_(Invitation.decided_at < before, and_(_PENDING, Invitation.expires_at < before))
    old = select(Invitation.id).where(over).order_by(Invitation.id).limit(limit).with_for_update(skip_locked=True)
    gone = await session.scalars(delete(Invitation).where(Invitation.id.in_(old)).returning(Invitation.id))
    return len(gone.all())


async def forget_addresses(session: AsyncSession, emails: Collection[str]) -> int:
    gone = await session.scalars(delete(Invitation).where(Invitation.email.in_(emails)).returning(Invitation.id))
    return len(gone.all())


# --- receivers -------------------------------------------------------------------------------------------------


async def receivers(
    session: AsyncSession, scope: WorkspaceScope, member_ids: Collection[UUID] | None, *, limit: int
) -> Sequence[tuple[UUID, UUID]]:
    """(membership id, user id) of those named, or of all members; by membership."""
    statement = select(Member.id, Member.user_id).where(Member.workspace_id == scope.workspace_id)
    if member_ids is not None:
        statement = statement.where(Member.id.in_(member_ids))
    rows = await session.execute(statement.order_by(Member.id).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def names(session: AsyncSession, scope: WorkspaceScope) -> tuple[str, str] | None:
    """(the caller's name, the workspace's), as long as the one belongs to the other."""
    row = (
        await session.execute(
            select(User.name, Workspace.name)
            .select_from(Member)
            .join(User, User.id == Member.user_id)
            .join(Workspace, Workspace.id == Member.workspace_id)
            .where(Member.user_id == scope.user_id, Member.workspace_id == scope.workspace_id)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None
