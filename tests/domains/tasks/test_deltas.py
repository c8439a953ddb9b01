"""What comes to a task and goes from it, one by one; and what becomes of it when its people leave."""

from uuid import uuid4

from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Site, path_of, refusal


async def test_labels_come_and_go(site: Site) -> None:
    project, other = await site.project(), await site.project()
    bug, docs, foreign = (
        await site.label(project, "bug"),
        await site.label(project, "docs"),
        await site.label(other, "x"),
    )
    task = await site.task(project, labelIds=[bug])
    answer = await site.owner.client.post(path_of(task, "/labels"), json={"add": [docs, bug], "remove": [bug]})
    assert [one["name"] for one in answer.json()["task"]["labels"]] == ["docs"]
    assert answer.json()["task"]["version"] == 2
    again = await site.owner.client.post(path_of(task, "/labels"), json={"add": [docs], "remove": [str(uuid4())]})
    assert (again.json()["task"]["version"], again.json()["undoToken"]) == (2, None)
    refused = await site.owner.client.post(path_of(task, "/labels"), json={"add": [foreign]})
    assert refusal(refused) == (422, "validation_failed")
    assert refusal(await site.owner.client.post(path_of(task, "/labels"), json={"add": ["x"]}))[0] == 422


async def test_people_come_and_go(site: Site) -> None:
    project = await site.project()
    ann, ben = await site.person(Role.MEMBER, name="Ann"), await site.person(Role.VIEWER, name="Ben")
    task = await site.task(project, assigneeIds=[str(ann.id)])
    path = path_of(task, "/assignees")
    answer = await site.owner.client.post(path, json={"add": [str(ben.id)], "remove": [str(ann.id)]})
    assert [one["name"] for one in answer.json()["task"]["assignees"]] == ["Ben"]
    watching = await site.owner.client.get(path_of(task, "/watchers"))
    assert {one["name"] for one in watching.json()["watchers"]} == {"Ann", "Ben", "Olga Owner"}
    crowd = await site.owner.client.post(path, json={"add": [str(uuid4()) for _ in range(51)]})
    assert refusal(crowd) == (422, "validation_failed")


async def test_what_a_leaver_was_to_do_is_handed_over(site: Site) -> None:
    project, hidden = await site.project(), await site.project(isPrivate=True)
    ann, heir = await site.person(Role.MEMBER), await site.person(Role.MEMBER, name="Heir")
    await site.put(hidden, ann, "MEMBER")
    task = await site.task(project, assigneeIds=[str(ann.id)])
    both = await site.task(project, assigneeIds=[str(ann.id), str(heir.id)])
    unseen = await site.task(hidden, assigneeIds=[str(ann.id)])
    answer = await site.owner.client.request(
        "DELETE",
        f"/api/team/members/{site.member_ids[ann.id]}",
        params={"reassignTo": str(site.member_ids[heir.id])},
    )
    assert answer.status_code == 200, answer.text
    left = {one["kind"]: one for one in answer.json()["removal"]["leftBehind"]}
    assert (left["tasks"]["count"], left["tasks"]["reassigned"]) == (3, 2)
    for one in (task, both):
        read = await site.read(one)
        assert ([person["name"] for person in read["assignees"]], read["version"]) == (["Heir"], 2)
    assert (await site.read(unseen))["assignees"] == []
    watching = (await site.owner.client.get(path_of(task, "/watchers"))).json()["watchers"]
    assert str(ann.id) not in {one["id"] for one in watching}


async def test_without_an_heir_nobody_is_assigned(site: Site) -> None:
    ann = await site.person(Role.MEMBER)
    task = await site.task(await site.project(), assigneeIds=[str(ann.id)])
    answer = await site.owner.client.delete(f"/api/team/members/{site.member_ids[ann.id]}")
    assert answer.status_code == 200, answer.text
    read = await site.read(task)
    assert (read["assignees"], read["version"]) == ([], 2)
