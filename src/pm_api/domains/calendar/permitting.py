"""Who sees what of an event, and who may do what with it. Pure."""

from typing import Final
from uuid import UUID

from pm_api.domains.calendar.enums import EventAction, Visibility
from pm_api.domains.calendar.errors.events import EventNotYours
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.identity.permissions import Role, allows

WRITE: Final = "calendar.write"
MANAGE: Final = "calendar.manage"


def may_write(role: Role | str) -> bool:
    return allows(role, WRITE)


def is_own(event: CalendarEvent, user_id: UUID) -> bool:
    """Of its organizer and of whoever made it."""
    return user_id in (event.organizer_user_id, event.created_by_user_id)


def is_masked(event: CalendarEvent, user_id: UUID, *, invited: bool) -> bool:
    """Whether somebody who sees the calendar sees no more of it than Busy: administrators too."""
    return event.visibility != Visibility.DEFAULT and not invited and not is_own(event, user_id)


def may_edit(event: CalendarEvent, user_id: UUID, role: Role | str | None, *, invited: bool) -> bool:
    """`role` is theirs where the event is."""
    if role is None or not allows(role, WRITE):
        return False
    if is_own(event, user_id):
        return True
    return allows(role, MANAGE) and not is_masked(event, user_id, invited=invited)


def ensure_may_edit(event: CalendarEvent, user_id: UUID, role: Role | str | None, *, invited: bool) -> None:
    """Raises EventNotYours."""
    if not may_edit(event, user_id, role, invited=invited):
        raise EventNotYours


def actions(
    event: CalendarEvent, user_id: UUID, role: Role | str | None, *, invited: bool, is_archived: bool
) -> list[EventAction]:
    """What somebody may do with it; nothing in an archived project."""
    if is_archived or is_masked(event, user_id, invited=invited):
        return []
    found = []
    edits = may_edit(event, user_id, role, invited=invited)
    if edits:
        found += [EventAction.UPDATE, EventAction.DELETE]
    if edits or (invited and event.guests_can_invite):
        found.append(EventAction.INVITE)
    if invited:
        found.append(EventAction.RESPOND)
    return found
