"""Lists: what is in them, in which order, and that a walk through them misses nothing that stands still."""

import random
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Json, Site, path_of, refusal
from tests.domains.tasks.volume import add_tasks
from tests.support.soak import rounds

MANY = rounds(400, 10_000)
PAGE = rounds(40, 200)


def names(tasks: list[Json]) -> list[str]:
    return [one["title"] for one in tasks]


async def test_each_filter(site: Site) -> None:
    project, other = await site.project(key="WEB"), await site.project()
    ann = await site.person(Role.MEMBER)
    label = await site.label(project, "bug")
    await site.task(project, "Alpha", status="DONE", priority="LOW", dueOn="2026-03-02")
    beta = await site.task(project, "Beta", assigneeIds=[str(ann.id)], dueAt="2026-03-02T12:00:00Z")
    await site.task(project, "gamma", labelIds=[label], priority="URGENT", status="IN_REVIEW", parentId=beta["id"])
    await site.task(other, "Delta")
    here = {"projectId": project["id"]}
    cases: list[tuple[Json, list[str]]] = [
        ({"workspaceId": site.id}, ["Alpha", "Beta", "Delta", "gamma"]),
        (here, ["Alpha", "Beta", "gamma"]),
        ({**here, "workspaceId": site.id}, ["Alpha", "Beta", "gamma"]),
        ({**here, "status": ["DONE", "IN_REVIEW"]}, ["Alpha", "gamma"]),
        ({**here, "statusCategory": ["IN_PROGRESS"]}, ["gamma"]),
        ({**here, "priority": ["LOW", "URGENT"]}, ["Alpha", "gamma"]),
        ({**here, "assigneeId": str(ann.id)}, ["Beta"]),
        ({**here, "labelId": label}, ["gamma"]),
        ({**here, "parentId": beta["id"]}, ["gamma"]),
        ({**here, "top": "true"}, ["Alpha", "Beta"]),
        ({**here, "dueBefore": "2026-03-02T12:00:01Z"}, ["Beta"]),
        ({**here, "dueAfter": "2026-03-02T12:00:00Z"}, ["Alpha"]),
        ({**here, "q": "GAM"}, ["gamma"]),
        ({**here, "q": "amm"}, []),
        ({**here, "q": "%"}, []),
        ({**here, "filter": "priority >= HIGH or status = DONE"}, ["Alpha", "gamma"]),
        ({**here, "deleted": "true"}, []),
    ]
    for query, expected in cases:
        assert sorted(names(await site.listed(**query))) == expected, query
    mine = await site.listed(ann)
    assert names(mine) == ["Beta"]
    assert names(await site.listed(ann, filter="status = TODO")) == ["Beta"]
    assert await site.listed(ann, filter="status = DONE") == []


async def test_each_order(site: Site) -> None:
    project = await site.project()
    one = await site.task(project, "one", priority="LOW", dueOn="2026-03-02")
    await site.task(project, "two", priority="HIGH")
    await site.task(project, "three", dueAt="2026-03-02T12:00:00Z")
    await site.change(one, description="touched")
    await site.move(one)
    cases = {
        "number": ["one", "two", "three"],
        "created": ["three", "two", "one"],
        "updated": ["one", "three", "two"],
        "due": ["three", "one", "two"],
        "priority": ["two", "one", "three"],
        "board": ["two", "three", "one"],
    }
    for sort, expected in cases.items():
        for limit in (1, 200):
            found = await site.listed(projectId=project["id"], sort=sort, limit=limit)
            assert names(found) == expected, sort
        opposite = {"asc": "desc", "desc": "asc"}["desc" if sort in ("created", "updated", "priority") else "asc"]
        turned = await site.listed(projectId=project["id"], sort=sort, order=opposite, limit=1)
        assert names(turned) == expected[::-1], sort


