"""One file and lists of them: read, named anew, put somewhere."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.search import service as search
from pm_api.domains.search.enums import Kind
from pm_api.domains.storage import destinations, naming, objects, quotas, reading, rules, telling
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.destinations import Destination, destination, place_of
from pm_api.domains.storage.enums import FileType, UploadStatus
from pm_api.domains.storage.errors.files import (
    FileInTrash,
    FileIsPicture,
    FileNotFound,
    FileNotReady,
    InvalidFileName,
    NotTheUploader,
)
from pm_api.domains.storage.errors.places import NotAPlaceForFiles
from pm_api.domains.storage.models import StoredFile
from pm_api.domains.storage.repository import files as repository
from pm_api.domains.storage.repository import versions as version_rows
from pm_api.domains.storage.repository.files import Wanted
from pm_api.domains.storage.schemas.files import FileRead, FilesAnswer, FileUpdate
from pm_api.identity.permissions import Role
from pm_api.identity.repository import circles

LISTED: Final = "files"
NOT_READY: Final = {
    UploadStatus.UPLOADING: "The file is still being uploaded. Cancel its upload, or delete it with permanent=true, "
    "if it is not to come.",
    UploadStatus.VIRUS_SCAN_PENDING: "The file waits for the virus scanner, and is given out once it is found clean.",
    UploadStatus.VIRUS_DETECTED: "The virus scanner found something harmful in the file: it is not given out.",
    UploadStatus.FAILED: "There are no bytes: the upload came to nothing, or they were lost. Upload the file again.",
}


async def get(session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID) -> FileRead:
    """Raises FileNotFound."""
    return await reading.read(session, platform, scope, await found(session, scope, file_id))


async def found(session: AsyncSession, scope: AccountScope, file_id: UUID) -> StoredFile:
    """One that the caller sees; raises FileNotFound."""
    file = await repository.file(session, scope, file_id)
    if file is None:
        raise FileNotFound
    return file


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, wanted: Wanted, page: PageRequest
) -> FilesAnswer:
    """What the caller sees of a workspace's files, or their own, newest first. Raises InvalidCursor."""
    filters: dict[str, object] = {
        "account": account_of(scope).id,
        "user": scope.user_id,
        "task": wanted.task_id,
        "project": wanted.project_id,
        "type": wanted.file_type,
        "status": wanted.status,
        "trashed": wanted.is_trashed,
        "q": wanted.words,
    }
    key = platform.cursors.decode(page.cursor, of=LISTED, **filters)
    rows = await repository.page(
        session,
        scope,
        await _looked_for(session, scope, wanted),
        before=UUID(key[0]) if key is not None else None,
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return FilesAnswer(
        files=await reading.reads(session, platform, scope, shown),
        next_cursor=platform.cursors.encode(following, of=LISTED, **filters),
    )


async def change(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_id: UUID,
    wanted: FileUpdate,
    expected_version: int | None,
) -> FileRead:
    """Name it anew, put it somewhere, or both. Raises FileNotFound, NotTheUploader, FileIsPicture, FileInTrash,
    InvalidFileName, FileNotReady, PreconditionFailed, and what the places refuse, the old one and the new.
    """
    sent = wanted.model_fields_set
    name = wanted.original_name
    if "original_name" in sent and (name is None or not naming.is_clean(name)):
        raise InvalidFileName(details=[{"pointer": "/originalName", "detail": "Not the name of one file"}])
    place = await _place_wanted(session, platform, scope, wanted)
    file = await held(session, platform, scope, file_id, expected_version)
    if file.deleted_at is not None:
        raise FileInTrash
    before = _standing(file)
    if name is not None:
        file.original_name = name
    if place is not None:
        await put(session, platform, file, place, FileType(str(wanted.file_type)), actor_user_id=scope.user_id)
    if _standing(file) != before:
        touch(platform, file)
        await session.flush()
        await telling.told(session, platform, file, "updated", actor_user_id=scope.user_id)
    return await reading.read(session, platform, scope, file)


async def held(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_id: UUID,
    expected_version: int | None = None,
    *,
    for_good: bool = False,
) -> StoredFile:
    """A file that the caller may change, held with its account's counters until the transaction ends. Raises
    FileNotFound, FileIsPicture, NotTheUploader, PreconditionFailed, and what a place refuses that can only be read;
    what lies in its trash may go `for_good`, as it would by itself.
    """
    await quotas.hold(session, platform, account_of(scope))
    file = await repository.file(session, scope, file_id, lock=True)
    if file is None:
        raise FileNotFound
    await ensure_may_change(session, scope, file)
    if not (for_good and file.deleted_at is not None):
        await destinations.ensure_open(session, file)
    check_version(file.version, expected_version)
    return file


async def ensure_may_change(session: AsyncSession, scope: AccountScope, file: StoredFile) -> None:
    """Raises FileIsPicture for what has an address of its own, NotTheUploader for what is others'."""
    if file.file_type in rules.KEPT_BY_US:
        raise FileIsPicture
    if not rules.may_change(scope, await role_at(session, scope, file), file):
        raise NotTheUploader


async def role_at(session: AsyncSession, scope: AccountScope, file: StoredFile) -> Role | None:
    """What the caller is where the file is."""
    if not isinstance(scope, WorkspaceScope):
        return None
    if file.scope_id is None:
        return Role(scope.role)
    return (await circles.roles_in_scopes(session, scope.user_id, {file.scope_id})).get(file.scope_id)


async def put(
    session: AsyncSession,
    platform: Platform,
    file: StoredFile,
    place: Destination,
    file_type: FileType,
    *,
    actor_user_id: UUID,
) -> None:
    """Put a held file somewhere: it stays, is seen by whoever sees the place, and counts under its new type. Raises
    FileNotReady, and TooManyFilesHere where it was not before. Whoever calls counts its version up and tells of it.
    """
    if file.status not in rules.PLACED:
        raise not_ready(file)
    stays = (file.file_type, place_of(file)) == (file_type, place)
    if not stays:
        await destinations.ensure_room(session, place.task_id)
        left = telling.passage_of(file, has_come=False, actor_user_id=actor_user_id)
        await destinations.passed(session, platform, FileType(file.file_type), left)
    before = file.scope_id
    file.scope_id, file.task_id = place.scope_id, place.task_id
    file.project_id, file.message_id = place.project_id, place.message_id
    file.is_temporary, file.expires_at = False, None
    if file.file_type != file_type:
        file.file_type = file_type
        await objects.recharge(session, platform, await version_rows.object_ids(session, file.id))
    if not stays:
        come = telling.passage_of(file, has_come=True, actor_user_id=actor_user_id)
        await destinations.passed(session, platform, file_type, come)
    if before is not None and before != place.scope_id:
        telling.told_as_gone(session, platform, file, before, actor_user_id)


def touch(platform: Platform, file: StoredFile) -> None:
    """It has changed: its version counts up."""
    file.version += 1
    file.updated_at = platform.clock.now()


def not_ready(file: StoredFile) -> FileNotReady:
    return FileNotReady(NOT_READY.get(UploadStatus(file.status)), uploadStatus=file.status)


def _standing(file: StoredFile) -> tuple[object, ...]:
    return (file.original_name, file.file_type, place_of(file), file.is_temporary)


async def _place_wanted(
    session: AsyncSession, platform: Platform, scope: AccountScope, wanted: FileUpdate
) -> Destination | None:
    """Where it is to go. Asked before anything of ours is held: places hold rows of their own."""
    if wanted.file_type is None:
        if {"file_type", "task_id", "project_id"} & wanted.model_fields_set:
            raise NotAPlaceForFiles("Name the fileType together with taskId or projectId.")
        return None
    if not isinstance(scope, WorkspaceScope):
        raise NotAPlaceForFiles("A file of your own is not in a workspace. Upload it there.")
    if wanted.file_type is FileType.TEMPORARY_UPLOAD:
        raise NotAPlaceForFiles("A file that has a place keeps one.")
    check = destination(wanted.file_type)
    return await check(session, platform, scope, task_id=wanted.task_id, project_id=wanted.project_id)


async def _looked_for(session: AsyncSession, scope: AccountScope, wanted: Wanted) -> Wanted:
    """With what the search finds of a workspace's files; what is in the trash, or nobody else's, it does not know."""
    if wanted.words is None or wanted.is_trashed or not isinstance(scope, WorkspaceScope):
        return wanted
    ids = await search.ids_matching(session, scope, wanted.words, kinds=(Kind.FILE,), project_id=wanted.project_id)
    return Wanted(
        wanted.task_id,
        wanted.project_id,
        wanted.file_type,
        wanted.status,
        wanted.is_trashed,
        wanted.words,
        tuple(ids),
    )
