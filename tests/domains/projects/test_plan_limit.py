"""A plan's number of projects is never passed, whoever makes them and from whichever workspace."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan
from tests.conftest import NewPerson, Person
from tests.domains.projects.sites import path_of, refusal
from tests.identity.teams import make_workspace
from tests.support.plans import bought

ROOM = 3
"""Of the free plan."""


async def make(person: Person, workspace_id: str, **fields: object) -> str | dict[str, Any]:
    """The address of a new one, or its refusal."""
    body = {"workspaceId": workspace_id, "name": "Project", **fields}
    answer = await person.client.post("/api/projects", json=body)
    if answer.status_code == 201:
        return str(answer.headers["location"])
    problem: dict[str, Any] = answer.json()
    return problem


async def test_the_fourth_of_the_free_plan_is_refused(person: Person) -> None:
    """Over all workspaces that share it; templates and archived ones count, deleted ones do not."""
    first, second = [(await make_workspace(person))["id"] for _ in range(2)]
    paths = [await make(person, first), await make(person, second, isTemplate=True), await make(person, second)]
    assert all(isinstance(one, str) for one in paths)
    await person.client.post(f"{paths[2]}/archive")
    refused = await make(person, first)
    assert isinstance(refused, dict)
    assert (refused["code"], refused["metric"], refused["limit"], refused["used"]) == (
        "plan_limit_reached",
        "PROJECTS",
        ROOM,
        ROOM,
    )
    assert refused["upgradePlan"] is not None
    copy = await person.client.post(f"{paths[0]}/copy", json={"name": "Copy"})
    assert refusal(copy) == (402, "plan_limit_reached")
    await person.client.delete(str(paths[0]))
    assert isinstance(await make(person, second), str)
    restore = await person.client.post(f"{paths[0]}/restore")
    assert refusal(restore) == (402, "plan_limit_reached")
    await person.client.delete(str(paths[1]))
    assert (await person.client.post(f"{paths[0]}/restore")).status_code == 200


async def test_of_twenty_at_once_as_many_are_made_as_there_is_room_for(person: Person, platform: Platform) -> None:
    places = [(await make_workspace(person))["id"] for _ in range(4)]
    for _ in range(ROOM - 1):
        assert isinstance(await make(person, places[0]), str)
    made = await asyncio.gather(*(make(person, places[number % 4]) for number in range(20)))
    assert len([one for one in made if isinstance(one, str)]) == 1
    assert {one["code"] for one in made if isinstance(one, dict)} == {"plan_limit_reached"}
    async with platform.database.reading() as session:
        count = await session.scalar(
            text("SELECT count(*) FROM projects WHERE workspace_id = ANY(:places) AND deleted_at IS NULL"),
            {"places": [UUID(one) for one in places]},
        )
    assert count == ROOM


async def test_restoring_and_making_at_once_do_not_pass_it(person: Person) -> None:
    place = (await make_workspace(person))["id"]
    paths = [await make(person, place) for _ in range(ROOM)]
    await person.client.delete(str(paths[0]))
    answers = await asyncio.gather(
        *(person.client.post(f"{paths[0]}/restore") for _ in range(3)),
        *(person.client.post("/api/projects", json={"workspaceId": place, "name": "New"}) for _ in range(3)),
    )
    assert len([one for one in answers if one.status_code in (200, 201)]) == 1


async def test_a_workspace_with_a_plan_counts_for_itself(person: Person, platform: Platform) -> None:
    own, shared = [(await make_workspace(person))["id"] for _ in range(2)]
    async with platform.database.transaction() as session:
        plan = await bought(session, platform, UUID(own), Plan.TEAM_STANDARD, limits={"max_projects": 1})
        await entitlements.write(session, platform, plan)
    assert isinstance(await make(person, own), str)
    assert isinstance(await make(person, own), dict)
    for _ in range(ROOM):
        assert isinstance(await make(person, shared), str)
    assert isinstance(await make(person, shared), dict)


async def test_the_bill_tells_how_many_there_are(person: Person) -> None:
    place = (await make_workspace(person))["id"]
    path = await make(person, place)
    await make(person, place, isTemplate=True)

    async def counted(**query: str) -> tuple[int, int | None]:
        usage = (await person.client.get("/api/billing/usage", params=query)).json()["usage"]
        [found] = [one for one in usage if one["metric"] == "PROJECTS"]
        return found["used"], found["limit"]

    assert await counted() == await counted(workspaceId=place) == (2, ROOM)
    await person.client.delete(str(path))
    assert await counted() == (1, ROOM)


@pytest.mark.parametrize("step", ["start", "stop"])
async def test_steps_count_nothing(person: Person, step: str, new_person: NewPerson) -> None:
    """What is full can still be worked in."""
    place = (await make_workspace(person))["id"]
    paths = [str(await make(person, place)) for _ in range(ROOM)]
    if step == "stop":
        await person.client.post(f"{paths[0]}/start")
    assert (await person.client.post(f"{paths[0]}/{step}")).status_code == 200
    stranger = await new_person()
    assert (await stranger.client.post(f"{paths[0]}/{step}")).status_code == 404
    assert (await person.client.get(path_of({"id": str(uuid4())}))).status_code == 404
