"""Shapes of files' versions."""

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.storage.enums import ScanState
from pm_api.domains.storage.schemas.files import FilePerson


class FileVersionRead(ApiModel):
    """What a file held at some time."""

    number: int = Field(description="Counts up with each new version, and is never used again.", examples=[2])
    is_current: bool = Field(description="Whether it is the one that counts.")
    original_name: str = Field(description="What it was called when it came.", examples=["launch-plan.pdf"])
    file_size: int = Field(description="Bytes.", examples=[482113])
    mime_type: str = Field(description="What it is by its content.", examples=["application/pdf"])
    declared_mime_type: str | None = Field(description="What it was said to be.", examples=["application/pdf"])
    checksum_md5: str = Field(description="MD5, in hex.", examples=["9e107d9d372bb6826bd81d3542a419d6"])
    checksum_sha256: str = Field(
        description="SHA-256, in hex.",
        examples=["d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"],
    )
    scan_state: ScanState = Field(description="What the scanner said. Nothing but CLEAN is clean.")
    uploaded_by: FilePerson = Field(description="Who brought it.")
    content_url: str | None = Field(description="Where its bytes are read, with your token; null while it is not.")
    created_at: Timestamp = Field(description="When it came.")


class FileVersionsAnswer(ApiModel):
    versions: list[FileVersionRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
