"""The board: one order of a column, whatever is moved where; keys that stay short."""

import random
from typing import Any

import pytest
from sqlalchemy import select, update

from pm_api.domains.tasks import moving, ordering
from pm_api.domains.tasks.models import Task
from pm_api.domains.tasks.repository.columns import Spot
from pm_api.identity.permissions import Role
from tests.domains.tasks.sites import Json, Site, path_of, refusal
from tests.support.soak import rounds

MOVES = 10_000


async def board(site: Site, project: Json, **query: Any) -> Json:
    answer = await site.owner.client.get("/api/tasks/board", params={"projectId": project["id"], **query})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["board"]
    return found


# --- keys, pure ----------------------------------------------------------------------------------------------------


def test_a_key_lies_between_any_two() -> None:
    keys, dice = [ordering.between(None, None)], random.Random(7)
    for _ in range(3000):
        place = dice.randrange(len(keys) + 1)
        low = keys[place - 1] if place else None
        high = keys[place] if place < len(keys) else None
        keys.insert(place, ordering.between(low, high))
    assert keys == sorted(keys, key=str.encode)
    assert len(set(keys)) == len(keys)
    assert all(key.isascii() for key in keys)


@pytest.mark.parametrize("at_the_end", [True, False])
def test_adding_at_an_end_keeps_keys_short(at_the_end: bool) -> None:
    key = ordering.between(None, None)
    for _ in range(100_000):
        following = ordering.between(key, None) if at_the_end else ordering.between(None, key)
        assert (following > key) is at_the_end
        key = following
    assert len(key) <= 5


@pytest.mark.parametrize(("low", "high"), [("a1", "a1"), ("a2", "a1"), ("a1V", "a1V")])
def test_nothing_lies_between_what_is_no_gap(low: str, high: str) -> None:
    with pytest.raises(ValueError, match="nothing lies between"):
        ordering.between(low, high)


@pytest.mark.parametrize(
    ("low", "high"), [(None, None), ("a0", None), (None, "a0"), ("a0", "a1"), ("a0V", "a0W"), ("Zz", "a0")]
)
def test_a_stretch_is_spread_evenly(low: str | None, high: str | None) -> None:
    keys = ordering.spread(low, high, 2000)
    assert keys == sorted(set(keys))
    assert low is None or low < keys[0]
    assert high is None or keys[-1] < high
    assert max(map(len, keys)) <= 8


def test_ten_thousand_moves_to_one_spot_stay_under_64() -> None:
    """What `moving` does, with a list in the place of the table: the stretch around the spot is written anew when a
    key would be too long, and how much of that is counted.
    """
    column = [(number, key) for number, key in enumerate(ordering.spread(None, None, 200))]
    dice, rewritten = random.Random(3), 0
    for _ in range(MOVES):
        number = dice.choice([one for one, _ in column if one not in (100, 101)])
        column = [one for one in column if one[0] != number]
        place = next(index for index, one in enumerate(column) if one[0] == 101)
        key = ordering.between(column[place - 1][1], column[place][1])
        if len(key) > ordering.LONGEST:
            first, last = max(0, place - moving.FIRST_STRETCH), min(len(column), place + moving.FIRST_STRETCH)
            low = Spot(column[first - 1][1], Any) if first else None  # type: ignore[arg-type]
            high = Spot(column[last][1], Any) if last < len(column) else None  # type: ignore[arg-type]
            keys = moving._spread(low, high, last - first)
            if keys is None:
                first, last = 0, len(column)
                keys = ordering.spread(None, None, last)
            column[first:last] = [(one, key) for (one, _), key in zip(column[first:last], keys, strict=True)]
            rewritten += last - first
            key = ordering.between(column[place - 1][1], column[place][1])
        assert len(key) <= ordering.LONGEST
        column.insert(place, (number, key))
        assert column[place + 1][0] == 101
    assert [key for _, key in column] == sorted({key for _, key in column})
    assert 0 < rewritten < MOVES, "room is made now and then, and for little"


# --- over HTTP -----------------------------------------------------------------------------------------------------


async def test_a_board_shows_its_columns_in_order(site: Site) -> None:
    project = await site.project(key="WEB")
    for title in ("one", "two", "three"):
        await site.task(project, title)
    await site.task(project, "four", status="DONE")
    shown = await board(site, project)
    assert shown["project"]["key"] == "WEB"
    assert [(one["status"], one["category"], one["total"]) for one in shown["columns"]] == [
        ("TODO", "TODO", 3),
        ("IN_PROGRESS", "IN_PROGRESS", 0),
        ("IN_REVIEW", "IN_PROGRESS", 0),
        ("DONE", "DONE", 1),
        ("CANCELED", "CANCELED", 0),
    ]
    assert [one["title"] for one in shown["columns"][0]["tasks"]] == ["one", "two", "three"]
    first = (await board(site, project, limit=1))["columns"][0]
    assert [one["title"] for one in first["tasks"]] == ["one"]
    rest = await site.owner.client.get(
        "/api/tasks",
        params={"projectId": project["id"], "status": "TODO", "sort": "board", "cursor": first["nextCursor"]},
    )
    assert [one["title"] for one in rest.json()["tasks"]] == ["two", "three"]


