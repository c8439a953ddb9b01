"""What a project's tasks may be: statuses, labels, fields."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.projects import contents, labels
from pm_api.domains.projects.contents import Content
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.projects.sites import Site, path_of, refusal
from tests.domains.projects.test_steps import go


async def keys_of(person: Person, project: dict[str, Any]) -> list[str]:
    answer = await person.client.get(path_of(project, "/statuses"))
    return [one["key"] for one in answer.json()["statuses"]]


async def status_of(person: Person, project: dict[str, Any], key: str) -> dict[str, Any]:
    answer = await person.client.get(path_of(project, "/statuses"))
    [found] = [one for one in answer.json()["statuses"] if one["key"] == key]
    status: dict[str, Any] = found
    return status


async def add(person: Person, project: dict[str, Any], of: str, **body: Any) -> dict[str, Any]:
    """One more status, label or field, read again where the answer says it stands."""
    answer = await person.client.post(path_of(project, f"/{of}"), json=body)
    assert answer.status_code == 201, answer.text
    again = await person.client.get(answer.headers["location"])
    assert (again.status_code, again.json(), again.headers["etag"]) == (200, answer.json(), '"1"')
    [made] = answer.json().values()
    found: dict[str, Any] = made
    return found


# --- statuses --------------------------------------------------------------------------------------------------


async def test_a_workflow_of_their_own(site: Site) -> None:
    made, client = await site.project(), site.owner.client
    blocked = await add(site.owner, made, "statuses", name="Blocked!", category="IN_PROGRESS", color="#aa0000")
    assert (blocked["key"], blocked["position"], blocked["color"]) == ("BLOCKED", 5, "#aa0000")
    other = await add(site.owner, made, "statuses", name="blocked", category="TODO")
    assert other["key"] == "BLOCKED_2"
    taken = await client.post(path_of(made, "/statuses"), json={"name": "B", "key": "BLOCKED", "category": "TODO"})
    assert refusal(taken) == (409, "status_key_taken")
    order = ["BLOCKED", "DONE", "TODO", "IN_PROGRESS", "IN_REVIEW", "BLOCKED_2", "CANCELED"]
    answer = await client.put(path_of(made, "/statuses"), json={"keys": order})
    assert answer.status_code == 200, answer.text
    assert [one["key"] for one in answer.json()["statuses"]] == order == await keys_of(site.owner, made)
    for wrong in (order[1:], [*order, "DONE"], [*order[1:], "DONE"], [*order[1:], "NONE"]):
        assert refusal(await client.put(path_of(made, "/statuses"), json={"keys": wrong})) == (
            422,
            "invalid_status_order",
        )
    path = path_of(made, f"/statuses/{blocked['id']}")
    stale = await client.patch(path, json={"name": "Waiting"}, headers={"If-Match": '"1"'})
    assert refusal(stale) == (412, "precondition_failed")
    changed = await client.patch(path, json={"name": "Waiting", "category": "CANCELED"})
    status = changed.json()["status"]
    assert (status["name"], status["key"], status["category"]) == ("Waiting", "BLOCKED", "CANCELED")
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_a_workflow_keeps_a_beginning_and_an_end(site: Site) -> None:
    made, client = await site.project(), site.owner.client
    for key in ("TODO", "DONE"):
        path = path_of(made, f"/statuses/{(await status_of(site.owner, made, key))['id']}")
        assert refusal(await client.delete(path)) == (409, "last_status_of_its_kind")
        assert refusal(await client.patch(path, json={"category": "CANCELED"})) == (409, "last_status_of_its_kind")
    await add(site.owner, made, "statuses", name="Shipped", category="DONE")
    path = path_of(made, f"/statuses/{(await status_of(site.owner, made, 'DONE'))['id']}")
    assert (await client.delete(path)).status_code == 204


async def test_two_do_not_take_both_ends_away_at_once(site: Site) -> None:
    made = await site.project()
    await add(site.owner, made, "statuses", name="Shipped", category="DONE")
    paths = [
        path_of(made, f"/statuses/{(await status_of(site.owner, made, key))['id']}") for key in ("DONE", "SHIPPED")
    ]
    answers = await asyncio.gather(*(site.owner.client.delete(path) for path in paths))
    assert sorted(one.status_code for one in answers) == [204, 409]


async def test_a_status_with_tasks_needs_a_place_for_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made, client = await site.project(), site.owner.client
    standing = {"IN_REVIEW": 3, "TODO": 1}

    async def count_in(_session: AsyncSession, project_id: UUID, key: str) -> int:
        return standing.get(key, 0) if project_id == UUID(made["id"]) else 0

    async def move_out(
        _session: AsyncSession, _platform: Platform, _scope: WorkspaceScope, _project: UUID, leaves: str, to: str
    ) -> int:
        standing[to] = standing.get(to, 0) + standing.pop(leaves)
        return standing[to]

    monkeypatch.setitem(contents._KINDS, "test", Content("test", count_in=count_in, move_out=move_out))
    path = path_of(made, f"/statuses/{(await status_of(site.owner, made, 'IN_REVIEW'))['id']}")
    assert refusal(await client.patch(path, json={"category": "TODO"})) == (409, "status_in_use")
    assert refusal(await client.delete(path)) == (409, "status_in_use")
    for wrong in ("IN_REVIEW", "NONE", "done"):
        assert refusal(await client.delete(path, params={"moveTo": wrong})) == (422, "validation_failed")
    assert (await client.delete(path, params={"moveTo": "TODO"})).status_code == 204
    assert standing == {"TODO": 4}


async def test_there_are_bounds(site: Site) -> None:
    made, client = await site.project(), site.owner.client
    for number in range(45):
        await add(site.owner, made, "statuses", name=f"Step {number}", category="IN_PROGRESS")
    more = await client.post(path_of(made, "/statuses"), json={"name": "More", "category": "TODO"})
    assert refusal(more) == (409, "too_many_statuses")
    for number in range(50):
        await add(site.owner, made, "fields", name=f"Field {number}", kind="TEXT")
    more = await client.post(path_of(made, "/fields"), json={"name": "More", "kind": "TEXT"})
    assert refusal(more) == (409, "too_many_fields")


# --- labels ----------------------------------------------------------------------------------------------------


async def test_labels(site: Site) -> None:
    made, client = await site.project(), site.owner.client
    member, viewer = await site.person(Role.MEMBER), await site.person(Role.VIEWER)
    bug = await add(member, made, "labels", name="Bug", color="#ef4444")
    await add(member, made, "labels", name="apple")
    await add(member, made, "labels", name="Zebra")
    for name in ("BUG", " bug "):
        again = await member.client.post(path_of(made, "/labels"), json={"name": name})
        assert refusal(again) == (409, "label_exists")
    forbidden = await viewer.client.post(path_of(made, "/labels"), json={"name": "Mine"})
    assert refusal(forbidden) == (403, "forbidden")
    path = path_of(made, f"/labels/{bug['id']}")
    assert refusal(await member.client.patch(path, json={"name": "Fault"})) == (403, "forbidden")
    assert refusal(await client.patch(path, json={"name": "ZEBRA"})) == (409, "label_exists")
    assert (await client.patch(path, json={"name": "BUG"})).json()["label"]["name"] == "BUG"
    stale = await client.delete(path, headers={"If-Match": '"1"'})
    assert refusal(stale) == (412, "precondition_failed")
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await viewer.client.get(path_of(made, "/labels"), params={"limit": 1, **cursor})
        names += [one["name"] for one in answer.json()["labels"]]
        if answer.json()["nextCursor"] is None:
            break
        cursor = {"cursor": answer.json()["nextCursor"]}
    assert names == ["apple", "BUG", "Zebra"]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_of_many_labels_of_one_name_at_once_there_is_one(site: Site) -> None:
    made = await site.project()
    spellings = ["Bug", "bug", "BUG", "bUg"] * 3
    answers = await asyncio.gather(
        *(site.owner.client.post(path_of(made, "/labels"), json={"name": name}) for name in spellings)
    )
    assert sorted(one.status_code for one in answers) == [201] + [409] * 11


async def test_labels_that_an_import_names_are_made_once(site: Site, platform: Platform) -> None:
    made = await site.project()
    bug = await add(site.owner, made, "labels", name="Bug")
    async with platform.database.transaction() as session:
        from_guard = WorkspaceScope(Actor(ActorKind.USER, site.owner.id), UUID(site.id), site.owner.id, "OWNER")
        found = await labels.ensure(session, platform, from_guard, UUID(made["id"]), ["bug", "New", "NEW", "Bug"])
    assert set(found) == {"bug", "New", "NEW", "Bug"}
    assert {str(found["bug"].id), str(found["Bug"].id)} == {bug["id"]}
    assert found["New"].id == found["NEW"].id
    shown = (await site.owner.client.get(path_of(made, "/labels"))).json()["labels"]
    assert [one["name"] for one in shown] == ["Bug", "New"]


# --- fields ----------------------------------------------------------------------------------------------------


async def test_fields(site: Site) -> None:
    made, client = await site.project(), site.owner.client
    size = await add(site.owner, made, "fields", name="T-shirt size", kind="SELECT", options=["S", "M"])
    assert (size["key"], size["options"], size["position"]) == ("T_SHIRT_SIZE", ["S", "M"], 0)
    for kind in ("TEXT", "NUMBER", "DATE", "USER"):
        await add(site.owner, made, "fields", name=kind.title(), kind=kind)
    taken = await client.post(path_of(made, "/fields"), json={"name": "X", "key": "TEXT", "kind": "TEXT"})
    assert refusal(taken) == (409, "field_key_taken")
    for body in (
        {"name": "X", "kind": "SELECT"},
        {"name": "X", "kind": "TEXT", "options": ["S"]},
        {"name": "X", "kind": "SELECT", "options": ["S", "s"]},
        {"name": "X", "kind": "COLOUR"},
        {"name": "X", "key": "lower", "kind": "TEXT"},
    ):
        assert refusal(await client.post(path_of(made, "/fields"), json=body)) == (422, "validation_failed")
    path = path_of(made, f"/fields/{size['id']}")
    assert refusal(await client.patch(path, json={"options": []})) == (422, "validation_failed")
    assert refusal(await client.patch(path, json={"kind": "TEXT"})) == (422, "validation_failed")
    changed = await client.patch(path, json={"options": ["S", "M", "L"], "name": "Size"})
    assert (changed.json()["field"]["options"], changed.json()["field"]["version"]) == (["S", "M", "L"], 2)
    assert refusal(await client.delete(path, headers={"If-Match": '"1"'})) == (412, "precondition_failed")
    assert (await client.delete(path)).status_code == 204
    shown = (await client.get(path_of(made, "/fields"))).json()["fields"]
    assert [one["key"] for one in shown] == ["TEXT", "NUMBER", "DATE", "USER"]


async def test_who_manages_the_workflow(site: Site) -> None:
    made = await site.project()
    member = await site.person(Role.MEMBER)
    forbidden = [
        await member.client.post(path_of(made, "/statuses"), json={"name": "X", "category": "TODO"}),
        await member.client.put(path_of(made, "/statuses"), json={"keys": ["TODO"]}),
        await member.client.post(path_of(made, "/fields"), json={"name": "X", "kind": "TEXT"}),
    ]
    assert [refusal(one) for one in forbidden] == [(403, "forbidden")] * 3


async def test_what_is_another_projects_is_not_found_here(site: Site) -> None:
    mine, other = await site.project(), await site.project(name="Other")
    made = {
        "statuses": await add(site.owner, other, "statuses", name="X", category="TODO"),
        "labels": await add(site.owner, other, "labels", name="X"),
        "fields": await add(site.owner, other, "fields", name="X", kind="TEXT"),
    }
    for kind, one in made.items():
        for row_id in (one["id"], uuid4()):
            path = path_of(mine, f"/{kind}/{row_id}")
            for method in ("GET", "PATCH", "DELETE"):
                answer = await site.owner.client.request(method, path, json={} if method == "PATCH" else None)
                assert refusal(answer) == (404, "not_found"), (kind, method)


# --- copies ----------------------------------------------------------------------------------------------------


async def test_a_copy_has_the_workflow_and_a_life_of_its_own(site: Site) -> None:
    pattern = await site.project(name="Pattern", isTemplate=True, isPrivate=True, description="How we do it")
    await add(site.owner, pattern, "statuses", name="Blocked", category="IN_PROGRESS")
    await add(site.owner, pattern, "labels", name="Bug", color="#ef4444")
    await add(site.owner, pattern, "fields", name="Size", kind="SELECT", options=["S"])
    member = await site.person(Role.MEMBER)
    await site.put(pattern, member, "VIEWER")
    await go(site, pattern, "archive")
    answer = await member.client.post(path_of(pattern, "/copy"), json={"name": "First of many", "includeTasks": True})
    assert answer.status_code == 201, answer.text
    copy = answer.json()["project"]
    assert (copy["key"], copy["status"], copy["isTemplate"], copy["isPrivate"]) == ("FOM", "PLANNED", False, True)
    assert (copy["role"], copy["memberCount"], copy["description"]) == ("ADMIN", 1, "How we do it")
    assert answer.headers["location"] == path_of(copy)
    assert (await keys_of(member, copy))[-1] == "BLOCKED"
    for kind, one in (("labels", "color"), ("fields", "options")):
        ours = (await member.client.get(path_of(copy, f"/{kind}"))).json()[kind]
        theirs = (await member.client.get(path_of(pattern, f"/{kind}"))).json()[kind]
        assert [(row["name"], row[one]) for row in ours] == [(row["name"], row[one]) for row in theirs]
        assert {row["id"] for row in ours}.isdisjoint({row["id"] for row in theirs})
    assert (await site.owner.client.get(path_of(copy))).status_code == 404
    opened = await member.client.post(path_of(pattern, "/copy"), json={"name": "Open", "isPrivate": False})
    assert (await site.owner.client.get(path_of(opened.json()["project"]))).status_code == 200
    taken = await member.client.post(path_of(pattern, "/copy"), json={"name": "Again", "key": "FOM"})
    assert refusal(taken) == (409, "project_key_taken")
