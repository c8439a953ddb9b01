"""Events for tests that meet every route."""

from uuid import UUID

from pm_api.core.actor import WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.calendar import feeds, links, places, writing
from pm_api.domains.calendar.repository import feeds as repository
from pm_api.domains.calendar.repository.attendees import attendees_of
from pm_api.domains.calendar.schemas.events import EventCreate
from pm_api.domains.calendar.schemas.feeds import FeedCreate
from pm_api.domains.calendar.schemas.resources import ResourceCreate

A_MEETING = {
    "title": "Sprint planning",
    "startTime": "2030-03-04T09:00:00Z",
    "endTime": "2030-03-04T10:00:00Z",
    "type": "MEETING",
    "timeZone": "Europe/Berlin",
}


async def event_of(platform: Platform, scope: WorkspaceScope, project_id: UUID | None, **fields: object) -> UUID:
    """A new one, made by this person."""
    place = {"workspaceId": scope.workspace_id, "projectId": project_id}
    wanted = EventCreate.model_validate({**A_MEETING, **place, **fields})
    async with platform.database.transaction() as session:
        series, _ = await writing.create(session, platform, scope, wanted)
        return series.id


async def event_with_guests(
    platform: Platform, scope: WorkspaceScope, project_id: UUID | None, user_id: UUID
) -> tuple[UUID, UUID, str]:
    """A new one, a member who is invited to it, and the token of somebody outside who is too."""
    outside = [{"email": "outside@example.org"}]
    made = await event_of(platform, scope, project_id, attendeeIds=[user_id], attendees=outside)
    async with platform.database.reading() as session:
        rows = (await attendees_of(session, [made]))[made]
    member, guest = sorted(rows, key=lambda row: row.email is not None)
    return made, member.id, links.token_of(platform, guest.id)


async def room_of(platform: Platform, scope: WorkspaceScope) -> UUID:
    """A new one; a workspace has each name once."""
    name = f"Room {platform.randomness.uuid()}"
    wanted = ResourceCreate.model_validate({"workspaceId": scope.workspace_id, "name": name, "timeZone": "UTC"})
    async with platform.database.transaction() as session:
        return (await places.create(session, platform, scope, wanted)).id


async def feed_of(platform: Platform, scope: WorkspaceScope) -> tuple[UUID, str]:
    """A new one of this person, and the secret of its address; the last one goes, since they may have so many."""
    wanted = FeedCreate.model_validate({"workspaceId": scope.workspace_id})
    async with platform.database.transaction() as session:
        await repository.remove_of(session, scope.workspace_id, scope.user_id)
        feed, url = await feeds.create(session, platform, scope, wanted)
        return feed.id, url.rpartition("/")[2].removesuffix(".ics")
