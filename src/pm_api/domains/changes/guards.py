"""The gate of the stream, which browsers open without headers."""

from datetime import datetime
from typing import Final

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, Actor, ActorKind
from pm_api.core.errors import NotFound, Unauthorized
from pm_api.core.platform import get_platform
from pm_api.domains.changes import service
from pm_api.domains.changes.errors import InvalidTicket, TokenInAddress
from pm_api.domains.changes.models import StreamTicket
from pm_api.identity.api_key_access import actor_of_key, own_scope
from pm_api.identity.guards import RequireAccount, admit, workspace_scope
from pm_api.identity.permissions import scope_of_permission
from pm_api.identity.repository import people as repository

TOKEN_NAMES: Final = frozenset({"access_token", "accesstoken", "token", "authorization", "jwt", "bearer"})


class RequireStream(RequireAccount):
    """A bearer token, or `?ticket=`: once, for the user, session and workspace it was given to."""

    async def __call__(self, request: Request) -> AccountScope:
        if any(name.lower() in TOKEN_NAMES for name in request.query_params):
            raise TokenInAddress
        ticket = request.query_params.get("ticket")
        if ticket is None:
            return await self.of_person(request)
        return await self._by_ticket(request, ticket)

    async def _by_ticket(self, request: Request, ticket: str) -> AccountScope:
        platform = get_platform(request)
        async with platform.database.transaction() as session:
            row = await service.redeem_ticket(session, platform, ticket)
            holder = await self._holder(session, row, platform.clock.wall())
        if holder is None:
            raise Unauthorized("The session or API key this ticket was given to has ended.")
        named = request.query_params.get("workspaceId")
        if named is not None and named.lower() != str(row.workspace_id):
            raise InvalidTicket
        actor = await admit(request, holder)
        if row.workspace_id is None:
            return own_scope(actor, scope_of_permission(self.permission or ""), NotFound)
        return await workspace_scope(platform, actor, "workspaces", row.workspace_id, self.permission or "")

    @staticmethod
    async def _holder(session: AsyncSession, row: StreamTicket, now: datetime) -> Actor | None:
        """Whoever the ticket was given to, if what they showed then is still good."""
        if row.api_key_id is not None:
            return await actor_of_key(session, row.api_key_id, now)
        if row.session_id is None:
            return None
        user = await repository.live_session_user(session, row.session_id, now)
        return Actor(ActorKind.USER, row.user_id, row.session_id, is_admin=user[1]) if user is not None else None


stream_guard = RequireStream("workspace.read")
