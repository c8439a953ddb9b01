"""Reminders of who stayed away: off until switched on, one an absence, paid once or not sent."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from pm_api.app import create_app
from pm_api.core.jobs import PERIODICS, run_sweep
from pm_api.core.platform import Platform
from pm_api.domains.ai_credits import system_spends
from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.notifications import absences
from pm_api.domains.notifications.enums import Category
from pm_api.domains.reminders import service
from tests.conftest import PASSWORD, Person, open_platform
from tests.domains.ai_credits import holding
from tests.domains.ai_credits.test_sweeps import STRAY_LINE
from tests.domains.notifications.house import House, choose, open_house
from tests.domains.notifications.telling import tell, titles
from tests.support.clock import MovableClock
from tests.support.mail import post_office

SWEEP = "reminders.remind_absent"
TITLE = "You have not been here for 14 days"
FORTNIGHT = {"inactivityReminder": {"afterDays": 14}}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made


async def away(house: House, **more: Any) -> Person:
    """Somebody with ten credits who switched the reminder on."""
    person = await house.person(**more)
    assert (await choose(person, more=FORTNIGHT)).status_code == 200
    return person


def days_later(house: House, days: float) -> None:
    house.clock.shift_to(house.clock.offset + timedelta(days=days))


async def remind(house: House, platform: Platform | None = None) -> None:
    await run_sweep(platform or house.platform, PERIODICS[SWEEP])


async def subjects(house: House, person: Person) -> list[str]:
    return [one.subject for one in await house.mails(person)]


async def spent(house: House, person: Person) -> list[int]:
    """What went for reminders."""
    async with house.platform.database.reading() as session:
        found = await session.scalars(
            text("SELECT amount FROM credit_entries WHERE account_id = :id AND service = 'INACTIVITY_REMINDER'"),
            {"id": person.id},
        )
        return list(found)


async def test_nobody_is_reminded_who_did_not_switch_it_on(house: House) -> None:
    ann = await house.person()
    days_later(house, 20)
    await remind(house)
    assert (await subjects(house, ann), await spent(house, ann)) == ([], [])


async def test_one_reminder_an_absence_for_one_credit(house: House) -> None:
    ann = await away(house)
    for title in ("First", "Second", "Third", "Fourth"):
        await tell(house.platform, [ann.id], title=title, category=Category.WORKSPACE)
    before = len(await house.mails(ann))
    days_later(house, 13.9)
    await remind(house)
    assert await spent(house, ann) == []
    days_later(house, 0.2)
    await remind(house)
    async with house.platform.database.reading() as session:
        assert await absences.due(session, house.clock.now(), None, 10) == [], "nobody looks at it again"
    for _ in range(3):
        await remind(house)
        days_later(house, 20)
    assert (await subjects(house, ann))[before:] == [TITLE]
    assert await spent(house, ann) == [-1]
    words = (await house.mails(ann))[-1].part("plain")
    for wanted in ("4 notifications wait for you:", "• Fourth", "• Third", "• Second", "It cost 1 credit"):
        assert wanted in words
    assert "• First" not in words
    assert "Stop these mails" in words


async def test_who_comes_back_and_goes_again_is_reminded_again(house: House) -> None:
    ann = await away(house)
    await holding.grant(ann.client, 50, userId=str(ann.id))
    days_later(house, 14)
    await remind(house)
    house.clock.advance(days=40)
    answer = await ann.client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    house.clock.shift_to(timedelta(0))
    await remind(house)
    assert await subjects(house, ann) == [TITLE]
    days_later(house, 14)
    await remind(house)
    assert await subjects(house, ann) == [TITLE, TITLE]
    assert len(await spent(house, ann)) == 2


async def test_without_credits_nobody_is_reminded_nor_asked_again_for_this_absence(house: House) -> None:
    ann = await away(house)
    assert (await holding.post(ann, "credits/spend", amount=10)).status_code == 200
    before = await subjects(house, ann)
    days_later(house, 14)
    await remind(house)
    await holding.grant(ann.client, 50, userId=str(ann.id))
    await remind(house)
    after = [one for one in await subjects(house, ann) if one not in before]
    assert TITLE not in after
    assert await spent(house, ann) == []


async def test_whose_books_are_damaged_keeps_nobody_else_waiting(house: House) -> None:
    """They are looked at in the order of their ids: whoever stands first would stand in everybody's way."""
    ann, bea = sorted([await away(house), await away(house)], key=lambda one: one.id)
    async with house.platform.database.transaction() as session:
        await session.execute(text(STRAY_LINE), {"id": ann.id, "now": house.clock.now()})
    days_later(house, 14)
    await remind(house)
    assert TITLE in await subjects(house, bea)
    assert TITLE not in await subjects(house, ann)


