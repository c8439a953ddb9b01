"""Who is told of what: those it concerns, once, of what they see and did not do themselves."""

from uuid import UUID

from sqlalchemy import text

from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Site
from tests.domains.tasks.talking import Json, a_task, comment, of_member, path, send, told


async def watchers(by: Person, task: Json) -> set[str]:
    return {one["name"] for one in (await send(by, "GET", path(task, "/watchers"), 200))["watchers"]}


async def test_who_it_is_assigned_to_is_told_and_watches(site: Site) -> None:
    project = await site.project()
    ann, bob = await site.person(Role.MEMBER, name="Ann"), await site.person(Role.MEMBER, name="Bob")
    task = await a_task(ann, project, assigneeIds=[str(ann.id), str(bob.id)])
    key = task["key"]
    assert await told(bob) == [("task.assigned", f"Ann assigned {key} to you")]
    assert await told(ann) == [], "nobody is told of what they did themselves"
    assert await watchers(ann, task) == {"Ann", "Bob"}
    await send(ann, "PATCH", path(task), 200, {"assigneeIds": [str(ann.id)]})
    await send(ann, "PATCH", path(task), 200, {"title": "Other words"})
    assert len(await told(bob)) == 1
    await send(ann, "PATCH", path(task), 200, {"assigneeIds": [str(ann.id), str(bob.id)]})
    assert len(await told(bob)) == 2, "a second time is another event"
    rows = (await send(bob, "GET", "/api/notifications", 200))["notifications"]
    assert rows[0]["reason"] == "The task was assigned to you."
    assert rows[0]["link"] == f"/tasks/{task['id']}"
    assert rows[0]["data"] == {"taskId": task["id"], "projectId": project["id"]}
    assert (rows[0]["category"], rows[0]["body"]) == ("TASKS", "Other words")


async def test_watchers_are_told_when_it_is_done_and_not_again(site: Site) -> None:
    ann, _, task = await of_member(site)
    await send(site.owner, "PATCH", path(task), 200, {"status": "IN_PROGRESS"})
    assert await told(ann) == []
    await send(site.owner, "PATCH", path(task), 200, {"status": "DONE"})
    assert await told(ann) == [("task.done", f"Olga Owner finished {task['key']}")]
    await send(site.owner, "PATCH", path(task), 200, {"status": "CANCELED"})
    assert len(await told(ann)) == 1


async def test_watchers_are_told_of_comments_and_the_named_of_being_named(site: Site) -> None:
    ann, project, task = await of_member(site)
    bob, cleo = await site.person(Role.MEMBER, name="Bob"), await site.person(Role.VIEWER, name="Cleo")
    await comment(bob, task, "First")
    assert await watchers(ann, task) == {"Mo Member", "Bob"}
    made = await comment(ann, task, f"@[Cl\\]eo](user:{cleo.id}) and @[Ann](user:{ann.id}), look")
    key = task["key"]
    assert await told(ann) == [("task.commented", f"Bob commented on {key}")]
    assert await told(bob) == [("task.commented", f"Mo Member commented on {key}")]
    assert await told(cleo) == [("task.mentioned", f"Mo Member mentioned you in {key}")]
    [row] = (await send(cleo, "GET", "/api/notifications", 200))["notifications"]
    assert row["body"] == "@Cl]eo and @Ann, look"
    assert row["link"] == f"/tasks/{task['id']}?comment={made['id']}"
    assert row["data"] == {"taskId": task["id"], "projectId": project["id"], "commentId": made["id"]}
    assert await watchers(ann, task) == {"Mo Member", "Bob", "Cleo"}

    address = path(task, f"/comments/{made['id']}")
    await send(ann, "PATCH", address, 200, {"body": "Never mind"})
    await send(ann, "PATCH", address, 200, {"body": f"@[Cleo](user:{cleo.id}) @[Bob](user:{bob.id})"})
    assert len(await told(cleo)) == 1, "named, not named, and named again is told once"
    assert (await told(bob))[1:] == [("task.mentioned", f"Mo Member mentioned you in {key}")]


async def test_a_watcher_who_is_named_is_told_once(site: Site) -> None:
    ann, _, task = await of_member(site)
    await comment(site.owner, task, f"@[Mo](user:{ann.id})")
    assert [type for type, _ in await told(ann)] == ["task.mentioned"]


async def test_nobody_is_told_of_what_they_may_not_see(site: Site) -> None:
    """A watcher who was put out of a private project, and somebody who is named but is not in it."""
    project = await site.project(isPrivate=True)
    inside, outside = await site.person(Role.MEMBER, name="Ina"), await site.person(Role.MEMBER, name="Otto")
    await site.put(project, inside, "MEMBER")
    task = await a_task(site.owner, project, assigneeIds=[str(inside.id)])
    assert len(await told(inside)) == 1
    answer = await site.owner.client.delete(f"/api/projects/{project['id']}/members/{inside.id}")
    assert answer.status_code in (200, 204), answer.text
    await comment(site.owner, task, f"@[Otto](user:{outside.id}) @[Ina](user:{inside.id})")
    await send(site.owner, "PATCH", path(task), 200, {"status": "DONE"})
    assert await told(outside) == []
    assert await told(inside) == [], "nor of what they were told while they were in"
    async with site.platform.database.reading() as session:
        count = await session.scalar(
            text("SELECT count(*) FROM notifications WHERE user_id = ANY(:ids) AND category = 'TASKS'"),
            {"ids": [inside.id, outside.id]},
        )
    assert count == 1


