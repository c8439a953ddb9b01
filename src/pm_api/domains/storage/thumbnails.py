"""Small pictures of files that are pictures."""

from dataclasses import dataclass

from pm_api.core.platform import Platform
from pm_api.domains.storage import renditions, serving
from pm_api.domains.storage.errors.pictures import NoThumbnail
from pm_api.domains.storage.guards import FileScope
from pm_api.domains.storage.imaging import Fit, Unreadable
from pm_api.domains.storage.repository import pictures as repository
from pm_api.domains.storage.schemas.pictures import ThumbnailSize
from pm_api.integrations.blobs import BlobMissing


@dataclass(frozen=True, slots=True)
class Thumbnail:
    content: bytes
    tag: str


async def of_file(platform: Platform, at: FileScope, size: ThumbnailSize) -> Thumbnail:
    """Of a file that the guard has let the caller see; raises NoThumbnail and StorageUnavailable."""
    async with platform.database.reading() as session:
        source = await repository.of_file(session, at.file_id)
    if source is None or not serving.may_leave(platform, source):
        raise NoThumbnail
    try:
        content = await renditions.content(platform, source, int(size), Fit.INSIDE)
    except (Unreadable, BlobMissing):
        raise NoThumbnail from None
    return Thumbnail(content, f'"{source.sha256.hex()}-{int(size)}"')
