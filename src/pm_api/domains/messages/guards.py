"""A guard for addresses that name a thing within a row: the row's id is not the last part of the path."""

from typing import Final
from uuid import UUID

from fastapi import Request

from pm_api.core.errors import NotFound
from pm_api.identity.guards import Require


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


READ: Final = "message.read"
WRITE: Final = "message.write"
MANAGE: Final = "message.manage"
