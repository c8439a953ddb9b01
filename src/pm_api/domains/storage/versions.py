"""Versions: what a file held before, brought back or forgotten."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.storage import filing, objects, reading, serving, telling
from pm_api.domains.storage.enums import ScanState
from pm_api.domains.storage.errors.files import FileInTrash, VersionInUse, VersionNotFound
from pm_api.domains.storage.models import FileVersion, StoredFile, StoredObject
from pm_api.domains.storage.repository import files as file_rows
from pm_api.domains.storage.repository import versions as repository
from pm_api.domains.storage.schemas.files import FileRead
from pm_api.domains.storage.schemas.versions import FileVersionRead, FileVersionsAnswer

LISTED: Final = "file-versions"


async def list_of(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID, page: PageRequest
) -> FileVersionsAnswer:
    """Newest first. Raises FileNotFound, InvalidCursor."""
    file = await filing.found(session, scope, file_id)
    key = platform.cursors.decode(page.cursor, of=LISTED, file=file.id)
    rows = await repository.page(
        session, file.id, before=int(key[0]) if key is not None else None, limit=page.limit + 1
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].number,) if len(rows) > page.limit else None
    people = await file_rows.people(session, {row.uploaded_by_user_id for row, _ in shown})
    return FileVersionsAnswer(
        versions=[_shown(platform, file, row, stored, people[row.uploaded_by_user_id]) for row, stored in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, file=file.id),
    )


async def restore(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_id: UUID,
    number: int,
    expected_version: int | None,
) -> FileRead:
    """What an older version holds counts again, as a new version: nothing is lost. It takes up no room, for the bytes
    are there. Raises FileNotFound, NotTheUploader, FileIsPicture, FileInTrash, VersionNotFound, VersionInUse,
    FileNotReady, PreconditionFailed.
    """
    file = await _held(session, platform, scope, file_id, expected_version)
    row, stored = await _one(session, file, number)
    if number == file.version_number:
        raise VersionInUse("This version counts already.")
    if not serving.may_leave(platform, stored):
        raise filing.not_ready(file)
    now = platform.clock.now()
    made = FileVersion(
        id=platform.randomness.uuid(),
        file_id=file.id,
        account_id=file.account_id,
        number=await objects.next_number(session, file),
        object_id=stored.id,
        original_name=row.original_name,
        declared_type=row.declared_type,
        media_type=row.media_type,
        uploaded_by_user_id=scope.user_id,
        created_at=now,
    )
    session.add(made)
    before = file.object_id
    objects.turn_to(file, made, stored, objects.status_for(platform, ScanState(stored.scan_state)))
    filing.touch(platform, file)
    await session.flush()
    await objects.recharge(session, platform, {one for one in (before, stored.id) if one is not None})
    await telling.told(session, platform, file, "updated", actor_user_id=scope.user_id)
    return await reading.read(session, platform, scope, file)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_id: UUID,
    number: int,
    expected_version: int | None,
) -> None:
    """Forget an older version for good. Raises FileNotFound, NotTheUploader, FileIsPicture, FileInTrash,
    VersionNotFound, VersionInUse, PreconditionFailed.
    """
    file = await _held(session, platform, scope, file_id, expected_version)
    _, stored = await _one(session, file, number)
    if number == file.version_number:
        raise VersionInUse
    await repository.remove(session, file.id, number)
    filing.touch(platform, file)
    await session.flush()
    await objects.recharge(session, platform, {stored.id})
    await telling.told(session, platform, file, "updated", actor_user_id=scope.user_id)


async def _held(
    session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID, expected_version: int | None
) -> StoredFile:
    file = await filing.held(session, platform, scope, file_id, expected_version)
    if file.deleted_at is not None:
        raise FileInTrash
    return file


async def _one(session: AsyncSession, file: StoredFile, number: int) -> tuple[FileVersion, StoredObject]:
    found = await repository.one(session, file.id, number)
    if found is None:
        raise VersionNotFound
    return found


def _shown(
    platform: Platform, file: StoredFile, row: FileVersion, stored: StoredObject, uploader: file_rows.Person
) -> FileVersionRead:
    is_served = file.deleted_at is None and serving.may_leave(platform, stored)
    return FileVersionRead(
        number=row.number,
        is_current=row.number == file.version_number,
        original_name=row.original_name,
        file_size=stored.size_bytes,
        mime_type=row.media_type or stored.media_type,
        declared_mime_type=row.declared_type,
        checksum_md5=stored.md5.hex(),
        checksum_sha256=stored.sha256.hex(),
        scan_state=ScanState(stored.scan_state),
        uploaded_by=reading.person(platform, row.uploaded_by_user_id, uploader),
        content_url=f"{reading.PATH}{file.id}/versions/{row.number}/content" if is_served else None,
        created_at=row.created_at,
    )
