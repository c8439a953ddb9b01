"""Who comes to what: the invitations of a series and the answers for single occurrences, put together. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pm_api.domains.calendar.enums import Response
from pm_api.domains.calendar.models import CalendarAnswer, CalendarAttendee


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody invited, and what they answered for one occurrence, or for the whole."""

    row: CalendarAttendee
    response: Response
    comment: str
    proposed_starts_at: datetime | None
    proposed_ends_at: datetime | None

    @property
    def user_id(self) -> UUID | None:
        return self.row.user_id


def standing(
    attendees: Iterable[CalendarAttendee],
    answers: Mapping[tuple[UUID, datetime], CalendarAnswer],
    at: datetime | None = None,
) -> list[Standing]:
    """Everybody invited to the occurrence with an original start; without one, to the whole series or event."""
    found = []
    for row in attendees:
        if row.only_at is not None and row.only_at != at:
            continue
        answer = answers.get((row.id, at)) if at is not None else None
        if answer is not None and answer.uninvited:
            continue
        said = answer or row
        found.append(
            Standing(row, Response(said.response), said.comment, said.proposed_starts_at, said.proposed_ends_at)
        )
    return found


def of_person(standings: Iterable[Standing], user_id: UUID) -> Standing | None:
    """Their own; of two, the one for this occurrence alone."""
    own = [one for one in standings if one.row.user_id == user_id]
    return max(own, key=lambda one: one.row.only_at is not None, default=None)
