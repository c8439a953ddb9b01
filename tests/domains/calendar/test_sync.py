"""Following what changes: a client that does what the documentation says ends with exactly what the server shows."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, update

from pm_api.core.platform import Platform
from pm_api.domains.calendar.models import CalendarEvent
from pm_api.domains.changes.models import Change, Feed
from pm_api.domains.projects.models import Project
from pm_api.identity.models.people import User
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Follower, Json, key, open_diary, refusal
from tests.support.clock import MovableClock

SECOND: Final = "20260309T130000Z"
THIRD: Final = "20260316T130000Z"


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def ask(diary: Diary, by: Person | None = None, **query: Any) -> httpx.Response:
    asked = {"workspaceId": diary.id, **query}
    return await (by or diary.owner).client.get("/api/calendar/changes", params=asked)


async def agrees(diary: Diary, follower: Follower) -> None:
    """What it holds is what somebody holds who has just begun."""
    await follower.sync()
    beginner = await Follower(follower.person, diary.id, 200).sync()
    assert follower.held == beginner.held


async def test_it_begins_with_everything_and_goes_on_with_what_changed(diary: Diary) -> None:
    one, other = await diary.event(title="One"), await diary.event(title="Other")
    follower = await diary.follower().sync()
    assert follower.held == {event["id"]: await diary.read(event["id"]) for event in (one, other)}
    await diary.patch(one["id"], title="Renamed")
    await diary.delete(other["id"])
    new = await diary.event(title="New")
    answer = await follower.page()
    assert [(each["id"], each.get("title"), each["status"]) for each in answer.json()["events"]] == [
        (one["id"], "Renamed", "CONFIRMED"),
        (other["id"], None, "CANCELLED"),
        (new["id"], "New", "CONFIRMED"),
    ]
    await agrees(diary, follower)
    assert follower.times_expired == 0
    nothing = await follower.page()
    assert nothing.json()["events"] == []


async def test_an_empty_calendar_gives_a_token_that_is_good_for_its_first_event(diary: Diary) -> None:
    follower = await diary.follower().sync()
    assert follower.held == {}
    await diary.event(title="First")
    await follower.sync()
    assert (follower.titles, follower.times_expired) == (["First"], 0)


async def test_a_project_made_later_comes_with_its_events_and_costs_no_token(diary: Diary) -> None:
    member = await diary.person(Role.MEMBER)
    followers = [await diary.follower(by).sync() for by in (diary.owner, member)]
    project = await diary.project()
    await diary.event(title="In it", projectId=project["id"])
    for follower in followers:
        await follower.sync()
        assert (follower.titles, follower.times_expired) == (["In it"], 0)


async def test_occurrences_that_differ_come_with_their_series(diary: Diary) -> None:
    series = await diary.series()
    await diary.patch(key(series["id"], SECOND), query={"scope": "this"}, title="Other")
    follower = await diary.follower().sync()
    assert set(follower.held) == {series["id"], key(series["id"], SECOND)}
    await diary.delete(key(series["id"], THIRD), scope="this")
    await follower.sync()
    taken = follower.held[key(series["id"], THIRD)]
    assert (taken["status"], taken["seriesId"], taken["isException"]) == ("CANCELLED", series["id"], True)
    assert follower.held[key(series["id"], SECOND)]["title"] == "Other"
    await agrees(diary, follower)


async def test_a_split_tells_of_both_parts(diary: Diary) -> None:
    series = await diary.series()
    await diary.patch(key(series["id"], THIRD), query={"scope": "this"}, title="Other")
    follower = await diary.follower().sync()
    await diary.patch(key(series["id"], SECOND), query={"scope": "following"}, location="Room 4")
    await follower.sync()
    (second,) = [one for one in follower.held.values() if one["previousSeriesId"] and one["seriesId"] is None]
    assert set(follower.held) == {series["id"], second["id"], key(second["id"], THIRD)}
    await agrees(diary, follower)
    await diary.delete(second["id"])
    await follower.sync()
    assert set(follower.held) == {series["id"]}, "with a series its occurrences go"


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_are_walked_through_whatever_their_size(diary: Diary, limit: int) -> None:
    series = await diary.series()
    for one in (SECOND, THIRD, "20260323T130000Z"):
        await diary.patch(key(series["id"], one), query={"scope": "this"}, title=f"At {one}")
    await diary.event(title="Single")
    small, large = await diary.follower(limit=limit).sync(), await diary.follower().sync()
    assert small.held == large.held
    assert small.pages >= 5 // limit
    await diary.patch(series["id"], description="Changed")
    await diary.event(title="Another")
    pages = small.pages
    await agrees(diary, small)
    assert small.pages - pages >= 5 // limit


async def test_what_happens_during_a_walk_comes_with_the_next(diary: Diary) -> None:
    made = [await diary.event(title=f"No. {number}") for number in range(4)]
    follower = diary.follower(limit=2)
    first = (await follower.page()).json()
    await diary.delete(made[0]["id"])
    await diary.patch(made[1]["id"], title="Renamed")
    await diary.delete(made[3]["id"])
    await diary.event(title="New")
    follower.take(first["events"])
    second = (await follower.page(first["nextCursor"])).json()
    follower.take(second["events"])
    while second["nextCursor"] is not None:
        second = (await follower.page(second["nextCursor"])).json()
        follower.take(second["events"])
    follower.token = second["nextSyncToken"]
    await agrees(diary, follower)
    assert follower.titles == ["New", "No. 2", "Renamed"]


async def test_more_changes_than_one_stretch_holds(diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pm_api.domains.changes.service.SCANNED_POSITIONS", 3)
    monkeypatch.setattr("pm_api.domains.calendar.syncing.STRETCH", 2)
    monkeypatch.setattr("pm_api.domains.calendar.syncing.MOST_STRETCHES", 2)
    made = [await diary.event(title=f"No. {number}") for number in range(5)]
    follower = await diary.follower(limit=2).sync()
    for number in range(3):
        for one in made:
            await diary.patch(one["id"], title=f"{one['title']}, {number}")
        await diary.project(name=f"Beside {number}")
        for _ in range(4):
            await diary.owner.client.patch(f"/api/workspaces/{diary.id}", json={"name": f"Team {uuid4()}"})
    await agrees(diary, follower)
    assert follower.times_expired == 0


async def test_masking_comes_and_goes(diary: Diary) -> None:
    member, invited = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    series = await diary.series(title="Salaries", attendeeIds=[str(invited.id)])
    followers = {by.id: await diary.follower(by).sync() for by in (diary.owner, member, invited)}
    await diary.patch(series["id"], visibility="PRIVATE")
    await diary.patch(key(series["id"], SECOND), query={"scope": "this"}, title="Bonuses")
    for follower in followers.values():
        await agrees(diary, follower)
        assert follower.times_expired == 0
    assert followers[member.id].titles == ["Busy", "Busy"]
    assert "Salaries" not in str(followers[member.id].held)
    assert "Bonuses" not in str(followers[member.id].held)
    assert followers[invited.id].titles == ["Bonuses", "Salaries"]
    await diary.patch(series["id"], visibility="DEFAULT")
    await agrees(diary, followers[member.id])
    assert followers[member.id].titles == ["Bonuses", "Salaries"]


async def test_an_answer_to_what_is_masked_is_nobody_elses_business(diary: Diary) -> None:
    member, invited = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    series = await diary.series(visibility="PRIVATE", attendeeIds=[str(invited.id)])
    follower, own = await diary.follower(member).sync(), await diary.follower(invited).sync()
    answered = await invited.client.post(
        f"/api/calendar/events/{key(series['id'], SECOND)}/respond", json={"response": "DECLINED"}
    )
    assert answered.status_code == 200, answered.text
    await follower.sync()
    await own.sync()
    assert set(follower.held) == {series["id"]}
    assert own.held[key(series["id"], SECOND)]["myResponse"] == "DECLINED"
    await agrees(diary, own)


async def test_an_event_that_goes_where_somebody_does_not_see_it_is_gone(diary: Diary) -> None:
    member = await diary.person(Role.MEMBER)
    private, public = await diary.project(isPrivate=True), await diary.project(name="Open")
    event = await diary.event(title="Wanders", projectId=public["id"])
    hidden = await diary.event(title="Hidden", projectId=private["id"])
    follower = await diary.follower(member).sync()
    assert follower.titles == ["Wanders"]
    await diary.patch(event["id"], projectId=private["id"])
    await diary.patch(hidden["id"], title="Still hidden")
    answer = (await follower.page()).json()
    assert answer["events"] == [{"id": event["id"], "status": "CANCELLED"}], "of what was never seen nothing is told"
    await agrees(diary, follower)
    await diary.patch(event["id"], projectId=None)
    await agrees(diary, follower)
    assert (follower.titles, follower.times_expired) == (["Wanders"], 0)


async def test_whose_sight_changed_begins_again(diary: Diary) -> None:
    """Into a project, out of it, another role in it; archived, deleted, restored; another role in the workspace."""
    member = await diary.person(Role.MEMBER)
    project = await diary.project(isPrivate=True)
    await diary.event(title="Inside", projectId=project["id"])
    follower, owners = await diary.follower(member).sync(), await diary.follower().sync()
    path = f"/api/projects/{project['id']}"

    async def expires(follower: Follower, titles: list[str]) -> None:
        assert refusal(await follower.page()) == (410, "sync_token_expired")
        await agrees(diary, follower)
        assert follower.titles == titles

    await diary.put(project, member, "MEMBER")
    await expires(follower, ["Inside"])
    assert (await owners.page()).status_code == 200, "whose own sight is the same goes on"
    await diary.put(project, member, "ADMIN")
    await expires(follower, ["Inside"])
    assert (await diary.owner.client.post(f"{path}/archive")).status_code == 200
    await expires(follower, ["Inside"])
    assert (await diary.owner.client.post(f"{path}/restore")).status_code == 200
    await expires(follower, ["Inside"])
    left = await diary.owner.client.delete(f"{path}/members/{member.id}")
    assert left.status_code in (200, 204), left.text
    await expires(follower, [])
    await owners.sync()
    assert (await diary.owner.client.delete(path)).status_code in (200, 204)
    await expires(owners, [])
    assert (await diary.owner.client.post(f"{path}/restore")).status_code == 200
    await expires(owners, ["Inside"])


async def test_a_zone_that_moves_all_day_events_begins_again(diary: Diary) -> None:
    await diary.event(title="Holiday", allDay=True, startTime="2026-03-02", endTime="2026-03-03")
    follower = await diary.follower().sync()
    async with diary.platform.database.transaction() as session:
        await session.execute(update(User).where(User.id == diary.owner.id).values(time_zone="Asia/Tokyo"))
    await agrees(diary, follower)
    assert follower.times_expired == 1


async def test_a_token_is_good_for_thirty_days(diary: Diary, clock: MovableClock) -> None:
    await diary.event(title="Old")
    follower = await diary.follower().sync()
    clock.advance_business(days=29, hours=23)
    assert (await follower.page()).status_code == 200
    clock.advance_business(hours=2)
    assert refusal(await follower.page()) == (410, "sync_token_expired")
    await agrees(diary, follower)


async def test_a_token_older_than_what_is_kept_has_expired(diary: Diary) -> None:
    await diary.event(title="Old")
    follower = await diary.follower().sync()
    await diary.event(title="New")
    async with diary.platform.database.transaction() as session:
        await session.execute(delete(Change).where(Change.feed_id == UUID(diary.id)))
        await session.execute(update(Feed).where(Feed.id == UUID(diary.id)).values(pruned_to=Feed.position))
    assert refusal(await follower.page()) == (410, "sync_token_expired")
    await agrees(diary, follower)
    assert follower.titles == ["New", "Old"]


async def test_a_token_of_before_a_restored_backup_has_expired(diary: Diary) -> None:
    await diary.event(title="Old")
    follower = await diary.follower().sync()
    async with diary.platform.database.transaction() as session:
        await session.execute(delete(CalendarEvent).where(CalendarEvent.workspace_id == UUID(diary.id)))
        # Its changes too: what is still to be told of this workspace takes their places.
        await session.execute(delete(Change).where(Change.feed_id == UUID(diary.id)))
        await session.execute(update(Feed).where(Feed.id == UUID(diary.id)).values(position=0, pruned_to=0))
    assert refusal(await follower.page()) == (410, "sync_token_expired")


async def test_a_project_clocked_ahead_is_part_of_what_was_seen(diary: Diary) -> None:
    """Of a process whose clock is ahead: what somebody saw is known to the token, whenever it says it was made."""
    project = await diary.project()
    await diary.event(title="In it", projectId=project["id"])
    ahead = diary.platform.clock.now() + timedelta(minutes=3)
    async with diary.platform.database.transaction() as session:
        await session.execute(update(Project).where(Project.id == UUID(project["id"])).values(created_at=ahead))
    follower = await diary.follower().sync()
    assert (await diary.owner.client.delete(f"/api/projects/{project['id']}")).status_code in (200, 204)
    await agrees(diary, follower)
    assert follower.held == {}


async def test_tokens_are_for_their_holder_and_their_workspace(diary: Diary) -> None:
    member = await diary.person(Role.MEMBER)
    other = await open_diary(diary.platform, diary.new_person)
    await diary.event()
    mine = await diary.follower(limit=200).sync()
    token = mine.token
    assert token is not None
    assert refusal(await ask(diary, member, syncToken=token)) == (422, "invalid_sync_token")
    assert refusal(await ask(other, syncToken=token)) == (422, "invalid_sync_token")
    cursors = await diary.owner.client.get("/api/changes", params={"workspaceId": diary.id})
    forged = [
        *("", "x", "é", "0" * 1024, token[:-1], token[1:], token + "A", token.swapcase(), token[::-1]),
        cursors.json()["nextCursor"],
        "' OR 1=1 --",
        "\x00",
    ]
    for text in forged:
        answer = await ask(diary, syncToken=text)
        assert answer.status_code == 422, (text, answer.text)
    assert (await ask(diary, syncToken="x" * 1025)).status_code == 422
    assert (await ask(diary, syncToken=token)).status_code == 200


async def test_cursors_go_with_their_token(diary: Diary) -> None:
    for _ in range(3):
        await diary.event()
    token = (await diary.follower().sync()).token
    first = (await ask(diary, limit=1)).json()
    assert first["nextSyncToken"] is None
    assert refusal(await ask(diary, limit=1, cursor=first["nextCursor"], syncToken=token)) == (422, "invalid_cursor")
    assert refusal(await ask(diary, limit=1, cursor=token)) == (422, "invalid_cursor")
    assert refusal(await ask(diary, syncToken=first["nextCursor"])) == (422, "invalid_sync_token")
    member = await diary.person(Role.MEMBER)
    assert refusal(await ask(diary, member, limit=1, cursor=first["nextCursor"])) == (422, "invalid_cursor")
    assert (await ask(diary, limit=2, cursor=first["nextCursor"])).status_code == 200


async def test_the_gate(diary: Diary) -> None:
    stranger, guest = await diary.new_person(), await diary.person(Role.GUEST)
    assert refusal(await ask(diary, stranger)) == (404, "workspace_not_found")
    nobody = httpx.AsyncClient(transport=diary.owner.client._transport, base_url=diary.owner.client.base_url)
    async with nobody:
        asked = await nobody.get("/api/calendar/changes", params={"workspaceId": diary.id})
    assert asked.status_code == 401
    missing = await diary.owner.client.get("/api/calendar/changes")
    assert missing.status_code == 422
    assert (await ask(diary, workspaceId=str(uuid4()))).status_code == 404
    assert (await ask(diary, limit=0)).status_code == 422
    await diary.event(title="At home")
    project = await diary.project()
    await diary.put(project, guest, "VIEWER")
    follower = await diary.follower(guest).sync()
    event = await diary.event(title="In the project", projectId=project["id"])
    await diary.patch(event["id"], title="Renamed")
    await diary.event(title="At home too")
    body: Json = (await follower.page()).json()
    assert [each["title"] for each in body["events"]] == ["Renamed"]
    await agrees(diary, follower)
