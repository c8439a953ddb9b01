"""Who is in a project, and as what."""

import asyncio
from uuid import uuid4

import httpx
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.projects.sites import Site, listed, path_of, read, refusal
from tests.identity.teams import audit_of


async def test_put_into_it_and_out_again(site: Site, platform: Platform) -> None:
    made = await site.project(isPrivate=True)
    ann = await site.person(Role.MEMBER, name="Ann Archer")
    path = path_of(made, f"/members/{ann.id}")
    assert (await ann.client.get(path_of(made))).status_code == 404
    answer = await site.owner.client.put(path, json={"role": "VIEWER"})
    assert (answer.status_code, answer.headers["location"]) == (201, path)
    found = answer.json()["member"]
    assert (found["name"], found["role"], found["workspaceRole"], found["version"]) == (
        "Ann Archer",
        "VIEWER",
        "MEMBER",
        1,
    )
    assert (await read(ann, made))["role"] == "VIEWER"
    assert (await ann.client.get(path)).json() == answer.json()
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await ann.client.get(path, headers=known)).status_code == 304
    assert (await ann.client.put("/api/user/profile", json={"name": "Ann Other"})).status_code == 200
    renamed = await ann.client.get(path, headers=known)
    assert (renamed.status_code, renamed.json()["member"]["name"]) == (200, "Ann Other")
    again = await site.owner.client.put(path, json={"role": "VIEWER"})
    assert (again.status_code, again.json()["member"]["version"]) == (200, 1)
    stale = await site.owner.client.put(path, json={"role": "ADMIN"}, headers={"If-Match": '"7"'})
    assert refusal(stale) == (412, "precondition_failed")
    fresh = {"If-Match": renamed.headers["etag"]}
    higher = await site.owner.client.put(path, json={"role": "MEMBER"}, headers=fresh)
    assert (higher.status_code, higher.json()["member"]["version"]) == (200, 2)
    assert (await read(ann, made))["memberCount"] == 2
    assert (await site.owner.client.delete(path)).status_code == 204
    assert (await ann.client.get(path_of(made))).status_code == 404
    assert (await site.owner.client.delete(path)).status_code == 404
    actions = [one.action for one in await audit_of(platform, site.id)]
    assert actions.count("project_member.put") == 2
    assert actions.count("project_member.removed") == 1


async def test_the_list_has_pages_and_those_alone_who_were_put_in(site: Site) -> None:
    made = await site.project()
    people = [await site.person(Role.MEMBER) for _ in range(4)]
    for person in people[:3]:
        await site.put(made, person, "MEMBER")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await people[3].client.get(path_of(made, "/members"), params={"limit": 2, **cursor})
        seen += [one["userId"] for one in answer.json()["members"]]
        if answer.json()["nextCursor"] is None:
            break
        cursor = {"cursor": answer.json()["nextCursor"]}
    assert seen == sorted(str(one.id) for one in (site.owner, *people[:3]))


async def test_only_members_of_the_workspace_are_put_in(site: Site, new_person: NewPerson) -> None:
    made = await site.project()
    for user_id in ((await new_person()).id, uuid4()):
        answer = await site.owner.client.put(path_of(made, f"/members/{user_id}"), json={"role": "MEMBER"})
        assert refusal(answer) == (422, "not_a_workspace_member")
    for body in ({"role": "OWNER"}, {"role": "GUEST"}, {}, {"role": "MEMBER", "x": 1}):
        answer = await site.owner.client.put(path_of(made, f"/members/{site.owner.id}"), json=body)
        assert refusal(answer) == (422, "validation_failed")


async def test_who_manages_members(site: Site) -> None:
    """Who manages the project; everybody leaves it themselves."""
    made = await site.project()
    ann, ben = await site.person(Role.MEMBER), await site.person(Role.MEMBER)
    for person in (ann, ben):
        await site.put(made, person, "MEMBER")
    of_ben = path_of(made, f"/members/{ben.id}")
    assert refusal(await ann.client.put(of_ben, json={"role": "ADMIN"})) == (403, "forbidden")
    assert refusal(await ann.client.delete(of_ben)) == (403, "forbidden")
    assert (await ben.client.delete(of_ben)).status_code == 204
    await site.put(made, ann, "ADMIN")
    await site.put(made, ben, "VIEWER", by=ann)
    assert (await read(ben, made))["role"] == "VIEWER"


