"""What is told of files: a change to whoever sees them, a document to the search, an event to slices above."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.events import emit
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.search import service as search
from pm_api.domains.search.enums import Kind
from pm_api.domains.storage.destinations import Passage, passed
from pm_api.domains.storage.enums import FileType, UploadStatus
from pm_api.domains.storage.events import FileChanged
from pm_api.domains.storage.models import StoredFile
from pm_api.domains.storage.repository.files import FOR_UPLOADER_ALONE

ENTITY: Final = "file"
GONE: Final = frozenset({"deleted", "purged"})
PASSAGES: Final = {"created": True, "restored": True, "deleted": False, "purged": False}


async def told(
    session: AsyncSession,
    platform: Platform,
    file: StoredFile,
    action: str,
    *,
    actor_user_id: UUID | None = None,
) -> None:
    """One change of a file, within the transaction that makes it; call it with the row as it is now. `action` is
    created, updated, deleted (into the trash), restored, or purged.

    Who does not see the file is not told: of what has no place yet, and of what has not arrived, only its uploader.
    """
    is_for_all = _is_for_all(file)
    changes.record(
        session,
        platform,
        workspace_id=file.workspace_id if is_for_all else None,
        user_ids=() if is_for_all else (file.user_id,),
        entity=ENTITY,
        entity_id=file.id,
        action=action,
        version=file.version,
        scope_id=file.scope_id,
        actor_user_id=actor_user_id,
    )
    if action in GONE or not _is_found(file):
        await search.drop(session, kind=Kind.FILE, entity_ids=[file.id])
    else:
        assert file.workspace_id is not None
        await search.put(
            session,
            kind=Kind.FILE,
            entity_id=file.id,
            workspace_id=file.workspace_id,
            scope_id=file.scope_id,
            project_id=file.project_id,
            parent_id=file.task_id,
            title=file.original_name,
            body="",
            updated_at=file.updated_at,
        )
    if action in PASSAGES and actor_user_id is not None and (action != "purged" or file.deleted_at is None):
        await passed(session, platform, FileType(file.file_type), passage_of(file, PASSAGES[action], actor_user_id))
    await emit(
        session,
        FileChanged(
            id=platform.randomness.uuid(),
            file_id=file.id,
            action=action,
            workspace_id=file.workspace_id,
            scope_id=file.scope_id,
            task_id=file.task_id,
            project_id=file.project_id,
            user_id=file.user_id,
            actor_user_id=actor_user_id,
        ),
    )


def passage_of(file: StoredFile, has_come: bool, actor_user_id: UUID) -> Passage:
    """What the owner of the place that the file is in now is told."""
    place = (file.task_id, file.project_id, file.message_id)
    return Passage(file.id, file.original_name, *place, has_come, actor_user_id)


def told_as_gone(
    session: AsyncSession, platform: Platform, file: StoredFile, scope_id: UUID | None, actor_user_id: UUID | None
) -> None:
    """To those who saw it where it was before: now it is somewhere else, which they may not see."""
    if file.workspace_id is not None and scope_id is not None and file.status not in FOR_UPLOADER_ALONE:
        changes.record(
            session,
            platform,
            workspace_id=file.workspace_id,
            entity=ENTITY,
            entity_id=file.id,
            action="removed",
            version=file.version,
            scope_id=scope_id,
            actor_user_id=actor_user_id,
        )


def _is_for_all(file: StoredFile) -> bool:
    """Whether it is told in the workspace's feed, which each reader sees by its scope, or in its uploader's."""
    has_place = file.scope_id is not None or file.file_type == FileType.WORKSPACE_LOGO
    return file.workspace_id is not None and has_place and file.status not in FOR_UPLOADER_ALONE


def _is_found(file: StoredFile) -> bool:
    return (
        file.workspace_id is not None
        and file.scope_id is not None
        and file.deleted_at is None
        and file.status == UploadStatus.COMPLETED
    )
