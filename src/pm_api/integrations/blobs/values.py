"""What comes out of the store."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pm_api.core.errors import Unavailable

KEY: Final = re.compile(r"[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)*")
"""Our keys: nothing in them that a file system, a shell or an address takes for anything else."""


class BlobMissing(Exception):
    """There are no bytes under a key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class BlobDamaged(BlobMissing):
    """There are bytes under a key, but not as many as were put there."""

    def __init__(self, key: str, size_bytes: int) -> None:
        super().__init__(key)
        self.size_bytes = size_bytes


class StorageUnavailable(Unavailable):
    """Files cannot be stored or read just now; try again in a moment."""

    code = "storage_unavailable"


@dataclass(frozen=True, slots=True)
class BlobHead:
    """An object without its bytes. `etag` is the store's own."""

    key: str
    size_bytes: int
    etag: str | None
    modified_at: datetime


def check_key(key: str) -> str:
    """Raises ValueError for what cannot be a key of ours."""
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key")
    return key
