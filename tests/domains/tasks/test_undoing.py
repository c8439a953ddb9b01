"""Taking back: exactly what was, once, by whoever did it, for ten minutes, while nobody has changed it since."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from pm_api.core.jobs import PERIODICS, JobContext
from pm_api.core.platform import Platform
from pm_api.domains.tasks.models import TaskUndo
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Json, Site, path_of, refusal
from tests.support.clock import MovableClock

VOLATILE = ("version", "updatedAt")


def lasting(task: Json) -> Json:
    return {name: value for name, value in task.items() if name not in VOLATILE}


async def undo(person: Person, token: str | None, **headers: str) -> Any:
    return await person.client.post("/api/tasks/undo", json={"undoToken": token}, headers=headers)


async def edited(site: Site, task: Json, by: Person | None = None, **fields: Any) -> Json:
    answer = await (by or site.owner).client.patch(path_of(task), json=fields)
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


async def test_every_field_comes_back_exactly(site: Site) -> None:
    project = await site.project()
    bug, late = await site.label(project, "Bug"), await site.label(project, "Late")
    ann = await site.person(Role.MEMBER)
    above = await site.task(project, "Above")
    task = await site.task(
        project, "Before", description="# old", priority="HIGH", labelIds=[bug], assigneeIds=[str(ann.id)],
        dueOn="2026-05-01", estimateMinutes=30,
    )  # fmt: skip
    below = await site.task(project, "Below", parentId=task["id"])
    before, before_below = await site.read(task), await site.read(below)
    done = await edited(
        site, task, title="After", description="", priority="LOW", labelIds=[late], assigneeIds=[],
        dueAt="2026-06-01T10:00:00Z", estimateMinutes=None, parentId=above["id"], status="DONE",
    )  # fmt: skip
    assert (await site.read(below))["depth"] == 2
    answer = await undo(site.owner, done["undoToken"])
    assert answer.status_code == 200, answer.text
    assert lasting(answer.json()["tasks"][0]) == lasting(await site.read(task)) == lasting(before)
    assert await site.read(below) == before_below
    log = (await site.owner.client.get(path_of(task, "/activity"))).json()
    assert log


async def test_a_place_on_the_board_comes_back(site: Site) -> None:
    project = await site.project()
    tasks = [await site.task(project, title) for title in "abcde"]
    answer = await site.owner.client.post(path_of(tasks[3], "/move"), json={"before": tasks[0]["id"]})
    assert await site.column(project) == list("dabce")
    assert (await undo(site.owner, answer.json()["undoToken"])).status_code == 200
    assert await site.column(project) == list("abcde")


async def test_a_deletion_and_a_creation_are_taken_back(site: Site) -> None:
    project = await site.project()
    task = await site.task(project, "Above")
    below = await site.task(project, "Below", parentId=task["id"])
    gone = await site.owner.client.delete(path_of(task))
    assert (await undo(site.owner, gone.json()["undoToken"])).status_code == 200
    assert (await site.read(task))["deletedAt"] is None
    assert (await site.read(below))["deletedAt"] is None
    made = await site.owner.client.post("/api/tasks", json={"projectId": project["id"], "title": "Oops"})
    answer = await undo(site.owner, made.json()["undoToken"])
    assert answer.json() == {"tasks": []}
    assert (await site.owner.client.get(path_of(made.json()["task"]))).status_code == 404


async def test_what_was_made_and_has_grown_since_stays(site: Site) -> None:
    project = await site.project()
    made = await site.owner.client.post("/api/tasks", json={"projectId": project["id"], "title": "Above"})
    await site.task(project, "Below", parentId=made.json()["task"]["id"])
    assert refusal(await undo(site.owner, made.json()["undoToken"])) == (409, "undo_conflict")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/comments", {"body": "I have begun"}, "comments"),
        ("/time-entries", {"workedOn": "2026-05-01", "minutes": 30}, "timeEntries"),
    ],
)
async def test_what_others_have_worked_on_since_stays(site: Site, path: str, body: Json, field: str) -> None:
    project, mo = await site.project(), await site.person(Role.MEMBER)
    made = (await site.owner.client.post("/api/tasks", json={"projectId": project["id"], "title": "New"})).json()
    own = await site.owner.client.post(path_of(made["task"], "/comments"), json={"body": "Mine goes with it"})
    said = await mo.client.post(path_of(made["task"], path), json=body)
    assert (own.status_code, said.status_code) == (201, 201), said.text
    answer = await undo(site.owner, made["undoToken"])
    assert refusal(answer) == (409, "undo_conflict")
    assert [one["field"] for one in answer.json()["conflicts"]] == [field]
    assert (await site.read(made["task"]))["title"] == "New"


async def test_a_later_change_of_somebody_else_is_told_and_kept(site: Site) -> None:
    project = await site.project()
    ann = await site.person(Role.ADMIN, name="Ann Archer")
    task = await site.task(project, "Before")
    done = await edited(site, task, title="Mine", priority="HIGH")
    await edited(site, task, by=ann, title="Hers")
    answer = await undo(site.owner, done["undoToken"])
    assert refusal(answer) == (409, "undo_conflict")
    (conflict,) = answer.json()["conflicts"]
    assert conflict["changedAt"].endswith("Z")
    assert conflict == {
        "taskId": task["id"],
        "key": task["key"],
        "field": "title",
        "now": "Hers",
        "changedBy": {"id": str(ann.id), "name": "Ann Archer"},
        "changedAt": conflict["changedAt"],
    }
    assert answer.json()["details"][0]["pointer"] == f"/{task['key']}/title"
    assert "Ann Archer" in answer.json()["details"][0]["detail"]
    assert (await site.read(task))["title"] == "Hers"
    assert (await site.read(task))["priority"] == "HIGH", "all or nothing"


async def test_a_label_that_is_gone_since_cannot_come_back(site: Site) -> None:
    project = await site.project()
    label = await site.label(project, "Bug")
    task = await site.task(project, labelIds=[label])
    done = await edited(site, task, labelIds=[])
    await site.owner.client.delete(f"/api/projects/{project['id']}/labels/{label}")
    answer = await undo(site.owner, done["undoToken"])
    assert refusal(answer) == (409, "undo_conflict")
    assert [one["field"] for one in answer.json()["conflicts"]] == ["labelIds"]


async def test_places_that_would_make_a_ring_are_refused(site: Site) -> None:
    project = await site.project()
    above = await site.task(project, "Above")
    task = await site.task(project, "Below", parentId=above["id"])
    done = await edited(site, task, parentId=None)
    await edited(site, above, parentId=task["id"])
    assert refusal(await undo(site.owner, done["undoToken"])) == (409, "undo_conflict")
    assert (await site.read(task))["parentId"] is None


async def test_it_is_its_makers_once_and_for_ten_minutes(site: Site, clock: MovableClock) -> None:
    project = await site.project()
    ann = await site.person(Role.ADMIN)
    task = await site.task(project, "One")
    first = await edited(site, task, title="Two")
    assert refusal(await undo(ann, first["undoToken"])) == (404, "undo_not_found")
    assert (await undo(site.owner, first["undoToken"])).status_code == 200
    assert refusal(await undo(site.owner, first["undoToken"])) == (404, "undo_not_found")
    late = await edited(site, task, title="Three")
    clock.advance_business(minutes=10)
    assert refusal(await undo(site.owner, late["undoToken"])) == (404, "undo_not_found")


async def test_of_two_at_once_one_wins(site: Site) -> None:
    project = await site.project()
    task = await site.task(project, "One")
    done = await edited(site, task, title="Two")
    answers = await asyncio.gather(*(undo(site.owner, done["undoToken"]) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 404, 404, 404, 404]


async def test_who_may_not_write_any_more_takes_nothing_back(site: Site) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    task = await site.task(project, "One", by=ann)
    done = await edited(site, task, by=ann, title="Two")
    await site.put(project, ann, "VIEWER")
    assert refusal(await undo(ann, done["undoToken"]))[0] == 403
    await site.archive(project)
    mine = await site.owner.client.get(path_of(task))
    assert mine.json()["task"]["title"] == "Two"


async def test_an_archived_project_is_only_read(site: Site) -> None:
    project = await site.project()
    task = await site.task(project, "One")
    done = await edited(site, task, title="Two")
    await site.archive(project)
    assert refusal(await undo(site.owner, done["undoToken"])) == (409, "project_archived")


async def test_refusals_of_the_route(site: Site, client: Any, new_person: Any) -> None:
    stranger = await new_person()
    project = await site.project()
    done = await edited(site, await site.task(project, "One"), title="Two")
    anonymous = await client.post("/api/tasks/undo", json={"undoToken": done["undoToken"]})
    assert anonymous.status_code == 401
    assert (await undo(stranger, done["undoToken"])).status_code == 404
    assert (await undo(site.owner, str(uuid4()))).status_code == 404
    assert (await undo(site.owner, "no id")).status_code == 422
    assert (await site.owner.client.post("/api/tasks/undo", json={})).status_code == 422


async def test_the_same_key_takes_back_once(site: Site) -> None:
    project = await site.project()
    done = await edited(site, await site.task(project, "One"), title="Two")
    key = {"Idempotency-Key": uuid4().hex}
    first, second = await undo(site.owner, done["undoToken"], **key), await undo(site.owner, done["undoToken"], **key)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_expired_ones_are_forgotten(site: Site, platform: Platform, clock: MovableClock) -> None:
    project = await site.project()
    done = await edited(site, await site.task(project, "One"), title="Two")
    clock.advance_business(minutes=9)
    fresh = await edited(site, await site.task(project, "One"), title="Two")
    clock.advance_business(minutes=2)
    await PERIODICS["tasks.forget_undos"].run(JobContext(platform, "tasks.forget_undos"))
    ids = [UUID(done["undoToken"]), UUID(fresh["undoToken"])]
    async with platform.database.reading() as session:
        left = await session.scalar(select(func.count()).where(TaskUndo.id.in_(ids)))
    assert left == 1


@pytest.mark.parametrize("field", ["title", "status"])
async def test_what_was_changed_back_by_others_is_still_changed(site: Site, field: str) -> None:
    project = await site.project()
    task = await site.task(project, "One")
    values = {"title": ("Two", "One"), "status": ("DONE", "TODO")}[field]
    done = await edited(site, task, None, **{field: values[0]})
    for value in (values[1], values[0]):
        await edited(site, task, None, **{field: value})
    assert refusal(await undo(site.owner, done["undoToken"])) == (409, "undo_conflict")


async def test_a_field_that_is_gone_since_cannot_come_back(site: Site) -> None:
    project = await site.project()
    fields = f"/api/projects/{project['id']}/fields"
    made = await site.owner.client.post(fields, json={"name": "Effort", "kind": "TEXT"})
    task = await site.task(project, fields={"EFFORT": "big"})
    done = await edited(site, task, fields={"EFFORT": None})
    assert (await site.owner.client.delete(f"{fields}/{made.json()['field']['id']}")).status_code == 204
    answer = await undo(site.owner, done["undoToken"])
    assert refusal(answer) == (409, "undo_conflict")
    assert answer.json()["conflicts"][0]["field"] == "fields"
