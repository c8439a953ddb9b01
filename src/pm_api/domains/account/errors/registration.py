"""Refusals of the account."""

from pm_api.core.errors import Unprocessable


class UnknownOperation(Unprocessable):
    """`route` names an operation that takes a key, as `spendCredits`; no operation has this name."""

    code = "unknown_operation"
