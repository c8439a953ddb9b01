"""The one loop of every sweep that serves many accounts, a person or a workspace each.

Whose books are damaged, or who cannot take what is due, fails alone: it is told to the operator and left for the next
run, and everybody else gets theirs. What is no account's fault ends the job, which is run again.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core import telemetry
from pm_api.core.db import database_unreachable
from pm_api.core.jobs import JobContext
from pm_api.core.platform import Platform

LEFT_OUT: Final = "account failed"
"""The outcome in `pm_jobs_total` that counts accounts, not runs."""

# https://www.postgresql.org/docs/current/errcodes-appendix.html
NOBODYS_CLASSES: Final = frozenset(
    {
        "08",  # connection
        "40",  # rolled back: deadlock, serialization
        "42",  # the schema is another one than the code's
        "53",  # out of disk, memory, connections
        "58",  # the server's own system
    }
)
NOBODYS_CODES: Final = frozenset(
    {
        "25006",  # a standby, which only reads
        "55P03",  # a lock was not given in time
        "57P01",  # the server stops, crashed, or starts
        "57P02",
        "57P03",
        "57P05",
    }
)

_log = structlog.get_logger(__name__)


class Due(Protocol):
    """What a sweep finds: a tuple of its place in the order of the walk, and whose it is."""

    @property
    def account_id(self) -> UUID: ...


Found = TypeVar("Found", bound=Due)
Find = Callable[[AsyncSession, datetime, Found | None, int], Awaitable[Sequence[Found]]]
"""What is due at a moment, after a place (from the beginning when None), so many at most. Without locks."""
Serve = Callable[[AsyncSession, Platform, Sequence[Found]], Awaitable[object]]
"""Lock what was found, look again, and do what is due; what was done meanwhile is passed by."""


async def sweep(
    context: JobContext, find: Find[Found], serve: Serve[Found], *, at_a_time: int, together: bool = True
) -> None:
    """Serve all that is due now, page by page, a page in one transaction; when that fails, and when not `together`,
    each in a transaction of its own. Every page begins where the last one ended, so that nobody is tried twice in a
    run however many fail.
    """
    now = context.platform.clock.now()
    after: Found | None = None
    while True:
        async with context.platform.database.reading() as session:
            found = await find(session, now, after, at_a_time)
        if not (together and await _served_at_once(context, serve, found)):
            await _serve_one_by_one(context, serve, found)
        if len(found) < at_a_time:
            return
        after = found[-1]


async def _served_at_once(context: JobContext, serve: Serve[Found], found: Sequence[Found]) -> bool:
    if len(found) <= 1:
        return False
    try:
        async with context.platform.database.transaction() as session:
            await serve(session, context.platform, found)
    except Exception as error:
        if is_nobodys_fault(error):
            raise
        _log.warning("sweep_batch_failed", sweep=context.name, size=len(found), error=type(error).__name__)
        return False
    return True


async def _serve_one_by_one(context: JobContext, serve: Serve[Found], found: Sequence[Found]) -> None:
    for one in found:
        try:
            async with context.platform.database.transaction() as session:
                await serve(session, context.platform, [one])
        except Exception as error:
            if is_nobodys_fault(error):
                raise
            telemetry.JOBS.labels(context.name, LEFT_OUT).inc()
            _log.exception(
                "sweep_left_an_account_out",
                sweep=context.name,
                account_id=str(one.account_id),
                error=type(error).__name__,
            )


def is_nobodys_fault(error: Exception) -> bool:
    """Whether the next account would meet the same: the database is away, busy or not the right one."""
    if database_unreachable(error):
        return True
    code = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return code is not None and (code[:2] in NOBODYS_CLASSES or code in NOBODYS_CODES)
