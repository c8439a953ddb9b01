"""Numbers of tasks, and the names among people that are made of them."""

from tests.domains.tasks.sites import Site, path_of, refusal


async def test_numbers_count_up_in_each_project(site: Site) -> None:
    first, second = await site.project(key="ONE"), await site.project(key="TWO")
    made = [await site.task(project) for project in (first, first, second, first)]
    assert [one["key"] for one in made] == ["ONE-1", "ONE-2", "TWO-1", "ONE-3"]


async def test_a_refusal_takes_no_number(site: Site) -> None:
    project = await site.project(key="WEB")
    await site.task(project)
    for wrong in ({"status": "NOWHERE"}, {"parentId": "WEB-9"}, {"dueOn": "2026-01-01", "startOn": "2026-01-02"}):
        for headers in ({}, {"Idempotency-Key": f"key-{next(iter(wrong))}"}):
            answer = await site.owner.client.post(
                "/api/tasks", json={"projectId": project["id"], "title": "x", **wrong}, headers=headers
            )
            assert refusal(answer) == (422, "validation_failed")
    assert (await site.task(project))["key"] == "WEB-2"


async def test_the_number_of_a_deleted_task_is_not_given_again(site: Site) -> None:
    project = await site.project(key="WEB")
    gone = await site.task(project)
    await site.owner.client.delete(path_of(gone))
    assert (await site.task(project))["key"] == "WEB-2"
    assert (await site.owner.client.get("/api/tasks/WEB-1", params={"workspaceId": site.id})).status_code == 404
    restored = await site.owner.client.post("/api/tasks/WEB-1/restore", params={"workspaceId": site.id})
    assert restored.json()["task"]["id"] == gone["id"]


async def test_one_key_in_two_workspaces_is_two_tasks(site: Site) -> None:
    project = await site.project(key="WEB")
    task = await site.task(project)
    made = await site.owner.client.post("/api/workspaces", json={"name": "Other", "slug": f"o-{site.id[-12:]}"})
    other = made.json()["workspace"]["id"]
    answer = await site.owner.client.post("/api/projects", json={"workspaceId": other, "name": "Web", "key": "WEB"})
    assert answer.status_code == 201, answer.text
    second = await site.task(answer.json()["project"])
    for workspace, wanted in ((site.id, task), (other, second)):
        found = await site.owner.client.get("/api/tasks/WEB-1", params={"workspaceId": workspace})
        assert found.json()["task"]["id"] == wanted["id"]
