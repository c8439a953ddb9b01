"""What becomes of what was said of tasks when a person goes: their words are taken back, and where others name them
nobody's name stands.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.personal import DELETED_USER, Leaving, ends, hands_out
from pm_api.core.platform import Platform
from pm_api.domains.changes import service as changes
from pm_api.domains.search import service as search
from pm_api.domains.tasks.comments import DOCUMENT, ENTITY, put_document
from pm_api.domains.tasks.mentioning import renamed
from pm_api.domains.tasks.models import CommentMention, CommentReaction, TaskComment, TaskDependency, TimeEntry
from pm_api.domains.tasks.repository import closing as repository

AT_A_TIME: Final = 500


@ends("tasks", order=35, again=True)
async def fall_silent(platform: Platform, leaving: Leaving) -> None:
    """Some at a time; once more later, for what was on its way while the account was being closed."""
    silenced = AT_A_TIME
    while silenced == AT_A_TIME:
        async with platform.database.transaction() as session:
            silenced = await _silence(session, platform, leaving)
    after = None
    while True:
        async with platform.database.transaction() as session:
            rows = await repository.lock_naming(session, leaving.user_id, after=after, limit=AT_A_TIME)
            for comment, project_id in rows:
                body = renamed(comment.body, leaving.user_id, DELETED_USER)
                if body != comment.body:
                    comment.body = body
                    await put_document(session, comment, project_id)
        if len(rows) < AT_A_TIME:
            return
        after = rows[-1][0].id


async def _silence(session: AsyncSession, platform: Platform, leaving: Leaving) -> int:
    now = platform.clock.now()
    rows = await repository.silence(session, leaving.user_id, leaving.closed, now, limit=AT_A_TIME)
    await search.drop(session, kind=DOCUMENT, entity_ids=[row[0] for row in rows])
    for comment_id, workspace_id, scope_id, version in rows:
        changes.record(
            session,
            platform,
            workspace_id=workspace_id,
            entity=ENTITY,
            entity_id=comment_id,
            action="deleted",
            version=version,
            scope_id=scope_id,
        )
    return len(rows)


hands_out(TaskComment, "tasks/comments.json", "What you said of tasks.", of="author_user_id")
hands_out(CommentMention, "tasks/mentions.json", "Comments that name you.")
hands_out(CommentReaction, "tasks/reactions.json", "Your reactions to comments.")
hands_out(TaskDependency, "tasks/dependencies.json", "Links between tasks that you made.", of="created_by_user_id")
hands_out(TimeEntry, "tasks/time-entries.json", "Time you worked on tasks.")
