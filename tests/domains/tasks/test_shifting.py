"""Moving dates: by days and by the clock on the wall, along what waits for what, for all or for none."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_api.domains.tasks import shifting
from pm_api.domains.tasks.shifting import Amount, Dates, Follow, Move
from tests.conftest import Person
from tests.domains.tasks.sites import Site
from tests.domains.tasks.talking import Json, a_task, activity_of, check_gates, of_member, path, refused, send

BERLIN: Final = "Europe/Berlin"
DAYS: Final = Amount.of_days
MINUTES: Final = Amount.of_minutes


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- pure: one task --------------------------------------------------------------------------------------------


def test_days_move_by_days() -> None:
    dates = Dates(start_on=date(2026, 2, 27), due_on=date(2026, 3, 2))
    assert shifting.moved(dates, DAYS(2)) == Dates(start_on=date(2026, 3, 1), due_on=date(2026, 3, 4))
    assert shifting.moved(dates, DAYS(-2)) == Dates(start_on=date(2026, 2, 25), due_on=date(2026, 2, 28))
    assert shifting.moved(Dates(), DAYS(2)) == Dates()


@pytest.mark.parametrize(
    ("before", "amount", "after"),
    [
        ("2026-03-28T08:00", DAYS(1), "2026-03-29T07:00"),  # nine o'clock before and after the spring change
        ("2026-10-24T07:00", DAYS(1), "2026-10-25T08:00"),  # and the autumn one
        ("2026-03-28T01:30", DAYS(1), "2026-03-29T01:30"),  # 02:30 is skipped: the offset before the gap, so 03:30
        ("2026-10-24T00:30", DAYS(1), "2026-10-25T00:30"),  # 02:30 comes twice: the first
        ("2026-03-29T00:30", MINUTES(120), "2026-03-29T01:30"),  # from 01:30 to 03:30 on the wall
        ("2026-03-30T07:00", DAYS(-2), "2026-03-28T08:00"),
    ],
)
def test_moments_move_by_the_clock_on_the_wall(before: str, amount: Amount, after: str) -> None:
    moved = shifting.moved(Dates(due_at=utc(before), time_zone=BERLIN), amount)
    assert moved.due_at == utc(after)


def test_without_a_zone_the_clock_is_utc() -> None:
    assert shifting.moved(Dates(due_at=utc("2026-03-28T08:00")), DAYS(1)).due_at == utc("2026-03-29T08:00")


def test_an_end_does_not_fall_before_its_beginning_in_a_gap() -> None:
    """02:50 is skipped and read as 03:50; 03:10 is not."""
    dates = Dates(start_at=utc("2026-03-28T01:50"), due_at=utc("2026-03-28T02:10"), time_zone=BERLIN)
    moved = shifting.moved(dates, DAYS(1))
    assert moved.start_at == moved.due_at == utc("2026-03-29T01:50")


def test_minutes_move_days_by_the_whole_days_in_them() -> None:
    assert (MINUTES(1439).days, MINUTES(1440).days, MINUTES(-1439).days, MINUTES(-2880).days) == (0, 1, 0, -2)


def test_nothing_is_moved_beyond_what_is_kept() -> None:
    for dates, amount in (
        (Dates(due_on=date(9998, 12, 31)), DAYS(1)),
        (Dates(due_on=date(2, 1, 1)), DAYS(-1)),
        (Dates(due_at=utc("9998-12-31T10:00")), DAYS(400)),
        (Dates(due_on=date(9998, 12, 31)), DAYS(3650)),
    ):
        with pytest.raises(OverflowError):
            shifting.moved(dates, amount)


# --- pure: along what waits ------------------------------------------------------------------------------------

A, B, C, D, E = (UUID(int=number) for number in range(1, 6))


def on(start: int, due: int) -> Dates:
    """Days of March."""
    return Dates(start_on=date(2026, 3, start), due_on=date(2026, 3, due))


def plan(
    tasks: dict[UUID, Dates], blocks: dict[UUID, list[UUID]], amount: Amount, follow: Follow
) -> dict[UUID, Dates]:
    return {one.task_id: one.new for one in shifting.plan(A, tasks, blocks, amount, follow)}


def test_all_that_is_blocked_moves_by_as_much_and_each_once() -> None:
    tasks = {A: on(2, 3), B: on(4, 5), C: on(4, 5), D: on(6, 7), E: on(8, 9)}
    blocks = {A: [B, C], B: [D], C: [D]}
    assert plan(tasks, blocks, DAYS(2), Follow.SAME) == {A: on(4, 5), B: on(6, 7), C: on(6, 7), D: on(8, 9)}


def test_each_comes_after_all_that_block_it() -> None:
    """D is reached at once and blocked by B too."""
    tasks = dict.fromkeys((A, B, C, D), on(2, 3))
    moves: list[Move] = shifting.plan(A, tasks, {A: [D, B], B: [C], C: [D]}, DAYS(1), Follow.SAME)
    assert [one.task_id for one in moves] == [A, B, C, D]


def test_as_much_as_is_needed_eats_up_the_slack() -> None:
    tasks = {A: on(2, 3), B: on(5, 6), C: on(6, 8), D: on(20, 21)}
    blocks = {A: [B], B: [C], C: [D]}
    assert plan(tasks, blocks, DAYS(1), Follow.NEEDED) == {A: on(3, 4)}
    assert plan(tasks, blocks, DAYS(4), Follow.NEEDED) == {A: on(6, 7), B: on(7, 8), C: on(8, 10)}
    assert plan(tasks, blocks, DAYS(-1), Follow.NEEDED) == {A: on(1, 2)}


def test_the_latest_of_several_counts() -> None:
    tasks = {A: on(1, 2), B: on(3, 4), C: on(3, 9), D: on(10, 11)}
    assert plan(tasks, {A: [B, C], B: [D], C: [D]}, DAYS(5), Follow.NEEDED)[D] == on(13, 14)


def test_what_was_late_before_is_not_mended() -> None:
    """B began before A's end already; C does not move, so nothing behind it does."""
    tasks = {A: on(2, 10), B: on(20, 30), C: on(1, 2)}
    assert plan(tasks, {A: [B], B: [C]}, DAYS(1), Follow.NEEDED) == {A: on(3, 11)}


