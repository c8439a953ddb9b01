"""Comparisons with Stripe, both ways: begun here, shown here; `reconciling` does the work.

One runs at a time. What is missing with us is healed by the same functions that apply events; the rest is reported.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import AdminScope, SystemScope
from pm_api.core.errors import NotFound
from pm_api.core.jobs import declare, enqueue
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.billing.errors import InvalidWindow
from pm_api.domains.billing.models.reconciliation import ReconciliationFinding, ReconciliationRun
from pm_api.domains.billing.repository import reconciliation as repository
from pm_api.domains.billing.schemas.reconciliation import (
    ReconciliationFindingRead,
    ReconciliationReport,
    ReconciliationRunRead,
    ReconciliationRuns,
)
from pm_api.identity import audit

Scope = AdminScope | SystemScope

USUAL_WINDOW: Final = timedelta(days=30)
LONGEST_WINDOW: Final = timedelta(days=366)
RUNNING, DONE, FAILED = "RUNNING", "DONE", "FAILED"
HEALED, REPORTED = "HEALED", "REPORTED"
FIRST_STAGE: Final = "beginning"
LISTED: Final = "reconciliation"


class Reconcile(BaseModel):
    """Go on with a comparison until it is done."""

    run_id: UUID


RECONCILE: Final = declare("billing.reconcile", Reconcile)


async def start(
    session: AsyncSession,
    platform: Platform,
    scope: Scope,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    reason: str,
    enqueued: bool = True,
) -> tuple[ReconciliationRunRead, bool]:
    """Begin a comparison, with its job: (it, whether it is new). While one runs, that one is the answer.

    Raises InvalidWindow.
    """
    now = platform.clock.now()
    until = until or now
    since = since or until - USUAL_WINDOW
    if not timedelta(0) < until - since <= LONGEST_WINDOW:
        raise InvalidWindow
    run_id = platform.randomness.uuid()
    values = {
        "id": run_id,
        "status": RUNNING,
        "since": since,
        "until": until,
        "reason": reason,
        "part": FIRST_STAGE,
        "after": None,
        "compared": {},
        "started_at": now,
    }
    is_new = await repository.insert_run(session, values)
    found = await (repository.run(session, scope, run_id) if is_new else repository.running(session, scope))
    if found is None:  # the other one ended between the two statements
        raise InvalidWindow("Another comparison has just ended; try again.")
    if is_new:
        audit.record(
            session,
            platform,
            scope.actor,
            "reconciliation.started",
            subject=("reconciliation", run_id),
            since=since.isoformat(),
            until=until.isoformat(),
        )
    if enqueued:
        await enqueue(session, RECONCILE, Reconcile(run_id=found.id), dedupe_key=f"reconcile:{found.id}")
    return read(found), is_new


async def list_runs(session: AsyncSession, platform: Platform, scope: Scope, page: PageRequest) -> ReconciliationRuns:
    """A page of comparisons, the newest first."""
    key = platform.cursors.decode(page.cursor, of=LISTED)
    rows = await repository.runs(session, scope, limit=page.limit + 1, before=UUID(key[0]) if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return ReconciliationRuns(
        runs=[read(row) for row in shown], next_cursor=platform.cursors.encode(following, of=LISTED)
    )


async def report(
    session: AsyncSession, platform: Platform, scope: Scope, run_id: UUID, page: PageRequest
) -> ReconciliationReport:
    """One comparison and a page of what it found; raises NotFound."""
    found = await repository.run(session, scope, run_id)
    if found is None:
        raise NotFound
    key = platform.cursors.decode(page.cursor, of=LISTED, run=run_id)
    after = UUID(key[0]) if key else None
    rows = await repository.findings(session, scope, run_id, limit=page.limit + 1, after=after)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return ReconciliationReport(
        run=read(found),
        findings=[_read_finding(row) for row in shown],
        next_cursor=platform.cursors.encode(following, of=LISTED, run=run_id),
    )


def read(row: ReconciliationRun) -> ReconciliationRunRead:
    total = sum(row.compared.values())
    says = f"{total} things were compared: {row.healed} were brought in line, {row.reported} need a person."
    if row.status == RUNNING:
        says = f"Under way ({row.part}). So far {says}"
    elif row.status == FAILED:
        says = f"It failed at {row.part}: {row.problem}. Until then {says}"
    return ReconciliationRunRead(
        id=row.id,
        status=row.status,
        reason=row.reason,
        since=row.since,
        until=row.until,
        part=row.part,
        compared=row.compared,
        healed=row.healed,
        reported=row.reported,
        problem=row.problem,
        started_at=row.started_at,
        finished_at=row.finished_at,
        says=says,
    )


def _read_finding(row: ReconciliationFinding) -> ReconciliationFindingRead:
    return ReconciliationFindingRead(
        id=row.id,
        kind=row.kind,
        object_id=row.object_id,
        account_id=row.account_id,
        action=row.action,
        ours=row.ours,
        stripe=row.stripes,
        says=row.says,
        found_at=row.found_at,
    )


def told(values: Mapping[str, Any]) -> str:
    """`status ACTIVE, paid 899`; of what is not there: `nothing`."""
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing"
