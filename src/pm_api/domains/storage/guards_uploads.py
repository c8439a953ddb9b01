"""The gate of uploads: where a file may go, and whose an upload is. Decided before a byte of a body is read."""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path, Request
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, Actor, WorkspaceScope
from pm_api.core.errors import MalformedBody, NotFound, ValidationFailed
from pm_api.core.platform import Platform, get_platform
from pm_api.domains.storage import rules
from pm_api.domains.storage.admission import Admission
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.files import FileIsPicture, FileNotFound, NotTheUploader
from pm_api.domains.storage.errors.places import PlaceNotFound
from pm_api.domains.storage.errors.tus import InvalidTusHeader
from pm_api.domains.storage.guards import file_scope
from pm_api.domains.storage.models import StoredFile, UploadSession
from pm_api.domains.storage.repository import files, uploads
from pm_api.domains.storage.sessions import UNDER_WAY
from pm_api.domains.storage.tus_headers import Unreadable, metadata_texts
from pm_api.identity.api_key_access import own_scope, require_scope
from pm_api.identity.errors.people import WorkspaceNotFound, role_lacks
from pm_api.identity.guards import RequireAccount, RequireAccountOf, authenticate, read_id, workspace_scope
from pm_api.identity.permissions import KeyScope, Role, allows
from pm_api.identity.repository import circles

PLACE: Final = ("workspaceId", "fileType", "taskId", "projectId", "fileId")
"""What names a place, in the address, in `Upload-Metadata` or in a JSON body."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the caller may put a file: somewhere new, or with `file_id` as a new version of that one."""

    scope: AccountScope
    file_type: FileType
    task_id: UUID | None = None
    project_id: UUID | None = None
    file_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class UploadScope:
    """Somebody over an upload of their own."""

    scope: AccountScope
    upload_id: UUID


class RequirePlace(RequireAccount):
    """Somebody who may upload to the place they name: a member with the permission there, or anybody into their own
    files when they name no workspace. What is named twice must agree.
    """

    async def __call__(self, request: Request) -> Place:  # type: ignore[override]  # with what the scope is over
        platform = get_platform(request)
        door = platform.part(Admission)
        async with door.place():
            actor = await authenticate(request)
        named = await _named(request)
        ids = {name: read_id(named[name], name) if name in named else None for name in PLACE if name != "fileType"}
        if ids["fileId"] is not None:
            async with door.place():
                return await self._version(platform, actor, ids, named)
        file_type = _file_type(named.get("fileType"))
        async with door.place():
            scope = await self._scope(platform, actor, ids, file_type)
        return Place(scope, file_type, ids["taskId"], ids["projectId"])

    async def _scope(
        self, platform: Platform, actor: Actor, ids: dict[str, UUID | None], file_type: FileType
    ) -> AccountScope:
        permission = self.permission or ""
        for name, table in (("taskId", "tasks"), ("projectId", "projects")):
            row_id = ids[name]
            if row_id is None:
                continue
            try:
                scope = await workspace_scope(platform, actor, table, row_id, permission)
            except NotFound:
                raise PlaceNotFound from None
            if ids["workspaceId"] not in (None, scope.workspace_id):
                raise PlaceNotFound
            return scope
        workspace_id = ids["workspaceId"]
        if workspace_id is not None:
            if file_type is FileType.TEMPORARY_UPLOAD:
                return await self._of_workspace(platform, actor, workspace_id)
            return await workspace_scope(platform, actor, "workspaces", workspace_id, permission)
        return own_scope(actor, KeyScope.FILE_WRITE, WorkspaceNotFound)

    async def _of_workspace(self, platform: Platform, actor: Actor, workspace_id: UUID) -> AccountScope:
        """For what has no place yet it is enough to write somewhere in the workspace: who only reads otherwise speaks
        in conversations, and what they send along begins here.
        """
        scope = await workspace_scope(platform, actor, "workspaces", workspace_id, rules.READ)
        require_scope(actor, KeyScope.FILE_WRITE)
        await _ensure_writes_somewhere(platform, scope, self.permission or "")
        return scope

    async def _version(
        self, platform: Platform, actor: Actor, ids: dict[str, UUID | None], named: dict[str, str]
    ) -> Place:
        if any(name in named for name in ("taskId", "projectId", "fileType")):
            raise ValidationFailed(
                "A new version stays where its file is: leave taskId, projectId and fileType out",
                details=[{"pointer": "/fileId", "detail": "Names a place already"}],
            )
        file_id = ids["fileId"]
        assert file_id is not None
        scope = await file_scope(platform, actor, file_id, rules.READ)
        require_scope(actor, KeyScope.FILE_WRITE)
        async with platform.database.reading() as session:
            file = await files.file(session, scope, file_id)
        if file is None:
            raise FileNotFound
        check_may_change(scope, file)
        return Place(scope, FileType(file.file_type), file.task_id, file.project_id, file.id)


