"""Exports and deletions for tests that meet every route."""

from datetime import timedelta
from uuid import UUID, uuid4

from pm_api.core.platform import Platform
from pm_api.domains.account import repository
from pm_api.domains.account.enums import DeletionStatus, ExportStatus
from pm_api.domains.account.models import AccountDeletion, AccountExport, AccountExportPart

CONTENT = b"PK"


async def ready_export(platform: Platform, user_id: UUID) -> UUID:
    """One that can be downloaded."""
    now, export_id = platform.clock.now(), uuid4()
    async with platform.database.transaction() as session:
        session.add(
            AccountExport(
                id=export_id,
                user_id=user_id,
                status=ExportStatus.READY,
                size_bytes=len(CONTENT),
                files=1,
                created_at=now - timedelta(days=2),
                looked_at=now,
                finished_at=now,
                expires_at=now + timedelta(days=1),
            )
        )
        await session.flush()
        session.add(AccountExportPart(export_id=export_id, number=0, content=CONTENT))
    return export_id


async def is_going(platform: Platform, user_id: UUID) -> None:
    """They have asked for their account to be deleted, whatever would stand in the way of that."""
    now = platform.clock.now()
    async with platform.database.transaction() as session:
        if await repository.deletion_of(session, user_id) is None:
            session.add(
                AccountDeletion(
                    id=uuid4(),
                    user_id=user_id,
                    status=DeletionStatus.PENDING,
                    requested_at=now,
                    erase_at=now + timedelta(days=3650),
                    look_at=now + timedelta(days=3650),
                    closed_workspaces=[],
                    left_workspaces=[],
                )
            )
