"""Trees of tasks: depth, rings, and what goes and comes back together."""

from pm_api.core.jobs import JobContext
from pm_api.domains.tasks.jobs import forget_deleted
from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Json, Site, path_of, refusal
from tests.support.clock import MovableClock


async def chain(site: Site, project: Json, length: int) -> list[Json]:
    """Each below the one before."""
    made: list[Json] = []
    for number in range(length):
        below = {"parentId": made[-1]["id"]} if made else {}
        made.append(await site.task(project, f"{number}", **below))
    return made


async def test_ten_levels_and_no_more(site: Site) -> None:
    project = await site.project()
    levels = await chain(site, project, 10)
    assert [one["depth"] for one in levels] == list(range(10))
    body = {"projectId": project["id"], "title": "x", "parentId": levels[-1]["id"]}
    assert refusal(await site.owner.client.post("/api/tasks", json=body)) == (409, "task_too_deep")
    pair = await chain(site, project, 2)
    too_deep = await site.owner.client.patch(path_of(pair[0]), json={"parentId": levels[8]["id"]})
    assert refusal(too_deep) == (409, "task_too_deep")
    await site.change(pair[0], parentId=levels[7]["id"])
    assert (await site.read(pair[1]))["depth"] == 9
    await site.change(pair[0], parentId=None)
    assert [(await site.read(one))["depth"] for one in pair] == [0, 1]


async def test_a_ring_is_refused_with_its_path(site: Site) -> None:
    project = await site.project(key="WEB")
    first, second, third = await chain(site, project, 3)
    answer = await site.owner.client.patch(path_of(first), json={"parentId": third["id"]})
    assert refusal(answer) == (409, "task_parent_cycle")
    assert answer.json()["path"] == ["WEB-1", "WEB-3", "WEB-2", "WEB-1"]
    itself = await site.owner.client.patch(path_of(second), json={"parentId": "WEB-2"})
    assert refusal(itself) == (409, "task_parent_cycle")
    assert itself.json()["path"] == ["WEB-2", "WEB-2"]


async def test_a_parent_is_a_living_task_of_the_same_project(site: Site) -> None:
    project, other = await site.project(), await site.project()
    task, elsewhere, gone = await site.task(project), await site.task(other), await site.task(project)
    await site.owner.client.delete(path_of(gone))
    for parent in (elsewhere, gone):
        answer = await site.owner.client.patch(path_of(task), json={"parentId": parent["id"]})
        assert refusal(answer) == (422, "validation_failed")


async def test_subtasks_are_counted_and_listed(site: Site) -> None:
    project = await site.project()
    top = await site.task(project, "top")
    await site.task(project, "done", parentId=top["id"], status="DONE")
    open_one = await site.task(project, "open", parentId=top["id"])
    await site.task(project, "deeper", parentId=open_one["id"])
    gone = await site.task(project, "gone", parentId=top["id"])
    await site.owner.client.delete(path_of(gone))
    counts = (await site.read(top))["counts"]
    assert (counts["subtasks"], counts["subtasksDone"]) == (2, 1)
    below = await site.listed(projectId=project["id"], parentId=top["id"], sort="number")
    assert [one["title"] for one in below] == ["done", "open"]
    assert [one["title"] for one in await site.listed(projectId=project["id"], top="true")] == ["top"]


async def test_a_tree_is_deleted_and_restored_together(site: Site) -> None:
    project = await site.project()
    top, middle, leaf = await chain(site, project, 3)
    before = await site.task(project, "gone before", parentId=middle["id"])
    await site.owner.client.delete(path_of(before))
    answer = await site.owner.client.delete(path_of(top))
    assert answer.json()["deleted"] == 3
    assert answer.json()["undoToken"]
    for task in (top, middle, leaf):
        assert (await site.owner.client.get(path_of(task))).status_code == 404
    assert await site.listed(projectId=project["id"]) == []
    deleted = await site.listed(projectId=project["id"], deleted="true")
    assert {one["title"] for one in deleted} == {"0", "1", "2", "gone before"}
    assert deleted[0]["allowedActions"] == ["restore"]
    assert refusal(await site.owner.client.post(path_of(leaf, "/restore"))) == (409, "task_parent_deleted")
    assert refusal(await site.owner.client.post(path_of(before, "/restore"))) == (409, "task_parent_deleted")
    restored = await site.owner.client.post(path_of(top, "/restore"))
    assert restored.status_code == 200, restored.text
    assert {one["title"] for one in await site.listed(projectId=project["id"])} == {"0", "1", "2"}
    assert refusal(await site.owner.client.post(path_of(top, "/restore"))) == (404, "task_not_found")
    assert (await site.owner.client.post(path_of(before, "/restore"))).json()["task"]["depth"] == 2


