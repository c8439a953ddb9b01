"""Where bytes lie in the store. No key holds a name that a person gave."""

from typing import Final
from uuid import UUID

from pm_api.domains.storage.accounts import Account
from pm_api.domains.storage.enums import FileType

CHUNKS: Final = "tus/"
INCOMING: Final = "incoming/"
QUARANTINE: Final = "quarantine/"
RENDITIONS: Final = "renditions"


def object_key(account: Account, file_type: FileType, key_id: UUID) -> str:
    """Of a whole object."""
    return f"{account.kind.lower()}/{account.id}/{file_type.lower().replace('_', '-')}/{key_id}"


def rendition_key(account: Account, key_id: UUID) -> str:
    """Of a smaller picture."""
    return f"{account.kind.lower()}/{account.id}/{RENDITIONS}/{key_id}"


def chunk_prefix(upload_id: UUID) -> str:
    """Under which the chunks of an upload lie."""
    return f"{CHUNKS}{upload_id}/"


def chunk_key(upload_id: UUID, epoch: int, number: int) -> str:
    """Of a chunk, written under one lease."""
    return f"{chunk_prefix(upload_id)}{epoch}-{number}"


def incoming_key(upload_id: UUID) -> str:
    """Of a presigned upload, until it is copied to its own key."""
    return f"{INCOMING}{upload_id}"


def quarantine_key(key_id: UUID) -> str:
    """Of an object in which something harmful was found."""
    return f"{QUARANTINE}{key_id}"
