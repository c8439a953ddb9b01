"""Many members at once: all or none, as a file that runs nothing, and messages that reach who may read them."""

import csv
import io
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pm_api.app import create_app
from pm_api.core.platform import Platform
from pm_api.domains.team import messages
from pm_api.identity.models.people import User
from pm_api.identity.permissions import Role
from pm_api.integrations.mail import Letter, render
from tests.conftest import NewPerson, Person, open_platform, register
from tests.domains.team.inviting import a_team, invite, invited, path_of_member, roles_of
from tests.identity.teams import audit_of, join, make_workspace
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

MEMBER, VIEWER, ADMIN, OWNER = Role.MEMBER, Role.VIEWER, Role.ADMIN, Role.OWNER


async def bulk(caller: Person, workspace_id: str, member_ids: Sequence[UUID | str], **body: Any) -> httpx.Response:
    ids = [str(one) for one in member_ids]
    return await caller.client.post("/api/team/bulk", json={"workspaceId": workspace_id, "memberIds": ids, **body})


# --- bulk ------------------------------------------------------------------------------------------------------


async def test_many_change_role_at_once(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cyd = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    ids = [await join(platform, workspace_id, one, MEMBER) for one in (bob, cyd)]
    body = {"action": "CHANGE_ROLE", "role": "VIEWER"}
    tried = await bulk(ann, workspace_id, ids, dryRun=True, **body)
    assert tried.json()["done"] is False
    assert [(one["allowed"], one["member"]["role"]) for one in tried.json()["results"]] == [(True, "VIEWER")] * 2
    before = len(await audit_of(platform, workspace_id))
    assert (await roles_of(ann, workspace_id))[bob.email] == "MEMBER", "a dry run changes nothing"
    answer = await bulk(ann, workspace_id, ids[::-1], **body)
    assert answer.json()["done"] is True
    assert [one["memberId"] for one in answer.json()["results"]] == [str(one) for one in ids[::-1]]
    roles = await roles_of(ann, workspace_id)
    assert (roles[bob.email], roles[cyd.email]) == ("VIEWER", "VIEWER")
    written = (await audit_of(platform, workspace_id))[before:]
    assert [one.action for one in written] == ["member.role_changed"] * 2, "and none of the dry run"


async def test_one_refusal_stops_all(platform: Platform, new_person: NewPerson) -> None:
    owner, admin, other, bob = [await new_person() for _ in range(4)]
    workspace_id = await a_team(platform, owner)
    await join(platform, workspace_id, admin, ADMIN)
    others = await join(platform, workspace_id, other, ADMIN)
    bobs = await join(platform, workspace_id, bob, MEMBER)
    unknown = uuid4()
    before = len(await audit_of(platform, workspace_id))
    answer = await bulk(admin, workspace_id, [bobs, others, unknown], action="REMOVE")
    content = answer.json()
    assert (answer.status_code, content["code"]) == (409, "bulk_refused")
    assert [one["pointer"] for one in content["details"]] == ["/memberIds/1", "/memberIds/2"]
    assert [one["detail"].partition(":")[0] for one in content["details"]] == ["role_too_high", "not_found"]
    assert bob.email in await roles_of(owner, workspace_id)
    assert len(await audit_of(platform, workspace_id)) == before
    tried = await bulk(admin, workspace_id, [bobs, others, unknown], action="REMOVE", dryRun=True)
    assert tried.status_code == 200
    assert [(one["allowed"], one["code"]) for one in tried.json()["results"]] == [
        (True, None),
        (False, "role_too_high"),
        (False, "not_found"),
    ]
    assert (await bob.client.get(f"/api/workspaces/{workspace_id}")).status_code == 200


async def test_all_owners_at_once_are_one_too_many(platform: Platform, new_person: NewPerson) -> None:
    """Each alone would be possible; all together leave nobody. The caller's own turn comes last."""
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    bobs = await join(platform, workspace_id, bob, OWNER)
    anns = (await path_of_member(ann, workspace_id, ann)).rsplit("/", 1)[1]
    for body in ({"action": "REMOVE"}, {"action": "CHANGE_ROLE", "role": "VIEWER"}):
        answer = await bulk(ann, workspace_id, [anns, bobs], **body)
        assert answer.json()["code"] == "bulk_refused"
        assert [one["detail"].partition(":")[0] for one in answer.json()["details"]] == ["last_owner"]
        assert answer.json()["details"][0]["pointer"] == "/memberIds/0"
    assert set((await roles_of(ann, workspace_id)).values()) == {"OWNER"}


async def test_an_owner_steps_down_after_the_others(platform: Platform, new_person: NewPerson) -> None:
    """Who demotes themselves among others may still change those that stand behind them in the list."""
    ann, bob, cyd = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, cyd, OWNER)
    bobs = await join(platform, workspace_id, bob, ADMIN)
    anns = (await path_of_member(ann, workspace_id, ann)).rsplit("/", 1)[1]
    answer = await bulk(ann, workspace_id, [anns, bobs], action="CHANGE_ROLE", role="VIEWER")
    assert answer.status_code == 200, answer.text
    assert await roles_of(cyd, workspace_id) == {ann.email: "VIEWER", bob.email: "VIEWER", cyd.email: "OWNER"}


