"""Tables of storage."""

from pm_api.domains.storage.models.files import FileLink, FileVersion, StoredFile
from pm_api.domains.storage.models.objects import DoomedObject, ObjectRendition, StorageUsage, StoredObject
from pm_api.domains.storage.models.uploads import UploadChunk, UploadSession

__all__ = [
    "DoomedObject",
    "FileLink",
    "FileVersion",
    "ObjectRendition",
    "StorageUsage",
    "StoredFile",
    "StoredObject",
    "UploadChunk",
    "UploadSession",
]
