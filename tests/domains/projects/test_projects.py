"""Projects: made, read, listed, changed, and by whom."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pm_api.domains.projects import rules
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.projects.sites import Site, listed, path_of, read, refusal
from tests.identity.teams import make_workspace

WORKFLOW = ["TODO", "IN_PROGRESS", "IN_REVIEW", "DONE", "CANCELED"]

# --- making ----------------------------------------------------------------------------------------------------


async def test_whoever_makes_it_is_its_admin(site: Site) -> None:
    ann = await site.person(Role.MEMBER, name="Ann Archer")
    body = {
        "workspaceId": site.id,
        "name": "  Website relaunch ",
        "description": "All **new**.",
        "color": "#112233",
        "icon": "🚀",
        "startsOn": "2026-03-02",
        "dueOn": "2026-05-29",
    }
    answer = await ann.client.post("/api/projects", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["project"]
    assert answer.headers["location"] == path_of(made)
    assert (made["name"], made["key"], made["status"]) == ("Website relaunch", "WR", "PLANNED")
    assert (made["description"], made["color"], made["icon"]) == ("All **new**.", "#112233", "🚀")
    assert (made["startsOn"], made["dueOn"]) == ("2026-03-02", "2026-05-29")
    assert made["progress"] == {"total": 0, "done": 0, "percent": 0}
    assert (made["role"], made["memberCount"], made["isPrivate"], made["isTemplate"]) == ("ADMIN", 1, False, False)
    assert made["createdBy"] == {"id": str(ann.id), "name": "Ann Archer", "avatar": None}
    assert made["allowedActions"] == [
        "update",
        "start",
        "complete",
        "archive",
        "delete",
        "manage_members",
        "create_task",
        "copy",
    ]
    again = await ann.client.get(answer.headers["location"])
    assert (again.status_code, again.json()) == (200, answer.json())
    assert again.headers["etag"] == answer.headers["etag"]
    statuses = (await ann.client.get(path_of(made, "/statuses"))).json()["statuses"]
    assert [one["key"] for one in statuses] == WORKFLOW
    assert [one["position"] for one in statuses] == [0, 1, 2, 3, 4]


async def test_the_same_key_and_body_make_one(site: Site) -> None:
    body = {"workspaceId": site.id, "name": "Once"}
    key = {"Idempotency-Key": uuid4().hex}
    first, second = [await site.owner.client.post("/api/projects", json=body, headers=key) for _ in range(2)]
    assert first.json() == second.json()
    assert await listed(site.owner, workspaceId=site.id) == ["Once"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Website", "WEB"),
        ("Website Relaunch 2027", "WR2"),
        ("Die große Übersicht aller Dinge", "DGUA"),
        ("3 apples", "APP"),
        ("Émile", "EMI"),
        ("X", "PRJ"),
        ("日本語", "PRJ"),
        ("123", "PRJ"),
        ("a b c d e f", "ABCD"),
    ],
)
def test_keys_are_made_from_names(name: str, key: str) -> None:
    assert rules.key_of(name) == key


def test_the_next_free_key_has_a_number() -> None:
    assert rules.free_key("WEB", {"WEB", "WEB2"}) == "WEB3"
    assert rules.free_key("ABCDEFGHIJ", {"ABCDEFGHIJ"}) == "ABCDEFGHI2"
    assert rules.word_key_of("In review!", {"IN_REVIEW"}) == "IN_REVIEW_2"
    assert rules.word_key_of("日本", set()) == "X"


async def test_a_key_is_its_projects_own_in_the_workspace(site: Site, new_person: NewPerson) -> None:
    first = await site.project(name="Web", key="WEB")
    taken = await site.owner.client.post(
        "/api/projects", json={"workspaceId": site.id, "name": "Other", "key": "WEB"}
    )
    assert refusal(taken) == (409, "project_key_taken")
    assert (await site.project(name="Webbing"))["key"] == "WEB2"
    other = await site.project(name="Other", key="OTH")
    change = await site.owner.client.patch(path_of(other), json={"key": "WEB"})
    assert refusal(change) == (409, "project_key_taken")
    renamed = await site.owner.client.patch(path_of(first), json={"key": "SITE"})
    assert renamed.json()["project"]["key"] == "SITE"
    assert (await site.owner.client.patch(path_of(other), json={"key": "WEB"})).status_code == 200
    elsewhere = await new_person()
    place = await make_workspace(elsewhere)
    made = await elsewhere.client.post("/api/projects", json={"workspaceId": place["id"], "name": "W", "key": "SITE"})
    assert made.status_code == 201


async def test_twenty_made_at_once_have_twenty_keys(site: Site) -> None:
    made = await asyncio.gather(*(site.project(name="Same name") for _ in range(20)))
    assert len({one["key"] for one in made}) == 20


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "  "}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "a\u0000b"}, "/name"),
        ({"key": "web"}, "/key"),
        ({"key": "W"}, "/key"),
        ({"key": "WEBWEBWEB11"}, "/key"),
        ({"color": "red"}, "/color"),
        ({"colour": "#112233"}, "/colour"),
        ({"isPrivate": "yes"}, "/isPrivate"),
        ({"startsOn": "2026-05-29", "dueOn": "2026-05-28"}, ""),
        ({"dueOn": "soon"}, "/dueOn"),
        ({"dueOn": 86_400}, "/dueOn"),
        ({"startsOn": "2026-03-02T00:00:00"}, "/startsOn"),
        ({"dueOn": "9999-12-31"}, "/dueOn"),
        ({"status": "ACTIVE"}, "/status"),
        ({"description": "x" * 20_001}, "/description"),
    ],
)
async def test_what_is_wrong_is_named(site: Site, fields: dict[str, Any], pointer: str) -> None:
    body = {"workspaceId": site.id, "name": "Web", **fields}
    answer = await site.owner.client.post("/api/projects", json=body)
    assert refusal(answer) == (422, "validation_failed")
    assert [one["pointer"] for one in answer.json()["details"]] == [pointer]


async def test_who_may_make_one(site: Site, new_person: NewPerson, client: httpx.AsyncClient) -> None:
    body = {"workspaceId": site.id, "name": "Web"}
    assert (await client.post("/api/projects", json=body)).status_code == 401
    assert (await (await new_person()).client.post("/api/projects", json=body)).status_code == 404
    for role in (Role.VIEWER, Role.GUEST):
        person = await site.person(role)
        assert refusal(await person.client.post("/api/projects", json=body)) == (403, "forbidden")
    assert (await (await site.person(Role.MEMBER)).client.post("/api/projects", json=body)).status_code == 201


async def test_hostile_text_is_kept_as_it_was_sent(site: Site) -> None:
    texts: dict[str, Any] = {
        "name": "<script>alert(1)</script>",
        "description": "=HYPERLINK(1) \u202e <b>",
        "icon": "'; DROP--",
    }
    made = await site.project(**texts)
    found = await read(site.owner, made)
    assert {name: found[name] for name in texts} == texts


# --- reading and listing ---------------------------------------------------------------------------------------


async def test_the_list_is_what_the_caller_sees(site: Site, new_person: NewPerson) -> None:
    ann, guest = await site.person(Role.MEMBER), await site.person(Role.GUEST)
    await site.project(name="Open")
    secret = await site.project(name="Secret", isPrivate=True)
    template = await site.project(name="Pattern", isTemplate=True)
    assert await listed(site.owner, workspaceId=site.id) == ["Pattern", "Secret", "Open"]
    assert await listed(ann, workspaceId=site.id) == ["Pattern", "Open"]
    assert await listed(guest, workspaceId=site.id) == []
    await site.put(secret, ann, "VIEWER")
    await site.put(template, guest, "VIEWER")
    assert await listed(ann, workspaceId=site.id) == ["Pattern", "Secret", "Open"]
    assert await listed(guest, workspaceId=site.id) == await listed(guest) == ["Pattern"]
    assert await listed(ann, workspaceId=site.id, template=False) == ["Secret", "Open"]
    assert await listed(ann, workspaceId=site.id, q="ret") == ["Secret"]
    assert await listed(ann, workspaceId=site.id, q="%") == []
    assert await listed(ann, workspaceId=site.id, q=template["key"].lower()) == ["Pattern"]
    stranger = await new_person()
    answer = await stranger.client.get("/api/projects", params={"workspaceId": site.id})
    assert refusal(answer) == (404, "workspace_not_found")
    assert await listed(stranger) == []


async def test_without_a_workspace_it_is_all_of_theirs(site: Site) -> None:
    await site.project(name="Here")
    other = await make_workspace(site.owner)
    body = {"workspaceId": other["id"], "name": "There"}
    assert (await site.owner.client.post("/api/projects", json=body)).status_code == 201
    assert await listed(site.owner) == ["There", "Here"]
    assert await listed(site.owner, workspaceId=other["id"]) == ["There"]
    assert (await site.owner.client.delete(f"/api/workspaces/{other['id']}")).status_code == 204
    assert await listed(site.owner) == ["Here"]


async def test_a_cursor_is_for_its_list_alone(site: Site) -> None:
    for name in ("A", "B"):
        await site.project(name=name)
    page = await site.owner.client.get("/api/projects", params={"workspaceId": site.id, "limit": 1})
    cursor = page.json()["nextCursor"]
    other = await site.owner.client.get("/api/projects", params={"limit": 1, "cursor": cursor})
    assert refusal(other) == (422, "invalid_cursor")


async def test_a_private_one_is_unknown_to_others(site: Site, new_person: NewPerson) -> None:
    """Also to the workspace's own administrators, in every route below it."""
    ann = await site.person(Role.MEMBER)
    secret = await site.project(ann, name="Secret", isPrivate=True)
    admin, stranger = await site.person(Role.ADMIN), await new_person()
    for person in (admin, site.owner, stranger):
        for rest in ("", "/members", "/statuses", "/labels", "/fields", f"/members/{ann.id}"):
            assert refusal(await person.client.get(path_of(secret, rest))) == (404, "not_found")
        for verb in ("start", "archive", "restore"):
            assert (await person.client.post(path_of(secret, f"/{verb}"))).status_code == 404
        assert (await person.client.patch(path_of(secret), json={"name": "Mine"})).status_code == 404
        assert (await person.client.delete(path_of(secret))).status_code == 404
        assert (await person.client.post(path_of(secret, "/copy"), json={"name": "Mine"})).status_code == 404
    for wrong in (uuid4(), "WEB", "0"):
        assert (await ann.client.get(f"/api/projects/{wrong}")).status_code == 404


