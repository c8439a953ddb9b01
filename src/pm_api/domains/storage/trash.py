"""Into the trash, back from it, and gone for good."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import destinations, filing, objects, quotas, reading, sessions, telling
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.enums import SessionState, UploadStatus
from pm_api.domains.storage.errors.files import FileInTrash, FileNotFound, FileNotInTrash
from pm_api.domains.storage.finishing import TEMPORARY_FOR
from pm_api.domains.storage.models import StoredFile
from pm_api.domains.storage.repository import files as repository
from pm_api.domains.storage.repository import links as link_rows
from pm_api.domains.storage.repository import versions as version_rows
from pm_api.domains.storage.schemas.files import FileRead

KEPT_IN_TRASH: Final = timedelta(days=30)


async def delete(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_id: UUID,
    expected_version: int | None,
    *,
    permanent: bool,
) -> None:
    """Into the trash for 30 days, or for good. Raises FileNotFound, FileIsPicture, NotTheUploader, FileInTrash,
    FileNotReady and PreconditionFailed.
    """
    if permanent:
        await _end_uploads(session, platform, scope, file_id)
    try:
        file = await filing.held(session, platform, scope, file_id, expected_version, for_good=permanent)
    except FileNotFound:
        if not permanent:
            raise
        # What never had bytes went with its upload just now.
        return
    if permanent:
        await purge(session, platform, file, actor_user_id=scope.user_id)
        return
    if file.deleted_at is not None:
        raise FileInTrash
    if file.status == UploadStatus.UPLOADING:
        raise filing.not_ready(file)
    await throw_away(session, platform, [file], actor_user_id=scope.user_id)


async def throw_away(
    session: AsyncSession, platform: Platform, files: Collection[StoredFile], *, actor_user_id: UUID | None
) -> None:
    """Put held files into the trash: they count as trash, and their links are dead for ever."""
    now = platform.clock.now()
    ids = [one.id for one in files]
    for file in files:
        file.deleted_at, file.deleted_by_user_id, file.purge_at = now, actor_user_id, now + KEPT_IN_TRASH
        file.expires_at = None  # it has its days in the trash, as everything there
        filing.touch(platform, file)
    await session.flush()
    await link_rows.revoke_all(session, ids, platform.clock.wall())
    await objects.recharge(session, platform, await version_rows.object_ids(session, *ids))
    for file in files:
        await telling.told(session, platform, file, "deleted", actor_user_id=actor_user_id)


async def restore(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_id: UUID,
    expected_version: int | None,
) -> FileRead:
    """Back to where it was. Raises FileNotFound, FileIsPicture, NotTheUploader, FileNotInTrash, TooManyFilesHere and
    PreconditionFailed.
    """
    file = await filing.held(session, platform, scope, file_id, expected_version)
    if file.deleted_at is None:
        raise FileNotInTrash
    await destinations.ensure_room(session, file.task_id)
    await take_back(session, platform, [file], actor_user_id=scope.user_id)
    return await reading.read(session, platform, scope, file)


async def take_back(
    session: AsyncSession, platform: Platform, files: Collection[StoredFile], *, actor_user_id: UUID | None
) -> None:
    """Take held files out of the trash. They were counted all the time, so there is room for them. One without a
    place has a day again to be put somewhere.
    """
    for file in files:
        if file.is_temporary:
            file.expires_at = platform.clock.now() + TEMPORARY_FOR
        file.deleted_at = file.deleted_by_user_id = file.purge_at = None
        filing.touch(platform, file)
    await session.flush()
    await objects.recharge(session, platform, await version_rows.object_ids(session, *(one.id for one in files)))
    for file in files:
        await telling.told(session, platform, file, "restored", actor_user_id=actor_user_id)


async def purge(session: AsyncSession, platform: Platform, file: StoredFile, *, actor_user_id: UUID | None) -> None:
    """A held file goes for good, with all its versions and links; bytes that nothing else refers to go from the
    store. End its uploads before (`uploads_under_way`): they hold room of their own.
    """
    used = await version_rows.object_ids(session, file.id)
    await telling.told(session, platform, file, "purged", actor_user_id=actor_user_id)
    await session.flush()
    session.expunge(file)
    await repository.remove(session, file.id)
    await objects.recharge(session, platform, used)


async def _end_uploads(session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID) -> None:
    """New versions that are on their way to a file which is about to go."""
    await quotas.hold(session, platform, account_of(scope))
    file = await repository.file(session, scope, file_id)
    if file is None:
        raise FileNotFound
    await filing.ensure_may_change(session, scope, file)
    for upload in await repository.uploads_under_way(session, file_id):
        await sessions.end(session, platform, upload, SessionState.TERMINATED)
