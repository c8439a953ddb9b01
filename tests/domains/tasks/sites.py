"""Projects with tasks in them, over HTTP."""

from typing import Any

import httpx

from pm_api.core.platform import Platform
from tests.conftest import NewPerson, Person
from tests.domains.projects import sites
from tests.domains.projects.sites import refusal

__all__ = ["Json", "Site", "open_site", "path_of", "refusal"]

Json = dict[str, Any]


class Site(sites.Site):
    """A workspace whose projects have tasks."""

    async def task(self, project: Json, title: str = "Write it", by: Person | None = None, **fields: Any) -> Json:
        body = {"projectId": project["id"], "title": title, **fields}
        answer = await (by or self.owner).client.post("/api/tasks", json=body)
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()["task"]
        return made

    async def read(self, task: Json, by: Person | None = None) -> Json:
        answer = await (by or self.owner).client.get(path_of(task))
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["task"]
        return found

    async def change(self, task: Json, by: Person | None = None, **fields: Any) -> Json:
        answer = await (by or self.owner).client.patch(path_of(task), json=fields)
        assert answer.status_code == 200, answer.text
        changed: Json = answer.json()["task"]
        return changed

    async def move(self, task: Json, by: Person | None = None, **place: Any) -> Json:
        answer = await (by or self.owner).client.post(path_of(task, "/move"), json=place)
        assert answer.status_code == 200, answer.text
        moved: Json = answer.json()["task"]
        return moved

    async def column(self, project: Json, status: str = "TODO", by: Person | None = None) -> list[str]:
        """Titles of a column in its order, all pages."""
        query = {"projectId": project["id"], "status": status, "sort": "board"}
        return [one["title"] for one in await self.listed(by, **query)]

    async def listed(self, by: Person | None = None, **query: Any) -> list[Json]:
        """All pages of a list."""
        found: list[Json] = []
        cursor: Json = {}
        while True:
            answer = await (by or self.owner).client.get("/api/tasks", params={"limit": 200, **query, **cursor})
            assert answer.status_code == 200, answer.text
            found += answer.json()["tasks"]
            if answer.json()["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json()["nextCursor"]}

    async def label(self, project: Json, name: str) -> str:
        answer = await self.owner.client.post(
            sites.path_of(project, "/labels"), json={"name": name, "color": "#d73a4a"}
        )
        assert answer.status_code == 201, answer.text
        made: str = answer.json()["label"]["id"]
        return made

    async def change_project(self, project: Json, **fields: Any) -> None:
        answer = await self.owner.client.patch(sites.path_of(project), json=fields)
        assert answer.status_code == 200, answer.text

    async def archive(self, project: Json) -> None:
        answer = await self.owner.client.post(sites.path_of(project, "/archive"))
        assert answer.status_code == 200, answer.text

    async def delete_project(self, project: Json) -> None:
        answer = await self.owner.client.delete(sites.path_of(project))
        assert answer.status_code in (200, 204), answer.text


async def open_site(platform: Platform, new_person: NewPerson) -> Site:
    found = await sites.open_site(platform, new_person)
    return Site(found.platform, found.new_person, found.workspace, found.owner, found.people, found.member_ids)


def path_of(task: Json, rest: str = "") -> str:
    return f"/api/tasks/{task['id']}{rest}"


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["tasks"]]
