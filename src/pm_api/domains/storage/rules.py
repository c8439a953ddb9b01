"""What may be done with a file, and what it is shown as. Pure."""

from typing import Final

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.domains.storage.enums import FileType, UploadStatus
from pm_api.domains.storage.models import StoredFile
from pm_api.identity.permissions import Role, allows

READ: Final = "file.read"
WRITE: Final = "file.write"
MANAGE: Final = "file.manage"
PICTURES: Final = frozenset({FileType.USER_AVATAR.value, FileType.WORKSPACE_LOGO.value})
"""What has addresses of its own, by which alone it changes."""
KEPT_BY_US: Final = PICTURES | {FileType.DRIVE_CACHE.value}
PLACED: Final = (UploadStatus.COMPLETED, UploadStatus.VIRUS_SCAN_PENDING)
"""How far a file must be to be put somewhere."""
THUMBNAILED: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})


def may_change(scope: AccountScope, role: Role | None, file: StoredFile) -> bool:
    """Whoever uploaded it and may still write there, and who manages files there."""
    if not isinstance(scope, WorkspaceScope):
        return file.user_id == scope.user_id
    if role is None:
        return False
    if file.user_id == scope.user_id:
        return allows(role, WRITE)
    return file.scope_id is not None and allows(role, MANAGE)


def is_served(file: StoredFile) -> bool:
    """Whether its bytes are given out."""
    return file.status == UploadStatus.COMPLETED and file.deleted_at is None and file.object_id is not None


def has_thumbnail(file: StoredFile) -> bool:
    return is_served(file) and file.media_type in THUMBNAILED


def actions(scope: AccountScope, role: Role | None, file: StoredFile, *, is_closed: bool = False) -> list[str]:
    """What the caller may do now, in the words of `allowedActions`. In a place that `is_closed` nothing changes, and
    what lies in its trash may go.
    """
    found = ["READ", "LINK"] if is_served(file) else []
    if file.file_type in KEPT_BY_US or not may_change(scope, role, file):
        return found
    if is_closed:
        return [*found, "PURGE"] if file.deleted_at is not None else found
    if file.deleted_at is not None:
        return [*found, "RESTORE", "PURGE"]
    if file.status == UploadStatus.UPLOADING:  # nothing of it is there that the trash could give back
        return [*found, "RENAME", "PURGE"]
    moves = ["MOVE"] if file.workspace_id is not None and file.status in PLACED else []
    adds = ["ADD_VERSION"] if file.status == UploadStatus.COMPLETED else []
    return [*found, "RENAME", *moves, *adds, "DELETE"]
