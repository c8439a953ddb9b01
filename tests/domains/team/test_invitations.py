"""Inviting and answering: who may, for which address, how long, and once."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.team import invitations
from pm_api.entitlements.enums import Plan
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as identity
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.team.inviting import a_team, invite, invited, link, roles_of, row_of, token_of
from tests.identity.teams import audit_of, join, make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import settings_for


def fresh_address() -> str:
    return f"{uuid4().hex[:12]}@example.com"


def pass_time(clock: MovableClock, **duration: float) -> None:
    """Business time alone: nobody's session ends by it."""
    clock.shift_to(clock.now() - clock.wall() + timedelta(**duration))


def path_of(invitation: dict[str, Any], step: str = "") -> str:
    return f"/api/team/invitations/{invitation['id']}{step}"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- inviting --------------------------------------------------------------------------------------------------


async def test_each_address_has_an_outcome_of_its_own(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(name="Ann"), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.VIEWER)
    known, new = fresh_address(), fresh_address()
    first = await invited(ann, workspace_id, known)
    results = await invite(
        ann, workspace_id, known.upper(), bob.email, "nonsense", f"  {new.upper()} ", new, ann.email, "a" * 320
    )
    assert [(one["email"], one["outcome"]) for one in results] == [
        (known, "ALREADY_INVITED"),
        (bob.email, "ALREADY_MEMBER"),
        ("nonsense", "INVALID_ADDRESS"),
        (new, "INVITED"),
        (new, "ALREADY_INVITED"),
        (ann.email, "ALREADY_MEMBER"),
        ("a" * 320, "INVALID_ADDRESS"),
    ]
    assert results[0]["invitation"] == first, "what waits is left as it is"
    made = results[3]["invitation"]
    assert made == results[4]["invitation"]
    assert (made["role"], made["status"], made["inviterName"], made["version"]) == ("MEMBER", "PENDING", "Ann", 1)
    assert made["invitedBy"] == str(ann.id)
    listed = await ann.client.get("/api/team/invitations", params={"workspaceId": workspace_id})
    assert [one["email"] for one in listed.json()["invitations"]] == [new, known]
    assert set(await roles_of(ann, workspace_id)) == {ann.email, bob.email}, "nobody is in before they accept"


async def test_who_has_an_account_cannot_be_told(platform: Platform, new_person: NewPerson) -> None:
    """Not from the outcome, not from the invitation, not from the link's page."""
    ann, somebody = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    shapes = []
    for email in (somebody.email, fresh_address()):
        made = await invited(ann, workspace_id, email)
        view = (await ann.client.get(link(await token_of(platform, made["id"])))).json()["invitation"]
        changing = {"id", "email", "createdAt", "sentAt", "expiresAt"}
        shapes.append(({k: v for k, v in made.items() if k not in changing}, sorted(view), view["role"]))
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("caller", "role", "allowed"),
    [
        (Role.OWNER, "OWNER", True),
        (Role.ADMIN, "ADMIN", True),
        (Role.ADMIN, "OWNER", False),
        (Role.MEMBER, "VIEWER", False),
        (Role.VIEWER, "VIEWER", False),
    ],
)
async def test_nobody_invites_above_their_own_role(
    platform: Platform, new_person: NewPerson, caller: Role, role: str, allowed: bool
) -> None:
    founder, host = await new_person(), await new_person()
    workspace_id = await a_team(platform, founder)
    await join(platform, workspace_id, host, caller)
    body = {"workspaceId": workspace_id, "emails": [fresh_address()], "role": role}
    answer = await host.client.post("/api/team/invite", json=body)
    if allowed:
        assert answer.json()["results"][0]["invitation"]["role"] == role
    else:
        assert refusal(answer) == (403, "role_too_high" if caller is Role.ADMIN else "forbidden")
        listed = await founder.client.get("/api/team/invitations", params={"workspaceId": workspace_id})
        assert listed.json()["invitations"] == []