def test_moments_and_days_push_each_other() -> None:
    afternoon = Dates(start_at=utc("2026-03-05T13:00"), due_at=utc("2026-03-05T14:00"), time_zone=BERLIN)
    tasks = {A: on(2, 3), B: afternoon, C: on(5, 5)}
    moved = plan(tasks, {A: [B], B: [C]}, DAYS(4), Follow.NEEDED)
    assert moved[B] == Dates(start_at=utc("2026-03-07T13:00"), due_at=utc("2026-03-07T14:00"), time_zone=BERLIN), (
        "at the same time of the day on which A ends"
    )
    assert moved[C] == on(7, 7)
    hours = {A: afternoon, B: Dates(due_at=utc("2026-03-05T14:30"), time_zone=BERLIN)}
    assert plan(hours, {A: [B]}, MINUTES(90), Follow.NEEDED)[B].due_at == utc("2026-03-05T15:30")


def test_a_need_that_ends_in_an_hour_that_comes_twice_is_met() -> None:
    """A ends at the second 02:30; B is not begun at the first."""
    tasks = {
        A: Dates(due_at=utc("2026-10-25T00:00"), time_zone="UTC"),
        B: Dates(start_at=utc("2026-10-24T20:00"), time_zone=BERLIN),
    }
    new = plan(tasks, {A: [B]}, MINUTES(90), Follow.NEEDED)[B].start_at
    assert new is not None
    assert new >= utc("2026-10-25T01:30")


def test_what_may_not_move_stops_what_is_behind_it() -> None:
    assert set(plan({A: on(1, 2), C: on(5, 6)}, {A: [B], B: [C]}, DAYS(1), Follow.SAME)) == {A}


def test_a_circle_stays_where_it_is() -> None:
    tasks = dict.fromkeys((A, B, C), on(2, 3))
    assert set(plan(tasks, {A: [B], B: [C], C: [B]}, DAYS(1), Follow.SAME)) == {A}


