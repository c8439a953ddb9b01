"""Shapes of files."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp, storable
from pm_api.domains.storage.enums import FileType, ScanState, UploadStatus


def _name(raw: str) -> str:
    return storable(raw.strip())


FileName = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_name)]


class FilePerson(ApiModel):
    """Somebody, as they are shown beside a file."""

    id: UUID = Field(description="Their user id.")
    name: str = Field(description="Their name.", examples=["Maya Lind"])
    avatar: str | None = Field(description="Address of their picture; null without one.")


class FileRead(ApiModel):
    """A file."""

    id: UUID = Field(description="The file's id.")
    workspace_id: UUID | None = Field(description="The workspace it is in; null for a person's own.")
    user_id: UUID = Field(description="Who uploaded it.")
    uploaded_by: FilePerson = Field(description="The same person.")
    original_name: str = Field(description="What it is called.", examples=["launch-plan.pdf"])
    file_size: int = Field(description="Bytes.", examples=[482113])
    mime_type: str | None = Field(
        description="What it is by its content, and what it is served as; null before its bytes are there.",
        examples=["application/pdf"],
    )
    declared_mime_type: str | None = Field(
        description="What whoever uploaded it said it is; nothing goes by it.", examples=["application/pdf"]
    )
    file_type: FileType = Field(description="What it is for.")
    task_id: UUID | None = Field(description="The task it is attached to.")
    project_id: UUID | None = Field(description="The project it belongs to.")
    message_id: UUID | None = Field(description="The message it is attached to.")
    upload_status: UploadStatus = Field(description="How far it is. Only a COMPLETED file is served.")
    checksum_md5: str | None = Field(
        description="MD5 of its bytes, in hex.", examples=["9e107d9d372bb6826bd81d3542a419d6"]
    )
    checksum_sha256: str | None = Field(
        description="SHA-256 of its bytes, in hex.",
        examples=["d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"],
    )
    is_temporary: bool = Field(description="Whether it goes by itself unless it is put somewhere.")
    expires_at: Timestamp | None = Field(description="When it goes by itself.")
    deleted_at: Timestamp | None = Field(description="Since when it is in the trash; null while it is not.")
    purge_at: Timestamp | None = Field(description="When it goes from the trash for good.")
    version_number: int = Field(description="Which of its versions counts; 0 before there is one.", examples=[1])
    scanned: bool = Field(description="Whether a scanner found it clean.")
    scan_state: ScanState = Field(description="What the scanner said. Nothing but CLEAN is clean.")
    scanned_at: Timestamp | None = Field(description="When the scanner last said so.")
    width: int | None = Field(description="Of a picture, in pixels.", examples=[1920])
    height: int | None = Field(description="Of a picture, in pixels.", examples=[1080])
    content_url: str | None = Field(
        description="Where its bytes are read, with your token; null while it is not served."
    )
    thumbnail_url: str | None = Field(description="Where a small picture of it is read; null when there is none.")
    allowed_actions: list[str] = Field(
        description="What you may do with it now: READ, LINK, RENAME, MOVE, ADD_VERSION, DELETE, RESTORE, PURGE.",
        examples=[["READ", "LINK", "RENAME", "MOVE", "ADD_VERSION", "DELETE"]],
    )
    version: int = Field(description="Counts changes of the file; its ETag.", examples=[1])
    created_at: Timestamp = Field(description="When its upload began.")
    updated_at: Timestamp = Field(description="When it last changed.")


class AttachedFile(ApiModel):
    """A file beside what it is attached to."""

    id: UUID = Field(description="The file's id; the whole of it is at `GET /api/storage/files/{id}`.")
    original_name: str = Field(description="What it is called.", examples=["launch-plan.pdf"])
    file_size: int = Field(description="Bytes.", examples=[482113])
    mime_type: str | None = Field(
        description="What it is by its content, and what it is served as.", examples=["application/pdf"]
    )
    upload_status: UploadStatus = Field(description="How far it is. Only a COMPLETED file is served.")
    content_url: str | None = Field(
        description="Where its bytes are read, with your token; null while it is not served.",
        examples=["/api/storage/files/0190a1b2-0000-7000-8000-000000000000/content"],
    )
    thumbnail_url: str | None = Field(description="Where a small picture of it is read; null when there is none.")


class FileAnswer(ApiModel):
    file: FileRead = Field(description="The file as it is now.")


class FilesAnswer(ApiModel):
    files: list[FileRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class FileUpdate(ApiRequest):
    """What is to change. With a `fileType` the file is put somewhere: it is not temporary any more, and seen by
    everybody who sees the place.
    """

    original_name: FileName | None = Field(
        None,
        description="What it is called from now on; a name that is no safe one is refused.",
        examples=["plan.pdf"],
    )
    file_type: FileType | None = Field(
        None, description="TASK_ATTACHMENT together with `taskId`, or PROJECT_ASSET together with `projectId`."
    )
    task_id: UUID | None = Field(None, description="The task to attach it to.")
    project_id: UUID | None = Field(None, description="The project to put it into.")


class UploadReceipt(ApiModel):
    """What came in, told to whoever sent it so that they can compare."""

    file_id: UUID = Field(description="The file.")
    upload_id: UUID = Field(description="The upload.")
    file_size: int = Field(description="Bytes.", examples=[482113])
    md5: str = Field(description="MD5 of the bytes, in hex.", examples=["9e107d9d372bb6826bd81d3542a419d6"])
    sha256: str = Field(
        description="SHA-256 of the bytes, in hex.",
        examples=["d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"],
    )
    mime_type: str = Field(description="What it is by its content.", examples=["application/pdf"])
    declared_mime_type: str | None = Field(description="What you said it is.", examples=["application/pdf"])
    scanned: bool = Field(description="Whether a scanner found it clean.")
