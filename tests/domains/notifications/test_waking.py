"""What was put to sleep wakes once and is told again; what has grown old is forgotten."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.identity.permissions import Role
from tests.conftest import Person, open_platform
from tests.domains.notifications.house import House, choose
from tests.domains.notifications.telling import changes_of, listed, path_of, tell, titles, told, unread
from tests.identity.teams import join, make_workspace
from tests.support.clock import MovableClock
from tests.support.soak import rounds


async def asleep(house: House, person: Person, until: str, **fields: Any) -> dict[str, Any]:
    """Told, mailed, read, and put to sleep."""
    shown = await told(house.platform, person, **fields)
    await house.mails(person)
    await person.client.post(path_of(shown, "/read"))
    answer = await person.client.post(path_of(shown, "/snooze"), json={"until": until})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["notification"]
    return found


async def one(person: Person, shown: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await person.client.get(path_of(shown))).json()["notification"]
    return found


async def test_a_sleeper_wakes_unread_and_is_told_again(house: House) -> None:
    ann = await house.person()
    house.set("2027-01-10T12:00:00Z")
    shown = await asleep(house, ann, "2027-01-10T15:00:00Z", title="later")
    assert await house.at("2027-01-10T14:59:59Z", ann) == ["later"]
    assert (await titles(ann), await unread(ann)) == ([], 0)
    assert await house.at("2027-01-10T15:00:00Z", ann) == ["later", "Reminder: later"]
    woken = await one(ann, shown)
    assert (woken["readAt"], woken["snoozedUntil"]) == (None, None)
    assert woken["wokenAt"].startswith("2027-01-10T15:00:00")
    assert woken["version"] == shown["version"] + 1
    assert (await titles(ann), await unread(ann)) == (["later"], 1)
    assert [(each["action"], each["version"]) for each in await changes_of(ann)][-1] == ("woken", woken["version"])
    assert await house.at("2027-01-11T15:00:00Z", ann) == ["later", "Reminder: later"]
    assert await one(ann, shown) == woken


async def test_it_can_sleep_and_wake_again(house: House) -> None:
    ann = await house.person()
    house.set("2027-01-10T12:00:00Z")
    shown = await asleep(house, ann, "2027-01-10T15:00:00Z", title="later")
    await house.at("2027-01-10T15:00:00Z", ann)
    await ann.client.post(path_of(shown, "/snooze"), json={"until": "2027-01-10T18:00:00Z"})
    assert await house.at("2027-01-10T18:00:00Z", ann) == ["later", "Reminder: later", "Reminder: later"]


async def test_a_sleeper_that_wakes_at_night_is_mailed_in_the_morning(house: House) -> None:
    ann = await house.person(timeZone="Europe/Berlin")
    await choose(ann, more={"quietHours": {"from": "22:00", "to": "07:00"}})
    house.set("2027-01-10T12:00:00Z")
    await asleep(house, ann, "2027-01-10T23:00:00Z", title="later")
    assert await house.at("2027-01-10T23:00:00Z", ann) == ["later"]
    assert await unread(ann) == 1
    assert await house.at("2027-01-11T06:00:00Z", ann) == ["later", "Reminder: later"]


async def test_a_sleeper_of_a_digest_wakes_into_the_next_one(house: House) -> None:
    ann = await house.person()
    await choose(ann, {"category": "CREDITS", "delivery": "DAILY"})
    house.set("2027-01-10T12:00:00Z")
    shown = await told(house.platform, ann, title="later")
    await ann.client.post(path_of(shown, "/snooze"), json={"until": "2027-01-11T12:00:00Z"})
    assert await house.at("2027-01-11T08:00:00Z", ann) == [], "it sleeps when the digest is sent"
    assert await house.at("2027-01-11T12:00:00Z", ann) == []
    assert await house.at("2027-01-12T08:00:00Z", ann) == ["Your day: 1 unread"]


@pytest.mark.parametrize("step", ["read", "unread", "archive", "read-all"])
async def test_what_is_seen_to_before_the_sweep_comes_is_left_as_it_is(house: House, step: str) -> None:
    ann = await house.person()
    house.set("2027-01-10T12:00:00Z")
    shown = await told(house.platform, ann, title="later")
    await house.mails(ann)
    await ann.client.post(path_of(shown, "/snooze"), json={"until": "2027-01-10T15:00:00Z"})
    if step == "unread":
        await ann.client.post(path_of(shown, "/read"))
        await ann.client.post(path_of(shown, "/snooze"), json={"until": "2027-01-10T15:00:00Z"})
    house.set("2027-01-10T15:00:10Z")
    if step == "read-all":
        await ann.client.post("/api/notifications/read-all", json={"upTo": shown["id"]})
    else:
        await ann.client.post(path_of(shown, f"/{step}"))
    before = await one(ann, shown)
    assert await house.at("2027-01-10T15:01:00Z", ann) == ["later"]
    assert await one(ann, shown) == before


async def test_what_one_may_not_see_any_more_wakes_without_a_word(house: House) -> None:
    owner, member = await house.person(), await house.person()
    place = await make_workspace(owner)
    await join(house.platform, place["id"], member, Role.MEMBER)
    house.set("2027-01-10T12:00:00Z")
    await asleep(house, member, "2027-01-10T15:00:00Z", title="later", workspace_id=UUID(place["id"]))
    async with house.platform.database.transaction() as session:
        await session.execute(text("DELETE FROM workspace_members WHERE user_id = :id"), {"id": member.id})
    before = len(await changes_of(member))
    assert await house.at("2027-01-10T15:00:00Z", member) == ["later"]
    assert len(await changes_of(member)) == before


async def test_mail_that_was_switched_off_meanwhile_does_not_wake(house: House) -> None:
    ann = await house.person()
    house.set("2027-01-10T12:00:00Z")
    await asleep(house, ann, "2027-01-10T15:00:00Z", title="later")
    await choose(ann, {"category": "CREDITS", "mail": False})
    assert await house.at("2027-01-10T15:00:00Z", ann) == ["later"]
    assert await unread(ann) == 1


async def test_two_workers_wake_each_once(house: House) -> None:
    ann = await house.person()
    house.set("2027-01-10T12:00:00Z")
    count = rounds(10, 30)
    for number in range(count):
        await asleep(house, ann, "2027-01-10T15:00:00Z", title=str(number))
    house.set("2027-01-10T15:00:00Z")
    other_clock = MovableClock()
    other_clock.shift_to(house.clock.offset)
    async with open_platform(house.platform.settings, other_clock) as other:
        await asyncio.gather(
            *(run_sweep(each, PERIODICS["notifications.wake"]) for each in (house.platform, other) * 3)
        )
    woken = [each["entityId"] for each in await changes_of(ann) if each["action"] == "woken"]
    assert len(woken) == len(set(woken)) == count
    before = len(house.arrived(ann))
    await house.sweep()
    assert len(await house.mails(ann)) == before + 1, "they woke at once: one mail tells of them"


# --- what has grown old ----------------------------------------------------------------------------------------


async def test_notifications_are_forgotten_after_a_year(house: House) -> None:
    ann = await house.person()
    house.set("2027-01-10T12:00:00Z")
    await tell(house.platform, [ann.id], title="old")
    sleeper = await told(house.platform, ann, title="asleep")
    await ann.client.post(path_of(sleeper, "/snooze"), json={"until": "2028-01-10T15:00:00Z"})
    house.set("2027-01-11T12:00:00Z")
    await tell(house.platform, [ann.id], title="a day younger")
    house.set("2028-01-10T12:00:01Z")
    await house.sweep("forget")
    assert await titles(ann) == ["a day younger"]
    assert [each["title"] for each in await listed(ann, snoozed=True)] == ["asleep"], "it was promised to wake"
    house.set("2028-01-10T15:00:00Z")
    await house.sweep("wake", "gather", "forget")
    assert await titles(ann) == ["a day younger"]


async def test_a_mail_of_several_is_forgotten_and_what_it_told_is_not(house: House) -> None:
    ann = await house.person()
    await choose(ann, {"category": "CREDITS", "delivery": "DAILY"})
    house.set("2027-01-10T12:00:00Z")
    await tell(house.platform, [ann.id], title="a")
    await house.at("2027-01-11T08:00:00Z", ann)
    house.set("2027-04-11T08:00:00Z")
    await house.sweep("forget", "gather")
    async with house.platform.database.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM notification_mailings")) == 0
    assert await titles(ann) == ["a"]
    assert len(await house.mails(ann)) == 1, "it does not wait again"


async def test_what_waits_for_its_digest_is_not_forgotten_before_it(house: House) -> None:
    ann = await house.person()
    await choose(ann, {"category": "CREDITS", "delivery": "WEEKLY"})
    house.set("2027-01-10T12:00:00Z")
    await tell(house.platform, [ann.id], title="a")
    house.clock.shift_to(house.clock.offset + timedelta(days=400))
    await house.sweep("forget")
    await house.sweep("gather")
    assert [each.subject for each in await house.mails(ann)] == ["Your week: 1 unread"]
