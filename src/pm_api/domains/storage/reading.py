"""Files as they are shown: with their bytes' digests, who uploaded them and what may be done, in a fixed number of
queries.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import destinations, rules
from pm_api.domains.storage.enums import FileType, ScanState, UploadStatus
from pm_api.domains.storage.models import StoredFile, StoredObject
from pm_api.domains.storage.repository import files as repository
from pm_api.domains.storage.repository.files import Person
from pm_api.domains.storage.schemas.files import AttachedFile, FilePerson, FileRead
from pm_api.identity import pictures
from pm_api.identity.permissions import Role
from pm_api.identity.repository import circles

PATH: Final = "/api/storage/files/"


async def reads(
    session: AsyncSession, platform: Platform, scope: AccountScope, files: Sequence[StoredFile]
) -> list[FileRead]:
    """The files, all of them in the caller's sight, in their order."""
    if not files:
        return []
    objects = await repository.objects(session, {one.object_id for one in files if one.object_id is not None})
    people = await repository.people(session, {one.user_id for one in files})
    in_circles = {one.scope_id for one in files if one.scope_id is not None}
    roles = await circles.roles_in_scopes(session, scope.user_id, in_circles) if in_circles else {}
    closed = await destinations.closed(session, files)
    return [
        _shown(
            platform,
            scope,
            one,
            objects.get(one.object_id) if one.object_id is not None else None,
            people[one.user_id],
            roles.get(one.scope_id) if one.scope_id is not None else _role(scope),
            is_closed=one.id in closed,
        )
        for one in files
    ]


async def read(session: AsyncSession, platform: Platform, scope: AccountScope, file: StoredFile) -> FileRead:
    [found] = await reads(session, platform, scope, [file])
    return found


def person(platform: Platform, user_id: UUID, found: Person) -> FilePerson:
    """Somebody with the whole address of their picture."""
    return FilePerson(id=user_id, name=found.name, avatar=pictures.address_of(platform, found.avatar))


def attached(file: StoredFile) -> AttachedFile:
    """Beside what it is attached to, of which the caller was found to see it."""
    address = f"{PATH}{file.id}"
    return AttachedFile(
        id=file.id,
        original_name=file.original_name,
        file_size=file.size_bytes,
        mime_type=file.media_type,
        upload_status=UploadStatus(file.status),
        content_url=f"{address}/content" if rules.is_served(file) else None,
        thumbnail_url=f"{address}/thumbnail" if rules.has_thumbnail(file) else None,
    )


def _role(scope: AccountScope) -> Role | None:
    return Role(scope.role) if isinstance(scope, WorkspaceScope) else None


def _shown(
    platform: Platform,
    scope: AccountScope,
    file: StoredFile,
    stored: StoredObject | None,
    uploader: Person,
    role: Role | None,
    *,
    is_closed: bool,
) -> FileRead:
    address = f"{PATH}{file.id}"
    state = ScanState(stored.scan_state) if stored is not None else ScanState.NOT_SCANNED
    return FileRead(
        id=file.id,
        workspace_id=file.workspace_id,
        user_id=file.user_id,
        uploaded_by=person(platform, file.user_id, uploader),
        original_name=file.original_name,
        file_size=file.size_bytes,
        mime_type=file.media_type,
        declared_mime_type=file.declared_type,
        file_type=FileType(file.file_type),
        task_id=file.task_id,
        project_id=file.project_id,
        message_id=file.message_id,
        upload_status=UploadStatus(file.status),
        checksum_md5=stored.md5.hex() if stored is not None else None,
        checksum_sha256=stored.sha256.hex() if stored is not None else None,
        is_temporary=file.is_temporary,
        expires_at=file.expires_at,
        deleted_at=file.deleted_at,
        purge_at=file.purge_at,
        version_number=file.version_number,
        scanned=state is ScanState.CLEAN,
        scan_state=state,
        scanned_at=stored.scanned_at if stored is not None else None,
        width=stored.width if stored is not None else None,
        height=stored.height if stored is not None else None,
        content_url=f"{address}/content" if rules.is_served(file) else None,
        thumbnail_url=f"{address}/thumbnail" if rules.has_thumbnail(file) else None,
        allowed_actions=rules.actions(scope, role, file, is_closed=is_closed),
        version=file.version,
        created_at=file.created_at,
        updated_at=file.updated_at,
    )
