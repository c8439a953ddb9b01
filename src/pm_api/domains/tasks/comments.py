"""Rules of comments: what is said of a task, to whom, and what others think of it."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.errors import Forbidden
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.search import service as search
from pm_api.domains.tasks import activity, rules, telling, touching
from pm_api.domains.tasks.activity import FieldChange
from pm_api.domains.tasks.errors.talk import CommentNotFound, ReplyToReply, TooManyReactions
from pm_api.domains.tasks.guards import TaskScope
from pm_api.domains.tasks.mentioning import mentioned
from pm_api.domains.tasks.models import CommentReaction, Task, TaskComment
from pm_api.domains.tasks.repository import comments as repository
from pm_api.domains.tasks.repository import tasks
from pm_api.domains.tasks.schemas.comments import (
    MOST_MENTIONS,
    CommentCreate,
    CommentRead,
    CommentsAnswer,
    CommentUpdate,
    ReactionShown,
)
from pm_api.domains.tasks.schemas.tasks import PersonShown
from pm_api.identity import pictures
from pm_api.identity.permissions import allows

ENTITY: Final = "task_comment"
DOCUMENT: Final = "comment"
MOST_KINDS: Final = 20
NOT_YOURS: Final = "You may change comments that you wrote; others only who manages tasks."


async def create(
    session: AsyncSession, platform: Platform, at: TaskScope, wanted: CommentCreate
) -> tuple[CommentRead, list[UUID]]:
    """A new comment, and the people it names in vain because they do not see the task.

    Raises TaskNotFound, ProjectArchived, CommentNotFound and ReplyToReply for what it answers, and ValidationFailed.
    """
    task = await touching.to_add(session, at)
    if wanted.parent_id is not None:
        parent = await repository.lock(session, task.id, wanted.parent_id, share=True)
        if parent is None:
            raise CommentNotFound
        if parent.parent_id is not None:
            raise ReplyToReply
    seeing, ignored = await _named(session, task, wanted.body, wanted.mention_ids)
    now = platform.clock.now()
    comment = TaskComment(
        id=platform.randomness.uuid(),
        workspace_id=task.workspace_id,
        scope_id=task.scope_id,
        task_id=task.id,
        parent_id=wanted.parent_id,
        author_user_id=at.scope.user_id,
        body=wanted.body,
        edited_at=None,
        deleted_at=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(comment)
    await session.flush()
    await repository.put_mentions(session, comment.id, seeing)
    await _wrote(session, platform, at, task, comment, "created")
    await telling.told_of_comment(session, platform, at.scope, task, comment, seeing, is_new=True)
    return await get(session, platform, at, comment.id), ignored


async def list_of(
    session: AsyncSession, platform: Platform, at: TaskScope, page: PageRequest, parent_id: UUID | None
) -> CommentsAnswer:
    """A page, oldest first; with a parent only what answers it."""
    filters = {"task": at.task_id, "parent": parent_id}
    key = platform.cursors.decode(page.cursor, of="task_comments", **filters)
    rows = await repository.page(
        session, at.task_id, parent_id=parent_id, after=UUID(key[0]) if key else None, limit=page.limit + 1
    )
    shown = rows[: page.limit]
    following = (shown[-1][0].id,) if len(rows) > page.limit else None
    return CommentsAnswer(
        comments=await _reads(session, platform, at.scope, shown),
        next_cursor=platform.cursors.encode(following, of="task_comments", **filters),
    )


async def get(session: AsyncSession, platform: Platform, at: TaskScope, comment_id: UUID) -> CommentRead:
    """One as the list shows it; raises CommentNotFound."""
    found = await repository.shown(session, at.task_id, comment_id)
    if found is None:
        raise CommentNotFound
    [read] = await _reads(session, platform, at.scope, [found])
    return read


async def update(
    session: AsyncSession,
    platform: Platform,
    at: TaskScope,
    comment_id: UUID,
    wanted: CommentUpdate,
    expected_version: int | None,
) -> tuple[CommentRead, list[UUID]]:
    """Other words, by its author alone. Who is named now and was not before is told.

    Raises TaskNotFound, ProjectArchived, CommentNotFound, Forbidden, PreconditionFailed and ValidationFailed.
    """
    task, comment = await _to_change(session, at, comment_id, expected_version, by_managers=False)
    body = comment.body if wanted.body is None else wanted.body
    ignored: list[UUID] = []
    if wanted.body is not None or wanted.mention_ids is not None:
        seeing, ignored = await _named(session, task, body, wanted.mention_ids or [])
        before = {
            user_id for user_id, _name in (await repository.mentions(session, [comment.id])).get(comment.id, [])
        }
        if body != comment.body or seeing != before:
            comment.body = body
            comment.edited_at = comment.updated_at = platform.clock.now()
            comment.version += 1
            await session.flush()
            await repository.put_mentions(session, comment.id, seeing)
            await _wrote(session, platform, at, task, comment, "updated")
            await telling.told_of_comment(session, platform, at.scope, task, comment, seeing - before, is_new=False)
    return await get(session, platform, at, comment.id), ignored


async def delete(
    session: AsyncSession, platform: Platform, at: TaskScope, comment_id: UUID, expected_version: int | None
) -> None:
    """By its author or who manages tasks: its words go at once, its place when nobody answers it.

    Raises what `update` does.
    """
    task, comment = await _to_change(session, at, comment_id, expected_version)
    comment.body = ""
    comment.deleted_at = comment.updated_at = platform.clock.now()
    comment.version += 1
    await repository.empty(session, comment.id)
    await search.drop(session, kind=DOCUMENT, entity_ids=[comment.id])
    touching.changed(session, platform, at.scope, task, ENTITY, comment.id, "deleted", comment.version)
    activity.record(session, platform, at.scope, task, "comment_deleted", [FieldChange("comment", comment.id, None)])


# --- reactions -------------------------------------------------------------------------------------------------


async def react(
    session: AsyncSession, platform: Platform, at: TaskScope, comment_id: UUID, emoji: str
) -> CommentRead:
    """Put an emoji below a comment; a second time changes nothing.

    Raises TaskNotFound, ProjectArchived, CommentNotFound and TooManyReactions.
    """
    task = await touching.to_add(session, at)
    comment = await repository.lock(session, task.id, comment_id)
    if comment is None:
        raise CommentNotFound
    kinds = await repository.kinds(session, comment.id)
    if emoji not in kinds and len(kinds) >= MOST_KINDS:
        raise TooManyReactions
    reaction = CommentReaction(
        comment_id=comment.id, user_id=at.scope.user_id, emoji=emoji, created_at=platform.clock.now()
    )
    if await repository.react(session, reaction):
        await _reacted(session, platform, at, task, comment, "reacted")
    return await get(session, platform, at, comment.id)


async def take_back(
    session: AsyncSession, platform: Platform, at: TaskScope, comment_id: UUID, emoji: str
) -> CommentRead:
    """Take one's own emoji away; where there is none, nothing changes. Raises what `react` does, but for the last."""
    task = await touching.to_add(session, at)
    comment = await repository.lock(session, task.id, comment_id)
    if comment is None:
        raise CommentNotFound
    if await repository.take_back(session, comment.id, at.scope.user_id, emoji):
        await _reacted(session, platform, at, task, comment, "unreacted")
    return await get(session, platform, at, comment.id)


