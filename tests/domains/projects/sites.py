"""Workspaces with people in them, and projects in those, over HTTP."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.identity.teams import join, make_workspace


@dataclass
class Site:
    """A workspace, its owner, and whoever came into it since."""

    platform: Platform
    new_person: NewPerson
    workspace: dict[str, Any]
    owner: Person
    people: dict[str, Person] = field(default_factory=dict)
    member_ids: dict[UUID, UUID] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.workspace["id"])

    async def person(self, role: Role, **fields: Any) -> Person:
        """Somebody new in the workspace."""
        person = await self.new_person(**fields)
        self.member_ids[person.id] = await join(self.platform, self.id, person, role)
        return person

    async def project(self, by: Person | None = None, **fields: Any) -> dict[str, Any]:
        body = {"workspaceId": self.id, "name": "Website relaunch", **fields}
        answer = await (by or self.owner).client.post("/api/projects", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["project"]
        return made

    async def put(self, project: dict[str, Any], person: Person, role: str, by: Person | None = None) -> None:
        answer = await (by or self.owner).client.put(path_of(project, f"/members/{person.id}"), json={"role": role})
        assert answer.status_code in (200, 201), answer.text


async def open_site(platform: Platform, new_person: NewPerson) -> Site:
    """Under a plan that holds any number of people and projects."""
    owner = await new_person(name="Olga Owner")
    site = Site(platform, new_person, await make_workspace(owner), owner)
    await site.person(Role.VIEWER)
    return site


def path_of(project: dict[str, Any], rest: str = "") -> str:
    return f"/api/projects/{project['id']}{rest}"


async def read(person: Person, project: dict[str, Any]) -> dict[str, Any]:
    answer = await person.client.get(path_of(project))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["project"]
    return found


async def listed(person: Person, **query: Any) -> list[str]:
    """Names of the projects somebody is shown, all pages."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await person.client.get("/api/projects", params={"limit": 2, **query, **cursor})
        assert answer.status_code == 200, answer.text
        names += [one["name"] for one in answer.json()["projects"]]
        if answer.json()["nextCursor"] is None:
            return names
        cursor = {"cursor": answer.json()["nextCursor"]}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
