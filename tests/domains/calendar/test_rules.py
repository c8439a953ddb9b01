"""Free and taken time, and times for a group: the arithmetic alone."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_api.core.recurrence import zone
from pm_api.domains.calendar.enums import Response, ShowAs
from pm_api.domains.calendar.rules import (
    STRENGTH,
    USUAL_DAYS,
    Hindrance,
    Invited,
    NoneFound,
    Room,
    Span,
    Taken,
    Wish,
    find_times,
    merged,
    status_of,
    working_spans,
)

MONDAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
ANN, BOB, CY = (UUID(int=number) for number in (1, 2, 3))
ROOM: Final = UUID(int=9)


def at(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def taken(start: float, end: float, status: ShowAs = ShowAs.BUSY) -> Taken:
    return Taken(at(start), at(end), status)


def invited(who: UUID, *busy: Taken, required: bool = True, works: list[Span] | None = None) -> Invited:
    return Invited(who, merged(busy), works, required)


def wish(start: float = 8, end: float = 18, minutes: int = 60, step: int = 30, **fields: object) -> Wish:
    return Wish(
        window=Span(at(start), at(end)),
        duration=timedelta(minutes=minutes),
        step=timedelta(minutes=step),
        first=MONDAY,
        **fields,  # type: ignore[arg-type]
    )


# --- merging --------------------------------------------------------------------------------------------------


def test_what_touches_is_one_and_the_strongest_holds_where_several_lie() -> None:
    assert merged([taken(9, 10), taken(10, 11), taken(9.5, 9.75)]) == [taken(9, 11)]
    assert merged([taken(9, 12, ShowAs.TENTATIVE), taken(10, 11)]) == [
        taken(9, 10, ShowAs.TENTATIVE),
        taken(10, 11),
        taken(11, 12, ShowAs.TENTATIVE),
    ]
    assert merged([taken(9, 12), taken(8, 24, ShowAs.OOO), taken(1, 9, ShowAs.TENTATIVE)]) == [
        taken(1, 8, ShowAs.TENTATIVE),
        taken(8, 24, ShowAs.OOO),
    ]


def test_what_takes_no_time_is_left_out_and_the_range_cuts() -> None:
    assert merged([taken(9, 9)]) == []
    assert merged([taken(7, 9), taken(17, 20), taken(21, 22)], Span(at(8), at(18))) == [taken(8, 9), taken(17, 18)]
    assert merged([taken(7, 8), taken(18, 19)], Span(at(8), at(18))) == [], "both edges are half-open"


SOME: Final = st.lists(
    st.builds(
        lambda start, length, status: taken(start, start + length, status),
        st.integers(0, 24),
        st.integers(0, 6),
        st.sampled_from(list(STRENGTH)),
    ),
    max_size=12,
)


@given(SOME)
def test_every_hour_has_the_strongest_of_what_lies_in_it(some: list[Taken]) -> None:
    found = merged(some)
    for hour in range(32):
        over = [one.status for one in some if one.start <= at(hour) < one.end]
        told = [one.status for one in found if one.start <= at(hour) < one.end]
        assert told == ([max(over, key=STRENGTH.__getitem__)] if over else [])
    for before, after in pairwise(found):
        assert before.end < after.start or (before.end == after.start and before.status is not after.status)


@pytest.mark.parametrize(
    ("show_as", "response", "status"),
    [
        (ShowAs.BUSY, None, ShowAs.BUSY),
        (ShowAs.OOO, None, ShowAs.OOO),
        (ShowAs.FREE, None, None),
        (ShowAs.BUSY, Response.ACCEPTED, ShowAs.BUSY),
        (ShowAs.OOO, Response.ACCEPTED, ShowAs.OOO),
        (ShowAs.TENTATIVE, Response.ACCEPTED, ShowAs.TENTATIVE),
        (ShowAs.BUSY, Response.PENDING, ShowAs.TENTATIVE),
        (ShowAs.BUSY, Response.TENTATIVE, ShowAs.TENTATIVE),
        (ShowAs.BUSY, Response.DECLINED, None),
        (ShowAs.FREE, Response.ACCEPTED, None),
    ],
)
def test_what_an_event_is_to_somebody(show_as: ShowAs, response: Response | None, status: ShowAs | None) -> None:
    assert status_of(show_as, response) is status


# --- working hours --------------------------------------------------------------------------------------------


def test_working_hours_go_by_the_clocks_of_the_zone() -> None:
    week = Span(datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC))
    assert working_spans(USUAL_DAYS, zone("America/New_York"), week) == [
        Span(datetime(2026, 3, 6, 14, tzinfo=UTC), datetime(2026, 3, 6, 22, tzinfo=UTC)),  # Friday, EST
        Span(datetime(2026, 3, 9, 13, tzinfo=UTC), datetime(2026, 3, 9, 21, tzinfo=UTC)),  # Monday, EDT
    ]


def test_a_night_is_one_though_it_is_written_as_two_and_the_range_cuts() -> None:
    night = {"MO": [["22:00", "24:00"]], "TU": [["00:00", "06:00"]]}
    assert working_spans(night, zone("UTC"), Span(at(0), at(48))) == [Span(at(22), at(30))]
    assert working_spans(night, zone("UTC"), Span(at(23), at(25))) == [Span(at(23), at(25))]


# --- a time for a group ---------------------------------------------------------------------------------------


def test_the_first_free_time_is_the_best_and_equals_come_by_time() -> None:
    found = find_times(wish(), [invited(ANN, taken(8, 9.5)), invited(BOB, taken(11, 12))], None, 50)
    assert found.why is None
    assert [one.start for one in found.slots][:2] == [at(9.5), at(10)]
    assert at(10.5) not in [one.start for one in found.slots], "it would reach into eleven"
    assert all(not one.blockers for one in found.slots)
    scores = [(-one.score, one.start) for one in found.slots]
    assert scores == sorted(scores)
    assert found == find_times(wish(), [invited(ANN, taken(8, 9.5)), invited(BOB, taken(11, 12))], None, 50)


def test_who_is_optional_blocks_nothing_and_costs_less_than_who_has_to_come() -> None:
    people = [invited(ANN), invited(BOB, taken(8, 9), required=False)]
    found = find_times(wish(8, 9), people, None, 1).slots[0]
    assert [(one.id, one.hindrance) for one in found.blockers] == [(BOB, Hindrance.BUSY)]
    assert found.attendance == 40, "two of three parts of 60 points"
    half = find_times(wish(8, 9), [invited(ANN), invited(BOB, taken(8, 9), required=True)], None, 1)
    assert half.why is NoneFound.NOT_ENOUGH_ATTENDEES


def test_who_may_come_can_and_counts_half() -> None:
    found = find_times(wish(8, 9), [invited(ANN, taken(8, 9, ShowAs.TENTATIVE))], None, 1).slots[0]
    assert found.attendance == 30
    assert [one.hindrance for one in found.blockers] == [Hindrance.TENTATIVE]


def test_a_quorum_of_those_who_have_to_come_is_enough() -> None:
    people = [invited(ANN), invited(BOB, taken(8, 9)), invited(CY)]
    assert find_times(wish(8, 9), people, None, 1).why is NoneFound.NOT_ENOUGH_ATTENDEES
    assert find_times(wish(8, 9, quorum=2), people, None, 1).slots[0].attendance == 40
    assert find_times(wish(8, 9, quorum=3), people, None, 1).why is NoneFound.NOT_ENOUGH_ATTENDEES


def test_buffers_keep_a_distance_and_say_so() -> None:
    people = [invited(ANN, taken(9, 10))]
    near = find_times(wish(8, 12, before=timedelta(minutes=15), after=timedelta(minutes=15)), people, None, 50)
    assert [one.start for one in near.slots] == [at(10.5), at(11)]
    alone = find_times(wish(8, 9, after=timedelta(minutes=1)), people, None, 50)
    assert [(one.id, one.hindrance, one.times) for one in alone.obstacles] == [(ANN, Hindrance.BUFFER, 1)]


def test_working_hours_of_all_hold_unless_any_hour_will_do() -> None:
    people = [invited(ANN, works=[Span(at(8), at(12))]), invited(BOB, works=[Span(at(11), at(19))])]
    assert [one.start for one in find_times(wish(), people, None, 50).slots] == [at(11)]
    late = find_times(wish(13, 14), people, None, 50)
    assert late.why is NoneFound.NOT_ENOUGH_ATTENDEES
    assert [(one.id, one.hindrance) for one in late.obstacles] == [(ANN, Hindrance.OUTSIDE_WORKING_HOURS)]
    loose = find_times(wish(any_hour=True), people, None, 50)
    assert loose.slots[0].start == at(11)
    assert loose.slots[0].working_hours == 20
    assert {one.working_hours for one in loose.slots} == {20, 10}


def test_out_of_office_is_told_over_busy() -> None:
    found = find_times(wish(8, 9), [invited(ANN, taken(8, 9), taken(8.5, 9, ShowAs.OOO))], None, 1)
    assert [one.hindrance for one in found.obstacles] == [Hindrance.OOO]


def test_one_of_the_rooms_has_to_be_free() -> None:
    other = UUID(int=10)
    rooms = [Room(ROOM, [taken(8, 10)]), Room(other, [taken(9, 18)])]
    found = find_times(wish(), [invited(ANN)], rooms, 50)
    assert found.slots[0].start == at(8)
    assert found.slots[0].rooms == (other,)
    assert {one.rooms for one in found.slots} == {(other,), (ROOM,)}
    assert [one.start for one in found.slots if one.rooms == (other,)] == [at(8)]
    none = find_times(wish(8, 10), [invited(ANN)], rooms[:1], 50)
    assert none.why is NoneFound.NO_ROOM
    assert [(one.id, one.times) for one in none.obstacles] == [(ROOM, 3)]
    apart = find_times(wish(8, 10, step=60), [invited(ANN, taken(9, 10))], [Room(ROOM, [taken(8, 9)])], 50)
    assert apart.why is NoneFound.NOT_AT_ONE_TIME


def test_a_range_without_enough_time_says_so() -> None:
    assert find_times(wish(8, 8.5), [invited(ANN)], None, 1).why is NoneFound.WINDOW_TOO_SHORT


@given(SOME, SOME, st.integers(1, 4))
def test_no_time_that_is_told_meets_anything(ann: list[Taken], bob: list[Taken], hours: int) -> None:
    people = [invited(ANN, *ann), invited(BOB, *bob)]
    asked = wish(0, 30, hours * 60, 60)
    found = find_times(asked, people, None, 100)
    free = {
        start
        for start in range(31 - hours)
        if not any(
            one.status is not ShowAs.TENTATIVE and one.start < at(start + hours) and at(start) < one.end
            for one in (*ann, *bob)
            if one.start < one.end
        )
    }
    assert {one.start for one in found.slots} == {at(start) for start in free}
    assert (found.why is None) == bool(free)
