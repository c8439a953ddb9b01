"""Invitations for tests: sent over HTTP, their links derived as the letter derives them."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.team import links
from pm_api.domains.team.models import Invitation
from pm_api.entitlements import service as entitlements
from pm_api.entitlements.enums import Plan
from tests.conftest import Person
from tests.identity.teams import make_workspace
from tests.support.plans import bought, have_room

Json = dict[str, Any]


async def a_team(platform: Platform, owner: Person, plan: Plan | None = None) -> str:
    """A workspace with room for many, or with a plan."""
    workspace_id: str = (await make_workspace(owner))["id"]
    async with platform.database.transaction() as session:
        if plan is None:
            await have_room(session, platform, UUID(workspace_id))
        else:
            await entitlements.write(session, platform, await bought(session, platform, UUID(workspace_id), plan))
    return workspace_id


async def invite(host: Person, workspace_id: str, *emails: str, role: str = "MEMBER") -> list[Json]:
    body = {"workspaceId": workspace_id, "emails": list(emails), "role": role}
    answer = await host.client.post("/api/team/invite", json=body)
    assert answer.status_code == 200, answer.text
    results: list[Json] = answer.json()["results"]
    return results


async def invited(host: Person, workspace_id: str, email: str, role: str = "MEMBER") -> Json:
    """One new invitation."""
    [result] = await invite(host, workspace_id, email, role=role)
    assert result["outcome"] == "INVITED", result
    made: Json = result["invitation"]
    return made


async def row_of(platform: Platform, invitation_id: str) -> Invitation:
    async with platform.database.reading() as session:
        row = await session.scalar(select(Invitation).where(Invitation.id == UUID(invitation_id)))
        assert row is not None
        return row


async def token_of(platform: Platform, invitation_id: str) -> str:
    """The token in the newest letter."""
    return links.token_of(platform.keys, (await row_of(platform, invitation_id)).letter_id)


def link(token: str, step: str = "") -> str:
    return f"/api/invitations/{token}{step}"


async def roles_of(viewer: Person, workspace_id: str) -> dict[str, str]:
    """Role by address."""
    answer = await viewer.client.get("/api/team/members", params={"workspaceId": workspace_id, "limit": 200})
    assert answer.status_code == 200, answer.text
    return {one["email"]: one["role"] for one in answer.json()["members"]}


async def path_of_member(viewer: Person, workspace_id: str, person: Person) -> str:
    answer = await viewer.client.get("/api/team/members", params={"workspaceId": workspace_id, "limit": 200})
    [found] = [one for one in answer.json()["members"] if one["userId"] == str(person.id)]
    return f"/api/team/members/{found['id']}"
