"""Uploads as they are shown to whoever began them."""

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope
from pm_api.core.errors import NotFound
from pm_api.core.platform import Platform
from pm_api.domains.storage import reading
from pm_api.domains.storage.enums import ScanState, SessionState, UploadWay
from pm_api.domains.storage.guards_uploads import UploadScope
from pm_api.domains.storage.models import FileVersion, StoredFile, StoredObject, UploadSession
from pm_api.domains.storage.repository import files
from pm_api.domains.storage.repository import uploads as repository
from pm_api.domains.storage.schemas.files import UploadReceipt
from pm_api.domains.storage.schemas.uploads import UploadedAnswer, UploadRead


async def held_by(session: AsyncSession, scope: UploadScope) -> UploadSession:
    """The upload of a scope; raises NotFound."""
    found = await repository.upload_of(session, scope.scope.user_id, scope.upload_id)
    if found is None:
        raise NotFound
    return found


async def shown(session: AsyncSession, platform: Platform, scope: AccountScope, upload: UploadSession) -> UploadRead:
    """An upload with what came of it. A file that has gone since is not shown."""
    answer = await done(session, platform, scope, upload) if upload.state == SessionState.COMPLETED else None
    return UploadRead(
        id=upload.id,
        file_id=upload.file_id,
        way=UploadWay(upload.way),
        state=SessionState(upload.state),
        original_name=upload.original_name,
        total_bytes=upload.total_bytes,
        received_bytes=upload.received_bytes,
        expires_at=upload.expires_at,
        failure=upload.failure,
        file=answer.file if answer is not None else None,
        receipt=answer.receipt if answer is not None else None,
        version=upload.version,
    )


async def done(
    session: AsyncSession, platform: Platform, scope: AccountScope, upload: UploadSession
) -> UploadedAnswer | None:
    """The file and the receipt of a completed upload; None when its bytes are not there any more, and for who has
    brought them but does not see the file now.
    """
    file = await files.file(session, scope, upload.file_id)
    brought = await repository.brought(session, upload)
    if file is None or brought is None:
        return None
    return UploadedAnswer(
        file=await reading.read(session, platform, scope, file), receipt=_receipt(upload, file, *brought)
    )


def _receipt(upload: UploadSession, file: StoredFile, version: FileVersion, stored: StoredObject) -> UploadReceipt:
    return UploadReceipt(
        file_id=file.id,
        upload_id=upload.id,
        file_size=stored.size_bytes,
        md5=stored.md5.hex(),
        sha256=stored.sha256.hex(),
        mime_type=version.media_type or stored.media_type,
        declared_mime_type=version.declared_type,
        scanned=stored.scan_state == ScanState.CLEAN,
    )
