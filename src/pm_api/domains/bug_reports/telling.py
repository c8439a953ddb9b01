"""Who hears of a report: those who see it, each in their own feed, for not every member of a workspace does."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.platform import Platform
from pm_api.domains.bug_reports import repository
from pm_api.domains.bug_reports.models import BugReport
from pm_api.domains.changes import service as changes
from pm_api.domains.notifications import service as notifications
from pm_api.domains.notifications.enums import Category

ENTITY: Final = "bug_report"
MENDED: Final = "what it says was mended"
TOLD: Final = {
    **dict.fromkeys(("title", "steps", "page_url", "browser_info", "screenshot_id"), MENDED),
    "status": "it is {status} now",
    "severity": "its severity is {severity}",
    "assignee_user_id": "somebody else looks after it",
    "note": "there is a note for you",
    "task_id": "it became a task",
    "duplicate_of_id": "",
}


async def record(session: AsyncSession, platform: Platform, scope: UserScope, report: BugReport, action: str) -> None:
    """In the feeds of its reporter, while they belong to its workspace, and of those in charge, at most 100."""
    readers = set(await _in_charge(session, report))
    if report.workspace_id is None or await repository.role_in(session, report.workspace_id, report.reporter_user_id):
        readers.add(report.reporter_user_id)
    changes.record(
        session,
        platform,
        entity=ENTITY,
        entity_id=report.id,
        action=action,
        version=report.version,
        user_ids=readers,
        actor_user_id=scope.user_id,
    )


async def of_new(session: AsyncSession, platform: Platform, report: BugReport) -> None:
    """Those in charge hear that somebody reported something."""
    place = "your workspace" if report.workspace_id is not None else "the product"
    await notifications.notify(
        session,
        platform,
        user_ids=await _in_charge(session, report),
        category=Category.WORKSPACE,
        type="bug_report.created",
        dedup_key=f"bug_report:{report.id}:created",
        title=f"Bug report: {report.title}",
        body=f"{report.severity}. It waits for somebody to look at it.",
        reason=f"You are in charge of bug reports on {place}.",
        data={"bugReportId": str(report.id)},
        link=_link(report),
        workspace_id=report.workspace_id,
        actor_user_id=report.reporter_user_id,
    )


async def of_changes(
    session: AsyncSession, platform: Platform, scope: UserScope, report: BugReport, fields: Collection[str]
) -> None:
    """The reporter hears what was done, whoever looks after it now that they do; nobody of their own doing."""
    said = [TOLD[name].format(status=report.status, severity=report.severity) for name in fields if TOLD.get(name)]
    said = list(dict.fromkeys(said))
    await _tell(
        session,
        platform,
        scope,
        report,
        {report.reporter_user_id},
        title=f"Your bug report: {report.title}",
        body=f"{'; '.join(said).capitalize()}." if said else "It changed.",
        reason="You made this report.",
        to="reporter",
    )
    assignee = report.assignee_user_id
    if "assignee_user_id" in fields and assignee is not None and assignee != report.reporter_user_id:
        await _tell(
            session,
            platform,
            scope,
            report,
            {assignee},
            title=f"A bug report for you: {report.title}",
            body="You look after it now.",
            reason="It was assigned to you.",
            to="assignee",
        )


async def _tell(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    report: BugReport,
    user_ids: Collection[UUID],
    *,
    title: str,
    body: str,
    reason: str,
    to: str,
) -> None:
    await notifications.notify(
        session,
        platform,
        user_ids=user_ids,
        category=Category.WORKSPACE,
        type="bug_report.changed",
        dedup_key=f"bug_report:{report.id}:{report.version}:{to}",
        title=title,
        body=body,
        reason=reason,
        data={"bugReportId": str(report.id), "status": report.status},
        link=_link(report),
        workspace_id=report.workspace_id,
        actor_user_id=scope.user_id,
    )


async def _in_charge(session: AsyncSession, report: BugReport) -> list[UUID]:
    if report.workspace_id is None:
        return await repository.operators(session)
    return await repository.admins(session, report.workspace_id)


def _link(report: BugReport) -> str:
    return f"/bug-reports/{report.id}"
