"""Many at once around one workspace, over two API processes: seats, owners and invitations stay countable."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from pm_api.entitlements.enums import Plan
from pm_api.identity.permissions import Role
from tests.conftest import Person, register
from tests.domains.team.inviting import a_team, invite, invited, link, roles_of, row_of, token_of
from tests.identity.teams import join, somebody_waits_for_a_lock
from tests.races.town import Town, after

ROUNDS = 3


async def people(town: Town, count: int) -> list[Person]:
    return [await register(town.app) for _ in range(count)]


async def send(town: Town, number: int, who: Person, method: str, path: str, body: Any = None) -> httpx.Response:
    """One request to one of the processes."""
    headers = {"Authorization": f"Bearer {who.access_token}"}
    return await town.apis[number % 2].request(method, path, json=body, headers=headers)


def codes(answers: list[httpx.Response]) -> Counter[str]:
    """How many of each: the refusal's code, or the status."""
    return Counter(str(one.status_code) if one.status_code < 400 else one.json()["code"] for one in answers)


async def test_twenty_take_the_last_seat_of_ten(town: Town) -> None:
    """The 10th seat is free: one of twenty gets it, and there is no 11th."""
    owner, *crowd = await people(town, 21)
    workspace_id = await a_team(town.platform, owner, Plan.TEAM_STANDARD)
    for member in await people(town, 8):
        await join(town.platform, workspace_id, member, Role.MEMBER)
    results = await invite(owner, workspace_id, *(one.email for one in crowd), role="VIEWER")
    tokens = [await token_of(town.platform, one["invitation"]["id"]) for one in results]
    answers = await asyncio.gather(
        *(send(town, n, who, "POST", link(tokens[n], "/accept")) for n, who in enumerate(crowd))
    )
    assert codes(answers) == {"200": 1, "plan_limit_reached": 19}
    for refused in (one.json() for one in answers if one.status_code == 402):
        assert (refused["limit"], refused["used"], refused["upgradePlan"]) == (10, 10, "TEAM_PREMIUM")
    assert len(await roles_of(owner, workspace_id)) == 10
    waiting = [(await row_of(town.platform, one["invitation"]["id"])).status for one in results]
    assert Counter(waiting) == {"ACCEPTED": 1, "PENDING": 19}


async def test_seats_are_also_taken_by_people_who_are_added(town: Town) -> None:
    """Two seats for ten: whoever comes in by which door, ten are never eleven."""
    owner, *crowd = await people(town, 11)
    workspace_id = await a_team(town.platform, owner, Plan.TEAM_STANDARD)
    for member in await people(town, 7):
        await join(town.platform, workspace_id, member, Role.MEMBER)
    made = [await invited(owner, workspace_id, one.email) for one in crowd]
    tokens = [await token_of(town.platform, one["id"]) for one in made]
    answers = await asyncio.gather(
        *(send(town, n, who, "POST", link(tokens[n], "/accept")) for n, who in enumerate(crowd))
    )
    assert codes(answers) == {"200": 2, "plan_limit_reached": 8}
    assert len(await roles_of(owner, workspace_id)) == 10


async def test_one_invitation_accepted_many_times_at_once_is_one_membership(town: Town) -> None:
    owner, bob = await people(town, 2)
    for _ in range(ROUNDS):
        workspace_id = await a_team(town.platform, owner)
        made = await invited(owner, workspace_id, bob.email)
        token = await token_of(town.platform, made["id"])
        answers = await asyncio.gather(*(send(town, n, bob, "POST", link(token, "/accept")) for n in range(8)))
        assert codes(answers) == {"200": 8}
        assert len({one.json()["memberId"] for one in answers}) == 1
        assert len(await roles_of(owner, workspace_id)) == 2
        async with town.platform.database.reading() as session:
            added = await session.scalar(
                text("SELECT count(*) FROM audit_entries WHERE workspace_id = :id AND action = 'member.added'"),
                {"id": UUID(workspace_id)},
            )
        assert added == 2, "the founder, and bob once"


