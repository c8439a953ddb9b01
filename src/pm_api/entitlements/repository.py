"""Queries of entitlements. Workspaces and members belong to the floor above: their tables are named, not imported."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    and_,
    distinct,
    exists,
    func,
    inspect,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.db import Base
from pm_api.entitlements.enums import Plan, Status
from pm_api.entitlements.models import Entitlement, PlanTerms

OWNER = "OWNER"


def _table(name: str) -> FromClause:
    return Base.metadata.tables[name]


# --- plans -----------------------------------------------------------------------------------------------------


async def plans(session: AsyncSession) -> Sequence[PlanTerms]:
    """The newest version of each plan, smallest first."""
    rows = await session.scalars(
        select(PlanTerms).ext(distinct_on(PlanTerms.plan)).order_by(PlanTerms.plan, PlanTerms.version.desc())
    )
    return sorted(rows, key=lambda one: one.position)


async def plan(session: AsyncSession, name: Plan) -> PlanTerms:
    """The newest version of a plan; raises LookupError."""
    found = await session.scalar(
        select(PlanTerms).where(PlanTerms.plan == name).order_by(PlanTerms.version.desc()).limit(1)
    )
    if found is None:
        raise LookupError(f"the catalogue has no plan {name}")
    return found


async def insert_plan_version(
    session: AsyncSession,
    terms: PlanTerms,
    *,
    price: tuple[int | None, int | None],
    currency: str,
    created_at: datetime,
) -> None:
    """The next version of a plan: as it was, at another price."""
    kept = {column.key: getattr(terms, column.key) for column in inspect(PlanTerms).columns}
    changed = {
        "version": terms.version + 1,
        "price_minor": price[0],
        "yearly_price_minor": price[1],
        "currency": currency,
        "created_at": created_at,
    }
    session.add(PlanTerms(**{**kept, **changed}))
    await session.flush()


# --- entitlements ----------------------------------------------------------------------------------------------


async def entitlement(session: AsyncSession, account_id: UUID) -> Entitlement | None:
    """As committed now."""
    return await session.scalar(
        select(Entitlement).where(Entitlement.account_id == account_id).execution_options(populate_existing=True)
    )


async def lock_entitlement(session: AsyncSession, account_id: UUID) -> Entitlement | None:
    await session.execute(
        select(Entitlement.account_id).where(Entitlement.account_id == account_id).with_for_update()
    )
    return await entitlement(session, account_id)


async def insert_entitlement(session: AsyncSession, values: dict[str, object]) -> bool:
    """Whether the row is ours: another transaction may have made it at the same moment."""
    made = await session.scalar(
        insert(Entitlement)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[Entitlement.account_id])
        .returning(Entitlement.account_id)
    )
    return made is not None


def _gives_its_plan(now: datetime) -> ColumnElement[bool]:
    """`rules.is_live` in SQL."""
    return and_(
        Entitlement.status != Status.ENDED,
        Entitlement.period_start <= now,
        or_(Entitlement.ends_at.is_(None), Entitlement.ends_at > now),
        or_(Entitlement.status != Status.GRACE, Entitlement.grace_ends_at > now),
    )


# --- who shares what -------------------------------------------------------------------------------------------


def _first_owner(workspaces: FromClause) -> ScalarSelect[UUID]:
    """Who pays for a workspace without a plan of its own: of its owners the one who has been there longest."""
    members = _table("workspace_members").alias("owners")
    return (
        select(members.c.user_id)
        .where(members.c.workspace_id == workspaces.c.id, members.c.role == OWNER)
        .order_by(members.c.joined_at, members.c.id)
        .limit(1)
        .correlate(workspaces)
        .scalar_subquery()
    )


async def owner_of(session: AsyncSession, workspace_id: UUID) -> UUID | None:
    workspaces = _table("workspaces")
    return await session.scalar(select(_first_owner(workspaces)).where(workspaces.c.id == workspace_id))


async def entitlements_over(session: AsyncSession, workspace_id: UUID) -> tuple[UUID | None, dict[UUID, Entitlement]]:
    """The owner who pays for a workspace without a plan of its own, and what the two have bought, by account; as
    committed now. One statement: it is asked with every upload.
    """
    workspaces = _table("workspaces")
    owner = select(_first_owner(workspaces)).where(workspaces.c.id == workspace_id).scalar_subquery()
    over = select(owner.label("owner_id")).subquery()
    found = await session.execute(
        select(over.c.owner_id, Entitlement)
        .select_from(over)
        .outerjoin(Entitlement, Entitlement.account_id.in_((literal(workspace_id), over.c.owner_id)))
        .execution_options(populate_existing=True)
    )
    rows = found.all()
    return rows[0][0], {one.account_id: one for _, one in rows if one is not None}


async def shared_workspaces(session: AsyncSession, owner_id: UUID, now: datetime) -> list[UUID]:
    """The owner's workspaces without a plan of their own; not the deleted ones."""
    workspaces, members = _table("workspaces"), _table("workspace_members")
    rows = await session.scalars(
        select(workspaces.c.id)
        .join(members, members.c.workspace_id == workspaces.c.id)
        .where(
            members.c.user_id == owner_id,
            members.c.role == OWNER,
            workspaces.c.deleted_at.is_(None),
            _first_owner(workspaces) == owner_id,
            ~exists().where(Entitlement.account_id == workspaces.c.id, _gives_its_plan(now)),
        )
        .order_by(workspaces.c.id)
    )
    return list(rows)


