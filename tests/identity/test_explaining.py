"""Why somebody may or may not: the words say the same as the guards do."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from pm_api import registry
from pm_api.core.db import Base
from pm_api.core.platform import Platform
from pm_api.identity.explaining import ACTIONS, OF_AN_ACCOUNT, RESOURCES
from pm_api.identity.permissions import PERMISSIONS, Role, may_manage
from tests.conftest import NewPerson, Person
from tests.domains.team.inviting import a_team, invited
from tests.identity.teams import join, make_workspace, member_of

assert registry.MODULES, "every module with tables is imported"


async def explained(person: Person, resource: str, action: str) -> dict[str, Any]:
    answer = await person.client.get("/api/permissions/explain", params={"resource": resource, "action": action})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["permission"]
    return found


@pytest.mark.parametrize("role", Role)
async def test_a_role_has_a_permission_or_not(platform: Platform, new_person: NewPerson, role: Role) -> None:
    owner, person = await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    await join(platform, workspace_id, person, role)
    for action in sorted(ACTIONS):
        found = await explained(person, f"workspace:{workspace_id}", action)
        assert found["allowed"] == (action in PERMISSIONS[role]), action
        assert (found["role"], found["rule"], found["workspaceId"]) == (role, "ROLE", workspace_id)
        assert set(found["grantedTo"]) == {one for one in Role if action in PERMISSIONS[one]}
        if found["allowed"]:
            assert (found["wouldGrant"], found["grantedBy"]) == (None, [])
        else:
            assert action in PERMISSIONS[Role(found["wouldGrant"])]
            assert found["grantedBy"]
            assert all(may_manage(one, role, found["wouldGrant"]) for one in found["grantedBy"])
            assert action in found["because"]


async def test_what_is_said_is_what_happens(platform: Platform, new_person: NewPerson) -> None:
    owner, viewer = await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    await join(platform, workspace_id, viewer, Role.VIEWER)
    for person, status in ((owner, 200), (viewer, 403)):
        found = await explained(person, f"workspace:{workspace_id}", "audit.read")
        answer = await person.client.get(f"/api/workspaces/{workspace_id}/audit")
        assert answer.status_code == status
        assert found["allowed"] == (status == 200)
    assert (found["wouldGrant"], found["grantedBy"]) == ("ADMIN", ["ADMIN", "OWNER"])


@pytest.mark.parametrize("caller", Role)
@pytest.mark.parametrize("other", Role)
async def test_over_a_member_the_rank_counts_too(
    platform: Platform, new_person: NewPerson, caller: Role, other: Role
) -> None:
    owner, person, target = await new_person(), await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    await join(platform, workspace_id, person, caller)
    member_id = await join(platform, workspace_id, target, other)
    found = await explained(person, f"member:{member_id}", "member.manage")
    tried = await person.client.put(f"/api/team/members/{member_id}", json={"role": other})
    assert found["allowed"] == (tried.status_code == 200)
    assert found["rule"] == ("RANK" if caller in (Role.OWNER, Role.ADMIN) else "ROLE")
    if not found["allowed"]:
        assert may_manage(found["wouldGrant"], other)


async def test_ones_own_membership_and_account(platform: Platform, new_person: NewPerson) -> None:
    owner, viewer = await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    member_id = await join(platform, workspace_id, viewer, Role.VIEWER)
    leaving = await explained(viewer, f"member:{member_id}", "member.leave")
    assert (leaving["allowed"], leaving["rule"]) == (True, "OWN_MEMBERSHIP")
    own = await explained(viewer, "account", "billing.manage")
    assert (own["allowed"], own["rule"], own["role"], own["workspaceId"]) == (True, "OWN_ACCOUNT", None, None)
    assert (await explained(viewer, "account", "api_key.manage"))["rule"] == "OWN_ACCOUNT", "everybody has their own"
    odd = await explained(viewer, "account", "member.manage")
    assert (odd["allowed"], odd["rule"], odd["wouldGrant"]) == (False, "NOT_APPLICABLE", None)


async def test_the_last_owner_is_told_that_they_cannot_leave(platform: Platform, new_person: NewPerson) -> None:
    owner, other = await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    own = (await member_of(owner, workspace_id, owner))["id"]
    await join(platform, workspace_id, other, Role.ADMIN)
    alone = await explained(owner, f"member:{own}", "member.leave")
    assert (alone["allowed"], alone["rule"], alone["wouldGrant"]) == (False, "OWN_MEMBERSHIP", None)
    assert "last owner" in alone["because"]
    assert alone["grantedTo"] == ["GUEST", "VIEWER", "MEMBER", "ADMIN"]
    tried = await owner.client.delete(f"/api/team/members/{own}")
    assert (tried.status_code, tried.json()["code"]) == (409, "last_owner")
    theirs = (await member_of(owner, workspace_id, other))["id"]
    assert (await owner.client.put(f"/api/team/members/{theirs}", json={"role": "OWNER"})).status_code == 200
    assert (await explained(owner, f"member:{own}", "member.leave"))["allowed"], "there is another one"
    assert (await owner.client.delete(f"/api/team/members/{own}")).status_code == 200


async def test_keys_and_endpoints_are_explained_too(platform: Platform, new_person: NewPerson) -> None:
    owner, member = await new_person(), await new_person()
    workspace_id = (await make_workspace(owner))["id"]
    await join(platform, workspace_id, member, Role.MEMBER)
    made = await owner.client.post(
        "/api/api-keys", json={"name": "Export", "scopes": ["member:read"], "workspaceId": workspace_id}
    )
    own = await member.client.post("/api/api-keys", json={"name": "Mine", "scopes": ["profile:read"]})
    endpoint = await owner.client.post(
        "/api/webhook-endpoints", json={"url": "https://example.com/", "workspaceId": workspace_id}
    )
    put = await owner.client.post(f"/api/webhook-endpoints/{endpoint.json()['webhookEndpoint']['id']}/test")
    for resource, action in (
        (f"apiKey:{made.json()['apiKey']['id']}", "api_key.manage"),
        (f"webhookEndpoint:{endpoint.json()['webhookEndpoint']['id']}", "webhook.manage"),
        (f"webhookDelivery:{put.json()['webhookDelivery']['id']}", "webhook.manage"),
    ):
        assert (await explained(owner, resource, action))["allowed"]
        refused = await explained(member, resource, action)
        assert (refused["allowed"], refused["role"], refused["wouldGrant"]) == (False, "MEMBER", "ADMIN")
    mine = await explained(member, f"apiKey:{own.json()['apiKey']['id']}", "api_key.manage")
    assert (mine["allowed"], mine["rule"]) == (True, "OWN_ACCOUNT")


async def test_what_one_may_not_know_of_is_not_explained(
    client: httpx.AsyncClient, platform: Platform, new_person: NewPerson
) -> None:
    owner, member, stranger = await new_person(), await new_person(), await new_person()
    workspace_id = await a_team(platform, owner)
    member_id = await join(platform, workspace_id, member, Role.MEMBER)
    invitation = await invited(owner, workspace_id, f"{uuid4().hex}@example.com")
    query = {"resource": f"workspace:{workspace_id}", "action": "workspace.read"}
    assert (await client.get("/api/permissions/explain", params=query)).status_code == 401
    for resource in (f"workspace:{workspace_id}", f"member:{member_id}", f"invitation:{invitation['id']}"):
        query["resource"] = resource
        assert (await stranger.client.get("/api/permissions/explain", params=query)).status_code == 404, resource
        assert (await explained(member, resource, "workspace.read"))["allowed"]
    for kind in RESOURCES:
        query["resource"] = f"{kind}:{uuid4()}"
        assert (await owner.client.get("/api/permissions/explain", params=query)).status_code == 404, kind
    for resource in ("planet:" + str(uuid4()), "workspace:x", "workspace", "", "account:" + str(uuid4())):
        query["resource"] = resource
        answer = await owner.client.get("/api/permissions/explain", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_permission"), resource
    wrong = await owner.client.get(
        "/api/permissions/explain", params={"resource": f"workspace:{workspace_id}", "action": "world.rule"}
    )
    assert "member.manage" in wrong.json()["detail"]
    await owner.client.delete(f"/api/workspaces/{workspace_id}")
    query["resource"] = f"workspace:{workspace_id}"
    assert (await owner.client.get("/api/permissions/explain", params=query)).status_code == 404
    assert (await explained(owner, f"workspace:{workspace_id}", "workspace.restore"))["allowed"]


def test_every_resource_is_a_table_that_says_whose_its_rows_are() -> None:
    for kind, name in RESOURCES.items():
        columns = Base.metadata.tables[name].columns
        if kind == "workspace":
            continue
        assert ("account_id" if kind in OF_AN_ACCOUNT else "workspace_id") in columns, kind
        assert "id" in columns
