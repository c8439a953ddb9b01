"""Shapes of attachments."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest
from pm_api.domains.storage.schemas.files import FileRead


class AttachmentCreate(ApiRequest):
    file_id: UUID = Field(description="A file of the workspace that you uploaded, or that is yours to manage.")


class AttachmentAnswer(ApiModel):
    attachment: FileRead = Field(description="The file, which is attached now.")


class AttachmentsAnswer(ApiModel):
    attachments: list[FileRead] = Field(description="At most 200, oldest first.")
