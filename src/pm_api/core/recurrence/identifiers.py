"""An occurrence has an address before it exists as a row: `{eventId}_{original start, UTC}`."""

import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from pm_api.core.recurrence.errors import OccurrenceUnknown

_FORM: Final = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})_([0-9]{8}T[0-9]{6})Z", re.ASCII | re.IGNORECASE
)


def occurrence_id(event_id: UUID, key: datetime) -> str:
    """`key` is the instant at which the occurrence was to start by the series; moving it does not change its id."""
    at = key.astimezone(UTC)
    return f"{event_id}_{at:%Y%m%dT%H%M%S}Z"


def parse_occurrence_id(text: str) -> tuple[UUID, datetime]:
    """The series, and the instant of the original start; raises OccurrenceUnknown (404) for anything else."""
    found = _FORM.fullmatch(text)
    if not found:
        raise OccurrenceUnknown
    try:
        key = datetime.strptime(found[2].upper(), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise OccurrenceUnknown from None
    return UUID(found[1]), key
