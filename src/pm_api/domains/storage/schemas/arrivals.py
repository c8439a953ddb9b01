"""Shapes of uploads that go straight to the store."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.schemas.files import FileName
from pm_api.domains.storage.schemas.uploads import UploadRead

LARGEST_BYTES: Final = 5 * 1024**4
MOST_PARTS: Final = 1024
A_SHA256: Final = "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{32}$")]
EntityTag = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class PresignedCreate(ApiRequest):
    """A file that you want to put into the store yourself."""

    workspace_id: UUID | None = Field(None, description="The workspace it is for; without one it is your own.")
    file_type: FileType = Field(FileType.TEMPORARY_UPLOAD, description="What it is for.")
    task_id: UUID | None = Field(None, description="The task a TASK_ATTACHMENT is attached to.")
    project_id: UUID | None = Field(None, description="The project a PROJECT_ASSET belongs to.")
    file_id: UUID | None = Field(
        None, description="The file this is a new version of; then leave the place and `fileType` out."
    )
    original_name: FileName = Field(description="What it is called.", examples=["launch-film.mp4"])
    file_size: int = Field(description="Its exact length in bytes.", ge=0, le=LARGEST_BYTES, examples=[482113])
    mime_type: Annotated[Text, StringConstraints(max_length=255)] | None = Field(
        None, description="What it is, as far as you know; nothing goes by it.", examples=["video/mp4"]
    )
    sha256: Sha256 | None = Field(
        None,
        description="SHA-256 of its bytes, in hex, when you know it: the store then takes no other bytes in one PUT.",
        examples=[A_SHA256],
    )
    md5: Md5 | None = Field(
        None, description="MD5 of its bytes, in hex.", examples=["9e107d9d372bb6826bd81d3542a419d6"]
    )


class SignedRequestRead(ApiModel):
    """A request to send as it is; whoever has the address may send it."""

    method: str = Field(description="The method.", examples=["PUT"])
    url: str = Field(
        description="The address, of the store itself. Send it no token of yours.",
        examples=["https://files.s3.amazonaws.com/incoming/0190?X-Amz-Signature=ab"],
    )
    headers: dict[str, str] = Field(
        description="Headers to send along, exactly so.",
        examples=[{"x-amz-checksum-sha256": "16j7swfXgJRpypq8sAguT4="}],
    )


class SignedPartRead(ApiModel):
    """Where one part is put."""

    part_number: int = Field(description="The part's number, from 1.", examples=[1])
    starts_at: int = Field(description="Where in the file it begins, in bytes.", examples=[0])
    size: int = Field(description="How many bytes it has.", examples=[67108864])
    request: SignedRequestRead = Field(description="The request whose body these bytes are.")


class PresignedRead(ApiModel):
    """How the bytes are to be put: at once, or in parts, one of the two."""

    put: SignedRequestRead | None = Field(description="The one request whose body is the file; null with parts.")
    parts: list[SignedPartRead] = Field(
        description="In any order and at the same time; keep the ETag the store answers each with. Empty with `put`."
    )
    expires_at: Timestamp = Field(description="Until when the addresses open.")


class PresignedAnswer(ApiModel):
    upload: UploadRead = Field(description="The upload; complete it when everything is put.")
    presigned: PresignedRead = Field(description="Where to put the bytes.")


class PutPart(ApiRequest):
    """A part as you have put it."""

    part_number: int = Field(description="Its number.", ge=1, le=MOST_PARTS, examples=[1])
    etag: EntityTag = Field(
        description="The ETag the store answered with.", examples=['"9e107d9d372bb6826bd81d3542a419d6"']
    )


class UploadCompletion(ApiRequest):
    """What you have put, as far as you can say."""

    parts: list[PutPart] = Field(
        default_factory=list, description="Of an upload in parts, each of them.", max_length=MOST_PARTS
    )
    etag: EntityTag | None = Field(
        None,
        description="Of an upload in one PUT, the ETag the store answered with: then nothing else is taken in.",
        examples=['"9e107d9d372bb6826bd81d3542a419d6"'],
    )
    sha256: Sha256 | None = Field(
        None, description="SHA-256 of the bytes, in hex, unless you said it at the beginning.", examples=[A_SHA256]
    )
