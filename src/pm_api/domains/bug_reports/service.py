"""Rules of bug reports: who says what is broken, and what is done about it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope, WorkspaceScope
from pm_api.core.errors import Forbidden, NotFound
from pm_api.core.events import emit
from pm_api.core.http import check_version
from pm_api.core.paging import PageRequest
from pm_api.core.platform import Platform
from pm_api.domains.bug_reports import repository, rules, screenshots, telling
from pm_api.domains.bug_reports.enums import SETTLED, ReportStatus, Severity
from pm_api.domains.bug_reports.errors import BugReportNotFound, BugReportSettled, InvalidAssignee, InvalidDuplicate
from pm_api.domains.bug_reports.events import BugReportChanged
from pm_api.domains.bug_reports.models import BugReport
from pm_api.domains.bug_reports.repository import Wanted
from pm_api.domains.bug_reports.schemas import (
    HINTS_MOST,
    BugReportCreate,
    BugReportRead,
    BugReportsAnswer,
    BugReportTriage,
    BugReportUpdate,
    PossibleDuplicateReport,
    ReportPerson,
)
from pm_api.domains.search import service as search
from pm_api.domains.storage.schemas.files import AttachedFile
from pm_api.domains.storage.serving import Served
from pm_api.domains.tasks import service as tasks
from pm_api.domains.tasks.schemas.tasks import TaskCreate
from pm_api.identity import pictures
from pm_api.identity.errors.people import InvalidTransition, WorkspaceNotFound, role_lacks
from pm_api.identity.permissions import Role, allows
from pm_api.identity.repository import people

KIND: Final = "bug_report"
NOT_TRIAGING: Final = "Only an admin of the workspace may do this; on the product, an operator."
TASK_TITLE_LENGTH: Final = 300
PRIORITIES: Final = {
    Severity.LOW: "LOW",
    Severity.MEDIUM: "MEDIUM",
    Severity.HIGH: "HIGH",
    Severity.CRITICAL: "URGENT",
}


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the caller is to one report."""

    is_reporter: bool
    triages: bool


async def create(
    session: AsyncSession, platform: Platform, scope: UserScope, wanted: BugReportCreate
) -> tuple[BugReport, list[PossibleDuplicateReport]]:
    """A new report, and open ones that say much the same; those in charge are told. Raises WorkspaceNotFound,
    and what `screenshots.claim` refuses.
    """
    await _enter(session, scope, wanted.workspace_id)
    screenshot_id = wanted.screenshot_id
    if screenshot_id is not None:
        await screenshots.claim(session, platform, scope, screenshot_id)
    alike = await duplicates(session, scope, wanted.title, wanted.workspace_id)
    now = platform.clock.now()
    report = BugReport(
        id=platform.randomness.uuid(),
        workspace_id=wanted.workspace_id,
        reporter_user_id=scope.user_id,
        title=wanted.title,
        steps=wanted.steps,
        severity=wanted.severity.value,
        page_url=wanted.page_url,
        browser_info=wanted.browser_info,
        status=ReportStatus.OPEN.value,
        created_at=now,
        updated_at=now,
        version=1,
        note="",
        screenshot_id=screenshot_id,
    )
    session.add(report)
    await session.flush()
    await _announce(session, platform, scope, report, "created", ())
    await telling.of_new(session, platform, report)
    return report, alike


async def duplicates(
    session: AsyncSession, scope: UserScope, title: str, workspace_id: UUID | None
) -> list[PossibleDuplicateReport]:
    """Open reports in the same place that the caller sees and whose titles say much the same: of the newest 500, at
    most 5. Raises WorkspaceNotFound.
    """
    await _enter(session, scope, workspace_id)
    others = await repository.open_titles(session, scope, workspace_id)
    alike = rules.most_alike(title, others, HINTS_MOST)
    rows = await repository.by_ids(session, alike)
    return [PossibleDuplicateReport.model_validate(rows[one]) for one in alike]


