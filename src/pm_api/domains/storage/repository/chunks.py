"""Queries of tus uploads: who holds one, how far it has come, and the chunks it has come in.

Every write of bytes names the lease it was made under: a connection that has lost its upload changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.domains.storage.enums import SessionState, UploadWay
from pm_api.domains.storage.models import UploadChunk, UploadSession


async def upload(session: AsyncSession, upload_id: UUID) -> UploadSession | None:
    """As it is now. Whether the caller may know of it is the guard's to say."""
    return await session.scalar(
        select(UploadSession).where(UploadSession.id == upload_id, UploadSession.way == UploadWay.TUS)
    )


async def held(session: AsyncSession, upload_id: UUID) -> UploadSession | None:
    """The same, its row locked to the end of the transaction."""
    return await session.scalar(
        select(UploadSession)
        .where(UploadSession.id == upload_id, UploadSession.way == UploadWay.TUS)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def renew(session: AsyncSession, upload_id: UUID, epoch: int, until: datetime | None) -> bool:
    """Keep a lease until then, or (None) give it up. False when another has it by now."""
    found = await session.scalar(
        update(UploadSession)
        .where(UploadSession.id == upload_id, UploadSession.lease_epoch == epoch)
        .values(leased_until=until)
        .returning(UploadSession.id)
        .execution_options(synchronize_session=False)
    )
    return found is not None


async def advance(
    session: AsyncSession,
    upload_id: UUID,
    epoch: int,
    *,
    offset: int,
    size_bytes: int,
    leased_until: datetime,
    expires_at: datetime,
    now: datetime,
) -> UploadSession | None:
    """The upload has come so much further than `offset`; None when it is not this lease's to say, or has ended."""
    return await session.scalar(
        update(UploadSession)
        .where(
            UploadSession.id == upload_id,
            UploadSession.lease_epoch == epoch,
            UploadSession.received_bytes == offset,
            UploadSession.state == SessionState.OPEN,
        )
        .values(
            received_bytes=offset + size_bytes,
            leased_until=leased_until,
            expires_at=expires_at,
            version=UploadSession.version + 1,
            updated_at=now,
        )
        .returning(UploadSession)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


async def count(session: AsyncSession, upload_id: UUID) -> int:
    """In how many pieces it has come; they are numbered from 0."""
    found = await session.scalar(select(func.count()).where(UploadChunk.upload_id == upload_id))
    return found or 0


async def page(session: AsyncSession, upload_id: UUID, number: int, most: int) -> Sequence[UploadChunk]:
    """Its chunks in order, from this one on."""
    found = await session.scalars(
        select(UploadChunk)
        .where(UploadChunk.upload_id == upload_id, UploadChunk.number >= number)
        .order_by(UploadChunk.number)
        .limit(most)
    )
    return found.all()


async def take_away(session: AsyncSession, upload_id: UUID) -> Sequence[str]:
    """Forget its chunks; the keys their bytes lie under."""
    found = await session.scalars(
        delete(UploadChunk).where(UploadChunk.upload_id == upload_id).returning(UploadChunk.key)
    )
    return found.all()
