"""Comments on the wire."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from pm_api.core.emoji import one_emoji
from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp
from pm_api.domains.tasks.schemas.tasks import PersonShown, not_null

BODY_LENGTH: Final = 20_000
MOST_MENTIONS: Final = 50


def _has_words(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Body = Annotated[Text, Field(min_length=1, max_length=BODY_LENGTH), AfterValidator(_has_words)]
Emoji = Annotated[str, AfterValidator(one_emoji)]

_BODY: Final = "Markdown, of at most 20,000 characters. `@[Ann Archer](user:<id>)` names somebody."
_MENTIONS: Final = "More people whom it names, beside those in the text; at most 50 in all."


class CommentCreate(ApiRequest):
    """Something to say of a task."""

    body: Body = Field(description=_BODY, examples=["Looks good to me. Shall we ship it on **Friday**?"])
    parent_id: UUID | None = Field(None, description="The comment it answers; that one must not be a reply itself.")
    mention_ids: list[UUID] = Field([], max_length=MOST_MENTIONS, description=_MENTIONS)


class CommentUpdate(ApiRequest):
    """Other words."""

    body: Annotated[Body | None, BeforeValidator(not_null)] = Field(
        None, description=_BODY, examples=["Looks good to me."]
    )
    mention_ids: list[UUID] | None = Field(
        None, max_length=MOST_MENTIONS, description=f"{_MENTIONS} Left out: none but those in the text."
    )


class ReactionShown(ApiModel):
    """One emoji below a comment."""

    emoji: str = Field(description="The emoji.", examples=["👍"])
    count: int = Field(description="How many people chose it.", examples=[3])
    mine: bool = Field(description="Whether you did.", examples=[True])


class CommentRead(ApiModel):
    """A comment. One that was deleted keeps its place, without words, while others answer it."""

    id: UUID = Field(description="The comment's id; a newer one has a greater id.")
    task_id: UUID = Field(description="The task.")
    parent_id: UUID | None = Field(description="The comment it answers; null when it answers none.")
    author: PersonShown = Field(description="Who wrote it.")
    body: str = Field(description="Markdown as it was written; empty once it is deleted.")
    mentions: list[PersonShown] = Field(description="Whom it names, of those who saw the task then; by id.")
    reactions: list[ReactionShown] = Field(description="Emojis in the order in which they first came.")
    is_deleted: bool = Field(description="Whether only its place is left.", examples=[False])
    edited_at: Timestamp | None = Field(description="When its words were last changed; null when they never were.")
    version: int = Field(description="Counts its changes, reactions too; the ETag.", examples=[1])
    created_at: Timestamp = Field(description="When it was written.")
    updated_at: Timestamp = Field(description="When it was last changed.")


class CommentAnswer(ApiModel):
    """One comment."""

    comment: CommentRead = Field(description="The comment as it is now.")


class CommentWrittenAnswer(CommentAnswer):
    """A comment that was written, and whom it did not reach."""

    ignored_mentions: list[UUID] = Field(
        description="People who are named but were not told, because they do not see the task; by their ids."
    )


class CommentsAnswer(ApiModel):
    """A page of comments."""

    comments: list[CommentRead] = Field(description="Oldest first, replies among them.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
