"""Users: who may sign in."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.paging import MAX_LIMIT
from pm_api.core.platform import Platform
from pm_api.identity import repository
from pm_api.identity.errors import EmailTaken
from pm_api.identity.models import User
from pm_api.identity.passwords import Passwords, refuse_weak
from pm_api.identity.permissions import Role
from pm_api.identity.schemas import MeAnswer, MembershipRead, UserRead, normalised_email

DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"


async def hash_password(platform: Platform, password: str, *, email: str, name: str) -> str:
    """The hash to store; raises WeakPassword. Call it before opening a transaction: it takes its time."""
    refuse_weak(password, email=email, name=name)
    return await platform.part(Passwords).hash(password)


async def create(
    session: AsyncSession,
    platform: Platform,
    *,
    email: str,
    name: str,
    password_hash: str | None,
    locale: str = DEFAULT_LOCALE,
    time_zone: str = DEFAULT_TIME_ZONE,
    is_admin: bool = False,
) -> User:
    """A new user under the normalised address; raises EmailTaken, also when two register it at once."""
    now = platform.clock.now()
    user: User | None = await session.scalar(
        insert(User)
        .values(
            id=platform.randomness.uuid(),
            email=normalised_email(email),
            name=name,
            password_hash=password_hash,
            is_admin=is_admin,
            locale=locale,
            time_zone=time_zone,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User)
    )
    if user is None:
        raise EmailTaken
    return user


async def describe(session: AsyncSession, user_id: UUID) -> MeAnswer:
    """A signed-in user and their place in each workspace."""
    user = await repository.user_by_id(session, user_id)
    assert user is not None, "the guard has found their session"
    places = await repository.workspaces_of(session, user_id, limit=MAX_LIMIT)
    return MeAnswer(
        user=UserRead.model_validate(user),
        workspaces=[
            MembershipRead(id=workspace.id, name=workspace.name, slug=workspace.slug, role=Role(member.role))
            for workspace, member in places
        ],
    )