@pytest.mark.parametrize("crossed", [False, True])
async def test_the_last_two_owners_cannot_both_be_demoted(town: Town, crossed: bool) -> None:
    """Each demotes themselves, or the other."""
    ann, bob = await people(town, 2)
    for _ in range(ROUNDS):
        workspace_id = await a_team(town.platform, ann)
        bobs = await join(town.platform, workspace_id, bob, Role.OWNER)
        listed = await ann.client.get("/api/team/members", params={"workspaceId": workspace_id})
        anns = next(one["id"] for one in listed.json()["members"] if one["userId"] == str(ann.id))
        targets = (bobs, anns) if crossed else (anns, bobs)
        answers = await asyncio.gather(
            *(
                send(town, n, who, "PUT", f"/api/team/members/{target}", {"role": "MEMBER"})
                for n, (who, target) in enumerate(zip((ann, bob), targets, strict=True))
            )
        )
        assert sum(one.status_code == 200 for one in answers) == 1
        assert {one.status_code for one in answers} <= {200, 403, 409}
        viewer = ann if (await roles_of(ann, workspace_id)).get(ann.email) else bob
        assert Counter((await roles_of(viewer, workspace_id)).values()) == {"OWNER": 1, "MEMBER": 1}


async def test_two_bulk_removals_leave_an_owner(town: Town) -> None:
    """Each owner removes everybody else, and themselves, at the same moment."""
    ann, bob = await people(town, 2)
    for _ in range(ROUNDS):
        workspace_id = await a_team(town.platform, ann)
        bobs = await join(town.platform, workspace_id, bob, Role.OWNER)
        listed = await ann.client.get("/api/team/members", params={"workspaceId": workspace_id})
        anns = next(one["id"] for one in listed.json()["members"] if one["userId"] == str(ann.id))
        bodies = [
            {"workspaceId": workspace_id, "memberIds": [str(target)], "action": "REMOVE"} for target in (bobs, anns)
        ]
        answers = await asyncio.gather(
            *(send(town, n, who, "POST", "/api/team/bulk", bodies[n]) for n, who in enumerate((ann, bob)))
        )
        assert sum(one.status_code == 200 for one in answers) == 1, codes(answers)
        async with town.platform.database.reading() as session:
            left = await session.execute(
                text("SELECT role FROM workspace_members WHERE workspace_id = :id"), {"id": UUID(workspace_id)}
            )
            assert [row[0] for row in left] == ["OWNER"]


async def test_who_was_just_demoted_invites_nobody_above_them(town: Town) -> None:
    """The guard has seen an admin; under the lock there is a viewer."""
    owner, admin = await people(town, 2)
    workspace_id = await a_team(town.platform, owner)
    admins = await join(town.platform, workspace_id, admin, Role.ADMIN)
    body = {"workspaceId": workspace_id, "emails": [f"{uuid4().hex}@example.com"], "role": "ADMIN"}
    async with town.platform.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM workspaces WHERE id = :id FOR UPDATE"), {"id": workspace_id})
        late = asyncio.create_task(send(town, 0, admin, "POST", "/api/team/invite", body))
        await somebody_waits_for_a_lock(town.platform)
        await session.execute(text("UPDATE workspace_members SET role = 'VIEWER' WHERE id = :id"), {"id": admins})
    answer = await late
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with town.platform.database.reading() as session:
        assert (
            await session.scalar(
                text("SELECT count(*) FROM invitations WHERE workspace_id = :id"), {"id": UUID(workspace_id)}
            )
            == 0
        )


async def test_two_resends_at_once_leave_one_link(town: Town) -> None:
    owner, bob = await people(town, 2)
    for _ in range(ROUNDS):
        workspace_id = await a_team(town.platform, owner)
        made = await invited(owner, workspace_id, bob.email)
        tokens = [await token_of(town.platform, made["id"])]
        path = f"/api/team/invitations/{made['id']}/resend"
        answers = await asyncio.gather(*(send(town, n, owner, "POST", path) for n in range(2)))
        assert codes(answers) == {"200": 2}
        assert sorted(one.json()["invitation"]["version"] for one in answers) == [2, 3]
        newest = await token_of(town.platform, made["id"])
        assert newest not in tokens
        assert (await send(town, 0, bob, "POST", link(tokens[0], "/accept"))).status_code == 404
        assert (await send(town, 1, bob, "POST", link(newest, "/accept"))).status_code == 200