async def test_others_subtasks_are_not_deleted_along(site: Site) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    top = await site.task(project, by=ann)
    theirs = await site.task(project, parentId=top["id"])
    assert refusal(await ann.client.delete(path_of(top))) == (403, "forbidden")
    await site.owner.client.delete(path_of(theirs))
    assert (await ann.client.delete(path_of(top))).json()["deleted"] == 1
    assert refusal(await (await site.person(Role.VIEWER)).client.post(path_of(top, "/restore")))[0] == 403
    assert refusal(await (await site.person(Role.MEMBER)).client.post(path_of(top, "/restore")))[0] == 403
    assert (await ann.client.post(path_of(top, "/restore"))).status_code == 200


async def test_after_thirty_days_nothing_comes_back(site: Site, clock: MovableClock) -> None:
    project = await site.project()
    early, late = await site.task(project), await site.task(project)
    for task in (early, late):
        await site.owner.client.delete(path_of(task))
    clock.advance_business(days=29)
    assert (await site.owner.client.post(path_of(early, "/restore"))).status_code == 200
    clock.advance_business(days=2)
    assert refusal(await site.owner.client.post(path_of(late, "/restore"))) == (404, "task_not_found")


async def test_what_nobody_can_restore_is_forgotten(site: Site, clock: MovableClock) -> None:
    project = await site.project()
    top, middle, _leaf = await chain(site, project, 3)
    kept = await site.task(project, "kept")
    await site.owner.client.delete(path_of(middle))
    clock.advance_business(days=20)
    await site.owner.client.delete(path_of(top))
    clock.advance_business(days=11)
    context = JobContext(site.platform, "tasks.forget_deleted")
    await forget_deleted(context)
    deleted = await site.listed(projectId=project["id"], deleted="true")
    assert [one["id"] for one in deleted] == [top["id"]]
    clock.advance_business(days=20)
    await forget_deleted(context)
    assert await site.listed(projectId=project["id"], deleted="true") == []
    assert [one["id"] for one in await site.listed(projectId=project["id"])] == [kept["id"]]


async def test_a_project_counts_its_tasks(site: Site) -> None:
    project = await site.project()
    for status in ("TODO", "DONE", "CANCELED"):
        await site.task(project, status=status)
    gone = await site.task(project, status="DONE")
    await site.owner.client.delete(path_of(gone))
    answer = await site.owner.client.get(f"/api/projects/{project['id']}")
    assert answer.json()["project"]["progress"] == {"total": 2, "done": 1, "percent": 50}
    usage = await site.owner.client.get("/api/billing/usage", params={"workspaceId": site.id})
    counted = {one["metric"]: one for one in usage.json()["usage"]}
    assert counted["TASKS"]["used"] == 3


async def test_a_copy_of_a_project_has_its_tasks(site: Site) -> None:
    project = await site.project(key="OLD")
    label = await site.label(project, "bug")
    top = await site.task(project, "top", labelIds=[label], assigneeIds=[str(site.owner.id)], estimateMinutes=5)
    below = await site.task(project, "below", parentId=top["id"], status="DONE")
    gone = await site.task(project, "gone")
    await site.owner.client.delete(path_of(gone))
    linked = await site.owner.client.post(
        path_of(top, "/dependencies"), json={"kind": "BLOCKS", "otherTaskId": below["id"]}
    )
    assert linked.status_code == 201, linked.text
    answer = await site.owner.client.post(
        f"/api/projects/{project['id']}/copy", json={"name": "New", "key": "NEW", "includeTasks": True}
    )
    assert answer.status_code == 201, answer.text
    copy = answer.json()["project"]
    first, second = await site.listed(projectId=copy["id"], sort="number")
    assert [one["key"] for one in (first, second)] == ["NEW-1", "NEW-2"]
    assert (first["title"], first["estimateMinutes"], first["assignees"]) == ("top", 5, [])
    assert [one["name"] for one in first["labels"]] == ["bug"]
    assert first["labels"][0]["id"] != label
    assert (second["parentId"], second["depth"], second["status"]) == (first["id"], 1, "DONE")
    assert second["counts"]["blockedBy"] == 1
    assert (await site.task(copy))["key"] == "NEW-3"
