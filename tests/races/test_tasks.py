"""Many at once around the tasks of one project, over two API processes: numbers, orders and deltas stay right."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from pm_api.domains.tasks import ordering
from pm_api.domains.tasks.models import Task
from pm_api.identity.permissions import Role
from tests.conftest import Person, register
from tests.identity.teams import join
from tests.races.town import Town
from tests.support.soak import rounds

Json = dict[str, Any]
CREATES = 40
MOVES = 200
TRIES = 10


@dataclass
class Crew:
    """A workspace with one project, and everybody's requests to either process."""

    town: Town
    owner: Person
    workspace_id: str
    project: Json

    async def send(
        self, number: int, method: str, path: str, body: Any = None, who: Person | None = None
    ) -> httpx.Response:
        """As a client does it: what finds no connection free in time is sent again."""
        headers = {"Authorization": f"Bearer {(who or self.owner).access_token}"}
        for _ in range(TRIES):
            answer = await self._send_once(number, method, path, body, headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            assert answer.headers["Retry-After"]
        return answer

    async def _send_once(
        self, number: int, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> httpx.Response:
        return await self.town.apis[number % 2].request(method, path, json=body, headers=headers, timeout=120)

    async def task(self, title: str = "x", **fields: Any) -> Json:
        body = {"projectId": self.project["id"], "title": title, **fields}
        answer = await self.send(0, "POST", "/api/tasks", body)
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()["task"]
        return made

    async def read(self, task: Json) -> Json:
        answer = await self.send(0, "GET", f"/api/tasks/{task['id']}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["task"]
        return found

    async def column(self, number: int = 0, who: Person | None = None) -> list[str]:
        path = f"/api/tasks?projectId={self.project['id']}&status=TODO&sort=board&limit=200"
        answer = await self.send(number, "GET", path, who=who)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["tasks"]]

    async def keys(self) -> list[str]:
        async with self.town.platform.database.reading() as session:
            rows = await session.scalars(
                select(Task.board_key).where(Task.project_id == UUID(self.project["id"])).order_by(Task.board_key)
            )
            return list(rows)

    async def label(self, name: str) -> str:
        path = f"/api/projects/{self.project['id']}/labels"
        answer = await self.send(0, "POST", path, {"name": name, "color": "#d73a4a"})
        assert answer.status_code == 201, answer.text
        made: str = answer.json()["label"]["id"]
        return made


@pytest.fixture
async def crew(town: Town) -> Crew:
    owner = await register(town.app)
    answer = await owner.client.post("/api/workspaces", json={"name": "Race", "slug": f"r-{owner.id.hex[-12:]}"})
    workspace = answer.json()["workspace"]["id"]
    await join(town.platform, workspace, await register(town.app), Role.VIEWER)
    made = await owner.client.post("/api/projects", json={"workspaceId": workspace, "name": "Race", "key": "RACE"})
    assert made.status_code == 201, made.text
    return Crew(town, owner, workspace, made.json()["project"])


def codes(answers: Sequence[httpx.Response]) -> Counter[str]:
    return Counter(str(one.status_code) if one.status_code < 400 else one.json()["code"] for one in answers)


async def test_forty_tasks_at_once_have_forty_numbers(crew: Crew) -> None:
    body = {"projectId": crew.project["id"], "title": "At once"}
    answers = await asyncio.gather(*(crew.send(n, "POST", "/api/tasks", body) for n in range(CREATES)))
    assert codes(answers) == {"201": CREATES}
    tasks = [one.json()["task"] for one in answers]
    assert sorted(one["number"] for one in tasks) == list(range(1, CREATES + 1))
    assert len({one["id"] for one in tasks}) == CREATES
    assert len(set(await crew.keys())) == CREATES, "each its own place in the column"


async def test_parallel_moves_leave_one_order_that_all_see(crew: Crew) -> None:
    tasks = [await crew.task(f"{number}") for number in range(20)]
    dice = random.Random(11)
    viewer = await register(crew.town.app)
    await join(crew.town.platform, crew.workspace_id, viewer, Role.VIEWER)

    async def move(number: int) -> httpx.Response:
        task, other = dice.sample(tasks, 2)
        place = {dice.choice(["before", "after"]): other["id"]} if number % 5 else {}
        return await crew.send(number, "POST", f"/api/tasks/{task['id']}/move", place)

    for _ in range(rounds(1, 5)):
        answers = await asyncio.gather(*(move(number) for number in range(MOVES)))
        assert codes(answers) == {"200": MOVES}
    keys = await crew.keys()
    assert len(set(keys)) == len(tasks), "no two stand in one place"
    assert max(map(len, keys)) <= ordering.LONGEST
    seen = [await crew.column(0), await crew.column(1), await crew.column(0, viewer), await crew.column(1, viewer)]
    assert sorted(seen[0]) == sorted(one["id"] for one in tasks)
    assert seen == [seen[0]] * 4


async def test_all_to_one_spot_at_once(crew: Crew) -> None:
    """Everybody wants to stand just before the same task: all do, one before the other."""
    first, *others, last = [await crew.task(f"{number}") for number in range(12)]
    answers = await asyncio.gather(
        *(
            crew.send(number, "POST", f"/api/tasks/{others[number % len(others)]['id']}/move", {"before": last["id"]})
            for number in range(rounds(30, 1000))
        )
    )
    assert set(codes(answers)) == {"200"}
    column = await crew.column()
    assert (column[0], column[-1], len(column)) == (first["id"], last["id"], 12)
    keys = await crew.keys()
    assert max(map(len, keys)) <= ordering.LONGEST
    assert len(set(keys)) == 12


async def test_deltas_at_once_lose_nothing(crew: Crew) -> None:
    labels = [await crew.label(f"label {number}") for number in range(20)]
    task = await crew.task(labelIds=labels[:10])
    path = f"/api/tasks/{task['id']}/labels"
    sent = [{"remove": [one]} for one in labels[:10]] + [{"add": [one]} for one in labels[10:]]
    answers = await asyncio.gather(*(crew.send(number, "POST", path, body) for number, body in enumerate(sent)))
    assert codes(answers) == {"200": 20}
    read = await crew.read(task)
    assert {one["id"] for one in read["labels"]} == set(labels[10:])
    assert read["version"] == 21
    assert sorted(one.json()["task"]["version"] for one in answers) == list(range(2, 22))


async def test_people_at_once_lose_nothing(crew: Crew) -> None:
    people = [await register(crew.town.app) for _ in range(8)]
    for person in people:
        await join(crew.town.platform, crew.workspace_id, person, Role.MEMBER)
    ids = [str(one.id) for one in people]
    task = await crew.task(assigneeIds=ids[:4])
    sent = [
        *((f"/api/tasks/{task['id']}/assignees", {"remove": [one]}) for one in ids[:4]),
        *((f"/api/tasks/{task['id']}/assignees", {"add": [one]}) for one in ids[4:]),
        *((f"/api/tasks/{task['id']}/watchers", {"remove": [one]}) for one in ids[:4]),
    ]
    answers = await asyncio.gather(*(crew.send(n, "POST", path, body) for n, (path, body) in enumerate(sent)))
    assert codes(answers) == {"200": 12}
    assert {one["id"] for one in (await crew.read(task))["assignees"]} == set(ids[4:])
    watching = (await crew.send(0, "GET", f"/api/tasks/{task['id']}/watchers")).json()["watchers"]
    assert {one["id"] for one in watching} == {str(crew.owner.id), *ids[4:]}


async def test_one_version_is_changed_once(crew: Crew) -> None:
    """Ten believe in version 1: one is right, whatever the others were told meanwhile."""
    task = await crew.task()

    async def change(number: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {crew.owner.access_token}", "If-Match": '"1"'}
        return await crew.town.apis[number % 2].patch(
            f"/api/tasks/{task['id']}", json={"title": f"By {number}"}, headers=headers
        )

    answers = await asyncio.gather(*(change(number) for number in range(10)))
    assert codes(answers) == {"200": 1, "precondition_failed": 9}
    assert (await crew.read(task))["version"] == 2


async def test_two_cannot_put_each_other_below_themselves(crew: Crew) -> None:
    for _ in range(rounds(3, 50)):
        one, two = await crew.task("one"), await crew.task("two")
        answers = await asyncio.gather(
            crew.send(0, "PATCH", f"/api/tasks/{one['id']}", {"parentId": two["id"]}),
            crew.send(1, "PATCH", f"/api/tasks/{two['id']}", {"parentId": one["id"]}),
        )
        assert codes(answers) == {"200": 1, "task_parent_cycle": 1}
        assert sorted([(await crew.read(task))["depth"] for task in (one, two)]) == [0, 1]


async def test_a_subtask_is_never_left_below_a_deleted_task(crew: Crew) -> None:
    """Made before the parent goes, it goes along; after, it is refused."""
    for _ in range(rounds(3, 50)):
        parent = await crew.task("parent")
        body = {"projectId": crew.project["id"], "title": "below", "parentId": parent["id"]}
        made, deleted = await asyncio.gather(
            crew.send(0, "POST", "/api/tasks", body), crew.send(1, "DELETE", f"/api/tasks/{parent['id']}")
        )
        assert deleted.status_code == 200, deleted.text
        if made.status_code == 201:
            assert deleted.json()["deleted"] == 2
            gone = await crew.send(0, "GET", f"/api/tasks/{made.json()['task']['id']}")
            assert gone.status_code == 404
        else:
            assert made.json()["code"] == "validation_failed"
            assert deleted.json()["deleted"] == 1
