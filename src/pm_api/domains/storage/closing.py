"""What becomes of files when a workspace or a person goes for good, and what a person's export tells of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import Enclosed, Leaving, encloses, ends, hands_out, keeps_back
from pm_api.core.platform import Platform
from pm_api.domains.storage import lifecycle, naming, objects, quotas, reading, sessions
from pm_api.domains.storage.accounts import Account, account_at
from pm_api.domains.storage.enums import ScanState, SessionState, UploadStatus
from pm_api.domains.storage.models import (
    FileLink,
    FileVersion,
    StorageUsage,
    StoredFile,
    StoredObject,
    UploadSession,
)
from pm_api.domains.storage.repository import lifecycle as repository
from pm_api.entitlements.enums import AccountType
from pm_api.identity.belongings import Belonging, Leaver, register
from pm_api.integrations.blobs import BlobDoor, BlobMissing

AT_A_TIME: Final = 100
CONTENT: Final = "storage/content/"
FILES_STAY: Final = "They stay where they were put, under the person's name."


async def close(platform: Platform, workspace_id: UUID) -> None:
    """All files of a workspace that nobody can restore any more, for good. Some at a time; safe to do again."""
    await _empty(platform, Account(AccountType.WORKSPACE, workspace_id))


@ends("storage", order=36, again=True)
async def take_leave(platform: Platform, leaving: Leaving) -> None:
    """Uploads under way and links of the person end; their own files, those of workspaces that end with them, what
    nobody but they have ever seen and what was part of a message or a bug report of theirs goes for good. What they
    put into others' tasks and projects stays there.
    """
    await _end_uploads(platform, user_id=leaving.user_id)
    async with platform.database.transaction() as session:
        await repository.forget_links_of(session, leaving.user_id)
    await _empty(platform, Account(AccountType.USER, leaving.user_id))
    for workspace_id in leaving.closed:
        await close(platform, workspace_id)
    while True:
        async with platform.database.reading() as session:
            found = await repository.unplaced_of(session, leaving.user_id, limit=AT_A_TIME)
        accounts: dict[Account, list[UUID]] = {}
        for one in found:
            accounts.setdefault(account_at(one.account_kind, one.account_id), []).append(one.file_id)
        for account in sorted(accounts, key=lambda one: one.id):
            async with platform.database.transaction() as session:
                await lifecycle.purge(session, platform, account, accounts[account])
        if len(found) < AT_A_TIME:
            return


async def _empty(platform: Platform, account: Account) -> None:
    await _end_uploads(platform, account_id=account.id)
    while True:
        async with platform.database.reading() as session:
            found: Sequence[UUID] = await repository.files_of(session, account.id, limit=AT_A_TIME)
        if not found:
            break
        async with platform.database.transaction() as session:
            await lifecycle.purge(session, platform, account, found)
    async with platform.database.transaction() as session:
        await quotas.hold(session, platform, account)
        await repository.close_account(session, account.id)
        await objects.forget_remains(session, platform, account.id)


async def _end_uploads(platform: Platform, *, account_id: UUID | None = None, user_id: UUID | None = None) -> None:
    while True:
        async with platform.database.reading() as session:
            found = await repository.uploads_under_way(
                session, account_id=account_id, user_id=user_id, limit=AT_A_TIME
            )
        for upload in found:
            async with platform.database.transaction() as session:
                await sessions.end(session, platform, upload, SessionState.TERMINATED)
        if len(found) < AT_A_TIME:
            return


async def _count(session: AsyncSession, _platform: Platform, leaver: Leaver) -> int:
    return await repository.count_placed(session, leaver.workspace_id, leaver.user_id)


register(Belonging("files", FILES_STAY, _count))


@encloses
async def own_files(platform: Platform, person_id: UUID) -> AsyncIterator[Enclosed]:
    """Their avatar, and what they uploaded for themselves. What is in a workspace is told of, with its address."""
    after: UUID | None = None
    while True:
        async with platform.database.reading() as session:
            found = await repository.own_of(session, person_id, after, limit=AT_A_TIME)
        for one in found:
            if objects.status_for(platform, ScanState(one.scan_state)) is UploadStatus.COMPLETED:
                name = f"{CONTENT}{one.file_id}/{naming.clean_name(one.original_name)}"
                yield Enclosed(name, one.size_bytes, partial(_content, platform, one.key, one.size_bytes))
        if len(found) < AT_A_TIME:
            return
        after = found[-1].file_id


async def _content(platform: Platform, key: str, size_bytes: int) -> AsyncIterator[bytes]:
    with suppress(BlobMissing):
        async for piece in platform.part(BlobDoor).read(key, whole_bytes=size_bytes):
            yield piece


def _where_it_is(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """As `contentUrl` of an answer: whoever still sees the file reads its bytes there."""
    is_served = row["status"] == UploadStatus.COMPLETED and row["deleted_at"] is None
    return {"content_url": f"{reading.PATH}{row['id']}/content" if is_served else None}


hands_out(
    StoredFile,
    "storage/files.json",
    "Files you uploaded, each with the address at which its bytes are read.",
    of="user_id",
    without=("scope_id",),
    also=_where_it_is,
)
hands_out(FileVersion, "storage/versions.json", "What you uploaded, version by version.", of="uploaded_by_user_id")
hands_out(FileLink, "storage/links.json", "Links you made to files.", of="created_by_user_id")
hands_out(UploadSession, "storage/uploads.json", "Your uploads of the last days.", of="user_id")
hands_out(StorageUsage, "storage/usage.json", "What your own files take up.", of="account_id")
keeps_back(StoredObject, "where the bytes of files lie; the files themselves say what there is")
