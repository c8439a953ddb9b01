"""What a filter may not say."""

from pm_api.core.errors import Unprocessable


class InvalidFilter(Unprocessable):
    """The filter cannot be read.

    `position` counts the characters before what is wrong (of a filter in JSON it is a pointer into it), `expected`
    says what may stand there. A filter is written like `status in (TODO, IN_PROGRESS) and due < today + 7d`, or as
    JSON of `and`, `or`, `not` and `{"field": "priority", "op": ">=", "value": "HIGH"}`; it has at most 100 parts in
    10 levels and 4 KiB.
    """

    code = "invalid_filter"

    def __init__(
        self,
        detail: str | None = None,
        *,
        position: int | str = 0,
        expected: str | None = None,
        details: list[dict[str, str]] | None = None,
    ) -> None:
        message = detail or (f"At {position}: expected {expected}." if expected else None)
        told = [{"pointer": "/filter", "detail": message}] if message else None
        super().__init__(message, details=details or told, position=position, expected=expected or "a filter")
