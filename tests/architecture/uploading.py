"""Uploads for tests that meet every route: begun, with nothing come in yet."""

from uuid import UUID

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import sessions
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.sessions import NewUpload


async def begun_upload(platform: Platform, scope: AccountScope, way: UploadWay = UploadWay.MULTIPART) -> UUID:
    """One of this person's."""
    wanted = NewUpload(
        way=way,
        file_type=FileType.TEMPORARY_UPLOAD,
        original_name="plan.txt",
        total_bytes=10,
    )
    async with platform.database.transaction() as session:
        return (await sessions.begin(session, platform, scope, wanted)).id
