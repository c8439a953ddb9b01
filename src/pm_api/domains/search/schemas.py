"""Shapes of search on the wire."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.search.enums import Kind


class Highlight(ApiModel):
    field: Literal["title", "body"] = Field(description="Where the words stand.", examples=["title"])
    text: str = Field(
        description=(
            "HTML: the text with `<mark>` around each word that was looked for, everything else escaped. Of a long "
            "text at most two pieces."
        ),
        examples=["Write the <mark>launch</mark> plan"],
    )


class SearchResult(ApiModel):
    """One thing that was found."""

    kind: Kind = Field(description="What it is.", examples=["task"])
    id: UUID = Field(description="Its id, for the routes of its kind.")
    key: str | None = Field(
        description="A task's name among people, or a project's key; null for what has none.", examples=["WEB-42"]
    )
    title: str = Field(description="Its title as plain text; may be empty.", examples=["Write the launch plan"])
    highlights: list[Highlight] = Field(description="Where the words stand; empty when it was found by its key.")
    workspace_id: UUID = Field(description="The workspace it belongs to.")
    project_id: UUID | None = Field(description="The project it belongs to; null outside projects.")
    parent_id: UUID | None = Field(
        description="The task of a comment or a file, the conversation of a message; null for what stands by itself."
    )
    url: str = Field(
        description="A path within the app where it is shown.",
        examples=["/tasks/0198c0de-0000-7000-8000-000000000000"],
    )
    updated_at: Timestamp = Field(description="When it last changed.")
    score: float = Field(
        description="How well it fits, compared with the others of this answer alone.", examples=[0.6079]
    )


class SearchAnswer(ApiModel):
    results: list[SearchResult] = Field(
        description="Best first among the newest 500 that fit, then among those before."
    )
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