async def list_of(
    session: AsyncSession, platform: Platform, scope: UserScope, page: PageRequest, wanted: Wanted
) -> BugReportsAnswer:
    """A page of what the caller sees, newest first; raises InvalidCursor, WorkspaceNotFound."""
    if wanted.workspace_id is not None:
        await _enter(session, scope, wanted.workspace_id)
    filters: dict[str, object] = {
        "user": scope.user_id,
        "workspace": wanted.workspace_id,
        "statuses": sorted(wanted.statuses),
        "severities": sorted(wanted.severities),
        "own": wanted.own,
        "mine": wanted.assigned_to_me,
        "product": wanted.on_the_product,
    }
    key = platform.cursors.decode(page.cursor, of="bug_reports", **filters)
    rows = await repository.reports(session, scope, wanted, limit=page.limit + 1, after=UUID(key[0]) if key else None)
    shown = rows[: page.limit]
    following = (shown[-1].id,) if len(rows) > page.limit else None
    return BugReportsAnswer(
        bug_reports=await reads(session, platform, scope, shown),
        next_cursor=platform.cursors.encode(following, of="bug_reports", **filters),
    )


async def get(session: AsyncSession, scope: UserScope, report_id: UUID) -> BugReport:
    """One that the caller sees; raises BugReportNotFound."""
    report = await repository.report(session, report_id)
    await _standing(session, scope, report)
    assert report is not None
    return report


async def screenshot(session: AsyncSession, platform: Platform, scope: UserScope, report_id: UUID) -> Served:
    """What a report that the caller sees is shown with. Raises BugReportNotFound, FileNotFound, FileNotReady."""
    return await screenshots.served(session, platform, await get(session, scope, report_id))


async def update(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    report_id: UUID,
    wanted: BugReportUpdate,
    expected_version: int | None,
) -> BugReport:
    """Change what is reported: its reporter, or who triages it and then its reporter is told, until it is settled.
    Raises BugReportNotFound, PreconditionFailed, BugReportSettled, and what `screenshots.replace` refuses.
    """
    fields = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if "screenshot_id" in fields:
        await screenshots.hold(session, platform, scope)
    report = (await repository.lock(session, [report_id])).get(report_id)
    await _standing(session, scope, report)
    assert report is not None
    check_version(report.version, expected_version)
    if report.status in SETTLED:
        raise BugReportSettled
    if "screenshot_id" in fields:
        fields["screenshot_id"] = await screenshots.replace(session, platform, scope, report, fields["screenshot_id"])
    changed = _write(report, fields)
    await _changed(session, platform, scope, report, "updated", changed)
    if changed and scope.user_id != report.reporter_user_id:
        await telling.of_changes(session, platform, scope, report, changed)
    return report


async def triage(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    report_id: UUID,
    wanted: BugReportTriage,
    expected_version: int | None,
) -> BugReport:
    """Change what is done about a report; its reporter is told.

    Raises BugReportNotFound, Forbidden, PreconditionFailed, InvalidTransition, InvalidAssignee, InvalidDuplicate.
    """
    held = await repository.lock(session, [report_id, *([wanted.duplicate_of_id] if wanted.duplicate_of_id else [])])
    report = held.get(report_id)
    standing = await _standing(session, scope, report)
    assert report is not None
    if not standing.triages:
        raise Forbidden(NOT_TRIAGING)
    check_version(report.version, expected_version)
    fields = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    status = wanted.status or ReportStatus(report.status)
    if not rules.follows(ReportStatus(report.status), status):
        raise InvalidTransition(f"A report that is {report.status} does not become {status}.")
    if status is not ReportStatus.DUPLICATE:
        if fields.get("duplicate_of_id") is not None:
            raise InvalidDuplicate("Only a report with the status DUPLICATE has a duplicateOfId.")
        fields["duplicate_of_id"] = None
    elif status != report.status or "duplicate_of_id" in fields:
        await _check_original(session, report, held.get(fields.get("duplicate_of_id") or report.id))
    if "assignee_id" in fields:
        fields["assignee_user_id"] = fields.pop("assignee_id")
        await _check_assignee(session, report, fields["assignee_user_id"])
    changed = _write(report, fields)
    await _changed(session, platform, scope, report, "triaged", changed)
    if changed:
        await telling.of_changes(session, platform, scope, report, changed)
    return report


