"""Sweeps of billing."""

from pm_api.core.jobs import JobContext, periodic
from pm_api.domains.billing import contracts

CONTRACTS_AT_A_TIME = 100


@periodic("billing.settle_contracts", "*/5 * * * *")
async def settle_contracts(context: JobContext) -> None:
    """Begin contracts whose time has come, and put away those that are over. Limits follow the clock anyway."""
    await contracts.settle_due(context.platform, CONTRACTS_AT_A_TIME)
