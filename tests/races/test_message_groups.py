"""Groups whose managers go while others go, or while somebody is speaking: a group people are in keeps a manager."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import select

from pm_api.core.actor import SystemScope, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.domains.messages import conversations, membership, service
from pm_api.domains.messages.enums import NewKind
from pm_api.domains.messages.models import Conversation
from pm_api.domains.messages.schemas.conversations import ConversationCreate
from pm_api.domains.messages.schemas.messages import MessageCreate
from pm_api.identity import members
from pm_api.identity.models.people import Member, ScopeMember
from pm_api.identity.repository import people as identity
from tests.domains.changes.people import Caller, new_caller, new_workspace

A_MOMENT_S = 0.3
SYSTEM = SystemScope("a test")


@dataclass
class Group:
    """`people` are the workspace's owner, who is not in it, then its admin, then the others."""

    platform: Platform
    id: UUID
    people: list[Caller]
    workspace_id: UUID

    def scope(self, number: int) -> WorkspaceScope:
        return self.people[number].within(self.workspace_id, "OWNER" if number == 0 else "MEMBER")

    async def circle(self) -> dict[UUID, str | None]:
        async with self.platform.database.reading() as session:
            rows = await session.execute(
                select(ScopeMember.user_id, ScopeMember.role)
                .join(Conversation, Conversation.scope_id == ScopeMember.scope_id)
                .where(Conversation.id == self.id)
            )
            return {row[0]: row[1] for row in rows}

    async def membership_of(self, number: int) -> UUID:
        async with self.platform.database.reading() as session:
            found = await identity.member_by_user(session, self.workspace_id, self.people[number].id)
        assert isinstance(found, Member)
        return found.id


@pytest.fixture
async def group(fresh_platform: Platform) -> Group:
    people = [await new_caller(fresh_platform) for _ in range(4)]
    workspace_id = await new_workspace(fresh_platform, *people)
    wanted = ConversationCreate(
        workspaceId=workspace_id, kind=NewKind.GROUP, name="Ours", memberIds=[one.id for one in people[2:]]
    )
    async with fresh_platform.database.transaction() as session:
        made = await conversations.create(session, fresh_platform, people[1].within(workspace_id), wanted)
    return Group(fresh_platform, made.id, people, workspace_id)


async def heir_of(group: Group) -> int:
    """Who comes after its admin: of those who came at once, the first by id."""
    return min((2, 3), key=lambda number: group.people[number].id)


async def test_who_is_just_leaving_the_workspace_inherits_no_group(group: Group) -> None:
    platform, heir = group.platform, await heir_of(group)
    other = 5 - heir
    place = await group.membership_of(heir)

    async def admin_goes() -> None:
        async with platform.database.transaction() as session:
            await membership.leave(session, platform, group.scope(1), group.id)

    async with platform.database.transaction() as session:
        await members.remove(session, platform, group.scope(0), place, None)
        going = asyncio.create_task(admin_goes())
        done, _ = await asyncio.wait({going}, timeout=A_MOMENT_S)
        assert not done
    await going
    assert await group.circle() == {group.people[other].id: "ADMIN"}


async def test_a_mended_group_is_not_given_to_who_is_just_leaving(group: Group) -> None:
    platform, heir = group.platform, await heir_of(group)
    other = 5 - heir
    admins_place, place = await group.membership_of(1), await group.membership_of(heir)
    async with platform.database.transaction() as session:
        await members.remove(session, platform, group.scope(0), admins_place, None)

    async def mend() -> int:
        async with platform.database.transaction() as session:
            return await membership.mend(session, platform, SYSTEM, group.workspace_id, limit=10)

    async with platform.database.transaction() as session:
        await members.remove(session, platform, group.scope(0), place, None)
        mending = asyncio.create_task(mend())
        done, _ = await asyncio.wait({mending}, timeout=A_MOMENT_S)
        assert not done
    assert await mending == 1
    assert await group.circle() == {group.people[other].id: "ADMIN"}


async def test_a_group_in_which_somebody_is_speaking_is_mended_too(group: Group) -> None:
    platform = group.platform
    place = await group.membership_of(1)
    async with platform.database.transaction() as session:
        await members.remove(session, platform, group.scope(0), place, None)

    async def mend() -> int:
        async with platform.database.transaction() as session:
            return await membership.mend(session, platform, SYSTEM, group.workspace_id, limit=10)

    async with platform.database.transaction() as session:
        await service.post(session, platform, group.scope(2), MessageCreate(conversationId=group.id, body="Well?"))
        mending = asyncio.create_task(mend())
        await asyncio.wait({mending}, timeout=A_MOMENT_S)
    assert await mending == 1
    assert sorted((await group.circle()).values(), key=str) == ["ADMIN", "MEMBER"]
