"""Tasks over HTTP: each route's happy path, and what it refuses to whom."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Json, Site, path_of, refusal, titles

GET, POST, PATCH, PUT, DELETE = "GET", "POST", "PATCH", "PUT", "DELETE"
OF_A_TASK: list[tuple[str, str, Json | None]] = [
    (GET, "", None),
    (PATCH, "", {"title": "Another"}),
    (PUT, "", {"title": "Another"}),
    (DELETE, "", None),
    (POST, "/move", {}),
    (POST, "/labels", {"add": []}),
    (POST, "/assignees", {"add": []}),
    (GET, "/watchers", None),
    (POST, "/watchers", {"add": []}),
]
EDITS = [one for one in OF_A_TASK if one[0] != GET and one[1] != "/watchers"]
REST = [f"{method} {rest}" for method, rest, _ in OF_A_TASK]


async def test_a_task_is_made_and_read(site: Site) -> None:
    project = await site.project(key="WEB")
    ann = await site.person(Role.MEMBER, name="Ann Archer")
    label = await site.label(project, "bug")
    parent = await site.task(project, "The whole")
    body = {
        "projectId": project["id"],
        "title": "  Write the release notes ",
        "description": "# All *of* them",
        "status": "IN_PROGRESS",
        "priority": "HIGH",
        "assigneeIds": [str(ann.id)],
        "labelIds": [label],
        "startOn": "2026-03-02",
        "dueAt": "2026-03-06T17:00:00+01:00",
        "timeZone": "Europe/Berlin",
        "estimateMinutes": 90,
        "parentId": "WEB-1",
    }
    answer = await site.owner.client.post("/api/tasks", json=body)
    assert answer.status_code == 201, answer.text
    task = answer.json()["task"]
    assert answer.headers["Location"] == f"/api/tasks/{task['id']}"
    assert answer.headers["ETag"].startswith('"1-')
    assert answer.json()["undoToken"]
    assert (task["key"], task["number"], task["title"]) == ("WEB-2", 2, "Write the release notes")
    assert task["project"] == {
        "id": project["id"],
        "key": "WEB",
        "name": project["name"],
        "color": project["color"],
    }
    assert (task["status"], task["statusCategory"], task["priority"]) == ("IN_PROGRESS", "IN_PROGRESS", "HIGH")
    assert task["assignees"] == [{"id": str(ann.id), "name": "Ann Archer", "avatar": None}]
    assert task["labels"] == [{"id": label, "name": "bug", "color": "#d73a4a"}]
    assert (task["startOn"], task["startAt"]) == ("2026-03-02", None)
    assert (task["dueOn"], task["dueAt"]) == (None, "2026-03-06T16:00:00.000Z")
    assert (task["parentId"], task["depth"], task["timeZone"]) == (parent["id"], 1, "Europe/Berlin")
    assert task["createdBy"] == {"id": str(site.owner.id), "name": "Olga Owner", "avatar": None}
    assert (task["completedAt"], task["deletedAt"], task["recurrence"], task["fields"]) == (None, None, None, {})
    assert task["counts"] == dict.fromkeys(
        [
            *("subtasks", "subtasksDone", "comments", "checklist", "checklistDone", "blockedBy", "minutesLogged"),
            "attachments",
        ],
        0,
    )
    assert task["allowedActions"] == ["update", "move", "comment", "log_time", "delete"]
    assert (await site.read(task)) == task
    assert (await site.read(parent))["counts"]["subtasks"] == 1


async def test_a_key_is_as_good_as_an_id_together_with_its_workspace(site: Site) -> None:
    project = await site.project(key="WEB")
    task = await site.task(project)
    for key in ("WEB-1", "web-1"):
        answer = await site.owner.client.get(f"/api/tasks/{key}", params={"workspaceId": site.id})
        assert answer.json()["task"]["id"] == task["id"]
    answer = await site.owner.client.patch(
        "/api/tasks/WEB-1", params={"workspaceId": site.id}, json={"title": "By its key"}
    )
    assert answer.json()["task"]["title"] == "By its key"
    stranger = await site.new_person()
    for path, query in (
        ("WEB-1", {}),
        ("WEB-2", {"workspaceId": site.id}),
        ("WEB-01", {"workspaceId": site.id}),
        ("WEB", {"workspaceId": site.id}),
        ("%00", {}),
        (str(uuid4()), {}),
        (task["id"], {"workspaceId": str(uuid4())}),
    ):
        refused = await site.owner.client.get(f"/api/tasks/{path}", params=query)
        assert refusal(refused) == (404, "task_not_found"), path
    assert (await stranger.client.get("/api/tasks/WEB-1", params={"workspaceId": site.id})).status_code == 404
    malformed = await site.owner.client.get("/api/tasks/WEB-1", params={"workspaceId": "here"})
    assert refusal(malformed) == (422, "validation_failed")


@pytest.mark.parametrize(("method", "rest", "body"), OF_A_TASK, ids=REST)
async def test_whoever_does_not_see_a_task_does_not_find_it(
    site: Site, client: httpx.AsyncClient, method: str, rest: str, body: Json | None
) -> None:
    hidden = await site.project(isPrivate=True)
    task = await site.task(hidden)
    assert (await client.request(method, path_of(task, rest), json=body)).status_code == 401
    for person in (await site.new_person(), await site.person(Role.MEMBER), await site.person(Role.GUEST)):
        answer = await person.client.request(method, path_of(task, rest), json=body)
        assert answer.status_code == 404, answer.text
    assert (await site.owner.client.request(method, path_of(task, rest), json=body)).status_code == 200


@pytest.mark.parametrize(("method", "rest", "body"), EDITS, ids=[f"{method} {rest}" for method, rest, _ in EDITS])
async def test_who_may_change_a_task(site: Site, method: str, rest: str, body: Json | None) -> None:
    project = await site.project()
    viewer, member, assigned, manager = [
        await site.person(role) for role in (Role.VIEWER, Role.MEMBER, Role.MEMBER, Role.MEMBER)
    ]
    await site.put(project, manager, "ADMIN")
    task = await site.task(project, assigneeIds=[str(assigned.id)])
    path = path_of(task, rest)
    for person in (viewer, member):
        assert refusal(await person.client.request(method, path, json=body)) == (403, "forbidden")
    may_assigned = 403 if method == DELETE else 200
    assert (await assigned.client.request(method, path, json=body)).status_code == may_assigned
    assert (await manager.client.request(method, path, json=body)).status_code == 200
    own = await site.task(project, by=member)
    assert (await member.client.request(method, path_of(own, rest), json=body)).status_code == 200


async def test_who_may_make_tasks(site: Site, client: httpx.AsyncClient) -> None:
    project, hidden = await site.project(), await site.project(isPrivate=True)
    viewer, member, stranger = await site.person(Role.VIEWER), await site.person(Role.MEMBER), await site.new_person()
    body = {"projectId": project["id"], "title": "x"}
    assert (await client.post("/api/tasks", json=body)).status_code == 401
    assert refusal(await viewer.client.post("/api/tasks", json=body)) == (403, "forbidden")
    assert (await stranger.client.post("/api/tasks", json=body)).status_code == 404
    assert (await member.client.post("/api/tasks", json={**body, "projectId": hidden["id"]})).status_code == 404
    assert (await member.client.post("/api/tasks", json={"title": "x"})).status_code == 422
    assert (await member.client.post("/api/tasks", json=body)).status_code == 201


WRONG: list[tuple[Json, str]] = [
    ({"title": " "}, "/title"),
    ({"title": "x" * 301}, "/title"),
    ({"title": "a\x00b"}, "/title"),
    ({"title": "\ud800"}, ""),
    ({"title": None}, "/title"),
    ({"description": "x" * 50_001}, "/description"),
    ({"status": "NOWHERE"}, "/status"),
    ({"status": None}, "/status"),
    ({"priority": "EXTREME"}, "/priority"),
    ({"assigneeIds": [str(uuid4())]}, "/assigneeIds"),
    ({"labelIds": [str(uuid4())]}, "/labelIds"),
    ({"parentId": str(uuid4())}, "/parentId"),
    ({"parentId": "nothing"}, "/parentId"),
    ({"startOn": "2026-03-02T10:00:00Z"}, "/startOn"),
    ({"startOn": 1}, "/startOn"),
    ({"startOn": "9999-01-01"}, "/startOn"),
    ({"startOn": "2026-03-02", "startAt": "2026-03-02T10:00:00Z"}, "/startOn"),
    ({"startOn": "2026-03-02", "dueOn": "2026-03-01"}, "/dueOn"),
    ({"startAt": "2026-03-02T10:00:00Z", "dueAt": "2026-03-02T09:59:59Z"}, "/dueAt"),
    ({"startAt": "2026-03-05T00:00:00Z", "dueOn": "2026-03-02"}, "/dueOn"),
    ({"timeZone": "Europe/Nowhere"}, "/timeZone"),
    ({"estimateMinutes": -1}, "/estimateMinutes"),
    ({"estimateMinutes": True}, "/estimateMinutes"),
    ({"fields": {"nothing": 1}}, "/fields/nothing"),
    ({"boardKey": "a0"}, "/boardKey"),
    ({"numbr": 7}, "/numbr"),
]


@pytest.mark.parametrize(("wrong", "pointer"), WRONG, ids=[f"{one[1]} {n}" for n, one in enumerate(WRONG)])
async def test_what_is_wrong_is_refused_everywhere(site: Site, wrong: Json, pointer: str) -> None:
    project = await site.project()
    task = await site.task(project)
    whole = {"title": "Whole", **wrong}
    for method, path, body in (
        (POST, "/api/tasks", {"projectId": project["id"], **whole}),
        (PATCH, path_of(task), wrong),
        (PUT, path_of(task), whole),
    ):
        if method == POST and wrong == {"status": None}:
            continue  # left out or null: the first status
        content = json.dumps(body).encode()
        answer = await site.owner.client.request(
            method, path, content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in ((400, 422) if pointer == "" else (422,)), (method, answer.text)
        if pointer:
            assert pointer in {one["pointer"] for one in answer.json()["details"]}, answer.text
    assert (await site.read(task))["version"] == 1


async def test_a_change_touches_what_is_sent_alone(site: Site) -> None:
    project = await site.project()
    task = await site.task(project, description="Kept", dueOn="2026-03-06", priority="LOW")
    changed = await site.change(task, title="Other", dueAt="2026-03-06T17:00:00Z", estimateMinutes=5)
    assert (changed["title"], changed["description"], changed["priority"]) == ("Other", "Kept", "LOW")
    assert (changed["dueOn"], changed["dueAt"], changed["version"]) == (None, "2026-03-06T17:00:00.000Z", 2)
    cleared = await site.change(task, dueAt=None, estimateMinutes=None, description=None, priority=None)
    assert (cleared["dueAt"], cleared["estimateMinutes"], cleared["description"]) == (None, None, "")
    assert cleared["priority"] == "NONE"
    same = await site.owner.client.patch(path_of(task), json={"title": "Other", "priority": "NONE"})
    assert (same.json()["task"]["version"], same.json()["undoToken"]) == (3, None)


async def test_putting_writes_the_whole(site: Site) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    task = await site.task(
        project, description="Gone", status="DONE", priority="LOW", assigneeIds=[str(ann.id)], dueOn="2026-03-06"
    )
    answer = await site.owner.client.put(path_of(task), json={"title": "New", "estimateMinutes": 7})
    assert answer.status_code == 200, answer.text
    put = answer.json()["task"]
    assert (put["title"], put["description"], put["priority"], put["dueOn"]) == ("New", "", "NONE", None)
    assert (put["assignees"], put["estimateMinutes"], put["status"]) == ([], 7, "DONE")


async def test_a_stale_version_is_refused(site: Site) -> None:
    task = await site.task(await site.project())
    await site.change(task, title="Meanwhile")
    stale = {"If-Match": '"1"'}
    for method, rest, body in ((PATCH, "", {"title": "x"}), (PUT, "", {"title": "x"}), (DELETE, "", None)):
        answer = await site.owner.client.request(method, path_of(task, rest), json=body, headers=stale)
        assert refusal(answer) == (412, "precondition_failed")
    moved = await site.owner.client.post(path_of(task, "/move"), json={}, headers=stale)
    assert refusal(moved) == (412, "precondition_failed")
    tag = (await site.owner.client.get(path_of(task))).headers["ETag"]
    assert tag.startswith('"2-')
    unchanged = await site.owner.client.get(path_of(task), headers={"If-None-Match": tag})
    assert unchanged.status_code == 304
    await site.owner.client.post(path_of(task, "/comments"), json={"body": "It counts comments too."})
    changed = await site.owner.client.get(path_of(task), headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["task"]["counts"]["comments"]) == (200, 1)
    fitting = await site.owner.client.patch(path_of(task), json={"title": "x"}, headers={"If-Match": tag})
    assert fitting.status_code == 200, "If-Match goes by the version alone"


async def test_done_is_remembered_by_what_a_status_means(site: Site) -> None:
    task = await site.task(await site.project())
    assert (await site.change(task, status="IN_REVIEW"))["completedAt"] is None
    done = await site.change(task, status="DONE")
    assert done["completedAt"] is not None
    assert (await site.change(task, title="Still done"))["completedAt"] == done["completedAt"]
    assert (await site.change(task, status="CANCELED"))["completedAt"] is None
    assert (await site.change(task, status="TODO"))["completedAt"] is None


async def test_only_who_sees_the_project_is_assigned(site: Site) -> None:
    hidden = await site.project(isPrivate=True)
    inside, outside, guest = [await site.person(role) for role in (Role.MEMBER, Role.MEMBER, Role.GUEST)]
    await site.put(hidden, inside, "MEMBER")
    task = await site.task(hidden, assigneeIds=[str(inside.id)])
    for person in (outside, guest, await site.new_person()):
        for method, path, body in (
            (PATCH, path_of(task), {"assigneeIds": [str(person.id)]}),
            (POST, path_of(task, "/assignees"), {"add": [str(person.id)]}),
            (POST, path_of(task, "/watchers"), {"add": [str(person.id)]}),
        ):
            answer = await site.owner.client.request(method, path, json=body)
            assert refusal(answer) == (422, "validation_failed")
    assert [one["id"] for one in (await site.read(task))["assignees"]] == [str(inside.id)]


async def test_everybody_watches_for_themselves(site: Site) -> None:
    project = await site.project()
    viewer = await site.person(Role.VIEWER, name="Vera")
    task = await site.task(project)
    path = path_of(task, "/watchers")
    assert [one["name"] for one in (await viewer.client.get(path)).json()["watchers"]] == ["Olga Owner"]
    watching = await viewer.client.post(path, json={"add": [str(viewer.id)]})
    assert [one["name"] for one in watching.json()["watchers"]] == ["Olga Owner", "Vera"]
    others = await viewer.client.post(path, json={"remove": [str(site.owner.id)]})
    assert refusal(others) == (403, "forbidden")
    stopped = await viewer.client.post(path, json={"remove": [str(viewer.id)]})
    assert [one["name"] for one in stopped.json()["watchers"]] == ["Olga Owner"]
    assert (await site.read(task))["version"] == 1


async def test_what_an_archived_project_holds_is_read_only(site: Site) -> None:
    project = await site.project()
    task, gone = await site.task(project), await site.task(project)
    await site.owner.client.delete(path_of(gone))
    await site.archive(project)
    for method, rest, body in EDITS:
        sent = {"title": "Another one"} if method in (PATCH, PUT) else body
        if rest in ("/labels", "/assignees"):
            sent = {"add": [str(site.owner.id)]}
        answer = await site.owner.client.request(method, path_of(task, rest), json=sent)
        assert refusal(answer) == (409, "project_archived"), (method, rest)
    assert refusal(await site.owner.client.post(path_of(gone, "/restore"))) == (409, "project_archived")
    made = await site.owner.client.post("/api/tasks", json={"projectId": project["id"], "title": "x"})
    assert refusal(made) == (409, "project_archived")
    assert (await site.read(task))["allowedActions"] == []


async def test_what_is_in_a_deleted_project_is_gone(site: Site) -> None:
    project, other = await site.project(), await site.project()
    task, kept = await site.task(project), await site.task(other, "Kept", assigneeIds=[str(site.owner.id)])
    await site.change(task, assigneeIds=[str(site.owner.id)])
    await site.delete_project(project)
    for method, rest, body in OF_A_TASK:
        answer = await site.owner.client.request(method, path_of(task, rest), json=body)
        assert refusal(answer) == (404, "task_not_found")
    assert [one["id"] for one in await site.listed(workspaceId=site.id)] == [kept["id"]]
    assert [one["id"] for one in await site.listed()] == [kept["id"]]
    for query in ({"projectId": project["id"]}, {"projectId": project["id"], "deleted": "true"}):
        assert (await site.owner.client.get("/api/tasks", params=query)).status_code == 404
    board = await site.owner.client.get("/api/tasks/board", params={"projectId": project["id"]})
    assert board.status_code == 404
    made = await site.owner.client.post("/api/tasks", json={"projectId": project["id"], "title": "x"})
    assert made.status_code == 404


async def test_a_blocked_task_waits_where_the_project_says_so(site: Site) -> None:
    project, hidden = await site.project(key="WEB", enforceBlocked=True), await site.project(isPrivate=True)
    ann = await site.person(Role.MEMBER)
    task, first = await site.task(project, by=ann), await site.task(project, "First")
    unseen = await site.task(hidden, "Unseen")
    for one in (first, unseen):
        answer = await site.owner.client.post(
            path_of(one, "/dependencies"), json={"kind": "BLOCKS", "otherTaskId": task["id"]}
        )
        assert answer.status_code == 201, answer.text
    assert (await site.read(task, ann))["counts"]["blockedBy"] == 1
    assert (await site.read(task))["counts"]["blockedBy"] == 2
    for status in ("IN_PROGRESS", "IN_REVIEW", "DONE"):
        for answer in (
            await ann.client.patch(path_of(task), json={"status": status}),
            await ann.client.post(path_of(task, "/move"), json={"status": status}),
        ):
            assert refusal(answer) == (409, "task_blocked")
            assert answer.json()["blockedBy"] == [{"id": first["id"], "key": first["key"], "title": "First"}]
    assert (await site.change(task, ann, status="CANCELED"))["status"] == "CANCELED"
    await site.change(task, ann, status="TODO")
    await site.change(first, status="DONE")
    answer = await ann.client.patch(path_of(task), json={"status": "DONE"})
    assert refusal(answer) == (409, "task_blocked")
    assert answer.json()["blockedBy"] == []
    await site.change(unseen, status="CANCELED")
    assert (await site.change(task, ann, status="DONE"))["isBlocked"] is False


async def test_fields_of_the_project(site: Site) -> None:
    project = await site.project()
    ann, outside = await site.person(Role.MEMBER), await site.new_person()
    kinds: list[Json] = [
        {"key": "TEAM", "name": "Team", "kind": "SELECT", "options": ["Web", "App"]},
        {"key": "COST", "name": "Cost", "kind": "NUMBER"},
        {"key": "SEEN", "name": "Seen", "kind": "DATE"},
        {"key": "NOTE", "name": "Note", "kind": "TEXT"},
        {"key": "LEAD", "name": "Lead", "kind": "USER"},
    ]
    for one in kinds:
        answer = await site.owner.client.post(f"/api/projects/{project['id']}/fields", json=one)
        assert answer.status_code == 201, answer.text
    values: Json = {"TEAM": "Web", "COST": 1.5, "SEEN": "2026-03-02", "NOTE": "=1+1", "LEAD": str(ann.id)}
    task = await site.task(project, fields=values)
    assert task["fields"] == values
    changed = await site.change(task, fields={"TEAM": "App", "NOTE": None})
    assert changed["fields"] == {name: one for name, one in {**values, "TEAM": "App"}.items() if name != "NOTE"}
    wrong: list[tuple[str, Any]] = [
        ("TEAM", "Sales"),
        ("COST", "1"),
        ("COST", True),
        ("COST", 1e16),
        ("SEEN", "tomorrow"),
        ("NOTE", "x" * 2001),
        ("NOTE", ["x"]),
        ("LEAD", "Ann"),
        ("LEAD", str(outside.id)),
    ]
    for key, value in wrong:
        answer = await site.owner.client.patch(path_of(task), json={"fields": {key: value}})
        assert refusal(answer) == (422, "validation_failed"), (key, value)
        assert answer.json()["details"][0]["pointer"] == f"/fields/{key}"
    put = await site.owner.client.put(path_of(task), json={"title": "x", "fields": {"COST": 2}})
    assert put.json()["task"]["fields"] == {"COST": 2}


async def test_hostile_text_is_kept_as_it_is(site: Site) -> None:
    project = await site.project()
    for text in ("<script>alert(1)</script>", "=HYPERLINK(1)", "\u202eabc", "x' OR 1=1 --", "%_\\", "👩‍👩‍👧"):
        task = await site.task(project, text, description=text * 3)
        assert (task["title"], task["description"]) == (text, text * 3)
        listed = await site.owner.client.get("/api/tasks", params={"projectId": project["id"], "q": text})
        assert titles(listed) == [text]


async def test_a_key_with_an_idempotency_key_makes_one_task(site: Site) -> None:
    project = await site.project()
    headers, body = {"Idempotency-Key": uuid4().hex}, {"projectId": project["id"], "title": "Once"}
    first, second = [await site.owner.client.post("/api/tasks", json=body, headers=headers) for _ in range(2)]
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(await site.listed(projectId=project["id"])) == 1
