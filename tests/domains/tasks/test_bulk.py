"""One change to many tasks: all or what can be, told before it is done, and taken back by one token."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Json, Site, path_of, refusal


async def bulk(site: Site, tasks: list[Json] | None = None, by: Person | None = None, **body: Any) -> httpx.Response:
    named = {} if tasks is None else {"taskIds": [one["id"] for one in tasks]}
    place = {} if "projectId" in body else {"workspaceId": site.id}
    return await (by or site.owner).client.post("/api/tasks/bulk", json={**place, **named, **body})


async def done(answer: httpx.Response) -> Json:
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


async def test_a_dry_run_tells_old_and_new_and_writes_nothing(site: Site) -> None:
    project = await site.project()
    tasks = [await site.task(project, title, priority="LOW") for title in "ab"] + [
        await site.task(project, "c", priority="HIGH")
    ]
    before = await site.listed(projectId=project["id"])
    feed = await site.owner.client.get("/api/changes", params={"workspaceId": site.id})
    told = await done(await bulk(site, tasks, action="update", change={"priority": "HIGH"}, dryRun=True))
    assert [one["outcome"] for one in told["results"]] == ["CHANGED", "CHANGED", "UNCHANGED"]
    assert told["results"][0]["changes"] == [{"field": "priority", "old": "LOW", "new": "HIGH"}]
    assert (told["changed"], told["failed"], told["dryRun"], told["undoToken"]) == (2, 0, True, None)
    assert await site.listed(projectId=project["id"]) == before
    again = await site.owner.client.get("/api/changes", params={"workspaceId": site.id})
    assert again.json()["changes"] == feed.json()["changes"], "the feed knows nothing of what was not done"


async def test_one_token_takes_all_of_it_back(site: Site) -> None:
    first, second = await site.project(), await site.project(name="Second")
    tasks = [await site.task(first, "a"), await site.task(second, "b"), await site.task(first, "c")]
    change = {"title": "Same", "status": "DONE", "dueOn": "2026-05-01"}
    answer = await done(await bulk(site, tasks, action="update", change=change))
    assert answer["changed"] == 3
    assert {(await site.read(one))["title"] for one in tasks} == {"Same"}
    back = await site.owner.client.post("/api/tasks/undo", json={"undoToken": answer["undoToken"]})
    assert back.status_code == 200, back.text
    for task in tasks:
        now = await site.read(task)
        assert {**now, "version": 0, "updatedAt": ""} == {**task, "version": 0, "updatedAt": ""}


async def test_atomic_does_nothing_when_one_may_not(site: Site) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    hers, mine = await site.task(project, "hers", by=ann), await site.task(project, "mine")
    body: Json = {"action": "update", "change": {"title": "x"}}
    refused = await bulk(site, [hers, mine], by=ann, **body)
    assert refusal(refused) == (403, "bulk_forbidden")
    assert [one["key"] for one in refused.json()["tasks"]] == [mine["key"]]
    assert (await site.read(hers))["title"] == "hers", "who may is asked before any is written"
    partly = await done(await bulk(site, [hers, mine], by=ann, mode="PARTIAL", **body))
    assert [one["outcome"] for one in partly["results"]] == ["CHANGED", "FAILED"]
    assert partly["results"][1]["error"]["code"] == "forbidden"
    assert (await site.read(hers))["title"] == "x"
    assert (await site.read(mine))["title"] == "mine"


async def test_what_is_not_there_or_not_in_sight(site: Site) -> None:
    private = await site.project(isPrivate=True)
    hidden = await site.task(private, "hidden")
    ann = await site.person(Role.ADMIN)
    project = await site.project()
    seen = await site.task(project, "seen", by=ann)
    body: Json = {"action": "update", "change": {"title": "x"}}
    member = await site.person(Role.MEMBER)
    own = await site.task(project, "own", by=member)
    refused = await bulk(site, [own, hidden], by=member, **body)
    assert refusal(refused) == (404, "bulk_tasks_not_found")
    assert refused.json()["taskIds"] == [hidden["id"]]
    partly = await done(await bulk(site, [own, {"id": str(uuid4())}], by=member, mode="PARTIAL", **body))
    assert [one["outcome"] for one in partly["results"]] == ["CHANGED", "FAILED"]
    assert partly["results"][1]["key"] is None
    elsewhere = await bulk(site, [seen], by=ann, projectId=private["id"], **body)
    assert elsewhere.status_code == 404


async def test_tasks_are_named_by_their_keys_too(site: Site) -> None:
    project, private = await site.project(), await site.project(isPrivate=True)
    ann = await site.person(Role.MEMBER)
    first, second = [await site.task(project, title, by=ann) for title in "ab"]
    hidden = await site.task(private, "hidden")
    named = [{"id": second["key"].lower()}, {"id": hidden["key"]}, {"id": first["id"]}, {"id": second["id"]}]
    body: Json = {"action": "update", "change": {"title": "x"}}
    refused = await bulk(site, named, by=ann, **body)
    assert refusal(refused) == (404, "bulk_tasks_not_found")
    assert refused.json()["taskIds"] == [hidden["key"]]
    answer = await done(await bulk(site, named, by=ann, mode="PARTIAL", **body))
    told = [(one["taskId"], one["key"], one["outcome"]) for one in answer["results"]]
    assert told == [
        (second["id"], second["key"], "CHANGED"),
        (first["id"], first["key"], "CHANGED"),
        (None, hidden["key"], "FAILED"),
    ]
    deleted = [{"id": first["key"]}]
    for action in ("delete", "restore"):
        assert (await done(await bulk(site, deleted, by=ann, action=action)))["changed"] == 1
    assert refusal(await bulk(site, [{"id": "WEB-0"}], **body))[0] == 422


async def test_partial_goes_on_after_a_refusal_and_atomic_does_not(site: Site) -> None:
    project = await site.project()
    above = await site.task(project, "above")
    below = await site.task(project, "below", parentId=above["id"])
    other = await site.task(project, "other")
    body: Json = {"action": "update", "change": {"parentId": below["id"], "title": "moved"}}
    assert refusal(await bulk(site, [other, above], **body)) == (409, "task_parent_cycle")
    assert (await site.read(other))["title"] == "other"
    partly = await done(await bulk(site, [above, other], mode="PARTIAL", **body))
    assert [one["outcome"] for one in partly["results"]] == ["FAILED", "CHANGED"]
    assert partly["results"][0]["error"]["code"] == "task_parent_cycle"
    assert (await site.read(above))["title"] == "above"
    assert (await site.read(other))["parentId"] == below["id"]


async def test_labels_and_people_are_added_and_taken_away(site: Site) -> None:
    project = await site.project()
    bug, late = await site.label(project, "Bug"), await site.label(project, "Late")
    ann = await site.person(Role.MEMBER, name="Ann")
    tasks = [await site.task(project, "a", labelIds=[bug]), await site.task(project, "b")]
    await done(await bulk(site, tasks, action="addLabels", labelIds=[late]))
    await done(await bulk(site, tasks, action="removeLabels", labelIds=[bug]))
    await done(await bulk(site, tasks, action="addAssignees", userIds=[str(ann.id)]))
    for task in tasks:
        now = await site.read(task)
        assert [one["name"] for one in now["labels"]] == ["Late"]
        assert [one["name"] for one in now["assignees"]] == ["Ann"]
    await done(await bulk(site, tasks, action="removeAssignees", userIds=[str(ann.id)]))
    assert (await site.read(tasks[0]))["assignees"] == []


@pytest.mark.parametrize("side", ["before", "after"])
async def test_moved_tasks_stand_in_the_order_they_were_named(site: Site, side: str) -> None:
    project = await site.project()
    tasks = {title: await site.task(project, title) for title in "abcde"}
    named = [tasks["d"], tasks["a"], tasks["c"]]
    await done(await bulk(site, named, action="move", move={side: tasks["e"]["id"]}))
    expected = "bdace" if side == "before" else "bedac"
    assert await site.column(project) == list(expected)


async def test_trees_are_deleted_and_come_back(site: Site) -> None:
    project = await site.project()
    above = await site.task(project, "above")
    below = await site.task(project, "below", parentId=above["id"])
    other = await site.task(project, "other")
    gone = await done(await bulk(site, [below, above, other], action="delete"))
    assert [one["outcome"] for one in gone["results"]] == ["CHANGED"] * 3
    assert await site.listed(projectId=project["id"]) == []
    await done(await bulk(site, [below, other, above], action="restore"))
    assert len(await site.listed(projectId=project["id"])) == 3
    again = await done(await bulk(site, [above, other], action="delete"))
    back = await site.owner.client.post("/api/tasks/undo", json={"undoToken": again["undoToken"]})
    assert back.status_code == 200, back.text
    assert (await site.read(below))["parentId"] == above["id"]


async def test_a_filter_finds_the_tasks(site: Site) -> None:
    project = await site.project()
    for title in ("one bug", "two bugs", "none"):
        await site.task(project, title)
    body: Json = {"filter": 'title contains "bug"', "action": "update", "change": {"priority": "URGENT"}}
    answer = await done(await bulk(site, projectId=project["id"], **body))
    assert answer["changed"] == 2
    assert len(await site.listed(projectId=project["id"], priority="URGENT")) == 2
    assert refusal(await bulk(site, **{**body, "filter": "due <"})) == (422, "invalid_filter")


async def test_two_at_once_over_the_same_tasks_both_end(site: Site) -> None:
    project = await site.project()
    tasks = [await site.task(project, str(number)) for number in range(5)]
    answers = await asyncio.gather(
        *(
            bulk(site, order, action="update", change={"title": title})
            for title, order in (("x", tasks), ("y", tasks[::-1]), ("z", tasks))
        )
    )
    assert [one.status_code for one in answers] == [200, 200, 200]
    assert len({one["title"] for one in await site.listed(projectId=project["id"])}) == 1


async def test_bounds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await site.project()
    tasks = [await site.task(project, str(number)) for number in range(3)]
    many = [{"id": str(uuid4())} for _ in range(201)]
    assert (await bulk(site, many, action="delete")).status_code == 422
    monkeypatch.setattr("pm_api.domains.tasks.bulk.MOST", 2)
    body: Json = {"filter": "number > 0", "action": "delete"}
    assert refusal(await bulk(site, projectId=project["id"], **body)) == (422, "too_many_tasks")
    assert len(await site.listed(projectId=project["id"])) == len(tasks)


async def test_refusals_of_the_route(site: Site, client: httpx.AsyncClient, new_person: Any) -> None:
    project = await site.project()
    task = await site.task(project)
    stranger, viewer = await new_person(), await site.person(Role.VIEWER)
    body: Json = {"workspaceId": site.id, "taskIds": [task["id"]], "action": "delete"}
    assert (await client.post("/api/tasks/bulk", json=body)).status_code == 401
    assert (await stranger.client.post("/api/tasks/bulk", json=body)).status_code == 404
    assert (await viewer.client.post("/api/tasks/bulk", json=body)).status_code == 403
    wrongs: tuple[Json, ...] = (
        {"action": "burn"},
        {"taskIds": []},
        {"filter": "number > 0"},
        {"change": {"title": "x"}},
        {"action": "update"},
        {"action": "addLabels", "userIds": []},
        {"dryRun": "yes"},
        {"workspaceId": None},
        {"nonsense": 1},
    )
    for wrong in wrongs:
        answer = await site.owner.client.post("/api/tasks/bulk", json={**body, **wrong})
        assert answer.status_code == 422, (wrong, answer.text)
    await site.archive(project)
    assert refusal(await bulk(site, [task], action="delete")) == (409, "project_archived")
    assert (await site.owner.client.get(path_of(task))).status_code == 200


async def test_what_came_back_together_goes_together(site: Site) -> None:
    project = await site.project()
    above = await site.task(project, "Above")
    below = await site.task(project, "Below", parentId=above["id"])
    await site.owner.client.delete(path_of(above))
    answer = await bulk(site, [above], action="restore")
    assert answer.status_code == 200, answer.text
    assert (await site.read(below))["deletedAt"] is None
    undone = await site.owner.client.post("/api/tasks/undo", json={"undoToken": answer.json()["undoToken"]})
    assert undone.status_code == 200, undone.text
    assert await site.listed(projectId=project["id"]) == []


async def test_partial_leaves_the_tasks_of_an_archived_project_out(site: Site) -> None:
    open_one, archived = await site.project(), await site.project()
    task, resting = await site.task(open_one), await site.task(archived)
    await site.archive(archived)
    body = {"workspaceId": site.id, "taskIds": [resting["id"], task["id"]], "action": "delete"}
    refused = await site.owner.client.post("/api/tasks/bulk", json=body)
    assert refusal(refused) == (409, "project_archived")
    answer = await site.owner.client.post("/api/tasks/bulk", json={**body, "mode": "PARTIAL"})
    assert answer.status_code == 200, answer.text
    assert [one["outcome"] for one in answer.json()["results"]] == ["FAILED", "CHANGED"]
    assert answer.json()["results"][0]["error"]["code"] == "project_archived"
