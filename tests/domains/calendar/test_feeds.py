"""Feeds: what other programs read there is what we show, for as long as whoever made the feed sees it."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update

from pm_api.app import create_app
from pm_api.core.crypto import digest_token
from pm_api.core.platform import Platform
from pm_api.domains.calendar import exporting, feeds
from pm_api.domains.calendar.models import CalendarFeed
from pm_api.identity.models.people import Workspace
from pm_api.identity.permissions import Role
from tests.architecture.credentials import key_for
from tests.conftest import NewPerson, Person, open_platform
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, refusal
from tests.domains.calendar.files import FEEDS, as_shown, expanded, feed_of, parts_of
from tests.domains.projects import sites
from tests.support.clock import MovableClock
from tests.support.settings import settings_for

START, END = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 15, tzinfo=UTC)
RANGE = ("2026-02-01T00:00:00Z", "2026-04-15T00:00:00Z")


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def story(diary: Diary) -> dict[str, Json]:
    """Series over 8 March 2026, when New York sets its clocks forward, with moved and cancelled occurrences."""
    weekly = await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO", title="Weekly")
    await diary.patch(
        key(weekly["id"], "20260309T130000Z"),
        query={"scope": "this"},
        startTime="2026-03-10T15:30:00-04:00",
        endTime="2026-03-10T16:00:00-04:00",
        title="Weekly, moved",
    )
    await diary.delete(key(weekly["id"], "20260316T130000Z"), scope="this")
    night = await diary.series(
        title="Night",
        startTime="2026-02-27T23:30:00-05:00",
        endTime="2026-02-28T04:30:00-05:00",
        rrule="FREQ=DAILY;COUNT=20",
        exdate=["20260304T233000"],
        rdate=["20260401T120000"],
    )
    gap = await diary.series(
        title="In the gap",
        startTime="2026-03-05T02:30:00-05:00",
        endTime="2026-03-05T03:15:00-05:00",
        rrule="FREQ=DAILY;COUNT=7",
    )
    await diary.delete(key(gap["id"], "20260308T073000Z"), scope="this")
    days = await diary.series(
        title="Days off",
        allDay=True,
        startTime="2026-02-10",
        endTime="2026-02-12",
        rrule="FREQ=MONTHLY;BYMONTHDAY=10,28;UNTIL=20260410",
    )
    once = await diary.event(title="Once")
    return {"weekly": weekly, "night": night, "gap": gap, "days": days, "once": once}


async def test_another_program_sees_what_we_show(diary: Diary) -> None:
    await story(diary)
    feed = await feed_of(diary, name="Work")
    answer = await diary.owner.client.get(feed["path"], headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    shown = as_shown(await diary.shown(*RANGE, tz="UTC"))
    assert expanded(answer.content, START, END) == shown
    assert len(shown) == 38
    [calendar] = parts_of(answer.content, "VCALENDAR")
    assert str(calendar["X-WR-CALNAME"]) == "Work"
    assert [str(one["TZID"]) for one in parts_of(answer.content, "VTIMEZONE")] == ["America/New_York"]


async def fetched(diary: Diary, feed: Json, tag: str = "") -> tuple[int, str]:
    """What somebody without an account gets."""
    headers = {"Authorization": "", **({"If-None-Match": tag} if tag else {})}
    answer = await diary.owner.client.get(feed["path"], headers=headers)
    return answer.status_code, answer.text


async def test_the_secret_is_told_once_and_rests_nowhere(diary: Diary, platform: Platform) -> None:
    feed = await feed_of(diary)
    token = feed["path"].rpartition("/")[2].removesuffix(".ics")
    listed = await diary.owner.client.get(FEEDS, params={"workspaceId": diary.id})
    assert [one["id"] for one in listed.json()["feeds"]] == [feed["feed"]["id"]]
    assert token not in listed.text
    async with platform.database.reading() as session:
        [row] = await session.scalars(select(CalendarFeed).where(CalendarFeed.id == UUID(feed["feed"]["id"])))
    assert row.token_hash == digest_token(token)
    assert len(token) >= 43, "256 bits"


async def test_programs_are_told_when_to_ask_again(diary: Diary) -> None:
    [calendar] = parts_of((await fetched(diary, await feed_of(diary)))[1], "VCALENDAR")
    assert calendar["REFRESH-INTERVAL"].params["VALUE"] == "DURATION"
    assert (calendar["REFRESH-INTERVAL"].to_ical(), calendar["X-PUBLISHED-TTL"].to_ical()) == (b"PT1H", b"PT1H")


async def test_a_feed_is_found_where_its_making_said(diary: Diary) -> None:
    made = await diary.owner.client.post(FEEDS, json={"workspaceId": diary.id, "name": "Work"})
    location = made.headers["location"]
    token = made.json()["url"].rpartition("/")[2].removesuffix(".ics")
    answer = await diary.owner.client.get(location)
    assert (answer.status_code, answer.json()) == (200, {"feed": made.json()["feed"]})
    assert token not in answer.text
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await diary.owner.client.get(location, headers=known)).status_code == 304
    await diary.owner.client.get(f"{FEEDS}/{token}.ics")
    assert (await diary.owner.client.get(location, headers=known)).json()["feed"]["readAt"] is not None
    admin, stranger = await diary.person(Role.ADMIN), await diary.new_person()
    assert refusal(await admin.client.get(location)) == (404, "feed_not_found")
    assert (await stranger.client.get(location)).status_code == 404
    assert (await diary.owner.client.get(f"{FEEDS}/nothing")).status_code == 404
    assert (await diary.owner.client.get(location, headers={"Authorization": ""})).status_code == 401
    assert (
        await diary.owner.client.delete(location, headers={"If-Match": answer.headers["etag"]})
    ).status_code == 204
    assert (await diary.owner.client.get(location)).status_code == 404


async def test_a_program_that_has_it_gets_304_until_anything_changes(diary: Diary) -> None:
    event = await diary.series(title="Weekly")
    feed = await feed_of(diary)
    first = await diary.owner.client.get(feed["path"])
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, max-age=0, must-revalidate"
    again = await diary.owner.client.get(feed["path"], headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await diary.owner.client.get(feed["path"])).content == first.content, "the same to the byte"

    async def changed() -> bool:
        nonlocal tag
        answer = await diary.owner.client.get(feed["path"], headers={"If-None-Match": tag})
        was, tag = tag, answer.headers["etag"]
        return answer.status_code == 200 and tag != was

    await diary.patch(event["id"], title="Weekly, renamed")
    assert await changed()
    await diary.delete(key(event["id"], "20260309T130000Z"), scope="this")
    assert await changed()
    other = await diary.event(title="Another")
    assert await changed()
    await diary.delete(other["id"])
    assert await changed()
    renamed = await diary.owner.client.put("/api/user/profile", json={"name": "Olga Organizer"})
    assert renamed.status_code == 200, renamed.text
    assert await changed(), "the organizer is called otherwise"
    assert not await changed()


async def test_once_revoked_it_leads_nowhere(diary: Diary) -> None:
    await diary.event()
    feed, other = await feed_of(diary), await feed_of(diary)
    tag = (await diary.owner.client.get(feed["path"])).headers["etag"]
    answer = await diary.owner.client.delete(f"{FEEDS}/{feed['feed']['id']}")
    assert answer.status_code == 204
    assert (await fetched(diary, feed))[0] == 404
    assert (await fetched(diary, feed, tag))[0] == 404, "who has an older one is not told that it is still good"
    assert (await fetched(diary, other))[0] == 200
    assert (await diary.owner.client.delete(f"{FEEDS}/{feed['feed']['id']}")).status_code == 404


async def test_who_left_reads_nothing(diary: Diary, platform: Platform) -> None:
    await diary.event()
    ann = await diary.person(Role.MEMBER)
    feed = await feed_of(diary, ann)
    assert (await fetched(diary, feed))[0] == 200
    answer = await diary.owner.client.delete(f"/api/team/members/{diary.member_ids[ann.id]}")
    assert answer.status_code in (200, 204), answer.text
    assert (await fetched(diary, feed))[0] == 404
    own = await feed_of(diary)
    async with platform.database.transaction() as session:
        await session.execute(
            update(Workspace).where(Workspace.id == UUID(diary.id)).values(deleted_at=platform.clock.now())
        )
    assert (await fetched(diary, own))[0] == 404


async def test_a_feed_of_a_project_ends_with_its_sight(diary: Diary) -> None:
    project = await diary.project(isPrivate=True)
    ann = await diary.person(Role.MEMBER)
    await diary.put(project, ann, "MEMBER")
    await diary.event(title="Inside", projectId=project["id"])
    await diary.event(title="Outside")
    feed, whole = await feed_of(diary, ann, projectId=project["id"]), await feed_of(diary, ann)
    _, text = await fetched(diary, feed)
    assert "SUMMARY:Inside" in text
    assert "SUMMARY:Outside" not in text
    gone = await diary.owner.client.delete(sites.path_of(project, f"/members/{ann.id}"))
    assert gone.status_code in (200, 204), gone.text
    assert (await fetched(diary, feed))[0] == 404
    status, text = await fetched(diary, whole)
    assert status == 200
    assert "SUMMARY:Outside" in text
    assert "Inside" not in text


async def test_what_is_private_is_busy(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    secret = await diary.series(
        ann,
        title="Dismissal of Bob",
        description="Why",
        location="Room 4",
        visibility="PRIVATE",
        attendees=[{"email": "lawyer@example.org", "name": "Lena Lawyer"}],
    )
    await diary.patch(key(secret["id"], "20260309T130000Z"), ann, {"scope": "this"}, title="Dismissal of Bob, again")
    admin = await diary.person(Role.ADMIN)
    for reader in (diary.owner, admin):
        _, text = await fetched(diary, await feed_of(diary, reader))
        assert "SUMMARY:Busy" in text
        assert not [one for one in ("Dismissal", "Why", "Room", "lawyer", "Lena", ann.email) if one in text]
        start, end = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
        shown = as_shown(await diary.shown(start, end, reader))
        assert expanded(text.encode(), datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)) == shown
    _, own = await fetched(diary, await feed_of(diary, ann))
    assert "SUMMARY:Dismissal of Bob\r\n" in own
    assert "lawyer@example.org" in own


async def test_a_guest_reads_their_projects_alone(diary: Diary) -> None:
    project = await diary.project()
    guest = await diary.person(Role.GUEST)
    await diary.put(project, guest, "VIEWER")
    await diary.event(title="Inside", projectId=project["id"])
    await diary.event(title="Outside")
    _, text = await fetched(diary, await feed_of(diary, guest))
    assert "SUMMARY:Inside" in text
    assert "Outside" not in text


async def test_nobody_can_write_into_a_feed_by_a_title(diary: Diary) -> None:
    evil = 'Lunch\\nEND:VEVENT; with, "quotes" ^n \\'
    await diary.event(
        title=evil,
        description="one\r\nEND:VCALENDAR\r\nBEGIN:VCALENDAR\rATTENDEE:mailto:x@example.org\u2028Z\x0bY",
        location="a;b,c\td" + "é" * 200,
        attendees=[{"email": "x@example.org", "name": "Eve\r\nATTENDEE:mailto:y@example.org"}],
    )
    status, text = await fetched(diary, await feed_of(diary, name='Work"; ^X-EVIL:1'))
    assert status == 200
    [event] = parts_of(text)
    assert str(event["SUMMARY"]) == evil
    assert str(event["DESCRIPTION"]).startswith(
        "one\nEND:VCALENDAR\nBEGIN:VCALENDAR\nATTENDEE:mailto:x@example.org\nZY"
    )
    assert str(event["LOCATION"]) == "a;b,c\td" + "é" * 200
    assert str(event["ATTENDEE"]) == "mailto:x@example.org"
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\n" not in text.replace("\r\n", "")


async def test_head_answers_like_get_without_the_calendar(diary: Diary) -> None:
    """Some programs look whether a feed is there, or new, before they fetch it."""
    await story(diary)
    feed = await feed_of(diary)

    async def both(path: str, **headers: str) -> tuple[httpx.Response, httpx.Response]:
        asked = {"Authorization": "", **headers}
        whole = await diary.owner.client.get(path, headers=asked)
        head = await diary.owner.client.head(path, headers=asked)
        told = ("etag", "cache-control", "content-type", "content-disposition", "content-length")
        assert head.status_code == whole.status_code
        assert {name: head.headers.get(name) for name in told} == {name: whole.headers.get(name) for name in told}
        return whole, head

    whole, head = await both(feed["path"])
    assert (whole.status_code, head.content) == (200, b"")
    assert whole.content.startswith(b"BEGIN:VCALENDAR")
    tag = whole.headers["etag"]
    assert (await both(feed["path"], **{"If-None-Match": tag}))[1].status_code == 304
    await diary.event(title="New")
    assert (await both(feed["path"], **{"If-None-Match": tag}))[1].status_code == 200
    assert (await both(f"{FEEDS}/nothing.ics"))[1].status_code == 404
    await diary.owner.client.delete(f"{FEEDS}/{feed['feed']['id']}")
    assert (await both(feed["path"]))[1].status_code == 404
    assert (await diary.owner.client.put(feed["path"])).status_code == 405


async def test_a_feed_is_read_sixty_times_a_minute(worker_database: str, diary: Diary) -> None:
    """Of one feed, however it is asked and from wherever; another is not concerned."""
    feed, other = await feed_of(diary), await feed_of(diary)
    settings = settings_for(worker_database, rate_limits=True, rate_limit_address="10000/minute")
    async with open_platform(settings, MovableClock()) as parts:
        app = create_app(settings, parts)

        async def ask(number: int, path: str, method: str = "GET", tag: str = "") -> httpx.Response:
            transport = httpx.ASGITransport(app, client=(f"10.0.0.{number % 5}", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test.local") as caller:
                return await caller.request(method, path, headers={"If-None-Match": tag} if tag else {})

        first = await ask(0, feed["path"])
        answers = [
            await ask(number, feed["path"], "HEAD" if number % 3 else "GET", first.headers["etag"])
            for number in range(1, 60)
        ]
        assert {one.status_code for one in (first, *answers)} == {200, 304}
        refused = await ask(60, feed["path"])
        assert refusal(refused) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await ask(61, feed["path"], "HEAD")).status_code == 429
        assert (await ask(62, other["path"])).status_code == 200
        statuses = [(await ask(number, f"{FEEDS}/guess{number}.ics")).status_code for number in range(3)]
        assert statuses == [404, 404, 404], "an address that leads nowhere is no limit of another"


async def test_it_is_noted_when_a_feed_was_read_to_the_hour(diary: Diary, clock: MovableClock) -> None:
    feed = await feed_of(diary)

    async def read_at() -> str | None:
        listed = await diary.owner.client.get(FEEDS, params={"workspaceId": diary.id})
        found: str | None = listed.json()["feeds"][0]["readAt"]
        return found

    assert await read_at() is None
    await fetched(diary, feed)
    first = await read_at()
    assert first is not None
    clock.advance(minutes=30)
    await fetched(diary, feed)
    assert await read_at() == first
    clock.advance(minutes=31)
    await fetched(diary, feed)
    assert await read_at() != first


async def test_feeds_are_ones_own_and_not_many(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    anns = await feed_of(diary, ann)
    listed = await diary.owner.client.get(FEEDS, params={"workspaceId": diary.id})
    assert listed.json()["feeds"] == []
    gone = await diary.owner.client.delete(f"{FEEDS}/{anns['feed']['id']}")
    assert refusal(gone) == (404, "feed_not_found")
    stale = await ann.client.delete(f"{FEEDS}/{anns['feed']['id']}", headers={"If-Match": '"7"'})
    assert refusal(stale) == (412, "precondition_failed")
    assert (await fetched(diary, anns))[0] == 200
    for _ in range(feeds.MOST_FEEDS - 1):
        await feed_of(diary, ann)
    more = await ann.client.post(FEEDS, json={"workspaceId": diary.id})
    assert refusal(more) == (409, "too_many_feeds")
    first = await ann.client.get(FEEDS, params={"workspaceId": diary.id, "limit": 15})
    rest = await ann.client.get(
        FEEDS, params={"workspaceId": diary.id, "limit": 15, "cursor": first.json()["nextCursor"]}
    )
    ids = [one["id"] for answer in (first, rest) for one in answer.json()["feeds"]]
    assert len(ids) == len(set(ids)) == feeds.MOST_FEEDS
    assert rest.json()["nextCursor"] is None


async def test_what_is_refused(diary: Diary, new_person: NewPerson, platform: Platform) -> None:
    stranger = await new_person()
    feed = await feed_of(diary)
    hidden = await diary.project(isPrivate=True)
    ann = await diary.person(Role.MEMBER)
    body = {"workspaceId": diary.id}

    async def post(person: Person, **fields: object) -> tuple[int, str]:
        return refusal(await person.client.post(FEEDS, json={**body, **fields}))

    anonymous = await stranger.client.post(FEEDS, json=body, headers={"Authorization": ""})
    assert anonymous.status_code == 401
    assert (await post(stranger))[0] == 404
    assert (await post(ann, projectId=hidden["id"]))[0] == 404
    assert (await post(ann, projectId=str(uuid4())))[0] == 404
    for wrong in ({"name": ""}, {"name": "two\nlines"}, {"name": None}, {"projectId": "x"}, {"title": "typo"}):
        assert (await post(ann, **wrong))[0] == 422, wrong
    assert (await stranger.client.delete(f"{FEEDS}/{feed['feed']['id']}")).status_code == 404
    assert (await diary.owner.client.delete(f"{FEEDS}/nothing")).status_code == 404
    assert (await stranger.client.get(FEEDS, params=body)).status_code == 404
    assert refusal(await stranger.client.get(f"{FEEDS}/nothing.ics")) == (404, "feed_not_found")
    _, token = await key_for(platform, diary.owner.id, UUID(diary.id))
    by_key = await stranger.client.post(FEEDS, json=body, headers={"Authorization": f"Bearer {token}"})
    assert refusal(by_key) == (403, "api_key_not_allowed"), "an address would outlive the key"


async def test_a_long_feed_comes_in_stretches_and_whole(diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        await diary.event(title=f"Number {number}", timeZone=["Europe/Berlin", "Asia/Tokyo", "UTC"][number % 3])
    feed = await feed_of(diary)
    monkeypatch.setattr(exporting, "STRETCH", 3)
    _, text = await fetched(diary, feed)
    assert [str(one["SUMMARY"]) for one in parts_of(text)] == [f"Number {number}" for number in range(7)]
    assert [str(one["TZID"]) for one in parts_of(text, "VTIMEZONE")] == ["Asia/Tokyo", "Europe/Berlin"]


async def test_a_key_that_reads_revokes_nothing(diary: Diary) -> None:
    feed = (await feed_of(diary))["feed"]
    made = await diary.owner.client.post(
        "/api/api-keys", json={"name": "Reads", "scopes": ["calendar:read"], "workspaceId": diary.id}
    )
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    gone = await diary.owner.client.delete(f"{FEEDS}/{feed['id']}", headers=headers)
    assert refusal(gone) == (403, "insufficient_scope")
    listed = await diary.owner.client.get(FEEDS, params={"workspaceId": diary.id})
    assert [one["id"] for one in listed.json()["feeds"]] == [feed["id"]]
