"""When somebody works, over HTTP."""

import httpx
import pytest

from tests.conftest import NewPerson, Person
from tests.domains.calendar.halls import Json, refusal

PATH = "/api/calendar/working-hours"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LONG = {"start": "09:00", "end": "17:00"}


async def test_who_has_said_nothing_works_as_most_do(person: Person) -> None:
    answer = await person.client.get(PATH)
    found = answer.json()["workingHours"]
    assert found["days"] == {day: [LONG] if day in WEEKDAYS[:5] else [] for day in WEEKDAYS}
    assert (found["version"], answer.headers["ETag"]) == (0, '"0"')


async def test_what_is_chosen_holds_and_counts(new_person: NewPerson) -> None:
    person = await new_person(timeZone="Europe/Berlin")
    days = {"saturday": [{"start": "13:00", "end": "24:00"}, {"start": "00:00", "end": "06:30"}]}
    answer = await person.client.put(PATH, json={"days": days}, headers={"If-Match": '"0"'})
    assert answer.status_code == 200, answer.text
    found = answer.json()["workingHours"]
    assert found["days"]["saturday"] == [{"start": "00:00", "end": "06:30"}, {"start": "13:00", "end": "24:00"}]
    assert all(not found["days"][day] for day in WEEKDAYS if day != "saturday")
    assert (found["version"], found["timeZone"]) == (1, "Europe/Berlin")
    assert (await person.client.get(PATH)).json()["workingHours"] == found
    again = await person.client.put(PATH, json={"days": days})
    assert again.json()["workingHours"]["version"] == 1, "nothing changed"
    assert refusal(await person.client.put(PATH, json={"days": {}}, headers={"If-Match": '"0"'}))[0] == 412
    assert (await person.client.put(PATH, json={"days": {}})).json()["workingHours"]["version"] == 2


@pytest.mark.parametrize(
    "days",
    [
        {"monday": [{"start": "9:00", "end": "17:00"}]},
        {"monday": [{"start": "09:00", "end": "25:00"}]},
        {"monday": [{"start": "24:00", "end": "24:00"}]},
        {"monday": [{"start": "17:00", "end": "09:00"}]},
        {"monday": [{"start": "09:00", "end": "12:00"}, {"start": "11:00", "end": "17:00"}]},
        {"monday": [LONG] * 7},
        {"XX": []},
        [],
    ],
)
async def test_what_nobody_can_work(person: Person, days: Json) -> None:
    assert refusal(await person.client.put(PATH, json={"days": days})) == (422, "validation_failed")


async def test_the_gates(client: httpx.AsyncClient, person: Person, new_person: NewPerson) -> None:
    assert (await client.get(PATH)).status_code == 401
    assert (await client.put(PATH, json={"days": {}})).status_code == 401
    await person.client.put(PATH, json={"days": {}})
    other = await new_person()
    assert (await other.client.get(PATH)).json()["workingHours"]["version"] == 0, "everybody's are their own"
