"""The filter language: what it reads, what it refuses and where, its dates by the clock and zone of whoever asks."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pm_api.domains.tasks.errors.filtering import InvalidFilter
from pm_api.domains.tasks.filtering import And, Not, Or, Relative, conditions_of, json_form, parse, printed, resolve
from pm_api.domains.tasks.filtering.terms import Base, Unit
from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Json, Site, path_of, refusal
from tests.support.clock import MovableClock

EXAMPLE = (
    'status in (TODO, IN_PROGRESS) and (assignee = me or label = "Bug") and due < today + 7d and not priority = LOW'
)


def test_the_example_of_the_contract() -> None:
    found = parse(EXAMPLE)
    assert isinstance(found, And)
    assert isinstance(found.parts[1], Or)
    assert isinstance(found.parts[3], Not)
    names = [one.field.name for one in conditions_of(found)]
    assert names == ["status", "assignee", "label", "due", "priority"]
    assert parse(printed(found)) == parse(json_form(found)) == found


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("STATUS = todo", 'status = "TODO"'),
        ("due is empty", "due is null"),
        ("due is not empty", "due is not null"),
        ("label not in (a, b)", 'not label in ("a", "b")'),
        ("number = 1 or number = 2 and number = 3", "number = 1 or (number = 2 and number = 3)"),
        ("not number = 1 and number = 2", "(not number = 1) and number = 2"),
        ("due < TODAY+1W", "due < today + 1w"),
        ("due < today-0d", "due < today"),
        ("parent = web-007", "parent = WEB-7"),
        ('title contains "a \\"b\\" \\\\ c"', 'title contains "a \\"b\\" \\\\ c"'),
        ("fields.TIER = gold", 'fields.TIER = "gold"'),
    ],
)
def test_spellings_of_the_same(text: str, same: str) -> None:
    assert parse(text) == parse(same)


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "a field"),
        ("nonsense = 1", 0, "a field"),
        ("status", 6, "an operator"),
        ("status < TODO", 7, "an operator of status"),
        ("priority = HUGE", 11, "one of NONE"),
        ("due < soon", 6, "a day"),
        ("due < 2026-02-30", 6, "a day"),
        ("due is", 6, "`null`"),
        ("status in TODO", 10, "`(`"),
        ("status in (TODO", 15, "`,` or `)`"),
        ("(number = 1", 11, "`)`"),
        ("number = 1 number = 2", 11, "`and`"),
        ("number = 1.5", 9, "a whole number"),
        ("number = 1 and", 14, "a field"),
        ('title = "open', 8, "a text in double quotes"),
        ("isBlocked = maybe", 12, "true or false"),
        ("assignee = Ann", 11, "`me`"),
        ("fields.a/b = 1", 8, "a text in double quotes"),
        ("number = 1; DROP TABLE tasks", 10, "a text in double quotes"),
        ("not " * 12 + "number = 1", 44, "levels"),
        ("(" * 12 + "number = 1" + ")" * 12, 11, "levels"),
        (" or ".join(["number = 1"] * 101), 0, "parts"),
        ("title = " + '"' + "x" * 5000 + '"', 4096, "bytes"),
        ("status in (" + ",".join(["a"] * 101) + ")", 211, "values"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, position: int, expected: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse(text)
    assert caught.value.extra["position"] == position
    assert expected in caught.value.extra["expected"]


@pytest.mark.parametrize(
    ("form", "position"),
    [
        (1, ""),
        ({}, ""),
        ({"and": []}, "/and"),
        ({"and": [{"or": [{"field": "x", "op": "=", "value": 1}]}]}, "/and/0/or/0/field"),
        ({"not": {"field": "due", "op": "~", "value": 1}}, "/not/op"),
        ({"field": "due", "op": "<", "value": None}, "/value"),
        ({"field": "due", "op": "is null", "value": 1}, "/value"),
        ({"field": "status", "op": "in", "value": ["TODO", 7]}, "/value/1"),
        ({"field": "number", "op": "=", "value": float("1e300")}, "/value"),
        ({"field": "number", "op": "=", "value": True}, "/value"),
        ({"field": "fields.A", "op": "=", "value": {"date": "soon"}}, "/value"),
        ({"field": "fields.A", "op": "<", "value": True}, "/value"),
        ({"field": "title", "op": "=", "value": "nul \x00"}, "/value"),
        ({"field": "title", "op": "=", "value": "x", "more": 1}, ""),
    ],
)
def test_the_json_form_says_where_by_a_pointer(form: Any, position: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse(form)
    assert caught.value.extra["position"] == position


def test_nesting_that_would_exhaust_the_stack_is_refused() -> None:
    form: Json = {"field": "number", "op": "=", "value": 1}
    for _ in range(60):
        form = {"not": form}
    for sent in (form, "(" * 4000, "not " * 1000, '{"not":' * 500):
        with pytest.raises(InvalidFilter):
            parse(sent)


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        (Relative(Base.TODAY), date(2026, 3, 1)),
        (Relative(Base.YESTERDAY), date(2026, 2, 28)),
        (Relative(Base.TOMORROW, 1, Unit.WEEKS), date(2026, 3, 9)),
        (Relative(Base.START_OF_WEEK), date(2026, 2, 23)),
        (Relative(Base.END_OF_WEEK), date(2026, 3, 1)),
        (Relative(Base.START_OF_MONTH, -1, Unit.MONTHS), date(2026, 2, 1)),
        (Relative(Base.END_OF_MONTH, 1, Unit.MONTHS), date(2026, 4, 30)),
        (Relative(Base.TODAY, 9, Unit.HOURS), datetime(2026, 3, 1, 8, tzinfo=UTC)),
        (Relative(Base.NOW, -2, Unit.HOURS), datetime(2026, 2, 28, 21, 30, tzinfo=UTC)),
        (Relative(Base.NOW, 1, Unit.MONTHS), datetime(2026, 3, 31, 22, 30, tzinfo=UTC)),
    ],
)
def test_relative_dates_are_those_of_the_callers_zone(value: Relative, resolved: date | datetime) -> None:
    """Half past eleven at night in UTC is the next day in Berlin, which at the end of March has summer time."""
    now = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    assert resolve(value, now, ZoneInfo("Europe/Berlin")) == resolved


def test_dates_beyond_the_calendar_are_refused() -> None:
    with pytest.raises(InvalidFilter):
        resolve(Relative(Base.TODAY, -9999, Unit.MONTHS), datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))


async def test_the_list_is_filtered_by_the_clock(site: Site, clock: MovableClock) -> None:
    project = await site.project()
    ann = await site.person(Role.MEMBER)
    bug = await site.label(project, "Bug")
    today = clock.now().date().isoformat()
    await site.task(project, "mine", assigneeIds=[str(site.owner.id)], dueOn=today)
    await site.task(project, "bug", labelIds=[bug], dueOn=today, status="IN_PROGRESS")
    await site.task(project, "low", labelIds=[bug], dueOn=today, priority="LOW")
    await site.task(project, "hers", assigneeIds=[str(ann.id)], dueOn=today)

    async def found() -> set[str]:
        return {one["title"] for one in await site.listed(projectId=project["id"], filter=EXAMPLE)}

    assert await found() == {"mine", "bug"}
    clock.advance_business(days=-6)
    assert await found() == {"mine", "bug"}
    clock.advance_business(days=-1)
    assert await found() == set(), "a week before it is due it is not due within a week"


async def test_a_text_is_looked_for_in_what_was_said_too(site: Site) -> None:
    project = await site.project()
    told, other = await site.task(project, "told"), await site.task(project, "other")
    for task, body in ((told, "Ask the **Harbour** master"), (other, "Nothing of it")):
        made = await site.owner.client.post(path_of(task, "/comments"), json={"body": body})
        assert made.status_code == 201, made.text
        comment = made.json()["comment"]

    async def found(text: str) -> list[str]:
        return [one["title"] for one in await site.listed(projectId=project["id"], filter=text)]

    assert await found('text contains "harbour"') == ["told"]
    assert await found('not text contains "harbour"') == ["other"]
    assert await found('title contains "harbour"') == []
    await site.owner.client.delete(path_of(other, f"/comments/{comment['id']}"))
    assert await found('text contains "nothing"') == []


async def test_a_filter_that_cannot_be_read_says_so_over_http(site: Site) -> None:
    answer = await site.owner.client.get("/api/tasks", params={"workspaceId": site.id, "filter": "due < soon"})
    assert refusal(answer) == (422, "invalid_filter")
    assert answer.json()["position"] == 6
    assert "today" in answer.json()["expected"]
    assert answer.json()["details"][0]["pointer"] == "/filter"