@pytest.mark.parametrize("step", ["mail off", "switched off"])
async def test_nothing_is_paid_for_a_reminder_that_could_not_reach_them(house: House, step: str) -> None:
    ann = await away(house)
    if step == "mail off":
        await choose(ann, {"category": "REMINDERS", "mail": False}, more=FORTNIGHT)
    else:
        await choose(ann)
    days_later(house, 15)
    await remind(house)
    assert (await subjects(house, ann), await spent(house, ann), await titles_of_all(house, ann)) == ([], [], 0)


async def titles_of_all(house: House, person: Person) -> int:
    async with house.platform.database.reading() as session:
        found = await session.scalar(
            text("SELECT count(*) FROM notifications WHERE user_id = :id AND category = 'REMINDERS'"),
            {"id": person.id},
        )
        return int(found or 0)


async def test_without_a_mail_server_nothing_is_paid(fresh_platform: Platform) -> None:
    async with post_office() as post:
        house = House(fresh_platform, create_app(fresh_platform.settings, fresh_platform), post, [])
        ann = await away(house)
        days_later(house, 15)
        await remind(house)
        assert await spent(house, ann) == []
        await ann.client.aclose()


async def test_a_reminder_due_in_quiet_hours_comes_in_the_morning(house: House) -> None:
    ann = await house.person(timeZone="UTC")
    await choose(ann, more={**FORTNIGHT, "quietHours": {"from": "22:00", "to": "07:00"}})
    now = house.clock.now() + timedelta(days=15)
    night = now.replace(hour=23, minute=11, second=0, microsecond=0)
    night += timedelta(days=1 if night < now else 0)  # whenever this runs, the first night after fifteen days
    assert await house.at(night, ann) == []
    await remind(house)
    assert await house.at(night + timedelta(hours=1), ann) == []
    assert await titles(ann) == ["You have not been here for 15 days"]
    assert await house.at(night + timedelta(hours=8), ann) == ["You have not been here for 15 days"]


async def test_many_workers_take_one_credit_and_tell_once(house: House) -> None:
    people = [await away(house) for _ in range(5)]
    days_later(house, 14)
    other_clock = MovableClock()
    other_clock.shift_to(house.clock.offset)
    async with open_platform(house.platform.settings, other_clock) as other:
        await asyncio.gather(*(remind(house, one) for one in (house.platform, other) * 3))
    for person in people:
        assert await subjects(house, person) == [TITLE]
        assert len(await spent(house, person)) == 1


async def test_a_worker_that_dies_before_it_commits_has_taken_nothing(house: House) -> None:
    ann = await away(house)
    days_later(house, 14)
    price = await system_spends.price(house.platform, Service.INACTIVITY_REMINDER)
    assert price is not None
    assert price.cost == 1
    async with house.platform.database.reading() as session:
        assert await service.remind(session, house.platform, ann.id, price), "and then it dies"
    assert (await subjects(house, ann), await spent(house, ann)) == ([], [])
    await remind(house)
    assert (await subjects(house, ann), len(await spent(house, ann))) == ([TITLE], 1)


async def test_who_switches_it_on_late_is_away_from_then_on(house: House) -> None:
    """Sign-ins that ended long ago are forgotten: nobody is reminded on the day they ask for it."""
    ann = await house.person()
    async with house.platform.database.transaction() as session:
        await session.execute(
            text("UPDATE sessions SET last_used_at = :then WHERE user_id = :id"),
            {"then": house.clock.wall() - timedelta(days=90), "id": ann.id},
        )
    await choose(ann, more=FORTNIGHT)
    await remind(house)
    assert await subjects(house, ann) == []
    days_later(house, 14)
    await remind(house)
    assert await subjects(house, ann) == [TITLE]
