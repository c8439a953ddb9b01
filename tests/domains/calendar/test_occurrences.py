"""One occurrence of a series, and all of it at once: what moves, what stays, and by which name it is found."""

from typing import Final

import pytest

from pm_api.core.platform import Platform
from pm_api.identity.permissions import Role
from tests.conftest import NewPerson
from tests.domains.calendar.diaries import Diary, Json, key, open_diary, path_of, refusal

FIRST, SECOND, THIRD = "20260302T140000Z", "20260309T130000Z", "20260316T130000Z"
"""Mondays at nine in New York: clocks go forward on 8 March."""
SPRING: Final = ("2026-02-01", "2026-06-01")
ALL: Final = {"scope": "all"}
THIS: Final = {"scope": "this"}


@pytest.fixture
async def diary(platform: Platform, new_person: NewPerson) -> Diary:
    return await open_diary(platform, new_person)


def starts(events: list[Json]) -> list[str]:
    return [one["startTime"].removesuffix(":00.000Z") for one in events]


# --- one -------------------------------------------------------------------------------------------------------


async def test_an_occurrence_has_an_address_before_anybody_wrote_to_it(diary: Diary) -> None:
    series = await diary.series()
    one = await diary.read(key(series["id"], SECOND))
    assert (one["seriesId"], one["originalStartTime"]) == (series["id"], "2026-03-09T13:00:00.000Z")
    assert (one["startTime"], one["endTime"]) == ("2026-03-09T13:00:00.000Z", "2026-03-09T14:00:00.000Z")
    assert (one["isException"], one["status"], one["version"]) == (False, "CONFIRMED", 1)
    assert (one["rrule"], one["recurrenceText"]) == (series["rrule"], series["recurrenceText"])
    assert one in await diary.shown(*SPRING)
    for never in ("20260310T130000Z", "20260309T140000Z", "20260309T130001Z", "20260223T140000Z"):
        assert refusal(await diary.owner.client.get(path_of(key(series["id"], never)))) == (
            404,
            "occurrence_not_found",
        )
    single = await diary.event()
    answer = await diary.owner.client.get(path_of(key(single["id"], FIRST)))
    assert refusal(answer) == (404, "occurrence_not_found")


async def test_a_moved_occurrence_is_gone_from_its_old_week_and_shows_once_in_the_new(diary: Diary) -> None:
    series = await diary.series()
    name = key(series["id"], SECOND)
    moved = (await diary.patch(name, startTime="2026-03-19T15:00:00Z"))["event"]
    assert (moved["id"], moved["isException"], moved["version"]) == (name, True, 2)
    assert (moved["originalStartTime"], moved["startTime"]) == (
        "2026-03-09T13:00:00.000Z",
        "2026-03-19T15:00:00.000Z",
    )
    assert (moved["sequence"], (await diary.read(series["id"]))["sequence"]) == (1, 0)
    assert await diary.shown("2026-03-09", "2026-03-16") == []
    assert starts(await diary.shown("2026-03-16", "2026-03-23")) == ["2026-03-16T13:00", "2026-03-19T15:00"]
    assert [one["id"] for one in await diary.shown(*SPRING)].count(name) == 1
    assert await diary.read(name) == moved
    back = (await diary.patch(name, startTime="2026-03-09T13:00:00Z"))["event"]
    assert back["startTime"] == back["originalStartTime"]
    assert starts(await diary.shown("2026-03-09", "2026-03-16")) == ["2026-03-09T13:00"]


async def test_an_occurrence_moved_far_away_is_found_there(diary: Diary) -> None:
    series = await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO")
    await diary.patch(key(series["id"], SECOND), startTime="2036-05-05T15:00:00Z")
    far = await diary.shown("2036-05-05", "2036-05-06")
    assert starts(far) == ["2036-05-05T13:00", "2036-05-05T15:00"]
    await diary.patch(key(series["id"], THIRD), startTime="2016-05-05T15:00:00Z")
    assert starts(await diary.shown("2016-05-05", "2016-05-06")) == ["2016-05-05T15:00"]