async def test_the_removed_leave_to_one(platform: Platform, new_person: NewPerson) -> None:
    owner, admin, bob = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    admins = await join(platform, workspace_id, admin, ADMIN)
    bobs = await join(platform, workspace_id, bob, MEMBER)
    owners = (await path_of_member(owner, workspace_id, owner)).rsplit("/", 1)[1]
    await invited(admin, workspace_id, f"{uuid4().hex}@example.com")
    wrong = await bulk(owner, workspace_id, [admins, bobs], action="REMOVE", reassignTo=str(bobs))
    assert (wrong.status_code, wrong.json()["code"]) == (409, "bulk_refused")
    answer = await bulk(owner, workspace_id, [admins, bobs], action="REMOVE", reassignTo=owners)
    [left] = [one for result in answer.json()["results"] for one in result["leftBehind"]]
    assert (left["kind"], left["count"], left["reassigned"]) == ("invitations", 1, 1)
    assert set(await roles_of(owner, workspace_id)) == {owner.email}
    for gone in (admin, bob):
        assert (await gone.client.get(f"/api/workspaces/{workspace_id}")).status_code == 404


async def test_what_bulk_takes(client: httpx.AsyncClient, platform: Platform, new_person: NewPerson) -> None:
    ann, bob, stranger = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    bobs = await join(platform, workspace_id, bob, MEMBER)
    body = {"workspaceId": workspace_id, "memberIds": [str(bobs)], "action": "REMOVE"}
    asked = [await one.post("/api/team/bulk", json=body) for one in (client, bob.client, stranger.client)]
    assert [one.status_code for one in asked] == [401, 403, 404]
    for wrong in (
        {**body, "memberIds": []},
        {**body, "memberIds": [str(bobs)] * 2},
        {**body, "memberIds": [str(uuid4()) for _ in range(101)]},
        {**body, "role": "VIEWER"},
        {**body, "action": "CHANGE_ROLE"},
        {**body, "action": "CHANGE_ROLE", "role": "VIEWER", "reassignTo": str(uuid4())},
        {**body, "action": "EXPLODE"},
        {**body, "dryRun": "yes"},
        {**body, "why": "x"},
    ):
        assert (await ann.client.post("/api/team/bulk", json=wrong)).status_code == 422, wrong
    assert bob.email in await roles_of(ann, workspace_id)


