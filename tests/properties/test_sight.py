"""What each may see is the same wherever they look: random projects, memberships and moves between them.

A naive rule says who sees which project; lists, single reads, the board, search, the change feed, exports, counts and
notifications have to agree with it. `PM_SIGHT_SEED` repeats a run.
"""

import csv
import io
import os
import random
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.tasks.sites import Site, open_site
from tests.support.soak import SOAKING, rounds

SEED: Final = "PM_SIGHT_SEED"
PROJECTS: Final = 4
MOVES: Final = 6
WORD: Final = "quarterly"

Json = dict[str, Any]


@dataclass
class Model:
    """The naive rule, over plain sets."""

    roles: dict[str, Role]
    is_private: dict[str, bool] = field(default_factory=dict)
    inside: dict[str, set[str]] = field(default_factory=dict)

    def sees(self, who: str, project: str) -> bool:
        role = self.roles.get(who)
        if role is None:
            return False
        return who in self.inside[project] or (role is not Role.GUEST and not self.is_private[project])

    def seen_by(self, who: str) -> set[str]:
        return {project for project in self.is_private if self.sees(who, project)}


@dataclass
class World:
    site: Site
    people: dict[str, Person]
    model: Model
    die: random.Random
    projects: dict[str, Json] = field(default_factory=dict)
    tasks: dict[str, Json] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    async def open(cls, platform: Platform, new_person: NewPerson, die: random.Random) -> "World":
        site = await open_site(platform, new_person)
        roles = {"owner": Role.OWNER, "admin": Role.ADMIN, "member": Role.MEMBER, "viewer": Role.VIEWER}
        roles |= {"guest": Role.GUEST, "visitor": Role.GUEST}
        people = {"owner": site.owner, "stranger": await new_person(name="Stranger")}
        for name, role in roles.items():
            if name != "owner":
                people[name] = await site.person(role, name=name.title())
        world = cls(site, people, Model(roles), die)
        for number in range(PROJECTS):
            await world.add_project(f"Project {number}")
        return world

    async def add_project(self, name: str) -> None:
        is_private = self.die.random() < 0.5
        project = await self.site.project(name=name, isPrivate=is_private)
        self.projects[name] = project
        self.model.is_private[name] = is_private
        self.model.inside[name] = {"owner"}
        self.tasks[name] = await self.site.task(project, f"The {WORD} report of {name}")

    async def move(self) -> None:
        """Somebody comes into a project or leaves it, or it becomes private or open."""
        name = self.die.choice(sorted(self.projects))
        project = self.projects[name]
        who = self.die.choice([one for one in sorted(self.model.roles) if one != "owner"])
        if self.die.random() < 0.3:
            self.model.is_private[name] = not self.model.is_private[name]
            await self.site.change_project(project, isPrivate=self.model.is_private[name])
        elif who in self.model.inside[name]:
            self.model.inside[name].discard(who)
            person = self.people[who]
            answer = await self.site.owner.client.delete(f"/api/projects/{project['id']}/members/{person.id}")
            assert answer.status_code in (200, 204), answer.text
        else:
            self.model.inside[name].add(who)
            await self.site.put(project, self.people[who], self.die.choice(["VIEWER", "MEMBER"]))

    async def mention_all(self, name: str) -> None:
        """A comment that names everybody tells those who see the task then, and nobody else."""
        body = f"The {WORD} numbers, please: " + " ".join(
            f"@[{who}](user:{person.id})" for who, person in self.people.items() if who != "owner"
        )
        answer = await self.site.owner.client.post(
            f"/api/tasks/{self.tasks[name]['id']}/comments", json={"body": body}
        )
        assert answer.status_code == 201, answer.text
        mentioned = {one["id"] for one in answer.json()["comment"]["mentions"]}
        wanted = {who for who in self.people if who != "owner" and self.model.sees(who, name)}
        assert mentioned == {str(self.people[who].id) for who in wanted}
        self.told[name] = wanted

    # --- looking ----------------------------------------------------------------------------------------------

    async def check(self, who: str) -> None:
        seen = self.model.seen_by(who)
        if who not in self.model.roles:
            await self.check_stranger()
            return
        project_ids = {str(self.projects[name]["id"]) for name in seen}
        task_ids = {str(self.tasks[name]["id"]) for name in seen}
        looked = {
            "projects": await self.walk(who, "/api/projects", "projects"),
            "tasks": await self.walk(who, "/api/tasks", "tasks"),
            "found projects": await self.found(who, "project", "Project"),
            "found tasks": await self.found(who, "task", WORD),
            "changed projects": await self.changed(who, "project"),
            "changed tasks": await self.changed(who, "task"),
            "exported": await self.exported(who),
            "read": await self.read_one_by_one(who),
            "found comments": {one["parentId"] for one in await self.results(who, "comment", "numbers")},
            "notified": await self.notified(who),
        }
        assert looked == {
            "projects": project_ids,
            "tasks": task_ids,
            "found projects": project_ids,
            "found tasks": task_ids,
            "changed projects": project_ids,
            "changed tasks": task_ids,
            "exported": {self.tasks[name]["title"] for name in seen},
            "read": project_ids | task_ids,
            "found comments": {self.tasks[name]["id"] for name in self.told if name in seen},
            "notified": {name for name, wanted in self.told.items() if who in wanted and name in seen},
        }, who

    async def check_stranger(self) -> None:
        client = self.people["stranger"].client
        for path in ("/api/projects", "/api/tasks", "/api/search", "/api/changes", "/api/tasks/export"):
            answer = await client.get(path, params={"workspaceId": self.site.id, "q": WORD})
            assert answer.status_code == 404, (path, answer.text)
        assert await self.read_one_by_one("stranger") == set()
        assert (await client.get("/api/search", params={"q": WORD})).json()["results"] == []

    async def walk(self, who: str, path: str, name: str) -> set[str]:
        found: set[str] = set()
        query = {"workspaceId": self.site.id, "limit": "2"}
        while True:
            answer = await self.people[who].client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            found |= {one["id"] for one in answer.json()[name]}
            if answer.json()["nextCursor"] is None:
                return found
            query["cursor"] = answer.json()["nextCursor"]

    async def results(self, who: str, kind: str, words: str) -> list[Json]:
        query = {"workspaceId": self.site.id, "q": words, "kinds": kind, "limit": "200"}
        answer = await self.people[who].client.get("/api/search", params=query)
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["results"]
        return found

    async def found(self, who: str, kind: str, words: str) -> set[str]:
        return {one["id"] for one in await self.results(who, kind, words)}

    async def changed(self, who: str, entity: str) -> set[str]:
        query = {"workspaceId": self.site.id, "limit": "200"}
        found: set[str] = set()
        while True:
            answer = await self.people[who].client.get("/api/changes", params=query)
            assert answer.status_code == 200, answer.text
            found |= {one["entityId"] for one in answer.json()["changes"] if one["entity"] == entity}
            if not answer.json()["hasMore"]:
                return found
            query["cursor"] = answer.json()["nextCursor"]

    async def exported(self, who: str) -> set[str]:
        query = {"workspaceId": self.site.id, "format": "csv"}
        answer = await self.people[who].client.get("/api/tasks/export", params=query)
        assert answer.status_code == 200, answer.text
        return {row["title"] for row in csv.DictReader(io.StringIO(answer.text))}

    async def read_one_by_one(self, who: str) -> set[str]:
        client, found = self.people[who].client, set()
        for kind, things in (("projects", self.projects), ("tasks", self.tasks)):
            for thing in things.values():
                answer = await client.get(f"/api/{kind}/{thing['id']}")
                assert answer.status_code in (200, 404), answer.text
                if answer.status_code == 200:
                    found.add(thing["id"])
        return found

    async def notified(self, who: str) -> set[str]:
        """Of which projects somebody is shown a notification that names their task."""
        answer = await self.people[who].client.get("/api/notifications", params={"limit": 200})
        assert answer.status_code == 200, answer.text
        texts = [str(one) for one in answer.json()["notifications"] if one["type"] == "task.mentioned"]
        return {name for name, task in self.tasks.items() if any(task["id"] in text for text in texts)}


@pytest.mark.parametrize("draw", range(rounds(1, 60)))
async def test_everybody_sees_the_same_wherever_they_look(
    platform: Platform, new_person: NewPerson, draw: int, capsys: pytest.CaptureFixture[str]
) -> None:
    number = int(os.environ.get(SEED, secrets.randbits(32) if SOAKING else draw))
    world = await World.open(platform, new_person, random.Random(number))
    sizes = []
    try:
        for turn in range(3):
            for _ in range(MOVES):
                await world.move()
            await world.mention_all(sorted(world.projects)[turn])
            for who in world.people:
                await world.check(who)
            sizes.append(len(world.model.seen_by("guest")))
            sizes.append(len(world.model.seen_by("member")))
    finally:
        with capsys.disabled():
            sys.stderr.write(f"\nsight, {SEED}={number}: projects seen {sizes}\n")
    assert len(set(sizes)) > 1, "everybody saw the same number all the time"
