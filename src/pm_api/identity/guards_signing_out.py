"""The gate of signing out, which also opens to whoever has nothing left but the refresh token."""

from typing import Final

from fastapi import Request

from pm_api.core.actor import Actor, ActorKind, UserScope
from pm_api.core.crypto import digest_token
from pm_api.core.errors import Unauthorized
from pm_api.core.platform import get_platform
from pm_api.identity import browser
from pm_api.identity.errors.people import InvalidRefreshToken
from pm_api.identity.guards import SignedIn, admit
from pm_api.identity.repository import people as repository

IN_BODY: Final = "refreshToken"


class Leaving(SignedIn):
    """A person with a live session: by its access token, else by a refresh token of its family, an old one too."""

    async def __call__(self, request: Request) -> UserScope:
        try:
            return await super().__call__(request)
        except Unauthorized:
            found = await self._by_refresh_token(request)
            if found is None:
                raise
            return found

    @staticmethod
    async def _by_refresh_token(request: Request) -> UserScope | None:
        """Raises OriginNotAllowed when a page of an unknown site uses the cookie."""
        platform = get_platform(request)
        try:
            token = browser.presented_token(request, platform.settings, await _token_in_body(request))
        except InvalidRefreshToken:
            return None
        async with platform.database.reading() as session:
            known = await repository.known_tokens(session, [digest_token(token)])
            session_id = known[0].session_id if known else None
            if session_id is None:
                return None
            person = await repository.live_session_user(session, session_id, platform.clock.wall())
        if person is None:
            return None
        actor = await admit(request, Actor(ActorKind.USER, person[0], session_id, is_admin=person[1]))
        return UserScope(actor, person[0])


async def _token_in_body(request: Request) -> str | None:
    try:
        content = await request.json() if await request.body() else None
    except (ValueError, RecursionError):  # the latter of what is nested too deep
        return None
    token = content.get(IN_BODY) if isinstance(content, dict) else None
    return token if isinstance(token, str) else None


leaving = Leaving()
