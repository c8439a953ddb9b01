"""The calendar over HTTP."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.calendar.router import (
    agenda,
    attendees,
    bulk,
    busy,
    changes,
    events,
    feeds,
    interchange,
    invitations,
    preview,
    reminders,
    resources,
    working_hours,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    # Fixed names come before `/events/{event_id}`.
    bulk.router,
    changes.router,
    preview.router,
    agenda.router,
    busy.router,
    resources.router,
    working_hours.router,
    interchange.router,
    events.router,
    attendees.router,
    reminders.router,
    invitations.router,
    feeds.router,
)
