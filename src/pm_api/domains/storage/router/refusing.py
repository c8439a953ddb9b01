"""What the places of slices above refuse: those own the errors, so they are told by their codes."""

from typing import Any, Final

from pm_api.core.errors import ApiError, Conflict
from pm_api.core.openapi import ERRORS_KEY, raises

OF_PLACES: Final = ("project_archived", "conversation_archived")
"""What can only be read takes no files, and gives none of its own away."""


def raises_there(*errors: type[ApiError]) -> dict[str, Any]:
    """As `raises`, of a route that changes what lies somewhere."""
    told = raises(*errors)
    return {ERRORS_KEY: [*told[ERRORS_KEY], *({"status": Conflict.status, "code": code} for code in OF_PLACES)]}
