"""Shapes of links to files."""

from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp
from pm_api.domains.storage.enums import Disposition

LONGEST_S = 7 * 24 * 3600


class LinkCreate(ApiRequest):
    """A link to give away."""

    expires_in: int | None = Field(
        None,
        ge=1,
        le=LONGEST_S,
        strict=True,
        description="For how many seconds it works, at most seven days; five minutes without it, and at most with an"
        " API key.",
        examples=[300],
    )
    disposition: Disposition = Field(
        Disposition.ATTACHMENT,
        description="`inline` lets a browser show in place what is safe to show: pictures, sound, films, plain text.",
    )


class LinkRead(ApiModel):
    """A link that works."""

    id: UUID = Field(description="The link's id, to revoke it by.")
    file_id: UUID = Field(description="The file.")
    created_by_user_id: UUID = Field(description="Who made it.")
    url: str | None = Field(
        description="The address: whoever has it reads the file. Null for links of others.",
        examples=["https://api.example.com/api/storage/links/AZNU…"],
    )
    disposition: Disposition = Field(description="How a browser takes it.")
    expires_at: Timestamp = Field(description="When it is over.")
    created_at: Timestamp = Field(description="When it was made.")


class LinkAnswer(ApiModel):
    link: LinkRead = Field(description="The link.")


class LinksAnswer(ApiModel):
    links: list[LinkRead] = Field(description="Those that work, newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
