"""Queries for a person who goes: what others were told of them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Table, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import personal
from pm_api.domains.notifications.models import Notification

COLUMNS = ("title", "body", "reason", "data")


async def strike(
    session: AsyncSession, workspace_ids: Collection[UUID], dedup_keys: Collection[str], words: Sequence[str]
) -> int:
    """Take a person's name and address out of what members of these workspaces were told, and of these notices,
    whose words are theirs and go whole.
    """
    table = Notification.__table__
    assert isinstance(table, Table)
    await session.execute(
        update(Notification).where(Notification.dedup_key.in_(dedup_keys), Notification.body != "").values(body="")
    )
    about = or_(Notification.workspace_id.in_(workspace_ids), Notification.dedup_key.in_(dedup_keys))
    return await personal.strike(session, table, COLUMNS, about, words)