WALL_ZONES: Final = st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", None])
MOMENTS: Final = st.integers(0, 364 * 24 * 60).map(lambda minutes: utc("2026-01-01") + timedelta(minutes=minutes))


@given(
    begins=st.lists(st.tuples(MOMENTS, st.integers(0, 5000), WALL_ZONES), min_size=2, max_size=6),
    minutes=st.integers(1, 100_000),
)
def test_after_a_needed_shift_nothing_that_moved_begins_too_early(
    begins: list[tuple[datetime, int, str | None]], minutes: int
) -> None:
    """A chain: whatever a moved task blocks begins no earlier than it ends, unless it was too early before."""
    ids = [uuid4() for _ in begins]
    tasks = {
        one: Dates(start_at=start, due_at=start + timedelta(minutes=length), time_zone=zone)
        for one, (start, length, zone) in zip(ids, begins, strict=True)
    }
    blocks = {one: [other] for one, other in itertools.pairwise(ids)}
    moves = {one.task_id: one for one in shifting.plan(ids[0], tasks, blocks, MINUTES(minutes), Follow.NEEDED)}
    for one, other in itertools.pairwise(ids):
        if one not in moves:
            assert other not in moves
            continue
        now = moves[other].new if other in moves else tasks[other]
        end, begin = moves[one].new.end, now.begin
        assert isinstance(end, datetime)
        assert isinstance(begin, datetime)
        assert begin >= end
        assert now.due_at is not None
        assert begin <= now.due_at


# --- over HTTP -------------------------------------------------------------------------------------------------


async def block(by: Person, one: Json, other: Json) -> None:
    body = {"otherTaskId": other["id"], "kind": "BLOCKS"}
    await send(by, "POST", path(one, "/dependencies"), 201, body)


async def shift(by: Person, task: Json, status: int = 200, **body: Any) -> Json:
    return await send(by, "POST", path(task, "/shift"), status, body)


async def test_a_preview_writes_nothing_and_says_what_the_shift_does(site: Site) -> None:
    member, project, first = await of_member(site, startOn="2026-03-02", dueOn="2026-03-03")
    moment = {"dueAt": "2026-03-28T08:00:00Z", "timeZone": BERLIN}
    second, third = await a_task(member, project, **moment), await a_task(member, project, title="No dates")
    for one, other in ((first, second), (first, third)):
        await block(member, one, other)
    preview = await shift(member, first, days=1, dryRun=True)
    assert (preview["dryRun"], preview["undoToken"]) == (True, None)
    assert [(one["key"], one["old"]["dueOn"], one["new"]["dueOn"]) for one in preview["tasks"]] == [
        (first["key"], "2026-03-03", "2026-03-04"),
        (second["key"], None, None),
    ]
    assert preview["tasks"][1]["new"]["dueAt"] == "2026-03-29T07:00:00.000Z"
    assert await site.read(first) == (await send(member, "GET", path(first), 200))["task"]
    assert (await site.read(first))["dueOn"] == "2026-03-03"

    done = await shift(member, first, days=1)
    assert done["tasks"] == preview["tasks"]
    moved = await site.read(first)
    assert (moved["startOn"], moved["dueOn"], moved["version"]) == ("2026-03-03", "2026-03-04", first["version"] + 1)
    assert (await site.read(second))["dueAt"] == "2026-03-29T07:00:00.000Z"
    assert (await site.read(third))["version"] == third["version"]
    assert (await activity_of(member, second))[-1] == "shifted"


async def test_a_shift_is_taken_back_whole(site: Site) -> None:
    member, project, first = await of_member(site, startOn="2026-03-02", dueOn="2026-03-03")
    second = await a_task(member, project, dueOn="2026-03-04")
    await block(member, first, second)
    done = await shift(member, first, days=30)
    await send(member, "POST", "/api/tasks/undo", 200, {"undoToken": done["undoToken"]})
    assert (await site.read(first))["dueOn"] == "2026-03-03"
    assert (await site.read(second))["dueOn"] == "2026-03-04"