async def _reacted(
    session: AsyncSession, platform: Platform, at: TaskScope, task: Task, comment: TaskComment, action: str
) -> None:
    comment.version += 1
    comment.updated_at = platform.clock.now()
    await session.flush()
    touching.changed(session, platform, at.scope, task, ENTITY, comment.id, action, comment.version)


# --- parts -----------------------------------------------------------------------------------------------------


async def _to_change(
    session: AsyncSession,
    at: TaskScope,
    comment_id: UUID,
    expected_version: int | None,
    *,
    by_managers: bool = True,
) -> tuple[Task, TaskComment]:
    task = await touching.to_add(session, at)
    comment = await repository.lock(session, task.id, comment_id)
    if comment is None:
        raise CommentNotFound
    manages = by_managers and allows(at.scope.role, rules.MANAGE)
    if comment.author_user_id != at.scope.user_id and not manages:
        raise Forbidden(NOT_YOURS)
    check_version(comment.version, expected_version)
    return task, comment


async def _named(
    session: AsyncSession, task: Task, body: str, others: Collection[UUID]
) -> tuple[set[UUID], list[UUID]]:
    """(those named who see the task, the others as they came)."""
    named = mentioned(body, others)
    if len(named) > MOST_MENTIONS:
        raise rules.refused("/body", f"Names more than {MOST_MENTIONS} people")
    seeing = await tasks.who_sees(session, task.scope_id, named) if named else set()
    return seeing, [one for one in named if one not in seeing]


async def _wrote(
    session: AsyncSession, platform: Platform, at: TaskScope, task: Task, comment: TaskComment, action: str
) -> None:
    await put_document(session, comment, task.project_id)
    touching.changed(session, platform, at.scope, task, ENTITY, comment.id, action, comment.version)
    done = "commented" if action == "created" else "comment_updated"
    activity.record(session, platform, at.scope, task, done, [FieldChange("comment", None, comment.id)])


async def put_document(session: AsyncSession, comment: TaskComment, project_id: UUID) -> None:
    """What it is found by; with its task, it is out of sight."""
    await search.put(
        session,
        kind=DOCUMENT,
        entity_id=comment.id,
        workspace_id=comment.workspace_id,
        scope_id=comment.scope_id,
        project_id=project_id,
        parent_id=comment.task_id,
        title="",
        body=comment.body,
        updated_at=comment.updated_at,
    )


async def _reads(
    session: AsyncSession, platform: Platform, scope: WorkspaceScope, rows: Sequence[tuple[TaskComment, str]]
) -> list[CommentRead]:
    """Three queries more, however many."""
    ids = [comment.id for comment, _name in rows]
    mentions = await repository.mentions(session, ids)
    reactions = await repository.reactions(session, ids, scope.user_id)
    found = [
        CommentRead(
            id=comment.id,
            task_id=comment.task_id,
            parent_id=comment.parent_id,
            author=PersonShown(id=comment.author_user_id, name=name),
            body=comment.body,
            mentions=[PersonShown(id=one, name=called) for one, called in mentions.get(comment.id, [])],
            reactions=[
                ReactionShown(emoji=one.emoji, count=one.people, mine=one.mine)
                for one in reactions.get(comment.id, [])
            ],
            is_deleted=comment.deleted_at is not None,
            edited_at=comment.edited_at,
            version=comment.version,
            created_at=comment.created_at,
            updated_at=comment.updated_at,
        )
        for comment, name in rows
    ]
    people = (person for one in found for person in (one.author, *one.mentions))
    await pictures.put_in(session, platform, people)
    return found
