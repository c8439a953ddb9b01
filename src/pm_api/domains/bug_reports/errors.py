"""Refusals of bug reports."""

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class BugReportNotFound(NotFound):
    """No bug report with this id exists that you may see.

    You see those you made, those of workspaces that you administer, and as an operator those on the product.
    """

    code = "bug_report_not_found"


class BugReportSettled(Conflict):
    """This report is resolved, closed or a duplicate, so what it says can no longer be changed. Make another one."""

    code = "bug_report_settled"


class InvalidAssignee(Unprocessable):
    """A report is given to somebody who may triage it.

    That is an admin or owner of its workspace; for a report on the product, an operator of this installation.
    """

    code = "invalid_assignee"


class InvalidScreenshot(Unprocessable):
    """A screenshot is a picture: PNG, JPEG, WebP, GIF or AVIF.

    What counts is what is in the file, not what it is called.
    """

    code = "invalid_screenshot"


class InvalidDuplicate(Unprocessable):
    """A report is a duplicate of another one in the same place that is no duplicate itself.

    Name the original in `duplicateOfId`: not the report itself, not one of another workspace, and not one that other
    reports are taken for duplicates of by way of a third.
    """

    code = "invalid_duplicate"
