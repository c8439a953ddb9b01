"""Jobs of the account: exports, and erasures at the end of their grace."""

from typing import Final

from pm_api.core.jobs import MAX_ATTEMPTS, JobContext, enqueue, implements, periodic
from pm_api.domains.account import archives, erasure, exports, repository, workspace_closing
from pm_api.domains.account.archives import TooLarge
from pm_api.domains.account.exports import BUILD, Build

EXPORTS_AT_A_TIME: Final = 100
TOO_LARGE: Final = "too_large"
FAILED: Final = "failed"


@implements(BUILD)
async def build_export(context: JobContext, payload: Build) -> None:
    """Put one export together; one that cannot be says so, instead of being under way for ever."""
    platform = context.platform
    try:
        await archives.build(platform, payload.export_id)
    except TooLarge:
        async with platform.database.transaction() as session:
            await exports.fail(session, platform, payload.export_id, TOO_LARGE)
    except Exception:
        if context.attempt + 1 >= MAX_ATTEMPTS:
            async with platform.database.transaction() as session:
                await exports.fail(session, platform, payload.export_id, FAILED)
        raise


@periodic("account.forget_exports", "29 * * * *")
async def forget_exports(context: JobContext) -> None:
    """Exports after their week."""
    platform = context.platform
    gone = EXPORTS_AT_A_TIME
    while gone == EXPORTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            rows = await repository.expired_exports(session, exports.SCOPE, platform.clock.now(), EXPORTS_AT_A_TIME)
            await exports.put_away(session, rows)
            gone = len(rows)


@periodic("account.requeue_exports", "*/10 * * * *")
async def requeue_exports(context: JobContext) -> None:
    """A second chance for exports whose job was lost."""
    platform = context.platform
    now = platform.clock.now()
    async with platform.database.transaction() as session:
        rows = await repository.waiting_exports(session, exports.SCOPE, now - exports.STUCK_AFTER, EXPORTS_AT_A_TIME)
        for row in rows:
            row.looked_at = now
            await enqueue(session, BUILD, Build(export_id=row.id), dedupe_key=f"export:{row.id}")


@periodic("account.erase_due", "*/5 * * * *")
async def erase_due(context: JobContext) -> None:
    """Accounts whose grace is over, and those whose erasure was cut short."""
    await erasure.erase_due(context.platform)


@periodic("account.tidy_up", "*/5 * * * *")
async def tidy_up(context: JobContext) -> None:
    """What comes late for accounts that are gone."""
    await erasure.tidy_up(context.platform)


@periodic("account.close_workspaces", "37 * * * *")
async def close_workspaces(context: JobContext) -> None:
    """Deleted workspaces that nobody can restore any more."""
    await workspace_closing.close_deleted(context.platform)
