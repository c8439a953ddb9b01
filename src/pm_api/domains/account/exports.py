"""A copy of everything of a person: asked for, made by a job, kept for a week, told by mail and in the app."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import SystemScope, UserScope
from pm_api.core.errors import NotFound
from pm_api.core.jobs import declare, enqueue
from pm_api.core.paging import PageRequest
from pm_api.core.personal import hands_out
from pm_api.core.platform import Platform
from pm_api.core.schema import written
from pm_api.domains.account import repository
from pm_api.domains.account.enums import ExportStatus
from pm_api.domains.account.errors.person import ExportGone, ExportNotReady, TooManyExports
from pm_api.domains.account.models import AccountDeletion, AccountExport
from pm_api.domains.account.schemas.person import ExportRead, ExportsAnswer
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category
from pm_api.entitlements.models import Entitlement

KEPT: Final = timedelta(days=7)
DAY: Final = timedelta(days=1)
MOST_A_DAY: Final = 5
STUCK_AFTER: Final = timedelta(minutes=30)
SCOPE: Final = SystemScope("exports are made and put away")
LISTED: Final = "exports"
LINK: Final = "/settings/privacy"


class Build(BaseModel):
    """Make this export."""

    export_id: UUID


BUILD: Final = declare("account.build_export", Build)


async def ask(session: AsyncSession, platform: Platform, scope: UserScope) -> ExportRead:
    """A new export, to be made by a job; the one under way, if there is one. Raises TooManyExports."""
    now = platform.clock.now()
    while True:
        under_way = await repository.export_under_way(session, scope)
        if under_way is not None:
            return _read(under_way)
        if await repository.exports_since(session, scope.user_id, now - DAY) >= MOST_A_DAY:
            raise TooManyExports(headers={"Retry-After": str(int(DAY.total_seconds()))})
        row = await repository.open_export(
            session,
            {
                "id": platform.randomness.uuid(),
                "user_id": scope.user_id,
                "status": ExportStatus.PENDING,
                "created_at": now,
                "looked_at": now,
            },
        )
        if row is not None:  # otherwise another request was faster, and has committed
            await enqueue(session, BUILD, Build(export_id=row.id), dedupe_key=f"export:{row.id}")
            return _read(row)


async def get(session: AsyncSession, scope: UserScope, export_id: UUID) -> ExportRead:
    """One of the caller's own; raises NotFound."""
    row = await repository.export(session, scope, export_id)
    if row is None:
        raise NotFound
    return _read(row)


async def list_of(session: AsyncSession, platform: Platform, scope: UserScope, page: PageRequest) -> ExportsAnswer:
    """A page of the caller's own, newest first."""
    key = platform.cursors.decode(page.cursor, of=LISTED, user=scope.user_id)
    rows = await repository.exports(session, scope, limit=page.limit + 1, before=UUID(key[0]) if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return ExportsAnswer(
        exports=[_read(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, user=scope.user_id),
    )


async def to_download(platform: Platform, scope: UserScope, export_id: UUID) -> ExportRead:
    """An export whose bytes are there; raises NotFound, ExportNotReady and ExportGone."""
    async with platform.database.reading() as session:
        row = await repository.export(session, scope, export_id)
    if row is None:
        raise NotFound
    is_over = row.expires_at is not None and row.expires_at <= platform.clock.now()
    if row.status == ExportStatus.EXPIRED or is_over:
        raise ExportGone
    if row.status != ExportStatus.READY:
        raise ExportNotReady
    return _read(row)


async def content(platform: Platform, export_id: UUID) -> AsyncIterator[bytes]:
    """The zip, part by part; no connection is held while the caller is slow."""
    number = 0
    while True:
        async with platform.database.reading() as session:
            part = await repository.part(session, export_id, number)
        if part is None:
            return
        yield part
        number += 1


# --- the job's side --------------------------------------------------------------------------------------------


async def begin(session: AsyncSession, platform: Platform, export_id: UUID) -> UUID | None:
    """Whose data is to be put together; None when there is nothing (more) to do."""
    row = await repository.lock_export(session, SCOPE, export_id)
    if row is None or row.status not in repository.UNDER_WAY:
        return None
    row.status, row.looked_at = ExportStatus.RUNNING, platform.clock.now()
    row.version += 1
    return row.user_id


async def finish(
    session: AsyncSession, platform: Platform, export_id: UUID, *, size_bytes: int, files: int
) -> AccountExport | None:
    """It is ready: the person's earlier ones are put away, and they are told. None when it was finished before, and
    what this one brings is not wanted.
    """
    row = await repository.lock_export(session, SCOPE, export_id)
    if row is None or row.status not in repository.UNDER_WAY:
        return None
    now = platform.clock.now()
    await put_away(session, await repository.ready_of(session, row.user_id, row.id))
    row.status, row.size_bytes, row.files = ExportStatus.READY, size_bytes, files
    row.finished_at, row.expires_at = now, now + KEPT
    row.version += 1
    await notifications.notify(
        session,
        platform,
        user_ids=[row.user_id],
        category=Category.SECURITY,
        type="account.export",
        dedup_key=f"export:{row.id}",
        title="Your data is ready",
        body="The copy of your data that you asked for can be downloaded for seven days.",
        reason="You asked for a copy of your data.",
        data={"exportId": str(row.id), "expiresAt": written(row.expires_at), "action": "Get your data"},
        link=f"{LINK}?export={row.id}",
    )
    return row


async def fail(session: AsyncSession, platform: Platform, export_id: UUID, code: str) -> None:
    """It does not come to be, and its person is told."""
    row = await repository.lock_export(session, SCOPE, export_id)
    if row is None or row.status not in repository.UNDER_WAY:
        return
    row.status, row.failure_code, row.finished_at = ExportStatus.FAILED, code, platform.clock.now()
    row.version += 1
    await repository.drop_parts(session, [row.id])
    await notifications.notify(
        session,
        platform,
        user_ids=[row.user_id],
        category=Category.SECURITY,
        type="account.export_failed",
        dedup_key=f"export:{row.id}:failed",
        title="Your data could not be put together",
        body="Ask again, or write to us: we will hand it to you in another way.",
        reason="You asked for a copy of your data.",
        data={"exportId": str(row.id), "failureCode": code},
        link=LINK,
    )


async def put_away(session: AsyncSession, rows: Sequence[AccountExport]) -> None:
    """Their bytes go, the rows say that they were there."""
    for row in rows:
        row.status = ExportStatus.EXPIRED
        row.version += 1
    if rows:
        await repository.drop_parts(session, [row.id for row in rows])


def _read(row: AccountExport) -> ExportRead:
    return ExportRead.model_validate(row)


hands_out(AccountExport, "exports.json", "Copies of your data that you asked for.", of="user_id")
hands_out(AccountDeletion, "deletions.json", "When you asked for your account to be deleted.", of="user_id")
hands_out(Entitlement, "billing/limits.json", "What your plan allows.", of="account_id")