def check_may_change(scope: AccountScope, file: StoredFile) -> None:
    """Raises FileIsPicture and NotTheUploader."""
    if file.file_type in rules.KEPT_BY_US:
        raise FileIsPicture
    role = getattr(scope, "role", None)
    if not rules.may_change(scope, Role(role) if role is not None else None, file):
        raise NotTheUploader


class RequireUpload(RequireAccountOf):
    """Whoever began the upload in the path. For everybody else there is none."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission, "upload_sessions")

    async def __call__(  # type: ignore[override]  # with what the scope is over
        self,
        request: Request,
        upload_id: Annotated[str, Path(description="The upload.", json_schema_extra={"format": "uuid"})],
    ) -> UploadScope:
        actor = await authenticate(request)
        try:
            wanted = UUID(upload_id)
        except ValueError:
            raise NotFound from None
        platform = get_platform(request)
        async with platform.database.reading() as session:
            found = await self._of(session, actor, wanted)
        if found.workspace_id is None:
            return UploadScope(own_scope(actor, KeyScope.FILE_WRITE, NotFound), wanted)
        return UploadScope(await self._over(platform, actor, found.workspace_id, found), wanted)

    async def _over(self, platform: Platform, actor: Actor, workspace_id: UUID, found: UploadSession) -> AccountScope:
        """Who has left the workspace, does not see the place any more, or may not write there, brings nothing there.
        What has ended is still told of, without a file that they do not see.
        """
        permission = self.permission or ""
        require_scope(actor, KeyScope.FILE_WRITE)
        try:
            scope = await file_scope(platform, actor, found.file_id, rules.READ)
        except FileNotFound:
            if found.state in UNDER_WAY:
                raise NotFound from None
        else:
            await self._ensure_writes(platform, scope, found.file_id)
            return scope
        try:
            return await workspace_scope(platform, actor, "workspaces", workspace_id, permission)
        except WorkspaceNotFound:
            raise NotFound from None

    async def _ensure_writes(self, platform: Platform, scope: AccountScope, file_id: UUID) -> None:
        """Raises Forbidden. Of what has no place yet its place will ask again."""
        permission = self.permission or ""
        if not isinstance(scope, WorkspaceScope) or allows(scope.role, permission):
            return
        async with platform.database.reading() as session:
            file = await files.file(session, scope, file_id)
        if file is None or file.file_type != FileType.TEMPORARY_UPLOAD:
            raise role_lacks(scope.role, permission)
        await _ensure_writes_somewhere(platform, scope, permission)

    @staticmethod
    async def _of(session: AsyncSession, actor: Actor, upload_id: UUID) -> UploadSession:
        assert actor.user_id is not None
        found = await uploads.upload_of(session, actor.user_id, upload_id)
        if found is None:
            raise NotFound
        return found


async def _ensure_writes_somewhere(platform: Platform, scope: WorkspaceScope, permission: str) -> None:
    """Raises Forbidden where neither the workspace nor a circle of it lets them."""
    if allows(scope.role, permission):
        return
    async with platform.database.reading() as session:
        roles = await circles.own_roles(session, scope.workspace_id, scope.user_id)
    if not any(allows(one, permission) for one in roles):
        raise role_lacks(scope.role, permission)


def require_place(permission: str) -> RequirePlace:
    return RequirePlace(permission)


def require_upload(permission: str = "file.write") -> RequireUpload:
    return RequireUpload(permission)


def read_metadata(header: str) -> dict[str, str]:
    """What `Upload-Metadata` of tus says in text; raises InvalidTusHeader."""
    try:
        return metadata_texts(header)
    except Unreadable as unreadable:
        raise InvalidTusHeader(str(unreadable)) from None


async def _named(request: Request) -> dict[str, str]:
    """What the caller names of a place, wherever they name it."""
    sources: list[dict[str, Any]] = [dict(request.query_params)]
    header = request.headers.get("upload-metadata")
    if header is not None:
        sources.append(read_metadata(header))
    # Only where the route takes JSON: anything else may be a file, of which nothing is read before the gate.
    if getattr(request.scope.get("route"), "body_field", None) is not None:
        sources.append(await _json(request))
    found: dict[str, str] = {}
    for source in sources:
        for name in PLACE:
            value = source.get(name)
            if value is None:
                continue
            if name in found and found[name].lower() != str(value).lower():
                raise ValidationFailed(
                    f"{name} is named twice, and differs",
                    details=[{"pointer": f"/{name}", "detail": "Differs from what the address or a header says"}],
                )
            found[name] = str(value)
    return found


async def _json(request: Request) -> dict[str, Any]:
    try:
        content = await request.json() if await request.body() else None
    except (ValueError, RecursionError):
        raise MalformedBody from None
    return content if isinstance(content, dict) else {}


def _file_type(raw: str | None) -> FileType:
    if raw is None:
        return FileType.TEMPORARY_UPLOAD
    try:
        return FileType(raw)
    except ValueError:
        raise ValidationFailed(
            "fileType is not known",
            details=[{"pointer": "/fileType", "detail": f"Input should be one of {', '.join(FileType)}"}],
        ) from None
