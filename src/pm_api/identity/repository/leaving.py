"""Queries for a person who goes: where they belong, and what opens their account."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from pm_api.core.db import Base
from pm_api.identity.enums import SecurityEventKind
from pm_api.identity.models.credentials import ApiKey
from pm_api.identity.models.people import AuditEntry, Member, User, UserSession, Workspace
from pm_api.identity.models.sign_in import SecurityEvent

CREDENTIALS = ("external_identities", "oauth_attempts", "email_tokens", "recovery_codes", "second_factors")
"""Tables by name whose rows let somebody in, or could."""


MOVED = ("previousEmail", "newEmail")
"""Where the event of a move holds addresses."""
ADDRESSES = {"email_tokens": ("email", "previous_email"), "external_identities": ("email",)}


class Place(NamedTuple):
    """A workspace somebody belongs to, and who else does."""

    workspace_id: UUID
    name: str
    deleted_at: datetime | None
    member_id: UUID
    role: str
    members: int
    owners: int

    @property
    def is_closed_with_them(self) -> bool:
        """Nobody else is there; or it is deleted, and nobody else could restore it."""
        return self.members == 1 or (self.deleted_at is not None and self.is_last_owner)

    @property
    def is_last_owner(self) -> bool:
        return self.role == "OWNER" and self.owners == 1


async def places(session: AsyncSession, user_id: UUID) -> list[Place]:
    """All workspaces of a person, deleted ones too, by id."""
    everybody = aliased(Member)
    owners = func.count().filter(everybody.role == "OWNER")
    rows = await session.execute(
        select(Workspace.id, Workspace.name, Workspace.deleted_at, Member.id, Member.role, func.count(), owners)
        .join(Member, Member.workspace_id == Workspace.id)
        .join(everybody, everybody.workspace_id == Workspace.id)
        .where(Member.user_id == user_id)
        .group_by(Workspace.id, Member.id)
        .order_by(Workspace.id)
    )
    return [Place(*row) for row in rows]


async def lock_person(session: AsyncSession, user_id: UUID) -> User | None:
    """A person as committed now, held; after the locks of workspaces."""
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    return await session.scalar(select(User).where(User.id == user_id).execution_options(populate_existing=True))


async def session_began(session: AsyncSession, session_id: UUID) -> datetime | None:
    """When somebody signed in to this session."""
    return await session.scalar(select(UserSession.created_at).where(UserSession.id == session_id))


async def former_addresses(session: AsyncSession, user_id: UUID) -> list[str]:
    """Other addresses of a person, as far as they are known: what they had before, and at other providers. Links are
    forgotten within days; what happened at the door is known for a year. Of it only what they moved to: an address
    that was asked for and never proved may be somebody else's.
    """
    found: set[str] = set()
    for name, columns in ADDRESSES.items():
        table = Base.metadata.tables[name]
        rows = await session.execute(select(*(table.c[one] for one in columns)).where(table.c.user_id == user_id))
        found |= {one for row in rows for one in row if one}
    moves = await session.scalars(
        select(SecurityEvent.details).where(
            SecurityEvent.user_id == user_id, SecurityEvent.kind == SecurityEventKind.EMAIL_CHANGED
        )
    )
    found |= {one[name] for one in moves for name in MOVED if one.get(name)}
    return sorted(found)


async def drop_credentials(session: AsyncSession, user_id: UUID) -> None:
    """Ways to sign in beside the password."""
    for name in CREDENTIALS:
        table = Base.metadata.tables[name]
        await session.execute(delete(table).where(table.c.user_id == user_id))


async def key_ids(session: AsyncSession, user_id: UUID) -> list[UUID]:
    return list(await session.scalars(select(ApiKey.id).where(ApiKey.user_id == user_id)))


class Closing(NamedTuple):
    deleted_at: datetime
    workspace_id: UUID


async def to_close(
    session: AsyncSession, deleted_before: datetime, after: Closing | None, limit: int
) -> list[Closing]:
    """Workspaces that nobody can restore any more and that are not closed; the page after a place."""
    statement = select(Workspace.deleted_at, Workspace.id).where(
        Workspace.deleted_at < deleted_before, Workspace.closed_at.is_(None)
    )
    if after is not None:
        statement = statement.where(tuple_(Workspace.deleted_at, Workspace.id) > after)
    rows = await session.execute(statement.order_by(Workspace.deleted_at, Workspace.id).limit(limit))
    return [Closing(*row) for row in rows]  # type: ignore[arg-type]  # all have a moment


async def mark_closed(session: AsyncSession, workspace_id: UUID, now: datetime) -> None:
    await session.execute(
        update(Workspace)
        .where(Workspace.id == workspace_id, Workspace.deleted_at.is_not(None), Workspace.closed_at.is_(None))
        .values(closed_at=now)
    )


async def anonymise_workspaces(session: AsyncSession, workspace_ids: Collection[UUID], now: datetime) -> None:
    """Workspaces that went with their only member tell nothing of who that was."""
    for workspace_id in workspace_ids:
        await session.execute(
            update(Workspace)
            .where(Workspace.id == workspace_id, Workspace.deleted_at.is_not(None))
            .values(
                name="Deleted workspace",
                slug=f"deleted-{workspace_id.hex}",
                description=None,
                logo=None,
                version=Workspace.version + 1,
                updated_at=now,
            )
        )


def audit_about(workspace_ids: Collection[UUID], user_id: UUID) -> Iterator[ColumnElement[bool]]:
    """Where the log may name a person: in the places they were in, and what they did and what was done to them that
    belongs to none.
    """
    yield AuditEntry.workspace_id.in_(workspace_ids)
    yield AuditEntry.workspace_id.is_(None) & (
        (AuditEntry.actor_user_id == user_id) | (AuditEntry.subject_id == str(user_id))
    )
