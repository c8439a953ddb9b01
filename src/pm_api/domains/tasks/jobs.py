"""Sweeps of tasks."""

from typing import Final
from uuid import UUID

import structlog

from pm_api.core.actor import SystemScope
from pm_api.core.jobs import JobContext, periodic
from pm_api.core.sweeping import is_nobodys_fault
from pm_api.domains.tasks import recurring, removing, undoing
from pm_api.domains.tasks.repository import recurring as recurring_rows

AT_A_TIME: Final = 200
RUNS: Final = 500
WHEN_DUE: Final = SystemScope("a recurring task is due")

_log = structlog.get_logger(__name__)


@periodic("tasks.forget_undos", "*/15 * * * *")
async def forget_undos(context: JobContext) -> None:
    """Forget what can be taken back no more."""
    platform = context.platform
    for _ in range(RUNS):
        async with platform.database.transaction() as session:
            gone = await undoing.forget_expired(session, platform, AT_A_TIME)
        if gone < AT_A_TIME:
            return


@periodic("tasks.forget_deleted", "23 * * * *")
async def forget_deleted(context: JobContext) -> None:
    """Tasks deleted over 30 days ago are gone for good."""
    platform = context.platform
    for _ in range(RUNS):
        async with platform.database.transaction() as session:
            gone = await removing.forget(session, platform, AT_A_TIME)
        if gone < AT_A_TIME:
            return


@periodic("tasks.make_recurring", "* * * * *")
async def make_recurring(context: JobContext) -> None:
    """Make the tasks whose time has come, each in a transaction of its own; one that fails waits for the next run.

    What was away for long catches up: a task that was made is looked at again as the one before the next.
    """
    platform = context.platform
    failed: set[UUID] = set()
    for _ in range(RUNS):
        async with platform.database.reading() as session:
            found = await recurring_rows.due(session, platform.clock.now(), AT_A_TIME, without=failed)
        for task_id in found:
            try:
                async with platform.database.transaction() as session:
                    await recurring.make_due(session, platform, WHEN_DUE, task_id)
            except Exception as error:
                if is_nobodys_fault(error):
                    raise
                failed.add(task_id)
                _log.exception("recurring_task_failed", task_id=str(task_id))
        if not found:
            return
