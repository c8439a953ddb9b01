"""Queries of bug reports. Every list takes what the caller sees of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, any_, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.domains.bug_reports.enums import SETTLED, ReportStatus, Severity
from pm_api.domains.bug_reports.models import BugReport
from pm_api.identity.models.people import Member, User, Workspace
from pm_api.identity.permissions import Role

MOST_TOLD: Final = 100
"""People who are told of one report."""
COMPARED: Final = 500
"""Newest open reports that a new one is compared with."""
MANAGING: Final = (Role.ADMIN.value, Role.OWNER.value)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is asked for; None or nothing leaves a question open."""

    workspace_id: UUID | None = None
    statuses: tuple[ReportStatus, ...] = ()
    severities: tuple[Severity, ...] = ()
    own: bool | None = None
    assigned_to_me: bool | None = None
    on_the_product: bool | None = None


async def role_in(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> Role | None:
    """What somebody is in a living workspace."""
    role = await session.scalar(
        select(Member.role)
        .join(Workspace, Workspace.id == Member.workspace_id)
        .where(Member.workspace_id == workspace_id, Member.user_id == user_id, Workspace.deleted_at.is_(None))
    )
    return Role(role) if role is not None else None


async def roles_of(session: AsyncSession, user_id: UUID, workspace_ids: Collection[UUID]) -> dict[UUID, Role]:
    rows = await session.execute(
        select(Member.workspace_id, Member.role).where(
            Member.user_id == user_id, Member.workspace_id.in_(workspace_ids)
        )
    )
    return {row[0]: Role(row[1]) for row in rows}


async def is_operator(session: AsyncSession, user_id: UUID) -> bool:
    return bool(await session.scalar(select(User.is_admin).where(User.id == user_id)))


async def admins(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """Some of those who administer a workspace: the first who did."""
    rows = await session.scalars(
        select(Member.user_id)
        .where(Member.workspace_id == workspace_id, Member.role.in_(MANAGING))
        .order_by(Member.id)
        .limit(MOST_TOLD)
    )
    return list(rows)


async def operators(session: AsyncSession) -> list[UUID]:
    rows = await session.scalars(
        select(User.id).where(User.is_admin, User.erased_at.is_(None)).order_by(User.id).limit(MOST_TOLD)
    )
    return list(rows)


async def names(session: AsyncSession, user_ids: Collection[UUID]) -> Mapping[UUID, str]:
    rows = await session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {row[0]: row[1] for row in rows}


async def report(session: AsyncSession, report_id: UUID) -> BugReport | None:
    """As committed now. Whoever reads it asks whether the caller may see it."""
    return await session.scalar(
        select(BugReport).where(BugReport.id == report_id).execution_options(populate_existing=True)
    )


async def lock(session: AsyncSession, report_ids: Collection[UUID]) -> dict[UUID, BugReport]:
    """Held in the order of their ids, and read in a statement after that."""
    ids = literal(sorted(set(report_ids)), ARRAY(Uuid()))
    held = select(BugReport.id).where(BugReport.id == any_(ids)).order_by(BugReport.id)
    await session.execute(held.with_for_update(key_share=True))
    rows = await session.scalars(
        select(BugReport).where(BugReport.id == any_(ids)).execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


async def count_looked_after(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> int:
    """Reports that are somebody's to look after and not settled."""
    count = select(func.count()).where(
        BugReport.workspace_id == workspace_id,
        BugReport.assignee_user_id == user_id,
        BugReport.status.not_in([one.value for one in SETTLED]),
    )
    return await session.scalar(count) or 0


async def has_duplicates(session: AsyncSession, report_id: UUID) -> bool:
    return bool(await session.scalar(select(exists().where(BugReport.duplicate_of_id == report_id))))


async def reports(
    session: AsyncSession, scope: UserScope, wanted: Wanted, *, limit: int, after: UUID | None
) -> Sequence[BugReport]:
    """A page by id, newest first: a page of each of the three ways to see a report, and the newest of those."""
    found: dict[UUID, BugReport] = {}
    for way in _ways(scope):
        statement = select(BugReport).where(way, *_filters(scope, wanted))
        if after is not None:
            statement = statement.where(BugReport.id < after)
        rows = await session.scalars(statement.order_by(BugReport.id.desc()).limit(limit))
        found |= {row.id: row for row in rows}
    return sorted(found.values(), key=lambda one: one.id, reverse=True)[:limit]


async def open_titles(session: AsyncSession, scope: UserScope, workspace_id: UUID | None) -> list[tuple[UUID, str]]:
    """(id, title) of the newest reports in one place that the caller sees and that are not settled."""
    place = BugReport.workspace_id.is_(None) if workspace_id is None else BugReport.workspace_id == workspace_id
    found: dict[UUID, str] = {}
    for way in _ways(scope):
        rows = await session.execute(
            select(BugReport.id, BugReport.title)
            .where(way, place, BugReport.status.not_in([one.value for one in SETTLED]))
            .order_by(BugReport.id.desc())
            .limit(COMPARED)
        )
        found |= {row[0]: row[1] for row in rows}
    return sorted(found.items(), reverse=True)[:COMPARED]


async def by_ids(session: AsyncSession, report_ids: Collection[UUID]) -> dict[UUID, BugReport]:
    rows = await session.scalars(select(BugReport).where(BugReport.id.in_(report_ids)))
    return {row.id: row for row in rows}


def _ways(scope: UserScope) -> list[ColumnElement[bool]]:
    """Their own, those of workspaces they administer, and to an operator those on the product."""
    living = and_(
        Member.user_id == scope.user_id, Workspace.id == Member.workspace_id, Workspace.deleted_at.is_(None)
    )
    belongs = exists().where(living, Member.workspace_id == BugReport.workspace_id)
    administered = select(Member.workspace_id).where(living, Member.role.in_(MANAGING))
    ways = [
        and_(BugReport.reporter_user_id == scope.user_id, or_(BugReport.workspace_id.is_(None), belongs)),
        BugReport.workspace_id.in_(administered),
    ]
    if scope.actor.is_admin:
        ways.append(BugReport.workspace_id.is_(None))
    return ways


def _filters(scope: UserScope, wanted: Wanted) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if wanted.workspace_id is not None:
        filters.append(BugReport.workspace_id == wanted.workspace_id)
    if wanted.statuses:
        filters.append(BugReport.status.in_([one.value for one in wanted.statuses]))
    if wanted.severities:
        filters.append(BugReport.severity.in_([one.value for one in wanted.severities]))
    if wanted.own is not None:
        is_own = BugReport.reporter_user_id == scope.user_id
        filters.append(is_own if wanted.own else ~is_own)
    if wanted.assigned_to_me is not None:
        is_mine = BugReport.assignee_user_id.is_not_distinct_from(scope.user_id)
        filters.append(is_mine if wanted.assigned_to_me else ~is_mine)
    if wanted.on_the_product is not None:
        is_general = BugReport.workspace_id.is_(None)
        filters.append(is_general if wanted.on_the_product else ~is_general)
    return filters
