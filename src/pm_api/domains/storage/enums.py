"""The words of files."""

from enum import StrEnum
from typing import Final


class FileType(StrEnum):
    """What a file is for."""

    TASK_ATTACHMENT = "TASK_ATTACHMENT"
    USER_AVATAR = "USER_AVATAR"
    PROJECT_ASSET = "PROJECT_ASSET"
    MESSAGE_ATTACHMENT = "MESSAGE_ATTACHMENT"
    BUG_SCREENSHOT = "BUG_SCREENSHOT"
    WORKSPACE_LOGO = "WORKSPACE_LOGO"
    TEMPORARY_UPLOAD = "TEMPORARY_UPLOAD"
    DRIVE_CACHE = "DRIVE_CACHE"


class UploadStatus(StrEnum):
    """How far a file is. Only a COMPLETED one is served."""

    UPLOADING = "UPLOADING"
    VIRUS_SCAN_PENDING = "VIRUS_SCAN_PENDING"
    COMPLETED = "COMPLETED"
    VIRUS_DETECTED = "VIRUS_DETECTED"
    FAILED = "FAILED"


class UploadWay(StrEnum):
    """How bytes come in."""

    MULTIPART = "MULTIPART"
    TUS = "TUS"
    PRESIGNED = "PRESIGNED"
    INTERNAL = "INTERNAL"
    """By another slice of ours: a re-encoded picture, a copy from a drive."""


class SessionState(StrEnum):
    """How far an upload is. OPEN takes bytes; FINISHING has them all; the others are ends."""

    OPEN = "OPEN"
    FINISHING = "FINISHING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TERMINATED = "TERMINATED"
    EXPIRED = "EXPIRED"


class ScanState(StrEnum):
    """What the scanner said of an object. Nothing but CLEAN is clean."""

    NOT_SCANNED = "NOT_SCANNED"
    PENDING = "PENDING"
    CLEAN = "CLEAN"
    INFECTED = "INFECTED"
    TOO_LARGE = "TOO_LARGE"


class Charge(StrEnum):
    """Under what an object is counted: by its best use, if several files share it."""

    TASK_ATTACHMENTS = "TASK_ATTACHMENTS"
    PROJECT_ASSETS = "PROJECT_ASSETS"
    MESSAGE_ATTACHMENTS = "MESSAGE_ATTACHMENTS"
    WORKSPACE_LOGOS = "WORKSPACE_LOGOS"
    USER_AVATARS = "USER_AVATARS"
    TEMPORARY_FILES = "TEMPORARY_FILES"
    DRIVE_CACHE = "DRIVE_CACHE"
    OLD_VERSIONS = "OLD_VERSIONS"
    TRASH = "TRASH"


CHARGED_AS: Final = {
    FileType.TASK_ATTACHMENT: Charge.TASK_ATTACHMENTS,
    FileType.PROJECT_ASSET: Charge.PROJECT_ASSETS,
    FileType.MESSAGE_ATTACHMENT: Charge.MESSAGE_ATTACHMENTS,
    FileType.BUG_SCREENSHOT: Charge.MESSAGE_ATTACHMENTS,
    FileType.WORKSPACE_LOGO: Charge.WORKSPACE_LOGOS,
    FileType.USER_AVATAR: Charge.USER_AVATARS,
    FileType.TEMPORARY_UPLOAD: Charge.TEMPORARY_FILES,
    FileType.DRIVE_CACHE: Charge.DRIVE_CACHE,
}
"""What a file in use is counted under."""


class Disposition(StrEnum):
    """How a browser takes it: into the folder of downloads, or in place where that is safe."""

    ATTACHMENT = "attachment"
    INLINE = "inline"


class Reclaim(StrEnum):
    """What takes up room that can be had back."""

    TRASH = "TRASH"
    OLD_VERSIONS = "OLD_VERSIONS"
    TEMPORARY_FILES = "TEMPORARY_FILES"
    DRIVE_CACHE = "DRIVE_CACHE"
    UPLOADS_UNDER_WAY = "UPLOADS_UNDER_WAY"