async def test_an_admin_touches_no_invitation_to_owner(platform: Platform, new_person: NewPerson) -> None:
    """Else they would bind it to an address of their own and come in above themselves."""
    owner, admin = await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    await join(platform, workspace_id, admin, Role.ADMIN)
    made = await invited(owner, workspace_id, fresh_address(), "OWNER")
    for method, step, body in (
        ("PATCH", "", {"email": fresh_address()}),
        ("PATCH", "", {"role": "VIEWER"}),
        ("POST", "/resend", None),
        ("DELETE", "", None),
    ):
        answer = await admin.client.request(method, path_of(made, step), json=body)
        assert refusal(answer) == (403, "role_too_high"), (method, step)
    lower = await invited(admin, workspace_id, fresh_address(), "MEMBER")
    raised = await admin.client.patch(path_of(lower), json={"role": "OWNER"})
    assert refusal(raised) == (403, "role_too_high")
    assert (await row_of(platform, made["id"])).version == 1


async def test_the_gates(client: httpx.AsyncClient, platform: Platform, new_person: NewPerson) -> None:
    ann, bob, stranger = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, Role.MEMBER)
    made = await invited(ann, workspace_id, fresh_address())
    await make_workspace(stranger)
    body = {"workspaceId": workspace_id, "emails": [fresh_address()]}
    for method, path, content in (
        ("POST", "/api/team/invite", body),
        ("GET", f"/api/team/invitations?workspaceId={workspace_id}", None),
        ("GET", path_of(made), None),
        ("PATCH", path_of(made), {"role": "VIEWER"}),
        ("POST", path_of(made, "/resend"), None),
        ("DELETE", path_of(made), None),
    ):
        asked = [await one.request(method, path, json=content) for one in (client, bob.client, stranger.client)]
        assert [one.status_code for one in asked] == [401, 403, 404], (method, path)
    for wrong in (uuid4(), "x", bob.id):
        assert (await ann.client.get(f"/api/team/invitations/{wrong}")).status_code == 404
        assert (await ann.client.delete(f"/api/team/invitations/{wrong}")).status_code == 404
    for method in ("PATCH", "DELETE"):
        stale = await ann.client.request(
            method, path_of(made), json={"role": "VIEWER"} if method == "PATCH" else None, headers={"If-Match": '"9"'}
        )
        assert refusal(stale) == (412, "precondition_failed")
    for wrong_body in (
        {"emails": ["a@example.com"]},
        {"workspaceId": workspace_id},
        {"workspaceId": workspace_id, "emails": []},
        {"workspaceId": workspace_id, "emails": ["a@example.com"] * 101},
        {"workspaceId": workspace_id, "emails": "a@example.com"},
        {"workspaceId": workspace_id, "emails": ["a" * 321]},
        {"workspaceId": workspace_id, "emails": ["a\x00@example.com"]},
        {"workspaceId": workspace_id, "emails": ["a@example.com"], "role": "KING"},
        {"workspaceId": workspace_id, "emails": ["a@example.com"], "token": "x"},
    ):
        assert (await ann.client.post("/api/team/invite", json=wrong_body)).status_code == 422, wrong_body
    for wrong_change in ({"email": None}, {"role": None}, {"email": "nonsense"}, {"status": "ACCEPTED"}):
        assert (await ann.client.patch(path_of(made), json=wrong_change)).status_code == 422, wrong_change


async def test_a_list_is_walked_and_filtered(platform: Platform, new_person: NewPerson, clock: MovableClock) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    mails = [f"{letter}{uuid4().hex[:8]}@example.com" for letter in "abcd"]
    made = [await invited(ann, workspace_id, one) for one in mails]
    await ann.client.delete(path_of(made[1]))
    pass_time(clock, days=7)
    await ann.client.post(path_of(made[3], "/resend"))

    async def listed(**query: Any) -> tuple[list[str], str | None]:
        answer = await ann.client.get("/api/team/invitations", params={"workspaceId": workspace_id, **query})
        assert answer.status_code == 200, answer.text
        content = answer.json()
        return [one["email"] for one in content["invitations"]], content["nextCursor"]

    first, cursor = await listed(limit=3)
    assert first == mails[:0:-1]
    assert await listed(cursor=cursor) == (mails[:1], None)
    assert (await listed(status="PENDING"))[0] == [mails[3]]
    assert (await listed(status="EXPIRED"))[0] == [mails[2], mails[0]]
    assert (await listed(status="REVOKED"))[0] == [mails[1]]
    assert (await listed(q=mails[0][:4].upper()))[0] == [mails[0]]
    assert (await listed(q="%"))[0] == []
    other = await ann.client.get(
        "/api/team/invitations", params={"workspaceId": workspace_id, "status": "PENDING", "cursor": cursor}
    )
    assert refusal(other) == (422, "invalid_cursor")


