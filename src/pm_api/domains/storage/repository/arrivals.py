"""Queries of uploads that go straight to the store, while they are taken in."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.enums import SessionState, UploadWay
from pm_api.domains.storage.models import UploadSession


async def renew(session: AsyncSession, upload_id: UUID, epoch: int, until: datetime) -> bool:
    """Keep an upload, for as long as nobody else has taken it over and it has not ended."""
    found = await session.scalar(
        update(UploadSession)
        .where(
            UploadSession.id == upload_id,
            UploadSession.lease_epoch == epoch,
            UploadSession.state == SessionState.FINISHING.value,
        )
        .values(leased_until=until, expires_at=func.greatest(UploadSession.expires_at, until))
        .returning(UploadSession.id)
        .execution_options(synchronize_session=False)
    )
    return found is not None


async def let_go(
    session: AsyncSession, upload_id: UUID, epoch: int, state: SessionState, failure: str | None, now: datetime
) -> None:
    """Leave an upload to whoever comes next: open once more, or to be finished."""
    await session.execute(
        update(UploadSession)
        .where(
            UploadSession.id == upload_id,
            UploadSession.lease_epoch == epoch,
            UploadSession.state == SessionState.FINISHING.value,
        )
        .values(
            state=state.value,
            leased_until=None,
            failure=failure,
            updated_at=now,
            version=UploadSession.version + 1,
        )
        .execution_options(synchronize_session=False)
    )


async def left_behind(session: AsyncSession, now: datetime, after: UUID | None, limit: int) -> Sequence[UUID]:
    """Uploads that were to be completed and that nobody completes."""
    statement = (
        select(UploadSession.id)
        .where(
            # As literal text, so that the planner knows the index of what is under way.
            UploadSession.state == literal_column(f"'{SessionState.FINISHING.value}'"),
            UploadSession.way == UploadWay.PRESIGNED.value,
            or_(UploadSession.leased_until.is_(None), UploadSession.leased_until <= now),
        )
        .order_by(UploadSession.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(UploadSession.id > after)
    found = await session.scalars(statement)
    return found.all()
