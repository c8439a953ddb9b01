"""The screenshot of a report: one picture among its uploader's own files, shown to whoever sees the report.

It is read at the report's address: as a file it is its uploader's alone, counts as theirs, and goes when they go.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import UserScope
from pm_api.core.platform import Platform
from pm_api.domains.bug_reports.errors import InvalidScreenshot
from pm_api.domains.bug_reports.models import BugReport
from pm_api.domains.storage import service as storage
from pm_api.domains.storage.destinations import Destination
from pm_api.domains.storage.enums import FileType
from pm_api.domains.storage.errors.files import FileNotFound, NotTheUploader
from pm_api.domains.storage.rules import THUMBNAILED
from pm_api.domains.storage.schemas.files import AttachedFile
from pm_api.domains.storage.serving import Served

ADDRESS: Final = "/api/bug-reports/{}/screenshot"
ANOTHERS: Final = "Only whoever sent the screenshot may take it out, or put another in its place."


async def claim(session: AsyncSession, platform: Platform, scope: UserScope, file_id: UUID) -> UUID:
    """Make a picture that the caller has just uploaded a screenshot. Raises InvalidScreenshot, and what
    `storage.claim_new` refuses. Hold no report yet: the counters of files come first.
    """
    [file] = await storage.claim_new(session, platform, scope, [file_id], Destination(), FileType.BUG_SCREENSHOT)
    if file.mime_type not in THUMBNAILED:
        raise InvalidScreenshot
    return file.id


async def hold(session: AsyncSession, platform: Platform, scope: UserScope) -> None:
    """Before a report is held whose screenshot is to change."""
    await storage.hold_counters(session, platform, scope)


async def replace(
    session: AsyncSession, platform: Platform, scope: UserScope, report: BugReport, file_id: UUID | None
) -> UUID | None:
    """The id of a held report's screenshot from now on; the one before is in its uploader's trash. Raises
    NotTheUploader for another's, and what `claim` refuses.
    """
    before = report.screenshot_id
    if file_id == before:
        return before
    if before is not None:
        try:
            await storage.take_off_report(session, platform, scope, before)
        except FileNotFound:
            raise NotTheUploader(ANOTHERS) from None
    return await claim(session, platform, scope, file_id) if file_id is not None else None


async def shown(session: AsyncSession, reports: Collection[BugReport]) -> dict[UUID, AttachedFile]:
    """By report, in one query. Whoever sent a picture may put another version in its place: what is none any more is
    not shown.
    """
    named = {one.id: one.screenshot_id for one in reports if one.screenshot_id is not None}
    found = await storage.screenshots(session, set(named.values()))
    return {
        report_id: file.model_copy(
            update={"content_url": ADDRESS.format(report_id) if file.content_url else None, "thumbnail_url": None}
        )
        for report_id, file_id in named.items()
        if (file := found.get(file_id)) is not None and file.mime_type in THUMBNAILED
    }


async def served(session: AsyncSession, platform: Platform, report: BugReport) -> Served:
    """Its bytes, for whoever was found to see the report. Raises FileNotFound, also for what is no picture any more,
    and FileNotReady.
    """
    if report.screenshot_id is not None:
        found = await storage.served_screenshot(session, platform, report.screenshot_id)
        if found.media_type in THUMBNAILED:
            return found
    raise FileNotFound("There is no screenshot of this report.")
