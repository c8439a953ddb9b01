"""Pictures and attachments, for tests that meet every route."""

import io
import tempfile
from collections.abc import AsyncIterator
from uuid import UUID

from PIL import Image

from pm_api.core.actor import AccountScope, UserScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.storage import finishing, pictures
from pm_api.domains.storage.accounts import account_of
from pm_api.domains.storage.destinations import Destination
from pm_api.domains.storage.enums import FileType, UploadWay
from pm_api.domains.storage.sessions import NewUpload
from pm_api.domains.tasks.repository import tasks


def a_picture() -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(into, "PNG")
    return into.getvalue()


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def picture_on(platform: Platform, scope: WorkspaceScope, task_id: UUID) -> UUID:
    """A picture attached to a task."""
    async with platform.database.reading() as session:
        task = await tasks.task(session, scope, task_id)
    assert task is not None
    content = a_picture()
    wanted = NewUpload(
        way=UploadWay.INTERNAL,
        file_type=FileType.TASK_ATTACHMENT,
        original_name="teal.png",
        total_bytes=len(content),
        place=Destination(task.scope_id, task.id, task.project_id),
    )
    return (await finishing.put_internal(platform, account_of(scope), scope, wanted, pieces(content))).id


async def picture_nowhere(platform: Platform, scope: AccountScope) -> UUID:
    """One that has no place yet."""
    content = a_picture()
    wanted = NewUpload(
        way=UploadWay.INTERNAL,
        file_type=FileType.TEMPORARY_UPLOAD,
        original_name="teal.png",
        total_bytes=len(content),
    )
    return (await finishing.put_internal(platform, account_of(scope), scope, wanted, pieces(content))).id


async def worn_by(platform: Platform, scope: UserScope) -> str:
    """The secret of somebody's picture's address."""
    with tempfile.TemporaryFile() as sent:
        sent.write(a_picture())
        url = (await pictures.put_on_avatar(platform, scope, sent)).url
    return url.rpartition("/")[2]
