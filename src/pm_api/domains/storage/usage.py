"""What is used: of one account for people, and of a whole budget for whoever shows what a plan holds."""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import quotas
from pm_api.domains.storage.accounts import Account, account_of
from pm_api.domains.storage.enums import FileType, Reclaim
from pm_api.domains.storage.models import StorageUsage, StoredFile
from pm_api.domains.storage.quotas import Room
from pm_api.domains.storage.repository import books
from pm_api.domains.storage.repository import usage as repository
from pm_api.domains.storage.schemas.usage import LargeFile, Reclaimable, SharedRoom, StorageUsageRead
from pm_api.entitlements.enums import AccountType
from pm_api.entitlements.rules import Budget

LARGEST_FILES: Final = 10

_ADVICE: Final = {
    Reclaim.TRASH: (
        "Delete files in the trash for good; each goes by itself after 30 days there.",
        "DELETE",
        "/api/storage/files/{fileId}?permanent=true",
    ),
    Reclaim.OLD_VERSIONS: (
        "Delete versions that nobody needs any more; they go with their file.",
        "DELETE",
        "/api/storage/files/{fileId}/versions/{number}",
    ),
    Reclaim.TEMPORARY_FILES: (
        "Put them where they belong, or delete them; each goes by itself 24 hours after it came.",
        "DELETE",
        "/api/storage/files/{fileId}",
    ),
    Reclaim.DRIVE_CACHE: (
        "Copies of files in connected drives: they are made again when they are needed.",
        None,
        None,
    ),
    Reclaim.UPLOADS_UNDER_WAY: (
        "Complete or cancel uploads; one that nobody goes on with expires.",
        "DELETE",
        "/api/storage/uploads/{uploadId}",
    ),
}


async def of_account(session: AsyncSession, platform: Platform, scope: AccountScope) -> StorageUsageRead:
    """What an account's files take up, what the plan holds, and what can be had back."""
    account = account_of(scope)
    row = await books.of_account(session, account.id)
    if row is None:
        row = _nothing(platform, account)
    room = await quotas.room_of(session, platform, account)
    return StorageUsageRead(
        workspace_id=account.workspace_id,
        user_id=account.id if account.kind is AccountType.USER else None,
        total_used=row.total_used,
        **{column: getattr(row, column) for column in books.COLUMN_OF.values()},
        reserved=row.reserved,
        saved_by_deduplication=await repository.saved_by_sharing(session, account.id),
        room=_shared(room),
        largest_files=[
            _large(one) for one in await repository.largest(session, scope, account.id, limit=LARGEST_FILES)
        ],
        reclaimable=_reclaimable(row),
        last_calculated=row.last_calculated_at,
    )


async def of_budget(session: AsyncSession, budget: Budget, *, before: datetime | None = None) -> int:
    """Bytes that all who share a budget use; with `before` of those what was there by then."""
    account_ids = quotas.accounts_in(budget)
    if before is not None:
        return await repository.counted_before(session, account_ids, before)
    return await repository.counted(session, account_ids)


def _nothing(platform: Platform, account: Account) -> StorageUsage:
    """The counters of an account that never had a file."""
    counters = dict.fromkeys((*books.COLUMN_OF.values(), "total_used", "reserved"), 0)
    return StorageUsage(
        account_id=account.id, account_kind=account.kind, **counters, last_calculated_at=platform.clock.now()
    )


def _shared(room: Room) -> SharedRoom:
    left = None if room.limit is None else max(0, room.limit - room.used - room.reserved)
    return SharedRoom(
        is_shared=room.is_shared,
        accounts=len(room.account_ids),
        used=room.used,
        reserved=room.reserved,
        limit=room.limit,
        available=left,
        max_file_size=room.max_file_bytes,
    )


def _large(file: StoredFile) -> LargeFile:
    return LargeFile(
        id=file.id,
        original_name=file.original_name,
        file_size=file.size_bytes,
        file_type=FileType(file.file_type),
        task_id=file.task_id,
        project_id=file.project_id,
        deleted_at=file.deleted_at,
        created_at=file.created_at,
    )


def _reclaimable(row: StorageUsage) -> list[Reclaimable]:
    sizes = {
        Reclaim.TRASH: row.trash,
        Reclaim.OLD_VERSIONS: row.old_versions,
        Reclaim.TEMPORARY_FILES: row.temporary_files,
        Reclaim.DRIVE_CACHE: row.drive_cache,
        Reclaim.UPLOADS_UNDER_WAY: row.reserved,
    }
    found = []
    for kind, size in sorted(sizes.items(), key=lambda one: -one[1]):
        if size:
            how, method, address = _ADVICE[kind]
            found.append(Reclaimable(kind=kind, bytes=size, how=how, method=method, address=address))
    return found
