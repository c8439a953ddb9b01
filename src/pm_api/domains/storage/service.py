"""The door for slices above: files of a task, putting a file somewhere, bringing in bytes of one's own.

Who takes files for a place of theirs registers it in `destinations`; what goes with a place is in `places`.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import filing, quotas, reading, serving, telling, trash
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.destinations import Destination
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.files import FileInTrash, FileNotFound
from pm_api.domains.storage.errors.places import FileHasPlace
from pm_api.domains.storage.finishing import put_internal
from pm_api.domains.storage.repository import files as repository
from pm_api.domains.storage.schemas.files import AttachedFile, FileRead
from pm_api.domains.storage.serving import Served

__all__ = [
    "claim",
    "claim_new",
    "count_of_tasks",
    "files_of_messages",
    "files_of_tasks",
    "hold_counters",
    "hold_files_of_message",
    "is_on_task",
    "put_internal",
    "screenshots",
    "served_screenshot",
    "take_off_message",
    "take_off_report",
    "trash_one",
]


async def files_of_tasks(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, task_ids: Collection[UUID]
) -> dict[UUID, list[FileRead]]:
    """The attachments of tasks that the caller sees, oldest first, by task; at most 200 of each. Tasks without are
    left out.
    """
    if not task_ids:
        return {}
    by_task = await repository.of_tasks(session, scope, task_ids)
    shown = await reading.reads(session, platform, scope, [one for files in by_task.values() for one in files])
    found: dict[UUID, list[FileRead]] = {}
    for one in shown:
        assert one.task_id is not None
        found.setdefault(one.task_id, []).append(one)
    return found


async def count_of_tasks(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many attachments tasks have, for whoever sees the tasks; those without are left out."""
    return await repository.count_of_tasks(session, task_ids) if task_ids else {}


async def is_on_task(session: AsyncSession, scope: WorkspaceScope, task_id: UUID, file_id: UUID) -> bool:
    """Whether a file that the caller sees is attached to a task, and not in the trash."""
    file = await repository.file(session, scope, file_id)
    is_attached = file is not None and file.file_type == FileType.TASK_ATTACHMENT and file.deleted_at is None
    return file is not None and is_attached and file.task_id == task_id


async def claim(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    file_id: UUID,
    destination: Destination,
    *,
    file_type: FileType = FileType.TASK_ATTACHMENT,
) -> FileRead:
    """Put a file that the caller may change into a place that the caller of this has asked already: it is no longer
    temporary. Raises FileNotFound, NotTheUploader, FileIsPicture, FileInTrash, FileNotReady.

    It holds the account's counters, then the file: call it before holding any file.
    """
    file = await filing.held(session, platform, scope, file_id)
    if file.deleted_at is not None:
        raise FileInTrash
    is_there = (file.file_type, file.scope_id, file.task_id, file.project_id) == (
        file_type,
        destination.scope_id,
        destination.task_id,
        destination.project_id,
    )
    if not is_there:
        await filing.put(session, platform, file, destination, file_type, actor_user_id=scope.user_id)
        filing.touch(platform, file)
        await session.flush()
        await telling.told(session, platform, file, "updated", actor_user_id=scope.user_id)
    return await reading.read(session, platform, scope, file)


async def claim_new(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    file_ids: Collection[UUID],
    destination: Destination,
    file_type: FileType,
) -> list[AttachedFile]:
    """Put files that the caller uploaded and has put nowhere yet into a place asked already, in the order of their
    ids. Raises FileNotFound, FileHasPlace, FileInTrash, FileNotReady and NotTheUploader.

    It holds the account's counters, then the files: call it before holding any row that whoever holds counters waits
    for.
    """
    put = []
    for file_id in sorted(file_ids):
        file = await filing.held(session, platform, scope, file_id)
        if file.deleted_at is not None:
            raise FileInTrash
        if file.file_type != FileType.TEMPORARY_UPLOAD or file.user_id != scope.user_id:
            raise FileHasPlace(fileId=str(file_id))
        await filing.put(session, platform, file, destination, file_type, actor_user_id=scope.user_id)
        filing.touch(platform, file)
        await session.flush()
        await telling.told(session, platform, file, "updated", actor_user_id=scope.user_id)
        put.append(reading.attached(file))
    return put


async def hold_counters(session: AsyncSession, platform: Platform, scope: AccountScope) -> None:
    """Before any row that is held together with files of the caller."""
    await quotas.hold(session, platform, account_of(scope))


# --- of bug reports ------------------------------------------------------------------------------------------------


async def screenshots(session: AsyncSession, file_ids: Collection[UUID]) -> dict[UUID, AttachedFile]:
    """Those that are there, for whoever was found to see their reports."""
    found = await repository.screenshots_among(session, file_ids) if file_ids else {}
    return {file_id: reading.attached(file) for file_id, file in found.items()}


async def served_screenshot(session: AsyncSession, platform: Platform, file_id: UUID) -> Served:
    """The bytes of one, for the same. Raises FileNotFound, FileNotReady."""
    file = (await repository.screenshots_among(session, [file_id])).get(file_id)
    if file is None:
        raise FileNotFound
    return await serving.served(session, platform, file)


async def take_off_report(session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID) -> None:
    """A screenshot that is none any more goes into the trash, and is a file without a place again, for whoever takes
    it out. Raises FileNotFound, NotTheUploader.
    """
    file = await filing.held(session, platform, scope, file_id)
    file.file_type, file.is_temporary = FileType.TEMPORARY_UPLOAD, True
    if file.deleted_at is not None:
        filing.touch(platform, file)
    else:
        await trash.throw_away(session, platform, [file], actor_user_id=scope.user_id)


# --- of messages ---------------------------------------------------------------------------------------------------


async def files_of_messages(session: AsyncSession, message_ids: Collection[UUID]) -> dict[UUID, list[AttachedFile]]:
    """The attachments of messages that the caller was found to see, oldest first, by message; those without are left
    out. One query.
    """
    if not message_ids:
        return {}
    found = await repository.on_messages(session, message_ids)
    return {message_id: [reading.attached(one) for one in files] for message_id, files in found.items()}


async def hold_files_of_message(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, message_id: UUID
) -> None:
    """Before the message itself is held, by whoever is about to take its files off: the counters come first. A
    message that is there gets no more files than it has.
    """
    if await repository.has_any_of_message(session, message_id):
        await quotas.hold(session, platform, account_of(scope))


async def take_off_message(
    session: AsyncSession, platform: Platform, message_id: UUID, *, actor_user_id: UUID
) -> None:
    """What was said is taken back, and its files with it: each is in the trash, and its uploader's alone again.
    Whoever calls has `hold_files_of_message` done.
    """
    files = await repository.lock_of_message(session, message_id)
    if not files:
        return
    for file in files:
        telling.told_as_gone(session, platform, file, file.scope_id, actor_user_id)
        file.scope_id = file.project_id = file.message_id = None
        file.file_type, file.is_temporary = FileType.TEMPORARY_UPLOAD, True
        if file.deleted_at is not None:
            filing.touch(platform, file)
    await trash.throw_away(
        session, platform, [one for one in files if one.deleted_at is None], actor_user_id=actor_user_id
    )


async def trash_one(session: AsyncSession, platform: Platform, scope: AccountScope, file_id: UUID) -> None:
    """A file that the caller may change goes into the trash. Raises FileNotFound, NotTheUploader, FileIsPicture,
    FileInTrash, FileNotReady.
    """
    await trash.delete(session, platform, scope, file_id, None, permanent=False)