async def test_a_parent_is_named_by_its_key_too(site: Site) -> None:
    project, other = await site.project(), await site.project(isPrivate=True)
    above, hidden = await site.task(project, "above"), await site.task(other, "hidden")
    for parent in (above, hidden):
        for number in range(3):
            within = {"id": parent["project"]["id"]}
            await site.task(within, f"{parent['title']} {number}", parentId=parent["key"])
    ann = await site.person(Role.MEMBER)
    for place in ({"workspaceId": site.id}, {"projectId": project["id"]}):
        found = await site.listed(ann, parentId=above["key"].lower(), limit=2, **place)
        assert sorted(names(found)) == ["above 0", "above 1", "above 2"]
    assert await site.listed(ann, parentId=hidden["key"], workspaceId=site.id) == []
    assert await site.listed(parentId=above["id"]) == [], "without a place those assigned to the caller"
    alone = await site.owner.client.get("/api/tasks", params={"parentId": above["key"]})
    assert refusal(alone) == (422, "validation_failed")


async def test_what_a_list_refuses(site: Site) -> None:
    project = await site.project()
    for number in range(3):
        await site.task(project, f"{number}")
    client, here = site.owner.client, {"projectId": project["id"]}
    page = await client.get("/api/tasks", params={**here, "limit": 1})
    cursor = page.json()["nextCursor"]
    refusals: list[tuple[Json, tuple[int, str]]] = [
        ({"workspaceId": site.id, "sort": "board"}, (422, "validation_failed")),
        ({"sort": "number"}, (422, "validation_failed")),
        ({**here, "filter": "status ="}, (422, "invalid_filter")),
        ({**here, "sort": "title"}, (422, "validation_failed")),
        ({**here, "limit": 201}, (422, "validation_failed")),
        ({**here, "dueBefore": "soon"}, (422, "validation_failed")),
        ({"projectId": "here"}, (422, "validation_failed")),
        ({"projectId": str(uuid4())}, (404, "not_found")),
        ({**here, "workspaceId": str(uuid4())}, (404, "not_found")),
        ({"workspaceId": str(uuid4())}, (404, "workspace_not_found")),
        ({**here, "limit": 1, "cursor": cursor, "status": "DONE"}, (422, "invalid_cursor")),
        ({"workspaceId": site.id, "limit": 1, "cursor": cursor}, (422, "invalid_cursor")),
        ({**here, "limit": 1, "cursor": cursor, "sort": "updated"}, (422, "invalid_cursor")),
    ]
    for query, refused in refusals:
        assert refusal(await client.get("/api/tasks", params=query)) == refused, query
    stranger = await site.new_person()
    assert (await stranger.client.get("/api/tasks", params=here)).status_code == 404
    assert (await stranger.client.get("/api/tasks")).json() == {"tasks": [], "nextCursor": None}


async def test_everybody_lists_what_they_see(site: Site) -> None:
    open_one, hidden, third = await site.project(), await site.project(isPrivate=True), await site.project()
    for project, title in ((open_one, "open"), (hidden, "hidden"), (third, "third")):
        await site.task(project, title)
    member, inside, guest = [await site.person(role) for role in (Role.MEMBER, Role.MEMBER, Role.GUEST)]
    await site.put(hidden, inside, "VIEWER")
    await site.put(third, guest, "MEMBER")
    everything: Json = {"workspaceId": site.id}
    assert sorted(names(await site.listed(**everything))) == ["hidden", "open", "third"]
    assert sorted(names(await site.listed(inside, **everything))) == ["hidden", "open", "third"]
    assert sorted(names(await site.listed(member, **everything))) == ["open", "third"]
    assert names(await site.listed(guest, **everything)) == ["third"]
    assert (await member.client.get("/api/tasks", params={"projectId": hidden["id"]})).status_code == 404
    [as_guest] = await site.listed(guest, **everything)
    assert as_guest["allowedActions"] == ["comment", "log_time"]
    [as_viewer] = [one for one in await site.listed(inside, **everything) if one["title"] == "hidden"]
    assert as_viewer["allowedActions"] == []


