"""Conversations over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.actor import WorkspaceScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed, ValidationFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.messages import conversations, membership, reading
from pm_api.domains.messages.enums import ConversationKind
from pm_api.domains.messages.errors import (
    ConversationArchived,
    FixedConversation,
    InvalidMembers,
    InvalidMute,
    NoSharedProject,
    TooManyChannels,
    TooManyMembers,
)
from pm_api.domains.messages.guards import MANAGE, READ, WRITE, RequireAtPath, RequireForOneself
from pm_api.domains.messages.schemas.conversations import (
    ConversationAnswer,
    ConversationCreate,
    ConversationMembersAnswer,
    ConversationRead,
    ConversationsAnswer,
    ConversationUpdate,
    DirectOpen,
    MembersAdd,
    MuteWrite,
    ReadStateAnswer,
    ReadUpTo,
    UnreadConversationsAnswer,
)
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.identity.errors.people import WorkspaceNotFound
from pm_api.identity.guards import require

TABLE: Final = "conversations"
CREATED: Final = answers_with("ETag", "Location")

router = api_router(tag="messages")

ReadsWorkspace = Annotated[WorkspaceScope, Depends(require(READ, of="workspaces", at="workspaceId"))]
WritesWorkspace = Annotated[WorkspaceScope, Depends(require(WRITE, of="workspaces", at="workspaceId"))]
Reads = Annotated[WorkspaceScope, Depends(require(READ, of=TABLE))]
OpensInWorkspace = Annotated[WorkspaceScope, Depends(RequireForOneself(READ, of="workspaces", at="workspaceId"))]
OfOneself = Annotated[WorkspaceScope, Depends(RequireForOneself(READ, of=TABLE))]
Manages = Annotated[WorkspaceScope, Depends(require(MANAGE, of=TABLE))]
ManagesMember = Annotated[WorkspaceScope, Depends(RequireAtPath(MANAGE, TABLE, "conversation_id"))]
ConversationId = Annotated[UUID, Path(alias="conversation_id", description="The conversation.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]
WorkspaceId = Annotated[UUID, Query(alias="workspaceId", description="The workspace.")]


@router.post(
    "/conversations",
    operation_id="createConversation",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(
        WorkspaceNotFound,
        NotFound,
        Forbidden,
        ProjectArchived,
        InvalidMembers,
        TooManyMembers,
        TooManyChannels,
        ValidationFailed,
    ),
)
async def create_conversation(
    scope: WritesWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: ConversationCreate,
) -> ConversationAnswer:
    """A group of people you name, of at most 250; or a channel: of a project, for all who see the project, or of the
    workspace, for all members but guests. You manage what you create; a project's channels are managed by its admins.
    """
    made = await conversations.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/conversations/{made.id}"
    return _answer(made, response)


@router.post(
    "/conversations/direct",
    operation_id="openDirectConversation",
    status_code=200,
    responses={200: ETAG_HEADER, 201: CREATED | {"description": "It is new.", "model": ConversationAnswer}},
    openapi_extra=raises(WorkspaceNotFound, InvalidMembers, NoSharedProject),
)
async def open_direct_conversation(
    scope: OpensInWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: DirectOpen,
) -> ConversationAnswer:
    """Your conversation with one other member: always the same one; 201 when this begins it. Both may write there,
    whatever else they may. A guest opens one with people of their projects only.
    """
    opened, is_new = await conversations.open_direct(session, platform, scope, wanted.user_id)
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/conversations/{opened.id}"
    return _answer(opened, response)


@router.get(
    "/conversations",
    operation_id="listConversations",
    openapi_extra=raises(WorkspaceNotFound, InvalidCursor),
)
async def list_conversations(
    scope: ReadsWorkspace,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    _workspace_id: WorkspaceId,
    kind: Annotated[ConversationKind | None, Query(description="Only those of this kind.")] = None,
    project_id: Annotated[UUID | None, Query(alias="projectId", description="Only channels of this project.")] = None,
    archived: Annotated[
        bool, Query(description="True lists those that can only be read, in place of others.")
    ] = False,
) -> ConversationsAnswer:
    """Your conversations of a workspace and the channels you see, the last active first, each with what is unread."""
    return await conversations.list_of(
        session, platform, scope, page, kind=kind, project_id=project_id, archived=archived
    )


@router.get(
    "/conversations/unread",
    operation_id="getUnreadMessages",
    openapi_extra=raises(WorkspaceNotFound),
)
async def get_unread_messages(
    scope: ReadsWorkspace, session: SessionDep, platform: PlatformDep, _workspace_id: WorkspaceId
) -> UnreadConversationsAnswer:
    """How much is unread, in all and by conversation: what others said after the place you have read up to, without
    what was deleted. Counted to 99; muted ones are listed and not added up.
    """
    return await reading.unread_of(session, platform, scope)


@router.get(
    "/conversations/{conversation_id}",
    operation_id="getConversation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound),
)
async def get_conversation(
    scope: Reads, session: SessionDep, platform: PlatformDep, response: Response, conversation_id: ConversationId
) -> ConversationAnswer:
    """One conversation, and where you are in it."""
    found = await conversations.get(session, platform, scope, conversation_id)
    # What is unread, and who is in it, changes what is shown without a new version.
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return ConversationAnswer(conversation=found)


@router.patch(
    "/conversations/{conversation_id}",
    operation_id="updateConversation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound, PreconditionFailed, InvalidIfMatch, FixedConversation, ConversationArchived, ProjectArchived
    ),
)
async def update_conversation(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    conversation_id: ConversationId,
    expected_version: ExpectedVersion,
    wanted: ConversationUpdate,
) -> ConversationAnswer:
    """Give a group or channel another name."""
    changed = await conversations.update(session, platform, scope, conversation_id, wanted, expected_version)
    return _answer(changed, response)


@router.post(
    "/conversations/{conversation_id}/archive",
    operation_id="archiveConversation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, FixedConversation),
)
async def archive_conversation(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    conversation_id: ConversationId,
    expected_version: ExpectedVersion,
) -> ConversationAnswer:
    """From now on a group or channel can only be read."""
    return _answer(await conversations.archive(session, platform, scope, conversation_id, expected_version), response)


@router.post(
    "/conversations/{conversation_id}/restore",
    operation_id="restoreConversation",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(NotFound, PreconditionFailed, InvalidIfMatch, FixedConversation, ProjectArchived),
)
async def restore_conversation(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    conversation_id: ConversationId,
    expected_version: ExpectedVersion,
) -> ConversationAnswer:
    """Out of the archive."""
    return _answer(await conversations.restore(session, platform, scope, conversation_id, expected_version), response)


# --- who is in it ----------------------------------------------------------------------------------------------


@router.get(
    "/conversations/{conversation_id}/members",
    operation_id="listConversationMembers",
    openapi_extra=raises(NotFound, InvalidCursor),
)
async def list_conversation_members(
    scope: Reads, session: SessionDep, platform: PlatformDep, page: Page, conversation_id: ConversationId
) -> ConversationMembersAnswer:
    """Who was put into it. An open channel is read by others too, who are not listed."""
    return await membership.list_of(session, platform, scope, conversation_id, page)


@router.post(
    "/conversations/{conversation_id}/members",
    operation_id="addConversationMembers",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        NotFound, FixedConversation, ConversationArchived, ProjectArchived, InvalidMembers, TooManyMembers
    ),
)
async def add_conversation_members(
    scope: Manages,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    conversation_id: ConversationId,
    wanted: MembersAdd,
) -> ConversationAnswer:
    """Put people into a group. They see what was said before, and have nothing of it unread; who is in it stays."""
    return _answer(await membership.add(session, platform, scope, conversation_id, wanted.user_ids), response)


@router.delete(
    "/conversations/{conversation_id}/members/{user_id}",
    operation_id="removeConversationMember",
    status_code=204,
    openapi_extra=raises(NotFound, FixedConversation),
)
async def remove_conversation_member(
    scope: ManagesMember,
    session: SessionDep,
    platform: PlatformDep,
    conversation_id: ConversationId,
    user_id: Annotated[UUID, Path(description="The user id of who is taken out.")],
) -> None:
    """Take somebody out of a group: at once they see nothing of it any more."""
    await membership.remove(session, platform, scope, conversation_id, user_id)


@router.post(
    "/conversations/{conversation_id}/leave",
    operation_id="leaveConversation",
    status_code=204,
    openapi_extra=raises(NotFound, FixedConversation),
)
async def leave_conversation(
    scope: OfOneself, session: SessionDep, platform: PlatformDep, conversation_id: ConversationId
) -> None:
    """Go out of a group. When its last admin goes, whoever has been in it for the longest time is the next."""
    await membership.leave(session, platform, scope, conversation_id)


# --- where one is in it ----------------------------------------------------------------------------------------


@router.post(
    "/conversations/{conversation_id}/read",
    operation_id="readConversation",
    openapi_extra=raises(NotFound),
)
async def read_conversation(
    scope: OfOneself, session: SessionDep, platform: PlatformDep, conversation_id: ConversationId, wanted: ReadUpTo
) -> ReadStateAnswer:
    """You have read everything up to a message. It never goes back: an older message changes nothing."""
    return ReadStateAnswer(
        read_state=await reading.read_up_to(session, platform, scope, conversation_id, wanted.up_to_message_id)
    )


@router.put(
    "/conversations/{conversation_id}/mute",
    operation_id="muteConversation",
    openapi_extra=raises(NotFound, InvalidMute),
)
async def mute_conversation(
    scope: OfOneself, session: SessionDep, platform: PlatformDep, conversation_id: ConversationId, wanted: MuteWrite
) -> ReadStateAnswer:
    """Be told nothing of it, for a while or until you end it. What is unread is still counted, and flagged."""
    return ReadStateAnswer(read_state=await reading.mute(session, platform, scope, conversation_id, wanted.until))


@router.delete(
    "/conversations/{conversation_id}/mute",
    operation_id="unmuteConversation",
    openapi_extra=raises(NotFound),
)
async def unmute_conversation(
    scope: OfOneself, session: SessionDep, platform: PlatformDep, conversation_id: ConversationId
) -> ReadStateAnswer:
    """Be told of it again."""
    return ReadStateAnswer(read_state=await reading.unmute(session, platform, scope, conversation_id))


def _answer(found: ConversationRead, response: Response) -> ConversationAnswer:
    response.headers["ETag"] = entity_tag(found.version)
    return ConversationAnswer(conversation=found)