async def convert(
    session: AsyncSession, platform: Platform, scope: UserScope, report_id: UUID, project_id: UUID
) -> tuple[BugReport, UUID, bool]:
    """(the report, its task, whether that is new). Of two calls at once one makes the task, the other is given it.

    Raises BugReportNotFound, Forbidden, NotFound for a project that is not the caller's or not of the report's
    workspace, and what making a task raises.
    """
    report = (await repository.lock(session, [report_id])).get(report_id)
    standing = await _standing(session, scope, report)
    assert report is not None
    if not standing.triages:
        raise Forbidden(NOT_TRIAGING)
    if report.task_id is not None:
        return report, report.task_id, False
    within = await _project_scope(session, scope, report, project_id)
    wanted = TaskCreate.model_validate(
        {
            "projectId": project_id,
            "title": report.title[:TASK_TITLE_LENGTH],
            "description": _description(report),
            "priority": PRIORITIES[Severity(report.severity)],
        }
    )
    task = await tasks.create(session, platform, within, project_id, wanted)
    fields: dict[str, Any] = {"task_id": task.id}
    if report.status == ReportStatus.OPEN:
        fields["status"] = ReportStatus.TRIAGED
    changed = _write(report, fields)
    await _changed(session, platform, scope, report, "converted", changed)
    await telling.of_changes(session, platform, scope, report, changed)
    return report, task.id, True


async def reads(
    session: AsyncSession, platform: Platform, scope: UserScope, reports: Sequence[BugReport]
) -> list[BugReportRead]:
    """As the caller sees them, in a few queries however many."""
    people_in = {one.reporter_user_id for one in reports} | {
        one.assignee_user_id for one in reports if one.assignee_user_id is not None
    }
    names = await repository.names(session, people_in)
    places = {one.workspace_id for one in reports if one.workspace_id is not None}
    roles = await repository.roles_of(session, scope.user_id, places)
    seen = await tasks.seen_among(session, scope.user_id, {one.task_id for one in reports if one.task_id is not None})
    pictured = await screenshots.shown(session, reports)
    found = [
        _read(
            scope,
            one,
            names,
            roles.get(one.workspace_id) if one.workspace_id else None,
            seen,
            pictured.get(one.id),
        )
        for one in reports
    ]
    await pictures.put_in(session, platform, (person for one in found for person in (one.reporter, one.assignee)))
    return found


def _read(
    scope: UserScope,
    report: BugReport,
    names: Any,
    role: Role | None,
    seen: Collection[UUID],
    screenshot: AttachedFile | None,
) -> BugReportRead:
    triages = rules.may_triage(
        in_workspace=report.workspace_id is not None, role=role, is_operator=scope.actor.is_admin
    )
    assignee = report.assignee_user_id
    return BugReportRead(
        id=report.id,
        workspace_id=report.workspace_id,
        title=report.title,
        steps=report.steps,
        severity=Severity(report.severity),
        page_url=report.page_url,
        browser_info=report.browser_info,
        screenshot=screenshot,
        status=ReportStatus(report.status),
        duplicate_of_id=report.duplicate_of_id,
        reporter=ReportPerson(id=report.reporter_user_id, name=names[report.reporter_user_id]),
        assignee=ReportPerson(id=assignee, name=names[assignee]) if assignee is not None else None,
        note=report.note,
        task_id=report.task_id if report.task_id in seen else None,
        allowed_actions=rules.allowed_actions(
            ReportStatus(report.status),
            is_reporter=report.reporter_user_id == scope.user_id,
            triages=triages,
            is_converted=report.task_id is not None,
        ),
        version=report.version,
        created_at=report.created_at,
        updated_at=report.updated_at,
    )


async def _enter(session: AsyncSession, scope: UserScope, workspace_id: UUID | None) -> None:
    if workspace_id is not None and await repository.role_in(session, workspace_id, scope.user_id) is None:
        raise WorkspaceNotFound


