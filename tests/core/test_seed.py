"""Demo data are put in once: what people make of them stays."""

from uuid import UUID

import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.identity import members
from pm_api.identity.models.people import Member, User
from pm_api.identity.permissions import Role
from pm_api.identity.repository import people as repository
from pm_api.seed import DEMO, TEAM, seed


async def team(platform: Platform, workspace_id: UUID) -> dict[str, str]:
    async with platform.database.reading() as session:
        rows = await session.execute(
            select(User.email, Member.role)
            .join(Member, Member.user_id == User.id)
            .where(Member.workspace_id == workspace_id)
        )
        return {row[0]: row[1] for row in rows}


ALL = {DEMO[0]: Role.OWNER, **{email: role for email, _, role in TEAM}}


async def test_a_second_run_leaves_the_team_as_it_was_made(fresh_platform: Platform) -> None:
    made = await seed(fresh_platform, None)
    assert await team(fresh_platform, made.workspace_id) == ALL
    async with fresh_platform.database.transaction() as session:
        olga, milo = [await repository.user_by_email(session, email) for email, _, _ in TEAM[:2]]
        assert olga is not None
        assert milo is not None
        place = await repository.member_by_user(session, made.workspace_id, milo.id)
        demoted = await repository.member_by_user(session, made.workspace_id, olga.id)
        assert place is not None
        assert demoted is not None
        demoted.role = Role.VIEWER
        await session.delete(place)
    again = await seed(fresh_platform, None)
    assert again == made
    assert await team(fresh_platform, made.workspace_id) == {
        email: Role.VIEWER if email == TEAM[0][0] else role for email, role in ALL.items() if email != TEAM[1][0]
    }


async def test_a_run_that_was_cut_short_is_completed(
    fresh_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding, added = members.add, 0

    async def dies_at_the_third(*arguments: object, **named: object) -> object:
        nonlocal added
        added += 1
        if added == 3:
            raise KeyboardInterrupt
        return await adding(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(members, "add", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            await seed(fresh_platform, None)
    made = await seed(fresh_platform, None)
    assert await team(fresh_platform, made.workspace_id) == ALL


async def test_a_workspace_that_was_deleted_is_not_made_again(fresh_platform: Platform) -> None:
    made = await seed(fresh_platform, None)
    async with fresh_platform.database.transaction() as session:
        row = await repository.lock_workspace(session, made.workspace_id)
        assert row is not None
        row.deleted_at = fresh_platform.clock.now()
    assert (await seed(fresh_platform, None)).workspace_id == made.workspace_id