async def test_two_hundred_watch_and_the_next_is_told_once(site: Site) -> None:
    """The others are written past the API."""
    ann, _, task = await of_member(site)
    bob = await site.person(Role.MEMBER, name="Bob")
    async with site.platform.database.transaction() as session:
        await session.execute(
            text(
                "WITH made AS (INSERT INTO users (id, email, name, locale, time_zone, created_at, updated_at)"
                " SELECT gen_random_uuid(), gen_random_uuid() || '@x', 'x', locale, time_zone, created_at, created_at"
                " FROM users, generate_series(1, 199) WHERE id = :id RETURNING id)"
                " INSERT INTO task_watchers (task_id, user_id, workspace_id) SELECT :task, id, :workspace FROM made"
            ),
            {"id": ann.id, "task": UUID(task["id"]), "workspace": UUID(site.id)},
        )
    await comment(ann, task, f"@[Bob](user:{bob.id})")
    assert "Bob" not in await watchers(ann, task)
    assert len(await watchers(ann, task)) == 2, "all strangers have one name"
    assert [type for type, _ in await told(bob)] == ["task.mentioned"]


async def test_whoever_switched_it_off_is_not_shown_it(site: Site) -> None:
    ann, _, task = await of_member(site)
    choice = {"category": "TASKS", "inApp": False, "mail": False}
    await send(ann, "PUT", "/api/notifications/preferences", 200, {"categories": [choice]})
    await comment(site.owner, task, "Hello")
    assert await told(ann) == []


async def test_the_mail_of_a_hostile_comment_is_text(site: Site) -> None:
    """What is mailed is what stands in the notification: one row, its words as they were written."""
    ann, _, task = await of_member(site)
    await comment(site.owner, task, "<script>alert(1)</script>\u202e & <b>")
    async with site.platform.database.reading() as session:
        body = await session.scalar(
            text("SELECT body FROM notifications WHERE user_id = :id"), {"id": UUID(str(ann.id))}
        )
    assert body == "<script>alert(1)</script>\u202e & <b>"


async def test_changes_are_told_to_those_who_see_the_task(site: Site) -> None:
    """Comments, things on checklists, dependencies, time: each in the feed, with the project's sight."""
    project = await site.project(isPrivate=True)
    outside = await site.person(Role.MEMBER)
    task, other = await a_task(site.owner, project), await a_task(site.owner, project)
    feeds = {}
    for who in (site.owner, outside):
        found = await send(who, "GET", "/api/changes", 200, params={"workspaceId": site.id})
        while found["hasMore"]:
            query = {"workspaceId": site.id, "cursor": found["nextCursor"]}
            found = await send(who, "GET", "/api/changes", 200, params=query)
        feeds[who.id] = found["nextCursor"]
    made = await comment(site.owner, task, "Hello")
    await send(site.owner, "PUT", path(task, f"/comments/{made['id']}/reactions/%F0%9F%91%8D"), 200)
    await send(site.owner, "POST", path(task, "/checklist"), 201, {"content": "One"})
    await send(site.owner, "POST", path(task, "/dependencies"), 201, {"otherTaskId": other["id"], "kind": "BLOCKS"})
    await send(site.owner, "POST", path(task, "/time-entries"), 201, {"workedOn": "2026-03-02", "minutes": 5})
    await send(site.owner, "DELETE", path(task, f"/comments/{made['id']}"), 204)
    seen = {}
    for who in (site.owner, outside):
        query = {"workspaceId": site.id, "cursor": feeds[who.id]}
        found = await send(who, "GET", "/api/changes", 200, params=query)
        seen[who.id] = [(one["entity"], one["action"], one["version"]) for one in found["changes"]]
    assert seen[site.owner.id] == [
        ("task_comment", "created", 1),
        ("task_comment", "reacted", 2),
        ("checklist_item", "created", 1),
        ("task_dependency", "created", 1),
        ("time_entry", "created", 1),
        ("task_comment", "deleted", 3),
    ]
    assert seen[outside.id] == []


async def test_a_comment_is_found_while_it_is_there(site: Site) -> None:
    ann, _, task = await of_member(site)
    made = await comment(ann, task, "The zanzibar leak")

    async def found() -> list[str]:
        answer = await send(ann, "GET", "/api/search", 200, params={"q": "zanzibar", "workspaceId": site.id})
        return [one["id"] for one in answer["results"]]

    assert await found() == [made["id"]]
    await send(ann, "PATCH", path(task, f"/comments/{made['id']}"), 200, {"body": "The other leak"})
    assert await found() == []
    await send(ann, "PATCH", path(task, f"/comments/{made['id']}"), 200, {"body": "zanzibar again"})
    assert await found() == [made["id"]]
    await send(ann, "DELETE", path(task, f"/comments/{made['id']}"), 204)
    assert await found() == []