async def test_accepting_and_withdrawing_at_once(town: Town) -> None:
    """One of the two happened, never both and never neither."""
    owner, bob = await people(town, 2)
    for turn in range(3 * ROUNDS):
        workspace_id = await a_team(town.platform, owner)
        made = await invited(owner, workspace_id, bob.email)
        token = await token_of(town.platform, made["id"])
        accept = after(0.002 * turn, send(town, turn, bob, "POST", link(token, "/accept")))
        revoke = send(town, turn + 1, owner, "DELETE", f"/api/team/invitations/{made['id']}")
        accepted, revoked = await asyncio.gather(accept, revoke)
        outcome = (accepted.status_code, revoked.status_code)
        assert outcome in ((200, 409), (410, 204)), (accepted.text, revoked.text)
        is_in = bob.email in await roles_of(owner, workspace_id)
        assert is_in == (accepted.status_code == 200)
        assert (await row_of(town.platform, made["id"])).status == ("ACCEPTED" if is_in else "REVOKED")


@pytest.mark.parametrize("binds_anew", [False, True])
async def test_accepting_while_the_link_is_replaced(town: Town, binds_anew: bool) -> None:
    """By a resend, or by binding it to another address: the old link opened the door before, or opens it no more."""
    owner, bob = await people(town, 2)
    for turn in range(2 * ROUNDS):
        workspace_id = await a_team(town.platform, owner)
        made = await invited(owner, workspace_id, bob.email)
        token = await token_of(town.platform, made["id"])
        path = f"/api/team/invitations/{made['id']}"
        accept = after(0.002 * turn, send(town, turn, bob, "POST", link(token, "/accept")))
        if binds_anew:
            replace = send(town, turn + 1, owner, "PATCH", path, {"email": f"{uuid4().hex}@example.com"})
        else:
            replace = send(town, turn + 1, owner, "POST", f"{path}/resend")
        accepted, replaced = await asyncio.gather(accept, replace)
        assert (accepted.status_code, replaced.status_code) in ((200, 409), (404, 200)), (
            accepted.text,
            replaced.text,
        )
        assert (bob.email in await roles_of(owner, workspace_id)) == (accepted.status_code == 200)


async def test_one_address_invited_by_many_at_once_is_invited_once(town: Town) -> None:
    owner, admin = await people(town, 2)
    for _ in range(ROUNDS):
        workspace_id = await a_team(town.platform, owner)
        await join(town.platform, workspace_id, admin, Role.ADMIN)
        emails = [f"{uuid4().hex}@example.com" for _ in range(5)]
        answers = await asyncio.gather(
            *(
                send(
                    town,
                    n,
                    (owner, admin)[n % 2],
                    "POST",
                    "/api/team/invite",
                    {"workspaceId": workspace_id, "emails": emails if n % 2 else emails[::-1]},
                )
                for n in range(6)
            )
        )
        assert codes(answers) == {"200": 6}
        outcomes = Counter(result["outcome"] for one in answers for result in one.json()["results"])
        assert outcomes == {"INVITED": 5, "ALREADY_INVITED": 25}
        ids = {result["invitation"]["id"] for one in answers for result in one.json()["results"]}
        assert len(ids) == 5


async def test_removal_and_acceptance_of_what_the_removed_has_sent(town: Town) -> None:
    """The invitations of who is removed are handed over or answered, whichever came first; none is lost."""
    owner, admin, bob = await people(town, 3)
    for turn in range(ROUNDS):
        workspace_id = await a_team(town.platform, owner)
        admins = await join(town.platform, workspace_id, admin, Role.ADMIN)
        made = await invited(admin, workspace_id, bob.email)
        token = await token_of(town.platform, made["id"])
        listed = await owner.client.get("/api/team/members", params={"workspaceId": workspace_id})
        owners = next(one["id"] for one in listed.json()["members"] if one["userId"] == str(owner.id))
        path = f"/api/team/members/{admins}?reassignTo={owners}"
        accepted, removed = await asyncio.gather(
            send(town, turn, bob, "POST", link(token, "/accept")), send(town, turn + 1, owner, "DELETE", path)
        )
        assert (accepted.status_code, removed.status_code) == (200, 200), (accepted.text, removed.text)
        left = {one["kind"]: one["reassigned"] for one in removed.json()["removal"]["leftBehind"]}
        row = await row_of(town.platform, made["id"])
        assert row.status == "ACCEPTED"
        assert row.invited_by == (owner.id if left.get("invitations") else admin.id)
        assert set(await roles_of(owner, workspace_id)) == {owner.email, bob.email}
