"""Demo data are put in once: what people make of them stays."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from pm_api.core.actor import Actor, ActorKind, WorkspaceScope
from pm_api.core.platform import Platform
from pm_api.core.recurrence import Window, zone
from pm_api.core.recurrence.zones import to_local
from pm_api.domains.calendar.expanding import placed
from pm_api.domains.calendar.repository import events
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


async def test_the_calendar_is_put_in_once(fresh_platform: Platform) -> None:
    """A weekly stand-up of which one was moved, in a room; and whatever people delete stays deleted."""
    made = await seed(fresh_platform, None)
    scope = WorkspaceScope(Actor(ActorKind.USER, made.user_id), made.workspace_id, made.user_id, Role.OWNER)
    now = fresh_platform.clock.now()
    month = Window(now, now + timedelta(days=30))
    async with fresh_platform.database.reading() as session:
        found = placed(await events.meeting(session, scope, month), month, "Europe/Berlin")
    titles = [one.value("title") for one in found]
    assert {"Stand-up", "Stand-up, a day late", "Planning", "Dana is off"} == set(titles)
    standups = [one for one in found if one.value("title").startswith("Stand-up")]
    starts = [to_local(one.start, zone("Europe/Berlin")) for one in standups]
    assert [f"{one:%A %H:%M}" for one in starts][:3] == ["Monday 09:30", "Tuesday 10:00", "Monday 09:30"]
    async with fresh_platform.database.transaction() as session:
        await session.execute(text("DELETE FROM calendar_events WHERE title = 'Planning'"))
    await seed(fresh_platform, None)
    async with fresh_platform.database.reading() as session:
        left = placed(await events.meeting(session, scope, month), month, "Europe/Berlin")
    assert [one.id for one in left] == [one.id for one in found if one.value("title") != "Planning"]
