"""Queries of what a project's tasks may be: statuses, labels and fields."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import String, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.projects.models import ProjectField, ProjectLabel, ProjectStatus


async def statuses(session: AsyncSession, project_id: UUID) -> Sequence[ProjectStatus]:
    """In the order of the board."""
    rows = await session.scalars(
        select(ProjectStatus)
        .where(ProjectStatus.project_id == project_id)
        .order_by(ProjectStatus.position, ProjectStatus.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def statuses_of_all(session: AsyncSession, project_ids: Collection[UUID]) -> Sequence[ProjectStatus]:
    rows = await session.scalars(
        select(ProjectStatus)
        .where(ProjectStatus.project_id.in_(project_ids))
        .order_by(ProjectStatus.project_id, ProjectStatus.position, ProjectStatus.id)
    )
    return rows.all()


async def labels(
    session: AsyncSession, project_id: UUID, *, after: str | None = None, limit: int | None = None
) -> Sequence[ProjectLabel]:
    """By name, whatever its case."""
    name = func.lower(ProjectLabel.name)
    statement = select(ProjectLabel).where(ProjectLabel.project_id == project_id)
    if after is not None:
        statement = statement.where(name > func.lower(after))
    rows = await session.scalars(statement.order_by(name).limit(limit).execution_options(populate_existing=True))
    return rows.all()


async def label(session: AsyncSession, project_id: UUID, label_id: UUID) -> ProjectLabel | None:
    return await session.scalar(
        select(ProjectLabel)
        .where(ProjectLabel.id == label_id, ProjectLabel.project_id == project_id)
        .execution_options(populate_existing=True)
    )


async def count_labels(session: AsyncSession, project_id: UUID) -> int:
    return await session.scalar(select(func.count()).where(ProjectLabel.project_id == project_id)) or 0


async def fields(session: AsyncSession, project_id: UUID) -> Sequence[ProjectField]:
    """In their order."""
    rows = await session.scalars(
        select(ProjectField)
        .where(ProjectField.project_id == project_id)
        .order_by(ProjectField.position, ProjectField.id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def labels_named(session: AsyncSession, project_id: UUID, names: Collection[str]) -> dict[str, ProjectLabel]:
    """By the name that was asked for; the database decides what is the same but for its case."""
    asked = select(func.unnest(cast(list(names), ARRAY(String()))).label("name")).subquery("asked")
    rows = await session.execute(
        select(asked.c.name, ProjectLabel)
        .join(ProjectLabel, func.lower(ProjectLabel.name) == func.lower(asked.c.name))
        .where(ProjectLabel.project_id == project_id)
    )
    return {row[0]: row[1] for row in rows}


async def lock_status(session: AsyncSession, status_id: UUID) -> None:
    """FOR UPDATE: also against tasks that are being put into it, whose foreign key holds it."""
    await session.execute(select(ProjectStatus.id).where(ProjectStatus.id == status_id).with_for_update())
