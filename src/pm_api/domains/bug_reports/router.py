"""Bug reports over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from pm_api.core.actor import UserScope
from pm_api.core.db import SessionDep
from pm_api.core.errors import Forbidden, NotFound, PreconditionFailed
from pm_api.core.http import InvalidIfMatch, entity_tag, if_match, sight_tag
from pm_api.core.idempotency import api_router
from pm_api.core.openapi import ETAG_HEADER, answers_with, raises
from pm_api.core.paging import InvalidCursor, PageRequest, page_request
from pm_api.core.platform import PlatformDep
from pm_api.domains.bug_reports import service
from pm_api.domains.bug_reports.enums import ReportStatus, Severity
from pm_api.domains.bug_reports.errors import (
    BugReportNotFound,
    BugReportSettled,
    InvalidAssignee,
    InvalidDuplicate,
    InvalidScreenshot,
)
from pm_api.domains.bug_reports.limits import limit_hinting, limit_reporting
from pm_api.domains.bug_reports.models import BugReport
from pm_api.domains.bug_reports.repository import Wanted
from pm_api.domains.bug_reports.schemas import (
    BugReportAnswer,
    BugReportConvert,
    BugReportConvertedAnswer,
    BugReportCreate,
    BugReportDuplicatesAnswer,
    BugReportDuplicatesRequest,
    BugReportMadeAnswer,
    BugReportsAnswer,
    BugReportTriage,
    BugReportUpdate,
)
from pm_api.domains.projects.errors import ProjectArchived
from pm_api.domains.storage.enums import Disposition
from pm_api.domains.storage.errors.files import (
    FileGone,
    FileInTrash,
    FileIsPicture,
    FileNotFound,
    FileNotReady,
    NotTheUploader,
    RangeNotSatisfiable,
)
from pm_api.domains.storage.errors.places import FileHasPlace
from pm_api.domains.storage.router import answering
from pm_api.domains.storage.router.parameters import IfNoneMatch, IfRange, InPlace, Range
from pm_api.identity.errors.people import InvalidTransition, WorkspaceNotFound
from pm_api.identity.guards import signed_in
from pm_api.integrations.blobs import StorageUnavailable

CREATED: Final = answers_with("ETag", "Location")
OF_SCREENSHOTS: Final = (
    *(FileNotFound, FileHasPlace, FileIsPicture, FileInTrash, FileNotReady, NotTheUploader),
    InvalidScreenshot,
)

router = api_router(tag="bug reports")

Caller = Annotated[UserScope, Depends(signed_in)]
ReportId = Annotated[UUID, Path(alias="bug_report_id", description="The bug report.")]
ExpectedVersion = Annotated[int | None, Depends(if_match)]


@router.post(
    "/bug-reports",
    operation_id="createBugReport",
    status_code=201,
    responses={201: CREATED},
    openapi_extra=raises(WorkspaceNotFound, *OF_SCREENSHOTS),
)
async def create_bug_report(
    scope: Caller,
    _limited: Annotated[None, Depends(limit_reporting)],
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    wanted: BugReportCreate,
) -> BugReportMadeAnswer:
    """Say what is broken: in a workspace of yours, or without `workspaceId` in the product.

    A report on a workspace is seen by you, as long as you are a member, and by its admins; one on the product by you
    and the operators of this installation. They are told of it, you of what they do. At most 20 an hour. Upload a
    screenshot as a file of your own first, and name it in `screenshotId`: whoever sees the report sees it.
    """
    made, alike = await service.create(session, platform, scope, wanted)
    response.headers["Location"] = f"/api/bug-reports/{made.id}"
    response.headers["ETag"] = entity_tag(made.version)
    [shown] = await service.reads(session, platform, scope, [made])
    return BugReportMadeAnswer(bug_report=shown, possible_duplicates=alike)


@router.post(
    "/bug-reports/duplicates", operation_id="findBugReportDuplicates", openapi_extra=raises(WorkspaceNotFound)
)
async def find_bug_report_duplicates(
    scope: Caller,
    _limited: Annotated[None, Depends(limit_hinting)],
    session: SessionDep,
    wanted: BugReportDuplicatesRequest,
) -> BugReportDuplicatesAnswer:
    """Whether this was reported already, as far as you may see: open reports in the same place whose titles share
    most of their words with yours. Of the newest 500 at most 5. It changes nothing.
    """
    alike = await service.duplicates(session, scope, wanted.title, wanted.workspace_id)
    return BugReportDuplicatesAnswer(possible_duplicates=alike)


@router.get("/bug-reports", operation_id="listBugReports", openapi_extra=raises(InvalidCursor, WorkspaceNotFound))
async def list_bug_reports(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    page: Annotated[PageRequest, Depends(page_request)],
    workspace_id: Annotated[
        UUID | None, Query(alias="workspaceId", description="Only those of this workspace of yours.")
    ] = None,
    status: Annotated[
        list[ReportStatus] | None, Query(description="Only those that stand there.", max_length=6)
    ] = None,
    severity: Annotated[list[Severity] | None, Query(description="Only those as bad as this.", max_length=4)] = None,
    own: Annotated[bool | None, Query(description="Only those you made, or only others'.")] = None,
    assigned_to_me: Annotated[
        bool | None,
        Query(alias="assignedToMe", description="Only those you look after, or only the others."),
    ] = None,
    on_the_product: Annotated[
        bool | None,
        Query(alias="onTheProduct", description="Only those on the product itself, or only those of workspaces."),
    ] = None,
) -> BugReportsAnswer:
    """The reports you see, newest first: yours, those of workspaces you administer, and as an operator those on the
    product.
    """
    wanted = Wanted(workspace_id, tuple(status or ()), tuple(severity or ()), own, assigned_to_me, on_the_product)
    return await service.list_of(session, platform, scope, page, wanted)


@router.get(
    "/bug-reports/{bug_report_id}",
    operation_id="getBugReport",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(BugReportNotFound),
)
async def get_bug_report(
    scope: Caller, session: SessionDep, platform: PlatformDep, response: Response, report_id: ReportId
) -> BugReportAnswer:
    """One report you see."""
    return await _answer(session, platform, scope, await service.get(session, scope, report_id), response)


@router.get(
    "/bug-reports/{bug_report_id}/screenshot",
    operation_id="getBugReportScreenshot",
    response_class=answering.FileResponse,
    responses=dict(answering.AS_FILE),
    openapi_extra=raises(
        BugReportNotFound, FileNotFound, FileNotReady, FileGone, RangeNotSatisfiable, StorageUnavailable
    ),
)
async def get_bug_report_screenshot(
    scope: Caller,
    platform: PlatformDep,
    request: Request,
    report_id: ReportId,
    disposition: InPlace = Disposition.ATTACHMENT,
    range_: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The screenshot of a report that you see, as a file's content is given out."""
    del range_, if_range, if_none_match  # read from the request, where the answer is made
    async with platform.database.reading() as session:
        found = await service.screenshot(session, platform, scope, report_id)
    return await answering.answer(platform, request, found, disposition)


