"""What holds of every series that was admitted: against two witnesses, through any window, after any split."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from pm_api.core.recurrence import (
    Budget,
    Occurrence,
    Override,
    Placement,
    RecurrenceSet,
    Window,
    admit,
    bounds,
    expand,
    first_live,
    occurrence_at,
    split,
    upcoming,
)
from pm_api.core.recurrence.errors import RecurrenceRefused, RuleEmpty, TooManyOccurrences
from pm_api.core.recurrence.expansion import Walk, instances
from pm_api.core.recurrence.parsing import parse_rule
from pm_api.core.recurrence.sets import EARLIEST
from pm_api.core.recurrence.zones import zone
from tests.core.recurrence import random_rules as rr
from tests.core.recurrence.oracles import by_dateutil, by_reading, dateutil_agrees_on

HOUR = timedelta(hours=1)
YEARS = timedelta(days=366 * 3)


def seen(series: RecurrenceSet, window: Window, viewer: str = "UTC") -> list[Occurrence]:
    try:
        return expand(series, window, viewer=viewer)
    except TooManyOccurrences:
        assume(False)
        raise


@rr.repeatable(examples=200, usual_seed=11)
@given(data=st.data())
def test_the_rule_alone_reads_like_the_rfc(data: st.DataObject) -> None:
    start = data.draw(rr.starts)
    rule = data.draw(rr.rules(start))
    until = start + YEARS
    found = list(instances(rule, start, zone("UTC"), Budget(10**7), earliest=start, latest=until))
    assert found == by_reading(rule, start, until)


@rr.repeatable(examples=200, usual_seed=12)
@given(data=st.data())
def test_sets_are_those_of_dateutil(data: st.DataObject) -> None:
    """From a start that fits the rule, since dateutil leaves out one that does not."""
    start = data.draw(rr.starts)
    rule = data.draw(rr.rules(start, ends=False))
    assume(dateutil_agrees_on(rule))
    fitting = next(Walk(rule, start, Budget(200_000)).between(start, start + YEARS), None)
    assume(fitting is not None)
    assert fitting is not None
    near = st.integers(0, 400).map(lambda days: fitting + timedelta(days=days))
    rdates = tuple(sorted(set(data.draw(st.lists(near, max_size=3)))))
    exdates = tuple(sorted(set(data.draw(st.lists(near, max_size=3)))))
    match data.draw(st.sampled_from(["never", "count", "until"])):
        case "count":
            rule = rule.ending(count=data.draw(st.integers(1, 40)))
        case "until":
            rule = rule.ending(until=(fitting + timedelta(days=data.draw(st.integers(0, 1000)))).replace(tzinfo=UTC))
    placement = Placement.timed(fitting, fitting + HOUR, "UTC")
    series = RecurrenceSet(placement, rule, rdates, exdates)
    latest = fitting + timedelta(days=399)
    found = seen(series, Window(fitting.replace(tzinfo=UTC), (latest + timedelta(seconds=1)).replace(tzinfo=UTC)))
    expected = by_dateutil(rule, fitting, rdates, exdates, latest)
    assert [one.placement.start for one in found] == expected


@rr.repeatable(examples=120, usual_seed=13)
@given(data=st.data())
def test_windows_cut_at_random_are_one_window(data: st.DataObject) -> None:
    series = data.draw(rr.admitted())
    viewer = data.draw(st.sampled_from(rr.ZONES))
    begin = series.placement.key(series.placement.start) + timedelta(days=data.draw(st.integers(-10, 2000)))
    length = data.draw(st.integers(1, 400)) * 86_400
    cuts = sorted(data.draw(st.lists(st.integers(1, length), max_size=6)))
    edges = [begin + timedelta(seconds=second) for second in sorted({0, *cuts, length})]
    whole = seen(series, Window(edges[0], edges[-1]), viewer)
    pieces = [one for early, late in pairwise(edges) for one in seen(series, Window(early, late), viewer)]
    assert {one.key: one for one in pieces} == {one.key: one for one in whole}
    assert whole == sorted(whole, key=lambda one: (one.starts_at, one.key))
    # An occurrence stands in more than one window only when it lasts over the edge.
    for key, times in Counter(one.key for one in pieces).items():
        (one,) = (each for each in whole if each.key == key)
        inside = sum(Window(early, late).meets(one.starts_at, one.ends_at) for early, late in pairwise(edges))
        assert times == inside


@rr.repeatable(examples=80, usual_seed=14)
@given(data=st.data())
def test_an_occurrence_has_the_same_key_through_every_window(data: st.DataObject) -> None:
    series = data.draw(rr.admitted())
    some = upcoming(series, EARLIEST, 30)
    one = data.draw(st.sampled_from(some))
    shift = timedelta(seconds=data.draw(st.integers(0, 86_400 * 30)))
    window = Window(one.starts_at - shift, one.starts_at - shift + timedelta(days=31))
    assert one in seen(series, window)
    assert occurrence_at(series, one.key) == one


@rr.repeatable(examples=120, usual_seed=15)
@given(data=st.data())
def test_a_split_anywhere_keeps_the_union(data: st.DataObject) -> None:
    series = changed_at_random(data, data.draw(rr.admitted()))
    some = upcoming(series, EARLIEST, 40)
    assume(some)
    at = data.draw(st.sampled_from(some)).key
    parts = split(series, at)
    begin = first_live(series)
    assert begin is not None
    if begin >= at:
        assert parts.before is None
        assert parts.after == series
        return
    assert parts.before is not None
    keys = {one.key for one in some}
    for days in (-30, 0, 300, 699, 2500):
        start = begin + timedelta(days=days)
        window = Window(start, start + timedelta(days=399))
        whole = {one.key: one for one in seen(series, window)}
        before, after = ({one.key: one for one in seen(part, window)} for part in (parts.before, parts.after))
        assert not before.keys() & after.keys()
        assert before | after == whole
        assert all(key < at and not parts.moves(key) for key in before)
        assert all(key >= at and parts.moves(key) for key in after)
        keys |= whole.keys()
    assert at in keys
    assert_ends_agree(series, parts.before, parts.after)


def assert_ends_agree(series: RecurrenceSet, before: RecurrenceSet, after: RecurrenceSet) -> None:
    ends = [bounds(series).ends_at, bounds(before).ends_at, bounds(after).ends_at]
    if ends[0] is None:
        assert ends[2] is None
    else:
        assert ends[0] == max(end for end in ends[1:] if end is not None)
    assert bounds(series).starts_at == min(bounds(before).starts_at, bounds(after).starts_at)


def changed_at_random(data: st.DataObject, series: RecurrenceSet) -> RecurrenceSet:
    """Some of the first occurrences moved, renamed or cancelled."""
    found = upcoming(series, EARLIEST, 12)
    chosen = data.draw(st.lists(st.sampled_from(found), max_size=4, unique_by=lambda one: one.key))
    overrides = []
    for one in chosen:
        moved = one.placement.at(one.placement.start + timedelta(days=data.draw(st.integers(-40, 40))))
        override = Override(one.placement.start, placement=moved, changes={"title": "Moved"})
        if data.draw(st.booleans()):
            override = Override(one.placement.start, cancelled=True)
        overrides.append(override)
    return replace(series, overrides=tuple(overrides))


@rr.repeatable(examples=80, usual_seed=16)
@given(data=st.data())
def test_the_bounds_hold_every_occurrence(data: st.DataObject) -> None:
    series = changed_at_random(data, data.draw(rr.admitted()))
    try:
        limits = bounds(series)
    except RuleEmpty:
        assert not upcoming(series, EARLIEST, 1)
        return
    found = upcoming(series, EARLIEST, 1000, budget=Budget(10**6))
    assert limits.starts_at == min(one.starts_at for one in found)
    if limits.ends_at is None:
        assert len(found) == 1000 or found[-1].starts_at.year > 3000
    elif len(found) < 1000:
        assert limits.ends_at == max(one.ends_at for one in found)
    else:
        assert limits.ends_at >= max(one.ends_at for one in found)


@rr.repeatable(examples=150, usual_seed=17)
@given(data=st.data())
def test_a_rule_is_read_back_from_its_text(data: st.DataObject) -> None:
    rule = data.draw(rr.rules(data.draw(rr.starts)))
    assert parse_rule(str(rule), place=zone("UTC")) == rule
    assert str(parse_rule(f"RRULE:{str(rule).lower()}", place=zone("UTC"))) == str(rule)


@rr.repeatable(examples=80, usual_seed=18)
@given(data=st.data())
def test_a_counted_end_changes_nothing_but_the_work(data: st.DataObject) -> None:
    series = data.draw(rr.admitted())
    uncounted = replace(series, counted_end=None)
    begin = series.placement.key(series.placement.start) + timedelta(days=data.draw(st.integers(0, 800)))
    window = Window(begin, begin + timedelta(days=200))
    assert seen(series, window) == seen(uncounted, window)
    assert upcoming(series, begin, 5) == upcoming(uncounted, begin, 5)


@rr.repeatable(examples=150, usual_seed=19)
@given(text=st.text(st.sampled_from("FREQ=DAILYWKMONTHBYSETPUCV;0123456789,-+ZT:\n é"), max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text, place=zone("UTC"))
    except RecurrenceRefused:
        return
    assert parse_rule(str(rule), place=zone("UTC")) == rule


@rr.repeatable(examples=120, usual_seed=20)
@given(start=rr.starts, data=st.data())
def test_any_rule_is_admitted_or_refused_in_bounded_work(start: datetime, data: st.DataObject) -> None:
    rule = replace(data.draw(rr.rules(start)), interval=data.draw(st.integers(1, 1000)))
    budget = Budget(25_000)
    try:
        series = admit(Placement.timed(start, start + HOUR, "Europe/Berlin"), rrule=str(rule), budget=budget)
    except RecurrenceRefused:
        series = None
    assert budget.spent <= budget.limit + 366
    assert series is None or upcoming(series, EARLIEST, 1)