async def test_an_occurrence_differs_in_its_own_fields(diary: Diary) -> None:
    series = await diary.series(description="Of all")
    name = key(series["id"], SECOND)
    sent: Json = {"title": "Special", "location": "Room 9", "type": "CALL", "showAs": "TENTATIVE"}
    one = (await diary.patch(name, **sent))["event"]
    assert {field: one[field] for field in sent} == sent
    assert (one["description"], one["sequence"]) == ("Of all", 0)
    again = (await diary.patch(name, title="Special"))["event"]
    assert again == one
    renamed = (await diary.patch(series["id"], title="All of us", description="New"))["event"]
    assert renamed["title"] == "All of us"
    titles = [(event["title"], event["description"]) for event in await diary.shown("2026-03-01", "2026-03-20")]
    assert titles == [("All of us", "New"), ("Special", "New"), ("All of us", "New")]


async def test_an_occurrence_becomes_a_whole_day(diary: Diary) -> None:
    series = await diary.series()
    one = (await diary.patch(key(series["id"], SECOND), allDay=True))["event"]
    assert (one["allDay"], one["startDate"], one["endDate"]) == (True, "2026-03-09", "2026-03-10")
    [there] = await diary.shown("2026-03-09", "2026-03-10", tz="Asia/Tokyo")
    assert (there["id"], there["startTime"]) == (one["id"], "2026-03-08T15:00:00.000Z")


async def test_what_is_of_the_whole_series_is_no_occurrences(diary: Diary) -> None:
    series = await diary.series()
    sent = {"rrule": None, "visibility": "PRIVATE", "title": "Fine"}
    answer = await diary.owner.client.patch(path_of(key(series["id"], SECOND)), json=sent)
    assert refusal(answer) == (422, "series_field_of_occurrence")
    assert [one["pointer"] for one in answer.json()["details"]] == ["/rrule", "/visibility"]
    for scope in ("this", "following"):
        answer = await diary.owner.client.patch(
            path_of(series["id"]), params={"scope": scope}, json={"title": "Which?"}
        )
        assert refusal(answer) == (422, "occurrence_required")
        answer = await diary.owner.client.delete(path_of(series["id"]), params={"scope": scope})
        assert refusal(answer) == (422, "occurrence_required")
    single = await diary.event()
    changed = (await diary.patch(single["id"], None, THIS, title="The one"))["event"]
    assert changed["title"] == "The one"


async def test_a_cancelled_occurrence_is_gone_until_it_is_written_again(diary: Diary) -> None:
    series = await diary.series()
    name = key(series["id"], SECOND)
    await diary.patch(name, title="Special")
    assert (await diary.delete(name)).status_code == 204
    assert len(await diary.shown(*SPRING)) == 9
    gone = await diary.read(name)
    assert (gone["status"], gone["title"], gone["allowedActions"]) == ("CANCELLED", "Special", [])
    assert gone["version"] == 3
    for method, body in (("DELETE", None), ("PATCH", {"title": "Back?"})):
        answer = await diary.owner.client.request(method, path_of(name), json=body)
        assert refusal(answer) == (404, "occurrence_not_found")
    whole = {
        "title": "Back",
        "type": "MEETING",
        "startTime": "2026-03-09T13:00:00Z",
        "endTime": "2026-03-09T13:30:00Z",
    }
    answer = await diary.owner.client.put(path_of(name), json={**whole, "timeZone": "America/New_York"})
    assert answer.status_code == 200, answer.text
    assert len(await diary.shown(*SPRING)) == 10
    back = await diary.read(name)
    assert (back["status"], back["title"], back["endTime"]) == ("CONFIRMED", "Back", "2026-03-09T13:30:00.000Z")


async def test_the_last_occurrence_takes_its_series_with_it(diary: Diary) -> None:
    series = await diary.series(rrule="FREQ=WEEKLY;COUNT=3")
    for name in (SECOND, FIRST, THIRD):
        assert (await diary.read(series["id"]))["status"] == "CONFIRMED"
        await diary.delete(key(series["id"], name))
    assert refusal(await diary.owner.client.get(path_of(series["id"]))) == (404, "event_not_found")
    assert [one["action"] for one in await diary.feed() if one["entityId"] == series["id"]][-1] == "deleted"


async def test_a_guest_of_one_occurrence_comes_to_that_one(diary: Diary) -> None:
    ann, bob = await diary.person(Role.MEMBER), await diary.person(Role.MEMBER)
    series = await diary.series(attendeeIds=[str(ann.id)])
    name = key(series["id"], SECOND)
    await diary.patch(name, attendeeIds=[str(bob.id)])

    async def invited_to(person: str) -> list[str]:
        return starts(await diary.shown("2026-03-01", "2026-03-20", attendeeId=person))

    assert await invited_to(str(bob.id)) == ["2026-03-09T13:00"]
    assert await invited_to(str(ann.id)) == ["2026-03-02T14:00", "2026-03-16T13:00"]


