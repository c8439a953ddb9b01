"""Whoever's place in a workspace changes is told of it: another role, the end of it, and that one waits for them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.notifications.telling import listed
from tests.domains.team.inviting import a_team, invite, invited, link, path_of_member, row_of, token_of
from tests.identity.teams import join
from tests.support.queue import work_off


async def told(platform: Platform, person: Person, workspace_id: str) -> list[dict[str, object]]:
    """What they were told of the team, oldest first."""
    await work_off(platform, "member.changed>", about=workspace_id)
    return [one for one in (await listed(person))[::-1] if str(one["type"]).startswith("team.")]


async def proved(platform: Platform, person: Person) -> None:
    async with platform.database.transaction() as session:
        await session.execute(
            text("UPDATE users SET email_verified_at = created_at WHERE id = :id"), {"id": person.id}
        )


async def test_who_gets_another_role_is_told(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(name="Ann"), await new_person(name="Bob")
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.MEMBER)
    path = await path_of_member(ann, workspace_id, bob)
    for role in ("ADMIN", "ADMIN", "OWNER"):
        assert (await ann.client.put(path, json={"role": role})).status_code == 200
    found = await told(platform, bob, workspace_id)
    assert [(one["title"], one["category"], one["workspaceId"], one["link"]) for one in found] == [
        ("You are now an admin of Acme", "WORKSPACE", workspace_id, "/dashboard/team"),
        ("You are now an owner of Acme", "WORKSPACE", workspace_id, "/dashboard/team"),
    ]
    assert (await ann.client.put(await path_of_member(ann, workspace_id, ann), json={"role": "ADMIN"})).is_success
    assert await told(platform, ann, workspace_id) == [], "nobody is told of what they did themselves"


async def test_who_is_removed_is_told_and_sees_it_without_the_workspace(
    platform: Platform, new_person: NewPerson
) -> None:
    ann, bob, eve = [await new_person() for _ in range(3)]
    workspace_id = await a_team(platform, ann)
    for one in (bob, eve):
        await join(platform, workspace_id, one, Role.MEMBER)
    removal = await ann.client.delete(await path_of_member(ann, workspace_id, bob))
    assert removal.json()["removal"]["member"]["status"] == "REMOVED"
    assert (await eve.client.delete(await path_of_member(eve, workspace_id, eve))).is_success
    [found] = await told(platform, bob, workspace_id)
    assert (found["title"], found["workspaceId"], found["link"]) == ("You were removed from Acme", None, None)
    assert await told(platform, eve, workspace_id) == []
    assert await told(platform, ann, workspace_id) == []


async def test_a_removal_of_many_says_so_of_each(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    member_id = str(await join(platform, workspace_id, bob, Role.MEMBER))
    body = {"workspaceId": workspace_id, "memberIds": [member_id], "action": "REMOVE", "dryRun": True}
    answer = await ann.client.post("/api/team/bulk", json=body)
    assert answer.json()["results"][0]["member"]["status"] == "REMOVED"
    assert await told(platform, bob, workspace_id) == [], "a dry run tells nobody"
    listing = await ann.client.get("/api/team/members", params={"workspaceId": workspace_id, "status": "REMOVED"})
    assert listing.status_code == 422


async def test_who_has_an_account_sees_the_invitation_in_the_app_without_its_link(
    platform: Platform, new_person: NewPerson
) -> None:
    ann, bob, eve = await new_person(name="Ann"), await new_person(), await new_person()
    await proved(platform, bob)
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email)
    await invite(ann, workspace_id, eve.email, f"{uuid4().hex[:12]}@example.com")
    [one] = await told(platform, bob, workspace_id)
    assert (one["title"], one["workspaceId"], one["link"]) == ("Ann invites you to Acme", None, None)
    assert await token_of(platform, made["id"]) not in str(one)
    async with platform.database.reading() as session:
        mails = await session.scalar(text("SELECT count(*) FROM mails WHERE subject_id = :id"), {"id": one["id"]})
        waits = await session.scalar(text("SELECT mail_due_at FROM notifications WHERE id = :id"), {"id": one["id"]})
    assert (mails, waits) == (0, None), "the letter with the link is the mail"
    assert await told(platform, eve, workspace_id) == [], "an address that nobody has proved may be anybody's"
    await ann.client.post(f"/api/team/invitations/{made['id']}/resend")
    assert len(await told(platform, bob, workspace_id)) == 2


@pytest.mark.parametrize("registers", [True, False])
async def test_a_token_that_comes_back_proves_the_address(
    platform: Platform, new_person: NewPerson, registers: bool
) -> None:
    ann, address = await new_person(), f"{uuid4().hex[:12]}@example.com"
    workspace_id = await a_team(platform, ann)
    before = None if registers else await new_person(email=address)
    token = await token_of(platform, (await invited(ann, workspace_id, address))["id"])
    bob = before or await new_person(email=address, invitationToken=token)
    if before is not None:
        assert (await bob.client.get("/api/auth/me")).json()["user"]["emailVerifiedAt"] is None
        assert (await bob.client.post(link(token, "/accept"))).status_code == 200
    me = (await bob.client.get("/api/auth/me")).json()
    assert me["user"]["emailVerifiedAt"] is not None
    assert [one["id"] for one in me["workspaces"]] == [workspace_id]
    async with platform.database.reading() as session:
        links = await session.execute(
            text("SELECT used_at IS NULL FROM email_tokens WHERE user_id = :id AND purpose = 'VERIFY'"),
            {"id": bob.id},
        )
        assert [row[0] for row in links] == ([] if registers else [False])


async def test_a_token_for_another_address_proves_nothing(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, f"{uuid4().hex[:12]}@example.com")
    eve = await new_person(invitationToken=await token_of(platform, made["id"]))
    assert (await eve.client.get("/api/auth/me")).json()["user"]["emailVerifiedAt"] is None
    assert (await row_of(platform, made["id"])).expires_at - platform.clock.now() > timedelta(days=6)


async def test_only_who_may_read_invitations_is_told_of_them(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.MEMBER)
    made = await invited(ann, workspace_id, f"{uuid4().hex[:12]}@example.com")
    assert (await ann.client.delete(f"/api/team/invitations/{made['id']}")).status_code == 204
    seen = {}
    for person in (ann, bob):
        answer = await person.client.get("/api/changes", params={"workspaceId": workspace_id})
        seen[person.id] = [one["action"] for one in answer.json()["changes"] if one["entity"] == "invitation"]
    assert seen == {ann.id: ["created", "revoked"], bob.id: []}