async def test_a_task_is_moved_before_after_and_to_the_end(site: Site) -> None:
    project = await site.project(key="WEB")
    one, two, three, four = [await site.task(project, title) for title in ("one", "two", "three", "four")]
    await site.move(four, before=one["id"])
    assert await site.column(project) == ["four", "one", "two", "three"]
    await site.move(four, after="WEB-2")
    assert await site.column(project) == ["one", "two", "four", "three"]
    await site.move(one)
    assert await site.column(project) == ["two", "four", "three", "one"]
    moved = await site.move(two, status="DONE")
    assert (moved["status"], moved["completedAt"] is not None) == ("DONE", True)
    back = await site.move(two, before=three["id"])
    assert (back["status"], back["completedAt"]) == ("TODO", None)
    assert await site.column(project) == ["four", "two", "three", "one"]
    assert await site.column(project, "DONE") == []


async def test_a_move_to_where_it_stands_changes_nothing(site: Site) -> None:
    project = await site.project()
    one, two = await site.task(project, "one"), await site.task(project, "two")
    for task, place in (
        (one, {"before": two["id"]}),
        (two, {"after": one["id"]}),
        (two, {}),
        (two, {"status": "TODO"}),
    ):
        answer = await site.owner.client.post(path_of(task, "/move"), json=place)
        assert (answer.json()["task"]["version"], answer.json()["undoToken"]) == (1, None)
    assert (await site.move(one))["version"] == 2


async def test_what_is_no_neighbour(site: Site) -> None:
    project, other, hidden = await site.project(), await site.project(), await site.project(isPrivate=True)
    ann = await site.person(Role.MEMBER)
    task, done = await site.task(project, by=ann), await site.task(project, status="DONE")
    elsewhere, unseen = await site.task(other), await site.task(hidden)
    for place, refused in (
        ({"before": done["id"], "status": "TODO"}, (409, "task_neighbour_elsewhere")),
        ({"before": elsewhere["id"]}, (409, "task_neighbour_elsewhere")),
        ({"after": unseen["id"]}, (422, "validation_failed")),
        ({"after": task["id"]}, (422, "validation_failed")),
        ({"after": done["id"], "before": done["id"]}, (422, "validation_failed")),
        ({"status": "NOWHERE"}, (422, "validation_failed")),
        ({"after": "x"}, (422, "validation_failed")),
    ):
        assert refusal(await ann.client.post(path_of(task, "/move"), json=place)) == refused, place
    assert (await site.read(task))["version"] == 1


async def test_room_is_made_where_there_is_none(site: Site) -> None:
    """Two neighbours whose keys are equal or leave no short key between; nobody else's version changes."""
    project = await site.project()
    names = [f"{number:02}" for number in range(40)]
    tasks = [await site.task(project, name) for name in names]
    long = "a0" + "V" * 61
    keys = {5: long + "1", 6: long + "2", 7: "aF", 8: "aF"}
    async with site.platform.database.transaction() as session:
        for number, key in keys.items():
            await session.execute(update(Task).where(Task.id == tasks[number]["id"]).values(board_key=key))
    order = await site.column(project)
    place = order.index("06")
    await site.move(tasks[20], before=tasks[6]["id"])
    expected = [one for one in order if one != "20"]
    expected.insert(expected.index("06"), "20")
    assert await site.column(project) == expected, place
    first, second = [one for one in expected if one in ("07", "08")]
    await site.move(tasks[21], before=tasks[int(second)]["id"])
    expected.remove("21")
    expected.insert(expected.index(second), "21")
    assert await site.column(project) == expected, first
    versions = {one["title"]: one["version"] for one in await site.listed(projectId=project["id"])}
    assert {title for title, version in versions.items() if version > 1} == {"20", "21"}


async def test_many_moves_to_one_spot_keep_keys_short(site: Site) -> None:
    project = await site.project()
    tasks = [await site.task(project, f"{number:02}") for number in range(6)]
    left, right, *others = tasks
    order = [one["title"] for one in tasks]
    for number in range(rounds(24, 1500)):
        task = others[number % len(others)]
        await site.move(task, before=right["id"])
        order.remove(task["title"])
        order.insert(order.index(right["title"]), task["title"])
    assert await site.column(project) == order
    async with site.platform.database.reading() as session:
        keys = (await session.scalars(select(Task.board_key).where(Task.project_id == project["id"]))).all()
    assert max(map(len, keys)) <= ordering.LONGEST
    assert order[0] == left["title"]


async def test_a_status_that_is_taken_away_hands_its_tasks_on(site: Site) -> None:
    """What projects ask of tasks: they go to the end of the other column in their order, deleted ones too."""
    project = await site.project()
    await site.task(project, "there", status="DONE")
    one, two, gone = [await site.task(project, title, status="IN_REVIEW") for title in ("one", "two", "gone")]
    await site.owner.client.delete(path_of(gone))
    statuses = await site.owner.client.get(f"/api/projects/{project['id']}/statuses")
    [review] = [status for status in statuses.json()["statuses"] if status["key"] == "IN_REVIEW"]
    path = f"/api/projects/{project['id']}/statuses/{review['id']}"
    assert refusal(await site.owner.client.delete(path)) == (409, "status_in_use")
    answer = await site.owner.client.delete(path, params={"moveTo": "DONE"})
    assert answer.status_code in (200, 204), answer.text
    assert await site.column(project, "DONE") == ["there", "one", "two"]
    assert (await site.read(one))["completedAt"] is not None
    assert (await site.read(two))["version"] == 2
    restored = await site.owner.client.post(path_of(gone, "/restore"))
    assert restored.json()["task"]["status"] == "DONE"