async def test_a_key_that_only_reads_takes_nobody_out(site: Site, client: httpx.AsyncClient) -> None:
    made, ben = await site.project(), await site.person(Role.MEMBER)
    await site.put(made, ben, "MEMBER")
    of_ben = path_of(made, f"/members/{ben.id}")
    for scope in ("project:read", "project:write"):
        key = await site.owner.client.post("/api/api-keys", json={"name": "Nightly", "scopes": [scope]})
        assert key.status_code == 201, key.text
        headers = {"Authorization": f"Bearer {key.json()['token']}"}
        assert (await client.get(of_ben, headers=headers)).status_code == 200
        answer = await client.delete(of_ben, headers=headers)
        if scope == "project:read":
            assert refusal(answer) == (403, "insufficient_scope")
            assert answer.json()["scope"] == "project:write"
    assert answer.status_code == 204


async def test_a_private_one_keeps_an_admin(site: Site) -> None:
    ann, ben = await site.person(Role.MEMBER), await site.person(Role.MEMBER)
    made = await site.project(ann, isPrivate=True)
    await site.put(made, ben, "MEMBER", by=ann)
    mine = path_of(made, f"/members/{ann.id}")
    assert refusal(await ann.client.delete(mine)) == (409, "last_project_admin")
    assert refusal(await ann.client.put(mine, json={"role": "MEMBER"})) == (409, "last_project_admin")
    await site.put(made, ben, "ADMIN", by=ann)
    assert (await ann.client.delete(mine)).status_code == 204
    assert (await ann.client.get(path_of(made))).status_code == 404
    opened = await site.project(ann)
    assert (await ann.client.delete(path_of(opened, f"/members/{ann.id}"))).status_code == 204


