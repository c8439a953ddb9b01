"""Files for tests that meet every route."""

from uuid import UUID

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import finishing, links, trash
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.schemas.links import LinkCreate
from pm_api.domains.storage.sessions import NewUpload
from tests.architecture import picturing


async def own_file_of(platform: Platform, scope: AccountScope) -> UUID:
    """One without a place, of whoever brings it."""
    content = picturing.a_picture()
    wanted = NewUpload(
        way=UploadWay.INTERNAL,
        file_type=FileType.TEMPORARY_UPLOAD,
        original_name="own.png",
        total_bytes=len(content),
    )
    made = await finishing.put_internal(platform, account_of(scope), scope, wanted, picturing.pieces(content))
    return made.id


async def throw_away(platform: Platform, scope: WorkspaceScope, file_id: UUID) -> None:
    async with platform.database.transaction() as session:
        await trash.delete(session, platform, scope, file_id, None, permanent=False)


async def second_version(platform: Platform, scope: WorkspaceScope, file_id: UUID) -> None:
    """So that the first one is old."""
    content = b"what it says now"
    wanted = NewUpload(
        way=UploadWay.INTERNAL,
        file_type=FileType.TASK_ATTACHMENT,
        original_name="again.txt",
        total_bytes=len(content),
        file_id=file_id,
    )
    await finishing.put_internal(platform, account_of(scope), scope, wanted, picturing.pieces(content))


async def link_to(platform: Platform, scope: WorkspaceScope, file_id: UUID) -> tuple[UUID, str]:
    """A new link of this person, and the secret of its address."""
    async with platform.database.transaction() as session:
        made = await links.create(session, platform, scope, file_id, LinkCreate())
    assert made.url is not None
    return made.id, made.url.rpartition("/")[2]
