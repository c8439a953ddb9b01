"""Guards for addresses that name a thing within a row, whose id is not the last part of the path; and for what
everybody who reads may do for themselves.
"""

from typing import Final
from uuid import UUID

from fastapi import Request

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import NotFound
from pm_api.identity.api_key_access import require_scope
from pm_api.identity.guards import Require
from pm_api.identity.permissions import KeyScope


class RequireAtPath(Require):
    """As `require`, with the row's id at a part of the path that is named."""

    def __init__(self, permission: str, of: str, part: str) -> None:
        super().__init__(permission, of)
        self.part = part

    async def _row_id(self, request: Request) -> UUID:
        try:
            return UUID(str(request.path_params[self.part]))
        except ValueError:
            raise NotFound from None


class RequireForOneself(Require):
    """Whoever may read, over their own place there: with whom they speak, what they have read, whether they stay. A
    key that only reads does nothing of it.
    """

    async def __call__(self, request: Request) -> WorkspaceScope:
        scope = await super().__call__(request)
        require_scope(scope.actor, KeyScope.MESSAGE_WRITE)
        return scope


READ: Final = "message.read"
WRITE: Final = "message.write"
MANAGE: Final = "message.manage"
