"""Comments of tasks over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.tasks import comments
from pm_api.domains.tasks.errors.talk import CommentNotFound, ReplyToReply, TooManyReactions
from pm_api.domains.tasks.errors.tasks import TaskNotFound
from pm_api.domains.tasks.guards import TaskScope, require_task
from pm_api.domains.tasks.schemas.comments import (
    CommentAnswer,
    CommentCreate,
    CommentRead,
    CommentsAnswer,
    CommentUpdate,
    CommentWrittenAnswer,
    Emoji,
)

router = api_router(tag="tasks")

Reading = Annotated[TaskScope, Depends(require_task("task.read"))]
Writing = Annotated[TaskScope, Depends(require_task("task.write"))]
CommentId = Annotated[UUID, Path(description="A comment of the task.")]
EmojiPath = Annotated[Emoji, Path(description="One emoji, of at most 32 bytes.", examples=["👍"])]
ExpectedVersion = Annotated[int | None, Depends(if_match)]
Page = Annotated[PageRequest, Depends(page_request)]
CHANGES: Final = raises(TaskNotFound, CommentNotFound, ProjectArchived, Forbidden, PreconditionFailed, InvalidIfMatch)
REACTS: Final = raises(TaskNotFound, CommentNotFound, ProjectArchived)


@router.post(
    "/tasks/{task_id}/comments",
    operation_id="createTaskComment",
    status_code=201,
    responses={201: answers_with("ETag", "Location")},
    openapi_extra=raises(TaskNotFound, CommentNotFound, ProjectArchived, ReplyToReply),
)
async def create_task_comment(
    at: Writing, session: SessionDep, platform: PlatformDep, response: Response, wanted: CommentCreate
) -> CommentWrittenAnswer:
    """Say something of a task, or answer a comment. Who is named is told, as are the others who watch the task; you
    watch it from now on.
    """
    made, ignored = await comments.create(session, platform, at, wanted)
    response.headers["Location"] = f"/api/tasks/{made.task_id}/comments/{made.id}"
    response.headers["ETag"] = sight_tag(made.version, made.model_dump_json())
    return CommentWrittenAnswer(comment=made, ignored_mentions=ignored)


@router.get(
    "/tasks/{task_id}/comments",
    operation_id="listTaskComments",
    openapi_extra=raises(TaskNotFound, InvalidCursor),
)
async def list_task_comments(
    at: Reading,
    session: SessionDep,
    platform: PlatformDep,
    page: Page,
    parent_id: Annotated[UUID | None, Query(alias="parentId", description="Only what answers this comment.")] = None,
) -> CommentsAnswer:
    """What was said of a task, oldest first, replies among it. One that was deleted keeps its place while others
    answer it.
    """
    return await comments.list_of(session, platform, at, page, parent_id)


@router.get(
    "/tasks/{task_id}/comments/{comment_id}",
    operation_id="getTaskComment",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound, CommentNotFound),
)
async def get_task_comment(
    at: Reading, session: SessionDep, platform: PlatformDep, response: Response, comment_id: CommentId
) -> CommentAnswer:
    """One comment."""
    return _answer(await comments.get(session, platform, at, comment_id), response)


@router.patch(
    "/tasks/{task_id}/comments/{comment_id}",
    operation_id="updateTaskComment",
    responses={200: ETAG_HEADER},
    openapi_extra=CHANGES,
)
async def update_task_comment(
    at: Writing,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    comment_id: CommentId,
    expected_version: ExpectedVersion,
    wanted: CommentUpdate,
) -> CommentWrittenAnswer:
    """Put it into other words: your own comment, or any for who manages tasks. Who is named now and was not before is
    told.
    """
    changed, ignored = await comments.update(session, platform, at, comment_id, wanted, expected_version)
    response.headers["ETag"] = sight_tag(changed.version, changed.model_dump_json())
    return CommentWrittenAnswer(comment=changed, ignored_mentions=ignored)


@router.delete(
    "/tasks/{task_id}/comments/{comment_id}",
    operation_id="deleteTaskComment",
    status_code=204,
    openapi_extra=CHANGES,
)
async def delete_task_comment(
    at: Writing,
    session: SessionDep,
    platform: PlatformDep,
    comment_id: CommentId,
    expected_version: ExpectedVersion,
) -> None:
    """Take it back: your own comment, or any for who manages tasks. Its words are gone at once; its place stays while
    others answer it.
    """
    await comments.delete(session, platform, at, comment_id, expected_version)


@router.put(
    "/tasks/{task_id}/comments/{comment_id}/reactions/{emoji}",
    operation_id="putCommentReaction",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(TaskNotFound, CommentNotFound, ProjectArchived, TooManyReactions),
)
async def put_comment_reaction(
    at: Writing,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    comment_id: CommentId,
    emoji: EmojiPath,
) -> CommentAnswer:
    """Put an emoji below a comment; a second time changes nothing. A comment takes at most 20 different ones."""
    return _answer(await comments.react(session, platform, at, comment_id, emoji), response)


@router.delete(
    "/tasks/{task_id}/comments/{comment_id}/reactions/{emoji}",
    operation_id="deleteCommentReaction",
    responses={200: ETAG_HEADER},
    openapi_extra=REACTS,
)
async def delete_comment_reaction(
    at: Writing,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    comment_id: CommentId,
    emoji: EmojiPath,
) -> CommentAnswer:
    """Take your own emoji away; where there is none, nothing changes."""
    return _answer(await comments.take_back(session, platform, at, comment_id, emoji), response)


def _answer(found: CommentRead, response: Response) -> CommentAnswer:
    # People are shown as they are called now, without a new version.
    response.headers["ETag"] = sight_tag(found.version, found.model_dump_json())
    return CommentAnswer(comment=found)
