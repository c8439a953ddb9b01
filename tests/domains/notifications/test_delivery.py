"""When mails of notifications go out: digests and quiet hours in the reader's own time, each thing once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.domains.notifications import jobs, mailings
from pm_api.domains.notifications.enums import Category, Delivery
from pm_api.domains.notifications.repository.mailings import Due
from pm_api.identity.permissions import Role
from pm_api.outbox import service as outbox
from tests.conftest import Person, open_platform
from tests.domains.notifications.house import House, choose
from tests.domains.notifications.telling import listed, path_of, tell, titles, unread
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock
from tests.support.mail import send_due

NIGHT: dict[str, Any] = {"quietHours": {"from": "22:00", "to": "07:00"}}
DAILY: dict[str, Any] = {"category": "CREDITS", "delivery": "DAILY"}


async def chosen(house: House, zone: str, *choices: dict[str, Any], **more: Any) -> Person:
    """Somebody who lives there and chose so."""
    person = await house.person(timeZone=zone)
    answer = await choose(person, *choices, more=more)
    assert answer.status_code == 200, answer.text
    return person


async def told(house: House, person: Person, title: str, **fields: Any) -> None:
    assert await tell(house.platform, [person.id], title=title, **fields) == 1


async def mail_texts(house: House, person: Person) -> list[str]:
    return [one.part("plain") for one in await house.mails(person)]


# --- quiet hours -----------------------------------------------------------------------------------------------


async def test_what_comes_in_quiet_hours_waits_until_they_end(house: House) -> None:
    ann = await chosen(house, "Europe/Berlin", **NIGHT)
    house.set("2027-01-10T20:59:50Z")
    await told(house, ann, "before")
    assert await house.at("2027-01-10T20:59:55Z", ann) == ["before"]
    house.set("2027-01-10T21:00:00Z")
    await told(house, ann, "at night")
    assert await titles(ann) == ["at night", "before"], "inside the app it is there at once"
    for moment in ("2027-01-10T21:30:00Z", "2027-01-11T05:59:59Z"):
        assert await house.at(moment, ann) == ["before"]
    assert await house.at("2027-01-11T06:00:00Z", ann) == ["before", "at night"]
    assert await house.at("2027-01-12T06:00:00Z", ann) == ["before", "at night"]


async def test_a_night_of_several_is_one_mail_of_what_is_still_unread(house: House) -> None:
    ann = await chosen(house, "Europe/Berlin", **NIGHT)
    house.set("2027-01-10T23:00:00Z")
    for title in ("first", "second", "read in bed"):
        await told(house, ann, title, link="/credits")
    read = (await listed(ann))[0]
    assert (await ann.client.post(path_of(read, "/read"))).status_code == 200
    assert await house.at("2027-01-11T06:00:00Z", ann) == ["While you were not to be disturbed: 2 unread"]
    [words] = await mail_texts(house, ann)
    assert words.index("second") < words.index("first")
    assert "read in bed" not in words
    assert "These waited for the end of your quiet hours." in words
    mail = (await house.mails(ann))[0].message()
    page = await ann.client.get(mail["list-unsubscribe"].strip("<>"))
    assert "no more mails about your credits." in page.text, "all of it is of one category: no other is stopped"


@pytest.mark.parametrize("category", [Category.SECURITY, Category.BILLING])
async def test_what_nobody_can_switch_off_passes_quiet_hours(house: House, category: Category) -> None:
    ann = await chosen(house, "Europe/Berlin", **NIGHT)
    house.set("2027-01-10T23:00:00Z")
    await told(house, ann, "important", category=category, type="security.notice")
    assert await house.at("2027-01-10T23:00:01Z", ann) == ["important"]


CHANGES = [
    # (zone, quiet hours, told, still quiet, over): ending in the gap or in the hour that comes twice.
    ("America/New_York", ("22:00", "02:30"), "2027-03-14T05:00Z", "2027-03-14T06:59:59Z", "2027-03-14T07:00Z"),
    ("America/New_York", ("22:00", "01:30"), "2027-11-07T04:00Z", "2027-11-07T06:29:59Z", "2027-11-07T06:30Z"),
    ("America/New_York", ("22:00", "07:00"), "2027-11-07T06:10Z", "2027-11-07T11:59:59Z", "2027-11-07T12:00Z"),
    ("Europe/Berlin", ("22:00", "02:30"), "2027-03-28T00:10Z", "2027-03-28T00:59:59Z", "2027-03-28T01:00Z"),
    ("Europe/Berlin", ("22:00", "02:30"), "2027-10-31T00:10Z", "2027-10-31T01:29:59Z", "2027-10-31T01:30Z"),
    ("Europe/Berlin", ("02:30", "07:00"), "2027-10-31T00:40Z", "2027-10-31T05:59:59Z", "2027-10-31T06:00Z"),
    ("Australia/Lord_Howe", ("22:00", "02:15"), "2027-10-02T14:00Z", "2027-10-02T15:29:59Z", "2027-10-02T15:30Z"),
    ("Australia/Lord_Howe", ("22:00", "01:45"), "2027-04-03T14:10Z", "2027-04-03T15:14:59Z", "2027-04-03T15:15Z"),
    ("Australia/Lord_Howe", ("01:45", "07:00"), "2027-04-03T15:05Z", "2027-04-03T20:29:59Z", "2027-04-03T20:30Z"),
]


@pytest.mark.parametrize(("zone", "quiet", "at", "still", "over"), CHANGES)
async def test_quiet_hours_over_a_change_of_the_clocks(
    house: House, zone: str, quiet: tuple[str, str], at: str, still: str, over: str
) -> None:
    ann = await chosen(house, zone, quietHours={"from": quiet[0], "to": quiet[1]})
    house.set(at)
    await told(house, ann, "patience")
    assert await house.at(at, ann) == []
    assert await house.at(still, ann) == []
    assert await house.at(over, ann) == ["patience"]
    assert await house.at(datetime.fromisoformat(over) + timedelta(days=2), ann) == ["patience"]


async def test_quiet_hours_that_were_chosen_after_it_was_told_hold_too(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY, digestHour=23)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "daily")
    await choose(ann, DAILY, more={"digestHour": 23, **NIGHT})
    assert await house.at("2027-01-10T23:00:00Z", ann) == []
    assert await house.at("2027-01-11T07:00:00Z", ann) == ["Your day: 1 unread"]


async def test_who_moves_sleeps_where_they_are(house: House) -> None:
    """The mail waits for a morning that has moved: asked again when it is due, whoever changed the zone."""
    ann = await chosen(house, "Europe/Berlin", **NIGHT)
    house.set("2027-01-10T22:00:00Z")
    await told(house, ann, "on the plane")
    async with house.platform.database.transaction() as session:
        await session.execute(text("UPDATE users SET time_zone = 'America/New_York' WHERE id = :id"), {"id": ann.id})
    assert await house.at("2027-01-11T06:00:00Z", ann) == []
    assert await house.at("2027-01-11T11:59:00Z", ann) == []
    assert await house.at("2027-01-11T12:00:00Z", ann) == ["on the plane"]


# --- digests ---------------------------------------------------------------------------------------------------


async def test_a_digest_is_one_mail_of_what_is_unread(house: House) -> None:
    ann = await chosen(
        house,
        "Asia/Tokyo",
        DAILY,
        {"category": "WORKSPACE", "delivery": "DAILY"},
        digestHour=9,
    )
    house.set("2027-01-10T05:00:00Z")
    await told(house, ann, "Credits ran low", body="18 are left.", link="/credits?tab=1")
    await told(house, ann, "Acme has a new name", category=Category.WORKSPACE, type="workspace.renamed")
    await told(house, ann, "You know this one")
    await ann.client.post(path_of((await listed(ann))[0], "/read"))
    await told(house, ann, "A receipt", category=Category.BILLING, type="billing.receipt")
    assert await house.at("2027-01-10T23:59:59Z", ann) == ["A receipt"]
    assert await house.at("2027-01-11T00:00:00Z", ann) == ["A receipt", "Your day: 2 unread"]
    mail = (await house.mails(ann))[1]
    for form in ("plain", "html"):
        words = mail.part(form)
        for wanted in (
            "Credits ran low",
            "18 are left.",
            "http://site.local/credits?tab=1",
            "Acme has a new name",
            "Sun 10 January, 14:00",
            "http://site.local/notifications",
            "http://site.local/settings/notifications",
            "It comes at 09:00.",
        ):
            assert wanted in words, (form, wanted)
        assert "You know this one" not in words
        assert "A receipt" not in words
    assert await house.at("2027-01-12T00:00:00Z", ann) == ["A receipt", "Your day: 2 unread"]


async def test_nothing_unread_is_no_mail(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "read before breakfast")
    await ann.client.post("/api/notifications/read-all", json={"upTo": "2027-01-10T13:00:00Z"})
    assert await house.at("2027-01-11T08:00:00Z", ann) == []
    assert await house.outcomes(ann) == [("DROPPED", "nothing_unread")]


async def test_a_digest_that_waits_shows_nothing_out_of_sight_or_switched_off(house: House) -> None:
    owner, member = await house.person(), await house.person(timeZone="UTC")
    place = await make_workspace(owner)
    await join(house.platform, place["id"], member, Role.MEMBER)
    both = [{"category": one, "delivery": "DAILY"} for one in ("CREDITS", "WORKSPACE")]
    await choose(member, *both)
    house.set("2027-01-10T12:00:00Z")
    await told(house, member, "of the workspace", workspace_id=UUID(place["id"]), category=Category.WORKSPACE)
    await told(house, member, "of the credits")
    await told(house, member, "of my own", category=Category.WORKSPACE)
    await house.sweep()
    async with house.platform.database.transaction() as session:
        await session.execute(text("DELETE FROM workspace_members WHERE user_id = :id"), {"id": member.id})
    await choose(member, {"category": "CREDITS", "mail": False}, both[1])
    assert await house.at("2027-01-11T08:00:00Z", member) == ["Your day: 1 unread"]
    [words] = await mail_texts(house, member)
    assert "of my own" in words
    assert "of the" not in words


async def test_what_is_seen_to_between_the_hour_and_the_sending_is_left_out(house: House) -> None:
    """The mail server was away; what the mail says is what is so when it goes."""
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "first")
    await told(house, ann, "second")
    house.set("2027-01-11T08:00:00Z")
    house.post.fail("transient")
    await house.sweep()
    assert await house.mails(ann) == []
    await ann.client.post(path_of((await listed(ann))[0], "/archive"))
    house.clock.advance(minutes=1)
    assert [one.subject for one in await house.mails(ann)] == ["Your day: 1 unread"]


async def test_a_digest_has_an_end(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    for number in range(mailings.MOST_SHOWN + 7):
        await told(house, ann, f"thing {number}.")
    assert await house.at("2027-01-11T08:00:00Z", ann) == ["Your day: 37 unread"]
    [words] = await mail_texts(house, ann)
    assert words.count("thing ") == mailings.MOST_SHOWN
    assert "And 7 more." in words
    assert "thing 6." not in words
    assert "thing 7." in words


async def test_hourly_daily_and_weekly_each_at_their_time(house: House) -> None:
    ann = await chosen(
        house,
        "America/New_York",
        {"category": "CREDITS", "delivery": "HOURLY"},
        {"category": "WORKSPACE", "delivery": "WEEKLY"},
        digestHour=9,
        digestWeekday="WEDNESDAY",
    )
    house.set("2027-01-10T12:10:00Z")  # a Sunday
    await told(house, ann, "hourly")
    await told(house, ann, "weekly", category=Category.WORKSPACE)
    assert await house.at("2027-01-10T12:59:59Z", ann) == []
    assert await house.at("2027-01-10T13:00:00Z", ann) == ["Your last hour: 1 unread"]
    assert await house.at("2027-01-13T13:59:59Z", ann) == ["Your last hour: 1 unread"]
    assert await house.at("2027-01-13T14:00:00Z", ann) == ["Your last hour: 1 unread", "Your week: 1 unread"]
    assert "It comes on Wednesdays at 09:00." in (await mail_texts(house, ann))[1]


@pytest.mark.parametrize(
    ("zone", "hour", "first"),
    [
        # The hour that is skipped, and the one that comes twice.
        ("America/New_York", 2, "2027-03-12T00:00"),
        ("America/New_York", 1, "2027-11-05T00:00"),
        ("Europe/Berlin", 2, "2027-03-26T00:00"),
        ("Europe/Berlin", 2, "2027-10-29T00:00"),
        ("Australia/Lord_Howe", 2, "2027-10-01T00:00"),
        ("Australia/Lord_Howe", 1, "2027-04-02T00:00"),
    ],
)
async def test_a_daily_digest_over_a_change_of_the_clocks(house: House, zone: str, hour: int, first: str) -> None:
    """Told at every noon, swept every half hour of three nights and now and then by day: one mail a day, and each
    thing in one of them.
    """
    ann = await chosen(house, zone, DAILY, digestHour=hour)
    begin = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    came: list[datetime] = []
    for step in range(3 * 48 + 12):
        now = begin + timedelta(minutes=30) * step
        if now.astimezone(ZoneInfo(zone)).hour >= 4 and step % 12:
            continue
        house.set(now)
        if step % 48 == 24:
            await told(house, ann, f"noon {step // 48}")
        await house.sweep("gather")
        new = len(await house.mails(ann)) - len(came)
        came += [now.astimezone(ZoneInfo(zone))] * new
    assert [moment.date() for moment in came] == [came[0].date() + timedelta(days=day) for day in range(3)]
    assert all(hour <= moment.hour <= hour + 1 for moment in came), came
    for number, words in enumerate(await mail_texts(house, ann)):
        assert [one for one in range(3) if f"noon {one}" in words] == [number]


# --- once ------------------------------------------------------------------------------------------------------


async def test_two_workers_make_one_digest(house: House) -> None:
    people = [await chosen(house, "UTC", DAILY) for _ in range(4)]
    house.set("2027-01-10T12:00:00Z")
    for person in people:
        for title in ("a", "b"):
            await told(house, person, title)
    house.set("2027-01-11T08:00:00Z")
    other_clock = MovableClock()
    other_clock.shift_to(house.clock.offset)
    async with open_platform(house.platform.settings, other_clock) as other:
        both = (house.platform, other)
        for _ in range(3):
            await asyncio.gather(*(run_sweep(one, PERIODICS["notifications.gather"]) for one in both * 2))
        await asyncio.gather(*(send_due(one) for one in both))
    for person in people:
        assert [one.subject for one in house.arrived(person)] == ["Your day: 2 unread"]


async def test_one_whose_mail_cannot_be_made_holds_up_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told of to the operator, and get it when what was wrong has been mended."""
    monkeypatch.setattr(jobs, "LOOKED_AT", 2)
    people = [await chosen(house, "UTC", DAILY) for _ in range(5)]
    house.set("2027-01-10T12:00:00Z")
    for person in people:
        await told(house, person, "a")
    people.sort(key=lambda one: one.id)  # as they are found: all are due at the same moment
    broken = [people[0], people[1], people[3]]
    damage = "UPDATE notification_preferences SET digest_weekday = :day WHERE user_id = :id"

    async def damaged(day: str) -> None:
        async with house.platform.database.transaction() as session:
            for person in broken:
                await session.execute(text(damage), {"day": day, "id": person.id})

    await damaged("NODAY")
    labels = {"job": "notifications.gather", "outcome": "account failed"}
    before = REGISTRY.get_sample_value("pm_jobs_total", labels) or 0.0
    house.set("2027-01-11T08:00:00Z")
    await house.sweep()
    assert (REGISTRY.get_sample_value("pm_jobs_total", labels) or 0.0) - before == len(broken), "each once a run"
    for person in people:
        assert [one.subject for one in await house.mails(person)] == (
            [] if person in broken else ["Your day: 1 unread"]
        )
    await damaged("MONDAY")
    for person in people:
        assert await house.at("2027-01-11T08:01:00Z", person) == ["Your day: 1 unread"]