# --- all -------------------------------------------------------------------------------------------------------


async def test_a_series_moves_with_all_that_hangs_on_it(diary: Diary) -> None:
    """By a day and an hour: weekdays of the rule, its end, dates taken out and added, and what single ones have."""
    series = await diary.series(
        rrule="FREQ=WEEKLY;BYDAY=MO;UNTIL=20260504T130000Z",
        exdate=["2026-03-16T09:00:00"],
        rdate=["2026-03-18T12:00:00"],
    )
    before = await diary.shown(*SPRING)
    assert len(before) == 10
    await diary.patch(key(series["id"], "20260323T130000Z"), title="Special")
    await diary.delete(key(series["id"], "20260330T130000Z"))
    await diary.patch(key(series["id"], "20260406T130000Z"), startTime="2026-04-10T20:00:00Z")
    changed = (await diary.patch(series["id"], startTime="2026-03-03T10:00:00-05:00"))["event"]
    assert changed["rrule"] == "FREQ=WEEKLY;UNTIL=20260505T140000Z;BYDAY=TU"
    assert changed["exdate"] == ["2026-03-17T10:00:00"]
    assert changed["rdate"] == ["2026-03-19T13:00:00"]
    assert changed["sequence"] == 1
    after = await diary.shown(*SPRING)
    assert starts(after) == [
        "2026-03-03T15:00",
        "2026-03-10T14:00",
        "2026-03-19T17:00",
        "2026-03-24T14:00",
        "2026-04-10T20:00",
        "2026-04-14T14:00",
        "2026-04-21T14:00",
        "2026-04-28T14:00",
        "2026-05-05T14:00",
    ]
    assert [one["title"] for one in after].count("Special") == 1
    special = await diary.read(key(series["id"], "20260324T140000Z"))
    assert special["title"] == "Special"
    gone = await diary.read(key(series["id"], "20260331T140000Z"))
    assert gone["status"] == "CANCELLED"
    moved = await diary.read(key(series["id"], "20260407T140000Z"))
    assert moved["startTime"] == "2026-04-10T20:00:00.000Z"


async def test_names_may_go_where_others_come_from(diary: Diary) -> None:
    """Moved by a week, each occurrence gets the name that another had."""
    series = await diary.series()
    names = [FIRST, SECOND, THIRD]
    for number, name in enumerate(names):
        await diary.patch(key(series["id"], name), title=f"No. {number}")
    await diary.patch(series["id"], startTime="2026-03-09T09:00:00-04:00")
    assert [one["title"] for one in (await diary.shown(*SPRING))[:4]] == ["No. 0", "No. 1", "No. 2", "Standup"]
    assert (await diary.read(key(series["id"], THIRD)))["title"] == "No. 1"
    await diary.patch(series["id"], startTime="2026-03-02T09:00:00-05:00")
    assert [one["title"] for one in (await diary.shown(*SPRING))[:4]] == ["No. 0", "No. 1", "No. 2", "Standup"]


async def test_times_of_a_named_occurrence_move_the_others_by_as_much(diary: Diary) -> None:
    series = await diary.series()
    changed = await diary.patch(
        key(series["id"], THIRD), None, ALL, startTime="2026-03-16T16:00:00Z", endTime="2026-03-16T16:30:00Z"
    )
    assert changed["event"]["id"] == key(series["id"], "20260316T160000Z")
    shown = await diary.shown(*SPRING)
    assert starts(shown)[:3] == ["2026-03-02T17:00", "2026-03-09T16:00", "2026-03-16T16:00"]
    assert {one["endTime"][14:16] for one in shown} == {"30"}
    assert len(shown) == 10


