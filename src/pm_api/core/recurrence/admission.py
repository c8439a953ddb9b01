"""What may become a series: every rule is checked here once, in bounded work, before it is stored."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from pm_api.core.recurrence.budget import Budget
from pm_api.core.recurrence.errors import RuleEmpty, RuleTooComplex, RuleTooDense, naming
from pm_api.core.recurrence.expansion import first_instance, has_instance
from pm_api.core.recurrence.parsing import parse_dates, parse_rule
from pm_api.core.recurrence.placement import Placement
from pm_api.core.recurrence.rules import MAX_TIMES_A_DAY, Rule
from pm_api.core.recurrence.sets import RecurrenceSet, first_live

STEPS: Final = 25_000
"""A rule that shows no occurrence within these is refused: an answer, whatever is sent, within 100 ms."""


def admit(
    placement: Placement,
    *,
    rrule: str | None = None,
    rdate: Iterable[str] = (),
    exdate: Iterable[str] = (),
    budget: Budget | None = None,
    by_rule: bool = False,
) -> RecurrenceSet:
    """A series from what was sent; raises a RecurrenceRefused that says in a sentence what is wrong.

    At least one occurrence is left, and the rule says at least one day by itself. With `by_rule` the series begins
    with the first start that its rule says: RFC 5545 §3.8.5.3 leaves open what another DTSTART means, and libraries
    of other people's leave it out.
    """
    placement.check()
    budget = budget or Budget(STEPS)
    place = placement.place
    rule = parse_rule(rrule, place=place) if rrule is not None else None
    if by_rule and rule is not None:
        check_density(rule)
        with _of_a_rule():
            placement = placement.at(first_instance(rule, placement.start, budget) or placement.start)
    rdates = parse_dates(rdate, place=place)
    with naming(rdate="exdate"):
        exdates = parse_dates(exdate, place=place)
    return checked(RecurrenceSet(placement=placement, rule=rule, rdates=rdates, exdates=exdates), budget)


def checked(series: RecurrenceSet, budget: Budget) -> RecurrenceSet:
    """The same checks of parts that are read already. Raises RuleTooDense, RuleEmpty, RuleTooComplex."""
    with _of_a_rule():
        if series.rule is not None:
            check_rule(series.rule, series.placement, budget)
        counted = series.counted(budget)
        if first_live(counted, budget) is None:
            raise RuleEmpty(
                "No occurrence is left: every one is excluded.", field="exdate" if series.exdates else None
            )
    return counted


@contextmanager
def _of_a_rule() -> Iterator[None]:
    try:
        yield
    except RuleTooComplex as refusal:  # of a rule that is sent; where one is read there is no such field
        refusal.point_to("rrule")
        raise


def check_rule(rule: Rule, placement: Placement, budget: Budget) -> None:
    """Raises RuleTooDense, RuleEmpty, RuleTooComplex."""
    check_density(rule)
    if not has_instance(rule, placement.start, placement.place, budget):
        raise RuleEmpty


def check_density(rule: Rule) -> None:
    """Raises RuleTooDense."""
    times = max(len(rule.hours), 1) * max(len(rule.minutes), 1) * max(len(rule.seconds), 1)
    if times > MAX_TIMES_A_DAY:
        raise RuleTooDense(f"The rule names {times} times of day; {MAX_TIMES_A_DAY} are the most.")
