"""Queries of search for those who ask. Every read takes what the caller sees."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    SQLColumnExpression,
    and_,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.types import Uuid

from pm_api.domains.search.enums import Kind
from pm_api.domains.search.models import SearchDocument, SearchHiddenProject
from pm_api.identity.models.people import Member, Scope, ScopeMember, Workspace
from pm_api.identity.permissions import RANK, Role

WORKSPACES_MOST: Final = 50
CIRCLES_MOST: Final = 200
"""Circles of a workspace that are named one by one; of more only the rows are asked."""
NARROW: Final = 4
"""Who sees less than one in so many circles of a workspace sees little of it."""
BY_LENGTH: Final = 1
"""ts_rank divides by 1 + the logarithm of the document's length."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees of one workspace: all of its circles that are theirs or open, or None when they are many. A
    guest sees nothing outside of circles; admins see what has an owner too.
    """

    workspace_id: UUID
    user_id: UUID
    role: Role
    circles: tuple[UUID, ...] | None
    is_narrow: bool

    @property
    def is_guest(self) -> bool:
        return self.role is Role.GUEST

    @property
    def is_admin(self) -> bool:
        return RANK[self.role] >= RANK[Role.ADMIN]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None leaves a question open."""

    sights: tuple[Sight, ...]
    kinds: tuple[Kind, ...]
    project_id: UUID | None
    without: tuple[UUID, ...] = ()


class Stretch(NamedTuple):
    """Positions from and to, and what the index is asked about them."""

    floor: int
    ceiling: int
    among: str


class Exactly(NamedTuple):
    """What was asked, and whether everything that the index finds fits it."""

    expression: str
    is_sieved_whole: bool


class Match(NamedTuple):
    score: float
    position: int
    kind: str
    entity_id: UUID
    parent_id: UUID | None


class Shown(NamedTuple):
    kind: str
    entity_id: UUID
    workspace_id: UUID
    project_id: UUID | None
    parent_id: UUID | None
    own_key: str | None
    number: int | None
    title: str
    body: str
    updated_at: datetime
    project_key: str | None

    @property
    def key(self) -> str | None:
        """A project's own; a task's with its project's before it."""
        if self.number is not None and self.project_key is not None:
            return f"{self.project_key}-{self.number}"
        return self.own_key


async def sights_of(session: AsyncSession, user_id: UUID, workspace_id: UUID | None) -> tuple[Sight, ...]:
    """The living workspaces of a person, or one of them; those joined last when they are many."""
    statement = (
        select(Member.workspace_id, Member.role)
        .join(Workspace, Workspace.id == Member.workspace_id)
        .where(Member.user_id == user_id, Workspace.deleted_at.is_(None))
        .order_by(Member.id.desc())
        .limit(WORKSPACES_MOST)
    )
    if workspace_id is not None:
        statement = statement.where(Member.workspace_id == workspace_id)
    places = (await session.execute(statement)).all()
    circles = await _circles(session, user_id, [place.workspace_id for place in places])
    return tuple(
        _sight(circles[place.workspace_id], place.workspace_id, user_id, Role(place.role)) for place in places
    )


class _Circles(NamedTuple):
    """Of one workspace: those that somebody is in and those that are open, one more than are named, and how many
    there are, counted as far as it matters.
    """

    own: Sequence[UUID]
    opened: Sequence[UUID]
    total: int


def _sight(circles: _Circles, workspace_id: UUID, user_id: UUID, role: Role) -> Sight:
    opened = () if role is Role.GUEST else circles.opened
    seen = tuple(dict.fromkeys([*circles.own, *opened]))
    are_many = max(len(circles.own), len(opened)) > CIRCLES_MOST
    return Sight(
        workspace_id, user_id, role, None if are_many else seen, is_narrow=len(seen) * NARROW < circles.total
    )


async def _circles(session: AsyncSession, user_id: UUID, workspace_ids: Sequence[UUID]) -> dict[UUID, _Circles]:
    places = func.unnest(literal(list(workspace_ids), ARRAY(Uuid()))).table_valued("id").render_derived(name="places")
    here = select(Scope.id).where(Scope.workspace_id == places.c.id)
    own = here.join(ScopeMember, ScopeMember.scope_id == Scope.id).where(ScopeMember.user_id == user_id)
    rows = await session.execute(
        select(
            places.c.id,
            func.array(own.limit(CIRCLES_MOST + 1).correlate(places).scalar_subquery(), type_=ARRAY(Uuid())),
            func.array(
                here.where(Scope.is_open).limit(CIRCLES_MOST + 1).correlate(places).scalar_subquery(),
                type_=ARRAY(Uuid()),
            ),
            select(func.count())
            .select_from(here.limit(2 * CIRCLES_MOST * NARROW).correlate(places).subquery())
            .correlate(places)
            .scalar_subquery(),
        )
    )
    return {row[0]: _Circles(*row[1:]) for row in rows}


async def last_position(session: AsyncSession) -> int:
    """The newest position that was given, to whomever."""
    return await session.scalar(text("SELECT last_value FROM search_positions")) or 0