async def _standing(session: AsyncSession, scope: UserScope, report: BugReport | None) -> _Standing:
    """Raises BugReportNotFound for what the caller does not see."""
    if report is None:
        raise BugReportNotFound
    in_workspace = report.workspace_id is not None
    role = await repository.role_in(session, report.workspace_id, scope.user_id) if report.workspace_id else None
    is_reporter, is_operator = report.reporter_user_id == scope.user_id, scope.actor.is_admin
    if not rules.may_see(is_reporter=is_reporter, in_workspace=in_workspace, role=role, is_operator=is_operator):
        raise BugReportNotFound
    triages = rules.may_triage(in_workspace=in_workspace, role=role, is_operator=is_operator)
    return _Standing(is_reporter, triages)


async def _check_original(session: AsyncSession, report: BugReport, original: BugReport | None) -> None:
    """Both are held, so that two reports cannot become duplicates of each other."""
    if original is None or original.id == report.id or original.workspace_id != report.workspace_id:
        raise InvalidDuplicate
    if original.status == ReportStatus.DUPLICATE or await repository.has_duplicates(session, report.id):
        raise InvalidDuplicate


async def _check_assignee(session: AsyncSession, report: BugReport, user_id: UUID | None) -> None:
    if user_id is None:
        return
    in_workspace = report.workspace_id is not None
    role = await repository.role_in(session, report.workspace_id, user_id) if report.workspace_id else None
    is_operator = not in_workspace and await repository.is_operator(session, user_id)
    if not rules.may_triage(in_workspace=in_workspace, role=role, is_operator=is_operator):
        raise InvalidAssignee


async def _project_scope(
    session: AsyncSession, scope: UserScope, report: BugReport, project_id: UUID
) -> WorkspaceScope:
    """The caller over the project's workspace, with the role they have in the project."""
    missing = NotFound("There is no such project in the report's workspace that you may see.")
    workspace_id, circle_id = await people.owner_of_row(session, "projects", project_id) or (None, None)
    if workspace_id is None or circle_id is None or report.workspace_id not in (None, workspace_id):
        raise missing
    role = await repository.role_in(session, workspace_id, scope.user_id)
    within = await people.role_in_scope(session, circle_id, scope.user_id, role) if role is not None else None
    if within is None:
        raise missing
    if not allows(within, "task.write"):
        raise role_lacks(within, "task.write")
    return WorkspaceScope(scope.actor, workspace_id, scope.user_id, within)


def _description(report: BugReport) -> str:
    parts = [report.steps, f"Page: {report.page_url}" if report.page_url else ""]
    return "\n\n".join(one for one in parts if one)


def _write(report: BugReport, fields: dict[str, Any]) -> tuple[str, ...]:
    """The names of those that differ from what they were."""
    changed = tuple(sorted(name for name, value in fields.items() if getattr(report, name) != value))
    for name in changed:
        value = fields[name]
        setattr(report, name, value.value if isinstance(value, ReportStatus | Severity) else value)
    return changed


async def _changed(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    report: BugReport,
    action: str,
    fields: tuple[str, ...],
) -> None:
    if not fields:
        return
    report.version += 1
    report.updated_at = platform.clock.now()
    await session.flush()
    await _announce(session, platform, scope, report, action, fields)


async def _announce(
    session: AsyncSession,
    platform: Platform,
    scope: UserScope,
    report: BugReport,
    action: str,
    fields: tuple[str, ...],
) -> None:
    """The words for search, the change in the feeds of those who see it, and the event."""
    if report.workspace_id is not None:
        await search.put(
            session,
            kind=KIND,
            entity_id=report.id,
            workspace_id=report.workspace_id,
            scope_id=None,
            owner_user_id=report.reporter_user_id,
            title=report.title,
            body=report.steps,
            updated_at=report.updated_at,
        )
    await telling.record(session, platform, scope, report, action)
    await emit(
        session,
        BugReportChanged(
            id=platform.randomness.uuid(),
            bug_report_id=report.id,
            workspace_id=report.workspace_id,
            reporter_user_id=report.reporter_user_id,
            action=action,
            version=report.version,
            actor_user_id=scope.user_id,
            fields=fields,
        ),
    )