async def test_mine_are_those_of_all_workspaces(site: Site) -> None:
    ann = await site.person(Role.MEMBER)
    task = await site.task(await site.project(), "here", assigneeIds=[str(ann.id)])
    made = await ann.client.post("/api/workspaces", json={"name": "Other", "slug": f"o-{site.id[-12:]}"})
    other = await ann.client.post(
        "/api/projects", json={"workspaceId": made.json()["workspace"]["id"], "name": "Own"}
    )
    own = await site.task(other.json()["project"], "there", by=ann, assigneeIds=[str(ann.id)])
    await site.task(other.json()["project"], "not mine", by=ann)
    assert sorted(names(await site.listed(ann))) == ["here", "there"]
    await ann.client.delete(f"/api/workspaces/{own['workspaceId']}")
    assert names(await site.listed(ann)) == ["here"]
    await site.owner.client.delete(path_of(task))
    assert await site.listed(ann) == []


@pytest.mark.parametrize("sort", ["number", "created", "updated", "due", "priority", "board"])
async def test_a_walk_ends_and_misses_nothing_that_stands_still(site: Site, sort: str) -> None:
    """Others insert, delete, reorder and edit between the pages. By number or creation nothing comes twice."""
    project = await site.project()
    await add_tasks(site.platform, UUID(project["id"]), MANY)
    dice = random.Random(sort)
    numbers = list(range(1, MANY + 1))
    # Whatever stands below a task is deleted along with it, and so would not stand still.
    touched = set(dice.sample([one for one in numbers if one % 10 != 4], MANY // 5))
    still = set(numbers) - touched
    restless = list(touched)
    seen: list[int] = []
    query: Json = {"projectId": project["id"], "sort": sort, "limit": PAGE}
    cursor: Json = {}
    pages = 0
    while True:
        answer = await site.owner.client.get("/api/tasks", params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        seen += [one["number"] for one in answer.json()["tasks"]]
        pages += 1
        assert pages < 3 * MANY // PAGE + 10, "the walk does not end"
        if answer.json()["nextCursor"] is None:
            break
        cursor = {"cursor": answer.json()["nextCursor"]}
        await _disturb(site, project, dice.sample(restless, min(8, len(restless))), sort, dice)
        await site.task(project, f"new {pages}")
    assert still <= set(seen), f"missed {sorted(still - set(seen))[:10]}"
    if sort in ("number", "created"):
        assert len(seen) == len(set(seen))
    else:
        repeated = {one for one, times in Counter(seen).items() if times > 1} & still
        assert repeated == set()


async def _disturb(site: Site, project: Json, numbers: list[int], sort: str, dice: random.Random) -> None:
    """Some are deleted, some changed in what is sorted by; over HTTP one of each, the others at once."""
    here: Json = {"workspaceId": site.id}
    first, second, third, *others = [f"/api/tasks/{project['key']}-{number}" for number in numbers]
    await site.owner.client.delete(first, params=here)
    await site.owner.client.patch(
        second, params=here, json={"title": "Edited", "dueOn": f"2026-0{dice.randint(1, 9)}-10", "priority": "HIGH"}
    )
    await site.owner.client.post(third, params=here, json={})
    change: dict[str, Any] = {"project": project["id"], "numbers": numbers[3:], "shift": dice.randint(-90, 90)}
    async with site.platform.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE tasks SET priority = (priority + 1) % 5, updated_at = updated_at + :shift * interval '1 day',"
                " due_on = current_date + CAST(:shift AS int), board_key = board_key || 'V'"
                " WHERE project_id = :project AND number = ANY(:numbers) AND deleted_at IS NULL"
                " AND length(board_key) < 60"
            ),
            change,
        )
    await site.owner.client.post(f"{third}/move", params=here, json={})
    assert sort
    assert others
