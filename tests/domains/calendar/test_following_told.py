"""Who hears of a series that was cut: of a part that goes on as it was only addresses outside, of both."""

from dataclasses import dataclass

import pytest
from sqlalchemy import select

from pm_api.core.platform import Platform
from pm_api.domains.calendar.models import CalendarLetter
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson, Person
from tests.domains.calendar.diaries import Diary, Json, key, open_diary
from tests.domains.calendar.test_attendees import AT_NINE, SECOND, THIRD, told

FOLLOWING: Json = {"scope": "following"}
GIL = "gil@example.org"


@dataclass
class Circle:
    """A series of five with a member, and one outside."""

    diary: Diary
    ann: Person
    series: Json

    async def letters(self) -> list[tuple[str, str]]:
        """Method, and what is said of how it recurs, oldest first."""
        wanted = select(CalendarLetter).where(CalendarLetter.email == GIL).order_by(CalendarLetter.id)
        async with self.diary.platform.database.reading() as session:
            rows = [one for one in await session.scalars(wanted) if str(one.workspace_id) == self.diary.id]
        return [(one.method, _rule_in(one.calendar)) for one in rows]


def _rule_in(calendar: bytes) -> str:
    rules = [line for line in calendar.decode().splitlines() if line.startswith("RRULE:FREQ=WEEKLY")]
    return rules[0].removeprefix("RRULE:FREQ=WEEKLY;") if rules else ""


@pytest.fixture
async def circle(platform: Platform, new_person: NewPerson) -> Circle:
    diary = await open_diary(platform, new_person)
    ann = await diary.person(Role.MEMBER, name="Ann")
    invited: Json = {"attendeeIds": [str(ann.id)], "attendees": [{"email": GIL}]}
    series = await diary.event(**AT_NINE, **invited, rrule="FREQ=WEEKLY;COUNT=5")
    assert len(await told(ann)) == 1
    made = Circle(diary, ann, series)
    assert await made.letters() == [("REQUEST", "COUNT=5")]
    return made


async def test_another_title_from_then_on(circle: Circle) -> None:
    await circle.diary.patch(key(circle.series["id"], THIRD), query=FOLLOWING, title="Retro")
    assert len(await told(circle.ann)) == 1, "it takes place as before"
    assert sorted(await circle.letters()) == [("REQUEST", "COUNT=2"), ("REQUEST", "COUNT=3"), ("REQUEST", "COUNT=5")]


async def test_another_time_from_then_on(circle: Circle) -> None:
    later: Json = {"startTime": "2030-03-18T11:00:00Z", "endTime": "2030-03-18T12:00:00Z"}
    changed = await circle.diary.patch(key(circle.series["id"], THIRD), query=FOLLOWING, **later)
    assert [kind for kind, _ in await told(circle.ann)] == ["invited", "invited"]
    assert {one["response"] for one in changed["event"]["attendees"]} == {"PENDING"}
    await circle.diary.patch(changed["event"]["seriesId"], title="Retro")
    assert len(await told(circle.ann)) == 2, "once"


async def test_no_more_from_then_on(circle: Circle) -> None:
    """Who was to come to one of those alone hears that they need not."""
    bob = await circle.diary.person(Role.MEMBER, name="Bob")
    one = key(circle.series["id"], THIRD)
    await circle.diary.patch(one, query={"scope": "this"}, attendeeIds=[str(circle.ann.id), str(bob.id)])
    assert [kind for kind, _ in await told(bob)] == ["invited"]
    await circle.diary.delete(one, scope="following")
    assert [kind for kind, _ in await told(circle.ann)] == ["invited", "moved"]
    assert [kind for kind, _ in await told(bob)] == ["invited", "uninvited"]
    assert (await circle.letters())[-1] == ("REQUEST", "COUNT=2")
    left = await circle.diary.read(circle.series["id"])
    assert left["sequence"] == circle.series["sequence"] + 1


async def test_nothing_to_change_cuts_nothing(circle: Circle) -> None:
    await circle.diary.patch(key(circle.series["id"], SECOND), query=FOLLOWING)
    assert await circle.diary.read(circle.series["id"]) == circle.series
    assert len(await circle.letters()) == 1