async def test_finished_and_deleted_tasks_stay_and_stop_it(site: Site) -> None:
    member, project, first = await of_member(site, dueOn="2026-03-03")
    finished = await a_task(member, project, dueOn="2026-03-04", status="DONE")
    behind = await a_task(member, project, dueOn="2026-03-05")
    deleted = await a_task(member, project, dueOn="2026-03-04")
    for one, other in ((first, finished), (finished, behind), (first, deleted), (deleted, behind)):
        await block(member, one, other)
    await member.client.delete(path(deleted))
    assert [one["key"] for one in (await shift(member, first, days=1))["tasks"]] == [first["key"]]
    assert (await site.read(behind))["dueOn"] == "2026-03-05"


async def test_it_is_done_to_all_or_to_none(site: Site) -> None:
    """Two of three are somebody else's, one of those through a third project that is archived."""
    member, project, first = await of_member(site, dueOn="2026-03-03")
    theirs = await a_task(site.owner, project, dueOn="2026-03-04")
    archived = await site.project(name="Old")
    old = await a_task(site.owner, archived, dueOn="2026-03-05", assigneeIds=[str(member.id)])
    await block(site.owner, first, theirs)
    await block(site.owner, theirs, old)
    await site.archive(archived)
    for body in ({"days": 1}, {"days": 1, "dryRun": True}):
        answer = await member.client.post(path(first, "/shift"), json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "shift_forbidden")
        assert [one["key"] for one in answer.json()["tasks"]] == [theirs["key"], old["key"]]
    assert (await site.read(first))["dueOn"] == "2026-03-03"
    found = await shift(member, first, days=1, follow="NEEDED")
    assert [one["key"] for one in found["tasks"]] == [first["key"]], "nothing was in the way"


async def test_the_role_in_each_project_counts(site: Site) -> None:
    """A lead of the first project is a plain member of the second."""
    member, project, first = await of_member(site, dueOn="2026-03-03")
    await site.put(project, member, "ADMIN")
    second = await a_task(site.owner, await site.project(name="Second"), dueOn="2026-03-04")
    await block(member, first, second)
    answer = await member.client.post(path(first, "/shift"), json={"days": 1})
    assert [one["key"] for one in answer.json()["tasks"]] == [second["key"]]
    await site.change(second, assigneeIds=[str(member.id)])
    assert len((await shift(member, first, days=1))["tasks"]) == 2


async def test_what_is_out_of_sight_neither_moves_nor_is_told(site: Site) -> None:
    member, _, first = await of_member(site, dueOn="2026-03-03")
    private = await site.project(isPrivate=True, name="Private")
    hidden = await a_task(site.owner, private, dueOn="2026-03-04")
    await block(site.owner, first, hidden)
    found = await shift(member, first, days=1)
    assert [one["key"] for one in found["tasks"]] == [first["key"]]
    assert hidden["id"] not in str(found)
    assert (await site.read(hidden))["dueOn"] == "2026-03-04"
    assert len((await shift(site.owner, first, days=1))["tasks"]) == 2


async def test_gates_and_bad_bodies(site: Site, client: httpx.AsyncClient) -> None:
    member, project, task = await of_member(site, dueOn="2026-03-03")
    address = path(task, "/shift")
    await check_gates(site, "POST", address, {"days": 1}, anonymous=client)
    for body in (
        {},
        {"days": 0},
        {"days": 1, "minutes": 1},
        {"minutes": 0},
        {"days": "1"},
        {"days": 1.5},
        {"days": 3651},
        {"minutes": -525_601},
        {"days": 1, "dryRun": 1},
        {"days": 1, "follow": "SOME"},
        {"days": 1, "weeks": 2},
    ):
        assert await refused(member, "POST", address, body) == (422, "validation_failed"), body
    assert await refused(member, "POST", address, {"minutes": 90}) == (422, "invalid_shift")
    late = await a_task(member, project, dueOn="9990-01-01")
    assert await refused(member, "POST", path(late, "/shift"), {"days": 3650}) == (422, "invalid_shift")
    undated = await a_task(member, project)
    assert await shift(member, undated, minutes=5) == {"tasks": [], "dryRun": False, "undoToken": None}
    await site.archive(project)
    assert await refused(member, "POST", address, {"days": 1}) == (403, "shift_forbidden")