async def test_what_hangs_on_occurrences_that_are_no_more_goes(diary: Diary) -> None:
    series = await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO,TH;COUNT=10")
    thursday = key(series["id"], "20260305T140000Z")
    await diary.patch(thursday, title="On Thursday", startTime="2026-03-06T20:00:00Z")
    await diary.patch(key(series["id"], SECOND), title="On Monday")
    await diary.patch(series["id"], rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=10")
    shown = await diary.shown(*SPRING)
    assert [one["title"] for one in shown[:3]] == ["Standup", "On Monday", "Standup"]
    assert refusal(await diary.owner.client.get(path_of(thursday))) == (404, "occurrence_not_found")
    await diary.patch(series["id"], rrule="FREQ=WEEKLY;BYDAY=MO,TH;COUNT=10")
    assert (await diary.read(thursday))["title"] == "Standup"


async def test_all_of_it_changed_by_way_of_one_that_differs(diary: Diary) -> None:
    """What is sent is what that one shows then, and the others move by as much as it does."""
    series = await diary.series(rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=3")
    second = key(series["id"], SECOND)
    own = {"startTime": "2026-03-10T16:00:00Z", "endTime": "2026-03-10T18:00:00Z"}
    await diary.patch(second, None, THIS, title="Own", location="Own", **own)
    named = (await diary.patch(second, None, ALL, title="All", **own))["event"]
    assert (named["title"], named["location"], named["startTime"]) == ("All", "Own", "2026-03-10T16:00:00.000Z")
    mondays = ["2026-03-02T14:00", "2026-03-10T16:00", "2026-03-16T13:00"]
    assert starts(await diary.shown(*SPRING)) == mondays, "it was sent as it is, so nothing moves"
    assert (await diary.read(series["id"]))["endTime"] == series["endTime"]
    later = (await diary.patch(second, None, ALL, startTime="2026-03-10T17:30:00Z"))["event"]
    assert (later["startTime"], later["endTime"]) == ("2026-03-10T17:30:00.000Z", "2026-03-10T19:30:00.000Z")
    shown = await diary.shown(*SPRING)
    assert starts(shown) == ["2026-03-02T15:30", "2026-03-10T17:30", "2026-03-16T14:30"]
    assert [one["title"] for one in shown] == ["All"] * 3
    longer = (await diary.patch(later["id"], None, ALL, endTime="2026-03-10T20:30:00Z"))["event"]
    assert longer["endTime"] == "2026-03-10T20:30:00.000Z"
    ends = [one["endTime"][:16] for one in await diary.shown(*SPRING)]
    assert ends == ["2026-03-02T18:30", "2026-03-10T20:30", "2026-03-16T17:30"]


async def test_an_event_becomes_a_series_and_one_event_again(diary: Diary) -> None:
    event = await diary.event()
    series = (await diary.patch(event["id"], rrule="FREQ=DAILY;COUNT=3"))["event"]
    assert (series["recurrenceText"] or "").startswith("Every day")
    assert starts(await diary.shown(*SPRING)) == ["2026-03-02T14:00", "2026-03-03T14:00", "2026-03-04T14:00"]
    await diary.patch(key(event["id"], FIRST), title="Special")
    single = (await diary.patch(event["id"], rrule=None))["event"]
    assert (single["rrule"], single["title"]) == (None, "Standup")
    [one] = await diary.shown(*SPRING)
    assert (one["id"], one["seriesId"]) == (event["id"], None)


async def test_a_change_that_leaves_nothing_is_refused(diary: Diary) -> None:
    series = await diary.series(rrule="FREQ=WEEKLY;COUNT=2")
    dates = ["2026-03-02T09:00:00", "2026-03-09T09:00:00"]
    answer = await diary.owner.client.patch(path_of(series["id"]), json={"exdate": dates})
    assert refusal(answer) == (422, "recurrence_rule_empty")
    assert await diary.read(series["id"]) == series


async def test_another_time_asks_those_invited_again(diary: Diary) -> None:
    ann = await diary.person(Role.MEMBER)
    series = await diary.series(attendeeIds=[str(ann.id), str(diary.owner.id)])
    answer = await ann.client.post(path_of(series["id"], "/respond"), json={"response": "ACCEPTED"})
    assert answer.status_code == 200, answer.text

    async def said(event_id: str) -> list[str]:
        people = (await diary.read(event_id))["attendees"]
        return [one["response"] for one in sorted(people, key=lambda one: one["user"]["id"] != str(ann.id))]

    assert await said(series["id"]) == ["ACCEPTED", "ACCEPTED"], "its organizer comes anyway"
    await diary.patch(series["id"], title="Another title")
    assert await said(series["id"]) == ["ACCEPTED", "ACCEPTED"]
    await diary.patch(key(series["id"], SECOND), startTime="2026-03-09T15:00:00Z")
    assert await said(key(series["id"], SECOND)) == ["PENDING", "ACCEPTED"]
    assert await said(key(series["id"], THIRD)) == ["ACCEPTED", "ACCEPTED"]
    await diary.patch(series["id"], startTime="2026-03-02T10:00:00-05:00")
    assert await said(series["id"]) == ["PENDING", "ACCEPTED"]


async def test_following_on_the_first_equals_all(diary: Diary) -> None:
    change = {"title": "Changed", "startTime": "2026-03-02T15:00:00Z"}
    found = []
    for scope in ("all", "following"):
        series = await diary.series()
        changed = (await diary.patch(key(series["id"], FIRST), None, {"scope": scope}, **change))["event"]
        assert changed["seriesId"] == series["id"]
        whole = await diary.read(series["id"])
        assert whole["previousSeriesId"] is None
        shown = [one for one in await diary.shown(*SPRING) if one["seriesId"] == series["id"]]
        found.append([(one["title"], one["startTime"], one["version"], one["sequence"]) for one in shown])
    assert found[0] == found[1]
    assert len(found[0]) == 10


async def test_a_dry_run_tells_and_does_nothing(diary: Diary) -> None:
    series = await diary.series()
    name = key(series["id"], SECOND)
    for method, body in (("PATCH", {"title": "Tried"}), ("DELETE", None)):
        answer = await diary.owner.client.request(method, path_of(name), params={"dryRun": "true"}, json=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["dryRun"] is True
        assert name in [one["id"] for one in told["differences"]]
    assert await diary.read(series["id"]) == series
    assert len(await diary.shown(*SPRING)) == 10


async def test_one_that_clocks_skip_stays_as_it_was_when_the_series_moves(diary: Diary) -> None:
    """On 11 March 2007 clocks skip 02:30: it took place at 03:30, and there it goes with the others."""
    daily: Json = {"startTime": "2007-03-10T02:30:00-05:00", "endTime": "2007-03-10T03:00:00-05:00"}
    series = await diary.series(**daily, rrule="FREQ=DAILY;COUNT=3")
    skipped = key(series["id"], "20070311T073000Z")
    assert (await diary.read(skipped))["startTime"] == "2007-03-11T07:30:00.000Z"
    await diary.delete(skipped)
    await diary.patch(series["id"], startTime="2007-03-10T03:30:00-05:00")
    assert starts(await diary.shown("2007-03-01", "2007-04-01")) == ["2007-03-10T08:30", "2007-03-12T07:30"]
    await diary.patch(series["id"], startTime="2007-03-10T04:45:00-05:00")
    assert starts(await diary.shown("2007-03-01", "2007-04-01")) == ["2007-03-10T09:45", "2007-03-12T08:45"]


async def test_names_outside_of_the_calendar_are_nobodys(diary: Diary) -> None:
    zones = ("America/New_York", "Pacific/Kiritimati")
    for one in [await diary.series(timeZone=zone, rrule="FREQ=DAILY") for zone in zones]:
        for far in ("00010101T000000Z", "00020101T000000Z", "99991231T235959Z"):
            answer = await diary.owner.client.get(path_of(key(one["id"], far)))
            assert refusal(answer) == (404, "occurrence_not_found")


@pytest.mark.parametrize(
    "dates",
    [
        {"rrule": "FREQ=YEARLY;UNTIL=89990101T000000Z"},
        {"rrule": "FREQ=YEARLY", "exdate": ["8999-03-02T09:00:00"]},
        {"rdate": ["8999-03-02T09:00:00"]},
    ],
)
async def test_nothing_of_a_series_moves_out_of_the_calendar(diary: Diary, dates: Json) -> None:
    first: Json = {"startTime": "1900-03-02T09:00:00-05:00", "endTime": "1900-03-02T10:00:00-05:00"}
    series = await diary.event(**first, **dates)
    answer = await diary.owner.client.patch(path_of(series["id"]), json={"startTime": "2999-03-02T09:00:00-05:00"})
    assert refusal(answer) == (422, "recurrence_start_out_of_range")
    late = key(series["id"], "19010302T140000Z") if "rrule" in dates else key(series["id"], "89990302T140000Z")
    answer = await diary.owner.client.patch(
        path_of(late), params=ALL, json={"startTime": "1900-03-01T09:00:00-05:00"}
    )
    assert refusal(answer) == (422, "recurrence_start_out_of_range"), "its first would lie before 1900"
