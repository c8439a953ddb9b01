"""Telling people that what they have stored is lost: that nobody hears of it is worse than the loss."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.domains.storage.enums import UploadStatus
from pm_api.domains.storage.models import StoredFile
from pm_api.domains.storage.repository import scans as repository
from pm_api.domains.storage.repository.scans import Concerned


async def tell(session: AsyncSession, platform: Platform, object_id: UUID, files: Collection[StoredFile]) -> None:
    """Of an object that is given up, while the files that hold or held it, all of them in hand, still say so. Their
    owners and who uploaded it hear which file it is; admins, who may not see it, only that there is one, and whose.
    Nobody misses what was infected.

    A file is told of once when it is lost, and once a day when versions of it are.
    """
    held = {one.id: one for one in files if one.status != UploadStatus.VIRUS_DETECTED}
    found = [one for one in await repository.concerned(session, object_id) if one.file_id in held]
    of_workspaces: dict[UUID, list[Concerned]] = {}
    for one in found:
        await _tell_owner(session, platform, one, held[one.file_id], object_id)
        if one.workspace_id is not None:
            of_workspaces.setdefault(one.workspace_id, []).append(one)
    for workspace_id, its in sorted(of_workspaces.items()):
        of_these = [held[one.file_id] for one in its]
        told = {one.user_id for one in its} | {one.user_id for one in of_these}
        is_lost = any(one.object_id == object_id for one in of_these)
        await _tell_admins(session, platform, workspace_id, told, object_id, is_lost=is_lost)


async def _tell_owner(
    session: AsyncSession, platform: Platform, one: Concerned, file: StoredFile, object_id: UUID
) -> None:
    is_lost = file.object_id == object_id
    if is_lost:
        title = f"File lost: {file.original_name}"
        body = "Its bytes are not in the store any more, or not all of them, so it cannot be opened. Upload it again."
        if file.version_number > 1:
            body += " Older versions of it that are left can be restored."
    else:
        title = f"Versions lost: {file.original_name}"
        body = "The bytes of one or more of its other versions are not in the store any more, or not all of them."
    await notifications.notify(
        session,
        platform,
        user_ids={one.user_id, file.user_id},
        category=Category.FILES,
        type="file.lost",
        dedup_key=f"lost:{object_id}:{file.id}" if is_lost else f"lost-versions:{file.id}:{_today(platform)}",
        title=title,
        body=body,
        reason="You uploaded this file.",
        data={"fileId": str(file.id)},
        link=f"/files/{file.id}",
        workspace_id=one.workspace_id,
        scope_id=file.scope_id,  # its name may be a new one, and not all who brought it see it still
    )


async def _tell_admins(
    session: AsyncSession,
    platform: Platform,
    workspace_id: UUID,
    told: Collection[UUID],
    object_id: UUID,
    *,
    is_lost: bool,
) -> None:
    names = ", ".join(await repository.names(session, told)) or "somebody who has left"
    what = "a file" if is_lost else "an older version of a file"
    await notifications.notify(
        session,
        platform,
        user_ids=set(await repository.admins(session, workspace_id)) - set(told),
        category=Category.FILES,
        type="file.lost_in_workspace",
        dedup_key=f"lost:{object_id}" if is_lost else f"lost-versions:{workspace_id}:{_today(platform)}",
        title="A file was lost" if is_lost else "Older versions of files were lost",
        body=f"The bytes of {what} that {names} uploaded are not in the store any more, or not all of them. Whoever"
        " uploaded it was told.",
        reason="You administer this workspace.",
        data={"objectId": str(object_id)},
        workspace_id=workspace_id,
    )


def _today(platform: Platform) -> str:
    return platform.clock.now().date().isoformat()
