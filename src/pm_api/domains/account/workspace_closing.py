"""Deleted workspaces, once nobody can restore them: what they had bought ends for good, open holds are released, what
is left in the pool is void, their files, their customer at Stripe and their webhook endpoints are deleted. Until then
only the subscription has ended: a workspace that is restored has its credits and its files.
"""

from typing import Final

import structlog

from pm_api.core.errors import Unavailable
from pm_api.core.platform import Platform
from pm_api.core.sweeping import is_nobodys_fault
from pm_api.domains.ai_credits import closing as ai_credits
from pm_api.domains.billing import closing as billing
from pm_api.domains.storage import closing as storage
from pm_api.domains.webhooks_out import closing as webhooks_out
from pm_api.entitlements.enums import AccountType
from pm_api.identity import leaving as identity
from pm_api.identity.repository.leaving import Closing

WORKSPACES_AT_A_TIME: Final = 100

_log = structlog.get_logger(__name__)


async def close_deleted(platform: Platform) -> None:
    """Each stands alone: one that cannot be closed now is left for the next run."""
    after: Closing | None = None
    while True:
        async with platform.database.reading() as session:
            found = await identity.workspaces_to_close(session, platform, after, WORKSPACES_AT_A_TIME)
        for one in found:
            try:
                await _close(platform, one)
            except Unavailable as away:
                _log.warning("workspace_not_closed", workspace_id=str(one.workspace_id), code=away.code)
            except Exception as failure:
                if is_nobodys_fault(failure):
                    raise
                _log.exception("workspace_not_closed", workspace_id=str(one.workspace_id))
        if len(found) < WORKSPACES_AT_A_TIME:
            return
        after = found[-1]


async def _close(platform: Platform, one: Closing) -> None:
    """Every step may be done again; the mark comes last."""
    account = AccountType.WORKSPACE, one.workspace_id
    await billing.end_account(platform, account)
    await ai_credits.close(platform, one.workspace_id)
    await billing.forget_account(platform, account)
    await storage.close(platform, one.workspace_id)
    async with platform.database.transaction() as session:
        await identity.close_workspace(session, platform, one.workspace_id)
        await webhooks_out.end_workspace(session, platform, one.workspace_id)
