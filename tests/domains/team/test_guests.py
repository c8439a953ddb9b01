"""Guests: invited into single projects, and into nothing else."""

from typing import Any
from uuid import uuid4

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.projects.sites import Site, listed, open_site, path_of, read, refusal
from tests.domains.team.inviting import link, path_of_member, roles_of, token_of


@pytest.fixture
async def site(platform: Platform, new_person: NewPerson) -> Site:
    return await open_site(platform, new_person)


async def ask(site: Site, email: str, by: Person | None = None, **fields: Any) -> Any:
    body = {"workspaceId": site.id, "emails": [email], "role": "GUEST", **fields}
    return await (by or site.owner).client.post("/api/team/invite", json=body)


async def invited(site: Site, email: str, **fields: Any) -> dict[str, Any]:
    answer = await ask(site, email, **fields)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["results"][0]["invitation"]
    return made


async def accept(site: Site, guest: Person, invitation: dict[str, Any]) -> Any:
    token = await token_of(site.platform, invitation["id"])
    return await guest.client.post(link(token, "/accept"))


async def test_a_guest_comes_into_the_projects_named(site: Site, new_person: NewPerson) -> None:
    web, secret, _other = [
        await site.project(name=name, isPrivate=name == "Secret") for name in ("Web", "Secret", "Other")
    ]
    guest = await new_person()
    made = await invited(site, guest.email, projects=[web["id"], secret["id"]])
    assert (made["projects"], made["projectRole"]) == ([web["id"], secret["id"]], "MEMBER")
    seen = await guest.client.get(link(await token_of(site.platform, made["id"])))
    assert seen.json()["invitation"]["projects"] == ["Secret", "Web"]
    assert (await accept(site, guest, made)).json()["role"] == "GUEST"
    assert await listed(guest) == await listed(guest, workspaceId=site.id) == ["Secret", "Web"]
    assert (await read(guest, web))["role"] == "MEMBER"
    assert (await roles_of(site.owner, site.id))[guest.email] == "GUEST"
    assert (await accept(site, guest, made)).status_code == 200  # a second time it is the same


async def test_guests_see_nothing_else_of_the_workspace(site: Site) -> None:
    web = await site.project(name="Web")
    guest = await site.person(Role.GUEST)
    await site.put(web, guest, "MEMBER")
    query = {"workspaceId": site.id}
    for path in ("/api/team/members", "/api/team/invitations", "/api/credits/pool", "/api/billing/usage"):
        answer = await guest.client.get(path, params=query)
        assert refusal(answer) == (403, "forbidden"), path
    assert (await guest.client.get(f"/api/workspaces/{site.id}")).json()["workspace"]["role"] == "GUEST"
    body = {"workspaceId": site.id, "name": "Mine"}
    assert refusal(await guest.client.post("/api/projects", json=body)) == (403, "forbidden")
    assert (await guest.client.get(path_of(web, "/members"))).status_code == 200
    for action, allowed in (("task.write", True), ("project.read", True), ("project.manage", False)):
        query = {"resource": f"project:{web['id']}", "action": action}
        told = (await guest.client.get("/api/permissions/explain", params=query)).json()["permission"]
        assert (told["allowed"], told["role"]) == (allowed, "MEMBER")
    query = {"resource": f"workspace:{site.id}", "action": "task.write"}
    told = (await guest.client.get("/api/permissions/explain", params=query)).json()["permission"]
    assert (told["allowed"], told["role"], told["wouldGrant"]) == (False, "GUEST", "MEMBER")


async def test_a_guest_needs_a_project_that_the_inviter_manages(site: Site, new_person: NewPerson) -> None:
    web = await site.project(name="Web")
    admin, member = await site.person(Role.ADMIN), await site.person(Role.MEMBER)
    secret = await site.project(member, name="Secret", isPrivate=True)
    gone = await site.project(name="Gone")
    await site.owner.client.delete(path_of(gone))
    elsewhere = await open_site(site.platform, new_person)
    foreign = await elsewhere.project(name="Foreign")
    address = f"{uuid4().hex}@example.com"
    assert refusal(await ask(site, address)) == (422, "guest_needs_project")
    for wrong in (secret["id"], gone["id"], foreign["id"], str(uuid4())):
        answer = await ask(site, address, by=admin, projects=[web["id"], wrong])
        assert refusal(answer) == (422, "projects_not_yours")
        assert [one["pointer"] for one in answer.json()["details"]] == ["/projects/1"]
    assert refusal(await ask(site, address, projects=["x"])) == (422, "validation_failed")
    assert refusal(await ask(site, address, projects=[web["id"]], projectRole="OWNER")) == (422, "validation_failed")
    made = await invited(site, address, projects=[web["id"], web["id"]], projectRole="VIEWER")
    assert (made["projects"], made["projectRole"]) == ([web["id"]], "VIEWER")


