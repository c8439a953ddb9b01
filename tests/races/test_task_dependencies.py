"""Two who link tasks at the same moment, over two API processes: a circle that needs both never comes to be."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.conftest import Person, register
from tests.domains.team.inviting import a_team
from tests.races.town import Town
from tests.support.soak import rounds

ROUNDS = rounds(9, 30)
Json = dict[str, Any]


async def send(town: Town, number: int, who: Person, path: str, body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {who.access_token}"}
    return await town.apis[number % 2].post(path, json=body, headers=headers)


async def made(town: Town, who: Person, path: str, body: Any, noun: str) -> Json:
    answer = await send(town, 0, who, path, body)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()[noun]
    return found


async def a_project(town: Town, who: Person, workspace_id: str, name: str) -> Json:
    return await made(town, who, "/api/projects", {"workspaceId": workspace_id, "name": name}, "project")


async def a_task(town: Town, who: Person, project: Json) -> str:
    task = await made(town, who, "/api/tasks", {"projectId": project["id"], "title": "Some work"}, "task")
    found: str = task["id"]
    return found


async def block(town: Town, number: int, who: Person, one: str, other: str) -> httpx.Response:
    return await send(town, number, who, f"/api/tasks/{one}/dependencies", {"otherTaskId": other, "kind": "BLOCKS"})


def codes(answers: Sequence[httpx.Response]) -> Counter[str]:
    return Counter(str(one.status_code) if one.status_code < 400 else one.json()["code"] for one in answers)


@pytest.mark.parametrize("projects", [1, 2])
async def test_each_blocks_the_other_and_one_succeeds(town: Town, projects: int) -> None:
    owner = await register(town.app)
    workspace_id = await a_team(town.platform, owner)
    places = [await a_project(town, owner, workspace_id, f"Place {n}") for n in range(projects)]
    for _ in range(ROUNDS):
        one, other = await a_task(town, owner, places[0]), await a_task(town, owner, places[-1])
        answers = await asyncio.gather(block(town, 0, owner, one, other), block(town, 1, owner, other, one))
        assert codes(answers) == {"201": 1, "dependency_cycle": 1}
        rows = await town.query(
            "SELECT count(*) FROM task_dependencies WHERE task_id IN (:one, :other)", one=UUID(one), other=UUID(other)
        )
        assert rows == [(1,)]


async def test_a_circle_of_four_projects_needs_two_links_that_share_no_task(town: Town) -> None:
    """B blocks C and D blocks A; A blocks B and C blocks D come at once, each in two projects of its own."""
    owner = await register(town.app)
    workspace_id = await a_team(town.platform, owner)
    places = [await a_project(town, owner, workspace_id, f"Place {n}") for n in range(4)]
    for _ in range(ROUNDS // 3):
        a, b, c, d = [await a_task(town, owner, place) for place in places]
        for one, other in ((b, c), (d, a)):
            assert (await block(town, 0, owner, one, other)).status_code == 201
        answers = await asyncio.gather(block(town, 0, owner, a, b), block(town, 1, owner, c, d))
        assert codes(answers) == {"201": 1, "dependency_cycle": 1}


async def test_the_same_link_many_times_at_once_is_one(town: Town) -> None:
    owner = await register(town.app)
    project = await a_project(town, owner, await a_team(town.platform, owner), "Place")
    one, other = await a_task(town, owner, project), await a_task(town, owner, project)
    answers = await asyncio.gather(*(block(town, number, owner, one, other) for number in range(6)))
    assert codes(answers) == {"201": 1, "dependency_exists": 5}


async def test_a_shift_and_a_new_link_do_not_wait_for_each_other_for_ever(town: Town) -> None:
    """Dates move along the links as they were before or after, while links, dates and tasks are written."""
    owner = await register(town.app)
    project = await a_project(town, owner, await a_team(town.platform, owner), "Place")
    chain = [await a_task(town, owner, project) for _ in range(6)]
    headers = {"Authorization": f"Bearer {owner.access_token}"}
    for task in chain:
        answer = await town.apis[0].patch(f"/api/tasks/{task}", json={"dueOn": "2026-03-02"}, headers=headers)
        assert answer.status_code == 200, answer.text
    for one, other in itertools.pairwise(chain[:4]):
        assert (await block(town, 0, owner, one, other)).status_code == 201
    answers = await asyncio.gather(
        *(send(town, n, owner, f"/api/tasks/{chain[0]}/shift", {"days": 1}) for n in range(4)),
        *(send(town, n, owner, f"/api/tasks/{chain[3]}/shift", {"days": 1}) for n in range(4)),
        block(town, 0, owner, chain[3], chain[4]),
        block(town, 1, owner, chain[4], chain[5]),
    )
    assert {one.status_code for one in answers} <= {200, 201}
    due = await town.query(
        "SELECT id, due_on - date '2026-03-02' FROM tasks WHERE id = ANY(:ids)", ids=[UUID(one) for one in chain]
    )
    moved = {str(one): days for one, days in due}
    assert [moved[one] for one in chain[:4]] == [4, 4, 4, 8], "each shift moved all it reached, once"
