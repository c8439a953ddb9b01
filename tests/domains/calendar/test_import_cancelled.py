"""Files that say an event is cancelled: it goes for who may delete it, once, and nobody is told."""

from uuid import UUID

import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.calendar.importing import NOT_NEWER, NOTHING_TO_CANCEL
from pm_api.domains.calendar.models import CalendarEvent, CalendarLetter
from pm_api.domains.notifications.models import Notification
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, key, open_diary, path_of
from tests.domains.calendar.files import file_of, taken_in
from tests.domains.calendar.test_import import GONE, MOVED, WEEKLY, once, one_of
from tests.domains.projects import sites

CANCELLED = """UID:weekly@example.org
SEQUENCE:2
STATUS:CANCELLED
SUMMARY:Weekly"""


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


async def is_here(diary: Diary, event_id: str) -> bool:
    return (await diary.owner.client.get(path_of(event_id))).status_code == 200


@pytest.mark.parametrize("method", ["", "PUBLISH", "CANCEL"])
async def test_an_event_that_is_cancelled_goes(diary: Diary, method: str) -> None:
    event_id = (await taken_in(diary, file_of(WEEKLY, MOVED)))["items"][0]["eventId"]
    dry = await taken_in(diary, file_of(CANCELLED, method=method), dryRun="true")
    assert (dry["items"][0]["outcome"], dry["deleted"]) == ("DELETED", 1)
    assert await is_here(diary, event_id)
    report = await taken_in(diary, file_of(CANCELLED, method=method))
    assert (report["items"], report["deleted"]) == (dry["items"], 1)
    assert report["items"][0]["eventId"] == event_id
    assert not await is_here(diary, event_id)
    assert [one["action"] for one in await diary.feed() if one["entityId"] == event_id][-1] == "deleted"
    again = await taken_in(diary, file_of(CANCELLED, method=method))
    assert (again["unchanged"], again["refused"]) == (1, 0)
    assert (again["items"][0]["eventId"], again["items"][0]["notes"]) == (None, [NOTHING_TO_CANCEL])


async def test_what_is_cancelled_and_was_never_here(diary: Diary, platform: Platform) -> None:
    report = await taken_in(diary, file_of(CANCELLED, MOVED.replace("SEQUENCE:1", "SEQUENCE:2"), once()))
    assert [one["outcome"] for one in report["items"]] == ["UNCHANGED", "UNCHANGED", "CREATED"]
    assert report["items"][0]["notes"] == [NOTHING_TO_CANCEL]
    async with platform.database.reading() as session:
        rows = await session.scalars(select(CalendarEvent).where(CalendarEvent.workspace_id == UUID(diary.id)))
        assert [one.title for one in rows] == ["Once"]


async def test_only_what_is_newer_cancels_but_a_message_where_it_is_as_new(diary: Diary) -> None:
    event_id = (await one_of(diary, file_of(WEEKLY)))["eventId"]
    same, older = (CANCELLED.replace("SEQUENCE:2", f"SEQUENCE:{number}") for number in (1, 0))
    for content in (file_of(same), file_of(older), file_of(older, method="CANCEL")):
        item = await one_of(diary, content)
        assert (item["outcome"], item["eventId"], item["notes"]) == ("UNCHANGED", event_id, [NOT_NEWER])
    assert (await one_of(diary, file_of(same, method="CANCEL")))["outcome"] == "DELETED"


async def test_a_message_that_takes_back_invitations_deletes_nothing(diary: Diary) -> None:
    event_id = (await one_of(diary, file_of(WEEKLY)))["eventId"]
    uninvites = CANCELLED.replace("STATUS:CANCELLED", "ATTENDEE:mailto:a@example.org")
    item = await one_of(diary, file_of(uninvites, method="CANCEL"))
    assert item["outcome"] == "REFUSED"
    assert "takes back who is invited" in item["reason"]
    assert await is_here(diary, event_id)


async def test_a_message_cancels_one_occurrence_that_was_moved(diary: Diary) -> None:
    event_id = (await taken_in(diary, file_of(WEEKLY, MOVED)))["items"][0]["eventId"]
    gone = MOVED + "\nSTATUS:CANCELLED"
    assert (await one_of(diary, file_of(gone)))["outcome"] == "UNCHANGED"
    assert (await one_of(diary, file_of(gone, method="CANCEL")))["outcome"] == "UPDATED"
    assert (await one_of(diary, file_of(gone, method="CANCEL")))["outcome"] == "UNCHANGED"
    shown = await diary.read(key(event_id, "20260309T130000Z"))
    assert shown["status"] == "CANCELLED"
    assert (await one_of(diary, file_of(GONE, method="CANCEL")))["outcome"] == "UPDATED"


async def test_an_occurrence_that_is_here_as_an_event_of_its_own(diary: Diary) -> None:
    event_id = (await one_of(diary, file_of(MOVED)))["eventId"]
    gone = MOVED.replace("SEQUENCE:1", "SEQUENCE:2") + "\nSTATUS:CANCELLED"
    item = await one_of(diary, file_of(gone))
    assert (item["outcome"], item["eventId"]) == ("DELETED", event_id)
    assert not await is_here(diary, event_id)


async def test_who_may_not_delete_it_is_told_so(diary: Diary, platform: Platform) -> None:
    ann, bob = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    guests = f"{WEEKLY}\nATTENDEE:mailto:{bob.email}\nATTENDEE:mailto:a@example.org"
    event_id = (await one_of(diary, file_of(guests), by=ann))["eventId"]
    for dry in ("true", "false"):
        refused = await one_of(diary, file_of(CANCELLED), by=bob, dryRun=dry)
        assert (refused["outcome"], refused["eventId"]) == ("REFUSED", None)
        assert "not yours to delete" in refused["reason"]
    assert await is_here(diary, event_id)
    assert (await one_of(diary, file_of(CANCELLED), by=ann))["outcome"] == "DELETED"
    async with platform.database.reading() as session:
        mails = await session.scalars(select(CalendarLetter).where(CalendarLetter.workspace_id == UUID(diary.id)))
        told = await session.scalars(select(Notification).where(Notification.user_id == bob.id))
        assert (mails.all(), [one.type for one in told if one.type.startswith("calendar")]) == ([], [])


async def test_what_others_keep_private_is_not_told_of(diary: Diary) -> None:
    ann, bob = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    await one_of(diary, file_of(f"{WEEKLY}\nCLASS:PRIVATE"), by=ann)
    item = await one_of(diary, file_of(CANCELLED), by=bob)
    assert (item["outcome"], item["notes"]) == ("UNCHANGED", [NOTHING_TO_CANCEL])
    own = (await one_of(diary, file_of(WEEKLY), by=bob))["eventId"]
    deleted = await one_of(diary, file_of(CANCELLED), by=bob)
    assert (deleted["outcome"], deleted["eventId"]) == ("DELETED", own)
    assert (await one_of(diary, file_of(WEEKLY), by=ann))["outcome"] == "UNCHANGED", "hers is there"


async def test_what_is_archived_stays(diary: Diary) -> None:
    project = await diary.project()
    event_id = (await one_of(diary, file_of(WEEKLY), projectId=project["id"]))["eventId"]
    archived = await diary.owner.client.post(sites.path_of(project, "/archive"))
    assert archived.status_code == 200, archived.text
    for dry in ("true", "false"):
        item = await one_of(diary, file_of(CANCELLED), dryRun=dry)
        assert item["outcome"] == "REFUSED", item
        assert "archived" in item["reason"]
    assert await is_here(diary, event_id)