async def test_no_more_than_a_thousand_wait(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    kept = await invited(ann, workspace_id, fresh_address())
    async with platform.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO invitations (id, workspace_id, email, role, status, letter_id, token_hash, invited_by,"
                " sent_at, expires_at, created_at, updated_at)"
                " SELECT gen_random_uuid(), workspace_id, 'n' || n || '@example.com', role, status,"
                " gen_random_uuid(), decode(md5(n::text || id::text), 'hex'), invited_by, sent_at, expires_at,"
                " created_at, updated_at FROM invitations, generate_series(1, 998) AS n WHERE id = :id"
            ),
            {"id": kept["id"]},
        )
    body = {"workspaceId": workspace_id, "emails": [fresh_address(), fresh_address()]}
    assert refusal(await ann.client.post("/api/team/invite", json=body)) == (409, "too_many_invitations")
    await invited(ann, workspace_id, fresh_address())
    body["emails"] = [fresh_address()]
    assert refusal(await ann.client.post("/api/team/invite", json=body)) == (409, "too_many_invitations")
    assert (await ann.client.delete(path_of(kept))).status_code == 204
    await invited(ann, workspace_id, fresh_address())


async def test_mails_to_strangers_are_rationed(worker_database: str, platform: Platform) -> None:
    """An invitation is sent again ten times an hour at most, and links are tried as seldom as passwords."""
    settings = settings_for(worker_database, rate_limits=True, rate_limit_auth="5/minute")
    async with open_platform(settings, MovableClock()) as limited:
        app = create_app(settings, limited, connect=False)
        ann = await register(app)
        workspace_id = await a_team(limited, ann)
        made = await invited(ann, workspace_id, fresh_address())
        answers = [(await ann.client.post(path_of(made, "/resend"))).status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]
        tried = [(await ann.client.get(link("guess"))).status_code for _ in range(6)]
        assert tried[-1] == 429
        assert tried[0] == 404
        await ann.client.aclose()


# --- answering -------------------------------------------------------------------------------------------------


async def test_an_invitation_is_accepted(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    ann, bob = await new_person(name="Ann"), await new_person(name="Bob")
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email.upper(), "VIEWER")
    token = await token_of(platform, made["id"])
    view = await client.get(link(token))
    assert view.json() == {
        "invitation": {
            "workspaceName": "Acme",
            "inviterName": "Ann",
            "email": bob.email,
            "role": "VIEWER",
            "projects": [],
            "expiresAt": made["expiresAt"],
        }
    }
    assert (await client.post(link(token, "/accept"))).status_code == 401
    answer = await bob.client.post(link(token, "/accept"))
    assert answer.status_code == 200
    assert (answer.json()["workspaceId"], answer.json()["role"]) == (workspace_id, "VIEWER")
    assert (await roles_of(bob, workspace_id))[bob.email] == "VIEWER"
    again = await bob.client.post(link(token, "/accept"))
    assert (again.status_code, again.json()) == (200, answer.json()), "a double click is one membership"
    assert refusal(await client.get(link(token))) == (410, "invitation_closed")
    assert refusal(await client.post(link(token, "/decline"))) == (410, "invitation_closed")
    read = (await ann.client.get(path_of(made))).json()["invitation"]
    assert (read["status"], read["version"]) == ("ACCEPTED", 2)
    actions = [(one.action, one.actor_user_id) for one in await audit_of(platform, workspace_id)]
    assert actions[-3:] == [
        ("invitation.created", ann.id),
        ("member.added", bob.id),
        ("invitation.accepted", bob.id),
    ]
    [told] = [
        one
        for one in (await ann.client.get("/api/notifications")).json()["notifications"]
        if one["type"] == "team.invitation_accepted"
    ]
    assert told["title"] == "Bob accepted your invitation to Acme"
    assert told["data"]["invitationId"] == made["id"]


