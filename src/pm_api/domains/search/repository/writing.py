"""Queries of search for those who write documents."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BindParameter, Text, any_, bindparam, cast, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR, Insert, array, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from pm_api.core.db import Base
from pm_api.domains.search import words
from pm_api.domains.search.documents import Document
from pm_api.domains.search.enums import Kind
from pm_api.domains.search.models import POSITIONS, SearchDocument, SearchHiddenProject

# --- writing ---------------------------------------------------------------------------------------------------


_TABLE: Final = Base.metadata.tables[SearchDocument.__tablename__]
_COLUMNS: Final = _TABLE.c
_AS_THEY_ARE: Final = (
    *("kind", "entity_id", "workspace_id", "scope_id", "project_id", "parent_id", "owner_user_id", "key", "number"),
    *("title", "body", "updated_at"),
)


def _given(name: str) -> BindParameter[Any]:
    """A value of one document; the bare names are the statement's own."""
    return bindparam(f"new_{name}", type_=_COLUMNS[name].type)


def _put() -> Insert:
    """A known document keeps its position, which its marks of stretches are made from."""
    known = (
        select(SearchDocument.position)
        .where(SearchDocument.kind == _given("kind"), SearchDocument.entity_id == _given("entity_id"))
        .scalar_subquery()
    )
    place = select(func.coalesce(known, POSITIONS.next_value()).label("position")).subquery("place")
    tag = bindparam("new_tag", type_=Text())
    stretches = array(
        [func.concat(tag, f"#{shift}.", place.c.position // (1 << shift), type_=Text()) for shift in words.SHIFTS]
    )
    columns: dict[str, Any] = {
        **{name: _given(name) for name in _AS_THEY_ARE},
        "position": place.c.position,
        "words": cast(bindparam("new_words", type_=Text()), TSVECTOR).op("||")(func.array_to_tsvector(stretches)),
    }
    statement = insert(_TABLE).from_select(list(columns), select(*columns.values()))
    changed = {name: statement.excluded[name] for name in columns if name not in ("kind", "entity_id")}
    return statement.on_conflict_do_update(index_elements=[_COLUMNS.kind, _COLUMNS.entity_id], set_=changed)


_PUT: Final = _put()


async def put(session: AsyncSession, documents: Sequence[Document]) -> None:
    """One statement, prepared once for all of them."""
    rows = [_row(one) for one in documents]
    if rows:
        connection = await session.connection()
        await connection.execute(_PUT, rows if len(rows) > 1 else rows[0])


def _row(document: Document) -> dict[str, Any]:
    title, body = document.title[: words.TITLE_KEPT], document.body[: words.BODY_KEPT]
    tag = words.tag_of(document.workspace_id)
    circle = words.scope_mark(document.scope_id) if document.owner_user_id is None else words.OWNED_MARK
    marks = [words.kind_mark(document.kind), circle]
    if document.project_id is not None:
        marks.append(words.project_mark(document.project_id))
    named = title if document.key is None else f"{title} {document.key}"
    values = {name: getattr(document, name) for name in _AS_THEY_ARE}
    values |= {"kind": document.kind.value, "title": title, "body": body, "tag": tag}
    values["words"] = words.vector(tag, title=named, body=body, marks=marks)
    return {f"new_{name}": value for name, value in values.items()}


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
