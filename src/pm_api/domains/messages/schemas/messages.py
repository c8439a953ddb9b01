"""Shapes of messages."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Timestamp, storable
from pm_api.domains.messages.schemas.conversations import PersonRead
from pm_api.domains.storage.schemas.files import AttachedFile

LONGEST_BODY: Final = 20_000
MOST_MENTIONS: Final = 20
MOST_FILES: Final = 10


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must say something")
    return storable(text)


Body = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_BODY), AfterValidator(_said)]


def _each_once(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise ValueError("must name each once")
    return ids


Files = Annotated[list[UUID], Field(max_length=MOST_FILES), AfterValidator(_each_once)]
Mentions = Annotated[list[UUID], Field(max_length=MOST_MENTIONS)]


class MessageCreate(ApiRequest):
    """Something to say."""

    conversation_id: UUID = Field(description="Where it is said.")
    body: Body = Field(description="Markdown, as it is; whoever shows it must not trust it.", examples=["Ready?"])
    parent_id: UUID | None = Field(None, description="The message it answers; null outside of threads.")
    mentions: Mentions = Field([], description="User ids of whom to call; they see the conversation.")
    file_ids: Files = Field(
        [],
        description=(
            "Files that go with it: uploaded by you to the workspace, without a place (`POST /api/storage/uploads"
            "?workspaceId=`), not older than 24 hours."
        ),
    )


class MessageUpdate(ApiRequest):
    """What the message says from now on. What it said before stays in its history, and its files stay with it."""

    body: Body = Field(description="Markdown, as it is.", examples=["Ready!"])
    mentions: Mentions | None = Field(None, description="Whom it calls now; left out, those it called before.")


class ReactionRead(ApiModel):
    """How often one emoji was given."""

    emoji: str = Field(description="The emoji.", examples=["👍"])
    count: int = Field(description="By how many people.", examples=[3])
    mine: bool = Field(description="Whether by you.")


class MessageRead(ApiModel):
    """What somebody said."""

    id: UUID = Field(description="The message's id.")
    workspace_id: UUID = Field(description="The workspace it is in.")
    conversation_id: UUID = Field(description="Where it was said.")
    number: int = Field(description="Its place in the conversation: 1, 2, 3 …, in order of commit.", examples=[42])
    parent_id: UUID | None = Field(description="The message it answers; null outside of threads.")
    author: PersonRead = Field(description="Who said it.")
    body: str = Field(description="Markdown, as it was sent; empty once it is deleted.", examples=["Ready?"])
    mentions: list[PersonRead] = Field(description="Whom it calls.")
    attachments: list[AttachedFile] = Field(
        description="The files that go with it, oldest first, without what is in the trash."
    )
    reactions: list[ReactionRead] = Field(description="By emoji, the first given first.")
    reply_count: int = Field(description="How many answers to it there are.", examples=[0])
    last_reply_at: Timestamp | None = Field(description="When it was last answered; null before.")
    edited_at: Timestamp | None = Field(description="When its text last changed; null if never.")
    deleted_at: Timestamp | None = Field(description="When it was deleted; its place stays.")
    version: int = Field(description="Counts changes of its text, files, reactions and answers.", examples=[1])
    created_at: Timestamp = Field(description="When it was said.")
    updated_at: Timestamp = Field(description="When it last changed.")


class MessageAnswer(ApiModel):
    message: MessageRead = Field(description="The message as it is now.")


class MessagesAnswer(ApiModel):
    messages: list[MessageRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for older ones; null at the beginning.")
    newer_cursor: str | None = Field(description="Send as `cursor` for newer ones; null where there are none yet.")


class FoundMessageRead(ApiModel):
    """A message with the words that were looked for."""

    message: MessageRead = Field(description="The message as it is now.")
    highlights: list[str] = Field(
        description="HTML: pieces of the text with `<mark>` around the words, everything else escaped.",
        examples=[["The <mark>launch</mark> is on"]],
    )


class FoundMessagesAnswer(ApiModel):
    results: list[FoundMessageRead] = Field(description="Best first among the newest 500 that fit.")
    next_cursor: str | None = Field(
        description="Send as `cursor` for the next page, even after an empty one; null on the last."
    )


class RevisionRead(ApiModel):
    """What a message said at a time."""

    version: int = Field(description="The message's version then.", examples=[1])
    body: str = Field(description="What it said.", examples=["Ready?"])
    written_at: Timestamp = Field(description="When it was written.")


class MessageHistoryAnswer(ApiModel):
    revisions: list[RevisionRead] = Field(description="What it said before, newest first; without what it says now.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
