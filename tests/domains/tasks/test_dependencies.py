"""Dependencies: what waits for what, in both directions, and never in a circle."""

import asyncio
from uuid import UUID

import httpx
from sqlalchemy import text

from pm_api.domains.tasks.dependencies import way_back
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


async def link(by: Person, one: Json, kind: str, other: str) -> Json:
    body = {"otherTaskId": other, "kind": kind}
    made: Json = (await send(by, "POST", path(one, "/dependencies"), 201, body))["dependency"]
    return made


async def links(by: Person, task: Json, **query: int) -> list[tuple[str, str]]:
    """(kind, key of the other)."""
    rows = await pages(by, path(task, "/dependencies"), "dependencies", **query)
    return [(one["kind"], one["task"]["key"]) for one in rows]


async def test_a_link_is_seen_from_both_its_tasks(site: Site) -> None:
    member, project, first = await of_member(site)
    second, third, fourth = [await a_task(member, project, title=f"{number}") for number in (2, 3, 4)]
    body = {"otherTaskId": second["id"], "kind": "BLOCKS"}
    answer = await member.client.post(path(first, "/dependencies"), json=body)
    made = answer.json()["dependency"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == path(first, f"/dependencies/{made['id']}")
    assert (made["kind"], made["task"]["key"], made["task"]["statusCategory"]) == ("BLOCKS", second["key"], "TODO")
    assert made["createdBy"]["name"] == "Mo Member"
    await link(member, first, "BLOCKED_BY", third["key"].lower())
    await link(member, first, "RELATES", fourth["id"])
    await link(member, first, "DUPLICATES", second["id"])
    assert await links(member, first, limit=3) == [
        ("BLOCKS", second["key"]),
        ("BLOCKED_BY", third["key"]),
        ("RELATES", fourth["key"]),
        ("DUPLICATES", second["key"]),
    ]
    assert await links(member, second) == [("BLOCKED_BY", first["key"]), ("DUPLICATED_BY", first["key"])]
    assert await links(member, third) == [("BLOCKS", first["key"])]
    from_there = await send(member, "GET", path(second, f"/dependencies/{made['id']}"), 200)
    assert (from_there["dependency"]["kind"], from_there["dependency"]["task"]["id"]) == ("BLOCKED_BY", first["id"])
    found = await site.read(first)
    assert (found["isBlocked"], found["counts"]["blockedBy"]) == (True, 1)
    await send(member, "DELETE", path(second, f"/dependencies/{made['id']}"), 204)
    for method in ("GET", "DELETE"):
        assert await refused(member, method, path(first, f"/dependencies/{made['id']}")) == (
            404,
            "dependency_not_found",
        )
    assert await activity_of(member, second) == [
        *("created", "dependency_added", "dependency_added", "dependency_removed"),
    ]


async def test_what_is_linked_is_not_linked_again(site: Site) -> None:
    member, project, first = await of_member(site)
    second = await a_task(member, project)
    for kind in ("BLOCKS", "RELATES", "DUPLICATES"):
        await link(member, first, kind, second["id"])
    for one, other, kind in (
        *((first, second, kind) for kind in ("BLOCKS", "RELATES", "DUPLICATES")),
        *((second, first, kind) for kind in ("BLOCKED_BY", "RELATES", "DUPLICATES")),
    ):
        body = {"otherTaskId": other["id"], "kind": kind}
        assert await refused(member, "POST", path(one, "/dependencies"), body) == (409, "dependency_exists"), kind
    for kind in ("BLOCKS", "RELATES"):
        body = {"otherTaskId": first["id"], "kind": kind}
        assert await refused(member, "POST", path(first, "/dependencies"), body) == (422, "dependency_on_itself")


async def test_a_circle_is_refused_with_its_path(site: Site) -> None:
    member, project, first = await of_member(site)
    second, third = await a_task(member, project), await a_task(member, project)
    await link(member, first, "BLOCKS", second["id"])
    await link(member, second, "BLOCKS", third["id"])
    for one, kind, other in ((third, "BLOCKS", first), (first, "BLOCKED_BY", third)):
        body = {"otherTaskId": other["id"], "kind": kind}
        answer = await member.client.post(path(one, "/dependencies"), json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "dependency_cycle")
        assert answer.json()["path"] == [third["key"], first["key"], second["key"], third["key"]]
    answer = await member.client.post(
        path(second, "/dependencies"), json={"otherTaskId": first["id"], "kind": "BLOCKS"}
    )
    assert answer.json()["path"] == [second["key"], first["key"], second["key"]]
    await link(member, third, "RELATES", first["id"])
    await link(member, third, "DUPLICATES", first["id"])


async def test_a_way_through_what_is_out_of_sight_is_told_without_it(site: Site) -> None:
    """A deleted task counts too, for it can come back."""
    member, project, first = await of_member(site)
    last = await a_task(member, project)
    private = await site.project(isPrivate=True, name="Private")
    hidden, deleted = await a_task(site.owner, private), await a_task(member, project)
    for one, other in ((first, hidden), (hidden, deleted), (deleted, last)):
        await link(site.owner, one, "BLOCKS", other["id"])
    await member.client.delete(path(deleted))
    answer = await member.client.post(
        path(last, "/dependencies"), json={"otherTaskId": first["id"], "kind": "BLOCKS"}
    )
    assert answer.json()["code"] == "dependency_cycle"
    assert answer.json()["path"] == [last["key"], first["key"], None, None, last["key"]]
    assert hidden["key"] not in answer.text
    assert await links(member, first) == []
    assert await links(site.owner, first) == [("BLOCKS", hidden["key"])]
    assert await links(member, last) == []


async def test_the_other_task_must_be_in_sight(site: Site) -> None:
    member, project, task = await of_member(site)
    private = await site.project(isPrivate=True, name="Private")
    hidden, deleted = await a_task(site.owner, private), await a_task(member, project)
    await member.client.delete(path(deleted))
    stranger = await site.new_person()
    elsewhere = await send(stranger, "POST", "/api/workspaces", 201, {"name": "Other", "slug": f"o-{task['id']}"})
    theirs = await stranger.client.post(
        "/api/projects", json={"workspaceId": elsewhere["workspace"]["id"], "name": "Theirs"}
    )
    foreign = await a_task(stranger, theirs.json()["project"])
    for other in (hidden["id"], hidden["key"], deleted["id"], foreign["id"], NOWHERE, "NONE-1"):
        body = {"otherTaskId": other, "kind": "BLOCKS"}
        assert await refused(member, "POST", path(task, "/dependencies"), body) == (404, "task_not_found"), other


async def test_who_may(site: Site, client: httpx.AsyncClient) -> None:
    member, project, task = await of_member(site)
    other_task = await a_task(member, project)
    made = await link(member, task, "RELATES", other_task["id"])
    address, body = path(task, "/dependencies"), {"otherTaskId": other_task["id"], "kind": "BLOCKS"}
    for method, where, sent, viewer in (
        ("POST", address, body, 403),
        ("GET", address, None, 200),
        ("GET", f"{address}/{made['id']}", None, 200),
        ("DELETE", f"{address}/{made['id']}", None, 403),
    ):
        await check_gates(site, method, where, sent, viewer=viewer, anonymous=client)
    other = await site.person(Role.MEMBER)
    assert await refused(other, "POST", address, body) == (403, "forbidden")
    assert await refused(other, "DELETE", f"{address}/{made['id']}") == (403, "forbidden")
    own = await a_task(other, project)
    await link(other, own, "BLOCKS", task["id"])
    for wrong in (
        {},
        {"otherTaskId": other_task["id"]},
        {"otherTaskId": other_task["id"], "kind": "DUPLICATED_BY"},
        {"otherTaskId": "not an id", "kind": "BLOCKS"},
        {"otherTaskId": other_task["id"], "kind": "BLOCKS", "note": "x"},
    ):
        assert await refused(member, "POST", address, wrong) == (422, "validation_failed"), wrong
    archived = await site.project(name="Old")
    old = await a_task(member, archived)
    await site.archive(archived)
    for one, two in ((old, task), (task, old)):
        sent = {"otherTaskId": two["id"], "kind": "BLOCKS"}
        assert await refused(member, "POST", path(one, "/dependencies"), sent) == (409, "project_archived")


async def test_a_hundred_of_a_task_and_no_more(site: Site) -> None:
    """The others are written past the API: what counts is the hundredth, in either direction."""
    member, project, task = await of_member(site)
    one, other = await a_task(member, project), await a_task(member, project)
    async with site.platform.database.transaction() as session:
        await session.execute(
            text(
                "WITH made AS (INSERT INTO tasks (id, workspace_id, scope_id, project_id, number, title, description,"
                " status, priority, board_key, depth, fields, created_by_user_id, version, created_at, updated_at)"
                " SELECT gen_random_uuid(), workspace_id, scope_id, project_id, 1000 + n, 'x', '', status, 0,"
                " board_key || n, 0, '{}', created_by_user_id, 1, created_at, updated_at"
                " FROM tasks, generate_series(1, 99) n WHERE id = :id RETURNING *)"
                " INSERT INTO task_dependencies SELECT gen_random_uuid(), workspace_id, scope_id,"
                " CASE WHEN number % 2 = 0 THEN id ELSE :id END, CASE WHEN number % 2 = 0 THEN :id ELSE id END,"
                " 'RELATES', created_by_user_id, created_at FROM made"
            ),
            {"id": UUID(task["id"])},
        )
    answers = await asyncio.gather(
        *(
            member.client.post(path(task, "/dependencies"), json={"otherTaskId": two["id"], "kind": "RELATES"})
            for two in (one, other)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    late = one if answers[0].status_code == 409 else other
    assert await refused(
        member, "POST", path(late, "/dependencies"), {"otherTaskId": task["id"], "kind": "BLOCKS"}
    ) == (409, "too_many_dependencies")
    assert len(await links(member, task)) == 100


def test_the_way_back_is_the_shortest() -> None:
    one, two, three, four = (UUID(int=number) for number in range(4))
    ways = [(one, two), (two, three), (three, four), (one, four), (four, one)]
    assert way_back(ways, one, four) == [one, four]
    assert way_back(ways, two, one) == [two, three, four, one]
    assert way_back(ways[:3], four, one) == []


async def test_a_link_takes_the_right_to_write_at_both_ends(site: Site) -> None:
    """Or who only reads a project could keep its tasks from being done."""
    member, _, own = await of_member(site)
    guarded = await site.project(enforceBlocked=True)
    await site.put(guarded, member, "VIEWER")
    theirs = await a_task(site.owner, guarded)
    for kind in ("BLOCKS", "BLOCKED_BY", "RELATES", "DUPLICATES"):
        body = {"otherTaskId": theirs["id"], "kind": kind}
        assert await refused(member, "POST", path(own, "/dependencies"), body) == (403, "forbidden")
    await send(site.owner, "PATCH", path(theirs), 200, {"status": "DONE"})
    await site.put(guarded, member, "MEMBER")
    await link(member, own, "BLOCKS", theirs["id"])


async def test_the_log_names_no_task_out_of_sight(site: Site) -> None:
    open_one, hidden = await site.project(), await site.project(name="Hidden", isPrivate=True)
    task, secret = await site.task(open_one), await site.task(hidden, "A secret")
    linked = await site.owner.client.post(
        f"/api/tasks/{task['id']}/dependencies", json={"otherTaskId": secret["id"], "kind": "BLOCKED_BY"}
    )
    assert linked.status_code == 201, linked.text
    mo = await site.person(Role.MEMBER)
    for person, told in ((site.owner, secret["id"]), (mo, None)):
        log = (await person.client.get(f"/api/tasks/{task['id']}/activity")).json()["activity"]
        [change] = [change for one in log if one["action"] == "dependency_added" for change in one["changes"]]
        assert (change["field"], change["old"], change["new"]) == ("blockedBy", None, told)