@router.patch(
    "/bug-reports/{bug_report_id}",
    operation_id="updateBugReport",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(BugReportNotFound, BugReportSettled, PreconditionFailed, InvalidIfMatch, *OF_SCREENSHOTS),
)
async def update_bug_report(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    report_id: ReportId,
    wanted: BugReportUpdate,
) -> BugReportAnswer:
    """Change what is reported, while it is not settled. Whoever sees a report may mend what it says."""
    report = await service.update(session, platform, scope, report_id, wanted, expected_version)
    return await _answer(session, platform, scope, report, response)


@router.post(
    "/bug-reports/{bug_report_id}/triage",
    operation_id="triageBugReport",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(
        BugReportNotFound,
        Forbidden,
        PreconditionFailed,
        InvalidIfMatch,
        InvalidTransition,
        InvalidAssignee,
        InvalidDuplicate,
    ),
)
async def triage_bug_report(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    expected_version: ExpectedVersion,
    report_id: ReportId,
    wanted: BugReportTriage,
) -> BugReportAnswer:
    """Say what is done about a report, as an admin of its workspace or, on the product, as an operator. Its reporter
    is told of it.
    """
    report = await service.triage(session, platform, scope, report_id, wanted, expected_version)
    return await _answer(session, platform, scope, report, response)


@router.post(
    "/bug-reports/{bug_report_id}/convert",
    operation_id="convertBugReport",
    responses={200: ETAG_HEADER},
    openapi_extra=raises(BugReportNotFound, NotFound, Forbidden, ProjectArchived),
)
async def convert_bug_report(
    scope: Caller,
    session: SessionDep,
    platform: PlatformDep,
    response: Response,
    report_id: ReportId,
    wanted: BugReportConvert,
) -> BugReportConvertedAnswer:
    """Make a report into a task of one of its workspace's projects, as an admin who may write tasks there. A report
    on the product goes into any project of the operator's.

    It becomes one task: asked again, whatever the project, the answer names the same. An open report is then TRIAGED.
    """
    report, task_id, _is_new = await service.convert(session, platform, scope, report_id, wanted.project_id)
    response.headers["ETag"] = entity_tag(report.version)
    [shown] = await service.reads(session, platform, scope, [report])
    return BugReportConvertedAnswer(bug_report=shown, task_id=task_id)


async def _answer(
    session: SessionDep, platform: PlatformDep, scope: UserScope, report: BugReport, response: Response
) -> BugReportAnswer:
    [shown] = await service.reads(session, platform, scope, [report])
    # What becomes of the picture's file changes what is shown, without a new version.
    is_plain = shown.screenshot is None
    response.headers["ETag"] = (
        entity_tag(report.version) if is_plain else sight_tag(report.version, shown.model_dump_json())
    )
    return BugReportAnswer(bug_report=shown)
