"""Queries of search for those who write documents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, Text, any_, cast, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR, array, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pm_api.domains.search import words
from pm_api.domains.search.enums import Kind
from pm_api.domains.search.models import POSITIONS, SearchDocument, SearchHiddenProject

# --- writing ---------------------------------------------------------------------------------------------------


async def put(
    session: AsyncSession,
    *,
    kind: Kind,
    entity_id: UUID,
    workspace_id: UUID,
    scope_id: UUID | None,
    project_id: UUID | None,
    parent_id: UUID | None,
    owner_user_id: UUID | None,
    key: str | None,
    number: int | None,
    title: str,
    body: str,
    updated_at: datetime,
) -> None:
    """One statement: a known document keeps its position, which its marks of stretches are made from."""
    title, body = title[: words.TITLE_KEPT], body[: words.BODY_KEPT]
    tag = words.tag_of(workspace_id)
    marks = [words.kind_mark(kind), words.scope_mark(scope_id) if owner_user_id is None else words.OWNED_MARK]
    if project_id is not None:
        marks.append(words.project_mark(project_id))
    spoken = words.vector(tag, title=title if key is None else f"{title} {key}", body=body, marks=marks)
    known = (
        select(SearchDocument.position)
        .where(SearchDocument.kind == kind.value, SearchDocument.entity_id == entity_id)
        .scalar_subquery()
    )
    place = select(func.coalesce(known, POSITIONS.next_value()).label("position")).subquery("place")
    stretches = array(
        [func.concat(f"{tag}#{shift}.", place.c.position // (1 << shift), type_=Text()) for shift in words.SHIFTS]
    )
    columns: dict[str, Any] = {
        "kind": literal(kind.value, String()),
        "entity_id": literal(entity_id, Uuid()),
        "position": place.c.position,
        "workspace_id": literal(workspace_id, Uuid()),
        "scope_id": literal(scope_id, Uuid()),
        "project_id": literal(project_id, Uuid()),
        "parent_id": literal(parent_id, Uuid()),
        "owner_user_id": literal(owner_user_id, Uuid()),
        "key": literal(key, String()),
        "number": literal(number, SearchDocument.number.type),
        "title": literal(title, String()),
        "body": literal(body, String()),
        "words": cast(literal(spoken, Text()), TSVECTOR).op("||")(func.array_to_tsvector(stretches)),
        "updated_at": literal(updated_at, SearchDocument.updated_at.type),
    }
    statement = insert(SearchDocument).from_select(list(columns), select(*columns.values()))
    changed = {name: statement.excluded[name] for name in columns if name not in ("kind", "entity_id")}
    await session.execute(
        statement.on_conflict_do_update(index_elements=[SearchDocument.kind, SearchDocument.entity_id], set_=changed)
    )


async def drop(session: AsyncSession, kind: Kind, entity_ids: Sequence[UUID], *, with_children: bool) -> None:
    ids = any_(literal(list(entity_ids), ARRAY(Uuid())))
    itself = (SearchDocument.kind == kind.value) & (SearchDocument.entity_id == ids)
    condition = or_(itself, SearchDocument.parent_id == ids) if with_children else itself
    await session.execute(delete(SearchDocument).where(condition).execution_options(synchronize_session=False))


async def hide_project(session: AsyncSession, project_id: UUID) -> None:
    await session.execute(
        insert(SearchHiddenProject)
        .values(project_id=project_id)
        .on_conflict_do_nothing(index_elements=[SearchHiddenProject.project_id])
    )


async def show_project(session: AsyncSession, project_id: UUID) -> None:
    await session.execute(delete(SearchHiddenProject).where(SearchHiddenProject.project_id == project_id))


async def drop_project(session: AsyncSession, project_id: UUID, *, limit: int) -> int:
    some = (
        select(SearchDocument.kind, SearchDocument.entity_id)
        .where(SearchDocument.project_id == project_id)
        .limit(limit)
        .subquery()
    )
    gone = await session.scalars(
        delete(SearchDocument)
        .where(SearchDocument.kind == some.c.kind, SearchDocument.entity_id == some.c.entity_id)
        .returning(SearchDocument.entity_id)
        .execution_options(synchronize_session=False)
    )
    count = len(gone.all())
    if count == 0:
        await show_project(session, project_id)
    return count
