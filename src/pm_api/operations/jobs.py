"""Housekeeping of the floor."""

from pm_api.core import flows
from pm_api.core.idempotency_upkeep import delete_expired_keys
from pm_api.core.jobs import JobContext, periodic

KEYS_AT_A_TIME = 5000


@periodic("operations.forget_idempotency_keys", "37 * * * *")
async def forget_idempotency_keys(context: JobContext) -> None:
    """Idempotency keys are kept 48 hours."""
    platform = context.platform
    gone = KEYS_AT_A_TIME
    while gone == KEYS_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await delete_expired_keys(session, platform, KEYS_AT_A_TIME)


@periodic("operations.sweep_flows", "* * * * *")
async def sweep_flows(context: JobContext) -> None:
    """Flows whose request died or was not repeated are settled, or given up."""
    await flows.sweep(context.platform)


@periodic("operations.forget_flows", "43 * * * *")
async def forget_flows(context: JobContext) -> None:
    """What ended is kept as long as idempotency keys are."""
    platform = context.platform
    gone = KEYS_AT_A_TIME
    while gone == KEYS_AT_A_TIME:
        async with platform.database.transaction() as session:
            gone = await flows.forget_old(session, platform, KEYS_AT_A_TIME)
