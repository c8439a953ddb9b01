"""Shapes of uploads."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.storage.enums import SessionState, UploadWay
from pm_api.domains.storage.schemas.files import FileRead, UploadReceipt


class UploadRead(ApiModel):
    """An upload, under way or ended."""

    id: UUID = Field(description="The upload's id.")
    file_id: UUID = Field(description="The file it makes, or gives a new version.")
    way: UploadWay = Field(description="How its bytes come.")
    state: SessionState = Field(
        description="OPEN takes bytes, FINISHING has them all; COMPLETED, FAILED, TERMINATED and EXPIRED are ends."
    )
    original_name: str = Field(description="What the file will be called.", examples=["launch-plan.pdf"])
    total_bytes: int | None = Field(
        description="How many bytes it will have; null while that is not known.", examples=[482113]
    )
    received_bytes: int = Field(
        description="How many of them are here. For an upload in one request it is told about once a minute.",
        examples=[131072],
    )
    expires_at: Timestamp = Field(description="When it ends by itself unless more bytes come.")
    failure: str | None = Field(
        description="The code of the problem it ended with; null otherwise.", examples=["checksum_mismatch"]
    )
    file: FileRead | None = Field(description="The file, once the upload is complete.")
    receipt: UploadReceipt | None = Field(description="What came in, once the upload is complete.")
    version: int = Field(description="Counts changes of the upload; its ETag.", examples=[1])


class UploadAnswer(ApiModel):
    upload: UploadRead = Field(description="The upload as it is now.")


class UploadedAnswer(ApiModel):
    file: FileRead = Field(description="The file that was made, or has a new version.")
    receipt: UploadReceipt = Field(description="What came in.")
