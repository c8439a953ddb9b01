"""Shapes of bug reports on the wire."""

from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pm_api.core.schema import ApiModel, ApiRequest, Text, Timestamp, storable, storable_json
from pm_api.domains.bug_reports.enums import ReportAction, ReportStatus, Severity
from pm_api.domains.storage.schemas.files import AttachedFile
from pm_api.identity.schemas.pictured import Pictured

TITLE_LENGTH: Final = 200
STEPS_LENGTH: Final = 20_000
NOTE_LENGTH: Final = 5_000
URL_LENGTH: Final = 2_000
BROWSER_BYTES: Final = 4_096
HINTS_MOST: Final = 5


def _web_address(text: str) -> str:
    """An address of the web, and no other: a link that somebody opens must not be a script."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("must begin with http:// or https://")
    if not text.isprintable() or " " in text:
        raise ValueError("must not contain spaces or control characters")
    return text


def _small(value: dict[str, Any]) -> dict[str, Any]:
    storable_json(value)
    if len(orjson.dumps(value)) > BROWSER_BYTES:
        raise ValueError(f"must not be longer than {BROWSER_BYTES} bytes as JSON")
    return value


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null; leave the field out to keep it as it is")
    return value


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_LENGTH),
    AfterValidator(storable),
]
Steps = Annotated[Text, StringConstraints(max_length=STEPS_LENGTH)]
Note = Annotated[Text, StringConstraints(max_length=NOTE_LENGTH)]
WebAddress = Annotated[Text, StringConstraints(max_length=URL_LENGTH), AfterValidator(_web_address)]
BrowserInfo = Annotated[dict[str, Any], AfterValidator(_small)]
NotNull = BeforeValidator(_not_null)

TITLE_TOLD: Final = "What is wrong, in one line."
STEPS_TOLD: Final = "How to see it: steps, what was expected, what happened instead. Markdown, shown as text."
PAGE_TOLD: Final = "Where it happened: an http or https address."
BROWSER_TOLD: Final = "What the app knows of the browser: any JSON object of at most 4,096 bytes."
SCREENSHOT_TOLD: Final = (
    "A picture that shows it: a file of your own, uploaded without a workspace (`POST /api/storage/uploads`) not more"
    " than 24 hours ago."
)
WORKSPACE_TOLD: Final = (
    "The workspace it concerns, seen by its admins; null for the product itself, seen by its operators."
)


class BugReportCreate(ApiRequest):
    title: Title = Field(description=TITLE_TOLD, examples=["Export stops at row 200"])
    steps: Steps = Field(default="", description=STEPS_TOLD, examples=["1. Open the list\n2. Press Export"])
    severity: Severity = Field(default=Severity.MEDIUM, description="How bad it is to you.")
    page_url: WebAddress | None = Field(
        default=None, description=PAGE_TOLD, examples=["https://app.example.com/tasks"]
    )
    browser_info: BrowserInfo = Field(
        default_factory=dict, description=BROWSER_TOLD, examples=[{"userAgent": "Firefox/130"}]
    )
    screenshot_id: UUID | None = Field(default=None, description=SCREENSHOT_TOLD)
    workspace_id: UUID | None = Field(default=None, description=WORKSPACE_TOLD)


class BugReportUpdate(ApiRequest):
    """What is reported. Fields that are left out stay as they are."""

    title: Annotated[Title | None, NotNull] = Field(default=None, description=TITLE_TOLD)
    steps: Annotated[Steps | None, NotNull] = Field(default=None, description=STEPS_TOLD)
    page_url: WebAddress | None = Field(default=None, description=PAGE_TOLD + " Null takes it out.")
    browser_info: Annotated[BrowserInfo | None, NotNull] = Field(default=None, description=BROWSER_TOLD)
    screenshot_id: UUID | None = Field(
        default=None,
        description=SCREENSHOT_TOLD + " Null takes it out, into your trash; another's stays as it is.",
    )


class BugReportTriage(ApiRequest):
    """What is done about it. Fields that are left out stay as they are."""

    status: Annotated[ReportStatus | None, NotNull] = Field(
        default=None,
        description=(
            "Where it stands. OPEN may become any other; TRIAGED and IN_PROGRESS each other, RESOLVED, CLOSED or "
            "DUPLICATE; RESOLVED becomes CLOSED; RESOLVED, CLOSED and DUPLICATE become OPEN again."
        ),
        examples=["TRIAGED"],
    )
    severity: Annotated[Severity | None, NotNull] = Field(default=None, description="How bad it really is.")
    assignee_id: UUID | None = Field(default=None, description="Who looks after it; null for nobody.")
    note: Annotated[Note | None, NotNull] = Field(
        default=None, description="What the reporter is told about it.", examples=["Fixed in the next release."]
    )
    duplicate_of_id: UUID | None = Field(
        default=None, description="The original; goes with the status DUPLICATE and with no other."
    )


class BugReportConvert(ApiRequest):
    project_id: UUID = Field(description="The project of the new task: one you may write tasks in.")


class BugReportDuplicatesRequest(ApiRequest):
    title: Title = Field(description="The title somebody is about to send.", examples=["Export stops at row 200"])
    workspace_id: UUID | None = Field(default=None, description=WORKSPACE_TOLD)


class ReportPerson(Pictured):
    id: UUID = Field(description="The user's id.")
    name: str = Field(description="Their name.", examples=["Ann"])


class PossibleDuplicateReport(ApiModel):
    """A report that says much the same."""

    id: UUID = Field(description="The report's id.")
    title: str = Field(description="Its title.", examples=["Export stops after 200 rows"])
    status: ReportStatus = Field(description="Where it stands.")


class BugReportRead(ApiModel):
    id: UUID = Field(description="The report's id.")
    workspace_id: UUID | None = Field(description="The workspace it concerns; null for the product itself.")
    title: str = Field(description=TITLE_TOLD, examples=["Export stops at row 200"])
    steps: str = Field(description=STEPS_TOLD)
    severity: Severity = Field(description="How bad it is.")
    page_url: str | None = Field(description=PAGE_TOLD)
    browser_info: dict[str, Any] = Field(description=BROWSER_TOLD)
    screenshot: AttachedFile | None = Field(
        description="A picture that shows it, read at its `contentUrl` by whoever sees the report; null without one."
    )
    status: ReportStatus = Field(description="Where it stands.")
    duplicate_of_id: UUID | None = Field(description="The original of a duplicate.")
    reporter: ReportPerson = Field(description="Who made it.")
    assignee: ReportPerson | None = Field(description="Who looks after it.")
    note: str = Field(description="What those who look after it say about it.")
    task_id: UUID | None = Field(description="The task it became, if you see that.")
    allowed_actions: list[ReportAction] = Field(description="What you may do with it now.", examples=[["edit"]])
    version: int = Field(description="Counts changes.", examples=[1])
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it last changed.")


class BugReportAnswer(ApiModel):
    bug_report: BugReportRead = Field(description="The report as it is now.")


class BugReportMadeAnswer(BugReportAnswer):
    possible_duplicates: list[PossibleDuplicateReport] = Field(
        description="Open reports you may see that say much the same, at most 5, the most alike first."
    )


class BugReportsAnswer(ApiModel):
    bug_reports: list[BugReportRead] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")


class BugReportDuplicatesAnswer(ApiModel):
    possible_duplicates: list[PossibleDuplicateReport] = Field(
        description="Open reports you may see that say much the same, at most 5, the most alike first."
    )


class BugReportConvertedAnswer(BugReportAnswer):
    task_id: UUID = Field(description="The task: a new one, or the one it became earlier.")