async def newest(
    session: AsyncSession, wanted: Wanted, stretches: Sequence[Stretch], exactly: Exactly, *, limit: int
) -> list[Match]:
    """The newest documents within stretches of positions that fit, newest first, each with its score. The stretches
    go from new to old; those after the one that fills the limit are not looked at.
    """
    stretch = (
        func.unnest(
            literal([one.floor for one in stretches], ARRAY(BigInteger())),
            literal([one.ceiling for one in stretches], ARRAY(BigInteger())),
            literal([one.among for one in stretches], ARRAY(SqlText())),
        )
        .table_valued("floor", "ceiling", "among")
        .render_derived(name="stretch")
    )
    document = SearchDocument
    # Not the bare column: the planner would walk the index of positions and read every document that does not fit.
    place: SQLColumnExpression[int] = document.position + 0
    query = cast(literal(exactly.expression, SqlText()), TSQUERY)
    inside = (
        select(document.words, document.position, document.kind, document.entity_id, document.parent_id)
        .where(document.words.op("@@", is_comparison=True)(cast(stretch.c.among, TSQUERY)))
        .where(place.between(stretch.c.floor, stretch.c.ceiling), _is_wanted(wanted))
        .order_by(place.desc())
        .limit(limit)
    )
    if not exactly.is_sieved_whole:
        inside = inside.where(document.words.op("@@", is_comparison=True)(query))
    found = inside.correlate(stretch).lateral("found")
    # Stretch by stretch, as a nested loop goes, until there are enough; what is left out by then needs no score.
    some = select(found).select_from(stretch.join(found, true())).limit(limit).subquery("some")
    score = cast(func.ts_rank(some.c.words, query, BY_LENGTH), Float(53))
    rows = await session.execute(
        select(score, some.c.position, some.c.kind, some.c.entity_id, some.c.parent_id).order_by(
            some.c.position.desc()
        )
    )
    return [Match(*row) for row in rows]


_project: Final = aliased(SearchDocument)


async def by_key(session: AsyncSession, wanted: Wanted, key: str, number: int, *, limit: int) -> list[Match]:
    """Tasks with this number in projects with this key, newest first."""
    document, project = SearchDocument, _project
    statement = (
        select(literal(1.0), document.position, document.kind, document.entity_id, document.parent_id)
        .join(project, and_(project.entity_id == document.project_id, project.kind == Kind.PROJECT.value))
        .where(project.key == key, project.workspace_id == _any_id(one.workspace_id for one in wanted.sights))
        .where(document.number == number, _is_wanted(wanted))
        .order_by(document.position.desc())
        .limit(limit)
    )
    return [Match(*row) for row in await session.execute(statement)]


async def present(session: AsyncSession, kind: Kind, entity_ids: Collection[UUID]) -> set[UUID]:
    """Which of these have a document."""
    rows = await session.scalars(
        select(SearchDocument.entity_id).where(
            SearchDocument.kind == kind.value, SearchDocument.entity_id == _any_id(entity_ids)
        )
    )
    return set(rows)


async def shown(session: AsyncSession, matches: Sequence[Match]) -> dict[tuple[str, UUID], Shown]:
    """What is shown of documents."""
    document, project = SearchDocument, _project
    chosen = (
        func.unnest(
            literal([one.kind for one in matches], ARRAY(SqlText())),
            literal([one.entity_id for one in matches], ARRAY(Uuid())),
        )
        .table_valued("kind", "entity_id")
        .render_derived(name="chosen")
    )
    rows = await session.execute(
        select(
            document.kind,
            document.entity_id,
            document.workspace_id,
            document.project_id,
            document.parent_id,
            document.key,
            document.number,
            document.title,
            document.body,
            document.updated_at,
            project.key,
        )
        .select_from(chosen)
        .join(document, and_(document.kind == chosen.c.kind, document.entity_id == chosen.c.entity_id))
        .outerjoin(project, and_(project.kind == Kind.PROJECT.value, project.entity_id == document.project_id))
    )
    return {(row[0], row[1]): Shown(*row) for row in rows}


def _is_wanted(wanted: Wanted) -> ColumnElement[bool]:
    document = SearchDocument
    conditions = [
        in_sight(wanted.sights),
        or_(document.project_id.is_(None), document.project_id.not_in(select(SearchHiddenProject.project_id))),
    ]
    if len(wanted.kinds) < len(Kind):
        conditions.append(document.kind.in_([one.value for one in wanted.kinds]))
    if wanted.project_id is not None:
        conditions.append(document.project_id == wanted.project_id)
    if wanted.without:
        conditions.append(document.entity_id.not_in(wanted.without))
    return and_(*conditions)


def in_sight(sights: Sequence[Sight]) -> ColumnElement[bool]:
    """Of these workspaces what is in a circle that the person sees; outside of circles what is for all but guests; of
    what has an owner their own, and to admins all.
    """
    document = SearchDocument
    seen = [
        document.scope_id == _any_id(circle for one in sights for circle in one.circles or ()),
        and_(
            document.scope_id.is_(None),
            document.workspace_id == _any_id(one.workspace_id for one in sights if not one.is_guest),
        ),
        *(document.scope_id.in_(circle) for one in sights if one.circles is None for circle in _all_circles(one)),
    ]
    owned = or_(
        document.owner_user_id == _any_id({one.user_id for one in sights}),
        document.workspace_id == _any_id(one.workspace_id for one in sights if one.is_admin),
    )
    return and_(
        document.workspace_id == _any_id(one.workspace_id for one in sights),
        or_(and_(document.owner_user_id.is_(None), or_(*seen)), and_(document.owner_user_id.is_not(None), owned)),
    )


def _all_circles(sight: Sight) -> list[Select[UUID]]:
    """The circles that somebody is in, and the open ones: what `visible_scope` of identity says, each in one table,
    so that either is read once for all the rows.
    """
    own = select(ScopeMember.scope_id).where(ScopeMember.user_id == sight.user_id)
    opened = select(Scope.id).where(Scope.workspace_id == sight.workspace_id, Scope.is_open)
    return [own] if sight.is_guest else [own, opened]


def _any_id(ids: Any) -> Any:
    return any_(literal(list(ids), ARRAY(Uuid())))
