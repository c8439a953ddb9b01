"""Refusals of imports."""

from pm_api.core.errors import Unprocessable


class InvalidImport(Unprocessable):
    """The file cannot be imported, so nothing of it was.

    `rows` tells, row by row, which column is wrong and why. Try it with `dryRun=true` until nothing is wrong. A file
    is CSV (RFC 4180, UTF-8) with a header, or JSON as an export writes it; it has at most 5,000 rows and 5 MB.
    """

    code = "invalid_import"