async def lock_user(session: AsyncSession, user_id: UUID) -> bool:
    """Hold a user's budget to the end of the transaction, after the workspace's lock and before any account's.

    FOR NO KEY UPDATE: foreign keys on the user are not kept waiting. Whether there is such a user.
    """
    users = _table("users")
    found = await session.scalar(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
    return found is not None


async def count_users(session: AsyncSession, workspace_ids: Sequence[UUID]) -> int:
    """People in any of these workspaces, each once, whatever their role."""
    members = _table("workspace_members")
    found: int | None = await session.scalar(
        select(func.count(distinct(members.c.user_id))).where(members.c.workspace_id.in_(workspace_ids))
    )
    return found or 0


async def count_users_before(session: AsyncSession, workspace_ids: Sequence[UUID], moment: datetime) -> int:
    """Of the people there now, those who had joined before."""
    members = _table("workspace_members")
    found: int | None = await session.scalar(
        select(func.count(distinct(members.c.user_id))).where(
            members.c.workspace_id.in_(workspace_ids), members.c.joined_at < moment
        )
    )
    return found or 0


async def count_api_keys(session: AsyncSession, account_ids: Collection[UUID], moment: datetime) -> int:
    """Keys of these accounts that are neither revoked nor expired at a moment."""
    keys = _table("api_keys")
    found: int | None = await session.scalar(
        select(func.count()).where(
            keys.c.account_id.in_(account_ids),
            keys.c.revoked_at.is_(None),
            or_(keys.c.expires_at.is_(None), keys.c.expires_at > moment),
        )
    )
    return found or 0


async def is_among(session: AsyncSession, workspace_ids: Sequence[UUID], user_id: UUID) -> bool:
    members = _table("workspace_members")
    found = await session.scalar(
        select(exists().where(members.c.workspace_id.in_(workspace_ids), members.c.user_id == user_id))
    )
    return bool(found)


async def count_projects(
    session: AsyncSession, workspace_ids: Collection[UUID], *, before: datetime | None = None
) -> int:
    """Projects of these workspaces that are not deleted, templates and archived ones too; with `before` those that
    there were by then.
    """
    projects = _table("projects")
    statement = select(func.count()).where(
        projects.c.workspace_id.in_(workspace_ids), projects.c.deleted_at.is_(None)
    )
    if before is not None:
        statement = statement.where(projects.c.created_at < before)
    found: int | None = await session.scalar(statement)
    return found or 0