async def test_a_worker_that_dies_before_it_commits_has_done_nothing(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "a")
    house.set("2027-01-11T08:00:00Z")
    moment = datetime(2027, 1, 11, 8, tzinfo=UTC)
    due = Due(ann.id, Delivery.DAILY, moment, moment)
    async with house.platform.database.reading() as session:
        assert await mailings.gather(session, house.platform, due), "and then it dies: nothing is committed"
    assert await house.mails(ann) == []
    assert await house.at("2027-01-11T08:01:00Z", ann) == ["Your day: 1 unread"]
    async with house.platform.database.transaction() as session:
        assert not await mailings.gather(session, house.platform, due), "a second worker finds nothing left"
    assert await house.at("2027-01-11T08:02:00Z", ann) == ["Your day: 1 unread"]


async def test_a_worker_that_dies_after_it_committed_leaves_the_mail_to_the_others(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "a")
    house.set("2027-01-11T08:00:00Z")
    await house.sweep()
    async with house.platform.database.transaction() as session:
        claimed = await outbox.claim(session, house.platform)
    assert claimed is not None
    assert await house.mails(ann) == [], "it is in the hands of a dead worker"
    house.clock.advance(minutes=2)
    assert [one.subject for one in await house.mails(ann)] == ["Your day: 1 unread"]


