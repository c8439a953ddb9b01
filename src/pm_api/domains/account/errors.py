"""Refusals of the account."""

from pm_api.core.errors import Unprocessable


class UnknownOperation(Unprocessable):
    """`route` names a POST operation by its operationId, as `spendCredits`; no operation has this name."""

    code = "unknown_operation"
