"""The gate of the stream, which browsers open without headers."""

from typing import Final

from fastapi import Request

from pm_api.core.actor import AccountScope, Actor, ActorKind, UserScope
from pm_api.core.errors import Unauthorized
from pm_api.core.platform import get_platform
from pm_api.domains.changes import service
from pm_api.domains.changes.errors import InvalidTicket, TokenInAddress
from pm_api.identity import repository
from pm_api.identity.guards import RequireAccount, admit, workspace_scope

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
            user = await repository.live_session_user(session, row.session_id, platform.clock.wall())
        if user is None:
            raise Unauthorized("This session has ended.")
        named = request.query_params.get("workspaceId")
        if named is not None and named.lower() != str(row.workspace_id):
            raise InvalidTicket
        actor = await admit(request, Actor(ActorKind.USER, row.user_id, row.session_id, is_admin=user[1]))
        if row.workspace_id is None:
            return UserScope(actor, row.user_id)
        return await workspace_scope(platform, actor, "workspaces", row.workspace_id, self.permission or "")


stream_guard = RequireStream("workspace.read")