async def test_what_was_told_too_late_for_its_digest_comes_with_the_next(house: House) -> None:
    """Its transaction began before the hour and was committed when the digest had been made."""
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-11T07:59:59Z")
    await told(house, ann, "in time")
    house.set("2027-01-11T08:00:00Z")
    await house.sweep()
    house.set("2027-01-11T07:59:59Z")
    await told(house, ann, "too late")
    assert await house.at("2027-01-11T08:01:00Z", ann) == ["Your day: 1 unread"]
    assert await house.at("2027-01-12T08:00:00Z", ann) == ["Your day: 1 unread", "Your day: 1 unread"]
    assert ["too late" in words for words in await mail_texts(house, ann)] == [False, True]


async def test_after_days_without_a_worker_one_mail_tells_all(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY)
    for day in (10, 11, 12):
        house.set(f"2027-01-{day}T12:00:00Z")
        await told(house, ann, f"day {day}")
    assert await house.at("2027-01-14T09:00:00Z", ann) == ["Your day: 3 unread"]


async def test_digests_come_on_top_of_the_daily_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person chose to get as one mail is not lost because others filled their day."""
    limit = 3
    monkeypatch.setattr(house.platform.settings.smtp, "daily_limit", limit)
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "gathered")
    for number in range(limit + 1):
        await told(house, ann, str(number), category=Category.WORKSPACE)
    assert len(await house.mails(ann)) == limit
    assert (await house.at("2027-01-11T08:00:00Z", ann))[limit:] == ["Your day: 1 unread"]


# --- choosing anew ---------------------------------------------------------------------------------------------


async def test_what_waits_follows_what_is_chosen_anew(house: House) -> None:
    ann = await chosen(house, "UTC", {"category": "CREDITS", "delivery": "WEEKLY"}, digestWeekday="FRIDAY")
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "a")
    await choose(ann, DAILY, more={"digestHour": 20})
    assert await house.at("2027-01-10T19:59:00Z", ann) == []
    await choose(ann)
    assert await house.at("2027-01-10T19:59:30Z", ann) == ["a"], "at once now, as a mail of its own"
    assert await house.at("2027-01-17T12:00:00Z", ann) == ["a"]


async def test_digests_follow_who_moves(house: House) -> None:
    ann = await chosen(house, "Europe/Berlin", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "a")
    moved = await ann.client.patch("/api/user/settings", json={"timeZone": "America/New_York"})
    assert moved.status_code == 200, moved.text
    assert await house.at("2027-01-10T12:59:59Z", ann) == []
    assert await house.at("2027-01-10T13:00:00Z", ann) == ["Your day: 1 unread"]
    assert await house.at("2027-01-11T13:00:00Z", ann) == ["Your day: 1 unread"]


async def test_what_waits_is_not_sent_when_its_mails_are_switched_off(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "a")
    await choose(ann, {"category": "CREDITS", "mail": False})
    await choose(ann, DAILY)
    assert await house.at("2027-01-11T08:00:00Z", ann) == []


async def test_the_link_in_a_digest_ends_that_digest_alone(house: House) -> None:
    ann = await chosen(house, "UTC", DAILY, {"category": "WORKSPACE", "delivery": "WEEKLY"}, **NIGHT)
    house.set("2027-01-10T12:00:00Z")
    await told(house, ann, "a")
    await house.at("2027-01-11T08:00:00Z", ann)
    [mail] = await house.mails(ann)
    address = mail.message()["list-unsubscribe"].strip("<>")
    page = await ann.client.get(address)
    assert "no more mails that gather what is new every day" in page.text
    assert (await ann.client.post(address)).status_code == 200
    found = (await ann.client.get("/api/notifications/preferences")).json()["preferences"]
    assert found["quietHours"] == {"from": "22:00", "to": "07:00"}
    assert {one["category"]: (one["mail"], one["delivery"]) for one in found["categories"]} == {
        "CREDITS": (False, "DAILY"),
        "BILLING": (True, "INSTANT"),
        "WORKSPACE": (True, "WEEKLY"),
        "SECURITY": (True, "INSTANT"),
        "REMINDERS": (True, "INSTANT"),
        "TASKS": (True, "INSTANT"),
        "MESSAGES": (True, "INSTANT"),
        "CALENDAR": (True, "INSTANT"),
        "FILES": (True, "INSTANT"),
    }


BAD_CHOICES: list[dict[str, Any]] = [
    {"quietHours": {"from": "22:00"}},
    {"quietHours": {"from": "22:00", "to": "22:00"}},
    {"quietHours": {"from": "24:00", "to": "07:00"}},
    {"quietHours": {"from": "7:00", "to": "09:00"}},
    {"quietHours": {"from": 22, "to": 7}},
    {"quietHours": {"from": "22:00", "to": "07:00", "zone": "UTC"}},
    {"digestHour": 24},
    {"digestHour": "8"},
    {"digestHour": True},
    {"digestWeekday": "Monday"},
    {"inactivityReminder": {"afterDays": 6}},
    {"inactivityReminder": {"afterDays": 91}},
    {"inactivityReminder": True},
    {"categories": [{"category": "CREDITS", "delivery": "MONTHLY"}]},
    {"categories": [{"category": "CREDITS", "mail": 1}]},
]


async def test_bad_choices_are_refused(house: House) -> None:
    ann = await house.person()
    for body in BAD_CHOICES:
        answer = await ann.client.put("/api/notifications/preferences", json={"categories": [], **body})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), body
    assert (await ann.client.get("/api/notifications/preferences")).json()["preferences"]["version"] == 0


async def test_what_is_required_comes_at_once(house: House) -> None:
    ann = await house.person()
    refused = await choose(ann, {"category": "BILLING", "delivery": "DAILY"})
    assert (refused.status_code, refused.json()["code"]) == (422, "channel_required")
    assert (await choose(ann, {"category": "BILLING", "webhook": True})).status_code == 200


async def test_all_choices_are_kept(house: House) -> None:
    ann = await house.person()
    more = {
        "quietHours": {"from": "23:15", "to": "06:45"},
        "digestHour": 17,
        "digestWeekday": "SUNDAY",
        "inactivityReminder": {"afterDays": 14},
    }
    put = await choose(ann, DAILY, more=more)
    got = await ann.client.get("/api/notifications/preferences")
    assert put.json() == got.json()
    assert {name: got.json()["preferences"][name] for name in more} == more
    assert (await choose(ann, DAILY, more=more)).headers["ETag"] == put.headers["ETag"], "the same is no change"
    assert (await choose(ann, DAILY)).json()["preferences"]["quietHours"] is None


async def test_the_webhook_channel_tells_the_workspace_that_somebody_was_told(house: House) -> None:
    owner, member = await house.person(), await house.person()
    place = await make_workspace(owner)
    await join(house.platform, place["id"], member, Role.MEMBER)
    await choose(member, {"category": "WORKSPACE", "webhook": True})
    both = [owner.id, member.id]
    await tell(house.platform, both, workspace_id=UUID(place["id"]), category=Category.WORKSPACE)
    await tell(house.platform, both, workspace_id=UUID(place["id"]))
    answer = await owner.client.get("/api/changes", params={"workspaceId": place["id"], "limit": 200})
    [only] = [one for one in answer.json()["changes"] if one["entity"] == "notification"]
    [mine] = [one for one in await listed(member) if one["category"] == "WORKSPACE"]
    assert (only["entityId"], only["action"]) == (mine["id"], "created")
    assert (await owner.client.get(path_of(mine))).status_code == 404
    assert await unread(member) == 2
