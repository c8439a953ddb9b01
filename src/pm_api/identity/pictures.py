"""Where people's pictures and workspaces' marks are found. Rows hold a path, written by storage; the wire tells a
whole address, so that a page of another site can show it.
"""

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.errors import Unauthorized
from pm_api.core.platform import Platform
from pm_api.identity.models.people import User
from pm_api.identity.repository import leaving
from pm_api.identity.repository import people as repository


class Shown(Protocol):
    """Somebody on the wire (`schemas.pictured.Pictured`)."""

    @property
    def id(self) -> UUID: ...

    avatar: str | None


def address_of(platform: Platform, path: str | None) -> str | None:
    """The whole address of a picture, None without one."""
    return platform.settings.public_url.rstrip("/") + path if path is not None else None


async def put_in(session: AsyncSession, platform: Platform, people: Iterable[Shown | None]) -> None:
    """Put the pictures of people beside their names: one query, none for nobody."""
    shown = [one for one in people if one is not None]
    if not shown:
        return
    paths = await repository.avatars(session, {one.id for one in shown})
    for one in shown:
        one.avatar = address_of(platform, paths.get(one.id))


async def set_avatar(session: AsyncSession, platform: Platform, scope: UserScope, path: str | None) -> User | None:
    """Somebody's picture from now on, their row held; None when it is what they had. Raises Unauthorized for who has
    gone since the guard looked.
    """
    user = await leaving.lock_person(session, scope.user_id)
    if user is None or user.erased_at is not None:
        raise Unauthorized("This session has ended.")
    if user.avatar == path:
        return None
    user.avatar = path
    user.version += 1
    user.updated_at = platform.clock.now()
    return user
