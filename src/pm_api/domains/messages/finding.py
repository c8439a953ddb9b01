"""Messages found by their words: the search's own documents, and of what it finds the messages themselves."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, shown
from pm_api.domains.messages.repository import messages as repository
from pm_api.domains.messages.schemas.messages import FoundMessageRead, FoundMessagesAnswer
from pm_api.domains.search import service as search
from pm_api.domains.search.enums import Kind

PAGES_A_CALL: Final = 5


async def find(
    session: AsyncSession,
    platform: Platform,
    scope: WorkspaceScope,
    page: PageRequest,
    *,
    text: str,
    conversation_id: UUID | None = None,
) -> FoundMessagesAnswer:
    """What the caller may see and `text` fits, in a workspace or one of its conversations. Where little of what fits
    is of the conversation a call gives up after some pages and tells where to go on. Raises NotFound, InvalidCursor.
    """
    row = await conversations.found(session, scope, conversation_id) if conversation_id is not None else None
    cursor, results = page.cursor, list[FoundMessageRead]()
    for _ in range(PAGES_A_CALL):
        found = await search.find(
            session,
            platform,
            scope,
            PageRequest(page.limit - len(results), cursor),
            text=text,
            kinds=frozenset({Kind.MESSAGE}),
            project_id=row.project_id if row is not None else None,
        )
        cursor = found.next_cursor
        marked = {one.id: [piece.text for piece in one.highlights] for one in found.results}
        rows = await repository.seen_among(session, scope, marked)
        seen = (rows[one] for one in marked if one in rows)
        kept = [one for one in seen if conversation_id in (None, one.conversation_id)]
        results += [
            FoundMessageRead(message=one, highlights=marked[one.id])
            for one in await shown.messages(session, platform, scope.user_id, kept)
        ]
        if cursor is None or len(results) >= page.limit:
            break
    return FoundMessagesAnswer(results=results, next_cursor=cursor)
