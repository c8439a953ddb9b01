"""Feeds on the wire."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, ApiRequest, Name, Timestamp


class FeedCreate(ApiRequest):
    """A secret address at which calendar programs read what you see."""

    workspace_id: UUID = Field(description="Whose calendar.")
    project_id: UUID | None = Field(None, description="Only what is part of this project.")
    name: Annotated[Name, Field(max_length=100)] = Field(
        "Calendar", description="What programs call it.", examples=["Work"]
    )


class FeedRead(ApiModel):
    id: UUID = Field(description="The feed's id.")
    workspace_id: UUID = Field(description="Whose calendar.")
    project_id: UUID | None = Field(description="Only what is part of this project.")
    name: str = Field(description="What programs call it.", examples=["Work"])
    read_at: Timestamp | None = Field(description="When a program read it last, to the hour.")
    version: int = Field(description="Counts changes.", examples=[1])
    created_at: Timestamp = Field(description="When it was made.")


class FeedMade(ApiModel):
    """A new feed, and its address, which is told this once."""

    feed: FeedRead = Field(description="The feed.")
    url: str = Field(
        description="What to give to a calendar program. Whoever has it reads the feed: it is not told again.",
        examples=["https://api.example.com/api/calendar/feeds/oX3vYc0fE2.ics"],
    )


class FeedAnswer(ApiModel):
    """One feed, without its address."""

    feed: FeedRead = Field(description="The feed.")


class FeedList(ApiModel):
    feeds: list[FeedRead] = Field(description="Your feeds, newest first.")
    next_cursor: str | None = Field(description="For the next page; null on the last.")
