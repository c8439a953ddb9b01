"""Rules of search: how documents are written, and how what the caller may see is found."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AccountScope, WorkspaceScope
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.search import finding
from pm_api.domains.search.asking import parse
from pm_api.domains.search.documents import Document
from pm_api.domains.search.enums import Kind
from pm_api.domains.search.finding import Asked, Place
from pm_api.domains.search.highlighting import Highlighter
from pm_api.domains.search.repository import reading
from pm_api.domains.search.repository import writing as repository
from pm_api.domains.search.repository.reading import Shown
from pm_api.domains.search.schemas import Highlight, SearchAnswer, SearchResult

_URLS: Final = {
    Kind.PROJECT: "/projects/{id}",
    Kind.TASK: "/tasks/{id}",
    Kind.COMMENT: "/tasks/{parent}?comment={id}",
    Kind.MESSAGE: "/messages/{parent}?message={id}",
    Kind.BUG_REPORT: "/bug-reports/{id}",
    Kind.EVENT: "/calendar/events/{id}",
    Kind.FILE: "/files/{id}",
}


async def put(
    session: AsyncSession,
    *,
    kind: str,
    entity_id: UUID,
    workspace_id: UUID,
    scope_id: UUID | None,
    title: str,
    body: str,
    project_id: UUID | None = None,
    parent_id: UUID | None = None,
    owner_user_id: UUID | None = None,
    key: str | None = None,
    number: int | None = None,
    updated_at: datetime,
) -> None:
    """Write the document of a thing, new or changed, in the transaction that changes the thing. What the fields mean
    is told at `Document`.
    """
    document = Document(
        kind=Kind(kind),
        entity_id=entity_id,
        workspace_id=workspace_id,
        scope_id=scope_id,
        project_id=project_id,
        parent_id=parent_id,
        owner_user_id=owner_user_id,
        key=key,
        number=number,
        title=title,
        body=body,
        updated_at=updated_at,
    )
    await repository.put(session, [document])


async def put_all(session: AsyncSession, documents: Sequence[Document]) -> None:
    """The same for many things at once."""
    await repository.put(session, documents)


async def drop(
    session: AsyncSession, *, kind: str, entity_ids: Collection[UUID], with_children: bool = False
) -> None:
    """Take documents out, before the rows themselves or when those are deleted for a while: then `put` brings them
    back. `with_children` also takes out those that name them as parent, for what never comes back.
    """
    if entity_ids:
        await repository.drop(session, Kind(kind), sorted(set(entity_ids)), with_children=with_children)


async def hide_project(session: AsyncSession, project_id: UUID) -> None:
    """Nothing of a deleted project is found: neither what is in it, nor what is still being written into it."""
    await repository.hide_project(session, project_id)


async def show_project(session: AsyncSession, project_id: UUID) -> None:
    """All of a restored project is found again."""
    await repository.show_project(session, project_id)


async def drop_project(session: AsyncSession, project_id: UUID, *, limit: int) -> int:
    """Take out the documents of a project that is deleted for good, some at a time; returns how many went. Repeat it
    until it is none.
    """
    return await repository.drop_project(session, project_id, limit=limit)


async def find(
    session: AsyncSession,
    platform: Platform,
    scope: AccountScope,
    page: PageRequest,
    *,
    text: str,
    kinds: Collection[Kind],
    project_id: UUID | None,
) -> SearchAnswer:
    """A page of what the caller may see and `text` fits: of one workspace, or of all of theirs. Raises InvalidCursor.

    A cursor holds the stretch of positions that is being ranked, and the last one shown of it: what is written later
    stands outside, so that a walk ends, repeats nothing and misses nothing that stays as it is.
    """
    workspace_id = scope.workspace_id if isinstance(scope, WorkspaceScope) else None
    filters: dict[str, object] = {
        "user": scope.user_id,
        "workspace": workspace_id,
        "q": text,
        "kinds": sorted(kinds),
        "project": project_id,
    }
    place = platform.cursors.decode(page.cursor, of="search", **filters)
    asked = Asked(text, tuple(sorted(kinds)), project_id)
    found = await finding.page_of(session, scope, asked, Place(*place) if place else None, limit=page.limit)
    shown = await reading.shown(session, found.matches)
    highlighter = Highlighter(parse(text))
    results = [
        _result(shown[one.kind, one.entity_id], one.score, highlighter)
        for one in found.matches
        if (one.kind, one.entity_id) in shown  # taken out a moment ago
    ]
    following = platform.cursors.encode(found.following, of="search", **filters)
    return SearchAnswer(results=results, next_cursor=following)


async def ids_matching(
    session: AsyncSession,
    scope: WorkspaceScope,
    q: str,
    *,
    kinds: Collection[str] = (Kind.TASK, Kind.COMMENT),
    project_id: UUID | None = None,
    limit: int = finding.RANKED,
) -> list[UUID]:
    """Ids of what fits and the caller may see in their workspace, best first, of the newest that fit; at most 500. A
    comment stands for its task: so a task is found by what is said about it.
    """
    asked = Asked(q, tuple(sorted(Kind(one) for one in kinds)), project_id)
    found = await finding.page_of(session, scope, asked, None, limit=min(limit, finding.RANKED))
    ids = (one.parent_id if one.kind == Kind.COMMENT and one.parent_id else one.entity_id for one in found.matches)
    return list(dict.fromkeys(ids))


def _result(row: Shown, score: float, highlighter: Highlighter) -> SearchResult:
    title, body = highlighter.whole(row.title), highlighter.pieces(row.body)
    marked: list[Highlight] = []
    if title is not None:
        marked.append(Highlight(field="title", text=title))
    if body is not None:
        marked.append(Highlight(field="body", text=body))
    return SearchResult(
        kind=Kind(row.kind),
        id=row.entity_id,
        key=row.key,
        title=row.title,
        highlights=marked,
        workspace_id=row.workspace_id,
        project_id=row.project_id,
        parent_id=row.parent_id,
        url=_URLS[Kind(row.kind)].format(id=row.entity_id, parent=row.parent_id),
        updated_at=row.updated_at,
        score=score,
    )
