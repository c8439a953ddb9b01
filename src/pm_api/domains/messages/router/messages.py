"""Messages over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.core.schema import Text
from pm_api.domains.messages import finding, pages, reactions, service
from pm_api.domains.messages.errors import (
    ConversationArchived,
    InvalidEmoji,
    InvalidMention,
    InvalidParent,
    MessageDeleted,
    NotTheAuthor,
    TooManyReactions,
)
from pm_api.domains.messages.guards import READ, WRITE, RequireAtPath
from pm_api.domains.messages.repository.messages import Within
from pm_api.domains.messages.schemas.messages import (
    FoundMessagesAnswer,
    MessageAnswer,
    MessageCreate,
    MessageHistoryAnswer,
    MessageRead,
    MessagesAnswer,
    MessageUpdate,
)
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.storage.errors.files import FileInTrash, FileIsPicture, FileNotFound, FileNotReady, NotTheUploader
from pm_api.domains.storage.errors.places import FileHasPlace
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

TABLE: Final = "messages"
LONGEST_QUESTION: Final = 200
CREATED: Final = answers_with("ETag", "Location")

router = api_router(tag="messages")

ReadsWorkspace = Annotated[WorkspaceScope, Depends(require(READ, of="workspaces", at="workspaceId"))]
ReadsConversation = Annotated[WorkspaceScope, Depends(require(READ, of="conversations", at="conversationId"))]
WritesConversation = Annotated[WorkspaceScope, Depends(require(WRITE, of="conversations", at="conversationId"))]
Reads = Annotated[WorkspaceScope, Depends(require(READ, of=TABLE))]
Writes = Annotated[WorkspaceScope, Depends(require(WRITE, of=TABLE))]
Reacts = Annotated[WorkspaceScope, Depends(RequireAtPath(WRITE, TABLE, "message_id"))]
MessageId = Annotated[UUID, Path(alias="message_id", description="The message.")]
Emoji = Annotated[str, Path(description="One emoji, percent-encoded.", examples=["👍"])]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]


@router.post(
    "/messages",
    operation_id="postMessage",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(
        *(NotFound, ConversationArchived, ProjectArchived, InvalidParent, InvalidMention),
        *(FileNotFound, FileHasPlace, FileIsPicture, FileInTrash, FileNotReady, NotTheUploader),
    ),
)
async def post_message(
    scope: WritesConversation,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: MessageCreate,
) -> MessageAnswer:
    """Say something in a conversation, or answer a message in its thread. Whom it is written to (in a direct
    conversation) or calls is told, unless they muted it, and once until they have read on. Over `GET /api/stream`
    everybody who sees the conversation gets its id.

    Files are uploaded to the workspace first, and named in `fileIds`: from then on they are seen by whoever sees the
    conversation.
    """
    posted = await service.post(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/messages/{posted.id}"
    return _answer(posted, response)


@router.get(
    "/messages",
    operation_id="listMessages",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def list_messages(
    scope: ReadsConversation,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    conversation_id: Annotated[UUID, Query(alias="conversationId", description="The conversation.")],
    parent_id: Annotated[UUID | None, Query(alias="parentId", description="Only answers to this message.")] = None,
    top_level: Annotated[bool, Query(alias="topLevel", description="True leaves answers in threads out.")] = False,
    around: Annotated[UUID | None, Query(description="Begin around this message and not at the newest.")] = None,
) -> MessagesAnswer:
    """What was said, newest first, deleted ones as empty places. Go on to older ones with `nextCursor`, to newer ones
    with `newerCursor`.
    """
    return await pages.of_conversation(
        session,
        platform,
        scope,
        conversation_id,
        page,
        within=Within(parent_id, top_level),
        around=around,
    )


@router.get(
    "/messages/search",
    operation_id="searchMessages",
    openapi_extra=raises(WorkspaceNotFound, NotFound, InvalidCursor),
)
async def search_messages(
    scope: ReadsWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    _workspace_id: Annotated[UUID, Query(alias="workspaceId", description="The workspace.")],
    q: Annotated[
        Text,
        Query(
            description="What to look for, as in `GET /api/search`.",
            min_length=1,
            max_length=LONGEST_QUESTION,
            examples=["launch"],
        ),
    ],
    conversation_id: Annotated[
        UUID | None, Query(alias="conversationId", description="Only in this conversation.")
    ] = None,
) -> FoundMessagesAnswer:
    """Messages you see that hold these words, in all conversations of a workspace or in one."""
    return await finding.find(session, platform, scope, page, text=q, conversation_id=conversation_id)


@router.get(
    "/messages/{message_id}",
    operation_id="getMessage",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_message(
    scope: Reads, session: SessionDep, platform: PlatformDep, response: Response, message_id: MessageId
) -> MessageAnswer:
    """One message."""
    found = await service.get(session, platform, scope, message_id)
    answer = _answer(found, response)
    if found.attachments:  # a name, or what the scanner says, changes without the message
        response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return answer


@router.patch(
    "/messages/{message_id}",
    operation_id="editMessage",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound,
        PreconditionFailed,
        InvalidIfMatch,
        NotTheAuthor,
        MessageDeleted,
        InvalidMention,
        ConversationArchived,
        ProjectArchived,
    ),
)
async def edit_message(
    scope: Writes,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    message_id: MessageId,
    expected_version: ExpectedVersion,
    wanted: MessageUpdate,
) -> MessageAnswer:
    """Say it otherwise; for its author only. What it said before stays in its history."""
    return _answer(await service.edit(session, platform, scope, message_id, wanted, expected_version), response)


@router.delete(
    "/messages/{message_id}",
    operation_id="deleteMessage",
    status_code=204,
    openapi_extra=raises(
        NotFound, PreconditionFailed, InvalidIfMatch, NotTheAuthor, ConversationArchived, ProjectArchived
    ),
)
async def delete_message(
    scope: Writes,
    session: SessionDep,
    platform: PlatformDep,
    message_id: MessageId,
    expected_version: ExpectedVersion,
) -> None:
    """Take it back, with its history and reactions: an empty place stays. Its files go into the trash of who uploaded
    them. For its author, and in groups and channels
    for who manages them.
    """
    await service.delete(session, platform, scope, message_id, expected_version)


@router.get(
    "/messages/{message_id}/history",
    operation_id="getMessageHistory",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def get_message_history(
    scope: Reads, session: SessionDep, platform: PlatformDep, page: Page, message_id: MessageId
) -> MessageHistoryAnswer:
    """What a message said before it was changed, newest first."""
    return await pages.history_of(session, platform, scope, message_id, page)


@router.put(
    "/messages/{message_id}/reactions/{emoji}",
    operation_id="addReaction",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound, InvalidEmoji, TooManyReactions, MessageDeleted, ConversationArchived, ProjectArchived
    ),
)
async def add_reaction(
    scope: Reacts,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    message_id: MessageId,
    emoji: Emoji,
) -> MessageAnswer:
    """Give a message your emoji; a second time changes nothing."""
    return _answer(await reactions.put(session, platform, scope, message_id, emoji), response)


@router.delete(
    "/messages/{message_id}/reactions/{emoji}",
    operation_id="removeReaction",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, InvalidEmoji, MessageDeleted, ConversationArchived, ProjectArchived),
)
async def remove_reaction(
    scope: Reacts,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    message_id: MessageId,
    emoji: Emoji,
) -> MessageAnswer:
    """Take your emoji back; a second time changes nothing."""
    return _answer(await reactions.drop(session, platform, scope, message_id, emoji), response)


def _answer(found: MessageRead, response: Response) -> MessageAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return MessageAnswer(message=found)