async def test_two_admins_do_not_both_leave_at_once(site: Site) -> None:
    for _ in range(5):
        ann, ben = await site.person(Role.MEMBER), await site.person(Role.MEMBER)
        made = await site.project(ann, isPrivate=True)
        await site.put(made, ben, "ADMIN", by=ann)
        answers = await asyncio.gather(
            ann.client.delete(path_of(made, f"/members/{ann.id}")),
            ben.client.put(path_of(made, f"/members/{ben.id}"), json={"role": "VIEWER"}),
        )
        assert sorted(one.status_code // 100 for one in answers) == [2, 4]


async def test_private_and_open_are_one_switch(site: Site) -> None:
    admin, member = await site.person(Role.ADMIN), await site.person(Role.MEMBER)
    made = await site.project(member)
    closed = await admin.client.patch(path_of(made), json={"isPrivate": True})
    assert closed.json()["project"]["isPrivate"] is True
    assert (await site.owner.client.get(path_of(made))).status_code == 404
    assert (await read(admin, made))["role"] == "ADMIN"  # who closes the door stays inside
    assert (await read(member, made))["role"] == "ADMIN"
    assert (await member.client.patch(path_of(made), json={"isPrivate": False})).status_code == 200
    assert (await read(site.owner, made))["isPrivate"] is False


async def test_closing_while_the_last_admin_leaves_the_workspace_leaves_somebody(site: Site) -> None:
    """Whichever comes first: nobody is left without a way to the project."""
    for _ in range(5):
        ann = await site.person(Role.MEMBER)
        made = await site.project(ann)
        closing, leaving = await asyncio.gather(
            ann.client.patch(path_of(made), json={"isPrivate": True}),
            site.owner.client.delete(f"/api/team/members/{site.member_ids[ann.id]}"),
        )
        assert leaving.status_code == 200, leaving.text
        assert closing.status_code in (200, 404)
        assert (await read(site.owner, made))["role"] == "OWNER"


async def test_who_leaves_the_workspace_leaves_its_projects(site: Site, platform: Platform) -> None:
    """A project of which they were the only ADMIN goes to whoever removes them, or to the owner when they go."""
    ann, ben, admin = [await site.person(role) for role in (Role.MEMBER, Role.MEMBER, Role.ADMIN)]
    secret, kept, opened = (
        await site.project(ann, name="Secret", isPrivate=True),
        await site.project(ann, name="Kept", isPrivate=True),
        await site.project(ann, name="Open"),
    )
    await site.put(kept, ben, "ADMIN", by=ann)
    path = f"/api/team/members/{site.member_ids[ann.id]}"
    left = (await admin.client.get(f"{path}/belongings")).json()["belongings"]
    assert [(one["kind"], one["count"], one["canBeReassigned"]) for one in left] == [("projects", 2, True)]
    assert await listed(admin, workspaceId=site.id) == ["Open"]
    assert (await admin.client.delete(path)).status_code == 200
    assert await listed(admin, workspaceId=site.id) == ["Open", "Secret"]
    assert (await read(admin, secret))["memberCount"] == 1
    assert await listed(site.owner, workspaceId=site.id) == ["Open"]
    assert (await read(site.owner, opened))["memberCount"] == 0
    carl = await site.person(Role.MEMBER)
    await site.project(carl, name="Carls", isPrivate=True)
    assert (await carl.client.delete(f"/api/team/members/{site.member_ids[carl.id]}")).status_code == 200
    assert await listed(site.owner, workspaceId=site.id) == ["Carls", "Open"]
    async with platform.database.reading() as session:
        stray = await session.scalar(text("SELECT count(*) FROM scope_members WHERE user_id = :id"), {"id": ann.id})
    assert stray == 0


async def test_projects_are_handed_over(site: Site) -> None:
    ann, heir, guest = [await site.person(role) for role in (Role.MEMBER, Role.MEMBER, Role.GUEST)]
    secret = await site.project(ann, name="Secret", isPrivate=True)
    path = f"/api/team/members/{site.member_ids[ann.id]}"
    refused = await site.owner.client.delete(path, params={"reassignTo": str(site.member_ids[guest.id])})
    assert refusal(refused) == (422, "invalid_reassignment")
    done = await site.owner.client.delete(path, params={"reassignTo": str(site.member_ids[heir.id])})
    [left] = done.json()["removal"]["leftBehind"]
    assert (left["kind"], left["count"], left["reassigned"]) == ("projects", 1, 1)
    assert (await read(heir, secret))["role"] == "ADMIN"
    assert (await site.owner.client.get(path_of(secret))).status_code == 404


async def test_who_is_put_into_a_project_while_they_leave_is_in_neither(site: Site, platform: Platform) -> None:
    """Or was in it before they left: never left in the circle of a workspace they are not in."""
    made = await site.project()
    for _ in range(5):
        ann = await site.person(Role.MEMBER)
        putting, leaving = await asyncio.gather(
            site.owner.client.put(path_of(made, f"/members/{ann.id}"), json={"role": "MEMBER"}),
            ann.client.delete(f"/api/team/members/{site.member_ids[ann.id]}"),
        )
        assert leaving.status_code == 200
        assert putting.status_code in (201, 422)
        async with platform.database.reading() as session:
            stray = await session.scalar(
                text("SELECT count(*) FROM scope_members WHERE user_id = :id"), {"id": ann.id}
            )
        assert stray == 0


async def test_who_is_put_into_it_is_told(site: Site) -> None:
    ann = await site.person(Role.MEMBER)
    made = await site.project(name="Secret", isPrivate=True)
    await site.put(made, ann, "MEMBER")
    told = (await ann.client.get("/api/notifications")).json()["notifications"]
    assert [(one["type"], one["title"]) for one in told] == [
        ("project.member_added", "You are in the project Secret")
    ]
    own = (await site.owner.client.get("/api/notifications")).json()["notifications"]
    assert [one for one in own if one["type"].startswith("project.")] == []
