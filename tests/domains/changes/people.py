"""People and places written straight into the tables: these tests are about feeds, not about signing up."""

from dataclasses import dataclass, field
from uuid import UUID

from pm_api.core.actor import Actor, ActorKind, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.identity import sessions
from pm_api.identity.models.people import Member, Scope, ScopeMember, User, UserSession, Workspace
from pm_api.identity.tokens import AccessTokens, refresh_expiry


@dataclass(frozen=True)
class Caller:
    """A signed-in user."""

    id: UUID
    session_id: UUID
    token: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.USER, self.id, self.session_id)

    @property
    def scope(self) -> UserScope:
        return UserScope(self.actor, self.id)

    def within(self, workspace_id: UUID, role: str = "MEMBER") -> WorkspaceScope:
        return WorkspaceScope(self.actor, workspace_id, self.id, role)


async def new_caller(platform: Platform) -> Caller:
    now = platform.clock.now()
    user_id, session_id = platform.randomness.uuid(), platform.randomness.uuid()
    async with platform.database.transaction() as session:
        session.add(
            User(
                id=user_id,
                email=f"{user_id.hex}@example.com",
                name="Somebody",
                locale="en",
                time_zone="UTC",
                created_at=now,
                updated_at=now,
            )
        )
        await session.flush()
        session.add(
            UserSession(
                id=session_id,
                user_id=user_id,
                created_at=now,
                last_used_at=now,
                expires_at=refresh_expiry(platform.clock.wall()),
                user_agent="tests",
                address="127.0.0.1",
            )
        )
    token = platform.part(AccessTokens).issue(user_id, session_id)
    return Caller(user_id, session_id, token, {"Authorization": f"Bearer {token}"})


async def new_workspace(platform: Platform, *people: Caller) -> UUID:
    """The first of `people` owns it."""
    now = platform.clock.now()
    workspace_id = platform.randomness.uuid()
    async with platform.database.transaction() as session:
        session.add(Workspace(id=workspace_id, name="Place", slug=workspace_id.hex, created_at=now, updated_at=now))
        await session.flush()
        for number, person in enumerate(people):
            session.add(
                Member(
                    id=platform.randomness.uuid(),
                    workspace_id=workspace_id,
                    user_id=person.id,
                    role="MEMBER" if number else "OWNER",
                    joined_at=now,
                )
            )
    return workspace_id


async def new_scope(platform: Platform, workspace_id: UUID, *people: Caller) -> UUID:
    """A circle smaller than the workspace."""
    scope_id = platform.randomness.uuid()
    async with platform.database.transaction() as session:
        session.add(Scope(id=scope_id, workspace_id=workspace_id))
        await session.flush()
        session.add_all(ScopeMember(scope_id=scope_id, user_id=person.id) for person in people)
    return scope_id


async def end_session(platform: Platform, person: Caller) -> None:
    async with platform.database.transaction() as session:
        await sessions.end(session, platform, user_id=person.id, session_id=person.session_id, reason="test")