async def test_a_bulk_change_is_done_once_under_its_key(platform: Platform, new_person: NewPerson) -> None:
    ann, bob = await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    bobs = await join(platform, workspace_id, bob, MEMBER)
    body = {"workspaceId": workspace_id, "memberIds": [str(bobs)], "action": "REMOVE"}
    headers = {"Idempotency-Key": uuid4().hex}
    first, second = [await ann.client.post("/api/team/bulk", json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"


# --- the file --------------------------------------------------------------------------------------------------


async def exported(caller: Person, workspace_id: str, **body: Any) -> httpx.Response:
    return await caller.client.post("/api/team/export", json={"workspaceId": workspace_id, **body})


async def test_the_team_as_a_file_that_runs_nothing(platform: Platform, new_person: NewPerson) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://evil.example","x")']
    ann = await new_person(name="Ann, the first")
    workspace_id = await a_team(platform, ann)
    people = [await new_person(name="Somebody") for _ in evil]
    for one in people:
        await join(platform, workspace_id, one, VIEWER)
    # Blanks at the ends of a name are cut on the way in; a file defuses whatever stands in the table.
    async with platform.database.transaction() as session:
        for one, name in zip(people, evil, strict=True):
            user = await session.get(User, one.id)
            assert user is not None
            user.name = name
    waiting = await invited(ann, workspace_id, f"-{uuid4().hex}@example.com")
    answer = await exported(ann, workspace_id)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="team.csv"'
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["name", "email", "role", "status", "joinedAt", "invitedAt", "userId", "id"]
    assert rows[1][0] == "Ann, the first"
    assert [row[0] for row in rows[2:-1]] == [f"'{name}" for name in evil]
    assert rows[-1][:4] == ["", f"'{waiting['email']}", "MEMBER", "INVITED"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    as_json = (await exported(ann, workspace_id, format="JSON")).json()["members"]
    assert [one["name"] for one in as_json] == ["Ann, the first", *evil, None]
    owners = (await exported(ann, workspace_id, format="json", role="OWNER")).json()["members"]
    assert [one["userId"] for one in owners] == [str(ann.id)]
    taken = [one for one in await audit_of(platform, workspace_id) if one.action == "team.exported"]
    assert [(one.actor_user_id, one.details["format"]) for one in taken] == [
        (ann.id, "csv"),
        (ann.id, "json"),
        (ann.id, "json"),
    ]


async def test_a_file_longer_than_a_page(platform: Platform, new_person: NewPerson) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    emails = [f"{n:03}{uuid4().hex}@example.com" for n in range(230)]
    for start in range(0, len(emails), 100):
        await invite(ann, workspace_id, *emails[start : start + 100])
    found = (await exported(ann, workspace_id, format="json")).json()["members"]
    assert sorted(one["email"] for one in found) == sorted([*emails, ann.email])
    lines = (await exported(ann, workspace_id)).text.splitlines()
    assert len(lines) == 1 + 1 + 230
    assert sum(line.startswith("name,") for line in lines) == 1


async def test_who_may_take_the_team_home(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    ann, bob, stranger = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    await join(platform, workspace_id, bob, MEMBER)
    body = {"workspaceId": workspace_id}
    asked = [await one.post("/api/team/export", json=body) for one in (client, bob.client, stranger.client)]
    assert [one.status_code for one in asked] == [401, 403, 404]
    for wrong in ({}, {**body, "format": "xlsx"}, {**body, "role": "KING"}, {**body, "x": 1}):
        assert (await ann.client.post("/api/team/export", json=wrong)).status_code == 422


# --- messages --------------------------------------------------------------------------------------------------


async def message(caller: Person, workspace_id: str, **body: Any) -> httpx.Response:
    words = {"subject": "Launch", "message": "On Friday.\nBe there."}
    return await caller.client.post("/api/team/message", json={"workspaceId": workspace_id, **words, **body})


async def told(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.client.get("/api/notifications")).json()["notifications"]
    return [one for one in found if one["type"] == "team.message"]


async def test_a_message_reaches_those_it_is_for(platform: Platform, new_person: NewPerson) -> None:
    ann, bob, cyd, dan = [await new_person(name=name) for name in ("Ann", "Bob", "Cyd", "Dan")]
    workspace_id = await a_team(platform, ann)
    bobs = await join(platform, workspace_id, bob, MEMBER)
    await join(platform, workspace_id, cyd, VIEWER)
    assert (await message(ann, workspace_id, memberIds=[str(bobs)])).json() == {"sent": 1}
    assert (await message(bob, workspace_id, subject="Again")).json() == {"sent": 2}
    [first] = await told(bob)
    assert (first["title"], first["body"], first["workspaceId"]) == ("Launch", "On Friday.\nBe there.", workspace_id)
    assert first["reason"] == "Ann wrote this to members of Acme."
    assert [one["title"] for one in await told(ann)] == ["Again"]
    assert [one["title"] for one in await told(cyd)] == ["Again"]
    assert await told(dan) == []


def test_its_mail_says_first_who_wrote_it() -> None:
    said = Letter(
        type="team.message",
        title="Launch",
        body="On Friday.",
        reason="Ann wrote this to members of Acme.",
        product="Acme",
        site_url="https://site.local",
        data={"senderName": "Ann <Archer>", "workspaceName": "Acme"},
    )
    written = render(said)
    lines = [one for one in written.text.splitlines() if one]
    assert lines[:3] == ["Launch", "Ann <Archer> wrote:", "> On Friday."]
    assert "On Friday." in written.html.partition("Ann &lt;Archer&gt; wrote:")[2]


async def test_who_may_write_to_whom(client: httpx.AsyncClient, platform: Platform, new_person: NewPerson) -> None:
    ann, viewer, stranger = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, ann)
    alone = await message(ann, workspace_id)
    assert (alone.status_code, alone.json()["code"]) == (422, "no_receivers")
    viewers = await join(platform, workspace_id, viewer, VIEWER)
    body = {"workspaceId": workspace_id, "subject": "Launch", "message": "On Friday."}
    asked = [await one.post("/api/team/message", json=body) for one in (client, viewer.client, stranger.client)]
    assert [one.status_code for one in asked] == [401, 403, 404]
    elsewhere = (await make_workspace(stranger))["id"]
    strangers = (await path_of_member(stranger, elsewhere, stranger)).rsplit("/", 1)[1]
    for unknown in (str(uuid4()), strangers):
        answer = await message(ann, workspace_id, memberIds=[str(viewers), unknown])
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await told(viewer) == []
    assert await told(stranger) == []
    refused: tuple[dict[str, Any], ...] = (
        {"subject": ""},
        {"subject": "  "},
        {"subject": "a\nBcc: b@example.com"},
        {"subject": "x" * 121},
        {"message": ""},
        {"message": "x" * 2001},
        {"memberIds": []},
        {"memberIds": [str(viewers)] * 2},
        {"html": "<b>"},
    )
    for wrong in refused:
        assert (await message(ann, workspace_id, **wrong)).status_code == 422, wrong


async def test_everybody_is_a_bounded_word(
    platform: Platform, new_person: NewPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await new_person()
    workspace_id = await a_team(platform, ann)
    for _ in range(3):
        await join(platform, workspace_id, await new_person(), VIEWER)
    monkeypatch.setattr(messages, "MOST_RECEIVERS", 2)
    answer = await message(ann, workspace_id)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_receivers")
    monkeypatch.setattr(messages, "MOST_RECEIVERS", 3)
    assert (await message(ann, workspace_id)).json() == {"sent": 3}


async def test_messages_are_rationed(worker_database: str) -> None:
    settings = settings_for(worker_database, rate_limits=True)
    async with open_platform(settings, MovableClock()) as limited:
        app = create_app(settings, limited, connect=False)
        ann, bob = await register(app), await register(app)
        workspace_id = await a_team(limited, ann)
        await join(limited, workspace_id, bob, MEMBER)
        statuses = [(await message(ann, workspace_id)).status_code for _ in range(21)]
        assert statuses == [200] * 20 + [429]
        assert (await message(bob, workspace_id)).status_code == 200, "it is each caller's own ration"
        for one in (ann, bob):
            await one.client.aclose()
