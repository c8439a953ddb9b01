"""`following`: one series cut into two at an occurrence, so that together they hold exactly what the one held."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.errors import OccurrenceUnknown
from pm_api.core.recurrence.expansion import HORIZON, has_instance
from pm_api.core.recurrence.rules import Rule
from pm_api.core.recurrence.sets import EARLIEST, RecurrenceSet, by_rule, first_live, occurrence_at
from pm_api.core.recurrence.zones import LARGEST_CHANGE

_BEGINNING = EARLIEST.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Split:
    """The two parts. `before` is None when nothing lies before the cut: then `following` is `all`, and `after` is the
    series as it was.
    """

    before: RecurrenceSet | None
    after: RecurrenceSet
    at: datetime

    def moves(self, key: datetime) -> bool:
        """Whether what hangs on the occurrence with this original start (answers, reminders) goes with `after`."""
        return self.before is None or key >= self.at


def split(series: RecurrenceSet, key: datetime, budget: Budget | None = None) -> Split:
    """Cut before the occurrence with this original start; raises OccurrenceUnknown.

    What is before and after is told by original start, in UTC: a moved occurrence goes where its original goes.
    COUNT is divided, UNTIL cut; RDATE, EXDATE and overrides go with their side.
    """
    budget, at = budget or Budget(), key.astimezone(UTC)
    if occurrence_at(series, at, budget=budget) is None:
        raise OccurrenceUnknown
    first = first_live(series, budget)
    if first is not None and first >= at:
        return Split(None, series, at)
    placement = series.placement

    def sides(walls: tuple[datetime, ...]) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
        return (
            tuple(wall for wall in walls if placement.key(wall) < at),
            tuple(wall for wall in walls if placement.key(wall) >= at),
        )

    rdates, exdates = sides(series.rdates), sides(series.exdates)
    overrides = (
        tuple(one for one in series.overrides if placement.key(one.original) < at),
        tuple(one for one in series.overrides if placement.key(one.original) >= at),
    )
    whole = replace(series, rdates=rdates[0], exdates=exdates[0], overrides=overrides[0], counted_end=None)
    rest = replace(series, rdates=rdates[1], exdates=exdates[1], overrides=overrides[1], counted_end=None)
    cut = _first_by_rule(series, at, budget)
    return Split(_before(whole, cut, at, budget), _after(rest, cut, at, budget), at)


def _first_by_rule(series: RecurrenceSet, at: datetime, budget: Budget) -> datetime | None:
    """The first wall time that the rule (or DTSTART) says at this instant or later."""
    wall = series.placement.wall(at)
    walls = by_rule(series, wall - LARGEST_CHANGE, HORIZON, budget)
    return next((one for one in walls if series.placement.key(one) >= at), None)


def _before(whole: RecurrenceSet, cut: datetime | None, at: datetime, budget: Budget) -> RecurrenceSet:
    placement, start = whole.placement, whole.placement.start
    if placement.key(start) >= at:  # only dates that were added lie before
        first = min(whole.rdates, key=placement.key)
        return replace(
            whole, placement=placement.at(first), rule=None, rdates=tuple(one for one in whole.rdates if one != first)
        )
    if whole.rule is None or cut is None:
        return whole.counted(budget)
    rule = _ending_before(whole, whole.rule, cut, at, budget)
    if not has_instance(rule, start, placement.place, budget):
        return replace(whole, rule=None)
    return replace(whole, rule=rule).counted(budget)


def _ending_before(whole: RecurrenceSet, rule: Rule, cut: datetime, at: datetime, budget: Budget) -> Rule:
    """COUNT when that says it exactly. Else UNTIL: inside a gap of the clocks the order of wall times is not that of
    time, and UNTIL goes by time.
    """
    if rule.count is not None:
        earlier = _earlier_walls(whole, cut, budget)
        shifted = [one for one in earlier if whole.placement.key(one) >= at]
        later = by_rule(whole, cut, cut + LARGEST_CHANGE, budget)
        if not shifted and not any(whole.placement.key(one) < at for one in later):
            return rule.ending(count=len(earlier))
    if whole.placement.all_day:
        return rule.ending(until=at.date() - timedelta(days=1))
    return rule.ending(until=_last_moment(whole, cut, at, budget))


def _last_moment(whole: RecurrenceSet, cut: datetime, at: datetime, budget: Budget) -> datetime:
    """The end of the day before the cut: it reads as people say it, and when the zone gets a new offset, which moves
    all starts by an hour, none is lost and none comes twice. On a day with several starts, the second before.
    """
    placement = whole.placement
    midnight = datetime.combine(placement.wall(at), time())
    evening = placement.key(midnight) - timedelta(seconds=1)
    near = by_rule(whole, midnight - LARGEST_CHANGE, cut + LARGEST_CHANGE, budget)
    if any(evening < placement.key(wall) < at for wall in near):
        return at - timedelta(seconds=1)
    return evening


def _earlier_walls(whole: RecurrenceSet, cut: datetime, budget: Budget) -> list[datetime]:
    return [wall for wall in by_rule(whole, _BEGINNING, cut, budget) if wall < cut]


def _after(rest: RecurrenceSet, cut: datetime | None, at: datetime, budget: Budget) -> RecurrenceSet:
    placement = rest.placement
    if rest.rule is None or cut is None:  # only added dates are left, or a lone DTSTART among them
        walls = sorted({*rest.rdates, *(() if cut is None else (cut,))}, key=placement.key)
        return replace(rest, placement=placement.at(walls[0]), rule=None, rdates=tuple(walls[1:]))
    rule = rest.rule
    if rule.count is not None:
        rule = rule.ending(count=rule.count - len(_earlier_walls(rest, cut, budget)))
    strayed = tuple(wall for wall in by_rule(rest, cut, cut + LARGEST_CHANGE, budget) if placement.key(wall) < at)
    moved = replace(
        rest,
        placement=placement.at(cut),
        rule=rule,
        rdates=tuple(one for one in rest.rdates if one != cut),
        exdates=tuple(sorted({*rest.exdates, *strayed})),
    )
    return moved.counted(budget)
