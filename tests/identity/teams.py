"""Workspaces and members for tests."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text

from pm_api.core.actor import Actor, ActorKind
from pm_api.core.platform import Platform
from pm_api.identity import members
from pm_api.identity.models.people import AuditEntry
from pm_api.identity.permissions import Role
from tests.conftest import Person
from tests.support.plans import have_room


def unique_slug() -> str:
    return f"s-{uuid4().hex[:12]}"


async def make_workspace(owner: Person, **fields: Any) -> dict[str, Any]:
    answer = await owner.client.post("/api/workspaces", json={"name": "Acme", "slug": unique_slug(), **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["workspace"]
    return made


async def join(platform: Platform, workspace_id: str | UUID, person: Person, role: Role) -> UUID:
    """Take a person in, under a plan that holds them; returns the membership's id."""
    async with platform.database.transaction() as session:
        await have_room(session, platform, UUID(str(workspace_id)))
        member = await members.add(
            session, platform, Actor(ActorKind.SYSTEM), UUID(str(workspace_id)), person.id, role
        )
        return member.id


async def member_of(viewer: Person, workspace_id: str, person: Person) -> dict[str, Any]:
    """A person's membership, as another member sees it."""
    answer = await viewer.client.get("/api/team/members", params={"workspaceId": workspace_id, "limit": 200})
    assert answer.status_code == 200, answer.text
    [found] = [one for one in answer.json()["members"] if one["userId"] == str(person.id)]
    member: dict[str, Any] = found
    return member


async def audit_of(platform: Platform, workspace_id: str) -> list[AuditEntry]:
    async with platform.database.reading() as session:
        rows = await session.scalars(
            select(AuditEntry).where(AuditEntry.workspace_id == UUID(workspace_id)).order_by(AuditEntry.id)
        )
        return list(rows)


async def somebody_waits_for_a_lock(platform: Platform) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')")
    for _ in range(500):
        async with platform.database.reading() as session:
            if await session.scalar(waiting):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")
