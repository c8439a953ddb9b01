"""The gate of one file: what somebody may not see is not there, in whichever way they ask."""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Request

from pm_api.core.actor import AccountScope, Actor
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform, get_platform
from pm_api.domains.storage.errors.files import FileNotFound
from pm_api.domains.storage.errors.places import PlaceNotFound
from pm_api.domains.storage.repository import files as repository
from pm_api.identity.api_key_access import own_scope, require_scope
from pm_api.identity.guards import Require, RequireAccount, authenticate, read_id, workspace_scope
from pm_api.identity.permissions import KeyScope

READ: Final = "file.read"
WRITE: Final = "file.write"
MANAGE: Final = "file.manage"
READS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class FileScope:
    """Somebody over one file that they see; of a workspace's, `scope.role` is theirs where the file is."""

    scope: AccountScope
    file_id: UUID


class RequireFile(Require):
    """Somebody who sees the file in the path, and whose role where it is has the permission. Files of deleted tasks
    and projects are not there, nor is what another person has not put anywhere yet. Those in the trash are.
    """

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "files")

    async def __call__(  # type: ignore[override]  # it hands on more than a workspace, or a person
        self,
        request: Request,
        file_id: Annotated[str, Path(description="The file.", json_schema_extra={"format": "uuid"})],
    ) -> FileScope:
        actor = await authenticate(request)
        try:
            wanted = UUID(file_id)
        except ValueError:
            raise FileNotFound from None
        scope = await file_scope(get_platform(request), actor, wanted, self.permission or READ)
        if request.method not in READS:
            require_scope(actor, KeyScope.FILE_WRITE)
        return FileScope(scope, wanted)


async def file_scope(platform: Platform, actor: Actor, file_id: UUID, permission: str) -> AccountScope:
    """The caller's scope over whatever the file counts for; raises FileNotFound or Forbidden."""
    assert actor.user_id is not None
    async with platform.database.reading() as session:
        account_id = await repository.account_of_seen(session, file_id, actor.user_id)
    if account_id is None:
        raise FileNotFound
    try:
        if account_id == actor.user_id:
            return own_scope(actor, KeyScope.FILE_READ, FileNotFound)
        return await workspace_scope(platform, actor, "files", file_id, permission)
    except NotFound:
        raise FileNotFound from None


class FilesInSight(RequireAccount):
    """Somebody over the files of the workspace in `workspaceId`, or without it over their own."""

    def __init__(self) -> None:
        super().__init__(READ)

    async def __call__(self, request: Request) -> AccountScope:
        return await self.of_person(request)


class FilesListed(FilesInSight):
    """The same for lists: a task or project that is named is in one workspace, which then need not be named too. One
    that the caller does not see is not there.
    """

    async def __call__(self, request: Request) -> AccountScope:
        asked = request.query_params
        if "workspaceId" in asked:
            return await self.of_person(request)
        for name, table in (("taskId", "tasks"), ("projectId", "projects")):
            if name in asked:
                actor, row_id = await authenticate(request), read_id(asked[name], name)
                try:
                    return await workspace_scope(get_platform(request), actor, table, row_id, READ)
                except NotFound:
                    raise PlaceNotFound from None
        return await self.of_person(request)


files_in_sight: Final = FilesInSight()
files_listed: Final = FilesListed()


def require_file(permission: str) -> RequireFile:
    return RequireFile(permission)