async def test_who_has_no_token_gets_nowhere(site: Site, client: httpx.AsyncClient) -> None:
    made = await site.project()
    for method, rest in (
        ("GET", ""),
        ("PATCH", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/start"),
        ("GET", "/labels"),
    ):
        answer = await client.request(method, path_of(made, rest), json={} if method in ("PATCH", "PUT") else None)
        assert refusal(answer) == (401, "unauthorized"), (method, rest)


# --- changing --------------------------------------------------------------------------------------------------


async def test_only_what_is_sent_changes(site: Site) -> None:
    made = await site.project(description="Old", dueOn="2026-05-29")
    answer = await site.owner.client.patch(path_of(made), json={"name": "New", "dueOn": None})
    changed = answer.json()["project"]
    assert (changed["name"], changed["description"], changed["dueOn"]) == ("New", "Old", None)
    assert changed["version"] == 2
    same = await site.owner.client.put(path_of(made), json={"name": "New"})
    assert same.json()["project"]["version"] == 2
    stale = await site.owner.client.patch(path_of(made), json={"name": "Late"}, headers={"If-Match": '"1"'})
    assert refusal(stale) == (412, "precondition_failed")
    late = await site.owner.client.delete(path_of(made), headers={"If-Match": '"1"'})
    assert refusal(late) == (412, "precondition_failed")
    for body in ({"name": None}, {"status": "GONE"}, {"isTemplate": 1}, {"owner": "me"}):
        assert refusal(await site.owner.client.patch(path_of(made), json=body)) == (422, "validation_failed")
    early = await site.owner.client.patch(path_of(made), json={"startsOn": "2026-06-01", "dueOn": "2026-05-01"})
    assert refusal(early) == (422, "validation_failed")
    await site.owner.client.patch(path_of(made), json={"startsOn": "2026-06-01"})
    early = await site.owner.client.patch(path_of(made), json={"dueOn": "2026-05-01"})
    assert early.json()["details"][0]["pointer"] == "/dueOn"


async def test_a_tag_tells_what_is_shown_apart_and_what_is_changed(site: Site) -> None:
    """304 of the same sight alone: not of another reader's, and not once somebody came into the project."""
    made, member = await site.project(), await site.person(Role.MEMBER)

    async def tag(person: Person) -> str:
        return str((await person.client.get(path_of(made))).headers["etag"])

    first = await tag(site.owner)
    assert first != await tag(member)
    same = await site.owner.client.get(path_of(made), headers={"If-None-Match": first})
    assert (same.status_code, same.content) == (304, b"")
    await site.put(made, member, "VIEWER")
    again = await site.owner.client.get(path_of(made), headers={"If-None-Match": first})
    assert (again.status_code, again.json()["project"]["memberCount"]) == (200, 2)
    change = await site.owner.client.patch(path_of(made), json={"icon": "x"}, headers={"If-Match": first})
    assert change.status_code == 200, "nobody has changed the project itself"
    late = await site.owner.client.patch(path_of(made), json={"icon": "y"}, headers={"If-Match": first})
    assert refusal(late) == (412, "precondition_failed")


async def test_who_may_change_it(site: Site) -> None:
    """Workspace administrators where they see it, and whoever is ADMIN in it; the role there counts for others."""
    made = await site.project()
    member, viewer = await site.person(Role.MEMBER), await site.person(Role.VIEWER)
    admin, guest = await site.person(Role.ADMIN), await site.person(Role.GUEST)
    for person in (member, viewer):
        assert refusal(await person.client.patch(path_of(made), json={"name": "X"})) == (403, "forbidden")
        assert refusal(await person.client.post(path_of(made, "/start"))) == (403, "forbidden")
        assert refusal(await person.client.delete(path_of(made))) == (403, "forbidden")
    assert (await admin.client.patch(path_of(made), json={"name": "X"})).status_code == 200
    assert (await guest.client.patch(path_of(made), json={"name": "Y"})).status_code == 404
    for person in (viewer, guest):
        await site.put(made, person, "ADMIN")
        assert (await read(person, made))["role"] == "ADMIN"
        assert (await person.client.patch(path_of(made), json={"icon": str(person.id)[:8]})).status_code == 200
    await site.put(made, admin, "VIEWER")
    assert (await read(admin, made))["role"] == "ADMIN"
    await site.put(made, member, "VIEWER")
    found = await read(member, made)
    assert (found["role"], found["allowedActions"]) == ("VIEWER", ["copy"])
    guest_copy = await guest.client.post(path_of(made, "/copy"), json={"name": "Mine"})
    assert refusal(guest_copy) == (403, "forbidden")


async def test_a_change_that_meets_another_is_refused(site: Site) -> None:
    made = await site.project()
    change = [
        site.owner.client.patch(path_of(made), json={"name": f"Name {number}"}, headers={"If-Match": '"1"'})
        for number in range(10)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*change))
    assert statuses == [200] + [412] * 9
    assert (await read(site.owner, made))["version"] == 2
