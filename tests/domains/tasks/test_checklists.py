"""Checklists: small things in an order of their own, ticked off by many hands."""

import asyncio
from typing import Any, Final

import httpx
from sqlalchemy import text

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Site
from tests.domains.tasks.talking import (
    NOWHERE,
    Json,
    a_task,
    activity_of,
    check_gates,
    of_member,
    pages,
    path,
    refused,
    send,
)

MANY_ITEMS: Final = text(
    "INSERT INTO task_checklist_items (id, workspace_id, scope_id, task_id, content, is_done, position, version)"
    " SELECT gen_random_uuid(), workspace_id, scope_id, id, 'A step', false, n, 1"
    " FROM tasks CROSS JOIN generate_series(0, 194) AS n WHERE id = CAST(:task AS uuid)"
)


async def put(who: Person, task: Json, content: str, **fields: Any) -> Json:
    answer = await send(who, "POST", path(task, "/checklist"), 201, {"content": content, **fields})
    made: Json = answer["item"]
    return made


async def contents(who: Person, task: Json, **query: Any) -> list[str]:
    return [one["content"] for one in await pages(who, path(task, "/checklist"), "items", **query)]


async def test_a_thing_is_put_on_the_list_ticked_off_and_taken_away(site: Site) -> None:
    member, _, task = await of_member(site)
    answer = await member.client.post(path(task, "/checklist"), json={"content": "  Check the links "})
    made = answer.json()["item"]
    address = path(task, f"/checklist/{made['id']}")
    assert (answer.status_code, answer.headers["Location"], answer.headers["ETag"]) == (201, address, '"1"')
    assert (made["content"], made["isDone"], made["taskId"]) == ("Check the links", False, task["id"])
    assert (await send(member, "GET", address, 200))["item"] == made
    done = (await send(member, "PATCH", address, 200, {"isDone": True}))["item"]
    assert (done["content"], done["isDone"], done["version"]) == ("Check the links", True, 2)
    assert (await send(member, "PATCH", address, 200, {"isDone": True}))["item"]["version"] == 2
    stale = {"headers": {"If-Match": '"1"'}}
    assert await refused(member, "PATCH", address, {"isDone": False}, **stale) == (412, "precondition_failed")
    counts = (await send(member, "GET", path(task), 200))["task"]["counts"]
    assert (counts["checklist"], counts["checklistDone"]) == (1, 1)
    await send(member, "DELETE", address, 204)
    for method, body in (("GET", None), ("PATCH", {"isDone": True}), ("DELETE", None)):
        assert await refused(member, method, address, body) == (404, "checklist_item_not_found")
    assert await activity_of(member, task) == [
        "created",
        "checklist_item_created",
        "checklist_item_updated",
        "checklist_item_deleted",
    ]


async def test_the_order_is_as_it_was_put_and_keeps_what_is_not_named(site: Site) -> None:
    member, project, task = await of_member(site)
    ids = {name: (await put(member, task, name))["id"] for name in "abcde"}
    assert await contents(member, task, limit=2) == list("abcde")
    address = path(task, "/checklist/reorder")
    answer = await send(member, "POST", address, 200, {"itemIds": [ids["d"], ids["b"]]})
    assert [one["content"] for one in answer["items"]] == await contents(member, task, limit=2) == list("dbace")
    assert {one["version"] for one in answer["items"]} == {1}, "who edits a thing meanwhile reads the same of it"
    other = await put(member, await a_task(member, project), "elsewhere")
    for wrong in ([ids["a"], ids["a"]], [NOWHERE], [ids["a"], other["id"]]):
        assert await refused(member, "POST", address, {"itemIds": wrong}) == (422, "invalid_checklist_order")
    assert await contents(member, task) == list("dbace")


async def test_two_hundred_and_no_more_however_many_come_at_once(site: Site) -> None:
    member, _, task = await of_member(site)
    async with site.platform.database.transaction() as session:
        await session.execute(MANY_ITEMS, {"task": task["id"]})
    answers = await asyncio.gather(
        *(member.client.post(path(task, "/checklist"), json={"content": "last"}) for _ in range(12))
    )
    codes = [one.status_code for one in answers]
    assert (codes.count(201), codes.count(409)) == (5, 7)
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"too_many_checklist_items"}
    assert len(await contents(member, task, limit=200)) == 200


async def test_ticking_off_and_rewording_at_once_lose_nothing(site: Site) -> None:
    member, _, task = await of_member(site)
    made = [await put(member, task, f"{number}") for number in range(6)]
    addresses = [path(task, f"/checklist/{one['id']}") for one in made]
    await asyncio.gather(
        *(send(member, "PATCH", one, 200, {"isDone": True}) for one in addresses),
        *(send(member, "PATCH", one, 200, {"content": f"new {n}"}) for n, one in enumerate(addresses)),
        send(member, "POST", path(task, "/checklist/reorder"), 200, {"itemIds": [one["id"] for one in made[::-1]]}),
    )
    items = await pages(member, path(task, "/checklist"), "items")
    assert [(one["content"], one["isDone"], one["version"]) for one in items] == [
        (f"new {n}", True, 3) for n in range(5, -1, -1)
    ]


async def test_who_may(site: Site, client: httpx.AsyncClient) -> None:
    member, project, task = await of_member(site)
    made = await put(member, task, "Mine")
    address = path(task, f"/checklist/{made['id']}")
    other = await site.person(Role.MEMBER)
    for method, where, body in (
        ("POST", path(task, "/checklist"), {"content": "x"}),
        ("POST", path(task, "/checklist/reorder"), {"itemIds": [made["id"]]}),
        ("PATCH", address, {"isDone": True}),
        ("DELETE", address, None),
    ):
        await check_gates(site, method, where, body, anonymous=client)
        assert await refused(other, method, where, body) == (403, "forbidden")
    for where in (path(task, "/checklist"), address):
        await check_gates(site, "GET", where, viewer=200, anonymous=client)
    await site.change(task, assigneeIds=[str(other.id)])
    await send(other, "PATCH", address, 200, {"isDone": True})
    await site.archive(project)
    assert await refused(member, "PATCH", address, {"isDone": False}) == (409, "project_archived")
    assert await contents(member, task) == ["Mine"]


BAD: Final[list[Json]] = [
    {},
    {"content": ""},
    {"content": "   "},
    {"content": "x" * 501},
    {"content": "a\x00b"},
    {"content": None},
    {"content": "x", "isDone": "true"},
    {"content": "x", "isDone": 1},
    {"content": "x", "done": True},
]


async def test_bad_bodies(site: Site) -> None:
    member, _, task = await of_member(site)
    made = await put(member, task, "As it was")
    address = path(task, f"/checklist/{made['id']}")
    for body in BAD:
        assert await refused(member, "POST", path(task, "/checklist"), body) == (422, "validation_failed"), body
        if body:
            assert await refused(member, "PATCH", address, body) == (422, "validation_failed"), body
    assert await contents(member, task) == ["As it was"]
    for wrong in ([], ["nonsense"], [NOWHERE] * 201):
        address = path(task, "/checklist/reorder")
        assert await refused(member, "POST", address, {"itemIds": wrong}) == (422, "validation_failed")
