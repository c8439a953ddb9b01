"""Sweeps of the ledger."""

from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.ai_credits import ledger
from pm_api.domains.ai_credits.repository import ledger as repository

ACCOUNTS_AT_A_TIME = 200


@periodic("ai_credits.renew_free_tier", "*/10 * * * *")
async def renew_free_tier(context: JobContext) -> None:
    """Give the free plan's credits to wallets whose period has ended."""
    platform = context.platform
    renewed = ACCOUNTS_AT_A_TIME
    while renewed == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            renewed = await ledger.renew_free_tier(session, platform, ACCOUNTS_AT_A_TIME)


@periodic("ai_credits.expire_lots", "*/15 * * * *")
async def expire_lots(context: JobContext) -> None:
    """Write down what has run out; nobody's visible balance changes by it."""
    platform = context.platform
    found = ACCOUNTS_AT_A_TIME
    while found == ACCOUNTS_AT_A_TIME:
        async with platform.database.transaction() as session:
            accounts = await repository.accounts_with_expired_lots(session, platform.clock.now(), ACCOUNTS_AT_A_TIME)
            await ledger.expire_due(session, platform, accounts)
            found = len(accounts)
