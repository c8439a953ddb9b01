"""Shapes of conversations."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BeforeValidator, Field

from pm_api.core.schema import ApiModel, ApiRequest, Name, Timestamp
from pm_api.domains.messages.enums import ConversationKind, NewKind
from pm_api.identity.schemas.people import not_null
from pm_api.identity.schemas.pictured import Pictured

MOST_MEMBERS: Final = 250
NAMED_AT_ONCE: Final = 100

ConversationName = Annotated[Name, Field(max_length=120)]


class ConversationCreate(ApiRequest):
    """A group of people, or a channel of a project or of the workspace."""

    workspace_id: UUID = Field(description="The workspace it is in.")
    kind: NewKind = Field(description="GROUP: those you name. CHANNEL: everybody who sees the project or workspace.")
    name: ConversationName = Field(description="What it is called; not necessarily unique.", examples=["Launch"])
    project_id: UUID | None = Field(
        None, description="Of a CHANNEL: the project whose people read it; without one it is for the whole workspace."
    )
    member_ids: list[UUID] = Field(
        [], max_length=MOST_MEMBERS, description="Of a GROUP: user ids of the others in it; you are in it anyway."
    )


class ConversationUpdate(ApiRequest):
    """Only the fields sent are changed."""

    name: Annotated[ConversationName | None, BeforeValidator(not_null)] = Field(
        None, description="New name.", examples=["Launch, second try"]
    )


class DirectOpen(ApiRequest):
    """With whom to speak alone."""

    workspace_id: UUID = Field(description="The workspace that both are members of.")
    user_id: UUID = Field(description="The other person's user id.")


class MembersAdd(ApiRequest):
    user_ids: list[UUID] = Field(
        min_length=1, max_length=NAMED_AT_ONCE, description="User ids of members of the workspace."
    )


class ReadUpTo(ApiRequest):
    up_to_message_id: UUID = Field(description="The last message you have read; all before it count as read too.")


class MuteWrite(ApiRequest):
    until: Timestamp | None = Field(
        None, description="When it ends by itself, at most a year away; null: not before you end it."
    )


class PersonRead(Pictured):
    """Somebody, by name."""

    id: UUID = Field(description="Their user id.")
    name: str = Field(description="Their name as it is now.", examples=["Ann Archer"])


class ConversationRead(ApiModel):
    """A conversation, and where the caller is in it."""

    id: UUID = Field(description="The conversation's id.")
    workspace_id: UUID = Field(description="The workspace it is in.")
    kind: ConversationKind = Field(description="DIRECT: two people. GROUP: its members. CHANNEL: all who see it.")
    name: str = Field(description="What it is called; empty for a direct one.", examples=["Launch"])
    project_id: UUID | None = Field(description="Of a project's channel: the project.")
    other: PersonRead | None = Field(description="Of a direct one: the person you speak with.")
    member_count: int = Field(
        description="How many people were put into it; of an open channel that tells nothing.", examples=[12]
    )
    last_number: int = Field(description="Number of the newest message; 0 before the first.", examples=[42])
    active_at: Timestamp = Field(description="When something was last said, or when it began.")
    read_number: int = Field(description="Up to which number you have read.", examples=[40])
    unread: int = Field(
        description="Messages of others after it that are not deleted: counted to 99.", examples=[2], le=99
    )
    has_more_unread: bool = Field(description="True when there are more unread ones than `unread` says: show `99+`.")
    is_muted: bool = Field(description="Whether you asked not to be told of it.")
    muted_until: Timestamp | None = Field(description="When that ends; null: it does not end, or is not so.")
    archived_at: Timestamp | None = Field(description="Since when it can only be read; null while it is used.")
    created_by_user_id: UUID = Field(description="Who began it.")
    version: int = Field(description="Counts changes of name and members; messages do not count.", examples=[1])
    created_at: Timestamp = Field(description="When it began.")
    updated_at: Timestamp = Field(description="When it last changed.")


class ConversationAnswer(ApiModel):
    conversation: ConversationRead = Field(description="The conversation as it is now.")


class ConversationsAnswer(ApiModel):
    conversations: list[ConversationRead] = Field(description="What was last active first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class ConversationMemberRead(ApiModel):
    """Somebody who was put into a conversation."""

    user_id: UUID = Field(description="Their user id.")
    name: str = Field(description="Their name as it is now.", examples=["Ann Archer"])
    avatar: str | None = Field(None, description="Address of their picture; null without one.")
    is_admin: bool = Field(description="Whether they may rename and archive it, and put others in and out.")
    added_at: Timestamp | None = Field(description="Since when they are in it; null where nobody noted it.")


class ConversationMembersAnswer(ApiModel):
    members: list[ConversationMemberRead] = Field(description="By their ids.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class ReadStateRead(ApiModel):
    """How far the caller has read one conversation."""

    conversation_id: UUID = Field(description="Which conversation.")
    read_number: int = Field(description="Up to which number you have read.", examples=[42])
    unread: int = Field(description="Messages of others after it, counted to 99.", examples=[0], le=99)
    has_more_unread: bool = Field(description="True when there are more unread ones than `unread` says: show `99+`.")
    is_muted: bool = Field(description="Whether you asked not to be told of it.")
    muted_until: Timestamp | None = Field(description="When that ends; null: it does not end, or is not so.")


class ReadStateAnswer(ApiModel):
    read_state: ReadStateRead = Field(description="Where you are now.")


class UnreadConversationsAnswer(ApiModel):
    """What a badge shows, and where it comes from."""

    conversations: list[ReadStateRead] = Field(
        description="Those with something unread, the last active first; at most 200. Muted ones are among them."
    )
    unread: int = Field(
        description="All unread ones of those that are not muted, counted to 99.", examples=[5], le=99
    )
    has_more_unread: bool = Field(description="True when there are more than `unread` says: show `99+`.")
