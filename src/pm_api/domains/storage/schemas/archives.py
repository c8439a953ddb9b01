"""Shapes of archives of files."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiRequest
from pm_api.domains.storage.schemas.files import FileName

MOST_FILES = 1000


class ZipRequest(ApiRequest):
    """Which files go into one archive."""

    workspace_id: UUID | None = Field(
        None, description="The workspace they are in; here or in the address. Without one your own."
    )
    file_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_FILES)] = Field(
        description="The files, each once, all of which you see.",
        examples=[["0198c0de-0000-7000-8000-000000000000"]],
    )
    name: FileName = Field("files.zip", description="What the archive is called.", examples=["launch.zip"])