async def test_members_may_be_put_into_projects_too(site: Site, new_person: NewPerson) -> None:
    secret = await site.project(name="Secret", isPrivate=True)
    for role, expected in (("VIEWER", "VIEWER"), ("MEMBER", "MEMBER")):
        person = await new_person()
        made = await invited(site, person.email, role=role, projects=[secret["id"]])
        assert made["projectRole"] == expected
        assert (await accept(site, person, made)).status_code == 200
        assert (await read(person, secret))["role"] == expected


async def test_it_is_looked_at_again_when_it_is_accepted(site: Site, new_person: NewPerson) -> None:
    """What was deleted, or what the inviter manages no more, is not entered by an old invitation."""
    admin = await site.person(Role.ADMIN)
    kept, gone = await site.project(name="Kept"), await site.project(name="Gone")
    secret = await site.project(admin, name="Secret", isPrivate=True)
    await site.put(secret, site.owner, "ADMIN", by=admin)
    guest, late = await new_person(), await new_person()
    ids = [kept["id"], gone["id"], secret["id"]]
    made = (await ask(site, guest.email, by=admin, projects=ids)).json()["results"][0]["invitation"]
    only = (await ask(site, late.email, by=admin, projects=[secret["id"]])).json()["results"][0]["invitation"]
    await site.owner.client.delete(path_of(gone))
    await admin.client.delete(path_of(secret, f"/members/{admin.id}"))
    assert (await accept(site, guest, made)).status_code == 200
    assert await listed(guest) == ["Kept"]
    assert refusal(await accept(site, late, only)) == (410, "invitation_projects_gone")
    assert late.email not in await roles_of(site.owner, site.id)


async def test_an_invitation_changes_with_its_role_and_projects(site: Site) -> None:
    web, other = await site.project(name="Web"), await site.project(name="Other")
    made = await invited(site, f"{uuid4().hex}@example.com", role="MEMBER")
    assert (made["projects"], made["projectRole"]) == ([], None)
    path = f"/api/team/invitations/{made['id']}"
    client = site.owner.client
    assert refusal(await client.patch(path, json={"role": "GUEST"})) == (422, "guest_needs_project")
    both = await client.patch(path, json={"role": "GUEST", "projects": [web["id"]]})
    found = both.json()["invitation"]
    assert (found["role"], found["projects"], found["projectRole"]) == ("GUEST", [web["id"]], "MEMBER")
    more = await client.patch(path, json={"projects": [web["id"], other["id"]], "projectRole": "VIEWER"})
    found = more.json()["invitation"]
    assert (found["projects"], found["projectRole"]) == ([web["id"], other["id"]], "VIEWER")
    assert refusal(await client.patch(path, json={"projects": []})) == (422, "guest_needs_project")
    assert refusal(await client.patch(path, json={"projects": None})) == (422, "validation_failed")


async def test_a_guest_becomes_a_member_and_back(site: Site) -> None:
    """Over the same routes as everybody, alone and in bulk; what they were put into stays."""
    web, _open = await site.project(name="Web"), await site.project(name="Open")
    guest = await site.person(Role.GUEST)
    await site.put(web, guest, "VIEWER")
    path = await path_of_member(site.owner, site.id, guest)
    assert (await site.owner.client.put(path, json={"role": "MEMBER"})).status_code == 200
    assert await listed(guest) == ["Open", "Web"]
    assert (await read(guest, web))["role"] == "VIEWER"
    body = {
        "workspaceId": site.id,
        "memberIds": [path.rsplit("/", 1)[-1]],
        "action": "CHANGE_ROLE",
        "role": "GUEST",
    }
    assert (await site.owner.client.post("/api/team/bulk", json=body)).json()["done"] is True
    assert await listed(guest) == ["Web"]


async def test_a_guest_takes_a_seat_and_leaves(site: Site) -> None:
    web = await site.project(name="Web", isPrivate=True)
    guest = await site.person(Role.GUEST)
    await site.put(web, guest, "ADMIN")
    path = await path_of_member(site.owner, site.id, guest)
    assert (await guest.client.delete(path)).status_code == 200
    assert (await guest.client.get(path_of(web))).status_code == 404
    assert (await read(site.owner, web))["memberCount"] == 1