async def test_it_is_for_one_address_and_can_be_bound_to_another(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, fresh_address())
    token = await token_of(platform, made["id"])
    assert refusal(await bob.client.post(link(token, "/accept"))) == (403, "email_mismatch")
    assert bob.email not in await roles_of(ann, workspace_id)
    taken = await ann.client.patch(path_of(made), json={"email": ann.email})
    assert refusal(taken) == (409, "already_member")
    other = await invited(ann, workspace_id, fresh_address())
    assert refusal(await ann.client.patch(path_of(made), json={"email": other["email"]})) == (409, "already_invited")
    fresh = {"If-Match": (await ann.client.get(path_of(made))).headers["etag"]}
    answer = await ann.client.patch(path_of(made), json={"email": bob.email}, headers=fresh)
    assert (answer.status_code, answer.json()["invitation"]["email"]) == (200, bob.email)
    assert answer.headers["etag"].startswith('"2-')
    for person in (bob, ann):
        assert refusal(await person.client.post(link(token, "/accept"))) == (404, "invitation_not_found")
    newer = await token_of(platform, made["id"])
    assert newer != token
    assert (await bob.client.post(link(newer, "/accept"))).status_code == 200


async def test_the_role_is_changed_before_it_is_accepted(platform: Platform, new_person: NewPerson) -> None:
    """The link stays as it is: nothing was sent anew."""
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email, "ADMIN")
    token = await token_of(platform, made["id"])
    changed = await ann.client.patch(path_of(made), json={"role": "VIEWER"})
    assert (changed.json()["invitation"]["version"], changed.json()["invitation"]["sentAt"]) == (2, made["sentAt"])
    same = await ann.client.patch(path_of(made), json={"role": "VIEWER", "email": bob.email})
    assert same.json()["invitation"]["version"] == 2
    assert (await bob.client.post(link(token, "/accept"))).json()["role"] == "VIEWER"


async def test_a_newer_link_replaces_the_older(
    platform: Platform, new_person: NewPerson, clock: MovableClock
) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email)
    old = await token_of(platform, made["id"])
    pass_time(clock, days=6)
    answer = await ann.client.post(path_of(made, "/resend"))
    assert answer.status_code == 200
    assert answer.json()["invitation"]["expiresAt"] > made["expiresAt"]
    assert refusal(await bob.client.get(link(old))) == (404, "invitation_not_found")
    assert refusal(await bob.client.post(link(old, "/accept"))) == (404, "invitation_not_found")
    pass_time(clock, days=6, hours=23)
    assert (await bob.client.post(link(await token_of(platform, made["id"]), "/accept"))).status_code == 200


async def test_it_is_good_for_seven_days(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson, clock: MovableClock
) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email)
    token = await token_of(platform, made["id"])
    known = {"If-None-Match": (await ann.client.get(path_of(made))).headers["etag"]}
    pass_time(clock, days=7, seconds=-5)
    assert (await client.get(link(token))).status_code == 200
    assert (await ann.client.get(path_of(made), headers=known)).status_code == 304
    pass_time(clock, seconds=6)
    for answer in (
        await client.get(link(token)),
        await bob.client.post(link(token, "/accept")),
        await client.post(link(token, "/decline")),
    ):
        assert refusal(answer) == (410, "invitation_expired")
    expired = await ann.client.get(path_of(made), headers=known)
    assert (expired.status_code, expired.json()["invitation"]["status"]) == (200, "EXPIRED")
    renewed = await invited(ann, workspace_id, bob.email, "VIEWER")
    assert (renewed["id"], renewed["role"], renewed["version"]) == (made["id"], "VIEWER", 2)
    assert (await bob.client.post(link(await token_of(platform, made["id"]), "/accept"))).status_code == 200


async def test_what_expired_makes_room_for_an_address(
    platform: Platform, new_person: NewPerson, clock: MovableClock
) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    email = fresh_address()
    old = await invited(ann, workspace_id, email)
    pass_time(clock, days=8)
    new = await invited(ann, workspace_id, fresh_address())
    answer = await ann.client.patch(path_of(new), json={"email": email})
    assert (answer.status_code, answer.json()["invitation"]["email"]) == (200, email)
    assert (await ann.client.get(path_of(old))).json()["invitation"]["status"] == "REVOKED"


