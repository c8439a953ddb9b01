"""A workspace with rooms, and people whose time is asked for, over HTTP."""

from typing import Any

import httpx

from pm_api.core.platform import Platform
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, open_diary, refusal

__all__ = ["Hall", "Json", "hours", "open_hall", "refusal", "room_path"]


class Hall(Diary):
    """A calendar with rooms. Times are hours of Monday, 1 March 2027, UTC."""

    async def room(self, name: str = "Room 4", **fields: Any) -> Json:
        body = {"workspaceId": self.id, "name": name, "timeZone": "UTC", **fields}
        answer = await self.owner.client.post("/api/calendar/resources", json=body)
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()["resource"]
        return made

    async def book(
        self, *rooms: Json, at: tuple[float, float], by: Person | None = None, **fields: Any
    ) -> httpx.Response:
        return await self.post(by, **hours(*at), resourceIds=[one["id"] for one in rooms], **fields)

    async def booked(self, *rooms: Json, at: tuple[float, float], by: Person | None = None, **fields: Any) -> Json:
        answer = await self.book(*rooms, at=at, by=by, **fields)
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()["event"]
        return made

    async def meeting(
        self, *people: Person, at: tuple[float, float], by: Person | None = None, **fields: Any
    ) -> Json:
        return await self.event(by, **hours(*at), attendeeIds=[str(one.id) for one in people], **fields)

    async def free_busy(
        self,
        *people: Person,
        rooms: tuple[Json, ...] = (),
        by: Person | None = None,
        start: str = "2027-03-01T00:00:00Z",
        end: str = "2027-03-02T00:00:00Z",
    ) -> Json:
        body = {
            "workspaceId": self.id,
            "userIds": [str(one.id) for one in people],
            "resourceIds": [one["id"] for one in rooms],
            "start": start,
            "end": end,
        }
        answer = await (by or self.owner).client.post("/api/calendar/free-busy", json=body)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["freeBusy"]
        return found

    async def busy(self, person: Person, **query: Any) -> list[str]:
        """`09:00-10:00 BUSY`; another day than the first of the range with its date."""
        [found] = (await self.free_busy(person, **query))["people"]
        assert found["userId"] == str(person.id)
        assert found["errors"] == []
        return [shown(one) for one in found["busy"]]

    async def busy_room(self, room: Json, **query: Any) -> list[str]:
        [found] = (await self.free_busy(rooms=(room,), **query))["resources"]
        assert found["errors"] == []
        return [shown(one) for one in found["busy"]]

    async def respond(self, person: Person, event_id: str, response: str, **query: Any) -> None:
        answer = await person.client.post(
            f"/api/calendar/events/{event_id}/respond", params=query, json={"response": response}
        )
        assert answer.status_code == 200, answer.text


def shown(one: Json) -> str:
    start, end = (
        (text[5:10] + " " if text[:10] != "2027-03-01" else "") + text[11:16] for text in (one["start"], one["end"])
    )
    return f"{start}-{end} {one['status']}"


def hours(start: float, end: float) -> Json:
    return {"startTime": moment(start), "endTime": moment(end), "timeZone": "UTC"}


def moment(hour: float) -> str:
    day, rest = divmod(hour, 24)
    return f"2027-03-{int(day) + 1:02}T{int(rest):02}:{round(rest % 1 * 60):02}:00Z"


async def open_hall(platform: Platform, new_person: NewPerson) -> Hall:
    found = await open_diary(platform, new_person)
    return Hall(found.platform, found.new_person, found.workspace, found.owner, found.people, found.member_ids)


def room_path(room: Json) -> str:
    return f"/api/calendar/resources/{room['id']}"
