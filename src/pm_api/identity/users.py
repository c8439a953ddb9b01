"""Users: who may sign in, what they say of themselves, and who they stop being."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.errors import Unauthorized
from pm_api.core.http import check_version
from pm_api.core.paging import MAX_LIMIT
from pm_api.core.personal import DELETED_USER
from pm_api.core.platform import Platform
from pm_api.identity import pictures
from pm_api.identity.errors.people import EmailTaken
from pm_api.identity.models.people import User
from pm_api.identity.passwords import Passwords, refuse_weak
from pm_api.identity.permissions import KeyScope, Role
from pm_api.identity.repository import leaving as leaving_rows
from pm_api.identity.repository import people as repository
from pm_api.identity.schemas.people import MeAnswer, MembershipRead, UserRead, normalised_email

DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"
DEFAULT_THEME: Final = "SYSTEM"
NOWHERE: Final = "erased.invalid"
"""RFC 2606: a domain that nobody has, so that no mail can go there and no one can register it."""


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


async def describe(session: AsyncSession, platform: Platform, scope: UserScope) -> MeAnswer:
    """A signed-in user, with what they have signed in, and their place in each workspace; for a key of one workspace
    that place alone.
    """
    user_id, key = scope.user_id, scope.actor.api_key
    user = await repository.user_by_id(session, user_id)
    assert user is not None, "the guard has found their session"
    bound_to = key.workspace_id if key is not None else None
    if bound_to is None:
        places = await repository.workspaces_of(session, user_id, limit=MAX_LIMIT)
    else:
        place = await repository.membership(session, bound_to, user_id)
        places = [place] if place is not None else []
    return MeAnswer(
        user_id=user_id,
        user=read(platform, user) if bound_to is None else None,
        api_key_id=key.id if key is not None else None,
        scopes=sorted(KeyScope(one) for one in key.scopes) if key is not None else None,
        workspaces=[
            MembershipRead(id=workspace.id, name=workspace.name, slug=workspace.slug, role=Role(member.role))
            for workspace, member in places
        ],
    )


async def change(
    session: AsyncSession, platform: Platform, user_id: UUID, values: dict[str, Any], expected_version: int | None
) -> tuple[User, list[str]]:
    """Write what somebody says of themselves: the user, and what of it has changed. Raises PreconditionFailed."""
    user = await leaving_rows.lock_person(session, user_id)
    if user is None or user.erased_at is not None:  # since the guard has looked
        raise Unauthorized("This session has ended.")
    check_version(user.version, expected_version)
    changed = [name for name, value in values.items() if getattr(user, name) != value]
    for name in changed:
        setattr(user, name, values[name])
    if changed:
        touch(user, platform.clock.now())
    return user, changed


def read(platform: Platform, user: User) -> UserRead:
    """Somebody as they see themselves."""
    address = pictures.address_of(platform, user.avatar)
    return UserRead.model_validate(user).model_copy(update={"avatar": address})


def touch(user: User, now: datetime) -> None:
    user.version += 1
    user.updated_at = now


def anonymise(user: User, now: datetime) -> None:
    """The row stays, because books point at it; who it was does not. The address is free for a new account."""
    user.email = f"{user.id.hex}@{NOWHERE}"
    user.name = DELETED_USER
    user.job_title = user.about = user.avatar = user.password_hash = None
    user.email_verified_at = user.deletes_at = None
    user.is_admin = False
    user.locale, user.time_zone, user.theme = DEFAULT_LOCALE, DEFAULT_TIME_ZONE, DEFAULT_THEME
    user.erased_at = now
    touch(user, now)
