"""Uploads for tests that meet every route: begun straight into S3, with all their bytes there."""

import asyncio
from uuid import UUID

from pm_api.core.actor import AccountScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import arrivals
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.sessions import NewUpload
from tests.support import stores

CONTENT = b"all of it"


async def arrived_upload(platform: Platform, scope: AccountScope) -> UUID:
    """A new one of this person, who has only to complete it. The platform keeps its files in moto's S3."""
    wanted = NewUpload(
        way=UploadWay.PRESIGNED,
        file_type=FileType.TEMPORARY_UPLOAD,
        original_name="arrived.txt",
        total_bytes=len(CONTENT),
        comes_in_apart=True,
    )
    signed = await arrivals.begin(platform, scope, wanted)
    s3 = platform.settings.s3
    key = "/".join(filter(None, (s3.prefix, signed.upload.incoming_key)))
    await asyncio.to_thread(stores.client().put_object, Bucket=s3.bucket, Key=key, Body=CONTENT)
    return signed.upload.id
