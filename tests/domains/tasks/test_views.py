"""Saved views: one's own and shared ones, of a workspace or a project, and seen by those alone who see that."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.tasks import views
from pm_api.domains.tasks.errors.views import SavedViewNotFound
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.domains.tasks.sites import Json, Site, refusal

QUERY: Json = {"filter": "assignee = me", "sort": "due", "columns": ["title", "due"]}


async def save(site: Site, by: Person | None = None, **fields: Any) -> httpx.Response:
    place = {} if "projectId" in fields else {"workspaceId": site.id}
    body = {"name": "Mine", "query": QUERY, **place, **fields}
    return await (by or site.owner).client.post("/api/saved-views", json=body)


async def saved(site: Site, by: Person | None = None, **fields: Any) -> Json:
    answer = await save(site, by, **fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/saved-views/{answer.json()['savedView']['id']}"
    found: Json = answer.json()["savedView"]
    return found


async def names(person: Person, **query: Any) -> list[str]:
    found: list[str] = []
    cursor: Json = {}
    while True:
        answer = await person.client.get("/api/saved-views", params={"limit": 2, **query, **cursor})
        assert answer.status_code == 200, answer.text
        found += [one["name"] for one in answer.json()["savedViews"]]
        if answer.json()["nextCursor"] is None:
            return found
        cursor = {"cursor": answer.json()["nextCursor"]}


async def test_a_life(site: Site) -> None:
    made = await saved(site)
    path = f"/api/saved-views/{made['id']}"
    assert made["query"] == {**QUERY, "order": None, "groupBy": None}
    assert made["isOwn"]
    got = await site.owner.client.get(path)
    assert got.json()["savedView"] == made
    assert got.headers["ETag"] == '"1"'
    form = {"and": [{"field": "priority", "op": ">=", "value": "HIGH"}, {"not": {"field": "due", "op": "is null"}}]}
    change = {"name": "Urgent", "query": {"filter": form}}
    changed = await site.owner.client.patch(path, json=change, headers={"If-Match": '"1"'})
    assert changed.json()["savedView"]["query"]["filter"] == form
    assert changed.json()["savedView"]["version"] == 2
    assert (await site.owner.client.patch(path, json={"name": "Urgent"})).json()["savedView"]["version"] == 2
    assert refusal(await site.owner.client.patch(path, json={"name": "x"}, headers={"If-Match": '"1"'}))[0] == 412
    assert (await site.owner.client.delete(path)).status_code == 204
    assert (await site.owner.client.get(path)).status_code == 404


async def test_who_sees_which(site: Site) -> None:
    ann, guest = await site.person(Role.MEMBER), await site.person(Role.GUEST)
    project, private = await site.project(), await site.project(isPrivate=True)
    await site.put(project, guest, "VIEWER")
    await saved(site, name="own")
    await saved(site, name="shared", isShared=True)
    await saved(site, name="of project", isShared=True, projectId=project["id"])
    await saved(site, name="of private", isShared=True, projectId=private["id"])
    await saved(site, by=guest, name="guest's own")
    assert await names(site.owner, workspaceId=site.id) == ["own", "shared", "of project", "of private"]
    assert await names(ann, workspaceId=site.id) == ["shared", "of project"]
    assert await names(guest, workspaceId=site.id) == ["of project", "guest's own"]
    assert await names(ann, projectId=project["id"]) == ["of project"]
    await site.delete_project(project)
    assert await names(ann, workspaceId=site.id) == ["shared"]


async def test_a_private_projects_view_is_not_there_for_others(site: Site) -> None:
    ann = await site.person(Role.ADMIN)
    private = await site.project(isPrivate=True)
    hidden = await saved(site, isShared=True, projectId=private["id"])
    own = await saved(site)
    for view in (hidden, own):
        path = f"/api/saved-views/{view['id']}"
        assert (await ann.client.get(path)).status_code == 404
        assert (await ann.client.patch(path, json={"name": "x"})).status_code == 404
        assert (await ann.client.delete(path)).status_code == 404


async def test_somebody_elses_shared_view_is_changed_by_administrators_alone(site: Site) -> None:
    ann, admin = await site.person(Role.MEMBER), await site.person(Role.ADMIN)
    viewer = await site.person(Role.VIEWER)
    made = await saved(site, by=ann, isShared=True)
    path = f"/api/saved-views/{made['id']}"
    bob = await site.person(Role.MEMBER)
    assert (await bob.client.get(path)).json()["savedView"]["isOwn"] is False
    assert refusal(await bob.client.patch(path, json={"name": "x"}))[0] == 403
    assert refusal(await bob.client.delete(path))[0] == 403
    assert (await admin.client.patch(path, json={"name": "x"})).status_code == 200
    assert refusal(await save(site, by=viewer, isShared=True))[0] == 403
    assert (await save(site, by=viewer)).status_code == 201


async def test_there_is_a_bound_that_two_at_once_do_not_pass(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST", 3)
    answers = await asyncio.gather(*(save(site, name=str(number)) for number in range(6)))
    assert sorted(one.status_code for one in answers) == [201] * 3 + [409] * 3
    assert refusal(await save(site)) == (409, "too_many_saved_views")


async def test_what_a_view_shows_is_asked_by_lists(site: Site, platform: Platform) -> None:
    made = await saved(site)
    ann = await site.person(Role.MEMBER)
    async with platform.database.reading() as session:
        for person, sees in ((site.owner, True), (ann, False)):
            scope = WorkspaceScope(Actor(ActorKind.USER, person.id), UUID(site.id), person.id, "MEMBER")
            if sees:
                found = await views.query_of(session, scope, UUID(made["id"]))
                assert found.filter == QUERY["filter"]
            else:
                with pytest.raises(SavedViewNotFound):
                    await views.query_of(session, scope, UUID(made["id"]))


async def test_refusals_of_the_routes(site: Site, client: httpx.AsyncClient, new_person: Any) -> None:
    stranger = await new_person()
    made = await saved(site, isShared=True)
    path = f"/api/saved-views/{made['id']}"
    for method in ("GET", "PATCH", "DELETE"):
        body = {"name": "x"} if method == "PATCH" else None
        assert (await client.request(method, path, json=body)).status_code == 401
        assert (await stranger.client.request(method, path, json=body)).status_code == 404
    query = {"workspaceId": site.id}
    assert (await client.get("/api/saved-views", params=query)).status_code == 401
    assert (await stranger.client.get("/api/saved-views", params=query)).status_code == 404
    assert (await site.owner.client.get("/api/saved-views")).status_code == 422
    assert (await client.post("/api/saved-views", json={"workspaceId": site.id})).status_code == 401
    assert (await save(site, by=stranger)).status_code == 404
    assert (await save(site, projectId=str(uuid4()))).status_code == 404
    for wrong in ({"name": " "}, {"isShared": "yes"}, {"query": {"sort": "x"}}, {"query": None}, {"nonsense": 1}):
        assert (await save(site, **wrong)).status_code == 422, wrong
    unreadable: tuple[Any, ...] = ("due <", {"and": []}, {"field": "due"})
    for unread in unreadable:
        assert refusal(await save(site, query={"filter": unread})) == (422, "invalid_filter")
    assert (await site.owner.client.patch(path, json={"name": None})).status_code == 422