async def test_declined_and_withdrawn_ones_are_closed(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    declined = await invited(ann, workspace_id, fresh_address())
    token = await token_of(platform, declined["id"])
    for _ in range(2):
        assert (await client.post(link(token, "/decline"))).status_code == 204, "nobody needs an account to say no"
    assert (await row_of(platform, declined["id"])).version == 2
    revoked = await invited(ann, workspace_id, bob.email)
    assert (await ann.client.delete(path_of(revoked))).status_code == 204
    revoked_token = await token_of(platform, revoked["id"])
    assert refusal(await bob.client.post(link(revoked_token, "/accept"))) == (410, "invitation_closed")
    for one in (declined, revoked):
        assert refusal(await ann.client.post(path_of(one, "/resend"))) == (409, "invitation_not_open")
        assert refusal(await ann.client.patch(path_of(one), json={"role": "VIEWER"})) == (409, "invitation_not_open")
        assert refusal(await ann.client.delete(path_of(one))) == (409, "invitation_not_open")
    assert (await invited(ann, workspace_id, bob.email))["id"] != revoked["id"], "who said no may be asked again"
    titles = [one["title"] for one in (await ann.client.get("/api/notifications")).json()["notifications"]]
    assert titles[0] == "Somebody you invited declined your invitation to Acme"


async def test_unknown_links_and_deleted_workspaces(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email)
    token = await token_of(platform, made["id"])
    await ann.client.delete(f"/api/workspaces/{workspace_id}")
    for one in (token, "x", "x" * 200):
        for answer in (
            await client.get(link(one)),
            await bob.client.post(link(one, "/accept")),
            await client.post(link(one, "/decline")),
        ):
            assert refusal(answer) == (404, "invitation_not_found")
    assert (await client.get(link("x" * 201))).status_code == 422
    assert (await ann.client.get(path_of(made))).status_code == 404


async def test_a_member_cannot_come_in_again(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email, "ADMIN")
    await join(platform, workspace_id, bob, Role.VIEWER)
    answer = await bob.client.post(link(await token_of(platform, made["id"]), "/accept"))
    assert refusal(answer) == (409, "already_member")
    assert (await roles_of(ann, workspace_id))[bob.email] == "VIEWER", "an invitation is no way up"


async def test_an_accepted_invitation_brings_nobody_back(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email)
    token = await token_of(platform, made["id"])
    member_id = (await bob.client.post(link(token, "/accept"))).json()["memberId"]
    assert (await ann.client.delete(f"/api/team/members/{member_id}")).status_code == 200
    assert refusal(await bob.client.post(link(token, "/accept"))) == (410, "invitation_closed")


# --- seats -----------------------------------------------------------------------------------------------------


async def test_the_eleventh_is_refused_with_the_plan_that_would_do(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann, Plan.TEAM_STANDARD)
    for _ in range(9):
        await join(platform, workspace_id, await new_person(), Role.VIEWER)
    bob = await new_person()
    made = await invited(ann, workspace_id, bob.email, "VIEWER")
    token = await token_of(platform, made["id"])
    answer = await bob.client.post(link(token, "/accept"))
    content = answer.json()
    assert refusal(answer) == (402, "plan_limit_reached")
    assert {name: content[name] for name in ("metric", "limit", "used", "plan", "planName")} == {
        "metric": "USERS",
        "limit": 10,
        "used": 10,
        "plan": "TEAM_STANDARD",
        "planName": "Team Standard",
    }
    assert (content["upgradePlan"], content["upgradePlanName"]) == ("TEAM_PREMIUM", "Team Premium")
    assert (
        content["detail"] == "The plan Team Standard holds 10 of USERS; there are 10 already. Team Premium would do."
    )
    assert content["upgradeUrl"] == "http://site.local/dashboard/billing"
    assert (await row_of(platform, made["id"])).status == "PENDING", "once there is room it is still good"
    viewer = next(one for one in await members_of(ann, workspace_id) if one["role"] == "VIEWER")
    await ann.client.delete(f"/api/team/members/{viewer['id']}")
    assert (await bob.client.post(link(token, "/accept"))).status_code == 200


async def members_of(viewer: Person, workspace_id: str) -> list[dict[str, Any]]:
    answer = await viewer.client.get("/api/team/members", params={"workspaceId": workspace_id, "limit": 200})
    found: list[dict[str, Any]] = answer.json()["members"]
    return found


async def test_who_pays_alone_is_told_of_the_smallest_team_plan(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = (await make_workspace(ann))["id"]
    made = await invited(ann, workspace_id, bob.email)
    answer = await bob.client.post(link(await token_of(platform, made["id"]), "/accept"))
    content = answer.json()
    assert refusal(answer) == (402, "plan_limit_reached")
    assert (content["plan"], content["limit"], content["upgradePlan"]) == ("FREE", 1, "TEAM_STANDARD")


# --- registration ----------------------------------------------------------------------------------------------


async def accepted_for(platform: Platform, person: Person, token: str) -> Role | None:
    async with platform.database.transaction() as session:
        user = await identity.user_by_id(session, person.id)
        assert user is not None
        member = await invitations.accept_for(session, platform, user, token)
        # The transaction goes on as if nothing had been tried.
        await session.execute(text("UPDATE users SET name = 'Registered' WHERE id = :id"), {"id": person.id})
        return None if member is None else Role(member.role)


async def test_a_registration_brings_its_invitation(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    made = await invited(ann, workspace_id, bob.email, "ADMIN")
    assert await accepted_for(platform, bob, await token_of(platform, made["id"])) is Role.ADMIN
    assert (await roles_of(ann, workspace_id))[bob.email] == "ADMIN"


async def test_the_link_leads_through_the_registration(
    platform: Platform, app: FastAPI, new_person: NewPerson
) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    email = fresh_address()
    made = await invited(ann, workspace_id, email, "VIEWER")
    token = await token_of(platform, made["id"])
    stranger = await register(app, invitationToken=token)
    invitee = await register(app, email=email, invitationToken=token)
    places = (await invitee.client.get("/api/auth/me")).json()["workspaces"]
    assert [(one["id"], one["role"]) for one in places] == [(workspace_id, "VIEWER")]
    assert (await stranger.client.get("/api/auth/me")).json()["workspaces"] == []
    for one in (stranger, invitee):
        await one.client.aclose()


async def test_no_registration_fails_because_of_a_token(
    platform: Platform, new_person: NewPerson, clock: MovableClock
) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    full = (await make_workspace(ann))["id"]
    foreign = await invited(ann, workspace_id, fresh_address())
    revoked = await invited(ann, workspace_id, bob.email)
    await ann.client.delete(path_of(revoked))
    seatless = await invited(ann, full, bob.email)
    expired = await invited(ann, workspace_id, bob.email)
    tokens = [await token_of(platform, one["id"]) for one in (foreign, revoked, seatless)]
    late = await token_of(platform, expired["id"])
    for token in ("", "unknown", "ü" * 500, *tokens):
        assert await accepted_for(platform, bob, token) is None, token
    pass_time(clock, days=8)
    assert await accepted_for(platform, bob, late) is None
    async with platform.database.reading() as session:
        user = await identity.user_by_id(session, bob.id)
        assert user is not None
        assert user.name == "Registered"
    assert bob.email not in await roles_of(ann, workspace_id)
    assert (await row_of(platform, seatless["id"])).status == "PENDING"


# --- forgetting ------------------------------------------------------------------------------------------------


async def test_addresses_are_forgotten_after_30_days(
    platform: Platform, new_person: NewPerson, clock: MovableClock
) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    revoked = await invited(ann, workspace_id, fresh_address())
    await ann.client.delete(path_of(revoked))
    expired = await invited(ann, workspace_id, fresh_address())

    async def left() -> set[str]:
        await run_sweep(platform, PERIODICS["team.forget_invitations"])
        async with platform.database.reading() as session:
            rows = await session.scalars(
                text("SELECT id FROM invitations WHERE workspace_id = :id"), {"id": UUID(workspace_id)}
            )
            return {str(one) for one in rows}

    pass_time(clock, days=30, seconds=-60)
    assert await left() == {revoked["id"], expired["id"]}
    pass_time(clock, seconds=120)
    assert await left() == {expired["id"]}
    pass_time(clock, days=7)
    assert await left() == set()
